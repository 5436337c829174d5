/* A cache in a directory of its own, and trees to put into it. For the programs test_cache_*.c. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/dir.h"
#include "cache/inner.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

struct fixture {
	char path[64];
	int fd;    /* of path */
	int state; /* path/state */
	int work;  /* path/work: sources, uppers, archives */
	struct cache *c;
};

#define OK(call)                                                                                   \
	do {                                                                                       \
		if (call)                                                                          \
			fail_msg("%s: %s", #call, e.text);                                         \
	} while (0)

static inline int fixture_setup(void **state)
{
	struct err e = ERR_INIT;
	struct fixture *f = own_calloc(1, sizeof(*f));
	const char *tmp = getenv("TMPDIR");
	static const struct cache_known nothing = {0};
	umask(022);
	snprintf(f->path, sizeof(f->path), "%.40s/assay-cache-XXXXXX", tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(f->path));
	f->fd = open(f->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	f->state = dir_make(f->fd, "state", 0700, &e);
	f->work = dir_make(f->fd, "work", 0700, &e);
	assert_true(f->fd >= 0 && f->state >= 0 && f->work >= 0);
	f->c = cache_open(f->state, &nothing, &e);
	if (!f->c)
		fail_msg("%s", e.text);
	*state = f;
	return 0;
}

static inline int fixture_teardown(void **state)
{
	struct err e = ERR_INIT;
	struct fixture *f = *state;
	cache_on_step = NULL;
	cache_close(f->c);
	close(f->state);
	close(f->work);
	close(f->fd);
	int root = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir_remove(root, f->path + 1, &e))
		print_message("%s\n", e.text);
	close(root);
	free(f);
	return 0;
}

/* Close and open again with what "the database" knows. NULL and e where that is refused. */
static inline struct cache *fixture_reopen(struct fixture *f, const struct cache_known *k,
					   struct err *e)
{
	cache_close(f->c);
	f->c = cache_open(f->state, k, e);
	return f->c;
}

/* A directory below at, with everything above it. */
static inline int sub(int at, const char *rel)
{
	struct err e = ERR_INIT;
	int fd = dir_make(at, rel, 0755, &e);
	if (fd < 0)
		fail_msg("%s", e.text);
	return fd;
}

/* A file of n bytes below at, its directories made, time 1600000000.123456789. */
static inline void put_bytes(int at, const char *rel, const void *bytes, size_t n, mode_t mode)
{
	const char *slash = strrchr(rel, '/');
	auto_free char *above = slash ? own_dup_n(rel, (size_t)(slash - rel)) : own_dup(".");
	auto_fd int dir = sub(at, above);
	const struct timespec t[2] = {{.tv_sec = 1600000000, .tv_nsec = 123456789},
				      {.tv_sec = 1600000000, .tv_nsec = 123456789}};
	/* Never into the file itself: a layer may have it by link(2), as it may have an upper's. */
	unlinkat(dir, slash ? slash + 1 : rel, 0);
	auto_fd int fd = openat(dir, slash ? slash + 1 : rel,
				O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(dir_write_all(fd, bytes, n), 0);
	assert_int_equal(fchmod(fd, mode), 0);
	assert_int_equal(futimens(fd, t), 0);
}

static inline void put(int at, const char *rel, const char *content)
{
	put_bytes(at, rel, content, strlen(content), 0644);
}

/* The file's content, NUL-terminated; the caller frees it. NULL where there is none. */
static inline char *get(int at, const char *rel)
{
	struct err e = ERR_INIT;
	auto_text struct text t = TEXT_INIT;
	if (dir_read_whole(at, rel, 1 << 28, &t, &e))
		return NULL;
	return text_take(&t);
}

static inline void expect(int at, const char *rel, const char *content)
{
	auto_free char *is = get(at, rel);
	if (!is)
		fail_msg("%s is not there", rel);
	assert_string_equal(is, content);
}

static inline bool there(int at, const char *rel)
{
	struct stat st;
	return !fstatat(at, rel, &st, AT_SYMLINK_NOFOLLOW);
}

static inline size_t count_names(int at, const char *rel)
{
	size_t n = 0;
	int fd = openat(at, rel, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	assert_non_null(d);
	for (struct dirent *it; (it = readdir(d));)
		n += strcmp(it->d_name, ".") && strcmp(it->d_name, "..");
	closedir(d);
	return n;
}

/* Nothing is left but what was committed. */
static inline void expect_clean(struct fixture *f, size_t layers)
{
	assert_int_equal(count_names(f->state, "tmp"), 0);
	assert_int_equal(count_names(f->state, "trash"), 0);
	assert_int_equal(count_names(f->state, "layers"), 2 * layers);
}

static inline char *at_work(struct fixture *f, const char *rel)
{
	return own_fmt("%s/work/%s", f->path, rel);
}
