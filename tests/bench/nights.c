/* A results database as years would make it: nights of many packages under two variants, with what
 * the commands read of it: jobs, phases, logs' metadata, causes, verdicts, flake rates, kept
 * uppers. Written past db/ in one transaction per night: how fast a run writes its rows
 * tests/bench/ingest.c tells.
 *
 *   bench_nights FILE NIGHTS PACKAGES
 *
 * The same arguments give the same database. */
#include "base/clock.h"
#include "db/db.h"
#include "db/handle.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { VARIANTS = 2, CAUSES = 300, DAY_MS = 86400000 };

static uint64_t dice = 42;

static uint32_t roll(uint32_t n) /* splitmix64 */
{
	uint64_t z = (dice += 0x9e3779b97f4a7c15u);
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return (uint32_t)((z ^ (z >> 31)) % n);
}

static void die(const char *what)
{
	fprintf(stderr, "nights: %s\n", what);
	exit(1);
}

struct sink {
	sqlite3 *h;
	int64_t nights;
	sqlite3_stmt *run, *variant, *job, *attempt, *phase, *link, *result, *verdict, *flake,
		*kept;
};

static sqlite3_stmt *prepared(sqlite3 *h, const char *sql)
{
	sqlite3_stmt *s = NULL;
	if (sqlite3_prepare_v2(h, sql, -1, &s, NULL))
		die(sqlite3_errmsg(h));
	return s;
}

static void script(sqlite3 *h, const char *sql)
{
	if (sqlite3_exec(h, sql, NULL, NULL, NULL))
		die(sqlite3_errmsg(h));
}

/* One letter a value: i int64_t, s text, - NULL. */
static void put(sqlite3_stmt *s, const char *types, ...)
{
	va_list ap;
	va_start(ap, types);
	for (int i = 0; types[i]; i++)
		if (types[i] == 'i')
			sqlite3_bind_int64(s, i + 1, va_arg(ap, int64_t));
		else if (types[i] == 's')
			sqlite3_bind_text(s, i + 1, va_arg(ap, const char *), -1, SQLITE_TRANSIENT);
		else
			sqlite3_bind_null(s, i + 1);
	va_end(ap);
	if (sqlite3_step(s) != SQLITE_DONE)
		die(sqlite3_errmsg(sqlite3_db_handle(s)));
	sqlite3_reset(s);
}

static void sink_open(struct sink *k, const char *file)
{
	if (sqlite3_open(file, &k->h))
		die("cannot open the database");
	script(k->h,
	       "PRAGMA synchronous = OFF; PRAGMA cache_size = -200000; PRAGMA foreign_keys = OFF");
	k->run = prepared(
		k->h,
		"INSERT INTO run (id, suite, goal, compare_base, compare_next, host, version, "
		"engine, pid, jobs_at_once, state, started_ms, ended_ms, validity, why) VALUES (?, "
		"'big', 'test', 'base', 'next', 'h', '1', 'native', 1, 64, 'done', ?, ?, 'valid', "
		"'')");
	k->variant = prepared(
		k->h,
		"INSERT INTO variant (run, number, name, layers, env) VALUES (?, ?, ?, 'x=1', '')");
	k->job = prepared(
		k->h,
		"INSERT INTO job (id, run, package, variant, version, state) VALUES (?, ?, ?, ?, "
		"'1.0.0', 'done')");
	k->attempt = prepared(k->h, "INSERT INTO attempt (id, job, number, started_ms, ended_ms) "
				    "VALUES (?, ?, 1, ?, ?)");
	k->phase = prepared(
		k->h,
		"INSERT INTO phase (id, run, package, variant, version, name, network, log, "
		"started_ms, ended_ms, "
		"ended_as, exit_code, setup_us, wall_us, cpu_user_us, cpu_system_us, peak_memory, "
		"output_bytes, cgroup, log_bytes, log_stored, log_sha256) VALUES (?, ?, ?, ?, "
		"'1.0.0', ?, 'none', ?, "
		"?, ?, 'exited', ?, ?, ?, ?, 1000, ?, 5000, 'v2', 5000, 900, zeroblob(32))");
	k->link = prepared(k->h,
			   "INSERT INTO attempt_phase (attempt, ordinal, phase) VALUES (?, ?, ?)");
	k->result = prepared(
		k->h,
		"INSERT INTO result (attempt, status, phase, reason, exit_code, evidence_offset, "
		"evidence_length, evidence, signature) VALUES (?, ?, 'test', ?, ?, ?, ?, ?, ?)");
	k->verdict = prepared(
		k->h,
		"INSERT INTO verdict (run, package, verdict, confidence, base_runs, base_passes, "
		"next_runs, next_passes, attribution, signature) VALUES (?, ?, ?, 'single', 1, ?, "
		"1, ?, ?, ?)");
	k->flake = prepared(
		k->h,
		"INSERT OR IGNORE INTO flake (suite, package, variant, phase, passed, failed, "
		"pending, "
		"streak, rate, known, version, layers, nights, last_run) VALUES ('big', ?, ?, "
		"'test', 15.0, 2.0, 0.0, 0, 0.08, 1, '1.0.0', 'x=1', 20, ?)");
	k->kept = prepared(k->h,
			   "INSERT INTO kept (phase, key, upon, digest, bytes, entries, saves_ms, "
			   "made_ms) VALUES (?, CAST(printf('%032d', ?) AS BLOB), 0, zeroblob(32), "
			   "?, 1000, 1500, ?)");
}

static void sink_close(struct sink *k)
{
	sqlite3_stmt *all[] = {k->run,  k->variant, k->job,     k->attempt, k->phase,
			       k->link, k->result,  k->verdict, k->flake,   k->kept};
	for (size_t i = 0; i < countof(all); i++)
		sqlite3_finalize(all[i]);
	sqlite3_close(k->h);
}

static void names(struct sink *k, size_t packages)
{
	sqlite3_stmt
		*p = prepared(k->h, "INSERT INTO package (id, name) VALUES (?, ?)"),
		*g = prepared(
			k->h,
			"INSERT INTO signature (id, name, text, line, first_run, first_seen_ms) "
			"VALUES (?, ?, ?, ?, 1, 1)");
	char name[64], text[64];
	script(k->h, "BEGIN");
	for (size_t i = 1; i <= packages; i++) {
		snprintf(name, sizeof(name), "package-%05zu", i);
		put(p, "is", (int64_t)i, name);
	}
	for (size_t i = 1; i <= CAUSES; i++) {
		snprintf(name, sizeof(name), "%016zx", i * 0x9e3779b97f4a7c15u);
		snprintf(text, sizeof(text), "TypeError: f%zu is not a function", i);
		put(g, "isss", (int64_t)i, name, text, text);
	}
	script(k->h, "COMMIT");
	sqlite3_finalize(p);
	sqlite3_finalize(g);
}

/* What a package is like: most pass, some fail always, some now and then, few break one night. */
enum kind { GOOD, BROKEN, FLAKY };
static enum kind kind_of(size_t package)
{
	uint32_t x = (uint32_t)(package * 2654435761u) % 100;
	return x < 12 ? BROKEN : x < 17 ? FLAKY : GOOD;
}

static int64_t ids; /* of jobs, attempts, phases: one run of numbers for each */
static int64_t phase_ids;

static int64_t one_phase(struct sink *k, int64_t run, size_t package, int variant, const char *name,
			 int64_t at, bool pass)
{
	char log[96];
	snprintf(log, sizeof(log), "runs/%" PRId64 "/package-%05zu.%d.%s.log.zst", run, package,
		 variant, name);
	put(k->phase, "iiiissiiiiiii", ++phase_ids, run, (int64_t)package, (int64_t)variant, name,
	    log, at, at + 5000, (int64_t)(pass ? 0 : 1), (int64_t)(2000 + roll(3000)),
	    (int64_t)(1000000 + roll(9000000)), (int64_t)roll(5000000),
	    (int64_t)(50 + roll(500)) << 20);
	return phase_ids;
}

static bool one_job(struct sink *k, int64_t run, size_t package, int variant, int64_t fetch,
		    int64_t at, bool pass, int64_t cause)
{
	static const char line[] =
		"    at test.js:12\nTypeError: f is not a function\n    at run (test.js:40)\n";
	int64_t id = ++ids;
	put(k->job, "iiii", id, run, (int64_t)package, (int64_t)variant);
	put(k->attempt, "iiii", id, id, at, at + 6000);
	int64_t test = one_phase(k, run, package, variant, "test", at, pass);
	put(k->link, "iii", id, (int64_t)0, fetch);
	put(k->link, "iii", id, (int64_t)1, test);
	if (pass)
		put(k->result, "issi----", id, "pass", "ok", (int64_t)0);
	else
		put(k->result, "issiiisi", id, "fail", "test-failed", (int64_t)1, (int64_t)1000,
		    (int64_t)30, line, cause);
	return pass;
}

/* Shared by the variants: its own is NULL. What the last night's left stays for the next. */
static int64_t fetch_phase(struct sink *k, int64_t run, size_t package, int64_t at)
{
	char log[96];
	snprintf(log, sizeof(log), "runs/%" PRId64 "/package-%05zu.fetch.log.zst", run, package);
	put(k->phase, "iii-ssiiiiiii", ++phase_ids, run, (int64_t)package, "fetch", log, at - 5000,
	    at, (int64_t)0, (int64_t)(2000 + roll(3000)), (int64_t)roll(3000000),
	    (int64_t)roll(500000), (int64_t)60 << 20);
	if (run == k->nights)
		put(k->kept, "iiii", phase_ids, phase_ids, (int64_t)roll(50 << 20), at);
	return phase_ids;
}

static void one_night(struct sink *k, int64_t run, size_t packages, int64_t at)
{
	static const char *const variants[VARIANTS] = {"base", "next"};
	script(k->h, "BEGIN");
	put(k->run, "iii", run, at, at + 3600000);
	for (int v = 0; v < VARIANTS; v++)
		put(k->variant, "iis", run, (int64_t)v, variants[v]);
	for (size_t p = 1; p <= packages; p++) {
		enum kind is = kind_of(p);
		int64_t fetch = fetch_phase(k, run, p, at),
			cause = 1 + (int64_t)(p * 7919 % CAUSES);
		bool pass[VARIANTS];
		for (int v = 0; v < VARIANTS; v++) {
			bool ok = is == GOOD    ? v == 0 || roll(400)
				  : is == FLAKY ? roll(10) != 0
						: false;
			pass[v] = one_job(k, run, p, v, fetch, at, ok, cause);
		}
		const char *verdict = pass[0] == pass[1] ? "same" : pass[0] ? "regressed" : "fixed";
		if (pass[1])
			put(k->verdict, "iisii--", run, (int64_t)p, verdict, (int64_t)pass[0],
			    (int64_t)1);
		else
			put(k->verdict, "iisiisi", run, (int64_t)p, verdict, (int64_t)pass[0],
			    (int64_t)0, pass[0] ? "shared" : NULL, cause);
		if (is == FLAKY && run == 1)
			put(k->flake, "isi", (int64_t)p, "next", run);
	}
	script(k->h, "COMMIT");
}

int main(int argc, char **argv)
{
	struct err e = ERR_INIT;
	struct sink k = {0};
	if (argc != 4)
		die("FILE NIGHTS PACKAGES");
	int64_t nights = atoll(argv[2]), began = clock_mono_ns();
	size_t packages = (size_t)atoll(argv[3]);
	struct db *d = db_open(argv[1], DB_WRITE, &e);
	if (!d)
		die(e.text);
	db_close(d);
	sink_open(&k, argv[1]);
	k.nights = nights;
	names(&k, packages);
	for (int64_t run = 1; run <= nights; run++)
		one_night(&k, run, packages, (int64_t)1700000000000 + run * DAY_MS);
	script(k.h,
	       "UPDATE run SET n_jobs = (SELECT count(*) FROM job j WHERE j.run = run.id), n_done "
	       "= "
	       "n_jobs, n_packages = (SELECT count(DISTINCT j.package) FROM job j WHERE j.run = "
	       "run.id)");
	sink_close(&k);
	double s = (double)(clock_mono_ns() - began) / 1e9;
	printf("%" PRId64 " nights, %zu packages, %" PRId64 " results in %.1f s\n", nights,
	       packages, ids, s);
	return 0;
}
