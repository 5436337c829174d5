/* orchestrator/signature.c: what is one cause to a person is one signature, and what is two, two.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "orchestrator/signature.h"

#include <string.h>

static void a_line_loses_what_differs_from_one_package_to_the_next(void **state)
{
	static const char *const cases[][2] = {
		{"Error: error:0308010C:digital envelope routines::unsupported",
		 "Error: error:<hex>:digital envelope routines::unsupported"},
		{"TypeError: util.isDate is not a function",
		 "TypeError: util.isDate is not a function"},
		{"Error: Cannot find module './lib/x'", "Error: Cannot find module <name>"},
		{"Error: Cannot find module \"left-pad\"", "Error: Cannot find module <name>"},
		{"  at Object.<anonymous> (/build/node_modules/a/b.js:12:5)",
		 "at Object.<anonymous> (<path>)"},
		{"/build/test.js:12", "<path>"},
		{"index.js:12:5: unexpected token", "<path>: unexpected token"},
		{"expected 3 to equal 4", "expected <n> to equal <n>"},
		{"timeout of 2000ms exceeded", "timeout of <n> exceeded"},
		{"took 1.5s, 12.25 ms, 40%", "took <n>, <n> ms, <n>"},
		{"at 2026-11-28T12:31:31.123Z it broke", "at <time> it broke"},
		{"[12:31:31] gulp", "[<time>] gulp"},
		{"free(): invalid pointer: 0x00007ffd5a1b", "free(): invalid pointer: <addr>"},
		{"needs node v18.2.0 or 22.1", "needs node <version> or <n>"},
		{"gyp ERR! node -v v24.11.1", "gyp ERR! node -v <version>"},
		{"commit 5d41402abc4b2a76b9719d911017c592", "commit <hex>"},
		{"id 123e4567-e89b-12d3-a456-426614174000", "id <hex>"},
		{"npm error 404 Not Found - GET https://registry.example/x",
		 "npm error <n> Not Found - "
		 "GET <url>"},
		{"can't do what it doesn't know", "can't do what it doesn't know"},
		{"No such module: http_parser", "No such module: http_parser"},
		{"read and/or write", "read and/or write"},
		{"failed in semver@7.5.4", "failed in <package>"},
		{"utf8 and sha256 are words", "utf8 and sha256 are words"},
		{"deadbeef cafe", "deadbeef cafe"},
		{"\t many \t  blanks  ", "many blanks"},
		{"", ""},
	};
	(void)state;
	for (size_t i = 0; i < countof(cases); i++) {
		char out[SIGNATURE_TEXT + 1];
		signature_text(cases[i][0], strlen(cases[i][0]), out);
		assert_string_equal(out, cases[i][1]);
	}
}

static struct signature of(enum reason reason, const char *line)
{
	struct result r = {reason_status(reason), reason, "test", NULL};
	struct signature s;
	assert_true(signature_make(&r, line, &s));
	return s;
}

/* In databases: an id that was given is given for ever. */
static void ids_never_change(void **state)
{
	(void)state;
	struct signature s =
		of(REASON_EXIT, "Error: error:0308010C:digital envelope routines::unsupported");
	assert_string_equal(s.id, "1fea4b5d2beffd1d");
	assert_string_equal(of(REASON_MEMORY, NULL).id, "b508fd1ab4f7d11e");
}

static void the_reason_a_rule_gave_makes_no_other_cause(void **state)
{
	(void)state;
	assert_string_equal(of(REASON_EXIT, "TypeError: x").id,
			    of(REASON_TEST_FAILED, "TypeError: x").id);
	assert_string_not_equal(of(REASON_EXIT, "TypeError: x").id,
				of(REASON_EXIT, "TypeError: y").id);
}

static void kills_and_our_own_trouble_are_known_by_their_reason_not_by_the_log(void **state)
{
	(void)state;
	assert_string_equal(of(REASON_SILENCE, "warning: x").text, "kill/silence");
	assert_string_equal(of(REASON_ENOSPC, "error: y").text, "infra/enospc");
	assert_string_equal(of(REASON_SEGV, NULL).text, "crash/segv");
	assert_string_equal(of(REASON_EXIT, " \t ").text, "fail/exit");
}

static void what_is_no_failure_has_no_cause(void **state)
{
	static const enum reason none[] = {REASON_OK, REASON_BUDGET, REASON_DEP_FAILED};
	(void)state;
	for (size_t i = 0; i < countof(none); i++) {
		struct result r = {reason_status(none[i]), none[i], "test", NULL};
		struct signature s;
		assert_false(signature_make(&r, "x", &s));
	}
}

static void a_text_is_bounded_and_ends_with_a_whole_character(void **state)
{
	(void)state;
	for (size_t shift = 0; shift < 4; shift++) {
		char line[2000], out[SIGNATURE_TEXT + 1];
		memset(line, 'x', shift);
		for (size_t i = shift; i + 3 <= sizeof(line); i += 3)
			memcpy(line + i, "\xe2\x82\xac", 3);
		signature_text(line, sizeof(line) - 5, out);
		size_t n = strlen(out);
		assert_in_range(n, SIGNATURE_TEXT - 3, SIGNATURE_TEXT);
		assert_int_equal((n - shift) % 3, 0);
	}
}

/* Whatever stands in a log: it ends, within bounds, and doing it once more changes nothing that
 * could make two causes of one. */
static void any_bytes_are_a_text(void **state)
{
	static const char alphabet[] = "'\"`()/.:@0x1fav-+%# \t\\\xff\xc3~,<>";
	uint32_t dice = 1;
	(void)state;
	for (int i = 0; i < 20000; i++) {
		char line[64], out[SIGNATURE_TEXT + 1];
		size_t n = (dice = dice * 1664525 + 1013904223) >> 26;
		for (size_t k = 0; k < n; k++) {
			dice = dice * 1664525 + 1013904223;
			line[k] = alphabet[(dice >> 16) % (sizeof(alphabet) - 1)];
		}
		signature_text(line, n, out);
		assert_true(strlen(out) <= SIGNATURE_TEXT);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_loses_what_differs_from_one_package_to_the_next),
		cmocka_unit_test(ids_never_change),
		cmocka_unit_test(the_reason_a_rule_gave_makes_no_other_cause),
		cmocka_unit_test(
			kills_and_our_own_trouble_are_known_by_their_reason_not_by_the_log),
		cmocka_unit_test(what_is_no_failure_has_no_cause),
		cmocka_unit_test(a_text_is_bounded_and_ends_with_a_whole_character),
		cmocka_unit_test(any_bytes_are_a_text),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
