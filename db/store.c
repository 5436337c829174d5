/* Stores and their generations. A generation, once made, never changes; the current one is a column
 * of the store's row, so that moving on (or back) is one update. */
#include "db/store.h"
#include "db/tier.h"

#include <string.h>

/* ---- what is there ---- */

static void store_digest(sqlite3_stmt *s, int column, char (**list)[65], size_t *n)
{
	const char *digest = (const char *)sqlite3_column_text(s, column);
	*list = own_grow(*list, *n + 1, sizeof(**list));
	snprintf((*list)[(*n)++], sizeof(**list), "%s", digest ? digest : "");
}

int db_store_current(struct db *d, const char *store, struct db_generation *out, struct err *e)
{
	int rc = -1;
	*out = (struct db_generation){0};
	sqlite3_stmt *s =
		db_ask(d, e,
		       "SELECT s.current, l.digest, l.entries, lower(hex(n.chain)) FROM store s"
		       " JOIN generation n ON n.id = s.current JOIN generation_layer g ON "
		       "g.generation = n.id"
		       " JOIN layer l ON l.id = g.layer WHERE s.name = ?1 ORDER BY g.position",
		       "s", store);
	while (s && (rc = db_step(d, s, e)) > 0) {
		out->id = sqlite3_column_int64(s, 0);
		store_digest(s, 1, &out->layers, &out->n_layers);
		out->entries = own_grow(out->entries, out->n_layers, sizeof(*out->entries));
		out->entries[out->n_layers - 1] = sqlite3_column_int64(s, 2);
		const char *chain = (const char *)sqlite3_column_text(s, 3);
		snprintf(out->chain, sizeof(out->chain), "%s", chain ? chain : "");
	}
	db_done(s);
	if (rc)
		db_generation_fini(out);
	return rc;
}

void db_generation_fini(struct db_generation *g)
{
	free(g->layers);
	free(g->entries);
	*g = (struct db_generation){0};
}

static int known_segments(struct db *d, struct db_known *out, struct err *e)
{
	int rc = -1;
	sqlite3_stmt *s = db_ask(d, e, "SELECT number, bytes FROM segment ORDER BY number", "");
	while (s && (rc = db_step(d, s, e)) > 0) {
		out->segments =
			own_grow(out->segments, out->n_segments + 1, sizeof(*out->segments));
		out->segments[out->n_segments].number = (uint32_t)sqlite3_column_int64(s, 0);
		out->segments[out->n_segments++].bytes = (uint64_t)sqlite3_column_int64(s, 1);
	}
	db_done(s);
	return rc;
}

static int known_layers(struct db *d, struct db_known *out, struct err *e)
{
	int rc = -1;
	sqlite3_stmt *s = db_ask(d, e, "SELECT digest FROM layer ORDER BY digest", "");
	while (s && (rc = db_step(d, s, e)) > 0)
		store_digest(s, 0, &out->layers, &out->n_layers);
	db_done(s);
	return rc;
}

int db_known(struct db *d, struct db_known *out, struct err *e)
{
	*out = (struct db_known){0};
	if (!known_segments(d, out, e) && !known_layers(d, out, e))
		return 0;
	db_known_fini(out);
	return -1;
}

void db_known_fini(struct db_known *k)
{
	free(k->segments);
	free(k->layers);
	*k = (struct db_known){0};
}

/* ---- a new generation ---- */

int64_t store_row(struct db *d, const char *store, struct err *e)
{
	int64_t row = 0;
	if (db_do(d, e, "INSERT INTO store (name) VALUES (?1) ON CONFLICT (name) DO NOTHING", "s",
		  store) < 0 ||
	    db_number(d, e, &row, "SELECT id FROM store WHERE name = ?1", "s", store) < 0)
		return err_add(e, "store %s", store);
	return row;
}

int64_t store_at(struct db *d, const char *store, int64_t parent, struct err *e)
{
	int64_t row = store_row(d, store, e), current = 0;
	if (row < 0 ||
	    db_number(d, e, &current, "SELECT coalesce(current, 0) FROM store WHERE id = ?1", "i",
		      row) < 0)
		return -1;
	if (current != parent)
		return err_set(
			e, ERR_BUSY,
			"store %s: its generation is %lld now, and this was harvested against %lld",
			store, (long long)current, (long long)parent);
	return row;
}

int64_t store_generation(struct db *d, int64_t store, int64_t parent, const char *made_by,
			 const char *chain, int64_t layer, int64_t made_ms, struct err *e)
{
	if (db_do(d, e,
		  "INSERT INTO generation (store, parent, made_by, chain, made_ms) VALUES (?1, ?2, "
		  "?3, ?4, ?5)",
		  "izsxi", store, parent, made_by, chain, made_ms) < 0)
		return -1;
	int64_t id = sqlite3_last_insert_rowid(d->h);
	if (db_do(d, e,
		  "INSERT INTO generation_layer (generation, position, layer) VALUES (?1, 0, ?2)",
		  "ii", id, layer) < 0 ||
	    db_do(d, e, "UPDATE store SET current = ?2 WHERE id = ?1", "ii", store, id) < 0)
		return -1;
	return id;
}

int store_inherit(struct db *d, int64_t generation, int64_t parent, size_t n, int64_t layer,
		  struct err *e)
{
	int rc = db_do(d, e,
		       "INSERT INTO generation_layer (generation, position, layer)"
		       " SELECT ?1, position + 1, layer FROM (SELECT position, layer FROM "
		       "generation_layer WHERE generation = ?2 ORDER BY position LIMIT -1 OFFSET "
		       "?4) WHERE layer <> ?3",
		       "iiii", generation, parent, layer, (int64_t)n);
	return rc < 0 ? -1 : 0;
}

/* ---- flatten ---- */

/* Those above it stay where they are; it takes the place behind the first of those it stands for,
 * where none of the rest comes, either. */
static int flatten_above(struct db *d, int64_t generation, int64_t parent, size_t above,
			 struct err *e)
{
	if (!above)
		return 0;
	return db_do(d, e,
		     "UPDATE generation_layer SET position = 1 + (SELECT position FROM"
		     " generation_layer WHERE generation = ?2 ORDER BY position LIMIT 1 OFFSET ?3)"
		     " WHERE generation = ?1",
		     "iii", generation, parent, (int64_t)above) < 0 ||
			       db_do(d, e,
				     "INSERT INTO generation_layer (generation, position, layer)"
				     " SELECT ?1, position, layer FROM generation_layer WHERE"
				     " generation = ?2 ORDER BY position LIMIT ?3",
				     "iii", generation, parent, (int64_t)above) < 0
		       ? -1
		       : 0;
}

static int64_t flatten_all(struct db *d, const char *store, int64_t parent, size_t above, size_t n,
			   const char *layer, int64_t entries, int64_t bytes, int64_t made_ms,
			   struct err *e)
{
	int64_t row = store_at(d, store, parent, e);
	int64_t flat = row < 0 ? -1 : db_layer_row(d, layer, entries, bytes, made_ms, NULL, e);
	int64_t generation =
		flat < 0 ? -1 : store_generation(d, row, parent, "flatten", NULL, flat, made_ms, e);
	if (generation < 0 || flatten_above(d, generation, parent, above, e) ||
	    store_inherit(d, generation, parent, above + n, flat, e))
		return -1;
	/* What lies in the layers it stands for, and the chain, are the same as before. */
	if (parts_flatten(d, flat, row, parent, above, n, e) ||
	    db_do(d, e,
		  "UPDATE generation SET chain = (SELECT chain FROM generation WHERE id = ?2)"
		  " WHERE id = ?1",
		  "ii", generation, parent) < 0 ||
	    tier_settle(d, e))
		return -1;
	return generation;
}

int64_t db_store_flatten(struct db *d, const char *store, int64_t parent, size_t above, size_t n,
			 const char *layer, int64_t entries, int64_t bytes, int64_t made_ms,
			 struct err *e)
{
	if (db_begin(d, e))
		return -1;
	int64_t generation =
		flatten_all(d, store, parent, above, n, layer, entries, bytes, made_ms, e);
	return db_end(d, generation < 0 ? -1 : 0, e) ? -1 : generation;
}
