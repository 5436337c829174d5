/* cache/frozen.c: a tree is the same, or it is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/dir.h"
#include "cache/cache.h"

#include <fcntl.h>
#include <string.h>
#include <sys/xattr.h>

struct place {
	char *path;
	int fd;
	bool attributes; /* the file system takes them */
};

static int must_dir(int at, const char *name)
{
	assert_int_equal(mkdirat(at, name, 0755), 0);
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static void file(int at, const char *name, const char *bytes)
{
	struct timespec times[2] = {{.tv_sec = 1000}, {.tv_sec = 1000, .tv_nsec = 7}};
	auto_fd int fd = openat(at, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(dir_write_all(fd, bytes, strlen(bytes)), 0);
	assert_int_equal(futimens(fd, times), 0);
}

static int set_up(void **state)
{
	struct place *p = own_calloc(1, sizeof(*p));
	const char *tmp = getenv("TMPDIR");
	p->path = own_fmt("%s/assay-frozen-XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(p->path))
		return -1;
	p->fd = open(p->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	auto_fd int slot = must_dir(p->fd, "0");
	auto_fd int deep = must_dir(slot, "deep");
	file(slot, "a", "one");
	file(slot, "a-b", "two");
	file(deep, "c", "three");
	assert_int_equal(symlinkat("a", slot, "link"), 0);
	assert_int_equal(mkfifoat(slot, "pipe", 0600), 0);
	p->attributes = !fsetxattr(deep, "user.overlay.opaque", "y", 1, 0);
	*state = p;
	return 0;
}

static int tear_down(void **state)
{
	struct place *p = *state;
	struct err e = ERR_INIT;
	close(p->fd);
	auto_fd int root = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir_remove(root, p->path + 1, &e))
		fail_msg("%s", e.text);
	free(p->path);
	free(p);
	return 0;
}

static struct cache_frozen look(const struct place *p)
{
	struct cache_frozen is;
	struct err e = ERR_INIT;
	if (cache_frozen(p->fd, &is, &e))
		fail_msg("%s", e.text);
	return is;
}

static int at(const struct place *p, const char *rel)
{
	int fd = openat(p->fd, rel, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static void the_same_tree_is_the_same(void **state)
{
	struct cache_frozen a = look(*state), b = look(*state);
	assert_string_equal(a.digest, b.digest);
	assert_int_equal(strlen(a.digest), 64);
	assert_int_equal(a.entries, 7);
	assert_true(a.bytes > 0);
}

static void change_byte(const struct place *p)
{
	auto_fd int slot = at(p, "0");
	file(slot, "a", "onf");
}

static void change_mode(const struct place *p)
{
	assert_int_equal(fchmodat(p->fd, "0/a", 04755, 0), 0);
}

static void change_time(const struct place *p)
{
	auto_fd int fd = at(p, "0/a");
	struct timespec times[2] = {{.tv_sec = 1000}, {.tv_sec = 1000, .tv_nsec = 8}};
	assert_int_equal(futimens(fd, times), 0);
}

static void add_file(const struct place *p)
{
	auto_fd int slot = at(p, "0/deep");
	file(slot, "d", "");
}

static void remove_file(const struct place *p)
{
	assert_int_equal(unlinkat(p->fd, "0/deep/c", 0), 0);
}

static void change_name(const struct place *p)
{
	assert_int_equal(renameat(p->fd, "0/a-b", p->fd, "0/a-c"), 0);
}

static void change_link(const struct place *p)
{
	assert_int_equal(unlinkat(p->fd, "0/link", 0), 0);
	assert_int_equal(symlinkat("b", p->fd, "0/link"), 0);
}

static void change_type(const struct place *p)
{
	assert_int_equal(unlinkat(p->fd, "0/pipe", 0), 0);
	auto_fd int slot = at(p, "0");
	file(slot, "pipe", "");
}

static void change_dir_mode(const struct place *p)
{
	assert_int_equal(fchmodat(p->fd, "0/deep", 0700, 0), 0);
}

static void change_attribute(const struct place *p)
{
	auto_fd int fd = at(p, "0/deep");
	if (fsetxattr(fd, "user.overlay.opaque", "n", 1, 0))
		change_byte(p); /* it takes none */
}

static void add_attribute(const struct place *p)
{
	auto_fd int fd = at(p, "0/a");
	if (fsetxattr(fd, "user.overlay.whiteout", "", 0, 0))
		change_byte(p);
}

static void no_change_goes_unseen(void **state)
{
	static void (*const changes[])(
		const struct place *p) = {change_byte,      change_mode,  change_time,
					  add_file,         remove_file,  change_name,
					  change_link,      change_type,  change_dir_mode,
					  change_attribute, add_attribute};
	(void)state;
	for (size_t i = 0; i < countof(changes); i++) {
		void *place;
		assert_int_equal(set_up(&place), 0);
		struct cache_frozen was = look(place);
		changes[i](place);
		struct cache_frozen is = look(place);
		if (!strcmp(was.digest, is.digest))
			fail_msg("change %zu was not seen", i);
		tear_down(&place);
	}
}

static void what_may_not_be_read_is_told(void **state)
{
	struct place *p = *state;
	struct cache_frozen is;
	struct err e = ERR_INIT;
	if (!geteuid())
		skip();
	assert_int_equal(fchmodat(p->fd, "0/a", 0, 0), 0);
	assert_int_equal(cache_frozen(p->fd, &is, &e), -1);
	assert_non_null(strstr(e.text, "0/a"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_same_tree_is_the_same, set_up, tear_down),
		cmocka_unit_test(no_change_goes_unseen),
		cmocka_unit_test_setup_teardown(what_may_not_be_read_is_told, set_up, tear_down),
	};
	return cmocka_run_group_tests_name("cache_frozen", tests, NULL, NULL);
}
