#include "orchestrator/sandbox_spec.h"

#include "base/dir.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define SPEC_FILE_MAX ((size_t)16 << 20)

static int layer_open(const struct sandbox_options *o, const char *name, struct err *e)
{
	if (!strchr(name, '/'))
		return sandbox_layer_named(o, name, e);
	int fd = open(name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? err_sys(e, "%s", name) : fd;
}

static bool spec_keeps(const struct sandbox_spec *s, const char *dir)
{
	struct stat st, other;
	for (size_t i = 0; i < s->n_keeps; i++)
		if (!stat(dir, &st) && !fstat(s->keeps[i].upper_fd, &other) &&
		    st.st_dev == other.st_dev && st.st_ino == other.st_ino)
			return true;
	return false;
}

static int spec_keep(struct sandbox_spec *s, const char *dir, bool make, struct box_mount *m,
		     struct err *e)
{
	if (spec_keeps(s, dir))
		return err_set(e, ERR_USAGE, "--keep %s: it is kept for another mount", dir);
	s->keeps = own_grow(s->keeps, s->n_keeps + 1, sizeof(*s->keeps));
	struct sandbox_keep *k = &s->keeps[s->n_keeps++];
	int rc = make ? sandbox_keep_open(k, dir, m, e) : sandbox_keep_look(k, dir, m, e);
	return rc ? err_add(e, "--keep %s", dir) : 0;
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
	bool counted = o->limits.disk || o->limits.disk_inodes;
	if (host && !o->n_layers && !o->read_only && !o->keep && !counted)
		return 0; /* a skeleton in memory, which may be written */
	struct box_mount *m = spec_mount(s, "/", o->read_only ? BOX_RO : BOX_COW);
	for (size_t i = 0; i < o->n_layers; i++)
		if (spec_lower(s, m, layer_open(o, o->layers[i], e)))
			return err_add(e, "--layer %s", o->layers[i]);
	if (!host && spec_lower(s, m, layer_open(o, o->root, e)))
		return err_add(e, "--root %s", o->root);
	return o->keep ? spec_keep(s, o->keep, make, m, e) : 0;
}

static int spec_mounts(struct sandbox_spec *s, const struct sandbox_options *o, bool make,
		       struct err *e)
{
	for (size_t i = 0; i < o->n_mounts; i++) {
		const struct sandbox_mount *from = &o->mounts[i];
		struct box_mount *m = spec_mount(s, from->path, from->mode);
		m->size = from->size;
		if (from->source && spec_lower(s, m, open(from->source, O_PATH | O_CLOEXEC)))
			return err_sys(e, "%s", from->source);
		if (from->keep && spec_keep(s, from->keep, make, m, e))
			return -1;
	}
	return 0;
}

/* ---- files ---- */

/* What a pipe or a terminal has is gone once it is read: a mere look leaves it. */
static int spec_file(struct sandbox_spec *s, const struct sandbox_file *f, bool make, struct err *e)
{
	bool in = !strcmp(f->source, "-");
	const char *path = in ? "/dev/stdin" : f->source;
	struct stat st;
	struct text *t = &s->contents[s->n_contents++];
	if (in && s->stdin_taken)
		return err_set(e, ERR_USAGE, "standard input is but one file");
	s->stdin_taken |= in;
	if (!make && !stat(path, &st) && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) {
		s->files[s->box.n_files++] = (struct box_file){.path = f->path, .mode = 0644};
		return 0;
	}
	auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
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

int sandbox_spec_read(struct sandbox_spec *s, const struct sandbox_options *o, bool make,
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
	for (size_t i = 0; i < o->n_files; i++) {
		if (files_have(s, o->files[i].path))
			return err_set(e, ERR_USAGE, "--file %s: twice", o->files[i].path);
		if (spec_file(s, &o->files[i], make, e))
			return err_add(e, "--file %s", o->files[i].path);
	}
	return 0;
}

int sandbox_spec_open(struct sandbox_spec *s, const struct sandbox_options *o, bool make,
		      struct err *e)
{
	if (spec_root(s, o, make, e) || spec_mounts(s, o, make, e))
		return -1;
	hostfiles_make(&s->host, &s->box);
	for (size_t i = 0; i < s->host.n; i++)
		if (!files_have(s, s->host.files[i].path))
			s->files[s->box.n_files++] = s->host.files[i];
	return 0;
}

void sandbox_spec_close(struct sandbox_spec *s)
{
	for (size_t i = 0; i < s->n_lowers; i++)
		close(s->lowers[i]);
	for (size_t i = 0; i < s->n_keeps; i++)
		sandbox_keep_close(&s->keeps[i]);
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
