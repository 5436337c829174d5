/* The text of a plan, from the one that writes it to the one that reads it; and torn, as only a
 * broken caller would send it. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include "sandbox/box/spec.h"
#include "sandbox/pack.h"

/* The reader is the helper's, which is a program of its own. */
#include "sandbox/box/spec.c"

#include <string.h>

static int lowers[] = {10, 11}, one[] = {12};
static char sh[] = "sh", c[] = "-c", yes[] = "true", path[] = "PATH=/bin", home[] = "HOME=/home/x";
static char *argv[] = {sh, c, yes, NULL}, *env[] = {path, home, NULL};
static struct sock_filter code[] = {{.code = 6, .k = 1}, {.code = 6, .k = 2}};
static const struct filter filter = {.code = code, .n = 2};

static const struct box_mount mounts[] = {
	{.path = "/z", .mode = BOX_RO, .lowers = one, .n_lowers = 1, .upper_fd = -1, .work_fd = -1},
	{.path = "/",
	 .mode = BOX_COW,
	 .lowers = lowers,
	 .n_lowers = 2,
	 .upper_fd = 13,
	 .work_fd = 14,
	 .ours = true},
	{.path = "/t", .mode = BOX_TMPFS, .size = 4096, .upper_fd = -1, .work_fd = -1},
};
static const struct box_file files[] = {{"/etc/hosts", "a\0b", 3, 0640}};

static struct box_spec example(void)
{
	return (struct box_spec){
		.name = "n",
		.root_host = true,
		.mounts = mounts,
		.n_mounts = 3,
		.files = files,
		.n_files = 1,
		.argv = argv,
		.env = env,
		.cwd = "/build",
		.hostname = "h",
		.limits = {.open_files = 7, .file_size = 8, .memory = 9},
	};
}

static void what_is_packed_is_what_is_read(void **state)
{
	struct box_spec spec = example();
	struct err e = ERR_INIT;
	struct pack p;
	struct spec s;
	(void)state;
	assert_int_equal(pack_check(&spec, &e), 0);
	assert_int_equal(pack_make(&p, &spec, &filter, 99, true, &e), 0);
	assert_int_equal(p.n_fds, 5);
	assert_int_equal(spec_read(&s, p.text_fd, p.bytes, (uint32_t)p.n_fds, &e), 0);
	assert_int_equal(s.flags, PLAN_ROOT_HOST | PLAN_VERBOSE);
	assert_string_equal(s.cwd, "/build");
	assert_string_equal(s.home, "/home/x");
	assert_int_equal(s.open_files, 7);
	assert_int_equal(s.processes, 99);
	assert_int_equal(s.tmpfs, 9);
	assert_int_equal(s.n_mounts, 3);
	/* by path */
	assert_string_equal(s.mounts[0].path, "/");
	assert_true(s.mounts[0].ours);
	assert_int_equal(p.fds[s.mounts[0].first], 10);
	assert_int_equal(p.fds[s.mounts[0].first + 1], 11);
	assert_int_equal(p.fds[s.mounts[0].upper], 13);
	assert_int_equal(p.fds[s.mounts[0].work], 14);
	assert_string_equal(s.mounts[1].path, "/t");
	assert_int_equal(s.mounts[1].size, 4096);
	assert_string_equal(s.mounts[2].path, "/z");
	assert_int_equal(s.mounts[2].upper, PLAN_NO_FD);
	assert_int_equal(p.fds[s.mounts[2].first], 12);
	assert_int_equal(s.files[0].n, 3);
	assert_memory_equal(s.files[0].bytes, "a\0b", 3);
	assert_int_equal(s.files[0].mode, 0640);
	assert_string_equal(s.argv[2], "true");
	assert_null(s.argv[3]);
	assert_string_equal(s.env[1], "HOME=/home/x");
	assert_int_equal(s.n_filter, 2);
	assert_int_equal(s.filter[1].k, 2);
	spec_fini(&s);
	pack_fini(&p);
}

static void a_torn_plan_is_refused_wherever_it_is_torn(void **state)
{
	struct box_spec spec = example();
	struct err e = ERR_INIT;
	struct pack p;
	struct spec s;
	(void)state;
	assert_int_equal(pack_make(&p, &spec, &filter, 0, false, &e), 0);
	for (uint64_t n = 0; n < p.bytes; n++) {
		assert_int_equal(spec_read(&s, p.text_fd, n, (uint32_t)p.n_fds, &e), -1);
		spec_fini(&s);
	}
	/* longer than the text; descriptors that did not come */
	assert_int_equal(spec_read(&s, p.text_fd, p.bytes + 1, (uint32_t)p.n_fds, &e), -1);
	spec_fini(&s);
	assert_int_equal(spec_read(&s, p.text_fd, p.bytes, 4, &e), -1);
	spec_fini(&s);
	pack_fini(&p);
}

static void a_description_that_makes_no_sense_is_refused(void **state)
{
	(void)state;
	static const char *const names[] = {
		"", ".hidden", "a/b", "a b",
		"0123456789012345678901234567890123456789012345678901234567890123456789"};
	for (size_t i = 0; i < countof(names); i++) {
		struct box_spec spec = example();
		struct err e = ERR_INIT;
		spec.name = names[i];
		assert_int_equal(pack_check(&spec, &e), -1);
		assert_int_equal(e.kind, ERR_USAGE);
	}
	struct box_mount bad[] = {
		{.path = "/a", .mode = BOX_RO, .upper_fd = -1, .work_fd = -1},
		{.path = "/a",
		 .mode = BOX_RW,
		 .lowers = lowers,
		 .n_lowers = 2,
		 .upper_fd = -1,
		 .work_fd = -1},
		{.path = "/a",
		 .mode = BOX_TMPFS,
		 .lowers = one,
		 .n_lowers = 1,
		 .upper_fd = -1,
		 .work_fd = -1},
		{.path = "/a", .mode = BOX_COW, .upper_fd = 3, .work_fd = -1},
		{.path = "/",
		 .mode = BOX_RW,
		 .lowers = one,
		 .n_lowers = 1,
		 .upper_fd = -1,
		 .work_fd = -1},
		{.path = "/dev", .mode = BOX_TMPFS, .upper_fd = -1, .work_fd = -1},
	};
	for (size_t i = 0; i < countof(bad); i++) {
		struct box_spec spec = example();
		struct err e = ERR_INIT;
		spec.mounts = &bad[i];
		spec.n_mounts = 1;
		assert_int_equal(pack_check(&spec, &e), -1);
		assert_non_null(strstr(e.text, bad[i].path));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_packed_is_what_is_read),
		cmocka_unit_test(a_torn_plan_is_refused_wherever_it_is_torn),
		cmocka_unit_test(a_description_that_makes_no_sense_is_refused),
	};
	return cmocka_run_group_tests_name("sandbox: plan", tests, NULL, NULL);
}
