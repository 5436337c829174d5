/* What a run says once it is over: its validity, a verdict per package, what its packages' flake
 * rates have become; and sides of runs that have a name. */
#include "db/handle.h"

static int judge_expect(struct db *d, int64_t run, const struct db_expectation *x, size_t n,
			struct err *e)
{
	for (size_t i = 0; i < n; i++)
		if (db_do(d, e,
			  "INSERT OR REPLACE INTO expectation (run, package, variant, expect, "
			  "reason, "
			  "link, until) VALUES (?1, ?2, coalesce(?3, ''), ?4, ?5, ?6, ?7)",
			  "issssss", run, x[i].package, x[i].variant, x[i].expect, x[i].reason,
			  x[i].link, x[i].until) < 0)
			return -1;
	return 0;
}

int db_expect(struct db *d, int64_t run, const struct db_expectation *x, size_t n, struct err *e)
{
	return db_begin(d, e) ? -1 : db_end(d, judge_expect(d, run, x, n, e), e);
}

static int judge_depends(struct db *d, int64_t run, const struct db_need *x, size_t n,
			 struct err *e)
{
	for (size_t i = 0; i < n; i++)
		if (db_do(d, e,
			  "INSERT OR IGNORE INTO depends (run, package, needs) SELECT ?1, p.id, "
			  "o.id FROM "
			  "package p, package o WHERE p.name = ?2 AND o.name = ?3",
			  "iss", run, x[i].package, x[i].needs) < 0)
			return -1;
	return 0;
}

int db_depends(struct db *d, int64_t run, const struct db_need *x, size_t n, struct err *e)
{
	return db_begin(d, e) ? -1 : db_end(d, judge_depends(d, run, x, n, e), e);
}

static int judge_verdict(struct db *d, int64_t run, const struct db_verdict *v, struct err *e)
{
	int n = db_do(
		d, e,
		"INSERT INTO verdict (run, package, verdict, confidence, base_runs, base_passes, "
		"next_runs, next_passes, p, attribution, inherited_from, signature, flake_rate, "
		"known)"
		" SELECT ?1, p.id, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, (SELECT id FROM package WHERE "
		"name = ?11), (SELECT id FROM signature WHERE name = ?12), ?13, ?14"
		" FROM package p WHERE p.name = ?2",
		"isssiiiinsssns", run, v->package, v->verdict, v->confidence, v->base_runs,
		v->base_passes, v->next_runs, v->next_passes, v->p, v->attribution,
		v->inherited_from, v->signature, v->flake_rate, v->known);
	if (!n)
		err_set(e, ERR_CORRUPT, "%s: there is no such package", d->path);
	return n > 0 ? 0 : err_add(e, "verdict on %s", v->package);
}

static int judge_flake(struct db *d, int64_t run, const struct db_flake *f, struct err *e)
{
	int n = db_do(
		d, e,
		"INSERT INTO flake (suite, package, variant, phase, passed, failed, pending, "
		"streak, rate, known, version, layers, nights, last_run)"
		" SELECT r.suite, p.id, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, 1, r.id FROM "
		"run r, package p WHERE r.id = ?1 AND p.name = ?2"
		" ON CONFLICT DO UPDATE SET passed = excluded.passed, failed = excluded.failed, "
		"pending = excluded.pending, streak = excluded.streak, rate = excluded.rate,"
		" known = excluded.known, version = excluded.version, layers = "
		"excluded.layers, nights = nights + 1, last_run = excluded.last_run",
		"isssrrririss", run, f->package, f->variant, f->phase, f->passed, f->failed,
		f->pending, f->streak, f->rate, (int64_t)f->known, f->version, f->layers);
	if (!n)
		err_set(e, ERR_CORRUPT, "%s: there is no such package", d->path);
	return n > 0 ? 0 : err_add(e, "flake rate of %s", f->package);
}

static int judge_run(struct db *d, int64_t run, const struct db_judgement *j, struct err *e)
{
	int64_t judged = 0;
	int rc = db_number(d, e, &judged, "SELECT validity IS NOT NULL FROM run WHERE id = ?1", "i",
			   run);
	if (!rc)
		return err_set(e, ERR_ABSENT, "%s: there is no run %lld", d->path, (long long)run);
	if (rc < 0 || db_do(d, e, "DELETE FROM verdict WHERE run = ?1", "i", run) < 0 ||
	    db_do(d, e, "UPDATE run SET validity = ?2, why = ?3 WHERE id = ?1", "iss", run,
		  j->validity, j->why) < 0)
		return -1;
	for (size_t i = 0; i < j->n_verdicts; i++)
		if (judge_verdict(d, run, &j->verdicts[i], e))
			return -1;
	for (size_t i = 0; i < j->n_flakes && !judged; i++)
		if (judge_flake(d, run, &j->flakes[i], e))
			return -1;
	return 0;
}

int db_judge(struct db *d, int64_t run, const struct db_judgement *j, struct err *e)
{
	return db_begin(d, e) ? -1 : db_end(d, judge_run(d, run, j, e), e);
}

int db_canary(struct db *d, int64_t run, const struct db_canary *c, struct err *e)
{
	return db_do(d, e,
		     "INSERT INTO canary (run, host, answer, why, wall_ms, made_ms)"
		     " VALUES (?1, ?2, CASE WHEN ?3 IS NULL THEN 'right' ELSE 'wrong' END, ?3, ?4, "
		     "?5)",
		     "issii", run, c->host, c->why, c->wall_ms, c->made_ms) < 0
		       ? -1
		       : 0;
}

int db_baseline_save(struct db *d, const char *name, int64_t run, const char *variant,
		     int64_t made_ms, struct err *e)
{
	int n = db_do(d, e,
		      "INSERT OR REPLACE INTO baseline (name, run, variant, made_ms)"
		      " SELECT ?1, run, number, ?4 FROM variant WHERE run = ?2 AND name = ?3",
		      "sisi", name, run, variant, made_ms);
	if (!n)
		return err_set(e, ERR_ABSENT, "run %lld has no variant '%s'", (long long)run,
			       variant);
	return n < 0 ? -1 : 0;
}

int db_baseline_remove(struct db *d, const char *name, struct err *e)
{
	return db_do(d, e, "DELETE FROM baseline WHERE name = ?1", "s", name);
}
