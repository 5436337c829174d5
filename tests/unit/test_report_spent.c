/* What a report says of the run's time and of what was not done twice. */
#include "report_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static const struct wanted open_one[] = {{"p", {0}, {0}}};

static void box_add(struct made *m, const char *variant, int64_t from_ms, int64_t to_ms)
{
	const struct db_phase p = {.run = m->run,
				   .package = "p",
				   .version = "1.0 " EVIL,
				   .variant = variant,
				   .name = "test",
				   .network = "none",
				   .log = "none",
				   .started_ms = from_ms,
				   .cpus = 1};
	const struct db_facts f = {.end = "exited",
				   .limit = "none",
				   .wall_us = (to_ms - from_ms) * 1000,
				   .cgroup = "none",
				   .ended_ms = to_ms};
	int64_t id = db_phase_begin(m->db, &p, &m->e);
	assert_true(id > 0);
	assert_int_equal(db_phase_end(m->db, id, &f, &m->e), 0);
}

static json_t *json_of(struct made *m)
{
	struct report *r = loaded(m);
	auto_text struct text t = TEXT_INIT;
	report_json(r, &t);
	json_t *j = json_loads(t.p, 0, NULL);
	assert_non_null(j);
	loaded_free(r);
	return j;
}

static void whole_is(const json_t *object, const char *name, json_int_t n)
{
	const json_t *value = json_object_get(object, name);
	assert_true(json_is_integer(value));
	if (json_integer_value(value) != n)
		fail_msg("%s is %lld, not %lld", name, (long long)json_integer_value(value),
			 (long long)n);
}

/* Two slots, 23 s: 14 s of boxes, the last of which is alone for 4 s; the fetch (a network's, no
 * processor's) and the box after it are the longest chain. */
static void the_time_above_the_bound_is_told_by_where_it_went(void **state)
{
	struct made *m = *state;
	static const struct {
		const char *name;
		json_int_t n;
	} facts[] = {{"boxes", 3},
		     {"slots", 2},
		     {"makespan_ms", 23000},
		     {"bound_ms", 11000},
		     {"chain_ms", 11000},
		     {"share_ms", 7000},
		     {"filled_ms", 7000},
		     {"free_between_ms", 14000},
		     {"free_at_end_ms", 2000},
		     {"held_ms", 0}};
	static const char *const html[] = {"<h2 id=\"h-spent\"",
					   "2.09 times the lower bound",
					   "longest chain",
					   "filled by boxes",
					   "30 %",
					   "free between boxes",
					   "61 %",
					   "free at the end",
					   "9 %",
					   "Where the time went"};
	auto_text struct text page = TEXT_INIT, markdown = TEXT_INIT;
	m->at_once = 2;
	run_add(m, open_one, 1, false, NULL);
	box_add(m, "old<i>", 5000, 15000);
	box_add(m, "new", 20000, 24000);
	assert_int_equal(db_run_end(m->db, m->run, "done", 61000, &m->e), 0);
	json_t *j = json_of(m);
	for (size_t i = 0; i < countof(facts); i++)
		whole_is(json_object_get(j, "time"), facts[i].name, facts[i].n);
	json_decref(j);
	report_made(m, &page, &markdown);
	is_well_formed(page.p);
	in_order(page.p, html, countof(html));
	assert_non_null(strstr(markdown.p, "Time: makespan "));
	assert_non_null(strstr(markdown.p, ", 2.09 times its lower bound "));
	assert_null(strstr(markdown.p, "Unchanged: "));
	assert_null(strstr(page.p, "skipped as unchanged"));
}

static void what_was_not_done_twice_is_told_with_how_often_that_was_wrong(void **state)
{
	struct made *m = *state;
	static const struct outcome failed = {"fail", "exit", "test", NULL, 1, 0, -1, 0};
	const struct wanted first[] = {{"kept", made_passed, made_passed},
				       {"checked", made_passed, made_passed}},
			    second[] = {{"kept", {0}, {0}}, {"checked", made_passed, failed}};
	static const char says[] = "2 jobs were skipped as unchanged; of 2 unchanged that were run "
				   "to check, 1 ended otherwise (50.0 %).";
	auto_text struct text page = TEXT_INIT, markdown = TEXT_INIT;
	struct db_unchanged list[4];
	run_add(m, first, 2, false, "done");
	for (size_t i = 0; i < 4; i++)
		list[i] =
			(struct db_unchanged){.attempt = m->attempt[i], .run = m->run, .agreed = 1};
	run_add(m, second, 2, false, NULL);
	for (size_t i = 0; i < 4; i++)
		list[i].job = m->job[i];
	assert_int_equal(db_spare(m->db, list, 2, 4000, &m->e), 0);
	assert_int_equal(db_recheck(m->db, list + 2, 2, &m->e), 0);
	assert_int_equal(db_run_end(m->db, m->run, "done", 61000, &m->e), 0);
	json_t *j = json_of(m), *unchanged = json_object_get(j, "unchanged");
	whole_is(unchanged, "skipped", 2);
	whole_is(unchanged, "rechecked", 2);
	whole_is(unchanged, "differed", 1);
	json_decref(j);
	report_made(m, &page, &markdown);
	is_well_formed(page.p);
	assert_non_null(strstr(page.p, says));
	assert_non_null(strstr(markdown.p, says));
}

static void a_run_without_a_box_says_nothing_of_time(void **state)
{
	struct made *m = *state;
	auto_text struct text page = TEXT_INIT, markdown = TEXT_INIT;
	run_add(m, open_one, 0, false, "done");
	json_t *j = json_of(m);
	assert_true(json_is_null(json_object_get(j, "time")));
	json_decref(j);
	report_made(m, &page, &markdown);
	is_well_formed(page.p);
	assert_null(strstr(page.p, "id=\"spent\""));
	assert_null(strstr(markdown.p, "Time: "));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_time_above_the_bound_is_told_by_where_it_went,
						made_setup, made_teardown),
		cmocka_unit_test_setup_teardown(
			what_was_not_done_twice_is_told_with_how_often_that_was_wrong, made_setup,
			made_teardown),
		cmocka_unit_test_setup_teardown(a_run_without_a_box_says_nothing_of_time,
						made_setup, made_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
