/* Taking back what was published: what of it shows, who else vouches for it, what shows instead. */
#include "db/shown.h"
#include "db/store.h"

#include <string.h>

/* ---- which publishes ---- */

#define TAKEN_COLUMNS                                                                              \
	"SELECT h.id, l.digest, s.name,"                                                           \
	" coalesce(h.job, 'run ' || f.run || ' ' || p.name || ' ' || f.name, ''),"                 \
	" (SELECT coalesce(sum(size), 0) FROM entry e WHERE e.harvest = h.id AND e.type = 'f'),"   \
	" max(h.made_ms, coalesce((SELECT max(o.started_ms) FROM phase o"                          \
	"  WHERE o.package = f.package AND o.generation IS NOT NULL), 0)) AS last_ms"              \
	" FROM harvest h JOIN store s ON s.id = h.store JOIN layer l ON l.id = h.layer"            \
	" LEFT JOIN phase f ON f.id = h.phase LEFT JOIN package p ON p.id = f.package"             \
	" WHERE EXISTS (SELECT 1 FROM layer_part lh JOIN generation_layer gl"                      \
	"  ON gl.layer = lh.layer AND gl.generation = s.current WHERE lh.harvest = h.id)"

static char *column_text(sqlite3_stmt *s, int column)
{
	const char *text = (const char *)sqlite3_column_text(s, column);
	return own_dup(text ? text : "");
}

static void column_id(sqlite3_stmt *s, int column, char id[65])
{
	const char *text = (const char *)sqlite3_column_text(s, column);
	snprintf(id, 65, "%s", text ? text : "");
}

int taken_read(struct db *d, sqlite3_stmt *s, struct db_taken **out, size_t *n, struct err *e)
{
	int rc = -1;
	size_t cap = 0;
	*out = NULL;
	*n = 0;
	while (s && (rc = db_step(d, s, e)) > 0) {
		if (*n == cap) {
			cap = cap ? 2 * cap : 16;
			*out = own_grow(*out, cap, sizeof(**out));
		}
		struct db_taken *t = &(*out)[(*n)++];
		*t = (struct db_taken){
			.harvest = sqlite3_column_int64(s, 0),
			.store = column_text(s, 2),
			.job = column_text(s, 3),
			.bytes = sqlite3_column_int64(s, 4),
			.last_ms = sqlite3_column_int64(s, 5),
		};
		column_id(s, 1, t->layer);
	}
	db_done(s);
	if (rc) {
		db_taken_free(*out, *n);
		*out = NULL;
		*n = 0;
	}
	return rc;
}

int db_taken_find(struct db *d, const char *job, struct db_taken **out, size_t *n, struct err *e)
{
	return taken_read(d,
			  db_ask(d, e,
				 TAKEN_COLUMNS
				 " AND (CAST(h.id AS TEXT) = ?1 OR h.job = ?1 OR p.name = ?1"
				 "  OR h.package = ?1 OR p.name || '@' || f.version = ?1"
				 "  OR 'run ' || f.run || ' ' || p.name || ' ' || f.name = ?1)"
				 " ORDER BY h.id",
				 "s", job),
			  out, n, e);
}

int db_taken_oldest(struct db *d, const char *store, struct db_taken **out, size_t *n,
		    struct err *e)
{
	return taken_read(d,
			  db_ask(d, e,
				 TAKEN_COLUMNS
				 /* What it deleted would come back. */
				 " AND s.name = ?1 AND NOT EXISTS (SELECT 1 FROM harvest_note n"
				 "  WHERE n.harvest = h.id AND n.change = 'deleted'"
				 "  AND n.type = 'w') ORDER BY last_ms, h.id",
				 "s", store),
			  out, n, e);
}

void db_taken_free(struct db_taken *t, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(t[i].store);
		free(t[i].job);
	}
	free(t);
}

/* ---- which entries ---- */

int ending_mark(struct db *d, const int64_t *harvests, size_t n, struct err *e)
{
	if (db_script(d,
		      "CREATE TEMP TABLE IF NOT EXISTS ending (harvest INTEGER PRIMARY KEY);"
		      "DELETE FROM ending",
		      e))
		return -1;
	for (size_t i = 0; i < n; i++)
		if (db_do(d, e, "INSERT OR IGNORE INTO ending VALUES (?1)", "i", harvests[i]) < 0)
			return -1;
	return 0;
}

static int ended_read(struct db *d, sqlite3_stmt *s, struct db_ended **out, size_t *n,
		      struct err *e)
{
	int rc = -1;
	size_t cap = 0;
	while (s && (rc = db_step(d, s, e)) > 0) {
		if (*n == cap) {
			cap = cap ? 2 * cap : 64;
			*out = own_grow(*out, cap, sizeof(**out));
		}
		struct db_ended *x = &(*out)[(*n)++];
		const void *path = sqlite3_column_blob(s, 2);
		const char *type = (const char *)sqlite3_column_text(s, 3);
		*x = (struct db_ended){
			.harvest = sqlite3_column_int64(s, 0),
			.path = own_dup_n(path ? path : "", (size_t)sqlite3_column_bytes(s, 2)),
			.type = type ? *type : '?',
			.vouchers = sqlite3_column_int64(s, 4),
			.shown = sqlite3_column_int64(s, 5),
			.instead = sqlite3_column_int64(s, 6),
		};
		column_id(s, 1, x->layer);
		column_id(s, 7, x->instead_layer);
	}
	db_done(s);
	return rc;
}

/* clang-format off */
#define NOT_ENDING " AND nx.harvest NOT IN (SELECT harvest FROM ending)"

static const char who_ends[] =
	"WITH inside AS MATERIALIZED (SELECT DISTINCT lp.harvest AS id FROM store s"
	"  JOIN generation_layer gl ON gl.generation = s.current JOIN layer_part lp ON lp.layer = gl.layer"
	"  JOIN harvest h ON h.id = lp.harvest AND h.store = s.id WHERE s.name = ?1),"
	" best AS MATERIALIZED (SELECT e.harvest, e.path, e.type, e.sha256,"
	"  " SHOWN_AT("e.path", "s.current", "s.id", "") " AS top,"
	"  " SHOWN_AT("e.path", "s.current", "s.id", NOT_ENDING) " AS instead"
	"  FROM store s JOIN ending x JOIN entry e ON e.harvest = x.harvest"
	"  WHERE s.name = ?1 AND e.type <> 'd' AND e.revoked_ms IS NULL AND x.harvest IN (SELECT id FROM inside)),"
	" ours AS MATERIALIZED (SELECT f.package FROM ending x JOIN harvest h ON h.id = x.harvest JOIN phase f ON f.id = h.phase)"
	" SELECT b.harvest, l.digest, b.path, b.type,"
	"  (SELECT count(*) FROM (SELECT package FROM sighting g WHERE g.sha256 = b.sha256"
	"   UNION SELECT f.package FROM entry n CROSS JOIN harvest nh ON nh.id = n.harvest JOIN phase f ON f.id = nh.phase"
	"    WHERE n." IN_TIERS " AND CAST(n.path AS TEXT) = CAST(b.path AS TEXT) AND n.path = b.path AND n.sha256 = b.sha256"
	"     AND n.harvest NOT IN (SELECT harvest FROM ending))"
	"   WHERE package NOT IN (SELECT package FROM ours)),"
	"  b.top IS b.harvest, coalesce(ih.id, 0), il.digest"
	" FROM best b JOIN harvest h ON h.id = b.harvest LEFT JOIN layer l ON l.id = h.layer"
	" LEFT JOIN harvest ih ON ih.id = b.instead LEFT JOIN layer il ON il.id = ih.layer ORDER BY b.harvest, b.path";
/* clang-format on */

int db_ended_list(struct db *d, const char *store, const int64_t *harvests, size_t n,
		  struct db_ended **out, size_t *n_out, struct err *e)
{
	*out = NULL;
	*n_out = 0;
	if (ending_mark(d, harvests, n, e))
		return -1;
	int rc = ended_read(d, db_ask(d, e, who_ends, "s", store), out, n_out, e);
	if (rc) {
		db_ended_free(*out, *n_out);
		*out = NULL;
		*n_out = 0;
	}
	return rc;
}

void db_ended_free(struct db_ended *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(v[i].path);
	free(v);
}

/* ---- the generation without them ---- */

/* Later than all that was revoked before: by it a layer that was made in between is told from one
 * that still has it. */
static int end_revoke(struct db *d, const struct db_ended *ended, size_t n, int64_t made_ms,
		      struct err *e)
{
	int64_t at = 0;
	if (db_number(d, e, &at, "SELECT max(?1, 1 + coalesce(max(revoked_ms), 0)) FROM layer", "i",
		      made_ms) < 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (db_do(d, e, "UPDATE entry SET revoked_ms = ?3 WHERE harvest = ?1 AND path = ?2",
			  "ibi", ended[i].harvest, ended[i].path, at) < 0 ||
		    word_pending(d, ended[i].harvest, ended[i].path, e))
			return -1;
	return db_do(d, e,
		     "UPDATE layer SET revoked_ms = ?1 WHERE revoked_ms IS NULL AND id IN"
		     " (SELECT layer FROM layer_part WHERE harvest IN (SELECT harvest FROM "
		     "ending))",
		     "i", at) < 0
		       ? -1
		       : 0;
}

static int64_t end_all(struct db *d, const struct db_event *ev, bool revoke,
		       const struct db_ended *ended, size_t n, const char *layer, int64_t entries,
		       int64_t bytes, struct err *e)
{
	int64_t store = store_at(d, ev->store, ev->parent, e);
	auto_free int64_t *harvests = own_calloc(n + 1, sizeof(*harvests));
	for (size_t i = 0; i < n; i++)
		harvests[i] = ended[i].harvest;
	if (store < 0 || ending_mark(d, harvests, n, e) ||
	    (revoke && end_revoke(d, ended, n, ev->made_ms, e)))
		return -1;
	int64_t row = db_layer_row(d, layer, entries, bytes, ev->made_ms, NULL, e);
	int64_t generation =
		row < 0 ? -1
			: store_generation(d, store, ev->parent, revoke ? "revoke" : "collect",
					   ev->chain, row, ev->made_ms, e);
	if (generation < 0 || parts_end(d, row, store, ev->parent, !revoke, e) ||
	    (!revoke &&
	     db_do(d, e, "DELETE FROM word WHERE harvest IN (SELECT harvest FROM ending)", "") <
		     0) ||
	    store_event(d, ev, store, generation, e))
		return -1;
	return generation;
}

int64_t db_end_entries(struct db *d, const struct db_event *ev, bool revoke,
		       const struct db_ended *ended, size_t n, const char *layer, int64_t entries,
		       int64_t bytes, struct err *e)
{
	if (db_begin(d, e))
		return -1;
	int64_t id = end_all(d, ev, revoke, ended, n, layer, entries, bytes, e);
	return db_end(d, id < 0 ? -1 : 0, e) ? -1 : id;
}
