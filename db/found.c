/* The segments are the durable copy: what the database says of them can be lost and found again. */
#include "db/store.h"

#include <string.h>

/* The harvest this was, if its row is there and its frames are not. 1, 0, -1. */
static int found_harvest(struct db *d, const struct db_publish *p, int64_t store, int64_t *harvest,
			 struct err *e)
{
	return db_number(d, e, harvest,
			 "SELECT id FROM harvest h WHERE store = ?1 AND job IS ?2 AND made_ms = ?3"
			 " AND refused_all IS NULL"
			 " AND NOT EXISTS (SELECT 1 FROM frame f WHERE f.harvest = h.id)"
			 " AND (layer IS NULL OR layer = (SELECT id FROM layer WHERE digest = ?4))"
			 " ORDER BY layer IS NULL, id LIMIT 1",
			 "isis", store, p->job, p->made_ms, p->layer);
}

/* The generation upon which it was made, else the current one; 0: none. */
static int found_parent(struct db *d, int64_t store, const char *chain, int64_t *parent,
			struct err *e)
{
	*parent = 0;
	int rc = !chain || !*chain ? 0
				   : db_number(d, e, parent,
					       "SELECT max(id) FROM generation WHERE store = ?1"
					       " AND chain = ?2 HAVING max(id) IS NOT NULL",
					       "ix", store, chain);
	if (!rc)
		rc = db_number(d, e, parent, "SELECT coalesce(current, 0) FROM store WHERE id = ?1",
			       "i", store);
	return rc < 0 ? -1 : 0;
}

/* A harvest whose generation is there as well: its frames are all that was missing. */
static int found_whole(struct db *d, int64_t harvest, struct err *e)
{
	int64_t any;
	return db_number(d, e, &any,
			 "SELECT 1 FROM harvest h JOIN layer_part lh ON lh.harvest = h.id"
			 " WHERE h.id = ?1 LIMIT 1",
			 "i", harvest);
}

static int found_generation(struct db *d, const struct db_publish *p, int64_t store,
			    const char *parent_chain, int64_t harvest, struct err *e)
{
	int64_t parent;
	int64_t layer =
		db_layer_row(d, p->layer, p->layer_entries, p->layer_bytes, p->made_ms, NULL, e);
	if (layer < 0 || found_parent(d, store, parent_chain, &parent, e))
		return -1;
	int64_t generation =
		store_generation(d, store, parent, "found", p->chain, layer, p->made_ms, e);
	if (generation < 0 || store_inherit(d, generation, parent, 0, layer, e))
		return -1;
	if (harvest) {
		if (db_do(d, e, "UPDATE harvest SET generation = ?2, layer = ?3 WHERE id = ?1",
			  "iii", harvest, generation, layer) < 0 ||
		    db_do(d, e, "DELETE FROM entry WHERE harvest = ?1", "i", harvest) < 0 ||
		    db_do(d, e, "DELETE FROM harvest_note WHERE harvest = ?1", "i", harvest) < 0)
			return -1;
	} else {
		harvest = publish_harvest(d, p, store, generation, layer, e);
		if (harvest < 0)
			return -1;
	}
	return publish_frames(d, p, harvest, e) || publish_entries(d, p, harvest, e) ||
			       parts_publish(d, layer, store, harvest, e)
		       ? -1
		       : 0;
}

/* A record of words alone. Where its row is there and its frames are not, it gets those back. */
static int found_words(struct db *d, const struct db_publish *p, int64_t store, struct err *e)
{
	int64_t harvest = 0;
	int known = db_number(d, e, &harvest,
			      "SELECT id FROM harvest h WHERE store = ?1 AND job IS ?2"
			      " AND made_ms = ?3 AND layer IS NULL AND generation IS NULL"
			      " AND refused_all IS NULL AND (record IS NULL OR record = ?4)"
			      " AND NOT EXISTS (SELECT 1 FROM frame f WHERE f.harvest = h.id)"
			      " ORDER BY record IS NULL, id LIMIT 1",
			      "isis", store, p->job, p->made_ms, p->record);
	if (!known)
		harvest = publish_harvest(d, p, store, 0, 0, e);
	if (known < 0 || harvest < 0 ||
	    db_do(d, e, "UPDATE harvest SET record = ?2 WHERE id = ?1", "is", harvest, p->record) <
		    0 ||
	    db_do(d, e, "DELETE FROM harvest_note WHERE harvest = ?1", "i", harvest) < 0 ||
	    publish_frames(d, p, harvest, e) || publish_entries(d, p, harvest, e))
		return -1;
	return 0;
}

static int64_t found_current(struct db *d, int64_t store, struct err *e)
{
	int64_t current = 0;
	return db_number(d, e, &current, "SELECT coalesce(current, 0) FROM store WHERE id = ?1",
			 "i", store) < 0
		       ? -1
		       : current;
}

static int64_t found_all(struct db *d, const struct db_publish *p, const char *parent_chain,
			 struct err *e)
{
	int64_t store = store_row(d, p->store, e), harvest = 0;
	if (store >= 0 && p->record)
		return found_words(d, p, store, e) ? -1 : found_current(d, store, e);
	int known = store < 0 ? -1 : found_harvest(d, p, store, &harvest, e);
	int whole = known > 0 ? found_whole(d, harvest, e) : known;
	if (whole < 0 || (whole ? publish_frames(d, p, harvest, e)
				: found_generation(d, p, store, parent_chain, harvest, e)))
		return -1;
	return found_current(d, store, e);
}

int64_t db_found(struct db *d, const struct db_publish *p, const char *parent_chain, struct err *e)
{
	if (db_begin(d, e))
		return -1;
	int64_t current = found_all(d, p, parent_chain, e);
	return db_end(d, current < 0 ? -1 : 0, e) ? -1 : current;
}

static int64_t lost_all(struct db *d, int64_t segment, int64_t left, struct err *e)
{
	int64_t n = 0;
	if (db_number(d, e, &n,
		      "SELECT count(DISTINCT harvest) FROM frame WHERE segment = ?1 AND offset + "
		      "bytes > ?2",
		      "ii", segment, left) < 0 ||
	    db_do(d, e,
		  "DELETE FROM frame WHERE harvest IN (SELECT harvest FROM frame WHERE segment = ?1"
		  " AND offset + bytes > ?2)",
		  "ii", segment, left) < 0 ||
	    db_do(d, e, "UPDATE segment SET bytes = min(bytes, ?2) WHERE number = ?1", "ii",
		  segment, left) < 0)
		return -1;
	return n;
}

int64_t db_segment_lost(struct db *d, int64_t segment, int64_t left, struct err *e)
{
	if (db_begin(d, e))
		return -1;
	int64_t n = lost_all(d, segment, left, e);
	return db_end(d, n < 0 ? -1 : 0, e) ? -1 : n;
}

static int forget_all(struct db *d, struct err *e)
{
	static const char script[] = "UPDATE store SET current = NULL;"
				     "DELETE FROM word;"
				     "UPDATE harvest SET record = NULL WHERE record IS NOT NULL;"
				     "DELETE FROM frame;"
				     "DELETE FROM segment;"
				     "DELETE FROM layer_part;"
				     "DELETE FROM generation_layer;"
				     "DELETE FROM generation;"
				     "DELETE FROM layer WHERE NOT EXISTS"
				     " (SELECT 1 FROM layer_name n WHERE n.layer = layer.id);";
	return db_script(d, script, e);
}

int db_cache_forget(struct db *d, struct err *e)
{
	return db_begin(d, e) ? -1 : db_end(d, forget_all(d, e), e);
}
