/* orchestrator/job_repeat.c: what differs is repeated from the layers its phase saw, in turns,
 * until it is known. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "orchestrator/reclassify.h"
#include "orchestrator/suite.h"
#include "orchestrator/verdicts.h"
#include "tests/unit/engine_world.h"

#include <string.h>

static bool is(const struct fake_seen *b, const char *package, const char *variant,
	       const char *phase)
{
	return !strcmp(b->package, package) && !strcmp(b->variant, variant) &&
	       !strcmp(b->phase, phase);
}

static void run(struct world *w, size_t packages,
		struct fake_act (*play)(const struct fake_seen *b))
{
	struct err e = ERR_INIT;
	fake.play = play;
	if (!w->suite.n_packages)
		world_packages(w, packages, true);
	if (world_run(w, 4))
		fail_msg("%s", w->err.text);
	if (verdicts_record(w->state->db, w->run, &e))
		fail_msg("%s", e.text);
}

static int set_up(void **state)
{
	int rc = world_set_up(state);
	((struct world *)*state)->confirm = confirm_defaults;
	return rc;
}

static int64_t count(struct world *w, const char *what)
{
	auto_free char *sql = own_fmt("SELECT count(*) FROM %s", what);
	return world_number(w, sql);
}

/* ---- p0 breaks under next, p1 does not ---- */

static struct fake_act p0_breaks(const struct fake_seen *b)
{
	return (struct fake_act){.takes_ms = 100,
				 .exit_code = is(b, "p0", "next", "test"),
				 .says = "tested\n"};
}

static void a_regression_is_confirmed_from_frozen_layers_and_costs_its_phase_alone(void **state)
{
	struct world *w = *state;
	run(w, 3, p0_breaks);
	assert_int_equal(world_boxes("p0", "", "fetch"), 1);
	assert_int_equal(world_boxes("p0", "base", "build"), 1);
	assert_int_equal(world_boxes("p0", "next", "build"), 1);
	assert_int_equal(world_boxes("p0", "base", "test"), 5);
	assert_int_equal(world_boxes("p0", "next", "test"), 5);
	assert_int_equal(world_boxes("p1", NULL, "test"), 2);
	assert_int_equal(
		count(w, "v_verdict WHERE package = 'p0' AND verdict = 'regressed' AND confidence "
			 "= 'confirmed' AND base_runs = 5 AND base_passes = 5 AND next_runs = 5 "
			 "AND next_passes = 0 AND p < 0.02"),
		1);
	assert_int_equal(count(w, "v_verdict WHERE verdict = 'same'"), 2);
	assert_int_equal(count(w, "v_result WHERE repeat AND package = 'p0'"), 8);
	/* each has a log of its own, and the job's own result and log are what they were */
	assert_int_equal(
		world_number(w, "SELECT count(DISTINCT log) FROM v_phase WHERE package = 'p0'"),
		13);
	assert_int_equal(
		count(w, "v_job WHERE package = 'p0' AND variant = 'next' AND attempts = 1 AND "
			 "log NOT LIKE '%repeat%'"),
		1);
	assert_int_equal(w->outcome.done, 6);
}

/* Each repeat sees what the phase saw at first: the layers of the phases before it. */
static void a_repeat_sees_what_the_phase_saw(void **state)
{
	struct world *w = *state;
	run(w, 1, p0_breaks);
	size_t from = 0;
	const struct fake_seen *first = world_box(&from, "p0", "next", "test");
	for (const struct fake_seen *b; (b = world_box(&from, "p0", "next", "test"));)
		for (size_t i = 0; first->root[i] || b->root[i]; i++)
			assert_string_equal(first->root[i], b->root[i]);
}

static void the_sides_take_turns_and_the_last_is_alone(void **state)
{
	struct world *w = *state;
	run(w, 6, p0_breaks);
	size_t from = 0;
	const struct fake_seen *b, *last = NULL;
	unsigned turn = 0;
	for (size_t seen = 0; (b = world_box(&from, "p0", NULL, "test")); seen++) {
		if (seen >= 2) /* the first two are the jobs themselves */
			assert_string_equal(b->variant, turn++ % 2 ? "next" : "base");
		last = b;
	}
	assert_int_equal(turn, 8);
	assert_string_equal(last->variant, "next");
	from = 0;
	while ((b = world_box(&from, NULL, NULL, NULL)))
		assert_true(b == last || b->ended_ms <= last->began_ms ||
			    b->began_ms >= last->ended_ms);
}

/* ---- what passes the second time ---- */

static unsigned tests_of_next;

static struct fake_act fails_once(const struct fake_seen *b)
{
	return (struct fake_act){.exit_code = is(b, "p0", "next", "test") && !tests_of_next++};
}

static void what_passes_again_is_unstable_and_soon_let_go(void **state)
{
	struct world *w = *state;
	tests_of_next = 0;
	run(w, 1, fails_once);
	assert_int_equal(count(w, "v_verdict WHERE verdict = 'unstable'"), 1);
	assert_true(world_boxes("p0", NULL, "test") <= 6);
	assert_int_equal(count(w, "v_flake WHERE failed > 0"), 1);
}

/* ---- a failure before the goal ---- */

static struct fake_act build_breaks(const struct fake_seen *b)
{
	return (struct fake_act){.exit_code = is(b, "p0", "next", "build")};
}

static void of_a_phase_before_the_goal_that_phase_is_repeated(void **state)
{
	struct world *w = *state;
	run(w, 1, build_breaks);
	assert_int_equal(world_boxes("p0", "base", "build"), 5);
	assert_int_equal(world_boxes("p0", "next", "build"), 5);
	assert_int_equal(world_boxes("p0", "base", "test"), 1);
	assert_int_equal(
		count(w, "v_verdict WHERE verdict = 'regressed' AND confidence = 'confirmed'"), 1);
	assert_int_equal(count(w, "v_result WHERE repeat AND status = 'pass' AND phase = 'build'"),
			 4);
	/* judged once more they are what they were */
	struct reclassify r;
	if (reclassify_run(w->state->db, w->state->fd, &w->suite, w->run, &r, &w->err))
		fail_msg("%s", w->err.text);
	assert_int_equal(r.n_judged, 10);
	assert_int_equal(r.n_changes, 0);
	reclassify_fini(&r);
}

/* ---- what is not repeated ---- */

static struct fake_act next_is_better(const struct fake_seen *b)
{
	return (struct fake_act){.exit_code = is(b, "p0", "base", "test")};
}

static struct fake_act fetch_fails(const struct fake_seen *b)
{
	return (struct fake_act){.exit_code = !strcmp(b->phase, "fetch")};
}

static void fixes_are_repeated_where_that_is_wanted_and_what_is_shared_never(void **state)
{
	struct world *w = *state;
	run(w, 1, next_is_better);
	assert_int_equal(count(w, "v_result WHERE repeat"), 0);
	w->repeat_fixes = 100;
	fake_reset();
	run(w, 1, next_is_better);
	assert_int_equal(count(w, "v_verdict WHERE verdict = 'fixed' AND confidence = 'confirmed'"),
			 1);
	fake_reset();
	run(w, 1, fetch_fails);
	w->confirm.most = 0;
	fake_reset();
	run(w, 1, p0_breaks);
	assert_int_equal(count(w,
			       "v_verdict WHERE verdict = 'regressed' AND confidence = 'single'"),
			 1);
	assert_int_equal(count(w, "v_result WHERE repeat AND run <> 2"), 0);
}

/* ---- a time limit on a busy machine ---- */

static struct fake_act too_slow(const struct fake_seen *b)
{
	if (is(b, "p0", "next", "test"))
		return (struct fake_act){.takes_ms = 1000,
					 .end = BOX_LIMITED,
					 .exit_code = -1,
					 .limit = BOX_LIMIT_WALL};
	return (struct fake_act){.takes_ms = is(b, "p0", "base", "test") ? 900 : 1};
}

static void a_time_out_near_its_limit_is_tried_alone_by_processor_time(void **state)
{
	struct world *w = *state;
	size_t from = 0;
	w->suite.phases[WORLD_TEST].limits.time_ms = 1000;
	run(w, 4, too_slow);
	const struct fake_seen *b, *other;
	world_box(&from, "p0", "next", "test");
	size_t alone = 0;
	for (; (b = world_box(&from, "p0", "next", "test")); alone++) {
		size_t all = 0;
		assert_int_equal(b->cpu_ms, 1000);
		assert_int_equal(b->wall_ms, 3000);
		while ((other = world_box(&all, NULL, NULL, NULL)))
			assert_true(other == b || other->ended_ms <= b->began_ms ||
				    other->began_ms >= b->ended_ms);
	}
	assert_int_equal(alone, 4);
}

/* ---- trouble ---- */

static void a_run_that_is_stopped_while_it_repeats_ends(void **state)
{
	struct world *w = *state;
	fake.play = p0_breaks;
	fake.signals[0].at_ms = 650;
	fake.signals[0].number = 2;
	world_packages(w, 1, true);
	assert_int_equal(world_run(w, 4), 0);
	assert_true(world_boxes("p0", NULL, "test") < 10);
}

/* ---- gone on with ---- */

/* What the run says of p0, as one word. */
static char *said_of_p0(struct world *w)
{
	struct db_table *t = NULL;
	struct err e = ERR_INIT;
	auto_free char *sql =
		own_fmt("SELECT verdict || ' ' || confidence || ' ' || base_passes || '/' || "
			"base_runs || ' ' || next_passes || '/' || next_runs || ' ' || p"
			" FROM v_verdict WHERE package = 'p0' AND run = %lld",
			(long long)w->run);
	if (verdicts_record(w->state->db, w->run, &e) ||
	    db_query(w->state->db, sql, NULL, 0, &t, &e))
		fail_msg("%s", e.text);
	char *said = own_dup(t->n_rows ? t->cells[0].s : "nothing");
	db_table_free(t);
	world_exec(w, "DELETE FROM flake");
	return said;
}

static void is_said_of_p0(struct world *w, const char *what, const char *when)
{
	auto_free char *said = said_of_p0(w);
	if (strcmp(said, what))
		fail_msg("%s: %s, not %s", when, said, what);
}

#define CONFIRMED "regressed confirmed 5/5 0/5 0.0142857142857143"

/* A run that is asked to stop at some moment, and told so twice where `killed`; and gone on with.
 */
static void stopped_at(struct world *w, uint64_t at_ms, bool killed, bool twice)
{
	auto_free char *when = own_fmt("%s at %llu ms%s", killed ? "killed" : "drained",
				       (unsigned long long)at_ms, twice ? ", twice" : "");
	fake_reset();
	fake.play = p0_breaks;
	for (unsigned i = 0; i <= killed; i++) {
		fake.signals[i].at_ms = at_ms;
		fake.signals[i].number = 2;
	}
	assert_int_equal(world_run(w, 4), 0);
	for (unsigned times = 0; w->outcome.interrupted; times++) {
		assert_true(times < 3);
		memset(fake.signals, 0, sizeof(fake.signals));
		if (twice && !times) {
			fake.signals[0].at_ms = fake.now_ms + 250;
			fake.signals[0].number = 2;
		}
		world_reopen(w);
		assert_int_equal(world_resume(w, 4), 0);
	}
	is_said_of_p0(w, CONFIRMED, when);
	/* each side's four repeats, whenever they were made, and one result of its own */
	auto_free char *repeats =
		own_fmt("v_result WHERE repeat AND run = %lld", (long long)w->run);
	auto_free char *own =
		own_fmt("v_result WHERE NOT repeat AND run = %lld", (long long)w->run);
	assert_int_equal(count(w, repeats), 8);
	assert_int_equal(count(w, own), 4);
}

/* ASSAY_TEST_STOPS: a moment every so many ms (default 400; 50 are all that differ). */
static void whenever_a_run_is_stopped_its_repeats_are_taken_up(void **state)
{
	struct world *w = *state;
	const char *stops = getenv("ASSAY_TEST_STOPS");
	uint64_t every_ms = stops ? strtoull(stops, NULL, 10) : 400;
	world_packages(w, 2, true);
	for (uint64_t at_ms = 250; at_ms < 1300; at_ms += every_ms ? every_ms : 400)
		for (unsigned how = 0; how < 4; how++)
			stopped_at(w, at_ms, how & 1, how & 2);
}

static void without_shared_phases_too(void **state)
{
	struct world *w = *state;
	world_packages(w, 2, false);
	stopped_at(w, 350, true, true);
	stopped_at(w, 750, true, true);
}

/* Of a side that has its repeats no phase runs again but those that lead to what is left. */
static void what_leads_to_a_repeat_runs_again_and_nothing_else(void **state)
{
	struct world *w = *state;
	world_packages(w, 2, true);
	stopped_at(w, 650, true, false);
	assert_int_equal(world_boxes("p0", NULL, "fetch"), 2);
	assert_int_equal(world_boxes("p0", NULL, "build"), 4);
	assert_int_equal(world_boxes("p0", NULL, "test"), 2 + 8 + 1);
	assert_int_equal(world_boxes("p1", NULL, NULL), 5);
}

/* Told by a refused row, as by a kill between two: what is recorded is what is known. */
static void what_the_database_refused_is_repeated_again(void **state)
{
	struct world *w = *state;
	world_packages(w, 1, true);
	for (unsigned n = 0; n < 8; n += 3) {
		auto_free char *sql =
			own_fmt("CREATE TRIGGER fault BEFORE INSERT ON attempt WHEN NEW.repeat AND"
				" (SELECT count(*) FROM attempt a JOIN job j ON j.id = a.job"
				"  WHERE a.repeat AND j.run = (SELECT max(id) FROM run)) >= %u"
				" BEGIN SELECT RAISE(ABORT, 'refused'); END",
				n);
		auto_free char *when = own_fmt("after %u repeats", n);
		fake_reset();
		fake.play = p0_breaks;
		world_exec(w, sql);
		assert_int_equal(world_run(w, 4), -1);
		world_exec(w, "DROP TRIGGER fault");
		world_reopen(w);
		assert_int_equal(world_resume(w, 4), 0);
		is_said_of_p0(w, CONFIRMED, when);
	}
}

static unsigned builds_of_next;

static struct fake_act builds_but_once(const struct fake_seen *b)
{
	struct fake_act act = p0_breaks(b);
	if (is(b, "p0", "next", "build"))
		act.exit_code = builds_of_next++ == 1;
	return act;
}

/* The way there does not pass any more: what is known stays, and the run ends. */
static void where_the_way_to_a_repeat_is_gone_what_is_known_is_said(void **state)
{
	struct world *w = *state;
	builds_of_next = 0;
	fake.play = builds_but_once;
	fake.signals[0].at_ms = 650;
	fake.signals[0].number = 2;
	world_packages(w, 1, true);
	assert_int_equal(world_run(w, 4), 0);
	assert_true(w->outcome.interrupted);
	memset(fake.signals, 0, sizeof(fake.signals));
	assert_int_equal(world_resume(w, 4), 0);
	assert_false(w->outcome.interrupted);
	auto_free char *said = said_of_p0(w);
	assert_non_null(strstr(said, "regressed likely "));
	assert_int_equal(count(w, "v_job WHERE state = 'done'"), 2);
}

static struct fake_act slow_next(const struct fake_seen *b)
{
	struct fake_act act = too_slow(b);
	act.takes_ms += !strcmp(b->phase, "build") ? 100 : 0;
	return act;
}

/* That its time limit was near is known from what is recorded, not only to who saw it. */
static void what_is_repeated_by_processor_time_still_is(void **state)
{
	struct world *w = *state;
	w->suite.phases[WORLD_TEST].limits.time_ms = 1000;
	world_packages(w, 1, true);
	fake.play = slow_next;
	fake.signals[0].at_ms = 3300;
	fake.signals[0].number = 2;
	assert_int_equal(world_run(w, 4), 0);
	assert_true(w->outcome.interrupted);
	size_t from = fake.n_seen, n = 0;
	memset(fake.signals, 0, sizeof(fake.signals));
	assert_int_equal(world_resume(w, 4), 0);
	for (const struct fake_seen *b; (b = world_box(&from, "p0", "next", "test")); n++)
		assert_int_equal(b->cpu_ms, 1000);
	assert_true(n > 0);
	is_said_of_p0(w, CONFIRMED, "with a time limit");
}

static unsigned boxes_of_base;

static struct fake_act base_is_cut_off(const struct fake_seen *b)
{
	if (is(b, "p0", "base", "test") && boxes_of_base++)
		return (struct fake_act){.end = BOX_FAILED, .exit_code = -1};
	return p0_breaks(b);
}

static void repeats_that_say_nothing_are_not_made_for_ever(void **state)
{
	struct world *w = *state;
	boxes_of_base = 0;
	run(w, 30, base_is_cut_off);
	assert_int_equal(
		count(w,
		      "v_verdict WHERE package = 'p0' AND verdict = 'regressed' AND confidence = "
		      "'single'"),
		1);
}

#define repeat_test(f) cmocka_unit_test_setup_teardown(f, set_up, world_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		repeat_test(a_regression_is_confirmed_from_frozen_layers_and_costs_its_phase_alone),
		repeat_test(a_repeat_sees_what_the_phase_saw),
		repeat_test(the_sides_take_turns_and_the_last_is_alone),
		repeat_test(what_passes_again_is_unstable_and_soon_let_go),
		repeat_test(of_a_phase_before_the_goal_that_phase_is_repeated),
		repeat_test(fixes_are_repeated_where_that_is_wanted_and_what_is_shared_never),
		repeat_test(a_time_out_near_its_limit_is_tried_alone_by_processor_time),
		repeat_test(a_run_that_is_stopped_while_it_repeats_ends),
		repeat_test(whenever_a_run_is_stopped_its_repeats_are_taken_up),
		repeat_test(without_shared_phases_too),
		repeat_test(what_leads_to_a_repeat_runs_again_and_nothing_else),
		repeat_test(what_the_database_refused_is_repeated_again),
		repeat_test(where_the_way_to_a_repeat_is_gone_what_is_known_is_said),
		repeat_test(what_is_repeated_by_processor_time_still_is),
		repeat_test(repeats_that_say_nothing_are_not_made_for_ever),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
