/* Do a description's mounts and files make sense together? Order does not matter to them: what lies
 * inside something is mounted after it. So nothing can be hidden by accident but by what has the
 * same place, or has a file where a directory is needed. */
#include "sandbox/pack.h"

#include "base/text.h"
#include "sandbox/box/plan.h"

#include <assert.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

static_assert(BOX_FILE_COW == PLAN_COPY_MAX, "what is refused here is what would be there");

bool path_is_plain(const char *path)
{
	if (!path || path[0] != '/')
		return false;
	if (!path[1])
		return true;
	for (const char *p = path; *p;) {
		const char *end = strchrnul(++p, '/');
		size_t n = (size_t)(end - p);
		if (!n || n > 255 || (n == 1 && p[0] == '.') ||
		    (n == 2 && p[0] == '.' && p[1] == '.'))
			return false;
		p = end;
	}
	return strlen(path) < 4096;
}

static bool path_is_in(const char *path, const char *dir)
{
	size_t n = strlen(dir);
	return !strncmp(path, dir, n) && (!path[n] || path[n] == '/' || n == 1);
}

char *path_of_fd(int fd)
{
	char link[32], path[PATH_MAX];
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	ssize_t n = readlink(link, path, sizeof(path) - 1);
	return n > 0 ? own_dup_n(path, (size_t)n) : own_fmt("descriptor %d", fd);
}

bool mount_is_file(const struct box_mount *m)
{
	struct stat st;
	return m->n_lowers == 1 && !fstat(m->lowers[0], &st) && S_ISREG(st.st_mode);
}

uint64_t mount_file_bytes(const struct box_mount *m)
{
	struct stat st;
	return fstat(m->lowers[0], &st) ? 0 : (uint64_t)st.st_size;
}

/* What is a directory, for the whole list: to find one that two use. */
struct used {
	const struct box_mount *mount;
	bool upper;
	dev_t dev;
	ino_t ino;
};

struct check {
	const struct box_spec *spec;
	struct used *used; /* owned; every lower and upper */
	size_t n_used;
};

static const char *kind_of(mode_t mode)
{
	return S_ISCHR(mode) || S_ISBLK(mode) ? "a device"
	       : S_ISFIFO(mode)               ? "a fifo"
	       : S_ISSOCK(mode)               ? "a socket"
	       : S_ISLNK(mode)                ? "a symbolic link"
	       : S_ISREG(mode)                ? "a file"
					      : "no directory";
}

static int check_lower(struct check *c, const struct box_mount *m, int fd, struct err *e)
{
	struct stat st;
	if (fstat(fd, &st))
		return err_sys(e, "mount %s: descriptor %d", m->path, fd);
	c->used[c->n_used++] = (struct used){m, false, st.st_dev, st.st_ino};
	if (S_ISDIR(st.st_mode) || (S_ISREG(st.st_mode) && m->n_lowers == 1))
		return 0;
	auto_free char *path = path_of_fd(fd);
	if (S_ISREG(st.st_mode))
		return err_set(e, ERR_USAGE,
			       "mount %s: %s is a file; a file can't be one layer of several",
			       m->path, path);
	return err_set(e, ERR_USAGE,
		       "mount %s: %s is %s; a box can be shown directories and regular files",
		       m->path, path, kind_of(st.st_mode));
}

static int check_upper(struct check *c, const struct box_mount *m, struct err *e)
{
	struct stat st;
	bool none = m->upper_fd < 0 && m->work_fd < 0;
	if (m->mode != BOX_COW || (none && !m->to_be))
		return 0;
	if (!m->to_be && (m->upper_fd < 0 || m->work_fd < 0))
		return err_set(e, ERR_USAGE, "mount %s: upper without work directory", m->path);
	if (mount_is_file(m))
		return err_set(e, ERR_USAGE,
			       "mount %s: a single file has no upper of its own; what is changed "
			       "in it is in the upper of the mount it lies in",
			       m->path);
	for (int i = 0; i < 2; i++) {
		int fd = i ? m->work_fd : m->upper_fd;
		const char *what = i ? "work" : "upper";
		if (fd < 0)
			continue;
		if (fstat(fd, &st))
			return err_sys(e, "mount %s: %s, descriptor %d", m->path, what, fd);
		if (!S_ISDIR(st.st_mode))
			return err_set(e, ERR_USAGE, "mount %s: its %s is %s, not a directory",
				       m->path, what, kind_of(st.st_mode));
		c->used[c->n_used++] = (struct used){m, true, st.st_dev, st.st_ino};
	}
	return 0;
}

/* What is written may be nothing else at the same time: overlayfs leaves open what would happen. */
static int check_used(const struct check *c, struct err *e)
{
	for (size_t i = 0; i < c->n_used; i++) {
		const struct used *u = &c->used[i];
		for (size_t k = 0; u->upper && k < c->n_used; k++) {
			const struct used *o = &c->used[k];
			if (k == i || o->dev != u->dev || o->ino != u->ino || (o->upper && k > i))
				continue;
			return err_set(
				e, ERR_USAGE,
				"mount %s: its upper or work directory is also %s of mount %s",
				u->mount->path, o->upper ? "one" : "a lower directory",
				o->mount->path);
		}
	}
	return 0;
}

static int check_count(const struct box_spec *s, const struct box_mount *m, struct err *e)
{
	bool root = !m->path[1];
	size_t least = m->mode == BOX_RW || (m->mode == BOX_RO && !(root && s->root_host)) ? 1 : 0;
	size_t most = m->mode == BOX_RW ? 1 : m->mode == BOX_TMPFS ? 0 : PLAN_LAYERS_MAX;
	if (m->n_lowers < least || m->n_lowers > most)
		return err_set(e, ERR_USAGE, "mount %s: %zu lower directories make no sense here",
			       m->path, m->n_lowers);
	if (m->n_past > m->n_lowers)
		return err_set(e, ERR_USAGE, "mount %s: %zu of %zu lower directories are earlier",
			       m->path, m->n_past, m->n_lowers);
	if (root && m->mode == BOX_RW && s->root_host)
		return err_set(e, ERR_USAGE, "mount /: the host's root or this directory");
	return 0;
}

/* Each is looked at as long as the box runs. */
static int check_uppers(const struct box_spec *s, struct err *e)
{
	size_t n = 0;
	for (const struct box_mount *m = s->mounts; m < s->mounts + s->n_mounts; m++)
		n += m->mode == BOX_COW && m->upper_fd >= 0;
	if (n <= PLAN_UPPERS_MAX)
		return 0;
	return err_set(e, ERR_LIMIT,
		       "box %s: the changes of %zu mounts are to be kept, and %d are the most; let "
		       "one mount hold several of these places",
		       s->name, n, PLAN_UPPERS_MAX);
}

static int check_mount(struct check *c, const struct box_mount *m, struct err *e)
{
	if (!path_is_plain(m->path))
		return err_set(e, ERR_USAGE, "mount %s: the path is not absolute and normalised",
			       m->path ? m->path : "(none)");
	if (path_is_in(m->path, "/proc") || path_is_in(m->path, "/sys") ||
	    (path_is_in(m->path, "/dev") && strcmp(m->path, "/dev/shm")))
		return err_set(e, ERR_USAGE, "mount %s: /dev, /proc and /sys are made by the box",
			       m->path);
	if (check_count(c->spec, m, e))
		return -1;
	for (size_t i = 0; i < m->n_lowers; i++)
		if (check_lower(c, m, m->lowers[i], e))
			return -1;
	if (!m->path[1] && mount_is_file(m))
		return err_set(e, ERR_USAGE, "mount /: a file can't be the root");
	return check_upper(c, m, e);
}

static int check_file(const struct box_spec *s, const struct box_file *f, struct err *e)
{
	if (!path_is_plain(f->path) || !f->path[1] || path_is_in(f->path, "/proc") ||
	    path_is_in(f->path, "/sys"))
		return err_set(e, ERR_USAGE, "file %s", f->path ? f->path : "(none)");
	for (const struct box_file *o = s->files; o < s->files + s->n_files; o++)
		if (o != f && path_is_plain(o->path) && path_is_in(f->path, o->path) &&
		    (o < f || strcmp(f->path, o->path)))
			return err_set(e, ERR_USAGE,
				       strcmp(f->path, o->path) ? "file %s is inside file %s"
								: "file %s: twice",
				       f->path, o->path);
	return 0;
}

/* Each of them against each before it: lists are short. */
static int check_places(const struct box_spec *s, struct err *e)
{
	for (const struct box_mount *m = s->mounts; m < s->mounts + s->n_mounts; m++) {
		bool file = mount_is_file(m);
		for (const struct box_mount *o = s->mounts; o < s->mounts + s->n_mounts; o++) {
			if (o < m && !strcmp(m->path, o->path))
				return err_set(e, ERR_USAGE, "mount %s: twice", m->path);
			if (file && o != m && path_is_in(o->path, m->path))
				return err_set(e, ERR_USAGE,
					       "mount %s is inside mount %s, which is a file",
					       o->path, m->path);
		}
		for (const struct box_file *f = s->files; f < s->files + s->n_files; f++) {
			if (!strcmp(f->path, m->path))
				return err_set(e, ERR_USAGE,
					       "mount %s and file %s: one hides the other", m->path,
					       f->path);
			if (file && path_is_in(f->path, m->path))
				return err_set(e, ERR_USAGE,
					       "file %s is inside mount %s, which is a file",
					       f->path, m->path);
			if (path_is_in(m->path, f->path))
				return err_set(e, ERR_USAGE, "mount %s is inside file %s", m->path,
					       f->path);
		}
	}
	return 0;
}

const struct box_mount *mount_around(const struct box_spec *s, const char *path)
{
	const struct box_mount *around = NULL;
	for (const struct box_mount *m = s->mounts; m < s->mounts + s->n_mounts; m++)
		if (strcmp(m->path, path) && path_is_in(path, m->path) &&
		    (!around || strlen(m->path) > strlen(around->path)))
			around = m;
	return around;
}

static int check_copies(const struct box_spec *s, struct err *e)
{
	for (const struct box_mount *m = s->mounts; m < s->mounts + s->n_mounts; m++) {
		const struct box_mount *around = mount_around(s, m->path);
		if (m->mode != BOX_COW || !mount_is_file(m) || !around || around->mode != BOX_COW ||
		    mount_file_bytes(m) <= BOX_FILE_COW)
			continue;
		auto_free char *path = path_of_fd(m->lowers[0]);
		return err_set(e, ERR_USAGE,
			       "mount %s: %s has %llu bytes, and a copy-on-write file of mount %s "
			       "is copied into memory: at most %llu; show it read-only, or the "
			       "directory it is in",
			       m->path, path, (unsigned long long)mount_file_bytes(m), around->path,
			       (unsigned long long)BOX_FILE_COW);
	}
	return 0;
}

static int check_all(struct check *c, struct err *e)
{
	const struct box_spec *s = c->spec;
	bool root = s->root_host;
	for (size_t i = 0; i < s->n_mounts; i++) {
		if (check_mount(c, &s->mounts[i], e))
			return -1;
		root |= !s->mounts[i].path[1];
	}
	for (size_t i = 0; i < s->n_files; i++)
		if (check_file(s, &s->files[i], e))
			return -1;
	if (!root)
		return err_set(e, ERR_USAGE, "nothing is mounted at /");
	return check_places(s, e) || check_used(c, e) || check_copies(s, e) ? -1 : 0;
}

int mounts_check(const struct box_spec *spec, struct err *e)
{
	size_t n = 0;
	for (size_t i = 0; i < spec->n_mounts; i++)
		n += spec->mounts[i].n_lowers + 2;
	if (n > PLAN_LAYERS_MAX)
		return err_set(e, ERR_LIMIT, "box %s: %zu lower directories", spec->name, n);
	if (check_uppers(spec, e))
		return -1;
	struct check c = {.spec = spec, .used = own_calloc(n + 1, sizeof(*c.used))};
	int rc = check_all(&c, e);
	free(c.used);
	return rc;
}

static int by_path(const void *a, const void *b)
{
	return strcmp((*(const struct box_mount *const *)a)->path,
		      (*(const struct box_mount *const *)b)->path);
}

const struct box_mount **mounts_sorted(const struct box_spec *spec)
{
	const struct box_mount **sorted = own_calloc(spec->n_mounts + 1, sizeof(*sorted));
	for (size_t i = 0; i < spec->n_mounts; i++)
		sorted[i] = &spec->mounts[i];
	qsort(sorted, spec->n_mounts, sizeof(*sorted), by_path);
	return sorted;
}
