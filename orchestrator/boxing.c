#include "orchestrator/boxing.h"

#include "base/dir.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define BOXING_FILE_MAX ((size_t)16 << 20)

int boxing_layer(struct state *st, const char *name, struct err *e)
{
	struct db_layer l = {0};
	if (name[0] == '/') {
		int fd = open(name, O_PATH | O_DIRECTORY | O_CLOEXEC);
		return fd < 0 ? err_sys(e, "layer directory %s", name) : fd;
	}
	int found = db_layer_find(st->db, name, &l, e);
	if (found < 0)
		return -1;
	if (!found)
		return err_set(e, ERR_ABSENT,
			       "there is no layer %s; make it with: assay layer import %s DIR",
			       name, name);
	int fd = cache_layer_open(st->cache, l.id, e);
	db_layer_fini(&l);
	return fd;
}

int boxing_place_open(struct boxing_place *p, int dirfd, struct err *e)
{
	struct stat st;
	auto_fd int fd = dir_make(dirfd, BOXING_INPUT, 0755, e);
	if (fd < 0)
		return err_add(e, "the input of packages without files");
	if (fstat(fd, &st))
		return err_sys(e, "look at %s", BOXING_INPUT);
	p->plain = st.st_mode == (S_IFDIR | 0755);
	p->empty_fd = give_fd(&fd);
	return 0;
}

void boxing_place_close(struct boxing_place *p)
{
	own_close(&p->empty_fd);
}

int boxing_input(int dirfd, const char *rel, const struct suite_package *package, struct err *e)
{
	auto_fd int input = dir_make(dirfd, rel, 0755, e);
	if (input < 0)
		return -1;
	for (size_t i = 0; i < package->n_files; i++) {
		const struct suite_file *f = &package->files[i];
		const char *slash = strrchr(f->name, '/');
		auto_text struct text bytes = TEXT_INIT;
		auto_fd int from = open(f->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
		if (from < 0)
			return err_sys(e, "%s: file of package %s: open %s", package->where,
				       package->id, f->path);
		if (dir_read_fd(from, BOXING_FILE_MAX, &bytes, e))
			return err_add(e, "%s: file of package %s: %s", package->where, package->id,
				       f->path);
		if (slash) {
			auto_free char *parent = own_dup_n(f->name, (size_t)(slash - f->name));
			auto_fd int made = dir_make(input, parent, 0755, e);
			if (made < 0)
				return -1;
		}
		auto_fd int to =
			dir_open_beneath(input, f->name, O_WRONLY | O_CREAT | O_EXCL, 0644);
		if (to < 0 || dir_write_all(to, text_str(&bytes), bytes.n))
			return err_sys(e, "write %s/%s", rel, f->name);
	}
	return 0;
}

static int boxing_keep(struct boxing *b, int fd)
{
	b->fds = own_grow(b->fds, b->n_fds + 1, sizeof(*b->fds));
	b->fds[b->n_fds++] = fd;
	return fd;
}

static int boxing_dir(struct boxing *b, int dirfd, const char *rel, struct err *e)
{
	int fd = dir_open_beneath(dirfd, rel, O_PATH | O_DIRECTORY, 0);
	return fd < 0 ? err_sys(e, "open %s", rel) : boxing_keep(b, fd);
}

/* An upper or work directory. What a box sees at a mount's root is the upper's mode: not what our
 * umask makes of it. */
static int boxing_make(struct boxing *b, const struct boxing_from *from, char what, size_t slot,
		       struct err *e)
{
	auto_free char *rel = own_fmt("%s/%c%zu", from->dir, what, slot);
	if (mkdirat(from->dirfd, rel, 0755))
		return err_sys(e, "mkdir %s", rel);
	int fd = openat(from->dirfd, rel, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, "open %s", rel);
	boxing_keep(b, fd);
	return from->place && from->place->plain ? fd
	       : fchmod(fd, 0755)                ? err_sys(e, "chmod %s", rel)
						 : fd;
}

/* Append the descriptors that one symbol stands for: none where an earlier phase did not run, many
 * for a store. */
static int boxing_lower(struct boxing *b, struct state *st, const struct plan_mount *m,
			const struct plan_lower *l, const struct boxing_from *from, int **fds,
			size_t *n, struct err *e)
{
	int fd = -1;
	switch (l->from) {
	case PLAN_FROM_STORE: {
		const struct shelf *sh = &from->shelves[l->index];
		auto_free int *layers = NULL;
		if (shelf_open(sh, st->cache, &layers, e))
			return -1;
		*fds = own_grow(*fds, *n + sh->n_layers, sizeof(**fds));
		for (size_t i = 0; i < sh->n_layers; i++)
			(*fds)[(*n)++] = boxing_keep(b, layers[i]);
		return 0;
	}
	case PLAN_FROM_UPPER: {
		if (!from->uppers[l->index])
			return 0;
		auto_free char *rel = boxing_upper_name(from->uppers[l->index], m->slot);
		bool kept = !strncmp(rel, BOXING_KEPT, strlen(BOXING_KEPT));
		fd = boxing_dir(b, kept ? st->fd : from->dirfd, rel, e);
		break;
	}
	case PLAN_FROM_LAYER:
	case PLAN_FROM_DIR:
		fd = boxing_layer(st, l->name, e);
		if (fd >= 0)
			boxing_keep(b, fd);
		break;
	case PLAN_FROM_FILE:
		fd = open(l->name, O_PATH | O_CLOEXEC);
		if (fd < 0)
			return err_sys(e, "file %s", l->name);
		boxing_keep(b, fd);
		break;
	case PLAN_FROM_INPUT:
		fd = from->input ? boxing_dir(b, from->dirfd, from->input, e)
				 : from->place->empty_fd;
		break;
	}
	if (fd < 0)
		return -1;
	*fds = own_grow(*fds, *n + 1, sizeof(**fds));
	(*fds)[(*n)++] = fd;
	return 0;
}

static int boxing_mount(struct boxing *b, struct state *st, const struct plan_mount *m,
			const struct boxing_from *from, struct box_mount *out, struct err *e)
{
	int *fds = NULL;
	size_t n = 0;
	*out = (struct box_mount){
		.path = m->path, .mode = m->mode, .upper_fd = -1, .work_fd = -1, .ours = m->ours};
	for (size_t i = 0; i < m->n_lowers; i++) {
		if (boxing_lower(b, st, m, &m->lowers[i], from, &fds, &n, e)) {
			free(fds);
			return -1;
		}
		if (m->lowers[i].from == PLAN_FROM_UPPER)
			out->n_past = n; /* they come first */
	}
	out->lowers = fds;
	out->n_lowers = n;
	if (m->slot == PLAN_NONE)
		return 0;
	out->upper_fd = boxing_make(b, from, 'u', m->slot, e);
	if (out->upper_fd >= 0)
		out->work_fd = boxing_make(b, from, 'w', m->slot, e);
	return out->work_fd < 0 ? -1 : 0;
}

int boxing_open(struct boxing *b, struct state *st, const struct plan_mounts *m,
		const struct boxing_from *from, struct err *e)
{
	*b = (struct boxing){0};
	if (mkdirat(from->dirfd, from->dir, 0755))
		return err_sys(e, "mkdir %s", from->dir);
	b->mounts = own_calloc(m->n_mounts, sizeof(*b->mounts));
	for (size_t i = 0; i < m->n_mounts; i++) {
		b->n_mounts = i + 1;
		if (boxing_mount(b, st, &m->mounts[i], from, &b->mounts[i], e)) {
			boxing_close(b);
			return err_add(e, "mount %s", m->mounts[i].path);
		}
	}
	return 0;
}

void boxing_close(struct boxing *b)
{
	for (size_t i = 0; i < b->n_fds; i++)
		close(b->fds[i]);
	for (size_t i = 0; i < b->n_mounts; i++)
		free((void *)(uintptr_t)b->mounts[i].lowers);
	free(b->fds);
	free(b->mounts);
	*b = (struct boxing){0};
}

char *boxing_upper_name(const char *dir, size_t slot)
{
	return own_fmt("%s/u%zu", dir, slot);
}

int boxing_upper(int dirfd, const char *dir, size_t slot, struct err *e)
{
	auto_free char *rel = boxing_upper_name(dir, slot);
	auto_fd int fd = dir_open_beneath(dirfd, rel, O_RDONLY | O_DIRECTORY, 0);
	if (fd >= 0 && !faccessat(fd, ".", R_OK | X_OK, AT_EACCESS))
		return give_fd(&fd);
	/* The mount's root in the box is this directory: its mode is the job's to change. */
	if (errno == EACCES)
		return err_set(e, ERR_HOSTILE, "the store's root may not be read any more");
	return err_sys(e, "open %s", rel);
}
