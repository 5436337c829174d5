#include "cache/tree.h"
#include "base/dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>

static int tree_open_short(int root, const char *path, int flags, mode_t mode)
{
	struct open_how how = {
		.flags = (unsigned long long)(unsigned)(flags | O_CLOEXEC),
		.mode = mode,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS |
			   RESOLVE_NO_XDEV,
	};
	return (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
}

#define TREE_PIECE 4000 /* less than PATH_MAX, more than any one name */

static int tree_open_mode(int root, const char *path, int flags, mode_t mode)
{
	auto_fd int at = -1;
	while (strlen(path) > TREE_PIECE) {
		char piece[TREE_PIECE + 1];
		size_t n = TREE_PIECE;
		while (n && path[n] != '/')
			n--;
		if (!n) {
			errno = ENAMETOOLONG;
			return -1;
		}
		memcpy(piece, path, n);
		piece[n] = '\0';
		int next = tree_open_short(at < 0 ? root : at, piece, O_PATH | O_DIRECTORY, 0);
		if (next < 0)
			return -1;
		own_close(&at);
		at = next;
		path += n + 1;
	}
	return tree_open_short(at < 0 ? root : at, path, flags, mode);
}

int tree_open(int root, const char *path, int flags)
{
	return tree_open_mode(root, path, flags, 0);
}

int tree_create(int root, const char *path, mode_t mode)
{
	return tree_open_mode(root, path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode);
}

int tree_open_unseen(int root, const char *path, int flags)
{
	int fd = tree_open(root, path, O_RDONLY | O_NOATIME | flags);
	return fd < 0 && errno == EPERM ? tree_open(root, path, O_RDONLY | flags) : fd;
}

/* The path of n bytes from one of the directories that are open, the nearest above it, or the root.
 */
static int tree_at_open(const struct tree_at *at, const char *path, size_t n)
{
	auto_free char *whole = own_dup_n(path, n);
	int from = at->root;
	size_t skip = 0;
	for (size_t i = 0; i < at->n; i++) {
		size_t m = at->dirs[i].path_n;
		if (m && m < n && m >= skip && path[m] == '/' &&
		    !memcmp(at->dirs[i].path, path, m)) {
			from = at->dirs[i].fd;
			skip = m + 1;
		}
	}
	return tree_open(from, n ? whole + skip : ".", O_PATH | O_DIRECTORY);
}

/* dirs[i] becomes the first. */
static void tree_at_first(struct tree_at *at, size_t i)
{
	__auto_type dir = at->dirs[i];
	memmove(&at->dirs[1], &at->dirs[0], i * sizeof(dir));
	at->dirs[0] = dir;
}

int tree_at(struct tree_at *at, const char *path, const char **name)
{
	const char *slash = strrchr(path, '/');
	size_t n = slash ? (size_t)(slash - path) : 0, i = 0;
	*name = slash ? slash + 1 : path;
	while (i < at->n && (at->dirs[i].path_n != n || memcmp(at->dirs[i].path, path, n)))
		i++;
	if (i == at->n) {
		int fd = tree_at_open(at, path, n);
		if (fd < 0)
			return -1;
		if (at->n < TREE_AT_OPEN) {
			at->n++;
		} else {
			close(at->dirs[--i].fd);
			free(at->dirs[i].path);
		}
		at->dirs[i].fd = fd;
		at->dirs[i].path = own_dup_n(path, n);
		at->dirs[i].path_n = n;
	}
	tree_at_first(at, i);
	return at->dirs[0].fd;
}

void tree_at_fini(struct tree_at *at)
{
	while (at->n) {
		close(at->dirs[--at->n].fd);
		free(at->dirs[at->n].path);
	}
}

/* One name of a directory. A directory takes two places in the order: "name" itself, and "name/"
 * where all that is in it belongs. */
struct tree_name {
	size_t at, n; /* in the frame's names */
	size_t tag;
	bool skip, file;
};
struct tree_place {
	const char *p;
	size_t n, name;
	bool inside;
};

struct tree_frame {
	int fd;    /* -1: closed to save descriptors; opened again as ".." */
	dev_t dev; /* when it was closed */
	ino_t ino;
	struct text bytes;
	struct tree_name *names;
	struct tree_place *places;
	size_t n_names, n_places, next;
	size_t path_n; /* length of this directory's own path with its slash */
	size_t tag;
};

struct tree {
	const struct tree_bounds *bounds;
	struct tree_frame *frames;
	size_t depth, cap;
	struct text path;
	dev_t dev;
	uint64_t seen;
	int opened; /* by the visitor of opened_by, the directory that was visited last */
	const struct tree_name *opened_by;
	char *buffer;
};

#define TREE_BUFFER ((size_t)32 << 10)

/* So many of the deepest directories stay open. */
#define TREE_OPEN 32

static int tree_compare(const void *left, const void *right)
{
	const struct tree_place *a = left, *b = right;
	int c = memcmp(a->p, b->p, a->n < b->n ? a->n : b->n);
	if (c)
		return c;
	if (a->n == b->n)
		return (int)a->inside - (int)b->inside;
	/* The shorter name ends, or goes on with a slash. */
	if (a->n < b->n)
		return a->inside ? '/' - (unsigned char)b->p[a->n] : -1;
	return b->inside ? (unsigned char)a->p[b->n] - '/' : 1;
}

/* linux_dirent64 of getdents64(2). */
struct tree_dirent {
	uint64_t ino;
	int64_t off;
	unsigned short reclen;
	unsigned char type;
	char name[];
};

static bool tree_is_dir(int dirfd, const struct tree_dirent *it)
{
	struct stat st;
	if (it->type != DT_UNKNOWN)
		return it->type == DT_DIR;
	return !fstatat(dirfd, it->name, &st, AT_SYMLINK_NOFOLLOW) && S_ISDIR(st.st_mode);
}

static int tree_add(struct tree *t, struct tree_frame *f, const struct tree_dirent *it, size_t *cap,
		    struct err *e)
{
	size_t n = strlen(it->name);
	if (!strcmp(it->name, ".") || !strcmp(it->name, ".."))
		return 0;
	if (++t->seen > t->bounds->max_entries)
		return err_set(e, ERR_HOSTILE, "more than %llu entries",
			       (unsigned long long)t->bounds->max_entries);
	if (f->n_names + 1 >= *cap) {
		*cap = *cap ? 2 * *cap : 16;
		f->names = own_grow(f->names, *cap, sizeof(*f->names));
		f->places = own_grow(f->places, 2 * *cap, sizeof(*f->places));
	}
	f->places[f->n_places++] = (struct tree_place){.n = n, .name = f->n_names};
	if (tree_is_dir(f->fd, it))
		f->places[f->n_places++] =
			(struct tree_place){.n = n, .name = f->n_names, .inside = true};
	f->names[f->n_names++] =
		(struct tree_name){.at = f->bytes.n, .n = n, .file = it->type == DT_REG};
	text_put(&f->bytes, it->name, n + 1);
	return 0;
}

/* Read the names of f->fd, which stands at its beginning, and bring them into order. */
static int tree_list(struct tree *t, struct tree_frame *f, struct err *e)
{
	size_t cap = 0;
	for (;;) {
		long n = syscall(SYS_getdents64, f->fd, t->buffer, TREE_BUFFER);
		if (n < 0)
			return err_sys(e, "read directory %s",
				       t->path.n ? text_str(&t->path) : ".");
		if (!n)
			break;
		for (long at = 0; at < n;) {
			const struct tree_dirent *it = (const void *)(t->buffer + at);
			if (tree_add(t, f, it, &cap, e))
				return -1;
			at += it->reclen;
		}
	}
	for (size_t i = 0; i < f->n_places; i++)
		f->places[i].p = f->bytes.p + f->names[f->places[i].name].at;
	if (f->n_places > 1)
		qsort(f->places, f->n_places, sizeof(*f->places), tree_compare);
	return 0;
}

static void tree_pop(struct tree *t)
{
	struct tree_frame *f = &t->frames[--t->depth];
	own_close(&f->fd);
	text_fini(&f->bytes);
	free(f->names);
	free(f->places);
}

/* Takes fd. */
static int tree_push(struct tree *t, int fd, size_t tag, struct err *e)
{
	struct stat st;
	if (t->depth == t->cap) {
		t->cap = t->cap ? 2 * t->cap : 16;
		t->frames = own_grow(t->frames, t->cap, sizeof(*t->frames));
	}
	struct tree_frame *f = &t->frames[t->depth++];
	*f = (struct tree_frame){.fd = fd, .tag = tag, .path_n = t->path.n};
	struct tree_frame *far = t->depth > TREE_OPEN ? f - TREE_OPEN : NULL;
	if (far && far->fd >= 0) {
		if (fstat(far->fd, &st))
			return err_sys(e, "stat a directory above %s", text_str(&t->path));
		far->dev = st.st_dev;
		far->ino = st.st_ino;
		own_close(&far->fd);
	}
	if (t->depth == 1) {
		if (fstat(fd, &st))
			return err_sys(e, "stat the tree's root");
		t->dev = st.st_dev;
	}
	return tree_list(t, f, e);
}

static void tree_path(struct tree *t, size_t keep, const char *name)
{
	t->path.n = keep;
	text_add(&t->path, name);
}

/* Back in the directory above: open it again from the one below where its descriptor was given up.
 */
static int tree_up(struct tree *t, struct err *e)
{
	struct tree_frame *below = &t->frames[t->depth - 1];
	struct tree_frame *f = t->depth > 1 ? below - 1 : NULL;
	if (f && f->fd < 0) {
		struct stat st;
		f->fd = openat(below->fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (f->fd < 0 || fstat(f->fd, &st))
			return err_sys(e, "go back up from %s", text_str(&t->path));
		if (st.st_dev != f->dev || st.st_ino != f->ino)
			return err_set(e, ERR_HOSTILE, "%s was moved while it was read",
				       text_str(&t->path));
	}
	tree_pop(t);
	return 0;
}

static int tree_enter(struct tree *t, const struct tree_name *which, const char *name,
		      struct err *e)
{
	struct tree_frame *f = &t->frames[t->depth - 1];
	tree_path(t, f->path_n, name);
	if (t->depth >= t->bounds->max_depth)
		return err_set(e, ERR_HOSTILE, "deeper than %u directories: %.200s…",
			       t->bounds->max_depth, t->path.p);
	int fd = t->opened_by == which ? give_fd(&t->opened) : -1;
	if (fd < 0)
		fd = tree_open_short(f->fd, name, O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0)
		return err_sys(e, "open directory %s", t->path.p);
	text_addc(&t->path, '/');
	return tree_push(t, fd, which->tag, e);
}

#define TREE_FILE (O_NOFOLLOW | O_NONBLOCK | O_NOCTTY)

int tree_item_open(struct tree_item *it)
{
	return it->fd >= 0 ? give_fd(&it->fd) : tree_open_unseen(it->dirfd, it->name, TREE_FILE);
}

static int tree_stat(const struct tree *t, const struct tree_name *name, struct tree_item *it)
{
	if (t->bounds->open && name->file)
		it->fd = tree_open_unseen(it->dirfd, it->name, TREE_FILE);
	return it->fd >= 0 ? fstat(it->fd, &it->st)
			   : fstatat(it->dirfd, it->name, &it->st, AT_SYMLINK_NOFOLLOW);
}

static int tree_visit(struct tree *t, struct tree_name *name, const char *p, tree_fn fn, void *arg,
		      struct err *e)
{
	struct tree_frame *f = &t->frames[t->depth - 1];
	tree_path(t, f->path_n, p);
	own_close(&t->opened);
	struct tree_item it = {
		.fd = -1,
		.opened = -1,
		.path = t->path.p,
		.name = t->path.p + f->path_n,
		.dirfd = f->fd,
		.depth = (unsigned)t->depth,
		.above = f->tag,
		.tag = TREE_ROOT,
	};
	int rc = tree_stat(t, name, &it) ? err_sys(e, "stat %s", t->path.p) : 0;
	it.elsewhere = S_ISDIR(it.st.st_mode) && it.st.st_dev != t->dev;
	if (!rc)
		rc = fn(arg, &it, e);
	own_close(&it.fd);
	t->opened = it.opened;
	t->opened_by = name;
	if (rc)
		return -1;
	name->tag = it.tag;
	name->skip = it.skip || it.elsewhere;
	return 0;
}

int tree_walk(int root, const struct tree_bounds *bounds, tree_fn fn, void *arg, struct err *e)
{
	struct tree t = {.bounds = bounds,
			 .path = TEXT_INIT,
			 .opened = -1,
			 .buffer = own_alloc(TREE_BUFFER)};
	int fd = tree_open_short(root, ".", O_RDONLY | O_DIRECTORY, 0);
	int rc = fd < 0 ? err_sys(e, "open the tree's root") : tree_push(&t, fd, TREE_ROOT, e);
	while (!rc && t.depth) {
		struct tree_frame *f = &t.frames[t.depth - 1];
		if (f->next == f->n_places) {
			rc = tree_up(&t, e);
			continue;
		}
		struct tree_place *place = &f->places[f->next++];
		struct tree_name *name = &f->names[place->name];
		if (!place->inside)
			rc = tree_visit(&t, name, place->p, fn, arg, e);
		else if (!name->skip)
			rc = tree_enter(&t, name, place->p, e);
	}
	while (t.depth)
		tree_pop(&t);
	own_close(&t.opened);
	free(t.buffer);
	free(t.frames);
	text_fini(&t.path);
	return rc;
}
