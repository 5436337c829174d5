#include "sandbox/box/layer.h"

#include "sandbox/box/give.h"
#include "sandbox/box/mnt.h"
#include "sandbox/box/owners.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

static char *layer_path(int fd, struct err *e)
{
	char link[32], path[PATH_MAX];
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	ssize_t n = readlink(link, path, sizeof(path));
	if (n <= 0 || n == (ssize_t)sizeof(path)) {
		err_sys(e, "where a layer is");
		return NULL;
	}
	return own_dup_n(path, (size_t)n);
}

/* A mount of fd with the layer's flags; shown: its owners as the box's. */
static int layer_clone(struct layer *l, int fd, bool shown, const struct ids *ids, struct err *e)
{
	int userns_fd = shown ? ids_userns(ids, e) : -1;
	if (shown && userns_fd < 0)
		return -1;
	l->fd = mnt_clone(fd, "", l->recursive, e);
	if (l->fd < 0)
		return -1;
	return shown ? mnt_idmap(l->fd, userns_fd, l->attr, l->recursive, e)
		     : mnt_set_outside(l->fd, l->attr, l->recursive, e);
}

/* Shown as the box's. Where that can't be, what may be given is given; else it belongs to nobody
 * the box knows, and what everybody may read is read. */
static int layer_show(struct layer *l, int fd, const struct stat *st, const struct ids *ids,
		      struct err *e)
{
	bool can = owners_can(ids->owners, fd, st->st_dev, ids);
	if (give_is_away(st) == can && owners_may_give(ids->owners, fd) && give_tree(fd, !can, e))
		return -1;
	return layer_clone(l, fd, can, ids, e);
}

static int layer_open(struct layer *l, int fd, bool ours, const struct ids *ids, struct err *e)
{
	struct stat st;
	l->path = layer_path(fd, e);
	if (!l->path || fstat(fd, &st))
		return l->path ? err_sys(e, "stat %s", l->path) : -1;
	l->dev = st.st_dev;
	l->ino = st.st_ino;
	if (!ids->above)
		return 0;
	if (ours ? layer_show(l, fd, &st, ids, e) : layer_clone(l, fd, false, ids, e))
		return err_add(e, "%s", l->path);
	return 0;
}

/* A single file that is not shown as it is: the directory it is in becomes the layer. */
static int layer_open_file(struct layer *l, int fd, bool ours, const struct ids *ids, struct err *e)
{
	struct stat want, st;
	auto_free char *path = layer_path(fd, e);
	if (!path)
		return -1;
	char *slash = strrchr(path, '/');
	l->name = own_dup(slash + 1);
	*slash = 0;
	auto_fd int above = open(*path ? path : "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	*slash = '/';
	if (above < 0 || fstatat(above, l->name, &st, AT_SYMLINK_NOFOLLOW) || fstat(fd, &want))
		return err_sys(e, "%s", path);
	if (st.st_dev != want.st_dev || st.st_ino != want.st_ino)
		return err_set(e, ERR_BOX, "%s is not the file it was", path);
	return layer_open(l, above, ours, ids, e);
}

/* What the box writes is its own, wherever it is. */
static int layer_show_upper(struct layer *upper, int above, const struct stat *st, int upper_fd,
			    int work_fd, const struct ids *ids, struct err *e)
{
	bool can = owners_can(ids->owners, above, upper->dev, ids);
	if ((give_is_away(st) == can &&
	     (give_tree(upper_fd, !can, e) || give_tree(work_fd, !can, e))) ||
	    layer_clone(upper, above, can, ids, e))
		return err_add(e, "%s", upper->path);
	if (!can && !owners_may_give(ids->owners, upper_fd))
		upper->back_fd = openat(upper_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return 0;
}

/* path becomes the directory above, to be freed; its last name, too. */
static char *layer_cut(char *path)
{
	char *slash = strrchr(path, '/'), *name = own_dup(slash + 1);
	slash[slash == path] = 0;
	return name;
}

/* An upper and its work directory must be on one mount (overlayfs says so), hence the directory
 * that holds both is mounted. */
static int layer_open_upper(struct layer *upper, struct layer *work, int upper_fd, int work_fd,
			    const struct ids *ids, struct err *e)
{
	struct stat up, a, b;
	auto_fd int above = openat(upper_fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
	auto_free char *work_path = layer_path(work_fd, e);
	upper->path = layer_path(upper_fd, e);
	if (!upper->path || !work_path)
		return -1;
	if (above < 0 || fstat(above, &up) || fstatat(work_fd, "..", &b, 0))
		return err_sys(e, "directory above %s", upper->path);
	if (up.st_dev != b.st_dev || up.st_ino != b.st_ino)
		return err_set(e, ERR_USAGE,
			       "upper %s and work directory %s are not beside each other",
			       upper->path, work_path);
	upper->dev = up.st_dev;
	upper->ino = up.st_ino;
	upper->name = layer_cut(upper->path);
	work->name = layer_cut(work_path);
	if (fstatat(above, upper->name, &a, AT_SYMLINK_NOFOLLOW) || fstat(upper_fd, &b) ||
	    a.st_ino != b.st_ino)
		return err_set(e, ERR_BOX, "upper %s/%s is not there any more", upper->path,
			       upper->name);
	return ids->above ? layer_show_upper(upper, above, &b, upper_fd, work_fd, ids, e) : 0;
}

/* The directory that the owners of a single file are asked of. */
static int layer_dir(int fd)
{
	struct err ignored = ERR_INIT;
	auto_free char *path = layer_path(fd, &ignored);
	if (!path)
		return -1;
	*strrchr(path, '/') = 0;
	return open(*path ? path : "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
}

static bool layer_can(int fd, const struct ids *ids)
{
	struct stat st;
	/* Who opens it for good says what is wrong with it. */
	return fd < 0 || fstat(fd, &st) || owners_can(ids->owners, fd, st.st_dev, ids);
}

/* Can everything be shown that is to be the box's? */
static bool layers_can(const struct spec *spec, const int *fds, const struct ids *ids)
{
	for (size_t i = 0; i < spec->n_mounts; i++) {
		const struct spec_mount *m = &spec->mounts[i];
		for (uint32_t k = m->first; m->ours && k < m->first + m->n; k++) {
			auto_fd int above = m->file ? layer_dir(fds[k]) : -1;
			if (!layer_can(m->file ? above : fds[k], ids))
				return false;
		}
		if (m->upper != PLAN_NO_FD && !layer_can(fds[m->upper], ids))
			return false;
	}
	return true;
}

int layers_open(struct layers *out, const struct spec *spec, const int *fds, size_t n,
		const struct ids *ids, struct err *e)
{
	*out = (struct layers){.all = NULL};
	if (ids->above && !layers_can(spec, fds, ids)) {
		ids = owners_given(ids->owners, e);
		if (!ids)
			return -1;
		spec_say(spec, "no idmapped mounts: what is the box's belongs to %u and on",
			 ids->uid);
	}
	*out = (struct layers){own_calloc(n + 1, sizeof(*out->all)), n, ids};
	for (size_t i = 0; i < n; i++)
		out->all[i].fd = out->all[i].back_fd = -1;
	for (size_t i = 0; i < spec->n_mounts; i++) {
		const struct spec_mount *m = &spec->mounts[i];
		bool bind = spec_mount_is_live(m);
		for (uint32_t k = m->first; k < m->first + m->n; k++) {
			out->all[k].recursive = bind;
			if (bind)
				out->all[k].attr =
					MOUNT_ATTR_NODEV |
					(m->mode == PLAN_MOUNT_RO ? MOUNT_ATTR_RDONLY : 0);
			if (m->file && !bind
				    ? layer_open_file(&out->all[k], fds[k], m->ours, ids, e)
				    : layer_open(&out->all[k], fds[k], m->ours, ids, e))
				return err_add(e, "mount %s", m->path);
		}
		if (m->upper != PLAN_NO_FD &&
		    layer_open_upper(&out->all[m->upper], &out->all[m->work], fds[m->upper],
				     fds[m->work], ids, e))
			return err_add(e, "mount %s", m->path);
	}
	return 0;
}

void layers_settle(struct layers *ls)
{
	for (size_t i = 0; i < ls->n; i++) {
		struct err e = ERR_INIT;
		if (ls->all[i].back_fd >= 0 && give_tree(ls->all[i].back_fd, false, &e))
			fprintf(stderr, "assay-box: owners of %s/%s: %s\n", ls->all[i].path,
				ls->all[i].name, e.text);
		own_close(&ls->all[i].back_fd);
	}
}

void layers_close(struct layers *ls)
{
	for (size_t i = 0; i < ls->n; i++) {
		own_close(&ls->all[i].back_fd);
		if (ls->all[i].fd >= 0)
			close(ls->all[i].fd);
		free(ls->all[i].path);
		free(ls->all[i].name);
	}
	free(ls->all);
	*ls = (struct layers){.all = NULL};
}

/* Each as this, then the path and the name, with their NUL; an empty one is none. */
struct layer_flat {
	uint64_t dev, ino, attr;
	uint8_t recursive, has_fd;
};

size_t layers_put(const struct layers *ls, struct text *t, int *fds)
{
	size_t n = 0;
	for (size_t i = 0; i < ls->n; i++) {
		const struct layer *l = &ls->all[i];
		struct layer_flat flat = {l->dev, l->ino, l->attr, l->recursive, l->fd >= 0};
		const char *path = l->path ? l->path : "", *name = l->name ? l->name : "";
		if (l->fd >= 0)
			fds[n++] = l->fd;
		text_put(t, &flat, sizeof(flat));
		text_put(t, path, strlen(path) + 1);
		text_put(t, name, strlen(name) + 1);
	}
	return n;
}

static char *layer_string(const char **at, const char *end)
{
	size_t n = strnlen(*at, (size_t)(end - *at));
	char *s = n ? own_dup_n(*at, n) : NULL;
	*at += n < (size_t)(end - *at) ? n + 1 : n;
	return s;
}

int layers_get(struct layers *out, const char *text, size_t n, const int *fds, size_t n_fds,
	       struct err *e)
{
	const char *end = text + n;
	size_t room = n / sizeof(struct layer_flat), used = 0;
	*out = (struct layers){own_calloc(room + 1, sizeof(*out->all)), 0, NULL};
	while ((size_t)(end - text) > sizeof(struct layer_flat)) {
		struct layer_flat flat;
		struct layer *l = &out->all[out->n++];
		memcpy(&flat, text, sizeof(flat));
		text += sizeof(flat);
		*l = (struct layer){.fd = -1,
				    .back_fd = -1,
				    .dev = flat.dev,
				    .ino = flat.ino,
				    .attr = flat.attr,
				    .recursive = flat.recursive};
		l->path = layer_string(&text, end);
		l->name = layer_string(&text, end);
		if (flat.has_fd && used < n_fds)
			l->fd = fds[used++];
	}
	return text != end || used != n_fds ? err_set(e, ERR_CORRUPT, "layers that break the rules")
					    : 0;
}

int layer_take(struct layer *l, struct err *e)
{
	struct stat st;
	if (l->fd >= 0)
		return give_fd(&l->fd);
	auto_fd int fd = mnt_clone(AT_FDCWD, l->path, l->recursive, e);
	if (fd < 0)
		return -1;
	if (fstat(fd, &st) || st.st_dev != l->dev || st.st_ino != l->ino)
		return err_set(e, ERR_BOX, "%s is not what it was", l->path);
	if (l->attr && mnt_set(fd, l->attr, l->recursive, e))
		return err_add(e, "%s", l->path);
	return give_fd(&fd);
}

int layer_inside(const struct layer *l, struct err *e)
{
	struct stat st;
	int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	auto_fd int above = l->fd >= 0 ? fcntl(l->fd, F_DUPFD_CLOEXEC, 0)
				       : open(l->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (above < 0 || fstat(above, &st))
		return err_sys(e, "open %s", l->path);
	if (st.st_dev != l->dev || st.st_ino != l->ino)
		return err_set(e, ERR_BOX, "%s is not what it was", l->path);
	int fd = openat(above, l->name, flags);
	return fd < 0 ? err_sys(e, "open %s/%s", l->path, l->name) : fd;
}
