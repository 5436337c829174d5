/* orchestrator/engine.c and what it is made of: schedules by chance, the same ones each time. Boxes
 * pass, fail, crash, run into limits, are never made or end by trouble of our own; signals and rows
 * that the database refuses cut runs short, again and again. Whatever happens: each job has one
 * result in the end, which is that of a run nothing happened to, what differs was repeated as
 * often, no more runs at once than may, and no token stays taken (the engine fails by itself then,
 * or aborts). ASSAY_TEST_SCHEDULES: how many (default 8); ASSAY_TEST_SEED: the first (default 1).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/engine_world.h"

#include "base/text.h"
#include "orchestrator/verdicts.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

static uint64_t seed;

static size_t number_of(const char *name, size_t usual)
{
	const char *n = getenv(name);
	return n ? strtoul(n, NULL, 10) : usual;
}

/* splitmix64 (Steele, Lea, Flood 2014). */
static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

/* What is drawn depends on the seed and on what it is for, never on the order of things. */
static uint64_t draw(const char *what)
{
	uint64_t h = 1469598103934665603; /* FNV-1a */
	for (; *what; what++)
		h = (h ^ (unsigned char)*what) * 1099511628211;
	return mix(h ^ mix(seed));
}

/* ---- what boxes do ---- */

static char files[64][32];

/* How often such a box was there before, in all runs of the schedule. */
static size_t before(const struct fake_seen *b)
{
	size_t n = 0;
	for (const struct fake_seen *s = fake.seen; s != b; s++)
		n += !strcmp(s->package, b->package) && !strcmp(s->variant, b->variant) &&
		     !strcmp(s->phase, b->phase);
	return n;
}

static struct fake_act by_chance(const struct fake_seen *b)
{
	auto_free char *name = own_fmt("%s.%s.%s", b->package, b->variant, b->phase);
	uint64_t lot = draw(name);
	size_t package = strtoul(b->package + 1, NULL, 10);
	struct fake_act act = {.takes_ms = lot % 997, .says = lot & 1024 ? "said\n" : NULL};
	snprintf(files[package], sizeof(files[0]), "of-%s", b->package);
	if (!strcmp(b->phase, "fetch"))
		act.stores = files[package];
	if (lot >> 56 < 40 && !before(b)) { /* trouble of our own, once: it is tried again */
		act.end = BOX_FAILED;
		act.never = lot & 2048;
		act.stores = NULL;
	} else if (lot >> 56 > 200) {
		static const struct fake_act ends[] = {
			{.exit_code = 1},
			{.end = BOX_SIGNALLED, .signal = SIGSEGV},
			{.end = BOX_LIMITED, .limit = BOX_LIMIT_WALL, .signal = SIGKILL},
			{.exit_code = 137, .oom_kills = 1},
		};
		const struct fake_act *end = &ends[lot / 7 % countof(ends)];
		act.end = end->end;
		act.exit_code = end->exit_code;
		act.signal = end->signal;
		act.limit = end->limit;
		act.oom_kills = end->oom_kills;
		act.stores = NULL;
	}
	return act;
}

/* ---- what cuts runs short ---- */

static void signals_by_chance(unsigned round)
{
	auto_free char *name = own_fmt("signals %u", round);
	uint64_t lot = draw(name);
	memset(fake.signals, 0, sizeof(fake.signals));
	for (unsigned i = 0; i < 1 + lot % 3; i++) {
		fake.signals[i].at_ms = fake.now_ms + lot / 16 % 2500 + i * (lot / 8192 % 40);
		fake.signals[i].number = lot & 8 ? SIGTERM : SIGINT;
	}
}

/* The nth row of some table is refused. */
static const char *fault_by_chance(struct world *w, unsigned round)
{
	static const char *const at[] = {
		"INSERT ON phase",         "UPDATE ON phase",
		"INSERT ON attempt",       "INSERT ON result",
		"INSERT ON attempt_phase", "UPDATE ON job WHEN NEW.state <> 'abandoned'",
		"INSERT ON harvest",       "INSERT ON frame",
		"INSERT ON generation",
	};
	auto_free char *name = own_fmt("fault %u", round);
	uint64_t lot = draw(name);
	const char *where = at[lot % countof(at)];
	auto_free char *sql =
		own_fmt("CREATE TABLE chance (n INTEGER); INSERT INTO chance VALUES (%u);"
			"CREATE TRIGGER fault BEFORE %s BEGIN UPDATE chance SET n = n - 1;"
			" SELECT RAISE(ABORT, 'by chance') FROM chance WHERE n < 0; END",
			(unsigned)(lot / 64 % 20), where);
	world_exec(w, sql);
	return where;
}

/* One run or one part of it; its end as the state directory has it. */
static bool part(struct world *w, unsigned round, size_t at_once)
{
	bool faulty = draw("faulty") >> round & 1;
	if (faulty)
		fault_by_chance(w, round);
	else
		signals_by_chance(round);
	int rc = round ? world_resume(w, at_once) : world_run(w, at_once);
	memset(fake.signals, 0, sizeof(fake.signals));
	if (faulty)
		world_exec(w, "DROP TRIGGER fault; DROP TABLE chance");
	if (rc && !strstr(w->err.text, "by chance"))
		fail_msg("seed %llu, part %u: %s", (unsigned long long)seed, round, w->err.text);
	return !rc && !w->outcome.interrupted;
}

/* ---- what must be ---- */

/* What jobs ended as, and what is said of packages and how sure that is. */
static void results(struct world *w, struct text *t)
{
	struct db_table *rows = NULL;
	struct err e = ERR_INIT;
	auto_free char *sql =
		own_fmt("SELECT package || ' ' || variant || ' ' || status || ' ' || "
			"phase || ' ' || reason FROM v_job WHERE run = %lld UNION ALL SELECT "
			"package || ' ' || verdict || ' ' || confidence || ' ' || base_passes || "
			"'/' || base_runs || ' ' || next_passes || '/' || next_runs FROM v_verdict "
			"WHERE run = %lld ORDER BY 1",
			(long long)w->run, (long long)w->run);
	if (verdicts_record(w->state->db, w->run, &e) ||
	    db_query(w->state->db, sql, NULL, 0, &rows, &e))
		fail_msg("%s", e.text);
	for (size_t i = 0; i < rows->n_rows; i++)
		text_addf(t, "%s\n", rows->cells[i].s ? rows->cells[i].s : "none");
	db_table_free(rows);
	world_exec(w, "DELETE FROM flake"); /* the next run knows no more than this one did */
}

static int64_t of_run(struct world *w, const char *what)
{
	auto_free char *sql = own_fmt("SELECT %s run = %lld", what, (long long)w->run);
	return world_number(w, sql);
}

static void one_result_each(struct world *w, size_t jobs)
{
	assert_int_equal(
		of_run(w, "count(*) FROM v_result WHERE NOT repeat AND status <> 'infra' AND"),
		jobs);
	assert_int_equal(of_run(w, "count(DISTINCT job) FROM v_result WHERE NOT repeat AND "
				   "status <> 'infra' AND"),
			 jobs);
	assert_int_equal(of_run(w, "count(*) FROM job WHERE state = 'done' AND"), jobs);
	assert_int_equal(world_number(w, "SELECT count(*) FROM attempt WHERE ended_ms IS NULL"), 0);
}

static void whatever_happens_each_job_has_the_result_it_would_have_had(void **state)
{
	struct world *w = *state;
	size_t packages = 4 + draw("packages") % 9, at_once = 1 + draw("at once") % 7;
	auto_text struct text undisturbed = TEXT_INIT, disturbed = TEXT_INIT;
	world_packages(w, packages, draw("shared") & 1);
	w->fetches = 1 + draw("fetches") % 4;
	w->confirm = confirm_defaults;
	fake.play = by_chance;
	if (world_run(w, at_once))
		fail_msg("seed %llu: %s", (unsigned long long)seed, w->err.text);
	one_result_each(w, 2 * packages);
	results(w, &undisturbed);
	assert_null(strstr(text_str(&undisturbed), "infra"));
	unsigned round = 0;
	while (round < 8 && !part(w, round, 1 + draw("at once again") % 7))
		round++;
	if (round == 8 && world_resume(w, at_once))
		fail_msg("seed %llu: %s", (unsigned long long)seed, w->err.text);
	one_result_each(w, 2 * packages);
	results(w, &disturbed);
	if (strcmp(text_str(&undisturbed), text_str(&disturbed)))
		fail_msg("seed %llu, %u parts:\n%s---\n%s", (unsigned long long)seed, round,
			 text_str(&undisturbed), text_str(&disturbed));
	assert_true(fake.most <= 7 + w->fetches);
	assert_int_equal(world_number(w, "SELECT count(*) FROM pragma_integrity_check WHERE "
					 "integrity_check <> 'ok'"),
			 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(
		whatever_happens_each_job_has_the_result_it_would_have_had, world_set_up,
		world_tear_down)};
	uint64_t first = number_of("ASSAY_TEST_SEED", 1), n = number_of("ASSAY_TEST_SCHEDULES", 8);
	for (seed = first; seed < first + n; seed++)
		if (cmocka_run_group_tests(tests, NULL, NULL)) {
			fprintf(stderr, "with ASSAY_TEST_SEED=%llu\n", (unsigned long long)seed);
			return 1;
		}
	return 0;
}
