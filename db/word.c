/* Words: that a package had these bytes at a path of a store. */
#include "db/shown.h"
#include "db/store.h"

#include <string.h>

/* What a word is about: store, path, type, and a file's digest, a link's target or nothing. */
#define WORD_KEY "store = ?1 AND path = ?2 AND type = ?3 AND what = coalesce(?4, ?5, x'')"

static const char *word_target(const struct db_entry *x)
{
	return x->type == 'l' && x->target ? x->target : "";
}

static const char *word_sha256(const struct db_entry *x)
{
	return x->type == 'f' ? x->sha256 : NULL;
}

int word_put(struct db *d, const struct db_publish *p, int64_t store, int64_t harvest,
	     const struct db_entry *x, struct err *e)
{
	static const char *const shown[] = {"added", "replaced", "merged"};
	char type[2] = {x->type, '\0'};
	/* A word that was revoked may be said again. */
	if (x->word &&
	    db_do(d, e,
		  "INSERT INTO word (store, path, type, what, package, harvest, change, mode,"
		  " mtime_ns, size, pending) VALUES (?1, ?2, ?3, coalesce(?4, ?5, x''), ?6, ?7, "
		  "?8, ?9,"
		  " ?10, ?11, ?8 = 'pending') ON CONFLICT DO UPDATE SET harvest = excluded.harvest,"
		  " change = excluded.change, pending = excluded.pending, revoked_ms = NULL"
		  " WHERE revoked_ms IS NOT NULL",
		  "ibsxbsisiii", store, x->path, type, word_sha256(x), word_target(x), p->package,
		  harvest, x->change, (int64_t)x->mode, x->mtime_ns, x->size) < 0)
		return -1;
	for (size_t i = 0; i < countof(shown); i++)
		if (!strcmp(x->change, shown[i]))
			return db_do(d, e,
				     "UPDATE word SET pending = 0 WHERE " WORD_KEY " AND pending",
				     "ibsxb", store, x->path, type, word_sha256(x),
				     word_target(x)) < 0
				       ? -1
				       : 0;
	return 0;
}

int word_pending(struct db *d, int64_t harvest, const char *path, struct err *e)
{
	return db_do(d, e,
		     "UPDATE word SET pending = 1 FROM"
		     " (SELECT h.store AS s, e.path AS p, e.type AS t,"
		     "   coalesce(e.sha256, e.target) AS c"
		     "  FROM entry e JOIN harvest h ON h.id = e.harvest AND h.trust IS NOT NULL"
		     "  WHERE e.harvest = ?1 AND e.path = ?2) AS about"
		     " WHERE store = s AND path = p AND type = t AND what = c",
		     "ib", harvest, path) < 0
		       ? -1
		       : 0;
}

int db_words(struct db *d, const char *store, const struct db_entry *x, const char *package,
	     uint64_t *others, bool *said, struct err *e)
{
	char type[2] = {x->type, '\0'};
	sqlite3_stmt *s =
		db_ask(d, e,
		       "SELECT count(*) FILTER (WHERE package <> ?6),"
		       " count(*) FILTER (WHERE package = ?6) FROM word"
		       " WHERE store = (SELECT id FROM store WHERE name = ?1)"
		       " AND path = ?2 AND type = ?3 AND what = coalesce(?4, ?5, x'')"
		       " AND revoked_ms IS NULL",
		       "sbsxbs", store, x->path, type, word_sha256(x), word_target(x), package);
	int rc = s ? db_step(d, s, e) : -1;
	if (rc > 0) {
		*others = (uint64_t)sqlite3_column_int64(s, 0);
		*said = sqlite3_column_int64(s, 1) > 0;
	}
	db_done(s);
	return rc < 0 ? -1 : 0;
}

/* ---- whose ---- */

#define WORDS_COLUMNS                                                                              \
	"SELECT h.id, coalesce(l.digest, h.record), s.name,"                                       \
	" coalesce(h.job, 'run ' || f.run || ' ' || p.name || ' ' || f.name, ''), 0,"              \
	" max(h.made_ms, coalesce((SELECT max(o.started_ms) FROM phase o"                          \
	"  WHERE o.package = f.package AND o.generation IS NOT NULL), 0)) AS last_ms"              \
	" FROM harvest h JOIN store s ON s.id = h.store LEFT JOIN layer l ON l.id = h.layer"       \
	" LEFT JOIN phase f ON f.id = h.phase LEFT JOIN package p ON p.id = f.package"             \
	" WHERE EXISTS (SELECT 1 FROM word w WHERE w.harvest = h.id AND w.revoked_ms IS NULL)"

int db_words_find(struct db *d, const char *job, struct db_taken **out, size_t *n, struct err *e)
{
	return taken_read(d,
			  db_ask(d, e,
				 WORDS_COLUMNS
				 " AND (CAST(h.id AS TEXT) = ?1 OR h.job = ?1 OR h.package = ?1 OR "
				 "p.name = ?1"
				 "  OR p.name || '@' || f.version = ?1"
				 "  OR 'run ' || f.run || ' ' || p.name || ' ' || f.name = ?1)"
				 " ORDER BY h.id",
				 "s", job),
			  out, n, e);
}

int db_words_oldest(struct db *d, const char *store, struct db_taken **out, size_t *n,
		    struct err *e)
{
	return taken_read(d,
			  db_ask(d, e,
				 WORDS_COLUMNS
				 " AND s.name = ?1 AND h.record IS NOT NULL"
				 " AND NOT EXISTS (SELECT 1 FROM word w WHERE w.harvest = h.id"
				 "  AND w.revoked_ms IS NULL AND NOT w.pending)"
				 " ORDER BY last_ms, h.id",
				 "s", store),
			  out, n, e);
}

/* ---- what stands upon them ---- */

int db_upheld_list(struct db *d, const char *store, const int64_t *harvests, size_t n,
		   struct db_upheld **out, size_t *n_out, struct err *e)
{
	int rc = -1;
	size_t cap = 0;
	*out = NULL;
	*n_out = 0;
	if (ending_mark(d, harvests, n, e))
		return -1;
	sqlite3_stmt *s = db_ask(
		d, e,
		"WITH about AS MATERIALIZED (SELECT e.harvest, e.path, h.store, e.type,"
		"  coalesce(e.sha256, e.target) AS what, h.trust FROM ending x"
		"  CROSS JOIN word w ON w.harvest = x.harvest AND w.revoked_ms IS NULL"
		"   AND w.type <> 'd'"
		"  CROSS JOIN entry e ON e." IN_TIERS
		"   AND CAST(e.path AS TEXT) = CAST(w.path AS TEXT) AND e.path = w.path"
		"   AND e.type = w.type AND coalesce(e.sha256, e.target) = w.what"
		"   AND e.revoked_ms IS NULL"
		"  CROSS JOIN harvest h ON h.id = e.harvest AND h.store = w.store"
		"   AND h.trust IS NOT NULL"
		" UNION SELECT e.harvest, e.path, h.store, e.type, coalesce(e.sha256, e.target),"
		"  h.trust FROM ending x"
		"  CROSS JOIN harvest h ON h.id = x.harvest AND h.trust IS NOT NULL"
		"  CROSS JOIN entry e ON e.harvest = x.harvest AND e.revoked_ms IS NULL"
		"   AND e.type <> 'd'"
		"  WHERE EXISTS (SELECT 1 FROM word w WHERE w.store = h.store AND w.path = e.path"
		"   AND w.type = e.type AND w.what = coalesce(e.sha256, e.target)))"
		" SELECT a.harvest, a.path, (SELECT count(*) FROM word o WHERE o.store = a.store"
		"  AND o.path = a.path AND o.type = a.type AND o.what = a.what"
		"  AND o.revoked_ms IS NULL AND o.harvest NOT IN (SELECT harvest FROM ending)),"
		"  a.trust FROM about a"
		" WHERE a.store = (SELECT id FROM store WHERE name = ?1)"
		" ORDER BY a.harvest DESC, a.path",
		"s", store);
	while (s && (rc = db_step(d, s, e)) > 0) {
		if (*n_out == cap) {
			cap = cap ? 2 * cap : 64;
			*out = own_grow(*out, cap, sizeof(**out));
		}
		const void *path = sqlite3_column_blob(s, 1);
		(*out)[(*n_out)++] = (struct db_upheld){
			.harvest = sqlite3_column_int64(s, 0),
			.path = own_dup_n(path ? path : "", (size_t)sqlite3_column_bytes(s, 1)),
			.left = sqlite3_column_int64(s, 2),
			.demanded = sqlite3_column_int64(s, 3),
		};
	}
	db_done(s);
	if (rc) {
		db_upheld_free(*out, *n_out);
		*out = NULL;
		*n_out = 0;
	}
	return rc;
}

void db_upheld_free(struct db_upheld *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(v[i].path);
	free(v);
}

/* ---- taken back ---- */

static int disown_all(struct db *d, const struct db_event *ev, const int64_t *harvests, size_t n,
		      struct err *e)
{
	int64_t store = store_at(d, ev->store, ev->parent, e);
	if (store < 0 || ending_mark(d, harvests, n, e) ||
	    db_do(d, e,
		  "UPDATE word SET revoked_ms = ?1 WHERE revoked_ms IS NULL"
		  " AND harvest IN (SELECT harvest FROM ending)",
		  "i", ev->made_ms) < 0)
		return -1;
	return store_event(d, ev, store, 0, e);
}

int db_disown(struct db *d, const struct db_event *ev, const int64_t *harvests, size_t n,
	      struct err *e)
{
	return db_begin(d, e) ? -1 : db_end(d, disown_all(d, ev, harvests, n, e), e);
}
