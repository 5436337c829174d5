/* orchestrator/compact.c: high stacks become lower while jobs go on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/engine_world.h"

#include "cache/inner.h"
#include "orchestrator/shelf.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

/* A box that sees ENOUGH lowers sees at least MEANWHILE layers more than the stack that is too
 * high: some lowers are its own. */
enum { PACKAGES = CACHE_MAX_LAYERS + 14, MEANWHILE = 3, ENOUGH = CACHE_MAX_LAYERS + 8 };
/* As many that not all of them find room while one compaction goes on. */
enum { MANY = CACHE_MOST_LAYERS + 6 };

static sem_t enough;
static size_t highest, waited;
static bool in_vain;

/* The compaction's first one of these: it waits, its layer nearly done. */
static bool compaction_at(const char *step)
{
	char name[32];
	return !strcmp(step, "layer synced") &&
	       !pthread_getname_np(pthread_self(), name, sizeof(name)) &&
	       !strcmp(name, "compact") && !waited++;
}

/* Until so many more were published, or one of them has to wait for it. */
static void wait_for_publishes(const char *step)
{
	struct timespec until;
	if (!compaction_at(step))
		return;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 600;
	fake.beside = 1;
	while (sem_timedwait(&enough, &until))
		if (errno != EINTR) {
			in_vain = true;
			break;
		}
	fake.beside = 0;
}

static void die_then(const char *step)
{
	bool now = !waited;
	wait_for_publishes(step);
	if (now && waited)
		kill(getpid(), SIGKILL);
}

static void goes_on(struct world *w)
{
	(void)w;
	sem_post(&enough);
}

static struct fake_act brings(const struct fake_seen *b)
{
	highest = b->n_store > highest ? b->n_store : highest;
	return (struct fake_act){.takes_ms = 1000,
				 .stores = strcmp(b->phase, "fetch") ? NULL : b->package};
}

static struct fake_act brings_something(const struct fake_seen *b)
{
	bool fetches = !strcmp(b->phase, "fetch");
	highest = b->n_store > highest ? b->n_store : highest;
	if (highest >= ENOUGH)
		sem_post(&enough);
	return (struct fake_act){.takes_ms = 1000, .stores = fetches ? b->name : NULL};
}

/* What the store shows, by its layers and by the database. */
static void expect_all_there(struct world *w, uint64_t files)
{
	struct shelf sh;
	struct cache_layer flat;
	struct err e = ERR_INIT;
	if (shelf_load(&sh, &w->suite, 0, w->state->db, &e))
		fail_msg("%s", e.text);
	assert_true(sh.n_layers <= CACHE_MAX_LAYERS);
	auto_free const char **ids = own_calloc(sh.n_layers, sizeof(*ids));
	for (size_t i = 0; i < sh.n_layers; i++) {
		ids[i] = sh.layers[i];
		if (cache_layer_verify(w->state->cache, ids[i], &e))
			fail_msg("%s", e.text);
	}
	if (cache_flatten(w->state->cache, ids, sh.n_layers, &flat, &e))
		fail_msg("%s", e.text);
	assert_int_equal(flat.entries, files);
	shelf_fini(&sh);
	assert_int_equal(world_number(w,
				      "SELECT count(*) FROM v_entry WHERE current AND type = 'f'"),
			 files);
	assert_int_equal(world_number(w, "SELECT count(*) FROM pragma_foreign_key_check"), 0);
}

static void publishes_go_on_while_a_stack_is_compacted(void **state)
{
	struct world *w = *state;
	world_packages(w, PACKAGES, true);
	fake.play = brings_something;
	highest = waited = 0;
	in_vain = false;
	assert_int_equal(sem_init(&enough, 0, 0), 0);
	cache_on_step = wait_for_publishes;
	int rc = world_run(w, 1);
	cache_on_step = NULL;
	sem_destroy(&enough);
	if (rc)
		fail_msg("%s", w->err.text);
	assert_true(waited > 0 && !in_vain);
	assert_true(highest >= ENOUGH);
	assert_true(highest <= CACHE_MOST_LAYERS + 2); /* and uppers of its own */
	assert_int_equal(w->outcome.done, 2 * PACKAGES);
	/* What was published meanwhile lies upon the layer that was made. */
	assert_true(world_number(w, "SELECT count(*) FROM generation g"
				    " JOIN generation_layer a ON a.generation = g.id"
				    " JOIN generation_layer b ON b.generation = g.parent"
				    "  AND b.layer = a.layer"
				    " WHERE g.made_by = 'flatten' AND a.position < "
				    "  (SELECT min(x.position) FROM generation_layer x WHERE"
				    "   x.generation = g.id AND x.layer NOT IN (SELECT layer FROM"
				    "   generation_layer y WHERE y.generation = g.parent))") >=
		    MEANWHILE);
	expect_all_there(w, PACKAGES);
	/* And the next run finds it so. */
	world_reopen(w);
	expect_all_there(w, PACKAGES);
}

/* ---- a stack that is as high as it may be ---- */

/* A compaction that takes until publishes wait for it. */
static void begin_high(struct world *w, void (*on_step)(const char *step))
{
	world_packages(w, MANY, true);
	fake.play = brings;
	w->on_full = goes_on;
	highest = waited = 0;
	in_vain = false;
	assert_int_equal(sem_init(&enough, 0, 0), 0);
	cache_on_step = on_step;
}

static void end_high(struct world *w)
{
	cache_on_step = NULL;
	w->on_full = NULL;
	sem_destroy(&enough);
}

/* No job was refused anything or blamed, and no generation was higher than any may be. */
static void expect_nobody_refused(struct world *w)
{
	assert_int_equal(world_number(w, "SELECT count(*) FROM harvest WHERE refused_all IS NOT "
					 "NULL OR refused > 0 OR conflicts > 0"),
			 0);
	assert_int_equal(world_number(w, "SELECT count(*) FROM v_result WHERE status NOT IN"
					 " ('pass', 'infra')"),
			 0);
	assert_int_equal(world_number(w, "SELECT max(n) FROM (SELECT count(*) AS n FROM"
					 " generation_layer GROUP BY generation)"),
			 CACHE_MOST_LAYERS);
}

static void publishes_wait_where_a_stack_may_not_become_higher(void **state)
{
	struct world *w = *state;
	begin_high(w, wait_for_publishes);
	int rc = world_run(w, 2);
	end_high(w);
	if (rc)
		fail_msg("%s", w->err.text);
	assert_true(waited > 0 && !in_vain);
	assert_string_equal(w->full, "world/cache");
	assert_true(highest >= CACHE_MOST_LAYERS);
	assert_true(highest <= CACHE_MOST_LAYERS + 2); /* and uppers of its own */
	assert_int_equal(w->outcome.done, 2 * MANY);
	assert_int_equal(world_number(w, "SELECT count(*) FROM v_result WHERE status = 'pass'"),
			 2 * MANY);
	expect_nobody_refused(w);
	expect_all_there(w, MANY);
}

/* The run ends; what waited was brought by nobody yet, and is when it is gone on with. */
static void a_compaction_that_publishes_wait_for_may_be_in_vain(void **state)
{
	struct world *w = *state;
	begin_high(w, wait_for_publishes);
	world_exec(w, "CREATE TRIGGER no BEFORE INSERT ON generation WHEN new.made_by = 'flatten'"
		      " BEGIN SELECT raise(ABORT, 'no room for another'); END");
	int rc = world_run(w, 2);
	end_high(w);
	assert_int_equal(rc, -1);
	assert_true(waited > 0 && !in_vain);
	assert_non_null(w->full);
	assert_non_null(strstr(w->err.text, "no room for another"));
	world_exec(w, "DROP TRIGGER no");
	expect_nobody_refused(w);
	world_reopen(w);
	if (world_resume(w, 2))
		fail_msg("%s", w->err.text);
	expect_nobody_refused(w);
	expect_all_there(w, MANY);
}

static void whoever_waits_for_a_compaction_may_be_killed(void **state)
{
	struct world *w = *state;
	int status = -1;
	state_close(w->state);
	fflush(NULL);
	pid_t pid = fork();
	if (!pid) {
		w->state = state_open(w->path, &w->err);
		begin_high(w, die_then);
		_exit(w->state ? world_run(w, 2) : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	w->state = state_open(w->path, &w->err);
	if (!w->state)
		fail_msg("%s", w->err.text);
	w->run = world_number(w, "SELECT max(id) FROM run");
	world_packages(w, MANY, true);
	fake.play = brings;
	if (world_resume(w, 2))
		fail_msg("%s", w->err.text);
	expect_nobody_refused(w);
	expect_all_there(w, MANY);
}

/* ---- trouble ---- */

/* Its trouble is ours: told once, and no box stays. */
static void trouble_of_a_compaction_ends_the_run(void **state)
{
	struct world *w = *state;
	world_packages(w, PACKAGES, true);
	fake.play = brings_something;
	world_exec(w, "CREATE TRIGGER no BEFORE INSERT ON generation WHEN new.made_by = 'flatten'"
		      " BEGIN SELECT raise(ABORT, 'no room for another'); END");
	assert_int_equal(sem_init(&enough, 0, 0), 0);
	assert_int_equal(world_run(w, 1), -1);
	sem_destroy(&enough);
	assert_non_null(strstr(w->err.text, "no room for another"));
	assert_true(w->outcome.done < 2 * PACKAGES);
	world_exec(w, "DROP TRIGGER no");
	world_reopen(w);
	assert_int_equal(world_resume(w, 1), 0);
	expect_all_there(w, (uint64_t)world_number(w, "SELECT count(DISTINCT path) FROM entry"));
}

/* ---- what is upon what ---- */

static struct shelf shelf_of(const char *letters)
{
	struct shelf sh = {.key = own_dup("s"), .n_layers = strlen(letters)};
	sh.layers = own_calloc(sh.n_layers + 1, sizeof(*sh.layers));
	sh.entries = own_calloc(sh.n_layers + 1, sizeof(*sh.entries));
	for (size_t i = 0; letters[i]; i++)
		sh.layers[i][0] = letters[i];
	return sh;
}

static void a_layer_takes_the_place_of_those_it_was_made_of_or_none(void **state)
{
	/* of the first n of `was`, 'F' was made */
	static const struct {
		const char *was;
		size_t n;
		const char *now, *after; /* NULL: it lost */
		size_t above;
	} cases[] = {
		{"abcd", 2, "abcd", "Fcd", 0},     {"abcd", 4, "abcd", "F", 0},
		{"abcd", 2, "xyabcd", "xyFcd", 2}, {"abcd", 4, "xabcd", "xF", 1},
		{"abcd", 2, "bacd", NULL, 0},      {"abcd", 2, "abxcd", NULL, 0},
		{"abcd", 2, "xFabcd", NULL, 0},    {"abcd", 2, "xabd", NULL, 0},
		{"abcd", 2, "cd", NULL, 0},        {"abFd", 2, "xabFd", "xFd", 1},
	};
	struct cache_layer flat = {.id = "F"};
	(void)state;
	for (size_t i = 0; i < countof(cases); i++) {
		struct shelf was = shelf_of(cases[i].was), now = shelf_of(cases[i].now),
			     after = {0};
		size_t above = 0;
		bool fits = shelf_compacted(&now, &was, &flat, cases[i].n, &after, &above);
		char is[16] = "";
		for (size_t k = 0; k < after.n_layers; k++)
			is[k] = after.layers[k][0];
		assert_int_equal(fits, cases[i].after != NULL);
		if (fits) {
			assert_string_equal(is, cases[i].after);
			assert_int_equal(above, cases[i].above);
		}
		shelf_fini(&was);
		shelf_fini(&now);
		shelf_fini(&after);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define STORY(name) cmocka_unit_test_setup_teardown(name, world_set_up, world_tear_down)
		/* first: a process that has threads already is forked by no sanitizer */
		STORY(whoever_waits_for_a_compaction_may_be_killed),
		STORY(publishes_go_on_while_a_stack_is_compacted),
		STORY(publishes_wait_where_a_stack_may_not_become_higher),
		STORY(a_compaction_that_publishes_wait_for_may_be_in_vain),
		STORY(trouble_of_a_compaction_ends_the_run),
		cmocka_unit_test(a_layer_takes_the_place_of_those_it_was_made_of_or_none),
	};
	/* Nothing here knows a disk, and a busy one takes its time. */
	if (!access("/dev/shm", W_OK | X_OK))
		setenv("TMPDIR", "/dev/shm", 1);
	return cmocka_run_group_tests_name("engine/compact", tests, NULL, NULL);
}
