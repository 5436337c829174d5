/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include "base/mountinfo.h"
#include "base/own.h"
#include "base/text.h"

static void a_line_is_taken_apart(void **state)
{
	(void)state;
	char line[] = "36 35 98:0 /a\\040b /mnt\\011\\134x rw,noatime master:1 shared:7 - ext3 "
		      "/dev/root rw,errors=continue\n";
	struct mountinfo m;
	assert_true(mountinfo_parse(line, &m));
	assert_int_equal(m.id, 36);
	assert_int_equal(m.parent, 35);
	assert_string_equal(m.device, "98:0");
	assert_string_equal(m.root, "/a b");
	assert_string_equal(m.point, "/mnt\t\\x");
	assert_string_equal(m.type, "ext3");
	assert_string_equal(m.source, "/dev/root");
	assert_string_equal(m.super, "rw,errors=continue");
}

static void what_only_looks_escaped_stays(void **state)
{
	(void)state;
	char line[] = "1 0 0:1 / /a\\4\\888\\04 rw - tmpfs tmpfs rw";
	struct mountinfo m;
	assert_true(mountinfo_parse(line, &m));
	assert_string_equal(m.point, "/a\\4\\888\\04");
}

static void other_lines_are_refused(void **state)
{
	static const char *const others[] = {
		"",
		"\n",
		"1 0 0:1 / /a rw",
		"1 0 0:1 / /a rw - tmpfs tmpfs",
		"1 0 0:1 / /a rw -",
		"x 0 0:1 / /a rw - tmpfs tmpfs rw",
		"1 -1 0:1 / /a rw - tmpfs tmpfs rw",
		"1 99999999999 0:1 / /a rw - tmpfs tmpfs rw",
	};
	(void)state;
	for (size_t i = 0; i < countof(others); i++) {
		auto_free char *line = own_dup(others[i]);
		struct mountinfo m;
		assert_false(mountinfo_parse(line, &m));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_is_taken_apart),
		cmocka_unit_test(what_only_looks_escaped_stays),
		cmocka_unit_test(other_lines_are_refused),
	};
	return cmocka_run_group_tests_name("base: mountinfo", tests, NULL, NULL);
}
