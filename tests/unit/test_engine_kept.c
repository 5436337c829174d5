/* orchestrator/job_keep.c: what a run's shared phases left is there when it is gone on with, and is
 * used if it is what it was; nothing that is in use goes, and nothing stays in use. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/engine_world.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

/* fetch, build and test take 100 ms each, and leave something. */
static struct fake_act leaves(const struct fake_seen *b)
{
	return (struct fake_act){.takes_ms = 100, .leaves = b->phase, .says = "said\n"};
}

static int set_up(void **state)
{
	int rc = world_set_up(state);
	struct world *w = *state;
	w->keep_bytes = 1 << 30;
	w->reuse = true;
	fake.play = leaves;
	return rc;
}

static void stop_at(uint64_t at_ms, unsigned signals)
{
	memset(fake.signals, 0, sizeof(fake.signals));
	for (unsigned i = 0; i < signals; i++) {
		fake.signals[i].at_ms = at_ms;
		fake.signals[i].number = 15;
	}
}

/* A run of one package whose shared phase was over when it was stopped. */
static void stopped(struct world *w)
{
	if (!w->suite.n_packages)
		world_packages(w, 1, true);
	stop_at(fake.now_ms + 150, 2);
	if (world_run(w, 2))
		fail_msg("%s", w->err.text);
	assert_true(w->outcome.interrupted);
	stop_at(0, 0);
}

static void gone_on_with(struct world *w)
{
	world_reopen(w);
	if (world_resume(w, 2))
		fail_msg("%s", w->err.text);
	assert_false(w->outcome.interrupted);
	assert_int_equal(world_number(w, "SELECT count(*) FROM v_result WHERE status = 'pass' AND "
					 "run = (SELECT max(id) FROM run)"),
			 2);
	assert_int_equal(world_number(w, "SELECT count(*) FROM kept WHERE in_use"), 0);
}

static int kept_dirs(struct world *w)
{
	auto_fd int fd = openat(w->state->fd, "kept", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fdopendir(dup(fd));
	int n = 0;
	for (struct dirent *it; (it = readdir(d));)
		n += it->d_name[0] != '.';
	closedir(d);
	return n;
}

static bool sees_kept(const struct fake_seen *b)
{
	bool any = false;
	for (char **p = b->root; *p; p++)
		any |= strstr(*p, "/kept/") != NULL;
	return any;
}

static void what_a_stopped_run_shared_is_not_run_again(void **state)
{
	struct world *w = *state;
	size_t from = 0, builds = 0;
	const struct fake_seen *b;
	stopped(w);
	gone_on_with(w);
	assert_int_equal(world_boxes("p0", "", "fetch"), 1);
	/* also the builds of the part before saw it where it stays */
	for (; (b = world_box(&from, "p0", NULL, "build")); builds++)
		assert_true(sees_kept(b));
	assert_int_equal(builds, 4);
	assert_int_equal(w->outcome.reused, 1);
	assert_int_equal(kept_dirs(w), world_number(w, "SELECT count(*) FROM kept"));
	/* each result says which boxes it came of */
	assert_int_equal(
		world_number(w, "SELECT count(*) FROM attempt_phase ap JOIN phase f ON f.id = "
				"ap.phase WHERE f.name = 'fetch' AND f.ended_as = 'exited'"),
		2);
}

static void nor_is_it_where_the_run_ended_by_trouble(void **state)
{
	struct world *w = *state;
	world_packages(w, 1, true);
	world_exec(w, "CREATE TRIGGER fault BEFORE INSERT ON phase WHEN NEW.name = 'build' BEGIN "
		      "SELECT RAISE(ABORT, 'refused'); END");
	assert_int_equal(world_run(w, 2), -1);
	world_exec(w, "DROP TRIGGER fault");
	gone_on_with(w);
	assert_int_equal(world_boxes("p0", "", "fetch"), 1);
}

/* Such a run uses nothing of others; this is its own. */
static void nor_where_everything_was_to_run(void **state)
{
	struct world *w = *state;
	world_packages(w, 1, true);
	if (world_run(w, 2))
		fail_msg("%s", w->err.text);
	w->reuse = false;
	stopped(w);
	assert_int_equal(world_boxes("p0", "", "fetch"), 2);
	gone_on_with(w);
	assert_int_equal(world_boxes("p0", "", "fetch"), 2);
	assert_int_equal(world_boxes("p0", NULL, "build"), 2 + 4);
	assert_int_equal(kept_dirs(w), world_number(w, "SELECT count(*) FROM kept"));
}

static void change_kept(struct world *w)
{
	auto_free char *file =
		own_fmt("kept/%lld/u0/fetch",
			(long long)world_number(w,
						"SELECT k.phase FROM kept k JOIN phase f ON f.id = "
						"k.phase WHERE f.name = 'fetch'"));
	auto_fd int fd = openat(w->state->fd, file, O_WRONLY | O_TRUNC | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "other", 5), 5);
}

static void what_is_not_what_it_was_is_made_again(void **state)
{
	struct world *w = *state;
	stopped(w);
	change_kept(w);
	gone_on_with(w);
	assert_int_equal(world_boxes("p0", "", "fetch"), 2);
	assert_int_equal(kept_dirs(w), world_number(w, "SELECT count(*) FROM kept"));
}

static void what_no_row_names_is_made_again(void **state)
{
	struct world *w = *state;
	stopped(w);
	world_exec(w, "DELETE FROM kept");
	gone_on_with(w);
	assert_int_equal(world_boxes("p0", "", "fetch"), 2);
	assert_int_equal(kept_dirs(w), world_number(w, "SELECT count(*) FROM kept"));
}

static void what_did_not_come_to_its_end_is_made_again(void **state)
{
	struct world *w = *state;
	world_packages(w, 1, true);
	stop_at(50, 2);
	assert_int_equal(world_run(w, 2), 0);
	stop_at(0, 0);
	assert_int_equal(kept_dirs(w), 0);
	gone_on_with(w);
	assert_int_equal(world_boxes("p0", "", "fetch"), 2);
}

/* Where next to nothing may stay, what branches still see does. */
static void what_is_in_use_does_not_go(void **state)
{
	struct world *w = *state;
	size_t from = 0;
	w->keep_bytes = 1;
	world_packages(w, 3, true);
	if (world_run(w, 4))
		fail_msg("%s", w->err.text);
	for (const struct fake_seen *b; (b = world_box(&from, NULL, NULL, NULL));)
		assert_true(b->ended);
	assert_int_equal(w->outcome.done, 6);
	assert_int_equal(world_number(w, "SELECT count(*) FROM kept"), kept_dirs(w));
	assert_int_equal(world_number(w, "SELECT coalesce(sum(bytes), 0) <= 1 FROM kept"), 1);
}

#define FETCHES                                                                                    \
	"SELECT sum(k.phase) FROM kept k JOIN phase f ON f.id = k.phase WHERE f.name = 'fetch'"

/* Others of the same key that are in use stay, and this run's own serve it as long as it needs
 * them.
 */
static void beside_others_in_use_its_own_serve(void **state)
{
	struct world *w = *state;
	world_packages(w, 1, true);
	if (world_run(w, 2))
		fail_msg("%s", w->err.text);
	int64_t was = world_number(w, FETCHES);
	world_exec(w, "UPDATE kept SET in_use = 1");
	w->reuse = false;
	if (world_run(w, 2))
		fail_msg("%s", w->err.text);
	assert_int_equal(w->outcome.done, 2);
	assert_int_equal(world_number(w, FETCHES), was);
	assert_int_equal(kept_dirs(w), world_number(w, "SELECT count(*) FROM kept"));
}

static struct fake_act fetch_fails(const struct fake_seen *b)
{
	struct fake_act act = leaves(b);
	act.exit_code = !strcmp(b->phase, "fetch");
	return act;
}

static void a_failure_in_what_is_shared_ends_all(void **state)
{
	struct world *w = *state;
	fake.play = fetch_fails;
	world_packages(w, 2, true);
	if (world_run(w, 2))
		fail_msg("%s", w->err.text);
	assert_int_equal(world_number(w, "SELECT count(*) FROM v_result WHERE status = 'fail'"), 4);
	assert_int_equal(kept_dirs(w), 0);
}

#define kept_test(f) cmocka_unit_test_setup_teardown(f, set_up, world_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		kept_test(what_a_stopped_run_shared_is_not_run_again),
		kept_test(nor_is_it_where_the_run_ended_by_trouble),
		kept_test(nor_where_everything_was_to_run),
		kept_test(what_is_not_what_it_was_is_made_again),
		kept_test(what_no_row_names_is_made_again),
		kept_test(what_did_not_come_to_its_end_is_made_again),
		kept_test(what_is_in_use_does_not_go),
		kept_test(beside_others_in_use_its_own_serve),
		kept_test(a_failure_in_what_is_shared_ends_all),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
