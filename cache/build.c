#include "cache/build.h"
#include "base/dir.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define BUILD_SHORT 4000 /* less than PATH_MAX */

bool build_modes(int root)
{
	struct stat dir, probe;
	auto_fd int fd = openat(root, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0755);
	return fd >= 0 && !fstat(root, &dir) && !(dir.st_mode & S_ISGID) && !fstat(fd, &probe) &&
	       (probe.st_mode & 07777) == 0755;
}

static int build_init(struct build *b, struct cache *c, struct err *e)
{
	*b = (struct build){.c = c, .root = -1, .at = TREE_AT(-1), .list = {.fd = -1}};
	if (cache_may_write(c, e))
		return -1;
	snprintf(b->name, sizeof(b->name), "%d.%lu", (int)getpid(),
		 atomic_fetch_add(&c->serial, 1));
	return 0;
}

/* The tree of that name is there. */
static int build_open(struct build *b, struct err *e)
{
	struct cache *c = b->c;
	struct stat st;
	auto_free char *list = own_fmt("%s.list", b->name);
	b->root = dir_open_beneath(c->tmp_fd, b->name, O_RDONLY | O_DIRECTORY, 0);
	b->buffer = own_alloc(BUILD_BUFFER);
	b->plain_modes = b->root >= 0 && !fstat(b->root, &st) && (st.st_mode & 07777) == 0755;
	if (b->root < 0 || fchmod(b->root, 0755))
		err_sys(e, "open tmp/%s", b->name);
	else if (hash_open(&b->hash, "SHA256"))
		err_set(e, ERR_SYS, "libcrypto has no SHA-256");
	else if (!list_begin(&b->list, c->tmp_fd, list, e)) {
		b->at.root = b->root;
		return 0;
	}
	build_drop(b);
	return -1;
}

int build_begin(struct build *b, struct cache *c, struct err *e)
{
	if (build_init(b, c, e))
		return -1;
	if (mkdirat(c->tmp_fd, b->name, 0755))
		return err_sys(e, "make tmp/%s", b->name);
	return build_open(b, e);
}

int build_begin_with(struct build *b, struct cache *c, int dirfd, const char *name, int fd,
		     struct err *e)
{
	struct stat was, is;
	if (build_init(b, c, e))
		return -1;
	if (renameat2(dirfd, name, c->tmp_fd, b->name, RENAME_NOREPLACE)) {
		if (errno == EXDEV || errno == EPERM || errno == EACCES || errno == EBUSY)
			return 0;
		return err_sys(e, "move %s to tmp/%s", name, b->name);
	}
	if (build_open(b, e))
		return -1;
	/* Its root's mode says nothing about the umask. */
	b->plain_modes = false;
	if (fstat(fd, &was) || fstat(b->root, &is))
		err_sys(e, "stat tmp/%s", b->name);
	else if (was.st_dev != is.st_dev || was.st_ino != is.st_ino)
		err_set(e, ERR_HOSTILE, "%s was exchanged while it was harvested", name);
	else
		return 1;
	build_drop(b);
	return -1;
}

void build_drop(struct build *b)
{
	struct err ignored = ERR_INIT; /* cache_open sweeps what stays */
	if (b->root >= 0) {
		auto_free char *list = own_fmt("%s.list", b->name);
		unlinkat(b->c->tmp_fd, list, 0);
		(void)!dir_remove(b->c->tmp_fd, b->name, &ignored);
	}
	own_close(&b->root);
	tree_at_fini(&b->at);
	list_fini(&b->list);
	hash_close(&b->hash);
	free(b->buffer);
	b->buffer = NULL;
}

/* The directory path belongs into, and its name there. What leads there is not looked at again
 * where it can be nothing but directories that were made here. */
static int build_at(struct build *b, const char *path, const char **name, struct err *e)
{
	if (b->once && strlen(path) < BUILD_SHORT) {
		*name = path;
		return b->root;
	}
	int dir = tree_at(&b->at, path, name);
	return dir < 0 ? err_sys(e, "open the directory of %s", path) : dir;
}

int build_dir(struct build *b, const char *path, struct err *e)
{
	const char *name;
	int dir = build_at(b, path, &name, e);
	if (dir < 0)
		return -1;
	if (mkdirat(dir, name, 0755))
		return errno == EEXIST && !b->once ? 0 : err_sys(e, "make directory %s", path);
	/* The umask may have taken from it what every box needs. */
	if (!b->plain_modes && fchmodat(dir, name, 0755, 0))
		return err_sys(e, "set the mode of %s", path);
	return 0;
}

int build_dirs(struct build *b, const char *path, struct err *e)
{
	auto_free char *above = own_dup(path);
	for (char *p = strchr(above, '/'); p; p = strchr(p + 1, '/')) {
		*p = '\0';
		if (build_dir(b, above, e))
			return -1;
		*p = '/';
	}
	return build_dir(b, path, e);
}

static int build_new(struct build *b, const char *path, mode_t mode, struct err *e)
{
	int fd = tree_create(b->root, path, mode);
	return fd < 0 ? err_sys(e, "create %s", path) : fd;
}

int build_file(struct build *b, const char *path, struct err *e)
{
	return build_new(b, path, 0600, e);
}

static int build_times(int fd, const struct build_meta *m, struct err *e)
{
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT},
				    {.tv_sec = m->mtime_s, .tv_nsec = m->mtime_ns}};
	return futimens(fd, times) ? err_sys(e, "set the time") : 0;
}

int build_finish(int fd, const struct build_meta *m, struct err *e)
{
	if (fchmod(fd, m->mode))
		return err_sys(e, "set the mode");
	return build_times(fd, m, e);
}

/* What is not hostile may have its mode from the beginning. */
static bool build_has_mode(const struct build *b, const struct build_meta *m)
{
	return b->plain_modes && !(m->mode & ~0755u);
}

int build_bytes(struct build *b, const char *path, const void *bytes, size_t n,
		const struct build_meta *m, struct err *e)
{
	bool has_mode = build_has_mode(b, m);
	auto_fd int fd = build_new(b, path, has_mode ? m->mode : 0600, e);
	if (fd < 0)
		return -1;
	if (dir_write_all(fd, bytes, n))
		return err_sys(e, "write %s", path);
	return has_mode ? build_times(fd, m, e) : build_finish(fd, m, e);
}

int build_copy(struct build *b, const char *path, int src_fd, uint64_t max,
	       const struct build_meta *m, uint64_t *size, char id[CACHE_ID], struct err *e)
{
	bool has_mode = build_has_mode(b, m);
	auto_fd int fd = build_new(b, path, has_mode ? m->mode : 0600, e);
	if (fd < 0)
		return -1;
	*size = 0;
	for (;;) {
		ssize_t n = read(src_fd, b->buffer, BUILD_BUFFER);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(e, "read %s", path);
		if (!n)
			break;
		*size += (uint64_t)n;
		if (*size > max)
			return err_set(e, ERR_LIMIT, "%s: more than %llu bytes", path,
				       (unsigned long long)max);
		if (id)
			hash_add(&b->hash, b->buffer, (size_t)n);
		if (dir_write_all(fd, b->buffer, (size_t)n))
			return err_sys(e, "write %s", path);
		/* All that was expected, and nothing came of what was asked beyond it. */
		if (*size == max && (size_t)n < BUILD_BUFFER)
			break;
	}
	if (id)
		hash_id(&b->hash, id);
	return has_mode ? build_times(fd, m, e) : build_finish(fd, m, e);
}

int build_link(struct build *b, const char *path, int dirfd, const char *name,
	       const struct stat *st, unsigned mode, struct err *e)
{
	const char *mine;
	struct stat now;
	int dir = build_at(b, path, &mine, e);
	if (dir < 0)
		return -1;
	if (linkat(dirfd, name, dir, mine, 0)) {
		/* Another file system, too many links, not ours to link: a copy does. */
		if (errno == EXDEV || errno == EMLINK || errno == EPERM || errno == EACCES)
			return 0;
		return err_sys(e, "link %s", path);
	}
	if (fstatat(dir, mine, &now, AT_SYMLINK_NOFOLLOW))
		return err_sys(e, "stat %s", path);
	if (now.st_dev != st->st_dev || now.st_ino != st->st_ino || now.st_size != st->st_size ||
	    !S_ISREG(now.st_mode))
		return err_set(e, ERR_HOSTILE, "%s was exchanged while it was harvested", path);
	if ((now.st_mode & 07777) != mode && fchmodat(dir, mine, mode, 0))
		return err_sys(e, "set the mode of %s", path);
	return 1;
}

int build_mode(struct build *b, const char *path, unsigned mode, struct err *e)
{
	const char *name;
	int dir = build_at(b, path, &name, e);
	if (dir < 0)
		return -1;
	return fchmodat(dir, name, mode, 0) ? err_sys(e, "set the mode of %s", path) : 0;
}

int build_remove(struct build *b, const char *path, bool dir, struct err *e)
{
	const char *name;
	int at = build_at(b, path, &name, e);
	if (at < 0)
		return -1;
	return unlinkat(at, name, dir ? AT_REMOVEDIR : 0) ? err_sys(e, "remove %s", path) : 0;
}

int build_symlink(struct build *b, const char *path, const char *target, const struct build_meta *m,
		  struct err *e)
{
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT},
				    {.tv_sec = m->mtime_s, .tv_nsec = m->mtime_ns}};
	const char *name;
	int dir = build_at(b, path, &name, e);
	if (dir < 0)
		return -1;
	if (symlinkat(target, dir, name) || utimensat(dir, name, times, AT_SYMLINK_NOFOLLOW))
		return err_sys(e, "make link %s", path);
	return 0;
}

int build_whiteout(struct build *b, const char *path, struct err *e)
{
	const char *name;
	int dir = build_at(b, path, &name, e);
	if (dir < 0)
		return -1;
	if (mknodat(dir, name, S_IFCHR, 0))
		return err_sys(
			e,
			"hide %s: the state directory's file system takes no whiteouts, so that "
			"its stores can't have deletions: apply",
			path);
	return 0;
}

int build_name(struct build *b, struct cache_layer *out, struct err *e)
{
	return list_end(&b->list, out, e);
}

/* The list goes first: a layer without one is never seen, a list without a layer is nobody's and
 * swept. */
static int build_name_list(struct build *b, const struct cache_layer *out, struct err *e)
{
	char list[CACHE_ID + 8];
	auto_free char *tmp_list = own_fmt("%s.list", b->name);
	snprintf(list, sizeof(list), "%s.list", out->id);
	/* One call for all of it: an fsync per file costs a journal commit each. */
	if (syncfs(b->root))
		return err_sys(e, "sync layer %s", out->id);
	cache_step("layer synced");
	if (renameat(b->c->tmp_fd, tmp_list, b->c->layers_fd, list))
		return err_sys(e, "name the list of layer %s", out->id);
	cache_step("list named");
	return 0;
}

int build_settle(struct build *b, struct cache_layer *out, struct err *e)
{
	struct cache *c = b->c;
	cache_step("layer built");
	if (!faccessat(c->layers_fd, out->id, F_OK, AT_SYMLINK_NOFOLLOW)) {
		out->existed = true;
		return fsync(c->layers_fd) ? err_sys(e, "sync layers") : 0;
	}
	if (build_name_list(b, out, e))
		return -1;
	if (renameat2(c->tmp_fd, b->name, c->layers_fd, out->id, RENAME_NOREPLACE)) {
		if (errno != EEXIST)
			return err_sys(e, "name layer %s", out->id);
		out->existed = true;
	} else {
		own_close(&b->root);
	}
	cache_step("layer named");
	if (fsync(c->layers_fd))
		return err_sys(e, "sync layers");
	cache_step("layer durable");
	return 0;
}

int build_replace(struct build *b, struct cache_layer *out, struct err *e)
{
	struct cache *c = b->c;
	if (build_name_list(b, out, e))
		return -1;
	/* What was there takes our name below tmp/ and goes with it. */
	if (!renameat2(c->tmp_fd, b->name, c->layers_fd, out->id, RENAME_EXCHANGE))
		out->existed = true;
	else if (errno != ENOENT ||
		 renameat2(c->tmp_fd, b->name, c->layers_fd, out->id, RENAME_NOREPLACE))
		return err_sys(e, "name layer %s", out->id);
	cache_step("layer replaced");
	if (fsync(c->layers_fd))
		return err_sys(e, "sync layers");
	return 0;
}
