/* Jobs that need not run, because what they would see was judged before. */
#include "db/handle.h"

/* clang-format off */
#define CPU_OF " coalesce(sum(coalesce(f.cpu_user_us, 0) + coalesce(f.cpu_system_us, 0)), 0)" \
	" FROM attempt_phase l JOIN phase f ON f.id = l.phase WHERE l.attempt = q.attempt AND f.variant"
static const char agreeing[] =
	"SELECT q.*, (SELECT" CPU_OF " IS NOT NULL), (SELECT" CPU_OF " IS NULL) FROM ("
	"SELECT j.id, max(a.id) AS attempt, max(o.run), min(s.status), min(s.phase), min(s.reason), count(*)"
	" FROM job j JOIN job o ON o.input_key = j.input_key AND o.run < j.run"
	" JOIN attempt a ON a.job = o.id JOIN result s ON s.attempt = a.id"
	" WHERE j.run = ?1 AND j.state = 'waiting' AND j.recheck IS NULL"
	"  AND s.status NOT IN ('skip', 'infra', 'block') AND s.reason <> 'cancelled'"
	" GROUP BY j.id HAVING count(DISTINCT s.status || ' ' || s.phase || ' ' || s.reason) = 1"
	"  AND (min(s.status) = 'pass' OR count(*) >= 2)) q";
#undef CPU_OF
/* clang-format on */

int db_unchanged(struct db *d, int64_t run,
		 void (*each)(void *ctx, const struct db_unchanged *u, const char *status,
			      const char *phase, const char *reason),
		 void *ctx, struct err *e)
{
	sqlite3_stmt *s = db_ask(d, e, agreeing, "i", run);
	int rc = s ? 0 : -1;
	while (!rc && (rc = db_step(d, s, e)) > 0) {
		const struct db_unchanged u = {sqlite3_column_int64(s, 0),
					       sqlite3_column_int64(s, 1),
					       sqlite3_column_int64(s, 2),
					       sqlite3_column_int64(s, 6),
					       sqlite3_column_int64(s, 7),
					       sqlite3_column_int64(s, 8)};
		each(ctx, &u, (const char *)sqlite3_column_text(s, 3),
		     (const char *)sqlite3_column_text(s, 4),
		     (const char *)sqlite3_column_text(s, 5));
		rc = 0;
	}
	db_done(s);
	return rc;
}

static int spare_one(struct db *d, const struct db_unchanged *u, int64_t now_ms, struct err *e)
{
	auto_free char *evidence = own_fmt("judged in run %lld", (long long)u->run);
	int64_t attempt = db_attempt_begin(d, u->job, now_ms, e);
	return attempt < 0 ||
			       db_do(d, e, "UPDATE attempt SET ended_ms = ?2 WHERE id = ?1", "ii",
				     attempt, now_ms) < 0 ||
			       db_do(d, e,
				     "INSERT INTO result (attempt, status, phase, reason, evidence)"
				     " SELECT ?1, 'skip', phase, 'unchanged', ?3 FROM result"
				     " WHERE attempt = ?2",
				     "iis", attempt, u->attempt, evidence) < 0 ||
			       db_do(d, e,
				     "UPDATE job SET state = 'done', unchanged = ?2, agreed = ?3"
				     " WHERE id = ?1",
				     "iii", u->job, u->attempt, u->agreed) < 0
		       ? -1
		       : 0;
}

int db_spare(struct db *d, const struct db_unchanged *list, size_t n, int64_t now_ms, struct err *e)
{
	int rc = 0;
	if (db_begin(d, e))
		return -1;
	for (size_t i = 0; !rc && i < n; i++)
		rc = spare_one(d, &list[i], now_ms, e);
	return db_end(d, rc, e);
}

int db_recheck(struct db *d, const struct db_unchanged *list, size_t n, struct err *e)
{
	int rc = 0;
	if (db_begin(d, e))
		return -1;
	for (size_t i = 0; rc >= 0 && i < n; i++)
		rc = db_do(d, e, "UPDATE job SET recheck = ?2, agreed = ?3 WHERE id = ?1", "iii",
			   list[i].job, list[i].attempt, list[i].agreed);
	return db_end(d, rc < 0 ? -1 : 0, e);
}

static int wake(struct db *d, int64_t job, struct err *e)
{
	return db_do(d, e,
		     "DELETE FROM attempt WHERE job = ?1 AND id IN (SELECT attempt FROM result"
		     " WHERE status = 'skip' AND reason = 'unchanged')",
		     "i", job) < 0 ||
			       db_do(d, e,
				     "UPDATE job SET unchanged = NULL, agreed = NULL, state = "
				     "'waiting'"
				     " WHERE id = ?1",
				     "i", job) < 0
		       ? -1
		       : 0;
}

int db_wake(struct db *d, int64_t job, struct err *e)
{
	return db_begin(d, e) ? -1 : db_end(d, wake(d, job, e), e);
}
