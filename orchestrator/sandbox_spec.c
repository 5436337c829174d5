#include "orchestrator/sandbox_spec.h"

#include "base/dir.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>

#define SPEC_FILE_MAX ((size_t)16 << 20)

static int layer_open(const struct sandbox_options *o, const char *name, struct err *e)
{
	if (!strchr(name, '/'))
		return sandbox_layer_named(o, name, e);
	int fd = open(name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? err_sys(e, "%s", name) : fd;
}

/* ---- what is kept ---- */

static int keep_lock(int fd, const char *dir, struct err *e)
{
	/* The box holds copies of the descriptor: the lock ends with the last of both. */
	if (!flock(fd, LOCK_EX | LOCK_NB))
		return 0;
	if (errno != EWOULDBLOCK)
		return err_sys(e, "lock %s", dir);
	return err_set(e, ERR_BUSY, "%s is kept for another box that runs", dir);
}

static int keep_work(struct sandbox_keep *k, const char *dir, struct err *e)
{
	struct stat here, above;
	auto_free char *whole = realpath(dir, NULL);
	if (!whole)
		return err_sys(e, "%s", dir);
	k->parent_fd = openat(k->upper_fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (k->parent_fd < 0 || fstat(k->upper_fd, &here) || fstat(k->parent_fd, &above))
		return err_sys(e, "the directory that %s is in", dir);
	if (here.st_dev != above.st_dev || here.st_ino == above.st_ino)
		return err_set(e, ERR_USAGE,
			       "%s is where a file system is mounted: the overlay needs a work "
			       "directory beside it; give a directory in it",
			       dir);
	k->work = own_fmt(".%s.assay", strrchr(whole, '/') + 1);
	if (sandbox_remove(NULL, k->parent_fd, k->work, e))
		return -1;
	k->work_fd = dir_make(k->parent_fd, k->work, 0700, e);
	return k->work_fd < 0 ? err_add(e, "work directory beside %s", dir) : 0;
}

static int keep_open(struct sandbox_spec *s, const char *dir, bool make, struct box_mount *m,
		     struct err *e)
{
	s->keeps = own_grow(s->keeps, s->n_keeps + 1, sizeof(*s->keeps));
	struct sandbox_keep *k = &s->keeps[s->n_keeps++];
	*k = (struct sandbox_keep){-1, -1, -1, NULL};
	if (make && mkdir(dir, 0755) && errno != EEXIST)
		return err_sys(e, "make %s", dir);
	k->upper_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (k->upper_fd < 0)
		return err_sys(e, "%s", dir);
	if (make && (keep_lock(k->upper_fd, dir, e) || keep_work(k, dir, e)))
		return -1;
	m->upper_fd = k->upper_fd;
	m->work_fd = make ? k->work_fd : k->upper_fd;
	return 0;
}

static void keep_close(struct sandbox_keep *k)
{
	struct err e = ERR_INIT;
	own_close(&k->work_fd);
	if (k->work && sandbox_remove(NULL, k->parent_fd, k->work, &e))
		fprintf(stderr, "assay: %s\n", e.text);
	own_close(&k->parent_fd);
	own_close(&k->upper_fd);
	free(k->work);
}

/* ---- mounts ---- */

static struct box_mount *spec_mount(struct sandbox_spec *s, const char *path, enum box_mode mode)
{
	struct box_mount *m = &s->mounts[s->box.n_mounts++];
	/* What is named is the box's to see as its root sees it: what is ours here is its root's
	 * there. */
	*m = (struct box_mount){.path = path,
				.mode = mode,
				.lowers = &s->lowers[s->n_lowers],
				.upper_fd = -1,
				.work_fd = -1,
				.ours = true};
	return m;
}

static int spec_lower(struct sandbox_spec *s, struct box_mount *m, int fd)
{
	if (fd < 0)
		return -1;
	s->lowers[s->n_lowers++] = fd;
	m->n_lowers++;
	return 0;
}

static int spec_root(struct sandbox_spec *s, const struct sandbox_options *o, bool make,
		     struct err *e)
{
	bool host = !o->root || !strcmp(o->root, "host");
	for (size_t i = 0; i < o->n_mounts; i++)
		if (!o->mounts[i].path[1])
			return 0;
	s->box.root_host = host;
	if (host && !o->n_layers && !o->read_only && !o->keep && !o->limits.disk)
		return 0; /* a skeleton in memory, which may be written */
	struct box_mount *m = spec_mount(s, "/", o->read_only ? BOX_RO : BOX_COW);
	/* In memory, where nobody counts what is there: there is no more room than that. */
	m->size = o->read_only ? 0 : o->limits.disk;
	for (size_t i = 0; i < o->n_layers; i++)
		if (spec_lower(s, m, layer_open(o, o->layers[i], e)))
			return err_add(e, "--layer %s", o->layers[i]);
	if (!host && spec_lower(s, m, layer_open(o, o->root, e)))
		return err_add(e, "--root %s", o->root);
	return o->keep && keep_open(s, o->keep, make, m, e) ? err_add(e, "--keep %s", o->keep) : 0;
}

static int spec_mounts(struct sandbox_spec *s, const struct sandbox_options *o, bool make,
		       struct err *e)
{
	for (size_t i = 0; i < o->n_mounts; i++) {
		const struct sandbox_mount *from = &o->mounts[i];
		struct box_mount *m = spec_mount(s, from->path, from->mode);
		m->size = from->mode == BOX_COW ? o->limits.disk : from->size;
		if (from->source && spec_lower(s, m, open(from->source, O_PATH | O_CLOEXEC)))
			return err_sys(e, "%s", from->source);
		if (from->keep && keep_open(s, from->keep, make, m, e))
			return err_add(e, "--keep %s", from->keep);
	}
	return 0;
}

/* ---- files ---- */

static int spec_file(struct sandbox_spec *s, const struct sandbox_file *f, struct err *e)
{
	bool in = !strcmp(f->source, "-");
	struct stat st;
	struct text *t = &s->contents[s->n_contents++];
	if (in && s->stdin_taken)
		return err_set(e, ERR_USAGE, "standard input is but one file");
	s->stdin_taken |= in;
	auto_fd int fd = open(in ? "/dev/stdin" : f->source, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	/* a socket can't be opened once more */
	if (fd < 0 && in)
		fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
	if (fd < 0 || fstat(fd, &st))
		return err_sys(e, "%s", f->source);
	if (dir_read_fd(fd, SPEC_FILE_MAX, t, e))
		return err_add(e, "%s", f->source);
	s->files[s->box.n_files++] = (struct box_file){
		.path = f->path,
		.bytes = text_str(t),
		.n = t->n,
		.mode = S_ISREG(st.st_mode) ? (st.st_mode & 0777) | 0444 : 0644,
	};
	return 0;
}

static bool files_have(const struct sandbox_spec *s, const char *path)
{
	for (size_t i = 0; i < s->box.n_files; i++)
		if (!strcmp(s->files[i].path, path))
			return true;
	return false;
}

static int spec_files(struct sandbox_spec *s, const struct sandbox_options *o, struct err *e)
{
	for (size_t i = 0; i < o->n_files; i++) {
		if (files_have(s, o->files[i].path))
			return err_set(e, ERR_USAGE, "--file %s: twice", o->files[i].path);
		if (spec_file(s, &o->files[i], e))
			return err_add(e, "--file %s", o->files[i].path);
	}
	hostfiles_make(&s->host, &s->box);
	for (size_t i = 0; i < s->host.n; i++)
		if (!files_have(s, s->host.files[i].path))
			s->files[s->box.n_files++] = s->host.files[i];
	return 0;
}

int sandbox_spec_open(struct sandbox_spec *s, const struct sandbox_options *o, bool make,
		      struct err *e)
{
	*s = (struct sandbox_spec){
		.box = {.name = "sandbox",
			.argv = o->argv,
			.env = o->env,
			.cwd = o->cwd,
			.hostname = o->hostname,
			.uid = (uint32_t)o->uid,
			.gid = (uint32_t)o->gid,
			.net = o->net,
			.loosen = o->loosen,
			.terminal = o->tty,
			.limits = o->limits},
		.mounts = own_calloc(o->n_mounts + 1, sizeof(*s->mounts)),
		.lowers = own_calloc(o->n_mounts + o->n_layers + 1, sizeof(*s->lowers)),
		.files = own_calloc(o->n_files + countof(s->host.files), sizeof(*s->files)),
		.contents = own_calloc(o->n_files, sizeof(*s->contents)),
	};
	s->box.mounts = s->mounts;
	s->box.files = s->files;
	return spec_root(s, o, make, e) || spec_mounts(s, o, make, e) || spec_files(s, o, e) ? -1
											     : 0;
}

void sandbox_spec_close(struct sandbox_spec *s)
{
	for (size_t i = 0; i < s->n_lowers; i++)
		close(s->lowers[i]);
	for (size_t i = 0; i < s->n_keeps; i++)
		keep_close(&s->keeps[i]);
	for (size_t i = 0; i < s->n_contents; i++)
		text_fini(&s->contents[i]);
	hostfiles_fini(&s->host);
	free(s->mounts);
	free(s->lowers);
	free(s->keeps);
	free(s->files);
	free(s->contents);
	*s = (struct sandbox_spec){.n_lowers = 0};
}
