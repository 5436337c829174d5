/* A writer killed between any two steps, or in the middle of one, leaves what it had recorded and
 * nothing else. */
#include "db_scratch.h"

#include "db/handle.h"

#include <signal.h>
#include <sys/wait.h>

/* The writer: a process that says after each step that it is done, and goes on when it may. */
struct writer {
	pid_t pid;
	int says, may;
};

static void child_step(const struct writer *w)
{
	char c = 'x';
	if (write(w->says, &c, 1) != 1 || read(w->may, &c, 1) != 1)
		_exit(9);
}

static void child_must(int64_t rc, const struct err *e)
{
	if (rc >= 0)
		return;
	fprintf(stderr, "writer: %s\n", e->text);
	_exit(8);
}

typedef void (*writer_fn)(struct db *d, const struct writer *w);

/* The file must have no connection here: SQLite forbids carrying one across a fork, and the last
 * one's death is to be recovered from. */
static struct writer writer_start(struct scratch *s, writer_fn story)
{
	int says[2], may[2];
	db_close(s->db);
	s->db = NULL;
	assert_int_equal(pipe(says), 0);
	assert_int_equal(pipe(may), 0);
	struct writer w = {.pid = fork()};
	assert_true(w.pid >= 0);
	if (!w.pid) {
		struct err e = ERR_INIT;
		struct writer me = {.says = says[1], .may = may[0]};
		close(says[0]), close(may[1]);
		struct db *d = db_open(s->file, DB_WRITE, &e);
		child_must(d ? 0 : -1, &e);
		story(d, &me);
		_exit(0);
	}
	close(says[1]), close(may[0]);
	w.says = says[0], w.may = may[1];
	return w;
}

/* Whether it did another step. */
static bool writer_wait(const struct writer *w)
{
	char c;
	return read(w->says, &c, 1) == 1;
}

static void writer_go_on(const struct writer *w)
{
	assert_int_equal(write(w->may, "x", 1), 1);
}

static void writer_kill(const struct writer *w)
{
	int status;
	kill(w->pid, SIGKILL);
	assert_int_equal(waitpid(w->pid, &status, 0), w->pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	close(w->says), close(w->may);
}

/* ---- between steps ---- */

static void whole_life(struct db *d, const struct writer *w)
{
	static struct db_entry entries[3];
	static char names[3][64];
	struct err e = ERR_INIT;
	struct life l = life_begin(d, 100);
	child_step(w); /* 1 */
	child_must(db_job_state(d, l.jobs[0].id, "running", &e), &e);
	child_step(w); /* 2 */
	int64_t attempt = db_attempt_begin(d, l.jobs[0].id, 110, &e);
	child_must(attempt, &e);
	child_step(w); /* 3 */
	int64_t phase = life_phase(d, &l, 0, false, "test", 120);
	child_step(w); /* 4 */
	struct db_publish p = life_publish(phase, 0, 1, 0, entries, names, 3, "x");
	child_must(db_publish(d, &p, &e), &e);
	child_step(w); /* 5 */
	life_phase_end(d, phase, 0, 1000, 130);
	child_step(w); /* 6 */
	const struct db_result r = {.status = "pass",
				    .phase = "test",
				    .reason = "ok",
				    .evidence_offset = -1,
				    .phases = &phase,
				    .n_phases = 1,
				    .ended_ms = 140};
	child_must(db_result(d, l.jobs[0].id, attempt, &r, &e), &e);
	child_step(w); /* 7 */
	child_must(db_run_end(d, l.run, "done", 150, &e), &e);
	child_step(w); /* 8 */
}

/* What must be there after that many steps, before anything was repaired. */
static const char *const after[] = {
	"0|0|0|0|0|0|0", "1|4|0|0|0|0|0", "1|3|0|0|0|0|0", "1|3|1|0|0|0|0", "1|3|1|1|0|0|0",
	"1|3|1|1|0|3|0", "1|3|1|1|1|3|0", "1|3|1|1|1|3|1", "0|0|1|1|1|3|1",
};

static void killed_between_steps_it_keeps_what_it_had_recorded(void **state)
{
	(void)state;
	for (size_t steps = 0; steps < countof(after); steps++) {
		struct scratch s;
		struct err e = ERR_INIT;
		scratch_open(&s);
		struct writer w = writer_start(&s, whole_life);
		for (size_t i = 0; i < steps; i++) {
			assert_true(writer_wait(&w));
			if (i + 1 < steps)
				writer_go_on(&w);
		}
		if (steps)
			writer_kill(&w);
		s.db = db_open(s.file, DB_WRITE, &e);
		if (!s.db)
			fail_msg("after %zu steps: %s", steps, e.text);
		if (steps)
			assert_rows(s.db,
				    "SELECT (SELECT count(*) FROM run WHERE state = 'running'), "
				    "(SELECT count(*) FROM job WHERE state = 'waiting'),"
				    " (SELECT count(*) FROM attempt), (SELECT count(*) FROM "
				    "phase), (SELECT count(ended_as) FROM phase),"
				    " (SELECT count(*) FROM entry), (SELECT count(*) FROM result)",
				    after[steps]);
		else
			writer_kill(&w); /* before its first step, or in it */
		assert_true(db_runs_abandon(s.db, &e) >= 0);
		assert_rows(s.db,
			    "SELECT count(*) FROM run WHERE state = 'running' OR ended_ms IS NULL",
			    "0");
		assert_rows(s.db, "SELECT count(*) FROM job WHERE state IN ('waiting', 'running')",
			    "0");
		assert_sound(s.db);
		life_begin(s.db, 1000);
		scratch_close(&s);
	}
}

/* ---- in the middle ---- */

static void half_a_transaction(struct db *d, const struct writer *w)
{
	struct err e = ERR_INIT;
	struct life l = life_begin(d, 100);
	child_must(db_begin(d, &e), &e);
	child_must(db_do(d, &e, "UPDATE job SET state = 'done' WHERE run = ?1", "i", l.run), &e);
	child_must(db_do(d, &e, "INSERT INTO store (name) VALUES ('half')", ""), &e);
	/* more than SQLite keeps in memory: part of it is in the file already */
	child_must(
		db_do(d, &e,
		      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 200000)"
		      " INSERT INTO package (name) SELECT 'half ' || i || hex(zeroblob(40)) FROM n",
		      ""),
		&e);
	child_step(w);
}

static void killed_inside_a_transaction_it_keeps_nothing_of_it(void **state)
{
	struct scratch *s = *state;
	struct err e = ERR_INIT;
	struct writer w = writer_start(s, half_a_transaction);
	assert_true(writer_wait(&w));
	writer_kill(&w);
	s->db = db_open(s->file, DB_WRITE, &e);
	assert_non_null(s->db);
	assert_rows(s->db,
		    "SELECT (SELECT count(*) FROM package), (SELECT count(*) FROM store), (SELECT "
		    "count(*) FROM job WHERE state = 'done')",
		    "2|0|0");
	assert_sound(s->db);
}

enum { EACH = 500 };

static void publish_without_end(struct db *d, const struct writer *w)
{
	static struct db_entry entries[EACH];
	static char names[EACH][64];
	struct err e = ERR_INIT;
	struct life l = life_begin(d, 100);
	int64_t phase = life_phase(d, &l, 0, true, "fetch", 110), parent = 0;
	for (unsigned i = 1;; i++) {
		struct db_publish p = life_publish(phase, parent, i, (int64_t)(i - 1) * 100,
						   entries, names, EACH, "x");
		parent = db_publish(d, &p, &e);
		child_must(parent, &e);
		if (write(w->says, "x", 1) != 1)
			_exit(9);
	}
}

static void killed_while_publishing_it_leaves_the_old_generation_or_the_new_one(void **state)
{
	struct scratch *s = *state;
	struct err e = ERR_INIT;
	for (int64_t published = 1; published <= 6; published++) {
		struct scratch one;
		scratch_open(&one);
		struct writer w = writer_start(&one, publish_without_end);
		for (int64_t i = 0; i < published; i++)
			assert_true(writer_wait(&w));
		writer_kill(&w);
		one.db = db_open(one.file, DB_WRITE, &e);
		assert_non_null(one.db);
		struct db_generation g;
		must(db_store_current(one.db, "npm/cache", &g, &e));
		assert_true(g.id >= published);
		assert_int_equal(g.n_layers, g.id);
		assert_int_equal(number(one.db, "SELECT count(*) FROM entry"), g.id * EACH);
		assert_int_equal(number(one.db, "SELECT bytes FROM segment"), g.id * 100);
		assert_int_equal(number(one.db, "SELECT count(*) FROM frame"), g.id);
		db_generation_fini(&g);
		assert_sound(one.db);
		scratch_close(&one);
	}
	(void)s;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(killed_between_steps_it_keeps_what_it_had_recorded),
		scratch_test(killed_inside_a_transaction_it_keeps_nothing_of_it),
		scratch_test(killed_while_publishing_it_leaves_the_old_generation_or_the_new_one),
	};
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("db_kill", tests, NULL, NULL);
}
