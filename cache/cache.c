/* Opening a state directory's cache, and repairing what a killed process left in it. */
#include "cache/inner.h"
#include "base/dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

void (*cache_on_step)(const char *step);

int cache_may_write(const struct cache *c, struct err *e)
{
	return c->writable ? 0 : err_set(e, ERR_USAGE, "this cache was opened for reading");
}

bool cache_is_id(const char *s, size_t n)
{
	return n == CACHE_ID - 1 && strspn(s, "0123456789abcdef") >= n;
}

int cache_discard(struct cache *c, int dirfd, const char *name, struct err *e)
{
	char away[64];
	snprintf(away, sizeof(away), "%d.%lu", (int)getpid(), atomic_fetch_add(&c->serial, 1));
	if (renameat(dirfd, name, c->trash_fd, away))
		return errno == ENOENT ? 0 : err_sys(e, "move %s to trash", name);
	return dir_remove(c->trash_fd, away, e);
}

/* What to do about one name of a directory; 0 or -1. */
typedef int (*cache_name_fn)(struct cache *c, const struct cache_known *k, const char *name,
			     struct err *e);

static int cache_each(struct cache *c, const struct cache_known *k, int dirfd, const char *what,
		      cache_name_fn fn, struct err *e)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	if (!d) {
		err_sys(e, "read %s", what);
		own_close(&fd);
		return -1;
	}
	/* The names first: what is removed meanwhile must not disturb the reading. */
	auto_text struct text names = TEXT_INIT;
	for (struct dirent *it; (errno = 0, it = readdir(d));)
		if (strcmp(it->d_name, ".") && strcmp(it->d_name, ".."))
			text_put(&names, it->d_name, strlen(it->d_name) + 1);
	int rc = errno ? err_sys(e, "read %s", what) : 0;
	closedir(d);
	for (size_t at = 0; !rc && at < names.n; at += strlen(names.p + at) + 1)
		rc = fn(c, k, names.p + at, e);
	return rc;
}

static int cache_sweep_tmp(struct cache *c, const struct cache_known *k, const char *name,
			   struct err *e)
{
	(void)k;
	return dir_remove(c->tmp_fd, name, e);
}

static int cache_sweep_trash(struct cache *c, const struct cache_known *k, const char *name,
			     struct err *e)
{
	(void)k;
	return dir_remove(c->trash_fd, name, e);
}

static int cache_by_id(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* "<id>" and "<id>.list"; other names are not ours and stay. k's layers are sorted. */
static int cache_sweep_layer(struct cache *c, const struct cache_known *k, const char *name,
			     struct err *e)
{
	size_t n = strcspn(name, ".");
	if (!cache_is_id(name, n) || (name[n] && strcmp(name + n, ".list")))
		return 0;
	auto_free char *id = own_dup_n(name, n);
	const char *key = id;
	if (k->n_layers && bsearch(&key, k->layers, k->n_layers, sizeof(*k->layers), cache_by_id))
		return 0;
	return cache_discard(c, c->layers_fd, name, e);
}

static int cache_cut_segment(struct cache *c, const char *name, uint64_t committed, struct err *e)
{
	struct stat st;
	auto_fd int fd = dir_open_beneath(c->seg_fd, name, O_RDWR | O_NONBLOCK, 0);
	if (fd < 0 || fstat(fd, &st))
		return err_sys(e, "open segment %s", name);
	if (!S_ISREG(st.st_mode))
		return err_set(e, ERR_CORRUPT, "segment %s is not a regular file", name);
	if ((uint64_t)st.st_size < committed)
		return err_set(e, ERR_CORRUPT, "segment %s has %llu bytes, %llu were committed",
			       name, (unsigned long long)st.st_size, (unsigned long long)committed);
	if ((uint64_t)st.st_size > committed && (ftruncate(fd, (off_t)committed) || fsync(fd)))
		return err_sys(e, "cut segment %s", name);
	return 0;
}

/* "NNNNNN.tar.zst"; other names are not ours and stay. */
static int cache_sweep_segment(struct cache *c, const struct cache_known *k, const char *name,
			       struct err *e)
{
	char again[32];
	unsigned long number = strtoul(name, NULL, 10);
	snprintf(again, sizeof(again), "%06lu.tar.zst", number);
	if (strcmp(again, name))
		return 0;
	for (size_t i = 0; i < k->n_segments; i++)
		if (k->segments[i].number == number)
			return cache_cut_segment(c, name, k->segments[i].bytes, e);
	if (unlinkat(c->seg_fd, name, 0))
		return err_sys(e, "remove segment %s", name);
	return 0;
}

static int cache_check_segments(struct cache *c, const struct cache_known *k, struct err *e)
{
	for (size_t i = 0; i < k->n_segments; i++) {
		char name[32];
		snprintf(name, sizeof(name), "%06u.tar.zst", (unsigned)k->segments[i].number);
		if (k->segments[i].bytes && faccessat(c->seg_fd, name, F_OK, AT_SYMLINK_NOFOLLOW))
			return err_set(e, ERR_CORRUPT,
				       "segment %s is gone, %llu bytes were committed", name,
				       (unsigned long long)k->segments[i].bytes);
		c->segment = k->segments[i].number;
		c->segment_end = k->segments[i].bytes;
	}
	return 0;
}

static int cache_repair(struct cache *c, const struct cache_known *known, struct err *e)
{
	auto_free const char **sorted = own_calloc(known->n_layers, sizeof(*sorted));
	struct cache_known sorted_known = *known, *k = &sorted_known;
	for (size_t i = 0; i < known->n_layers; i++)
		sorted[i] = known->layers[i];
	qsort(sorted, known->n_layers, sizeof(*sorted), cache_by_id);
	k->layers = sorted;
	if (cache_each(c, k, c->seg_fd, "seg", cache_sweep_segment, e) ||
	    cache_check_segments(c, k, e) ||
	    cache_each(c, k, c->layers_fd, "layers", cache_sweep_layer, e) ||
	    cache_each(c, k, c->tmp_fd, "tmp", cache_sweep_tmp, e) ||
	    cache_each(c, k, c->trash_fd, "trash", cache_sweep_trash, e))
		return -1;
	if (fsync(c->seg_fd) || fsync(c->layers_fd))
		return err_sys(e, "sync the repaired directories");
	return 0;
}

/* Boxes run under other ids and reach a layer by descriptor: what leads to it may stay closed, the
 * layer may not. */
static const struct {
	const char *name;
	mode_t mode;
} cache_dirs[] = {{"layers", 0700}, {"seg", 0700}, {"tmp", 0700}, {"trash", 0700}};

static int cache_open_dirs(struct cache *c, int state_dirfd, struct err *e)
{
	int *fds[] = {&c->layers_fd, &c->seg_fd, &c->tmp_fd, &c->trash_fd};
	for (size_t i = 0; i < countof(fds); i++) {
		const char *name = cache_dirs[i].name;
		if (c->writable)
			*fds[i] = dir_make(state_dirfd, name, cache_dirs[i].mode, e);
		else
			*fds[i] = dir_open_beneath(state_dirfd, name, O_RDONLY | O_DIRECTORY, 0);
		if (*fds[i] < 0 && c->writable)
			return err_add(e, "cache");
		if (*fds[i] < 0 && errno != ENOENT)
			return err_sys(e, "open %s", name);
	}
	return 0;
}

struct cache *cache_open(int state_dirfd, const struct cache_known *known, struct err *e)
{
	struct cache *c = own_calloc(1, sizeof(*c));
	c->layers_fd = c->seg_fd = c->tmp_fd = c->trash_fd = -1;
	c->writable = known != NULL;
	if (cache_open_dirs(c, state_dirfd, e) || (known && cache_repair(c, known, e))) {
		cache_close(c);
		return NULL;
	}
	return c;
}

void cache_close(struct cache *c)
{
	if (!c)
		return;
	own_close(&c->layers_fd);
	own_close(&c->seg_fd);
	own_close(&c->tmp_fd);
	own_close(&c->trash_fd);
	free(c);
}
