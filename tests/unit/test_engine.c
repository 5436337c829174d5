/* orchestrator/engine.c, job*.c: a run in good days. What goes wrong is in test_engine_trouble.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/engine_world.h"

#include <string.h>

static void run(struct world *w, size_t at_once)
{
	if (world_run(w, at_once))
		fail_msg("%s", w->err.text);
}

static bool says(const char *a, const char *b)
{
	return !strcmp(a, b);
}

static void expect(const struct world *w, const char *package, const char *variant, enum status s,
		   enum reason r, const char *phase)
{
	const struct world_news *n = world_result(w, package, variant);
	assert_non_null(n);
	assert_string_equal(status_name(n->status), status_name(s));
	assert_string_equal(reason_name(n->reason), reason_name(r));
	assert_string_equal(n->phase, phase);
}

static bool ends_with(const char *s, const char *tail)
{
	size_t n = strlen(s), t = strlen(tail);
	return n >= t && says(s + n - t, tail);
}

static bool in_list(char **list, const char *tail)
{
	for (; *list; list++)
		if (ends_with(*list, tail))
			return true;
	return false;
}

static struct fake_act one_second(const struct fake_seen *b)
{
	(void)b;
	return (struct fake_act){.takes_ms = 1000};
}

static void a_plan_without_units_is_a_run_without_results(void **state)
{
	struct world *w = *state;
	world_packages(w, 0, true);
	run(w, 4);
	assert_int_equal(w->outcome.done, 0);
	assert_false(w->outcome.interrupted);
}

static void a_trunk_runs_once_and_serves_its_branches(void **state)
{
	struct world *w = *state;
	world_packages(w, 1, true);
	fake.play = one_second;
	run(w, 4);
	assert_int_equal(world_boxes(NULL, NULL, "fetch"), 1);
	assert_int_equal(world_boxes(NULL, "base", NULL), 2);
	assert_int_equal(world_boxes(NULL, "next", NULL), 2);
	size_t from = 0;
	const struct fake_seen *fetch = world_box(&from, NULL, "", "fetch");
	for (const struct fake_seen *b; (b = world_box(&from, NULL, NULL, NULL));) {
		assert_true(b->began_ms >= fetch->ended_ms);
		assert_true(in_list(b->root, "/0.fetch.1/u0"));
	}
	expect(w, "p0", "base", STATUS_PASS, REASON_OK, "test");
	expect(w, "p0", "next", STATUS_PASS, REASON_OK, "test");
	assert_int_equal(world_result(w, "p0", "base")->wall_ms,
			 2000); /* the shared phase is nobody's */
	assert_int_equal(w->outcome.done, 2);
	assert_int_equal(world_number(w, "SELECT count(*) FROM phase"), 5);
	assert_int_equal(world_number(w, "SELECT count(*) FROM attempt_phase"), 6);
}

static void without_shared_phases_each_variant_runs_its_own(void **state)
{
	struct world *w = *state;
	world_packages(w, 2, false);
	run(w, 3);
	assert_int_equal(fake.n_seen, 12);
	assert_int_equal(world_boxes("p1", "next", "fetch"), 1);
	assert_int_equal(w->outcome.done, 4);
}

static struct fake_act trunk_fails(const struct fake_seen *b)
{
	if (says(b->phase, "fetch") && says(b->package, "p0"))
		return (struct fake_act){.exit_code = 1, .says = "npm error code E404\n"};
	return (struct fake_act){0};
}

static void a_failing_trunk_gives_its_result_to_each_branch(void **state)
{
	struct world *w = *state;
	world_packages(w, 2, true);
	fake.play = trunk_fails;
	run(w, 2);
	expect(w, "p0", "base", STATUS_FAIL, REASON_EXIT, "fetch");
	expect(w, "p0", "next", STATUS_FAIL, REASON_EXIT, "fetch");
	expect(w, "p1", "base", STATUS_PASS, REASON_OK, "test");
	assert_int_equal(world_boxes("p0", NULL, NULL), 1);
	assert_int_equal(world_result(w, "p0", "base")->wall_ms, 0);
	assert_int_equal(world_number(w, "SELECT count(*) FROM result WHERE exit_code = 1 AND "
					 "evidence LIKE '%E404%'"),
			 2);
	assert_int_equal(
		world_number(w,
			     "SELECT count(*) FROM attempt_phase a JOIN phase p ON p.id = a.phase "
			     "WHERE p.exit_code = 1"),
		2);
}

static struct fake_act build_of_next_fails(const struct fake_seen *b)
{
	return (struct fake_act){
		.exit_code = says(b->phase, "build") && says(b->variant, "next") ? 2 : 0};
}

static void a_phase_that_fails_is_the_last(void **state)
{
	struct world *w = *state;
	world_packages(w, 1, true);
	fake.play = build_of_next_fails;
	run(w, 1);
	expect(w, "p0", "base", STATUS_PASS, REASON_OK, "test");
	expect(w, "p0", "next", STATUS_FAIL, REASON_EXIT, "build");
	assert_int_equal(world_boxes(NULL, "next", "test"), 0);
	assert_int_equal(world_number(w, "SELECT exit_code FROM result WHERE status = 'fail'"), 2);
}

static void a_phase_sees_the_uppers_of_earlier_ones_newest_first(void **state)
{
	struct world *w = *state;
	size_t from = 0;
	world_packages(w, 1, true);
	run(w, 1);
	const struct fake_seen *fetch = world_box(&from, NULL, NULL, "fetch");
	from = 0;
	const struct fake_seen *build = world_box(&from, NULL, "base", "build");
	from = 0;
	const struct fake_seen *test = world_box(&from, NULL, "base", "test");
	assert_false(in_list(fetch->root, "/u"));
	assert_true(ends_with(build->root[0], "/0.fetch.1/u0"));
	assert_true(ends_with(test->root[0], ".build.1/u0"));
	assert_true(ends_with(test->root[1], "/0.fetch.1/u0"));
	assert_true(strstr(test->root[0], "/jobs/") != NULL);
}

/* p0 fetches quickly and brings something; p1 was already running; p2 begins while it is published,
 * p3 later. */
static struct fake_act fetches(const struct fake_seen *b)
{
	if (!says(b->phase, "fetch"))
		return (struct fake_act){.takes_ms = 1};
	if (says(b->package, "p0"))
		return (struct fake_act){.takes_ms = 10, .stores = "left-pad"};
	if (says(b->package, "p1"))
		return (struct fake_act){.takes_ms = 100, .stores = "lodash"};
	return (struct fake_act){.takes_ms = 10};
}

static void a_harvest_is_seen_by_the_next_box_and_not_by_running_ones(void **state)
{
	struct world *w = *state;
	world_packages(w, 4, true);
	fake.play = fetches;
	run(w, 2);
	size_t from = 0;
	assert_int_equal(world_box(&from, "p0", NULL, "fetch")->n_store, 0);
	from = 0;
	assert_int_equal(world_box(&from, "p1", NULL, "fetch")->n_store, 0);
	from = 0;
	const struct fake_seen *late = world_box(&from, "p3", NULL, "fetch");
	assert_true(late->began_ms < 100);
	assert_int_equal(late->n_store, 1);
	assert_non_null(strstr(late->store[0], "/layers/"));
	from = 0;
	const struct fake_seen *own = world_box(&from, "p1", "base", "test");
	size_t layers = 0;
	for (size_t i = 0; i < own->n_store; i++)
		layers += strstr(own->store[i], "/layers/") != NULL;
	assert_int_equal(layers, 2);
	assert_int_equal(world_number(w, "SELECT count(*) FROM generation"), 2);
	assert_int_equal(world_number(w, "SELECT count(*) FROM entry"), 2);
}

static void never_more_boxes_than_slots_and_all_of_them(void **state)
{
	struct world *w = *state;
	w->suite.phases[WORLD_FETCH].network = BOX_NET_NONE;
	world_packages(w, 20, true);
	fake.play = one_second;
	run(w, 7);
	assert_int_equal(fake.most, 7);
	assert_int_equal(fake.n_seen, 100);
	assert_true(fake.now_ms < 20 * 1000); /* 100 s of work in 7 slots: 15 s at the best */
}

static struct fake_act slow_fetch(const struct fake_seen *b)
{
	return (struct fake_act){.takes_ms = says(b->phase, "fetch") ? 10000 : 1000};
}

/* Five fetches at once take 40 s for 20 packages, and the 80 s of work of two processors go on
 * meanwhile. */
static void what_waits_for_a_network_holds_no_processor(void **state)
{
	struct world *w = *state;
	world_packages(w, 20, true);
	w->fetches = 5;
	w->suite.phases[WORLD_FETCH].offline_first = false;
	fake.play = slow_fetch;
	run(w, 2);
	assert_int_equal(fake.most, 7);
	assert_true(fake.now_ms < 60 * 1000);
}

/* p0 depends on p2, and p2 on p1; p3 on p4, and p4 on p3. */
static void what_a_package_depends_on_is_over_before_it_begins(void **state)
{
	struct world *w = *state;
	static uint32_t on[][1] = {{2}, {0}, {1}, {4}, {3}};
	world_packages(w, 5, true);
	for (size_t i = 0; i < 5; i++) {
		w->suite.packages[i].depends = on[i];
		w->suite.packages[i].n_depends = i != 1;
	}
	fake.play = one_second;
	run(w, 8);
	const struct fake_seen *last[5] = {NULL}, *first[5] = {NULL};
	for (size_t i = 0; i < fake.n_seen; i++) {
		size_t p = (size_t)(fake.seen[i].package[1] - '0');
		first[p] = first[p] ? first[p] : &fake.seen[i];
		last[p] = &fake.seen[i];
	}
	assert_int_equal(w->outcome.done, 10);
	assert_true(first[0]->began_ms >= last[2]->ended_ms);
	assert_true(first[2]->began_ms >= last[1]->ended_ms);
	assert_int_equal(first[3]->began_ms, 0);
	assert_int_equal(first[4]->began_ms, 0);
	for (size_t i = 0; i < 5; i++)
		w->suite.packages[i].depends = NULL;
}

/* p1 does not build under next, p4 can't be fetched, p6's goal is not reached. */
static struct fake_act some_end_early(const struct fake_seen *b)
{
	bool build = says(b->package, "p1") && says(b->phase, "build") && says(b->variant, "next");
	bool fetch = says(b->package, "p4") && says(b->phase, "fetch");
	bool test = says(b->package, "p6") && says(b->phase, "test");
	return (struct fake_act){.exit_code = build || fetch || test};
}

static void what_a_package_needs_and_was_not_made_leaves_it_no_chance(void **state)
{
	struct world *w = *state;
	/* p0 -> p1; p2 -> p0; p3 -> p4; p5 -> p6; p7 and p8 -> each other, and p7 -> p4 */
	static uint32_t on[][2] = {{1}, {0}, {0}, {4}, {0}, {6}, {0}, {8, 4}, {7}};
	static const size_t n_on[] = {1, 0, 1, 1, 0, 1, 0, 2, 1};
	for (int shared = 0; shared < 2; shared++) {
		world_packages(w, 9, shared);
		for (size_t i = 0; i < 9; i++) {
			w->suite.packages[i].depends = on[i];
			w->suite.packages[i].n_depends = n_on[i];
		}
		fake.play = some_end_early;
		run(w, 8);
		assert_int_equal(w->outcome.done, 18);
		expect(w, "p0", "base", STATUS_PASS, REASON_OK, "test");
		expect(w, "p0", "next", STATUS_BLOCK, REASON_DEP_FAILED,
		       shared ? "build" : "fetch");
		expect(w, "p2", "base", STATUS_PASS, REASON_OK, "test");
		expect(w, "p2", "next", STATUS_BLOCK, REASON_DEP_FAILED,
		       shared ? "build" : "fetch");
		expect(w, "p3", "base", STATUS_BLOCK, REASON_DEP_FAILED, "fetch");
		expect(w, "p3", "next", STATUS_BLOCK, REASON_DEP_FAILED, "fetch");
		expect(w, "p5", "next", STATUS_PASS, REASON_OK, "test");
		expect(w, "p7", "base", STATUS_BLOCK, REASON_DEP_FAILED, "fetch");
		expect(w, "p8", "base", STATUS_PASS, REASON_OK, "test");
		assert_int_equal(world_boxes("p3", NULL, NULL), 0);
		assert_int_equal(world_boxes("p0", "next", NULL), 0);
		assert_int_equal(world_number(w, "SELECT count(*) FROM v_job WHERE reason = "
						 "'dep-failed' AND evidence LIKE 'it depends on "
						 "p_, %' AND log IS NULL AND exit_code IS NULL"),
				 shared ? 12 : 6);
		for (size_t i = 0; i < 9; i++) {
			w->suite.packages[i].depends = NULL;
			if (!shared)
				free(w->suite.packages[i].id);
		}
		if (!shared)
			free(w->suite.packages);
		if (!shared)
			fake_reset();
	}
}

static struct fake_act p7_takes_long(const struct fake_seen *b)
{
	return (struct fake_act){.takes_ms = says(b->package, "p7") ? 9000 : 100};
}

static void what_took_longest_in_earlier_runs_begins_first(void **state)
{
	struct world *w = *state;
	world_packages(w, 12, false);
	fake.play = p7_takes_long;
	run(w, 2);
	size_t before = fake.n_seen;
	run(w, 2);
	for (size_t i = 0; i < 2; i++)
		assert_string_equal(fake.seen[before + i].package, "p7");
}

static void a_phase_takes_as_many_places_as_it_needs_processors(void **state)
{
	struct world *w = *state;
	w->suite.phases[WORLD_FETCH].network = BOX_NET_NONE;
	world_packages(w, 6, true);
	fake.play = one_second;
	for (size_t i = 0; i < WORLD_PHASES; i++)
		w->suite.phases[i].limits.cpus = 2;
	run(w, 5);
	assert_int_equal(fake.most, 2); /* 2 + 2 of 5 */
	assert_int_equal(w->outcome.done, 12);
}

static void a_phase_that_needs_more_processors_than_there_are_takes_all(void **state)
{
	struct world *w = *state;
	w->suite.phases[WORLD_FETCH].network = BOX_NET_NONE;
	world_packages(w, 4, true);
	fake.play = one_second;
	for (size_t i = 0; i < WORLD_PHASES; i++)
		w->suite.phases[i].limits.cpus = 4096;
	run(w, 3);
	assert_int_equal(fake.most, 1);
	assert_int_equal(w->outcome.done, 8);
}

static struct fake_act everything_is_there(const struct fake_seen *b)
{
	if (says(b->phase, "fetch") && b->networked)
		return (struct fake_act){.stores = b->package};
	return (struct fake_act){.exit_code = says(b->phase, "fetch") && !b->n_store};
}

static void once_offline_passes_nothing_networked_runs(void **state)
{
	struct world *w = *state;
	world_packages(w, 4, true);
	fake.play = everything_is_there;
	run(w, 1);
	size_t first = fake.n_seen, networked = 0;
	for (size_t i = 0; i < first; i++)
		networked += fake.seen[i].networked;
	assert_int_equal(networked,
			 2); /* p0, and p1, which began while p0's harvest was published */
	world_reopen(w);
	run(w, 2);
	for (size_t i = first; i < fake.n_seen; i++)
		assert_false(fake.seen[i].networked);
	assert_int_equal(w->outcome.done, 8);
	assert_int_equal(world_number(w, "SELECT count(*) FROM phase WHERE network = 'host'"), 2);
}

static enum box_end offline_end;

static size_t thrown_away;

/* By the time of a build, whatever its package's first, abandoned try had written is gone from the
 * disk. */
static void look_for_the_first_try(const struct fake_seen *b)
{
	for (char **dir = b->root; *dir; dir++) {
		char *try = strstr(*dir, ".fetch.2/");
		if (!try)
			continue;
		auto_free char *first = own_fmt("%.*s.fetch.1", (int)(try - *dir), *dir);
		assert_int_equal(access(*dir, F_OK), 0);
		assert_int_equal(access(first, F_OK), -1);
		thrown_away++;
	}
}

static struct fake_act needs_the_network(const struct fake_seen *b)
{
	look_for_the_first_try(b);
	if (!says(b->phase, "fetch"))
		return (struct fake_act){0};
	if (b->networked)
		return (struct fake_act){.takes_ms = 10, .stores = b->package, .leaves = "online"};
	return (struct fake_act){.end = offline_end,
				 .exit_code = 1,
				 .says = "npm error code ENOTCACHED\n",
				 .stores = "half",
				 .leaves = "offline"};
}

static void an_offline_failure_is_repeated_with_the_network_and_only_that_counts(void **state)
{
	struct world *w = *state;
	world_packages(w, 3, true);
	fake.play = needs_the_network;
	offline_end = BOX_EXITED;
	thrown_away = 0;
	run(w, 1); /* p0 and p1 find an empty store and do not try */
	expect(w, "p2", "base", STATUS_PASS, REASON_OK, "test");
	offline_end = BOX_LIMITED;
	run(w, 1);
	expect(w, "p0", "next", STATUS_PASS, REASON_OK, "test");
	expect(w, "p2", "base", STATUS_PASS, REASON_OK, "test");
	assert_int_equal(thrown_away, 4 * 4); /* of four packages, each build and test */
	size_t from = 0;
	const struct fake_seen *offline = world_box(&from, "p2", NULL, "fetch"),
			       *online = world_box(&from, "p2", NULL, "fetch");
	assert_true(offline->offline && !offline->networked);
	assert_true(!online->offline && online->networked);
	for (const struct fake_seen *b; (b = world_box(&from, "p2", NULL, NULL));)
		if (!says(b->phase, "fetch"))
			assert_true(in_list(b->root, ".fetch.2/u0") &&
				    !in_list(b->root, ".fetch.1/u0"));
	assert_int_equal(
		world_number(w,
			     "SELECT count(*) FROM attempt_phase a JOIN phase p ON p.id = a.phase "
			     "WHERE p.exit_code <> 0"),
		0);
	assert_int_equal(
		world_number(w, "SELECT count(*) FROM entry WHERE CAST(path AS TEXT) = 'half'"), 0);
	assert_int_equal(
		world_number(
			w, "SELECT count(*) FROM phase WHERE network = 'none' AND name = 'fetch'"),
		4);
}

static struct fake_act says_much(const struct fake_seen *b)
{
	return (struct fake_act){.output = says(b->phase, "test") ? (size_t)8 << 20 : 0,
				 .says = "the end\n"};
}

static void output_waits_for_the_disk_and_is_kept(void **state)
{
	struct world *w = *state;
	world_packages(w, 1, true);
	fake.play = says_much;
	run(w, 2);
	assert_true(fake.pauses > 0);
	assert_int_equal(world_number(w, "SELECT count(*) FROM phase WHERE name = 'test' AND "
					 "log_bytes = output_bytes + 8"),
			 2);
}

static void a_run_of_many_ends_with_every_job_done(void **state)
{
	struct world *w = *state;
	world_packages(w, 300, true);
	fake.play = build_of_next_fails;
	run(w, 16);
	assert_int_equal(w->outcome.done, 600);
	assert_int_equal(w->n_news, 600);
	assert_int_equal(world_number(w, "SELECT count(*) FROM job WHERE state <> 'done'"), 0);
	assert_int_equal(world_number(w, "SELECT count(*) FROM result WHERE status = 'pass'"), 300);
	assert_int_equal(
		world_number(
			w, "SELECT count(*) FROM result WHERE status = 'fail' AND phase = 'build'"),
		300);
	assert_int_equal(world_number(w, "SELECT count(*) FROM phase WHERE ended_ms IS NULL"), 0);
}

static void what_a_phase_may_reaches_its_boxes_and_the_database(void **state)
{
	struct world *w = *state;
	world_packages(w, 1, false);
	w->suite.phases[0].network = BOX_NET_HOST;
	w->suite.phases[1].loosen = BOX_LOOSEN_USERNS | BOX_LOOSEN_DUMPS;
	run(w, 1);
	unsigned told = 0;
	for (size_t i = 0; i < fake.n_seen; i++)
		told += fake.seen[i].loosen == (BOX_LOOSEN_USERNS | BOX_LOOSEN_DUMPS) &&
			says(fake.seen[i].phase, w->suite.phases[1].name);
	w->suite.phases[1].loosen = 0;
	assert_int_equal(told, 2);
	assert_int_equal(world_number(w, "SELECT count(*) FROM phase WHERE profile = "
					 "'default+userns+dumps'"),
			 2);
	assert_int_equal(world_number(w, "SELECT count(*) FROM phase WHERE profile NOT IN "
					 "('default', 'default+userns+dumps')"),
			 0);
}

/* Names that would meet in one file name, or be too long for one, do not. */
static struct fake_act says_hello(const struct fake_seen *b)
{
	(void)b;
	return (struct fake_act){.says = "hello\n"};
}

static void every_phase_has_a_log_of_its_own(void **state)
{
	struct world *w = *state;
	char longest[400];
	struct suite_variant odd[2] = {{.name = (char[]){"b.c"}}, {.name = (char[]){"c"}}};
	struct suite_variant *usual = w->suite.variants;
	memset(longest, 'l', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	world_packages(w, 4, false);
	static const char *const ids[] = {"a", "a.b", "@scope/..", NULL};
	for (size_t i = 0; i < 4; i++) {
		struct suite_package *p = &w->suite.packages[i];
		free(p->id);
		p->id = p->name = own_dup(ids[i] ? ids[i] : longest);
	}
	w->suite.variants = odd;
	fake.play = says_hello;
	run(w, 4);
	w->suite.variants = usual;
	assert_int_equal(w->outcome.done, 8);
	assert_int_equal(world_number(w, "SELECT count(DISTINCT log) FROM phase"), 24);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, world_set_up, world_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(a_plan_without_units_is_a_run_without_results),
		STORY(a_trunk_runs_once_and_serves_its_branches),
		STORY(without_shared_phases_each_variant_runs_its_own),
		STORY(a_failing_trunk_gives_its_result_to_each_branch),
		STORY(a_phase_that_fails_is_the_last),
		STORY(a_phase_sees_the_uppers_of_earlier_ones_newest_first),
		STORY(a_harvest_is_seen_by_the_next_box_and_not_by_running_ones),
		STORY(never_more_boxes_than_slots_and_all_of_them),
		STORY(what_waits_for_a_network_holds_no_processor),
		STORY(what_a_package_depends_on_is_over_before_it_begins),
		STORY(what_a_package_needs_and_was_not_made_leaves_it_no_chance),
		STORY(what_took_longest_in_earlier_runs_begins_first),
		STORY(a_phase_takes_as_many_places_as_it_needs_processors),
		STORY(a_phase_that_needs_more_processors_than_there_are_takes_all),
		STORY(once_offline_passes_nothing_networked_runs),
		STORY(an_offline_failure_is_repeated_with_the_network_and_only_that_counts),
		STORY(output_waits_for_the_disk_and_is_kept),
		STORY(a_run_of_many_ends_with_every_job_done),
		STORY(what_a_phase_may_reaches_its_boxes_and_the_database),
		STORY(every_phase_has_a_log_of_its_own),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
