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

static int collect_dead(struct db *d, struct err *e)
{
	if (db_script(d,
		      "CREATE TEMP TABLE IF NOT EXISTS dead (harvest INTEGER PRIMARY KEY);"
		      "DELETE FROM dead",
		      e))
		return -1;
	return db_do(d, e,
		     "INSERT INTO dead SELECT id FROM harvest h WHERE layer IS NOT NULL AND NOT "
		     "EXISTS (SELECT 1 FROM layer_harvest lh WHERE lh.harvest = h.id)",
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
		  "DELETE FROM layer_harvest WHERE layer NOT IN (SELECT layer FROM "
		  "generation_layer)",
		  "") < 0)
		return -1;
	/* A publish that is in no layer: its counts and notes stay. */
	if (collect_dead(d, e))
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
	    db_do(d, e, "UPDATE harvest SET layer = NULL WHERE id IN (SELECT harvest FROM dead)",
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
	return 0;
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
	*c = (struct db_collected){0};
}
