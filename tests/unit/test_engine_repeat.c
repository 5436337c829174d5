/* orchestrator/job_repeat.c: what differs is repeated from the layers its phase saw, in turns,
 * until it is known. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

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
		repeat_test(repeats_that_say_nothing_are_not_made_for_ever),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
