/* What lies in a layer, and upon what (db/shown.h): of one that a publish made that publish, of one
 * made of others what lies in them. The same bytes are the same layer however they came about, so
 * there may be several answers; each is one by itself, and one above the other they still are. */
#include "db/store.h"

/* A new answer is made in a table of its own: what it is made of may be what it replaces. */
static int parts_begin(struct db *d, struct err *e)
{
	return db_script(d,
			 "CREATE TEMP TABLE IF NOT EXISTS parts (place INTEGER PRIMARY KEY,"
			 " harvest INTEGER NOT NULL, hides_from INTEGER NOT NULL);"
			 "DELETE FROM parts",
			 e);
}

#define PARTS_OF_LAYER                                                                             \
	"SELECT lp.harvest FROM layer_part lp JOIN harvest h ON h.id = lp.harvest"                 \
	" AND h.store = ?2 WHERE lp.layer = ?1"

/* What was known of the layer counts no more where the new answer has all of that, or where the
 * layer held what was revoked: what lies in it now is not that. */
static int parts_replace(struct db *d, int64_t layer, int64_t store, struct err *e)
{
	return db_do(d, e, "UPDATE layer SET revoked_ms = NULL WHERE id = ?1", "i", layer) < 0 ||
			       db_do(d, e,
				     "DELETE FROM layer_part WHERE layer = ?1 AND harvest IN"
				     " (SELECT id FROM harvest WHERE store = ?2)",
				     "ii", layer, store) < 0
		       ? -1
		       : 0;
}

static int parts_take(struct db *d, int64_t layer, int64_t store, bool replace, struct err *e)
{
	int64_t revoked = 0, missing = 0, more = 0, height = 0;
	if (db_number(d, e, &revoked, "SELECT revoked_ms IS NOT NULL FROM layer WHERE id = ?1", "i",
		      layer) < 0 ||
	    db_number(d, e, &missing,
		      "SELECT EXISTS (SELECT harvest FROM parts EXCEPT " PARTS_OF_LAYER ")", "ii",
		      layer, store) < 0 ||
	    db_number(d, e, &more,
		      "SELECT EXISTS (" PARTS_OF_LAYER " EXCEPT SELECT harvest FROM parts)", "ii",
		      layer, store) < 0)
		return -1;
	replace |= revoked != 0;
	if (!missing && !replace)
		return 0;
	if ((replace || !more) && parts_replace(d, layer, store, e))
		return -1;
	if (db_number(d, e, &height,
		      "SELECT coalesce(max(place), 0) FROM layer_part WHERE layer = ?1", "i",
		      layer) < 0)
		return -1;
	return db_do(d, e,
		     "INSERT INTO layer_part (layer, place, harvest, hides_from)"
		     " SELECT ?1, ?2 + place, harvest, ?2 + hides_from FROM parts",
		     "ii", layer, height) < 0
		       ? -1
		       : 0;
}

int parts_publish(struct db *d, int64_t layer, int64_t store, int64_t harvest, struct err *e)
{
	/* Mostly the layer is new. */
	int first = db_do(d, e,
			  "INSERT INTO layer_part (layer, place, harvest, hides_from)"
			  " SELECT l.id, 1, ?2, 1 FROM layer l WHERE l.id = ?1"
			  " AND l.revoked_ms IS NULL"
			  " AND NOT EXISTS (SELECT 1 FROM layer_part WHERE layer = ?1)",
			  "ii", layer, harvest);
	if (first)
		return first < 0 ? -1 : 0;
	return parts_begin(d, e) ||
			       db_do(d, e, "INSERT INTO parts VALUES (1, ?1, 1)", "i", harvest) <
				       0 ||
			       parts_take(d, layer, store, false, e)
		       ? -1
		       : 0;
}

/* One above the other, the lowermost first; what a publish's own layer hides it hides of all that
 * lies below. */
static int parts_stack(struct db *d, int64_t store, int64_t generation, size_t above, size_t n,
		       struct err *e)
{
	return db_do(d, e,
		     "WITH part AS (SELECT position, layer, (SELECT max(place) FROM layer_part lp"
		     "   WHERE lp.layer = gl.layer) AS height FROM generation_layer gl"
		     "  WHERE generation = ?1 ORDER BY position LIMIT ?2 OFFSET ?3),"
		     " laid AS (SELECT layer, sum(height) OVER (ORDER BY position DESC) - height"
		     "  AS below FROM part)"
		     "INSERT INTO parts SELECT laid.below + lp.place, lp.harvest,"
		     "  CASE WHEN h.layer = lp.layer THEN 1 ELSE laid.below + lp.hides_from END"
		     " FROM laid JOIN layer_part lp ON lp.layer = laid.layer"
		     " JOIN harvest h ON h.id = lp.harvest AND h.store = ?4",
		     "iiii", generation, (int64_t)n, (int64_t)above, store) < 0
		       ? -1
		       : 0;
}

int parts_flatten(struct db *d, int64_t layer, int64_t store, int64_t generation, size_t above,
		  size_t n, struct err *e)
{
	return parts_begin(d, e) || parts_stack(d, store, generation, above, n, e) ||
			       parts_take(d, layer, store, false, e)
		       ? -1
		       : 0;
}

int parts_end(struct db *d, int64_t layer, int64_t store, int64_t generation, bool without,
	      struct err *e)
{
	return parts_begin(d, e) || parts_stack(d, store, generation, 0, PARTS_ALL, e) ||
			       (without &&
				db_do(d, e,
				      "DELETE FROM parts WHERE harvest IN (SELECT harvest FROM"
				      " ending)",
				      "") < 0) ||
			       parts_take(d, layer, store, true, e)
		       ? -1
		       : 0;
}
