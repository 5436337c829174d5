/* The report for programs, of names and logs that do their worst to spoil it. */
#include "report_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static void csv_is_one_row_a_package_whatever_its_name(void **state)
{
	struct made *m = *state;
	auto_text struct text csv = TEXT_INIT;
	static const struct wanted w[] = {
		{"=cmd()|x",
		 {"pass", "ok", "test", NULL, 0, 0, -1, 0},
		 {"fail", "exit", "test", "a,\"b\"", 1, 0, 0, 5}},
		{"plain",
		 {"pass", "ok", "test", NULL, 0, 0, -1, 0},
		 {"pass", "ok", "test", NULL, 0, 0, -1, 0}},
	};
	run_add(m, w, countof(w), false, "done");
	struct report *r = loaded(m);
	report_csv(r, &csv);
	size_t lines = times(csv.p, "\n");
	assert_int_equal(lines, 3);
	assert_non_null(strstr(csv.p, "\n'=cmd()|x,"));
	assert_non_null(strstr(csv.p, ",\"a,\"\"b\"\"\"\n"));
	assert_non_null(strstr(csv.p, ",regressed,single,,,,pass,ok,test,"));
	loaded_free(r);
}

static void junit_fails_where_something_is_news(void **state)
{
	struct made *m = *state;
	auto_text struct text xml = TEXT_INIT;
	run_add(m, made_hostile, MADE_HOSTILE, false, "done");
	struct report *r = loaded(m);
	report_junit(r, &xml);
	assert_non_null(strstr(xml.p, "tests=\"6\" failures=\"2\" errors=\"1\" skipped=\"0\""));
	assert_non_null(strstr(xml.p, "<property name=\"validity\" value=\"degraded\"/>"));
	assert_int_equal(times(xml.p, "<failure "), 2);
	assert_int_equal(times(xml.p, "<testcase "), 6);
	assert_null(strpbrk(xml.p, "\033\007"));
	assert_null(strstr(xml.p, "<script"));
	loaded_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(csv_is_one_row_a_package_whatever_its_name,
						made_setup, made_teardown),
		cmocka_unit_test_setup_teardown(junit_fails_where_something_is_news, made_setup,
						made_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
