/* What a comparison says of a run, and whether it is to be believed. */
#include "orchestrator/commands.h"

#include "base/text.h"
#include "report_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static struct review *reviewed(struct made *m)
{
	struct review *v = review_load(m->db, m->run, NULL, NULL, &m->e);
	if (!v)
		fail_msg("%s", m->e.text);
	return v;
}

static void an_interrupted_run_with_jobs_missing_is_void(void **state)
{
	struct made *m = *state;
	static const struct wanted w[] = {{"done",
					   {"pass", "ok", "test", NULL, 0, 0, -1, 0},
					   {"pass", "ok", "test", NULL, 0, 0, -1, 0}},
					  {"half", {"pass", "ok", "test", NULL, 0, 0, -1, 0}, {0}}};
	run_add(m, w, countof(w), false, "interrupted");
	struct review *v = reviewed(m);
	assert_int_equal(v->validity, VALIDITY_VOID);
	assert_int_equal(v->verdicts[VERDICT_INCOMPARABLE], 1);
	assert_int_equal(review_exit(v, CONFIDENCE_SINGLE), EXIT_OURS);
	assert_non_null(strstr(v->why, "interrupted"));
	review_free(v);
}

static void a_run_in_which_nothing_passed_is_degraded(void **state)
{
	struct made *m = *state;
	static const struct wanted w[] = {{"cut-off",
					   {"fail", "exit", "fetch", NULL, 1, 0, -1, 0},
					   {"fail", "exit", "fetch", NULL, 1, 0, -1, 0}}};
	run_add(m, w, countof(w), false, "done");
	struct review *v = reviewed(m);
	assert_int_equal(v->verdicts[VERDICT_SAME], 1);
	assert_int_equal(v->validity, VALIDITY_DEGRADED);
	assert_int_equal(review_exit(v, CONFIDENCE_SINGLE), EXIT_OK);
	assert_non_null(strstr(v->why, "not one of 2 jobs passed"));
	review_free(v);
}

static void a_run_that_is_going_on_is_not_final_and_its_open_jobs_not_lost(void **state)
{
	struct made *m = *state;
	static const struct wanted w[] = {{"done",
					   {"pass", "ok", "test", NULL, 0, 0, -1, 0},
					   {"pass", "ok", "test", NULL, 0, 0, -1, 0}},
					  {"half", {"pass", "ok", "test", NULL, 0, 0, -1, 0}, {0}}};
	run_add(m, w, countof(w), false, NULL);
	struct review *v = reviewed(m);
	assert_true(v->running);
	assert_int_equal(v->n_lost, 0);
	assert_int_equal(v->validity, VALIDITY_VALID);
	assert_int_equal(review_exit(v, CONFIDENCE_SINGLE), EXIT_OURS);
	assert_non_null(strstr(v->why, "3 of 4"));
	review_free(v);
	auto_text struct text page = TEXT_INIT, markdown = TEXT_INIT;
	report_made(m, &page, &markdown);
	assert_non_null(strstr(page.p, "Not over"));
	assert_null(strstr(page.p, "valid run"));
	is_well_formed(page.p);
}

static void regressions_alone_are_exit_status_one(void **state)
{
	struct made *m = *state;
	static const struct wanted w[] = {{"p",
					   {"pass", "ok", "test", NULL, 0, 0, -1, 0},
					   {"fail", "exit", "test", NULL, 1, 0, -1, 0}}};
	run_add(m, w, countof(w), false, "done");
	struct review *v = reviewed(m);
	assert_int_equal(review_exit(v, CONFIDENCE_SINGLE), EXIT_REGRESSED);
	assert_string_equal(v->why, "");
	review_free(v);
	v = review_load(m->db, m->run, "new", "old<i>", &m->e);
	assert_int_equal(v->verdicts[VERDICT_FIXED], 1);
	assert_int_equal(review_exit(v, CONFIDENCE_SINGLE), EXIT_OK);
	review_free(v);
}

static void what_is_not_there_is_named(void **state)
{
	struct made *m = *state;
	assert_int_equal(review_run(m->db, NULL, &m->e), -1);
	assert_int_equal(m->e.kind, ERR_ABSENT);
	run_add(m, made_hostile, 1, false, "done");
	assert_int_equal(review_run(m->db, NULL, &m->e), m->run);
	assert_int_equal(review_run(m->db, "999", &m->e), -1);
	assert_int_equal(m->e.kind, ERR_USAGE);
	assert_int_equal(review_run(m->db, "latest", &m->e), -1);
	assert_null(review_load(m->db, m->run, "old<i>", "newest", &m->e));
	assert_non_null(strstr(m->e.text, "no variant 'newest'; it has old<i>, new"));
	assert_null(review_load(m->db, m->run, "new", NULL, &m->e));
	assert_null(review_load(m->db, m->run, "new", "new", &m->e));
	assert_int_equal(m->e.kind, ERR_USAGE);
}

static void the_deciding_line_is_found_by_its_length(void **state)
{
	static const struct {
		const char *evidence;
		int64_t offset, length;
		const char *line;
	} cases[] = {
		{"a\nbb\nccc\ndddd", 100, 3, "ccc"}, {"bb\nccc\ndddd\ne", 100, 2, "bb"},
		{"a\nbb\nccc", 2, 2, "bb"},          {"first\nsecond", 0, 5, "first"},
		{"a\nb\ncut \nd", 100, 99, "cut"},   {"only", 100, 99, "only"},
	};
	(void)state;
	for (size_t i = 0; i < countof(cases); i++) {
		struct review_side s = {.evidence = cases[i].evidence,
					.evidence_offset = cases[i].offset,
					.evidence_length = cases[i].length};
		auto_free char *line = review_line(&s, 100);
		assert_string_equal(line, cases[i].line);
	}
}

static void a_word_of_the_shell_is_one_word(void **state)
{
	static const char *const words[][2] = {
		{"semver", "semver"},   {"@a/b.js+c", "@a/b.js+c"}, {"", "''"},  {"a b", "'a b'"},
		{"it's", "'it'\\''s'"}, {"$(x);`y`", "'$(x);`y`'"}, {"~", "'~'"}};
	(void)state;
	for (size_t i = 0; i < countof(words); i++) {
		auto_free char *word = text_shell_word(words[i][0]);
		assert_string_equal(word, words[i][1]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(an_interrupted_run_with_jobs_missing_is_void,
						made_setup, made_teardown),
		cmocka_unit_test_setup_teardown(a_run_in_which_nothing_passed_is_degraded,
						made_setup, made_teardown),
		cmocka_unit_test_setup_teardown(
			a_run_that_is_going_on_is_not_final_and_its_open_jobs_not_lost, made_setup,
			made_teardown),
		cmocka_unit_test_setup_teardown(regressions_alone_are_exit_status_one, made_setup,
						made_teardown),
		cmocka_unit_test_setup_teardown(what_is_not_there_is_named, made_setup,
						made_teardown),
		cmocka_unit_test(the_deciding_line_is_found_by_its_length),
		cmocka_unit_test(a_word_of_the_shell_is_one_word),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
