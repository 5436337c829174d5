/* orchestrator/replay.c: where the time of a run went that was interrupted, or whose boxes were not
 * as its numbers would have them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/unit.h"
#include "orchestrator/replay.h"
#include "tests/unit/engine_world.h"

#include <string.h>

#define S ((int64_t)1000)

static struct fake_act takes_time(const struct fake_seen *b)
{
	(void)b;
	return (struct fake_act){.takes_ms = 60000};
}

/* A run of one slot and one package that was interrupted and gone on with; of its boxes and of its
 * interruption nothing is left. */
static void run(struct world *w)
{
	fake.play = takes_time;
	fake.signals[0].at_ms = 70000;
	fake.signals[0].number = 2;
	world_packages(w, 1, false);
	assert_int_equal(world_run(w, 1), 0);
	assert_true(w->outcome.interrupted);
	assert_int_equal(world_number(w, "SELECT count(*) FROM pause"), 0);
	memset(fake.signals, 0, sizeof(fake.signals));
	assert_int_equal(world_resume(w, 1), 0);
	assert_false(w->outcome.interrupted);
	assert_int_equal(world_number(w, "SELECT count(*) FROM pause p JOIN run r ON r.id = p.run "
					 "WHERE p.from_ms >= r.started_ms AND p.to_ms <= "
					 "r.ended_ms"),
			 1);
}

static void look(struct world *w, struct spent *spent)
{
	struct sim s = {0};
	struct err e = ERR_INIT;
	if (replay_run(w->state->db, w->run, &s, spent, &e))
		fail_msg("%s", e.text);
	sim_fini(&s);
}

static void forget(struct world *w)
{
	world_exec(w, "DELETE FROM pause; DELETE FROM phase");
}

static void box(struct world *w, int variant, int64_t from_ms, int64_t to_ms, int64_t wall_ms)
{
	auto_free char *sql =
		own_fmt("INSERT INTO phase (run, package, variant, name, network, started_ms, "
			"ended_ms, ended_as, wall_us, cpus) SELECT run, package, %d, 'test', "
			"'none', %lld, %lld, 'exited', %lld, 1 FROM job LIMIT 1",
			variant, (long long)from_ms, (long long)to_ms, (long long)wall_ms * 1000);
	world_exec(w, sql);
}

static void paused(struct world *w, int64_t from_ms, int64_t to_ms)
{
	auto_free char *sql = own_fmt("INSERT INTO pause SELECT max(id), %lld, %lld FROM run",
				      (long long)from_ms, (long long)to_ms);
	world_exec(w, sql);
}

static void is(const struct spent *s, int64_t makespan, int64_t paused_, int64_t bound,
	       int64_t between, int64_t tail)
{
	assert_int_equal(s->makespan_ms, makespan);
	assert_int_equal(s->paused_ms, paused_);
	assert_int_equal(s->least.bound_ms, bound);
	assert_int_equal(s->between_ms, between);
	assert_int_equal(s->tail_ms, tail);
}

/* The fake's boxes say that they took a minute, which no clock saw. */
static void the_bound_is_never_above_what_it_took(void **state)
{
	struct spent s;
	run(*state);
	look(*state, &s);
	assert_true(s.least.bound_ms <= s.makespan_ms);
	assert_true(s.least.chain_ms <= s.makespan_ms && s.least.share_ms <= s.makespan_ms);
}

static void an_interruption_is_no_free_time(void **state)
{
	struct world *w = *state;
	struct spent s;
	run(w);
	forget(w);
	box(w, 0, 10 * S, 20 * S, 10 * S);
	paused(w, 20 * S, 1020 * S);
	box(w, 1, 1021 * S, 1031 * S, 10 * S);
	look(w, &s);
	is(&s, 21 * S, 1000 * S, 20 * S, 1 * S, 0);
	char took[UNIT_TEXT];
	auto_free char *text = spent_text(&s),
		       *told = own_fmt("; it was interrupted for %s, which do not count",
				       unit_duration(1000 * S, took));
	assert_non_null(strstr(text, told));
	/* twice; the second time nothing but the comparison was left to do */
	paused(w, 1031 * S, 5000 * S);
	look(w, &s);
	is(&s, 21 * S, 1000 * S, 20 * S, 1 * S, 0);
}

/* What was still running when all had begun, is known to have run until it was interrupted. */
static void also_not_at_the_end(void **state)
{
	struct world *w = *state;
	struct spent s;
	run(w);
	forget(w);
	box(w, 0, 0, 10 * S, 10 * S);
	box(w, 1, 10 * S, 130 * S, 20 * S);
	paused(w, 20 * S, 120 * S);
	look(w, &s);
	is(&s, 30 * S, 100 * S, 30 * S, 0, 0);
}

static void boxes_at_once_are_by_more_slots(void **state)
{
	struct world *w = *state;
	struct spent s;
	run(w);
	forget(w);
	box(w, 0, 0, 10 * S, 10 * S);
	box(w, 1, 0, 8 * S, 8 * S);
	look(w, &s);
	assert_int_equal(s.slots, 2);
	is(&s, 10 * S, 0, 10 * S, 0, 1 * S);
}

static void phases_of_one_job_are_never_at_once(void **state)
{
	struct world *w = *state;
	struct spent s;
	run(w);
	forget(w);
	box(w, 0, 0, 10 * S, 10 * S);
	box(w, 0, 5 * S, 12 * S, 7 * S);
	box(w, 0, 12 * S, 14 * S, 3 * S);
	look(w, &s);
	assert_int_equal(s.slots, 1);
	is(&s, 14 * S, 0, 14 * S, 0, 0);
}

#define spent_test(f) cmocka_unit_test_setup_teardown(f, world_set_up, world_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		spent_test(the_bound_is_never_above_what_it_took),
		spent_test(an_interruption_is_no_free_time),
		spent_test(also_not_at_the_end),
		spent_test(boxes_at_once_are_by_more_slots),
		spent_test(phases_of_one_job_are_never_at_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
