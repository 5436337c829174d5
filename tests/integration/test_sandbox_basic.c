/* Boxes that do what they should: roots, layers, uppers, files, output, exit statuses. */
#include "test_sandbox.h"

static void a_command_runs_and_its_output_comes(void **state)
{
	(void)state;
	try_script("echo out; echo err >&2; pwd; id -u", 0, "out\nerr\n/\n0\n");
}

static void what_a_box_writes_is_in_its_upper_and_the_next_sees_it_below(void **state)
{
	struct try t;
	(void)state;
	try_write("chain/tool/opt/tool/version", "1\n");
	try_init(&t, "cat /opt/tool/version; echo two >/opt/tool/version; mkdir -p /build/a; echo "
		     "deep >/build/a/b; rm -r /srv");
	try_upper(try_lower(&t, try_mount(&t, "/", BOX_COW), "chain/tool"), "chain/1");
	try_run(&t);
	try_expect(&t, 0, "1\n");
	try_fini(&t);
	assert_true(try_exists("chain/1/u/build/a/b"));
	try_init(&t, "cat /opt/tool/version /build/a/b; ls -d /srv 2>/dev/null; rm -r /build; ls "
		     "/build 2>/dev/null");
	struct box_mount *root = try_mount(&t, "/", BOX_COW);
	try_upper(try_lower(&t, try_lower(&t, root, "chain/1/u"), "chain/tool"), "chain/2");
	try_run(&t);
	try_expect(&t, 2, "two\ndeep\n");
	try_fini(&t);
	/* Untouched: the first upper, the layer. */
	assert_true(try_exists("chain/1/u/build/a/b"));
	struct stat st;
	assert_int_equal(fstatat(try_dir_fd, "chain/2/u/build", &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_true(S_ISCHR(st.st_mode));
}

static void what_a_box_leaves_belongs_to_who_started_it(void **state)
{
	struct try t;
	struct stat st;
	(void)state;
	try_init(&t, "echo x >/file; stat -c %u /file");
	try_upper(try_mount(&t, "/", BOX_COW), "owner");
	try_run(&t);
	try_expect(&t, 0, "0\n");
	try_fini(&t);
	assert_int_equal(fstatat(try_dir_fd, "owner/u/file", &st, 0), 0);
	assert_int_equal(st.st_uid, geteuid());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_command_runs_and_its_output_comes),
		cmocka_unit_test(what_a_box_writes_is_in_its_upper_and_the_next_sees_it_below),
		cmocka_unit_test(what_a_box_leaves_belongs_to_who_started_it),
	};
	return cmocka_run_group_tests_name("sandbox: basic", tests, try_setup, try_teardown);
}
