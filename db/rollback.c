/* Back to what a store showed before: a new generation with an older one's layers. */
#include "db/store.h"

#include <string.h>

int db_rollback_check(struct db *d, const char *store, int64_t generation, char chain[65],
		      struct err *e)
{
	int rc = -1;
	sqlite3_stmt *s =
		db_ask(d, e,
		       "SELECT lower(hex(g.chain)), g.id = s.current, s.name = ?2,"
		       " EXISTS (SELECT 1 FROM generation_layer gl JOIN layer l ON l.id = gl.layer"
		       "  WHERE gl.generation = g.id AND l.revoked_ms IS NOT NULL)"
		       " FROM generation g JOIN store s ON s.id = g.store WHERE g.id = ?1",
		       "is", generation, store);
	if (s)
		rc = db_step(d, s, e);
	if (!rc)
		rc = err_set(e, ERR_ABSENT, "there is no generation %lld", (long long)generation);
	else if (rc > 0 && !sqlite3_column_int(s, 2))
		rc = err_set(e, ERR_USAGE, "generation %lld is not one of store %s",
			     (long long)generation, store);
	else if (rc > 0 && sqlite3_column_int(s, 1))
		rc = err_set(e, ERR_USAGE, "generation %lld is the current one",
			     (long long)generation);
	else if (rc > 0 && sqlite3_column_int(s, 3))
		rc = err_set(
			e, ERR_USAGE,
			"generation %lld holds what was revoked since, and would bring it back",
			(long long)generation);
	if (rc > 0) {
		const char *text = (const char *)sqlite3_column_text(s, 0);
		snprintf(chain, 65, "%s", text ? text : "");
	}
	db_done(s);
	return rc < 0 ? -1 : 0;
}

int64_t db_generation_of_chain(struct db *d, const char *store, const char *chain, struct err *e)
{
	int64_t id = 0;
	int rc = db_number(d, e, &id,
			   "SELECT max(g.id) FROM generation g JOIN store s ON s.id = g.store"
			   " WHERE s.name = ?1 AND g.chain = ?2",
			   "sx", store, chain);
	return rc < 0 ? -1 : id;
}

/* The event's row stands where a publish has its harvest, so that its frames have an owner. */
int store_event(struct db *d, const struct db_event *ev, int64_t store, int64_t generation,
		struct err *e)
{
	const struct db_publish p = {.parent = ev->parent,
				     .job = ev->job,
				     .made_ms = ev->made_ms,
				     .frames = ev->frames,
				     .n_frames = ev->n_frames};
	int64_t harvest = publish_harvest(d, &p, store, generation, 0, e);
	return harvest < 0 || publish_frames(d, &p, harvest, e) ? -1 : 0;
}

static int64_t rollback_all(struct db *d, const struct db_event *ev, int64_t to, struct err *e)
{
	char chain[65];
	int64_t store = store_at(d, ev->store, ev->parent, e);
	if (store < 0 || db_rollback_check(d, ev->store, to, chain, e))
		return -1;
	if (db_do(d, e,
		  "INSERT INTO generation (store, parent, made_by, chain, made_ms) VALUES (?1, ?2, "
		  "'rollback', ?3, ?4)",
		  "izxi", store, ev->parent, ev->chain, ev->made_ms) < 0)
		return -1;
	int64_t id = sqlite3_last_insert_rowid(d->h);
	if (db_do(d, e,
		  "INSERT INTO generation_layer (generation, position, layer) SELECT ?1, position, "
		  "layer FROM generation_layer WHERE generation = ?2",
		  "ii", id, to) < 0 ||
	    db_do(d, e, "UPDATE store SET current = ?2 WHERE id = ?1", "ii", store, id) < 0 ||
	    store_event(d, ev, store, id, e))
		return -1;
	return id;
}

int64_t db_rollback_to(struct db *d, const struct db_event *ev, int64_t generation, struct err *e)
{
	if (db_begin(d, e))
		return -1;
	int64_t id = rollback_all(d, ev, generation, e);
	return db_end(d, id < 0 ? -1 : 0, e) ? -1 : id;
}
