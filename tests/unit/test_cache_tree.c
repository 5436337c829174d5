/* cache/tree.c: what is opened and made beneath a directory stays there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/dir.h"
#include "cache/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

struct place {
	char *path;
	int fd, inside; /* inside: the directory "in" of it */
};

static int must_dir(int at, const char *name)
{
	assert_int_equal(mkdirat(at, name, 0755), 0);
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static int set_up(void **state)
{
	struct place *p = own_calloc(1, sizeof(*p));
	const char *tmp = getenv("TMPDIR");
	p->path = own_fmt("%s/assay-tree-XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(p->path))
		return -1;
	p->fd = open(p->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	close(must_dir(p->fd, "out"));
	p->inside = must_dir(p->fd, "in");
	close(must_dir(p->inside, "deep"));
	assert_int_equal(symlinkat("../out", p->inside, "away"), 0);
	assert_int_equal(symlinkat("deep", p->inside, "near"), 0);
	assert_int_equal(symlinkat("../out/new", p->inside, "dangling"), 0);
	*state = p;
	return 0;
}

static int tear_down(void **state)
{
	struct place *p = *state;
	struct err e = ERR_INIT;
	close(p->inside);
	close(p->fd);
	auto_fd int root = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir_remove(root, p->path + 1, &e))
		fail_msg("%s", e.text);
	free(p->path);
	free(p);
	return 0;
}

static void a_new_file_has_its_mode_and_is_written(void **state)
{
	struct place *p = *state;
	struct stat st;
	mode_t was = umask(0);
	auto_fd int fd = tree_create(p->inside, "deep/new", 0751);
	umask(was);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "x", 1), 1);
	assert_int_equal(fstatat(p->inside, "deep/new", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0751);
	assert_int_equal(st.st_size, 1);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
}

static void nothing_is_made_elsewhere(void **state)
{
	static const struct {
		const char *path;
		int error;
	} ways[] = {
		{"away/new", ELOOP},     {"near/new", ELOOP},    {"../out/new", EXDEV},
		{"deep/../../x", EXDEV}, {"/assay-none", EXDEV}, {"none/new", ENOENT},
		{"dangling", EEXIST},    {"deep", EEXIST},
	};
	struct place *p = *state;
	for (size_t i = 0; i < countof(ways); i++) {
		errno = 0;
		assert_int_equal(tree_create(p->inside, ways[i].path, 0644), -1);
		assert_int_equal(errno, ways[i].error);
	}
	/* Both are as empty as they were. */
	assert_int_equal(unlinkat(p->fd, "out", AT_REMOVEDIR), 0);
	assert_int_equal(unlinkat(p->inside, "deep", AT_REMOVEDIR), 0);
}

static void a_path_longer_than_the_kernel_takes_is_made_and_opened(void **state)
{
	enum { NAME = 200, DEEP = 30 };
	struct place *p = *state;
	char name[NAME + 1];
	auto_text struct text path = TEXT_INIT;
	memset(name, 'n', NAME);
	name[NAME] = '\0';
	int at = dup(p->inside);
	for (int i = 0; i < DEEP; i++) {
		int next = must_dir(at, name);
		close(at);
		at = next;
		text_addf(&path, "%s/", name);
	}
	text_add(&path, "new");
	auto_fd int fd = tree_create(p->inside, text_str(&path), 0644);
	assert_true(fd >= 0);
	assert_int_equal(faccessat(at, "new", R_OK, 0), 0);
	close(at);
	auto_fd int again = tree_open(p->inside, text_str(&path), O_RDONLY);
	assert_true(again >= 0);
	assert_int_equal(tree_create(p->inside, text_str(&path), 0644), -1);
	assert_int_equal(errno, EEXIST);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_new_file_has_its_mode_and_is_written, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(nothing_is_made_elsewhere, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_path_longer_than_the_kernel_takes_is_made_and_opened, set_up, tear_down),
	};
	return cmocka_run_group_tests_name("cache_tree", tests, NULL, NULL);
}
