/* Frozen uppers that are kept: which there are, and what they are good for. Their directories are
 * the orchestrator's. */
#include "db/handle.h"

#include <string.h>

#define KEPT_COLUMNS                                                                               \
	"SELECT k.phase, k.upon, lower(hex(k.digest)), k.bytes, k.entries, k.saves_ms, k.uses,"    \
	" k.in_use"

static struct db_kept kept_row(sqlite3_stmt *s)
{
	struct db_kept k = {
		.phase = sqlite3_column_int64(s, 0),
		.upon = sqlite3_column_int64(s, 1),
		.bytes = sqlite3_column_int64(s, 3),
		.entries = sqlite3_column_int64(s, 4),
		.saves_ms = sqlite3_column_int64(s, 5),
		.uses = sqlite3_column_int64(s, 6),
		.in_use = sqlite3_column_int64(s, 7) != 0,
	};
	snprintf(k.digest, sizeof(k.digest), "%s", (const char *)sqlite3_column_text(s, 2));
	return k;
}

/* 1 found, 0 absent, -1. */
static int kept_find(struct db *d, const char *key, int64_t upon, int64_t run, struct db_kept *out,
		     struct err *e)
{
	sqlite3_stmt *s =
		db_ask(d, e,
		       KEPT_COLUMNS " FROM kept k WHERE key = ?1 AND upon = ?2 AND (?3 = 0 OR ?3 ="
				    " (SELECT f.run FROM phase f WHERE f.id = k.phase))",
		       "xii", key, upon, run);
	int rc = s ? db_step(d, s, e) : -1;
	if (rc > 0)
		*out = kept_row(s);
	db_done(s);
	return rc;
}

int db_kept_take(struct db *d, const char *key, int64_t upon, int64_t run, struct db_kept *out,
		 struct err *e)
{
	int rc = kept_find(d, key, upon, run, out, e);
	if (rc <= 0)
		return rc;
	return db_do(d, e, "UPDATE kept SET in_use = 1 WHERE phase = ?1", "i", out->phase) < 0 ? -1
											       : 1;
}

/* ---- with all that lies upon them ---- */

#define KEPT_UPON                                                                                  \
	"WITH RECURSIVE above (phase) AS (SELECT phase FROM kept WHERE phase = ?1 UNION"           \
	" SELECT k.phase FROM kept k JOIN above a ON k.upon = a.phase) "

static int kept_above(struct db *d, int64_t phase, int64_t **list, size_t *n, struct err *e)
{
	sqlite3_stmt *s = db_ask(d, e, KEPT_UPON "SELECT phase FROM above", "i", phase);
	int rc = s ? 0 : -1;
	while (!rc && (rc = db_step(d, s, e)) > 0) {
		*list = own_grow(*list, *n + 1, sizeof(**list));
		(*list)[(*n)++] = sqlite3_column_int64(s, 0);
		rc = 0;
	}
	db_done(s);
	return rc;
}

static int kept_drop(struct db *d, int64_t phase, int64_t **gone, size_t *n, struct err *e)
{
	size_t from = *n;
	if (kept_above(d, phase, gone, n, e))
		return -1;
	for (size_t i = from; i < *n; i++)
		if (db_do(d, e, "DELETE FROM kept WHERE phase = ?1", "i", (*gone)[i]) < 0)
			return -1;
	return 0;
}

int db_kept_drop(struct db *d, int64_t phase, int64_t **gone, size_t *n, struct err *e)
{
	return db_begin(d, e) ? -1 : db_end(d, kept_drop(d, phase, gone, n, e), e);
}

static int kept_replace(struct db *d, int64_t phase, int64_t **replaced, size_t *n, struct err *e)
{
	int64_t used = 0;
	if (db_number(d, e, &used,
		      KEPT_UPON "SELECT count(*) FROM above JOIN kept USING (phase) WHERE in_use",
		      "i", phase) < 0)
		return -1;
	if (used)
		return 0;
	return kept_drop(d, phase, replaced, n, e) ? -1 : 1;
}

static int kept_add(struct db *d, const struct db_kept *k, const char *key, int64_t now_ms,
		    int64_t **replaced, size_t *n, struct err *e)
{
	struct db_kept old;
	int rc = kept_find(d, key, k->upon, 0, &old, e);
	if (rc > 0)
		rc = kept_replace(d, old.phase, replaced, n, e);
	else if (!rc)
		rc = 1;
	if (rc <= 0)
		return rc;
	return db_do(d, e,
		     "INSERT INTO kept (phase, key, upon, digest, bytes, entries, saves_ms, "
		     "made_ms)"
		     " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
		     "ixixiiii", k->phase, key, k->upon, k->digest, k->bytes, k->entries,
		     k->saves_ms, now_ms) < 0
		       ? -1
		       : 1;
}

int db_kept_add(struct db *d, const struct db_kept *k, const char *key, int64_t now_ms,
		int64_t **replaced, size_t *n, struct err *e)
{
	*replaced = NULL;
	*n = 0;
	if (db_begin(d, e))
		return -1;
	int rc = kept_add(d, k, key, now_ms, replaced, n, e);
	if (!db_end(d, rc < 0 ? -1 : 0, e))
		return rc;
	free(*replaced);
	*replaced = NULL;
	*n = 0;
	return -1;
}

int db_kept_give(struct db *d, int64_t phase, bool used, int64_t now_ms, struct err *e)
{
	return db_do(d, e,
		     "UPDATE kept SET in_use = 0, uses = uses + ?2,"
		     " used_ms = CASE WHEN ?2 THEN ?3 ELSE used_ms END WHERE phase = ?1",
		     "iii", phase, (int64_t)used, now_ms) < 0
		       ? -1
		       : 0;
}

int db_kept_list(struct db *d, struct db_kept **list, size_t *n, struct err *e)
{
	/* a run's chances are counted once, and not for each of its phases */
	sqlite3_stmt *s = db_ask(
		d, e,
		"WITH made AS MATERIALIZED (SELECT DISTINCT f.run AS id FROM kept k JOIN phase f"
		"  ON f.id = k.phase),"
		" since AS MATERIALIZED (SELECT m.id, (SELECT count(*) FROM run o WHERE o.suite ="
		"  r.suite AND o.id > m.id) AS n FROM made m JOIN run r ON r.id = m.id) " //
		KEPT_COLUMNS ", c.n FROM kept k JOIN phase f ON f.id = k.phase JOIN since c ON"
		" c.id = f.run",
		"");
	int rc = s ? 0 : -1;
	size_t room = 0;
	*list = NULL;
	*n = 0;
	while (!rc && (rc = db_step(d, s, e)) > 0) {
		if (*n == room) {
			room = room ? room * 2 : 64;
			*list = own_grow(*list, room, sizeof(**list));
		}
		(*list)[*n] = kept_row(s);
		(*list)[(*n)++].chances = sqlite3_column_int64(s, 8);
		rc = 0;
	}
	db_done(s);
	if (!rc)
		return 0;
	free(*list);
	*list = NULL;
	*n = 0;
	return -1;
}

int db_kept_forget(struct db *d, const int64_t *phases, size_t n, struct err *e)
{
	int rc = 0;
	if (db_begin(d, e))
		return -1;
	for (size_t i = 0; rc >= 0 && i < n; i++)
		rc = db_do(d, e, "DELETE FROM kept WHERE phase = ?1", "i", phases[i]);
	return db_end(d, rc < 0 ? -1 : 0, e);
}

int db_kept_rest(struct db *d, struct err *e)
{
	return db_do(d, e, "UPDATE kept SET in_use = 0 WHERE in_use", "") < 0 ? -1 : 0;
}
