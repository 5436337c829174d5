/* Stores: their generations, and publishing as one transaction. A generation, once made, never
 * changes; the current one is a column of the store's row, so that moving on (or back) is one
 * update. */
#include "db/handle.h"

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
	sqlite3_stmt *s = db_ask(
		d, e,
		"SELECT s.current, l.digest, l.entries FROM store s JOIN generation_layer g ON "
		"g.generation = s.current"
		" JOIN layer l ON l.id = g.layer WHERE s.name = ?1 ORDER BY g.position",
		"s", store);
	while (s && (rc = db_step(d, s, e)) > 0) {
		out->id = sqlite3_column_int64(s, 0);
		store_digest(s, 1, &out->layers, &out->n_layers);
		out->entries = own_grow(out->entries, out->n_layers, sizeof(*out->entries));
		out->entries[out->n_layers - 1] = sqlite3_column_int64(s, 2);
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

/* The store's row, made where it is missing, if its current generation is parent. */
static int64_t store_at(struct db *d, const char *store, int64_t parent, struct err *e)
{
	int64_t row = 0, current = 0;
	if (db_do(d, e, "INSERT INTO store (name) VALUES (?1) ON CONFLICT (name) DO NOTHING", "s",
		  store) < 0 ||
	    db_number(d, e, &row, "SELECT id FROM store WHERE name = ?1", "s", store) < 0 ||
	    db_number(d, e, &current, "SELECT coalesce(current, 0) FROM store WHERE id = ?1", "i",
		      row) < 0)
		return err_add(e, "store %s", store);
	if (current != parent)
		return err_set(
			e, ERR_BUSY,
			"store %s: its generation is %lld now, and this was harvested against %lld",
			store, (long long)current, (long long)parent);
	return row;
}

/* The generation's row with layer on top. */
static int64_t store_generation(struct db *d, int64_t store, int64_t parent, const char *made_by,
				int64_t layer, int64_t made_ms, struct err *e)
{
	if (db_do(d, e,
		  "INSERT INTO generation (store, parent, made_by, made_ms) VALUES (?1, ?2, ?3, "
		  "?4)",
		  "izsi", store, parent, made_by, made_ms) < 0)
		return -1;
	int64_t id = sqlite3_last_insert_rowid(d->h);
	if (db_do(d, e,
		  "INSERT INTO generation_layer (generation, position, layer) VALUES (?1, 0, ?2)",
		  "ii", id, layer) < 0 ||
	    db_do(d, e, "UPDATE store SET current = ?2 WHERE id = ?1", "ii", store, id) < 0)
		return -1;
	return id;
}

/* The parent's layers below it, but the uppermost n. Should the new layer be one of them, it shows
 * through its upper place already. */
static int store_inherit(struct db *d, int64_t generation, int64_t parent, size_t n, int64_t layer,
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

/* ---- publish ---- */

/* The harvest's row id, or -1. */
static int64_t publish_harvest(struct db *d, const struct db_publish *p, int64_t store,
			       int64_t generation, int64_t layer, struct err *e)
{
	int rc = db_do(d, e,
		       "INSERT INTO harvest (phase, store, seen, generation, layer, added, "
		       "replaced, merged, identical, dropped,"
		       " conflicts, deleted, refused, bytes, made_ms)"
		       " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
		       "zizzziiiiiiiiii", p->phase, store, p->parent, generation, layer, p->added,
		       p->replaced, p->merged, p->identical, p->dropped, p->conflicts, p->deleted,
		       p->refused, p->bytes, p->made_ms);
	return rc < 0 ? -1 : sqlite3_last_insert_rowid(d->h);
}

/* The segment grows to the frame's end. A frame that begins before the committed length would
 * overwrite another. */
static int publish_frame(struct db *d, const struct db_publish *p, int64_t harvest, struct err *e)
{
	int n = db_do(
		d, e,
		"INSERT INTO segment (number, bytes) VALUES (?1, ?2 + ?3) ON CONFLICT (number)"
		" DO UPDATE SET bytes = excluded.bytes WHERE bytes <= ?2",
		"iii", p->segment, p->frame_offset, p->frame_bytes);
	if (!n)
		return err_set(e, ERR_CORRUPT,
			       "segment %lld: a frame at %lld lies below its committed length",
			       (long long)p->segment, (long long)p->frame_offset);
	if (n < 0 || db_do(d, e,
			   "INSERT INTO frame (segment, offset, bytes, sha256, harvest) VALUES "
			   "(?1, ?2, ?3, ?4, ?5)",
			   "iiixi", p->segment, p->frame_offset, p->frame_bytes, p->frame_sha256,
			   harvest) < 0)
		return err_add(e, "segment %lld", (long long)p->segment);
	return 0;
}

static int publish_entry(struct db *d, int64_t harvest, size_t ordinal, const struct db_entry *x,
			 struct err *e)
{
	char type[2] = {x->type, '\0'};
	(void)ordinal;
	return db_do(d, e,
		     "INSERT INTO entry (harvest, path, change, type, mode, mtime_ns, size, "
		     "sha256, target)"
		     " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
		     "ibssiiixb", harvest, x->path, x->change, type, (int64_t)x->mode, x->mtime_ns,
		     x->size, x->sha256, x->target);
}

static int publish_note(struct db *d, int64_t harvest, size_t ordinal, const struct db_entry *x,
			struct err *e)
{
	char type[2] = {x->type, '\0'};
	return db_do(d, e,
		     "INSERT INTO harvest_note (harvest, ordinal, change, path, type, size, "
		     "sha256, target, reason)"
		     " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
		     "iisbsixbs", harvest, (int64_t)ordinal, x->change, x->path, type, x->size,
		     x->sha256, x->target, x->reason && *x->reason ? x->reason : NULL);
}

static int publish_nowhere(struct db *d, int64_t harvest, size_t ordinal, const struct db_entry *x,
			   struct err *e)
{
	(void)d, (void)harvest, (void)ordinal, (void)x, (void)e;
	return 0;
}

typedef int (*publish_fn)(struct db *d, int64_t harvest, size_t ordinal, const struct db_entry *x,
			  struct err *e);

/* How many a harvest may have of what goes there: what is in the store is told whole, of what a
 * hostile job piled up beside it a part is enough. */
#define PUBLISH_ALL SIZE_MAX

/* clang-format off */
static const struct {
	const char *change;
	publish_fn put;
	size_t most;
} changes[] = {
	{"added",     publish_entry,   PUBLISH_ALL},
	{"replaced",  publish_entry,   PUBLISH_ALL},
	{"merged",    publish_entry,   PUBLISH_ALL},
	{"conflict",  publish_note,    DB_NOTES},
	{"refused",   publish_note,    DB_NOTES},
	{"deleted",   publish_note,    DB_NOTES},
	{"dropped",   publish_note,    DB_NOTES},
	{"identical", publish_nowhere, PUBLISH_ALL}, /* counted, not listed: most of what a warm cache touches */
};
/* clang-format on */

/* Index into changes, or -1. */
static int publish_change(const struct db_publish *p, const struct db_entry *x, struct err *e)
{
	for (size_t i = 0; x->change && i < countof(changes); i++)
		if (!strcmp(x->change, changes[i].change)) {
			if (changes[i].put != publish_entry || !p->nothing)
				return (int)i;
			return err_set(e, ERR_CORRUPT, "%s is %s, and yet nothing was published",
				       x->path, x->change);
		}
	return err_set(e, ERR_CORRUPT, "%s: '%s' is no change", x->path,
		       x->change ? x->change : "");
}

static int publish_entries(struct db *d, const struct db_publish *p, int64_t harvest, struct err *e)
{
	size_t n[countof(changes)] = {0};
	for (size_t i = 0; i < p->n_entries; i++) {
		int c = publish_change(p, &p->entries[i], e);
		if (c < 0)
			return -1;
		if (n[c]++ < changes[c].most &&
		    changes[c].put(d, harvest, i, &p->entries[i], e) < 0)
			return err_add(e, "%s", p->entries[i].path);
	}
	return 0;
}

/* Layer, generation and frame, in the order in which they refer to each other. The new generation,
 * or -1. */
static int64_t publish_something(struct db *d, const struct db_publish *p, int64_t store,
				 struct err *e)
{
	int64_t layer =
		db_layer_row(d, p->layer, p->layer_entries, p->layer_bytes, p->made_ms, NULL, e);
	int64_t generation =
		layer < 0 ? -1
			  : store_generation(d, store, p->parent, "publish", layer, p->made_ms, e);
	if (generation < 0 || store_inherit(d, generation, p->parent, 0, layer, e))
		return -1;
	int64_t harvest = publish_harvest(d, p, store, generation, layer, e);
	if (harvest < 0 || publish_frame(d, p, harvest, e) || publish_entries(d, p, harvest, e))
		return -1;
	return generation;
}

static int64_t publish_all(struct db *d, const struct db_publish *p, struct err *e)
{
	int64_t store = store_at(d, p->store, p->parent, e);
	if (store < 0)
		return -1;
	if (!p->nothing)
		return publish_something(d, p, store, e);
	int64_t harvest = publish_harvest(d, p, store, 0, 0, e);
	return harvest < 0 || publish_entries(d, p, harvest, e) ? -1 : p->parent;
}

int64_t db_publish(struct db *d, const struct db_publish *p, struct err *e)
{
	if (db_begin(d, e))
		return -1;
	int64_t generation = publish_all(d, p, e);
	return db_end(d, generation < 0 ? -1 : 0, e) ? -1 : generation;
}

/* ---- flatten ---- */

static int64_t flatten_all(struct db *d, const char *store, int64_t parent, size_t n,
			   const char *layer, int64_t entries, int64_t bytes, int64_t made_ms,
			   struct err *e)
{
	int64_t row = store_at(d, store, parent, e);
	int64_t flat = row < 0 ? -1 : db_layer_row(d, layer, entries, bytes, made_ms, NULL, e);
	int64_t generation =
		flat < 0 ? -1 : store_generation(d, row, parent, "flatten", flat, made_ms, e);
	return generation < 0 || store_inherit(d, generation, parent, n, flat, e) ? -1 : generation;
}

int64_t db_store_flatten(struct db *d, const char *store, int64_t parent, size_t n,
			 const char *layer, int64_t entries, int64_t bytes, int64_t made_ms,
			 struct err *e)
{
	if (db_begin(d, e))
		return -1;
	int64_t generation = flatten_all(d, store, parent, n, layer, entries, bytes, made_ms, e);
	return db_end(d, generation < 0 ? -1 : 0, e) ? -1 : generation;
}
