/* What a publish was, where its bytes may still be, and segments that have it again. */
#include "db/shown.h"
#include "db/store.h"

#include <string.h>

/* ---- segments ---- */

int db_segment_pieces(struct db *d, int64_t segment, uint64_t *bytes, struct db_piece **v,
		      size_t *n, struct err *e)
{
	int rc = -1;
	size_t cap = 0;
	int64_t length = 0;
	*v = NULL;
	*n = 0;
	if (db_number(d, e, &length, "SELECT bytes FROM segment WHERE number = ?1", "i", segment) <
	    0)
		return -1;
	*bytes = (uint64_t)length;
	sqlite3_stmt *s =
		db_ask(d, e,
		       "SELECT offset, bytes, harvest, digest, lower(hex(record)) FROM frame"
		       " WHERE segment = ?1 ORDER BY offset",
		       "i", segment);
	while (s && (rc = db_step(d, s, e)) > 0) {
		if (*n == cap) {
			cap = cap ? 2 * cap : 64;
			*v = own_grow(*v, cap, sizeof(**v));
		}
		struct db_piece *p = &(*v)[(*n)++];
		*p = (struct db_piece){.offset = sqlite3_column_int64(s, 0),
				       .bytes = sqlite3_column_int64(s, 1),
				       .harvest = sqlite3_column_int64(s, 2)};
		snprintf(p->digest, sizeof(p->digest), "%s",
			 (const char *)sqlite3_column_text(s, 3));
		snprintf(p->record, sizeof(p->record), "%s",
			 (const char *)sqlite3_column_text(s, 4));
	}
	db_done(s);
	if (!rc)
		return 0;
	free(*v);
	*v = NULL;
	*n = 0;
	return -1;
}

int db_segment_of(struct db *d, int64_t harvest, int64_t *segment, struct err *e)
{
	int64_t before = 0, behind = 0, gone = 0;
	if (db_number(d, e, &before,
		      "SELECT coalesce(max(segment), 0) FROM frame WHERE harvest ="
		      " (SELECT max(harvest) FROM frame WHERE harvest < ?1)",
		      "i", harvest) < 0 ||
	    db_number(d, e, &behind,
		      "SELECT coalesce(min(segment), 0) FROM frame WHERE harvest ="
		      " (SELECT min(harvest) FROM frame WHERE harvest > ?1)",
		      "i", harvest) < 0 ||
	    db_number(d, e, &gone,
		      "SELECT coalesce(min(number), 0) FROM segment s WHERE number > ?1"
		      " AND (?2 = 0 OR number < ?2)"
		      " AND NOT EXISTS (SELECT 1 FROM frame f WHERE f.segment = s.number)",
		      "ii", before, behind) < 0)
		return -1;
	*segment = gone ? gone : before ? before : behind ? behind : 1;
	return 0;
}

static int anew_all(struct db *d, int64_t segment, uint64_t bytes, const struct db_piece *v,
		    size_t n, const int64_t *again, size_t n_again, struct err *e)
{
	if (db_do(d, e,
		  "INSERT INTO segment (number, bytes) VALUES (?1, ?2) ON CONFLICT (number)"
		  " DO UPDATE SET bytes = excluded.bytes",
		  "ii", segment, (int64_t)bytes) < 0 ||
	    db_do(d, e, "DELETE FROM frame WHERE segment = ?1", "i", segment) < 0)
		return -1;
	for (size_t i = 0; i < n_again; i++)
		if (db_do(d, e, "DELETE FROM frame WHERE harvest = ?1", "i", again[i]) < 0)
			return -1;
	for (size_t i = 0; i < n; i++) {
		const struct db_frame f = {.segment = segment,
					   .offset = v[i].offset,
					   .bytes = v[i].bytes,
					   .digest = v[i].digest,
					   .record = v[i].record};
		if (publish_frame_row(d, &f, v[i].harvest, e))
			return -1;
	}
	return 0;
}

int db_segment_anew(struct db *d, int64_t segment, uint64_t bytes, const struct db_piece *v,
		    size_t n, const int64_t *again, size_t n_again, struct err *e)
{
	if (db_begin(d, e))
		return -1;
	return db_end(d, anew_all(d, segment, bytes, v, n, again, n_again, e), e);
}

/* ---- a publish ---- */

static char *brought_bytes(sqlite3_stmt *s, int column)
{
	const void *p = sqlite3_column_blob(s, column);
	return p ? own_dup_n(p, (size_t)sqlite3_column_bytes(s, column)) : NULL;
}

static int harvest_head(struct db *d, int64_t harvest, struct db_harvest *out, struct err *e)
{
	sqlite3_stmt *s =
		db_ask(d, e,
		       "SELECT lower(hex(g.chain)), lower(hex(p.chain)), h.made_ms, h.added,"
		       " h.replaced, h.merged, h.identical, h.dropped, h.conflicts, h.deleted,"
		       " h.refused, h.bytes, h.pending, coalesce(h.trust, 0), h.package, h.record"
		       " FROM harvest h"
		       " LEFT JOIN generation g ON g.id = h.generation"
		       " LEFT JOIN generation p ON p.id = coalesce(g.parent, h.seen)"
		       " WHERE h.id = ?1",
		       "i", harvest);
	int rc = s ? db_step(d, s, e) : -1;
	if (rc > 0) {
		int64_t *const counts[] = {&out->made_ms,   &out->added,     &out->replaced,
					   &out->merged,    &out->identical, &out->dropped,
					   &out->conflicts, &out->deleted,   &out->refused,
					   &out->bytes,     &out->pending,   &out->trust};
		snprintf(out->chain, sizeof(out->chain), "%s",
			 (const char *)sqlite3_column_text(s, 0));
		snprintf(out->parent, sizeof(out->parent), "%s",
			 (const char *)sqlite3_column_text(s, 1));
		for (size_t i = 0; i < countof(counts); i++)
			*counts[i] = sqlite3_column_int64(s, (int)i + 2);
		out->package = brought_bytes(s, (int)countof(counts) + 2);
		out->record = brought_bytes(s, (int)countof(counts) + 3);
	}
	db_done(s);
	return rc > 0   ? 0
	       : rc < 0 ? -1
			: err_set(e, ERR_ABSENT, "there is no harvest %lld", (long long)harvest);
}

static void brought_text(sqlite3_stmt *s, int column, char *out, size_t size)
{
	const char *p = (const char *)sqlite3_column_text(s, column);
	snprintf(out, size, "%s", p ? p : "");
}

static void brought_free(struct db_brought *x)
{
	free(x->path);
	free(x->target);
	free(x->reason);
}

static int harvest_brought(struct db *d, int64_t harvest, struct db_harvest *out, struct err *e)
{
	int rc = -1;
	size_t cap = 0;
	sqlite3_stmt *s =
		db_ask(d, e,
		       "SELECT path, change, type, mode, mtime_ns, size, lower(hex(sha256)),"
		       " target, NULL, EXISTS (SELECT 1 FROM word w WHERE w.harvest = ?1"
		       "  AND w.path = entry.path AND w.type = entry.type) FROM entry"
		       " WHERE harvest = ?1 UNION ALL"
		       " SELECT path, change, type, 0, 0, coalesce(size, 0), lower(hex(sha256)),"
		       " target, reason, 0 FROM harvest_note WHERE harvest = ?1 UNION ALL"
		       " SELECT path, change, type, mode, mtime_ns, size,"
		       " CASE WHEN type = 'f' THEN lower(hex(what)) END,"
		       " CASE WHEN type = 'l' THEN what END, NULL, 1 FROM word WHERE harvest = ?1"
		       " AND change IN ('pending', 'identical') ORDER BY 1",
		       "i", harvest);
	while (s && (rc = db_step(d, s, e)) > 0) {
		if (out->n == cap) {
			cap = cap ? 2 * cap : 64;
			out->v = own_grow(out->v, cap, sizeof(*out->v));
		}
		struct db_brought *x = &out->v[out->n++];
		const char *type = (const char *)sqlite3_column_text(s, 2);
		*x = (struct db_brought){.path = brought_bytes(s, 0),
					 .type = type && *type ? *type : '?',
					 .mode = (unsigned)sqlite3_column_int64(s, 3),
					 .mtime_ns = sqlite3_column_int64(s, 4),
					 .size = sqlite3_column_int64(s, 5),
					 .target = brought_bytes(s, 7),
					 .reason = brought_bytes(s, 8),
					 .word = sqlite3_column_int(s, 9)};
		brought_text(s, 1, x->change, sizeof(x->change));
		brought_text(s, 6, x->sha256, sizeof(x->sha256));
	}
	db_done(s);
	return rc;
}

static bool brought_hides(const struct db_brought *x)
{
	return x->type == 'w' && !strcmp(x->change, "deleted");
}

static int by_path(const void *key, const void *x)
{
	return strcmp(key, ((const struct db_brought *)x)->path);
}

/* Of what is deleted whole each path that lay in it has a note, too (publish_deleted): the layer
 * has none of them. */
static bool brought_lay_below(const struct db_harvest *h, const struct db_brought *x)
{
	auto_free char *above = own_dup(x->path);
	for (char *slash; (slash = strrchr(above, '/'));) {
		*slash = '\0';
		const struct db_brought *a = bsearch(above, h->v, h->n, sizeof(*h->v), by_path);
		if (a && brought_hides(a))
			return true;
	}
	return false;
}

static void harvest_leave_out(struct db_harvest *h)
{
	size_t n = 0;
	auto_free bool *below = own_calloc(h->n + 1, sizeof(*below));
	for (size_t i = 0; i < h->n; i++)
		below[i] = brought_hides(&h->v[i]) && brought_lay_below(h, &h->v[i]);
	for (size_t i = 0; i < h->n; i++) {
		if (below[i])
			brought_free(&h->v[i]);
		else
			h->v[n++] = h->v[i];
	}
	h->n = n;
}

int db_harvest_read(struct db *d, int64_t harvest, struct db_harvest *out, struct err *e)
{
	*out = (struct db_harvest){0};
	if (harvest_head(d, harvest, out, e) || harvest_brought(d, harvest, out, e))
		return -1;
	harvest_leave_out(out);
	return 0;
}

void db_harvest_fini(struct db_harvest *h)
{
	for (size_t i = 0; i < h->n; i++)
		brought_free(&h->v[i]);
	free(h->v);
	free(h->package);
	free(h->record);
	*h = (struct db_harvest){0};
}

/* ---- its bytes ---- */

/* clang-format off */
static const char places[] =
	"WITH RECURSIVE " ENTRY_GROUPS ","
	" has AS MATERIALIZED (SELECT e.harvest, e.path FROM " ENTRIES_WITH(e, "?2") ")"
	" SELECT DISTINCT l.digest, x.path FROM"
	" (SELECT e.harvest, e.path, lh.layer FROM has e JOIN layer_part lh ON lh.harvest = e.harvest"
	"  UNION SELECT e.harvest, e.path, h.layer FROM has e JOIN harvest h ON h.id = e.harvest) x"
	" JOIN layer l ON l.id = x.layer ORDER BY x.harvest <> ?1, l.id DESC LIMIT 1000";
/* clang-format on */

int db_places(struct db *d, int64_t harvest, const char *sha256, struct db_place **v, size_t *n,
	      struct err *e)
{
	int rc = -1;
	*v = NULL;
	*n = 0;
	sqlite3_stmt *s = db_ask(d, e, places, "ix", harvest, sha256);
	while (s && (rc = db_step(d, s, e)) > 0) {
		*v = own_grow(*v, *n + 1, sizeof(**v));
		struct db_place *p = &(*v)[(*n)++];
		brought_text(s, 0, p->layer, sizeof(p->layer));
		p->path = brought_bytes(s, 1);
	}
	db_done(s);
	if (!rc)
		return 0;
	db_places_free(*v, *n);
	*v = NULL;
	*n = 0;
	return -1;
}

void db_places_free(struct db_place *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(v[i].path);
	free(v);
}
