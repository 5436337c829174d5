/* Layers and the names people give them. A layer's row stays until no name and no generation names
 * it. */
#include "db/handle.h"

#include <string.h>

enum { PREFIX_DIGITS = 8 };

int64_t db_layer_row(struct db *d, const char *id, int64_t entries, int64_t bytes, int64_t made_ms,
		     const char *source, struct err *e)
{
	int64_t row = -1;
	if (db_do(d, e,
		  "INSERT INTO layer (digest, entries, bytes, made_ms, source) VALUES (?1, ?2, ?3, "
		  "?4, ?5)"
		  " ON CONFLICT (digest) DO NOTHING",
		  "siiis", id, entries, bytes, made_ms, source) < 0 ||
	    db_number(d, e, &row, "SELECT id FROM layer WHERE digest = ?1", "s", id) < 0)
		return err_add(e, "layer %s", id);
	return row;
}

static int layer_name(struct db *d, const struct db_layer *l, struct err *e)
{
	int64_t row = db_layer_row(d, l->id, l->entries, l->bytes, l->made_ms, l->source, e);
	if (row < 0)
		return -1;
	int rc = db_do(d, e,
		       "INSERT INTO layer_name (name, layer, made_ms, source) VALUES (?1, ?2, ?3, "
		       "?4) ON CONFLICT (name)"
		       " DO UPDATE SET layer = excluded.layer, made_ms = excluded.made_ms, source "
		       "= excluded.source",
		       "siis", l->name, row, l->made_ms, l->source);
	return rc < 0 ? -1 : 0;
}

int db_layer_name(struct db *d, const struct db_layer *l, struct err *e)
{
	return db_begin(d, e) ? -1 : db_end(d, layer_name(d, l, e), e);
}

static char *layer_text(sqlite3_stmt *s, int column)
{
	const char *text = (const char *)sqlite3_column_text(s, column);
	return text ? own_dup(text) : NULL;
}

/* A row of digest, name, entries, bytes, made_ms, source. */
static void layer_read(sqlite3_stmt *s, struct db_layer *out)
{
	const char *digest = (const char *)sqlite3_column_text(s, 0);
	*out = (struct db_layer){
		.name = layer_text(s, 1),
		.entries = sqlite3_column_int64(s, 2),
		.bytes = sqlite3_column_int64(s, 3),
		.made_ms = sqlite3_column_int64(s, 4),
		.source = layer_text(s, 5),
	};
	snprintf(out->id, sizeof(out->id), "%s", digest ? digest : "");
}

#define LAYER_COLUMNS                                                                              \
	"l.digest, n.name, l.entries, l.bytes, coalesce(n.made_ms, l.made_ms), "                   \
	"coalesce(n.source, l.source)"

static int layer_find_name(struct db *d, const char *name, struct db_layer *out, struct err *e)
{
	sqlite3_stmt *s =
		db_ask(d, e,
		       "SELECT " LAYER_COLUMNS
		       " FROM layer_name n JOIN layer l ON l.id = n.layer WHERE n.name = ?1",
		       "s", name);
	int rc = s ? db_step(d, s, e) : -1;
	if (rc > 0)
		layer_read(s, out);
	db_done(s);
	return rc;
}

/* 'g' follows the last hex digit: the range is an index search. One layer may have several names;
 * two layers are one too many. */
static int layer_find_prefix(struct db *d, const char *prefix, struct db_layer *out, struct err *e)
{
	sqlite3_stmt *s =
		db_ask(d, e,
		       "SELECT " LAYER_COLUMNS " FROM layer l LEFT JOIN layer_name n ON n.name ="
		       " (SELECT min(name) FROM layer_name WHERE layer = l.id)"
		       " WHERE l.digest >= ?1 AND l.digest < ?1 || 'g' ORDER BY l.digest LIMIT 2",
		       "s", prefix);
	int rc = s ? db_step(d, s, e) : -1, found = rc;
	if (rc > 0) {
		layer_read(s, out);
		rc = db_step(d, s, e);
		if (rc > 0)
			rc = err_set(e, ERR_USAGE, "several layers begin with %s: give more digits",
				     prefix);
	}
	db_done(s);
	if (rc < 0 && found > 0)
		db_layer_fini(out);
	return rc < 0 ? -1 : found;
}

static bool layer_is_prefix(const char *s)
{
	size_t n = strlen(s);
	return n >= PREFIX_DIGITS && n <= 64 && strspn(s, "0123456789abcdef") == n;
}

int db_layer_find(struct db *d, const char *name, struct db_layer *out, struct err *e)
{
	*out = (struct db_layer){0};
	int rc = layer_find_name(d, name, out, e);
	return rc || !layer_is_prefix(name) ? rc : layer_find_prefix(d, name, out, e);
}

void db_layer_fini(struct db_layer *l)
{
	free(l->name);
	free(l->source);
	*l = (struct db_layer){0};
}

int db_layer_list(struct db *d, struct db_layer **out, size_t *n, struct err *e)
{
	int rc = -1;
	*out = NULL;
	*n = 0;
	sqlite3_stmt *s =
		db_ask(d, e,
		       "SELECT " LAYER_COLUMNS
		       " FROM layer_name n JOIN layer l ON l.id = n.layer ORDER BY n.name",
		       "");
	while (s && (rc = db_step(d, s, e)) > 0) {
		*out = own_grow(*out, *n + 1, sizeof(**out));
		layer_read(s, &(*out)[(*n)++]);
	}
	db_done(s);
	if (!rc)
		return 0;
	db_layer_list_free(*out, *n);
	*out = NULL;
	*n = 0;
	return -1;
}

void db_layer_list_free(struct db_layer *l, size_t n)
{
	for (size_t i = 0; i < n; i++)
		db_layer_fini(&l[i]);
	free(l);
}

static int layer_unname(struct db *d, const char *name, char id[65], bool *orphan, struct err *e)
{
	struct db_layer l = {0};
	int found = layer_find_name(d, name, &l, e);
	if (found <= 0)
		return found;
	memcpy(id, l.id, sizeof(l.id));
	db_layer_fini(&l);
	if (db_do(d, e, "DELETE FROM layer_name WHERE name = ?1", "s", name) < 0)
		return -1;
	int n = db_do(d, e,
		      "DELETE FROM layer AS l WHERE digest = ?1 AND NOT EXISTS (SELECT 1 FROM "
		      "layer_name n WHERE n.layer = l.id)"
		      " AND NOT EXISTS (SELECT 1 FROM generation_layer g WHERE g.layer = l.id)",
		      "s", id);
	*orphan = n > 0;
	return n < 0 ? -1 : 1;
}

int db_layer_unname(struct db *d, const char *name, char id[65], bool *orphan, struct err *e)
{
	*orphan = false;
	if (db_begin(d, e))
		return -1;
	int rc = layer_unname(d, name, id, orphan, e);
	return db_end(d, rc < 0 ? -1 : 0, e) ? -1 : rc;
}
