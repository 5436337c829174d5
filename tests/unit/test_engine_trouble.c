/* orchestrator/engine.c, job*.c: a run that is interrupted, or that meets trouble of our own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/engine_world.h"

#include <fcntl.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

static bool says(const char *a, const char *b)
{
	return !strcmp(a, b);
}

static size_t jobs_with_result(struct world *w)
{
	return (size_t)world_number(w, "SELECT count(*) FROM result");
}

/* The machine kills p1's build once, and p2's test always. */
static struct fake_act out_of_memory(const struct fake_seen *b)
{
	static size_t tries;
	bool once = says(b->package, "p1") && says(b->phase, "build") && !(tries++ & 1);
	bool always = says(b->package, "p2") && says(b->phase, "test");
	return (struct fake_act){.host_oom_kills = once || always};
}

static void what_the_machine_killed_is_tried_again_and_then_our_trouble(void **state)
{
	struct world *w = *state;
	world_packages(w, 4, false);
	fake.play = out_of_memory;
	assert_int_equal(world_run(w, 1), 0);
	assert_int_equal(world_result(w, "p1", "base")->status, STATUS_PASS);
	const struct world_news *n = world_result(w, "p2", "base");
	assert_string_equal(status_name(n->status), "infra");
	assert_string_equal(reason_name(n->reason), "host-oom");
	assert_int_equal(world_boxes("p2", "base", "test"), 3);
	assert_int_equal(world_number(w, "SELECT sum(host_oom_kills) FROM v_phase"), 2 * 3 + 2);
}

/* ---- signals ---- */

static struct fake_act one_second(const struct fake_seen *b)
{
	(void)b;
	return (struct fake_act){.takes_ms = 1000};
}

static size_t cancelled(void)
{
	size_t n = 0;
	for (size_t i = 0; i < fake.n_seen; i++)
		n += fake.seen[i].cancelled;
	return n;
}

static void a_first_signal_lets_running_boxes_end_and_starts_nothing_more(void **state)
{
	struct world *w = *state;
	w->suite.phases[WORLD_FETCH].network = BOX_NET_NONE;
	world_packages(w, 10, true);
	fake.play = one_second;
	fake.signals[0].at_ms = 2500;
	fake.signals[0].number = SIGINT;
	assert_int_equal(world_run(w, 4), 0);
	assert_true(w->outcome.interrupted);
	assert_int_equal(cancelled(), 0);
	for (size_t i = 0; i < fake.n_seen; i++)
		assert_true(fake.seen[i].began_ms <= 2500);
	assert_int_equal(fake.n_seen, 12);
	assert_int_equal(w->outcome.done, w->n_news);
	assert_int_equal(jobs_with_result(w), w->n_news);
	assert_int_equal(world_number(w, "SELECT count(*) FROM job WHERE state = 'done'"),
			 w->n_news);
	/* What had been made ready for the next boxes has rows that say that nothing ran. */
	assert_int_equal(world_number(w, "SELECT count(*) FROM phase WHERE ended_as = 'exited'"),
			 12);
	assert_int_equal(world_number(w, "SELECT count(*) FROM phase WHERE ended_as IS NULL OR "
					 "(ended_as <> 'exited' AND (ended_as <> 'cancelled' OR "
					 "wall_us))"),
			 0);
}

static void a_second_signal_ends_what_runs_gently_and_records_no_result_of_it(void **state)
{
	struct world *w = *state;
	w->suite.phases[WORLD_FETCH].network = BOX_NET_NONE;
	world_packages(w, 10, true);
	fake.play = one_second;
	fake.signals[0].at_ms = 1500;
	fake.signals[0].number = SIGINT;
	fake.signals[1].at_ms = 1600;
	fake.signals[1].number = SIGTERM;
	assert_int_equal(world_run(w, 4), 0);
	assert_true(w->outcome.interrupted);
	assert_int_equal(cancelled(), 4);
	for (size_t i = 0; i < fake.n_seen; i++)
		assert_true(!fake.seen[i].cancelled ||
			    (fake.seen[i].gently && fake.seen[i].ended_ms == 2100));
	assert_int_equal(w->n_news, 0);
	assert_int_equal(jobs_with_result(w), 0);
	assert_int_equal(world_number(w, "SELECT count(*) FROM phase WHERE ended_as = 'cancelled' "
					 "AND wall_us"),
			 4);
}

static void a_third_signal_ends_it_at_once(void **state)
{
	struct world *w = *state;
	w->suite.phases[WORLD_FETCH].network = BOX_NET_NONE;
	world_packages(w, 4, true);
	fake.play = one_second;
	for (size_t i = 0; i < 3; i++) {
		fake.signals[i].at_ms = 1500 + 100 * i;
		fake.signals[i].number = SIGINT;
	}
	assert_int_equal(world_run(w, 2), 0);
	assert_int_equal(cancelled(), 2);
	for (size_t i = 0; i < fake.n_seen; i++)
		assert_true(!fake.seen[i].cancelled ||
			    (!fake.seen[i].gently && fake.seen[i].ended_ms == 1700));
	assert_int_equal(w->n_news, 0);
}

static struct fake_act brings_something(const struct fake_seen *b)
{
	/* under the box's own name, which no other run has: always something new */
	return (struct fake_act){.takes_ms = 1000,
				 .stores = says(b->phase, "fetch") ? b->name : NULL};
}

static void what_a_stopped_run_fetched_is_kept(void **state)
{
	struct world *w = *state;
	world_packages(w, 4, true);
	fake.play = brings_something;
	fake.signals[0].at_ms = 500;
	fake.signals[0].number = SIGINT;
	assert_int_equal(world_run(w, 2), 0);
	assert_int_equal(fake.n_seen, 2);
	assert_int_equal(world_number(w, "SELECT count(*) FROM entry"), 2);
	assert_int_equal(w->outcome.done, 0);
}

/* The signal may come at any moment: the run ends, and what it counted is what it recorded. */
static void a_signal_at_any_moment_leaves_whole_results(void **state)
{
	struct world *w = *state;
	world_packages(w, 4, true);
	fake.play = brings_something;
	for (uint64_t at = 0; at < 12; at++) {
		int64_t before = (int64_t)jobs_with_result(w);
		fake.now_ms = 0;
		fake.signals[0].at_ms = at * 900;
		fake.signals[0].number = SIGTERM;
		fake.signals[1].at_ms = at * 900 + (at % 3) * 150;
		fake.signals[1].number = at % 2 ? SIGTERM : 0;
		assert_int_equal(world_run(w, 2), 0);
		assert_int_equal(jobs_with_result(w) - (size_t)before, w->outcome.done);
		assert_int_equal(w->outcome.done, w->n_news);
		assert_int_equal(w->outcome.interrupted, w->n_news < 8);
	}
}

static struct fake_act the_first_box_brings_a_signal(const struct fake_seen *b)
{
	(void)b;
	if (fake.n_seen == 1)
		raise(SIGINT);
	return (struct fake_act){.takes_ms = 1000};
}

/* Six hundred jobs are on their way to a box, whose rows are written in groups of at most 256.
 * Those of the group that the signal comes with, and those of a next one that the loop hears of at
 * the same time as of the signal, may be started; nothing after that. */
static void a_box_that_is_being_made_ready_is_not_started_any_more(void **state)
{
	struct world *w = *state;
	world_packages(w, 600, true);
	fake.play = the_first_box_brings_a_signal;
	assert_int_equal(world_run(w, 600), 0);
	assert_in_range(fake.n_seen, 1, 512);
	assert_true(w->outcome.interrupted);
	assert_int_equal(w->outcome.done, 0);
	/* Its row has an end too. */
	assert_int_equal(world_number(w, "SELECT count(*) FROM phase WHERE ended_ms IS NULL"), 0);
}

/* ---- boxes that are no boxes ---- */

static struct fake_act some_never_are(const struct fake_seen *b)
{
	return (struct fake_act){.never = says(b->variant, "next") && says(b->phase, "build")};
}

static void a_box_that_cannot_be_made_is_our_trouble_with_that_job_only(void **state)
{
	struct world *w = *state;
	world_packages(w, 6, true);
	fake.play = some_never_are;
	assert_int_equal(world_run(w, 2), 0);
	assert_int_equal(w->outcome.done, 12);
	const struct world_news *n = world_result(w, "p3", "next");
	assert_int_equal(n->status, STATUS_INFRA);
	assert_int_equal(n->reason, REASON_BOX_START);
	assert_int_equal(world_result(w, "p3", "base")->status, STATUS_PASS);
	assert_int_equal(
		world_number(w, "SELECT count(*) FROM phase WHERE error LIKE 'no box for r%'"),
		18); /* three tries each */
	assert_int_equal(world_number(w, "SELECT max(number) FROM attempt"), 1);
}

static struct fake_act none_ever_is(const struct fake_seen *b)
{
	(void)b;
	return (struct fake_act){.never = true};
}

static void where_no_box_can_be_made_not_all_are_tried(void **state)
{
	struct world *w = *state;
	world_packages(w, 50, true);
	fake.play = none_ever_is;
	assert_int_equal(world_run(w, 4), -1);
	assert_non_null(strstr(w->err.text, "because of our own trouble: box-start: no box for r"));
	assert_in_range(fake.n_seen, 8, 50); /* of 150: some are under way when it is enough */
	assert_int_equal(jobs_with_result(w), w->n_news);
}

static void a_disk_without_room_ends_the_run_and_blames_nobody(void **state)
{
	struct world *w = *state;
	static const struct readings full = {.disk_free = 1 << 20, .disk_inodes = UINT64_MAX};
	world_packages(w, 4, true);
	world_machine = &full;
	int rc = world_run(w, 2);
	world_machine = NULL;
	assert_int_equal(rc, -1);
	assert_int_equal(w->err.sys, ENOSPC);
	assert_non_null(strstr(w->err.text, "too little room"));
	assert_int_equal(fake.n_seen, 0);
	assert_int_equal(jobs_with_result(w), 0);
}

static void without_a_sandbox_there_is_no_run(void **state)
{
	struct world *w = *state;
	world_packages(w, 2, true);
	fake.no_sandbox = true;
	assert_int_equal(world_run(w, 2), -1);
	assert_string_equal(w->err.text, "no sandbox today");
	assert_int_equal(w->outcome.done, 0);
	assert_int_equal(fake.n_seen, 0);
}

static void a_limit_that_cannot_be_kept_is_said_before_anything_runs(void **state)
{
	struct world *w = *state;
	world_packages(w, 2, true);
	w->suite.phases[1].limits.cpu_milli = 13;
	assert_int_equal(world_run(w, 2), -1);
	assert_non_null(strstr(w->err.text, w->suite.phases[1].name));
	assert_non_null(strstr(w->err.text, "--best-effort"));
	assert_non_null(strstr(w->err.text, "thirteen is no quota"));
	assert_int_equal(fake.n_seen, 0);
}

/* ---- harvests ---- */

static void a_refused_harvest_is_told_and_the_job_goes_on(void **state)
{
	struct world *w = *state;
	struct cache_rule reject = {"*", CACHE_REJECT};
	world_packages(w, 2, true);
	w->suite.stores[0].rules = &reject;
	w->suite.stores[0].n_rules = 1;
	fake.play = brings_something;
	int rc = world_run(w, 2);
	w->suite.stores[0].rules = NULL;
	w->suite.stores[0].n_rules = 0;
	assert_int_equal(rc, 0);
	assert_int_equal(w->outcome.done, 4);
	const struct world_news *n = world_result(w, "p1", "base");
	assert_int_equal(n->status, STATUS_PASS);
	assert_non_null(n->note);
	assert_non_null(strstr(n->note, "harvest refused: "));
	assert_int_equal(world_number(w, "SELECT count(*) FROM generation"), 0);
	assert_int_equal(
		world_number(w, "SELECT count(*) FROM phase WHERE error LIKE 'harvest refused: %'"),
		2);
}

static void a_high_stack_of_layers_becomes_one(void **state)
{
	struct world *w = *state;
	world_packages(w, CACHE_MAX_LAYERS + 3, true);
	fake.play = brings_something;
	assert_int_equal(world_run(w, 1), 0);
	for (size_t i = 0; i < fake.n_seen; i++)
		assert_true(fake.seen[i].n_store <= CACHE_MOST_LAYERS + 2); /* and its own upper */
	assert_true(world_number(w, "SELECT count(*) FROM generation WHERE made_by = 'flatten'") >
		    0);
	assert_true(world_number(w, "SELECT count(*) FROM generation_layer g JOIN store s ON"
				    " s.current = g.generation") <= CACHE_MAX_LAYERS);
	world_reopen(w);
	assert_int_equal(world_run(w, 1), 0);
	assert_int_equal(w->outcome.done, 2 * (CACHE_MAX_LAYERS + 3));
}

/* ---- trouble of our own ---- */

static struct world *troubled;

/* The log of p2's test under `next` is there already, while other boxes run. */
static struct fake_act a_log_is_in_the_way(const struct fake_seen *b)
{
	if (says(b->package, "p2") && says(b->variant, "next") && says(b->phase, "build")) {
		auto_free char *log =
			own_fmt("runs/%lld/p2.next.build.log.zst", (long long)troubled->run);
		auto_fd int fd =
			openat(troubled->state->fd, log, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
		assert_true(fd >= 0);
		return (struct fake_act){.takes_ms = 10, .says = "built\n"};
	}
	return (struct fake_act){.takes_ms = 1000};
}

static void trouble_of_our_own_ends_all_boxes_and_is_told_once(void **state)
{
	struct world *w = troubled = *state;
	world_packages(w, 6, true);
	fake.play = a_log_is_in_the_way;
	assert_int_equal(world_run(w, 3), -1);
	assert_string_equal(w->err.text, "create log p2.next.build.log.zst: File exists");
	assert_true(cancelled() > 0);
	for (size_t i = 0; i < fake.n_seen; i++)
		assert_true(!fake.seen[i].cancelled || !fake.seen[i].gently);
	assert_null(world_result(w, "p2", "next"));
	assert_int_equal(jobs_with_result(w), w->n_news);
	assert_int_equal(w->outcome.done, w->n_news);
	assert_int_equal(world_number(w, "SELECT count(*) FROM run WHERE state = 'aborted'"), 1);
}

/* The database was deleted, the logs were not: run numbers begin anew. */
static void logs_of_a_database_that_is_gone_are_not_in_the_way(void **state)
{
	struct world *w = *state;
	world_packages(w, 1, true);
	assert_int_equal(mkdirat(w->state->fd, "runs/1", 0700), 0);
	int fd = openat(w->state->fd, "runs/1/p0.base.build.log.zst",
			O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(world_run(w, 2), 0);
	assert_int_equal(w->run, 1);
	assert_int_equal(w->outcome.done, 2);
}

/* The database says no at its 1st, 2nd, … change of each table: every run ends, tells it, and
 * leaves nothing behind. */
static void the_database_may_say_no_at_any_row(void **state)
{
	static const char *const changes[] = {
		"INSERT ON attempt",           "INSERT ON phase",
		"UPDATE OF ended_ms ON phase", "INSERT ON result",
		"INSERT ON generation",        "INSERT ON harvest",
		"UPDATE OF current ON store",  "UPDATE OF state ON job",
	};
	struct world *w = *state;
	size_t failed = 0;
	world_packages(w, 3, true);
	fake.play = brings_something;
	for (size_t i = 0; i < countof(changes); i++)
		for (int nth = 1; nth <= 4; nth++) {
			auto_free char *sql = own_fmt(
				"CREATE TABLE fault (left INTEGER); INSERT INTO fault VALUES (%d);"
				"CREATE TRIGGER fault_1 BEFORE %s WHEN (SELECT left FROM fault) <= "
				"1 BEGIN SELECT RAISE(ABORT, 'row %d'); END;"
				"CREATE TRIGGER fault_2 BEFORE %s BEGIN UPDATE fault SET left = "
				"left - 1; END;",
				nth, changes[i], nth, changes[i]);
			world_reopen(w);
			world_exec(w, sql);
			int64_t before = (int64_t)jobs_with_result(w);
			int rc = world_run(w, 2);
			world_exec(w,
				   "DROP TRIGGER fault_1; DROP TRIGGER fault_2; DROP TABLE fault");
			assert_int_equal(jobs_with_result(w) - (size_t)before, w->outcome.done);
			assert_int_equal(w->outcome.done, w->n_news);
			if (rc) {
				failed++;
				assert_non_null(strstr(w->err.text, "row"));
			} else {
				assert_int_equal(w->outcome.done, 6);
			}
		}
	assert_true(failed >= 3 * countof(changes));
	assert_int_equal(world_run(w, 2), 0);
}

/* All harvests wait for the first one, which can't be recorded: none of the others is served. What
 * goes wrong later is not what is told. */
static void trouble_in_a_publish_lets_no_other_be_served(void **state)
{
	struct world *w = *state;
	world_packages(w, 8, true);
	fake.play = brings_something;
	world_exec(w, "CREATE TRIGGER fault_1 BEFORE INSERT ON harvest BEGIN SELECT RAISE(ABORT, "
		      "'the first trouble'); END;"
		      "CREATE TRIGGER fault_2 BEFORE UPDATE OF ended_ms ON phase BEGIN SELECT "
		      "RAISE(ABORT, 'the second'); END;");
	assert_int_equal(world_run(w, 8), -1);
	assert_non_null(strstr(w->err.text, "the first trouble"));
	world_exec(w, "DROP TRIGGER fault_1; DROP TRIGGER fault_2");
	assert_int_equal(fake.most, 8);
	assert_int_equal(world_number(w, "SELECT count(*) FROM harvest"), 0);
	world_reopen(w);
	assert_int_equal(world_run(w, 8), 0);
	assert_int_equal(w->outcome.done, 16);
}

/* The state directory stays open: the next run goes on where the last commit ended. */
static void a_frame_that_was_not_committed_is_written_over(void **state)
{
	static const char sum[] = "SELECT coalesce(sum(bytes), 0) FROM frame";
	struct world *w = *state;
	struct stat st;
	world_packages(w, 3, true);
	fake.play = brings_something;
	for (int i = 0; i < 2; i++) {
		world_exec(w, "CREATE TRIGGER fault BEFORE INSERT ON frame BEGIN SELECT "
			      "RAISE(ABORT, 'no frame'); END;");
		assert_int_equal(world_run(w, 2), -1);
		world_exec(w, "DROP TRIGGER fault");
		assert_int_equal(world_number(w, sum), 0);
	}
	assert_int_equal(world_run(w, 2), 0);
	assert_int_equal(fstatat(w->state->fd, "seg/000001.tar.zst", &st, 0), 0);
	assert_true(st.st_size > 0);
	assert_int_equal(world_number(w, sum), st.st_size);
	assert_int_equal(world_number(w, "SELECT bytes FROM segment"), st.st_size);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, world_set_up, world_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(what_the_machine_killed_is_tried_again_and_then_our_trouble),
		STORY(a_first_signal_lets_running_boxes_end_and_starts_nothing_more),
		STORY(a_second_signal_ends_what_runs_gently_and_records_no_result_of_it),
		STORY(a_third_signal_ends_it_at_once),
		STORY(what_a_stopped_run_fetched_is_kept),
		STORY(a_signal_at_any_moment_leaves_whole_results),
		STORY(a_box_that_is_being_made_ready_is_not_started_any_more),
		STORY(a_box_that_cannot_be_made_is_our_trouble_with_that_job_only),
		STORY(where_no_box_can_be_made_not_all_are_tried),
		STORY(a_disk_without_room_ends_the_run_and_blames_nobody),
		STORY(without_a_sandbox_there_is_no_run),
		STORY(a_limit_that_cannot_be_kept_is_said_before_anything_runs),
		STORY(a_refused_harvest_is_told_and_the_job_goes_on),
		STORY(a_high_stack_of_layers_becomes_one),
		STORY(trouble_of_our_own_ends_all_boxes_and_is_told_once),
		STORY(logs_of_a_database_that_is_gone_are_not_in_the_way),
		STORY(the_database_may_say_no_at_any_row),
		STORY(trouble_in_a_publish_lets_no_other_be_served),
		STORY(a_frame_that_was_not_committed_is_written_over),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
