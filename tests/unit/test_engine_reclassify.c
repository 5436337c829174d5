/* orchestrator/reclassify.c: a run that the engine made, judged once more from what was kept of it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "orchestrator/reclassify.h"
#include "orchestrator/rows.h"
#include "orchestrator/suite.h"
#include "tests/unit/engine_world.h"

#include <string.h>

/* A package for every way in which a box ends. */
static const struct fake_act ways[] = {
	{0},
	{.exit_code = 1, .says = "Error: first\nError: gone astray\n"},
	{.exit_code = 137, .says = "Killed\n"},
	{.exit_code = 0, .oom_kills = 1, .says = "Error: first\n"},
	{.end = BOX_SIGNALLED, .exit_code = -1, .signal = 11, .says = "Error: gone astray\n"},
	{.end = BOX_LIMITED, .exit_code = -1, .signal = 9, .limit = BOX_LIMIT_SILENCE},
	{.end = BOX_LIMITED, .exit_code = 1, .limit = BOX_LIMIT_DISK, .says = "ENOSPC\n"},
	{.end = BOX_FAILED, .exit_code = -1},
	{.exit_code = 3, .output = (size_t)1 << 20, .says = "Error: gone astray\n"},
};

static struct fake_act by_package(const struct fake_seen *b)
{
	size_t n = (size_t)atoi(b->package + 1);
	return strcmp(b->phase, "test") ? (struct fake_act){0} : ways[n];
}

static void run(struct world *w)
{
	fake.play = by_package;
	world_packages(w, countof(ways), true);
	if (world_run(w, 4))
		fail_msg("%s", w->err.text);
}

static struct reclassify judged(struct world *w)
{
	struct reclassify r;
	if (reclassify_run(w->state->db, w->state->fd, &w->suite, w->run, &r, &w->err))
		fail_msg("%s", w->err.text);
	return r;
}

static void by_the_same_rules_nothing_changes_however_a_box_ended(void **state)
{
	struct world *w = *state;
	run(w);
	struct reclassify r = judged(w);
	assert_int_equal(r.n_judged, countof(ways) * WORLD_VARIANTS);
	assert_int_equal(r.n_changes, 0);
	assert_int_equal(r.n_no_log + r.n_other, 0);
	reclassify_fini(&r);
}

static void a_new_rule_refines_what_it_may_and_finds_its_line(void **state)
{
	struct world *w = *state;
	struct suite_log_rule rule = {(char[]){"new"}, (char[]){"gone astray"}, NULL,
				      (char[]){"fail"}, (char[]){"missing-file"}};
	run(w);
	w->suite.log_rules = &rule;
	w->suite.n_log_rules = 1;
	struct reclassify r = judged(w);
	/* p1 and p8 under two variants; p4 crashed, and this is no rule for that */
	assert_int_equal(r.n_changes, 4);
	assert_int_equal(reclassify_keep(w->state->db, &r, 12345, &w->err), 0);
	reclassify_fini(&r);
	assert_int_equal(world_number(w, "SELECT count(*) FROM v_result WHERE reason = "
					 "'missing-file' AND rule = 'new' AND revised_ms = 12345 "
					 "AND package IN ('p1', 'p8') AND status = 'fail'"),
			 4);
	assert_int_equal(world_number(w, "SELECT evidence_offset FROM v_result WHERE package = "
					 "'p1' AND variant = 'base'"),
			 (int64_t)strlen("Error: first\n"));
	assert_int_equal(world_number(w, "SELECT count(*) FROM v_result WHERE revised_ms IS NULL"),
			 (int64_t)countof(ways) * WORLD_VARIANTS - 4);
	/* and now they are what they are */
	r = judged(w);
	assert_int_equal(r.n_changes, 0);
	reclassify_fini(&r);
	w->suite.n_log_rules = 0;
	r = judged(w);
	assert_int_equal(r.n_changes, 4);
	reclassify_fini(&r);
}

/* The engine signs what it records; what an older one did not sign is signed then. */
static void what_has_no_signature_gets_one_without_a_word(void **state)
{
	struct world *w = *state;
	run(w);
	/* not of p0, which passed */
	int64_t signed_by =
		world_number(w, "SELECT count(*) FROM v_result WHERE cause IS NOT NULL");
	assert_int_equal(signed_by, (int64_t)(countof(ways) - 1) * WORLD_VARIANTS);
	assert_int_equal(
		world_number(w, "SELECT packages FROM v_cause WHERE text = 'Error: first' AND "
				"variant = 'base'"),
		1);
	world_exec(w, "UPDATE result SET signature = NULL");
	struct reclassify r = judged(w);
	assert_int_equal(r.n_changes, signed_by);
	assert_int_equal(r.n_quiet, signed_by);
	assert_int_equal(reclassify_keep(w->state->db, &r, 1, &w->err), 0);
	reclassify_fini(&r);
	r = judged(w);
	assert_int_equal(r.n_changes, 0);
	reclassify_fini(&r);
}

static void what_facts_decided_no_rule_and_no_lost_log_changes(void **state)
{
	struct world *w = *state;
	run(w);
	world_exec(w, "UPDATE phase SET host_full = 1 WHERE exit_code = 1");
	world_exec(w, "UPDATE phase SET log = 'runs/none.zst' WHERE exit_code = 3");
	world_exec(w, "UPDATE result SET status = 'skip', reason = 'budget' WHERE exit_code = 137");
	struct reclassify r = judged(w);
	assert_int_equal(r.n_no_log, 2);
	assert_int_equal(r.n_other, 2);
	/* p1 met a full host; p6's limit was its own */
	assert_int_equal(r.n_changes, 2);
	for (size_t i = 0; i < r.n_changes; i++) {
		assert_string_equal(rows_str(r.rows, r.changes[i].row, "package"), "p1");
		assert_int_equal(r.changes[i].result.reason, REASON_ENOSPC);
	}
	reclassify_fini(&r);
}

#define world_test(f) cmocka_unit_test_setup_teardown(f, world_set_up, world_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		world_test(by_the_same_rules_nothing_changes_however_a_box_ended),
		world_test(a_new_rule_refines_what_it_may_and_finds_its_line),
		world_test(what_has_no_signature_gets_one_without_a_word),
		world_test(what_facts_decided_no_rule_and_no_lost_log_changes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
