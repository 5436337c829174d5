/* Forgetting what no generation needs: generations, then layers, then publishes, then segments. */
#include "db/store.h"

#include <string.h>

static int collect_pins(struct db *d, const int64_t *pinned, size_t n, struct err *e)
{
	if (db_script(d,
		      "CREATE TEMP TABLE IF NOT EXISTS pinned (generation INTEGER PRIMARY KEY);"
		      "DELETE FROM pinned",
		      e))
		return -1;
	for (size_t i = 0; i < n; i++)
		if (db_do(d, e, "INSERT OR IGNORE INTO pinned VALUES (?1)", "i", pinned[i]) < 0)
			return -1;
	return 0;
}

static int collect_layers(struct db *d, struct db_collected *out, struct err *e)
{
	int rc = -1;
	sqlite3_stmt *s = db_ask(
		d, e,
		"SELECT digest FROM layer l WHERE NOT EXISTS (SELECT 1 FROM layer_name n WHERE "
		"n.layer = l.id) AND NOT EXISTS (SELECT 1 FROM generation_layer g WHERE g.layer = "
		"l.id) ORDER BY id",
		"");
	while (s && (rc = db_step(d, s, e)) > 0) {
		const char *id = (const char *)sqlite3_column_text(s, 0);
		out->layers = own_grow(out->layers, out->n_layers + 1, sizeof(*out->layers));
		snprintf(out->layers[out->n_layers++], sizeof(*out->layers), "%s", id ? id : "");
	}
	db_done(s);
	return rc;
}

/* The last one is still written to. */
static int collect_segments(struct db *d, struct db_collected *out, struct err *e)
{
	int rc = -1;
	sqlite3_stmt *s =
		db_ask(d, e,
		       "SELECT number FROM segment s WHERE number < (SELECT max(number) FROM "
		       "segment) AND NOT EXISTS (SELECT 1 FROM frame f WHERE f.segment = s.number)"
		       " ORDER BY number",
		       "");
	while (s && (rc = db_step(d, s, e)) > 0) {
		out->segments =
			own_grow(out->segments, out->n_segments + 1, sizeof(*out->segments));
		out->segments[out->n_segments++] = (uint32_t)sqlite3_column_int64(s, 0);
	}
	db_done(s);
	return rc;
}

/* Where what is needed is less than half of it; those of which nothing is are gone as a whole. */
static int collect_halves(struct db *d, struct db_collected *out, struct err *e)
{
	int rc = -1;
	sqlite3_stmt *s = db_ask(d, e,
				 "SELECT s.number, s.bytes - sum(f.bytes) FROM segment s"
				 " JOIN frame f ON f.segment = s.number GROUP BY s.number"
				 " HAVING 2 * sum(f.bytes) < s.bytes ORDER BY s.number",
				 "");
	while (s && (rc = db_step(d, s, e)) > 0) {
		out->halves = own_grow(out->halves, out->n_halves + 1, sizeof(*out->halves));
		out->halves[out->n_halves++] = (uint32_t)sqlite3_column_int64(s, 0);
		out->dead_bytes += sqlite3_column_int64(s, 1);
	}
	db_done(s);
	return rc;
}

/* A publish of which all is revoked is in no layer that was made without it. */
static int collect_revoked(struct db *d, struct err *e)
{
	return db_do(d, e,
		     "DELETE FROM layer_part WHERE"
		     " layer IN (SELECT id FROM layer WHERE revoked_ms IS NULL)"
		     " AND harvest IN (SELECT x.harvest FROM entry x WHERE x.revoked_ms IS NOT NULL"
		     "  AND NOT EXISTS (SELECT 1 FROM entry y WHERE y.harvest = x.harvest"
		     "   AND y.type <> 'd' AND y.revoked_ms IS NULL)"
		     "  AND NOT EXISTS (SELECT 1 FROM harvest_note n WHERE n.harvest = x.harvest"
		     "   AND n.change = 'deleted' AND n.type = 'w'))",
		     "") < 0
		       ? -1
		       : 0;
}

static int collect_dead(struct db *d, struct err *e)
{
	if (db_script(d,
		      "CREATE TEMP TABLE IF NOT EXISTS dead (harvest INTEGER PRIMARY KEY);"
		      "DELETE FROM dead",
		      e))
		return -1;
	/* What counts as words needs the record that says them. */
	return db_do(d, e,
		     "INSERT INTO dead SELECT id FROM harvest h WHERE (layer IS NOT NULL OR"
		     " (record IS NOT NULL AND EXISTS (SELECT 1 FROM frame f WHERE f.harvest ="
		     "  h.id))) AND NOT "
		     "EXISTS (SELECT 1 FROM layer_part lh WHERE lh.harvest = h.id)"
		     " AND NOT EXISTS (SELECT 1 FROM word w WHERE w.harvest = h.id"
		     "  AND w.revoked_ms IS NULL)",
		     "") < 0
		       ? -1
		       : 0;
}

static int collect_all(struct db *d, int64_t keep, struct db_collected *out, struct err *e)
{
	int n = db_do(d, e,
		      "DELETE FROM generation WHERE id IN (SELECT g.id FROM generation g"
		      " JOIN store s ON s.id = g.store WHERE g.id <> s.current"
		      " AND g.id NOT IN (SELECT generation FROM pinned)"
		      " AND (SELECT count(*) FROM generation y WHERE y.store = g.store"
		      "  AND y.id > g.id) >= ?1)",
		      "i", keep);
	if (n < 0 || collect_layers(d, out, e))
		return -1;
	out->generations = n;
	if (db_do(d, e,
		  "DELETE FROM layer_part WHERE layer NOT IN (SELECT layer FROM "
		  "generation_layer)",
		  "") < 0)
		return -1;
	/* A publish that is in no layer: its counts and notes stay. */
	if (collect_revoked(d, e) || collect_dead(d, e))
		return -1;
	out->harvests =
		db_do(d, e, "DELETE FROM frame WHERE harvest IN (SELECT harvest FROM dead)", "");
	out->entries = out->harvests < 0
			       ? -1
			       : db_do(d, e,
				       "DELETE FROM entry WHERE harvest IN (SELECT harvest FROM "
				       "dead)",
				       "");
	if (out->entries < 0 ||
	    db_number(d, e, &out->harvests, "SELECT count(*) FROM dead", "") < 0 ||
	    db_do(d, e, "DELETE FROM word WHERE harvest IN (SELECT harvest FROM dead)", "") < 0 ||
	    db_do(d, e,
		  "UPDATE harvest SET layer = NULL, record = NULL WHERE id IN (SELECT harvest FROM "
		  "dead)",
		  "") < 0)
		return -1;
	/* A layer's row stays for as long as the archive may bring it back. */
	if (db_do(d, e,
		  "DELETE FROM layer AS l WHERE NOT EXISTS (SELECT 1 FROM layer_name n WHERE "
		  "n.layer = l.id) AND NOT EXISTS (SELECT 1 FROM generation_layer g WHERE g.layer "
		  "= l.id) AND NOT EXISTS (SELECT 1 FROM harvest h WHERE h.layer = l.id)",
		  "") < 0 ||
	    collect_segments(d, out, e))
		return -1;
	for (size_t i = 0; i < out->n_segments; i++)
		if (db_do(d, e, "DELETE FROM segment WHERE number = ?1", "i",
			  (int64_t)out->segments[i]) < 0)
			return -1;
	return collect_halves(d, out, e);
}

int db_collect_rows(struct db *d, int64_t keep, const int64_t *pinned, size_t n, bool dry_run,
		    struct db_collected *out, struct err *e)
{
	*out = (struct db_collected){0};
	if (collect_pins(d, pinned, n, e) || db_begin(d, e))
		return -1;
	int rc = collect_all(d, keep, out, e);
	if (!rc && dry_run) {
		(void)!db_rollback(d);
		return 0;
	}
	rc = db_end(d, rc, e);
	if (rc)
		db_collected_fini(out);
	return rc;
}

void db_collected_fini(struct db_collected *c)
{
	free(c->layers);
	free(c->segments);
	free(c->halves);
	*c = (struct db_collected){0};
}

/* ---- segments written anew ---- */

int db_segment_frames(struct db *d, int64_t segment, uint64_t *bytes, uint64_t **offsets, size_t *n,
		      struct err *e)
{
	int rc = -1;
	size_t cap = 0;
	int64_t length = 0;
	*offsets = NULL;
	*n = 0;
	if (db_number(d, e, &length, "SELECT bytes FROM segment WHERE number = ?1", "i", segment) <
	    0)
		return -1;
	*bytes = (uint64_t)length;
	sqlite3_stmt *s =
		db_ask(d, e, "SELECT offset FROM frame WHERE segment = ?1 ORDER BY offset", "i",
		       segment);
	while (s && (rc = db_step(d, s, e)) > 0) {
		if (*n == cap) {
			cap = cap ? 2 * cap : 64;
			*offsets = own_grow(*offsets, cap, sizeof(**offsets));
		}
		(*offsets)[(*n)++] = (uint64_t)sqlite3_column_int64(s, 0);
	}
	db_done(s);
	if (rc) {
		free(*offsets);
		*offsets = NULL;
	}
	return rc;
}

/* In ascending order none takes the place of one that has not moved yet. */
static int moved_all(struct db *d, int64_t segment, uint64_t bytes, const uint64_t *from,
		     const uint64_t *to, size_t n, struct err *e)
{
	for (size_t i = 0; i < n; i++)
		if (db_do(d, e, "UPDATE frame SET offset = ?3 WHERE segment = ?1 AND offset = ?2",
			  "iii", segment, (int64_t)from[i], (int64_t)to[i]) != 1)
			return e->kind != ERR_NONE
				       ? -1
				       : err_set(e, ERR_CORRUPT,
						 "segment %lld has no frame at %llu",
						 (long long)segment, (unsigned long long)from[i]);
	return db_do(d, e, "UPDATE segment SET bytes = ?2 WHERE number = ?1", "ii", segment,
		     (int64_t)bytes) < 0
		       ? -1
		       : 0;
}

int db_segment_moved(struct db *d, int64_t segment, uint64_t bytes, const uint64_t *from,
		     const uint64_t *to, size_t n, struct err *e)
{
	if (db_begin(d, e))
		return -1;
	return db_end(d, moved_all(d, segment, bytes, from, to, n, e), e);
}
