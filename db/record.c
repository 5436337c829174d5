/* A run's life, row by row: each function here is one transaction that says what is about to take
 * effect, or what did. */
#include "db/handle.h"

#include <string.h>

enum { EVIDENCE_BYTES = 4096 };

/* ---- the run ---- */

static int64_t record_run(struct db *d, const struct db_run *r, struct err *e)
{
	int rc = db_do(d, e,
		       "INSERT INTO run (suite, suite_path, suite_sha256, ecosystem, goal, "
		       "compare_base, compare_next, host, version,"
		       " engine, pid, started_ms, jobs_at_once, options, inputs, partial, state)"
		       " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, "
		       "?16, 'running')",
		       "ssssssssssiiissi", r->suite, r->suite_path, r->suite_sha256, r->ecosystem,
		       r->goal, r->compare_base, r->compare_next, r->host, r->version, r->engine,
		       r->pid, r->started_ms, (int64_t)r->jobs_at_once, r->options, r->inputs,
		       (int64_t)r->partial);
	return rc < 0 ? -1 : sqlite3_last_insert_rowid(d->h);
}

static int record_variants(struct db *d, int64_t run, const struct db_variant *v, size_t n,
			   struct err *e)
{
	for (size_t i = 0; i < n; i++)
		if (db_do(d, e,
			  "INSERT INTO variant (run, number, name, layers, env, inputs)"
			  " VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
			  "iissss", run, (int64_t)i, v[i].name, v[i].layers, v[i].env,
			  v[i].inputs) < 0)
			return err_add(e, "variant %s", v[i].name);
	return 0;
}

/* The package's row, made where it is missing. */
static int record_package(struct db *d, const char *name, int64_t *id, struct err *e)
{
	int rc = db_number(d, e, id, "SELECT id FROM package WHERE name = ?1", "s", name);
	if (rc)
		return rc < 0 ? -1 : 0;
	if (db_do(d, e, "INSERT INTO package (name) VALUES (?1)", "s", name) < 0)
		return -1;
	*id = sqlite3_last_insert_rowid(d->h);
	return 0;
}

static int record_variant_number(struct db *d, int64_t run, const char *name, int64_t *number,
				 struct err *e)
{
	int rc = db_number(d, e, number, "SELECT number FROM variant WHERE run = ?1 AND name = ?2",
			   "is", run, name);
	if (!rc)
		return err_set(e, ERR_CORRUPT, "%s: run %lld has no variant %s", d->path,
			       (long long)run, name);
	return rc < 0 ? -1 : 0;
}

static int record_job(struct db *d, int64_t run, struct db_job *j, struct err *e)
{
	int64_t package, number;
	if (record_package(d, j->package, &package, e) ||
	    record_variant_number(d, run, j->variant, &number, e) ||
	    db_do(d, e,
		  "INSERT INTO job (run, package, variant, version, inputs, input_key)"
		  " VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
		  "iiissx", run, package, number, j->version, j->inputs, j->input_key) < 0)
		return err_add(e, "job %s under %s", j->package, j->variant);
	j->id = sqlite3_last_insert_rowid(d->h);
	return 0;
}

static int64_t record_begin(struct db *d, const struct db_run *r, const struct db_variant *v,
			    size_t n_variants, struct db_job *jobs, size_t n_jobs, struct err *e)
{
	int64_t run = record_run(d, r, e);
	if (run < 0 || record_variants(d, run, v, n_variants, e))
		return -1;
	for (size_t i = 0; i < n_jobs; i++) {
		struct db_job job = jobs[i];
		if ((r->fill && r->fill(r->ctx, i, &job, e)) || record_job(d, run, &job, e))
			return -1;
		jobs[i].id = job.id;
	}
	return run;
}

int64_t db_run_begin(struct db *d, const struct db_run *run, const struct db_variant *variants,
		     size_t n_variants, struct db_job *jobs, size_t n_jobs, struct err *e)
{
	if (db_begin(d, e))
		return -1;
	int64_t id = record_begin(d, run, variants, n_variants, jobs, n_jobs, e);
	if (!db_end(d, id < 0 ? -1 : 0, e))
		return id;
	for (size_t i = 0; i < n_jobs; i++)
		jobs[i].id = 0;
	return -1;
}

/* ---- its end ---- */

/* How much is in it, counted once: v_run. */
#define COUNTED                                                                                    \
	", n_jobs = (SELECT count(*) FROM job j WHERE j.run = run.id)"                             \
	", n_done = (SELECT count(*) FROM job j WHERE j.run = run.id AND j.state = 'done')"        \
	", n_packages = (SELECT count(DISTINCT j.package) FROM job j WHERE j.run = run.id)"

/* No job of a run that is over waits or runs. */
static int record_abandon_jobs(struct db *d, int64_t run, struct err *e)
{
	return db_do(d, e,
		     "UPDATE job SET state = 'abandoned' WHERE run = ?1 AND state IN ('waiting', "
		     "'running')",
		     "i", run);
}

static int record_end(struct db *d, int64_t run, const char *state, int64_t ended_ms, struct err *e)
{
	int n = db_do(d, e,
		      "UPDATE run SET state = ?2, ended_ms = ?3" COUNTED
		      " WHERE id = ?1 AND state = 'running'",
		      "isi", run, state, ended_ms);
	if (!n)
		return err_set(e, ERR_CORRUPT, "%s: run %lld is not running", d->path,
			       (long long)run);
	return n < 0 || record_abandon_jobs(d, run, e) < 0 ? -1 : 0;
}

int db_run_end(struct db *d, int64_t run, const char *state, int64_t ended_ms, struct err *e)
{
	return db_begin(d, e) ? -1 : db_end(d, record_end(d, run, state, ended_ms, e), e);
}

static int record_resume(struct db *d, int64_t run, int64_t pid, int64_t jobs_at_once,
			 int64_t now_ms, struct err *e)
{
	int64_t resumed = 0;
	if (db_do(d, e,
		  "INSERT INTO pause (run, from_ms, to_ms) SELECT id, ended_ms, max(ended_ms, ?2)"
		  " FROM run WHERE id = ?1 AND state IN ('interrupted', 'aborted')",
		  "ii", run, now_ms) < 0)
		return -1;
	int n = db_do(
		d, e,
		"UPDATE run SET state = 'running', ended_ms = NULL, pid = ?2, jobs_at_once = ?3,"
		" resumed = resumed + 1 WHERE id = ?1 AND state IN ('interrupted', 'aborted')",
		"iii", run, pid, jobs_at_once);
	if (!n)
		return err_set(e, ERR_USAGE, "%s: run %lld is neither interrupted nor aborted",
			       d->path, (long long)run);
	if (n < 0 ||
	    db_do(d, e,
		  "UPDATE job SET state = 'waiting' WHERE run = ?1 AND (state <> 'done'"
		  " OR (SELECT s.status FROM attempt a JOIN result s ON s.attempt = a.id"
		  "  WHERE a.job = job.id AND NOT a.repeat ORDER BY a.number DESC LIMIT 1) = "
		  "'infra')",
		  "i", run) < 0 ||
	    db_do(d, e,
		  "DELETE FROM attempt WHERE ended_ms IS NULL"
		  " AND job IN (SELECT id FROM job WHERE run = ?1)",
		  "i", run) < 0 ||
	    db_number(d, e, &resumed, "SELECT resumed FROM run WHERE id = ?1", "i", run) <= 0)
		return -1;
	return (int)resumed;
}

int db_run_resume(struct db *d, int64_t run, int64_t pid, int64_t jobs_at_once, int64_t now_ms,
		  struct err *e)
{
	if (db_begin(d, e))
		return -1;
	int n = record_resume(d, run, pid, jobs_at_once, now_ms, e);
	return db_end(d, n < 0 ? -1 : 0, e) ? -1 : n;
}

int db_run_held(struct db *d, int64_t run, int64_t ms, struct err *e)
{
	int n = db_do(d, e, "UPDATE run SET held_ms = held_ms + ?2 WHERE id = ?1", "ii", run, ms);
	return n < 0 ? -1 : 0;
}

/* When such a run ended nobody knows: the last thing known of it is the best there is. */
static const char abandon_runs[] =
	"UPDATE run SET state = 'aborted', ended_ms = max(started_ms,"
	"  coalesce((SELECT max(max(f.started_ms, coalesce(f.ended_ms, "
	"0))) FROM phase f WHERE f.run = run.id), 0),"
	"  coalesce((SELECT max(max(a.started_ms, coalesce(a.ended_ms, "
	"0))) FROM job j JOIN attempt a ON a.job = j.id"
	"    WHERE j.run = run.id), 0))" COUNTED " WHERE state = 'running'";

int db_runs_abandon(struct db *d, struct err *e)
{
	if (db_begin(d, e))
		return -1;
	int rc = db_do(d, e,
		       "UPDATE job SET state = 'abandoned' WHERE state IN ('waiting', 'running')"
		       " AND run IN (SELECT id FROM run WHERE state = 'running')",
		       "");
	int n = rc < 0 ? -1 : db_do(d, e, abandon_runs, "");
	return db_end(d, n < 0 ? -1 : 0, e) ? -1 : n;
}

/* ---- jobs and attempts ---- */

int db_job_state(struct db *d, int64_t job, const char *state, struct err *e)
{
	int n = db_do(d, e, "UPDATE job SET state = ?2 WHERE id = ?1", "is", job, state);
	if (!n)
		return err_set(e, ERR_ABSENT, "%s: there is no job %lld", d->path, (long long)job);
	return n < 0 ? -1 : 0;
}

static int64_t record_attempt(struct db *d, int64_t job, bool repeat, int64_t started_ms,
			      struct err *e)
{
	if (db_do(d, e,
		  "INSERT INTO attempt (job, number, repeat, started_ms, host) VALUES (?1,"
		  " (SELECT coalesce(max(number), 0) + 1 FROM attempt WHERE job = ?1), ?2, ?3, ?4)",
		  "iiis", job, (int64_t)repeat, started_ms, d->host) < 0)
		return err_add(e, "job %lld", (long long)job);
	return sqlite3_last_insert_rowid(d->h);
}

void db_host(struct db *d, const char *host)
{
	free(d->host);
	d->host = host ? own_dup(host) : NULL;
}

int64_t db_attempt_begin(struct db *d, int64_t job, int64_t started_ms, struct err *e)
{
	return record_attempt(d, job, false, started_ms, e);
}

int64_t db_repeat_begin(struct db *d, int64_t job, int64_t started_ms, struct err *e)
{
	return record_attempt(d, job, true, started_ms, e);
}

/* ---- phases ---- */

/* Of names the rows. *number is -1 where p->variant is NULL. */
static int record_phase_of(struct db *d, const struct db_phase *p, int64_t *package,
			   int64_t *number, struct err *e)
{
	sqlite3_stmt *s = db_ask(d, e,
				 "SELECT p.id, (SELECT coalesce(max(number), -1) FROM variant"
				 " WHERE run = ?2 AND name = ?3)"
				 " FROM package p JOIN job j ON j.package = p.id"
				 " WHERE p.name = ?1 AND j.run = ?2 LIMIT 1",
				 "sis", p->package, p->run, p->variant);
	int known = s ? db_step(d, s, e) : -1;
	if (known > 0) {
		*package = sqlite3_column_int64(s, 0);
		*number = sqlite3_column_int64(s, 1);
	}
	db_done(s);
	if (!known)
		return err_set(e, ERR_CORRUPT, "%s: run %lld has no package %s", d->path,
			       (long long)p->run, p->package);
	if (known > 0 && p->variant && *number < 0)
		return err_set(e, ERR_CORRUPT, "%s: run %lld has no variant %s", d->path,
			       (long long)p->run, p->variant);
	return known < 0 ? -1 : 0;
}

/* One row, so no transaction of its own. */
int64_t db_phase_begin(struct db *d, const struct db_phase *p, struct err *e)
{
	int64_t package = 0, number = -1;
	if (record_phase_of(d, p, &package, &number, e) ||
	    db_do(d, e,
		  "INSERT INTO phase (run, package, variant, version, name, network, generation, "
		  "log, started_ms, cpus)"
		  " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
		  "iimssszsii", p->run, package, number, p->version, p->name, p->network,
		  p->generation, p->log, p->started_ms, p->cpus) < 0)
		return err_add(e, "phase %s of %s", p->name, p->package);
	return sqlite3_last_insert_rowid(d->h);
}

int db_phase_end(struct db *d, int64_t phase, const struct db_facts *f, struct err *e)
{
	int n = db_do(d, e,
		      "UPDATE phase SET ended_as = ?2, exit_code = ?3, signal = ?4, core = ?5, "
		      "limit_name = ?6, limit_bound = ?7,"
		      " limit_value = ?8, setup_us = ?9, wall_us = ?10, cpu_user_us = ?11, "
		      "cpu_system_us = ?12, peak_memory = ?13,"
		      " output_bytes = ?14, oom_kills = ?15, processes_refused = ?16, cgroup = "
		      "?17, error = ?18, log_bytes = ?19,"
		      " log_stored = ?20, log = CASE WHEN ?20 THEN log END, log_sha256 = ?21, "
		      "store_bytes = ?22, store_files = ?23, "
		      "upper_bytes = ?24, ended_ms = ?25,"
		      " processes_peak = ?26, io_read_bytes = ?27, io_write_bytes = ?28, "
		      "disk_bytes = ?29, disk_inodes = ?30,"
		      " throttled = ?31, throttled_us = ?32, stalled_memory_us = ?33, "
		      "stalled_cpu_us = ?34, stalled_io_us = ?35,"
		      " executor = ?36, profile = ?37, uppers = ?38, processes = ?39,"
		      " network_lost = CASE WHEN network = 'nat' THEN ?40 END, host_full = ?41, "
		      "host_oom_kills = ?42, started_ms = coalesce(?43, started_ms)"
		      " WHERE id = ?1 AND ended_ms IS NULL",
		      "ismzisiiiiiiiiiissiixiiiizzzzzzzzzzssssiizz", phase, f->end, f->exit_code,
		      f->signal, (int64_t)f->core, db_absent_none(f->limit), f->limit_bound,
		      f->limit_value, f->setup_us, f->wall_us, f->cpu_user_us, f->cpu_system_us,
		      f->peak_memory, f->output_bytes, f->oom_kills, f->processes_refused,
		      f->cgroup, f->error, f->log_bytes, f->log_stored, f->log_sha256,
		      f->store_bytes, f->store_files, f->upper_bytes, f->ended_ms,
		      f->processes_peak, f->io_read_bytes, f->io_write_bytes, f->disk_bytes,
		      f->disk_inodes, f->throttled, f->throttled_us, f->stalled_memory_us,
		      f->stalled_cpu_us, f->stalled_io_us, f->executor, f->profile, f->uppers,
		      db_absent_none(f->processes), (int64_t)f->network_lost, (int64_t)f->host_full,
		      f->host_oom_kills, f->started_ms);
	if (!n)
		return err_set(e, ERR_CORRUPT, "%s: phase %lld is not running", d->path,
			       (long long)phase);
	return n < 0 ? -1 : 0;
}

/* ---- results ---- */

/* As much as is kept of it; *cut owns what had to be shortened. */
static const char *record_evidence(const char *evidence, char **cut)
{
	if (!evidence || strnlen(evidence, EVIDENCE_BYTES + 1) <= EVIDENCE_BYTES)
		return evidence;
	return *cut = own_dup_n(evidence, EVIDENCE_BYTES);
}

/* The signature's row, made where it is missing; what is seen in an earlier result was first seen
 * there. 0: none. */
static int record_signature(struct db *d, int64_t attempt, const struct db_signature *s,
			    int64_t *id, struct err *e)
{
	*id = 0;
	if (!s->name)
		return 0;
	int rc = db_do(
		d, e,
		"INSERT INTO signature (name, text, line, first_run, first_seen_ms)"
		" SELECT ?2, ?3, ?4, j.run, coalesce(a.ended_ms, a.started_ms) FROM attempt a JOIN "
		"job j ON j.id = a.job WHERE a.id = ?1"
		" ON CONFLICT (name) DO UPDATE SET first_run = excluded.first_run, "
		"first_seen_ms = excluded.first_seen_ms"
		" WHERE excluded.first_seen_ms < first_seen_ms",
		"isss", attempt, s->name, s->text, s->line);
	if (rc < 0)
		return -1;
	return db_number(d, e, id, "SELECT id FROM signature WHERE name = ?1", "s", s->name) < 0
		       ? -1
		       : 0;
}

static int record_result_row(struct db *d, int64_t attempt, const struct db_result *r,
			     struct err *e)
{
	auto_free char *cut = NULL;
	const char *evidence = record_evidence(r->evidence, &cut);
	int64_t signature;
	if (record_signature(d, attempt, &r->signature, &signature, e))
		return -1;
	int rc = db_do(d, e,
		       "INSERT INTO result (attempt, status, phase, reason, exit_code, signal, "
		       "limit_name, evidence_offset,"
		       " evidence_length, evidence, rule, signature) VALUES (?1, ?2, ?3, ?4, ?5, "
		       "?6, ?7, ?8, ?9, ?10, ?11, ?12)",
		       "isssmzsmmssz", attempt, r->status, r->phase, r->reason, r->exit_code,
		       r->signal, db_absent_none(r->limit), r->evidence_offset,
		       r->evidence_offset < 0 ? -1 : r->evidence_length, evidence, r->rule,
		       signature);
	return rc < 0 ? -1 : 0;
}

static int record_result(struct db *d, int64_t job, int64_t attempt, const struct db_result *r,
			 struct err *e)
{
	int n = db_do(
		d, e,
		"UPDATE attempt SET ended_ms = ?3 WHERE id = ?2 AND job = ?1 AND ended_ms IS NULL",
		"iii", job, attempt, r->ended_ms);
	if (!n)
		return err_set(e, ERR_CORRUPT, "%s: attempt %lld of job %lld is not running",
			       d->path, (long long)attempt, (long long)job);
	if (n < 0 || record_result_row(d, attempt, r, e))
		return -1;
	for (size_t i = 0; i < r->n_phases; i++)
		if (db_do(d, e,
			  "INSERT INTO attempt_phase (attempt, ordinal, phase) VALUES (?1, ?2, ?3)",
			  "iii", attempt, (int64_t)i, r->phases[i]) < 0)
			return -1;
	return db_do(d, e, "UPDATE job SET state = 'done' WHERE id = ?1", "i", job) < 0 ? -1 : 0;
}

int db_result(struct db *d, int64_t job, int64_t attempt, const struct db_result *r, struct err *e)
{
	if (db_begin(d, e))
		return -1;
	int rc = record_result(d, job, attempt, r, e);
	if (rc)
		err_add(e, "result %s/%s of job %lld", r->status, r->reason, (long long)job);
	return db_end(d, rc, e);
}

static int record_revision(struct db *d, const struct db_revision *r, int64_t revised_ms,
			   struct err *e)
{
	auto_free char *cut = NULL;
	const char *evidence = record_evidence(r->evidence, &cut);
	int64_t signature;
	if (record_signature(d, r->attempt, &r->signature, &signature, e))
		return -1;
	int n = db_do(d, e,
		      "UPDATE result SET status = ?2, reason = ?3, evidence_offset = ?4, "
		      "evidence_length = ?5, evidence = ?6, rule = ?7, revised_ms = ?8, "
		      "signature = ?9 WHERE attempt = ?1",
		      "issmmssiz", r->attempt, r->status, r->reason, r->evidence_offset,
		      r->evidence_offset < 0 ? -1 : r->evidence_length, evidence, r->rule,
		      revised_ms, signature);
	if (!n)
		return err_set(e, ERR_ABSENT, "%s: attempt %lld has no result", d->path,
			       (long long)r->attempt);
	return n < 0 ? -1 : 0;
}

int db_revise(struct db *d, const struct db_revision *r, size_t n, int64_t revised_ms,
	      struct err *e)
{
	int rc = 0;
	if (db_begin(d, e))
		return -1;
	for (size_t i = 0; i < n && !rc; i++)
		rc = record_revision(d, &r[i], revised_ms, e);
	return db_end(d, rc, e);
}
