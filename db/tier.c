#include "db/tier.h"

enum {
	TIER_FEW = 4,        /* so many stay when layers are compacted */
	TIER_MANY = 64,      /* from so many on publishes have to help */
	TIER_TIMES = 8,      /* a tier takes in what is an eighth of it, together */
	TIER_ONCE = 1 << 15, /* so many entries move when layers are compacted */
	TIER_SLICE = 2000,   /* at once: the pages of their part of an index fit into memory */
};

/* The largest tier that those smaller than it may move into, together: all of them are to. Its
 * number, 0: there is none. Of an index that is not much larger than what comes into it each page
 * gets several; so an entry moves O(log n) times. Those that are to move already are not asked. */
static int tier_target(struct db *d, int64_t *target, struct err *e)
{
	*target = 0;
	return db_number(d, e, target,
			 "SELECT number FROM (SELECT number, entries, sum(entries) OVER (ORDER BY "
			 "entries, number"
			 "  ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS below FROM "
			 "entry_tier WHERE target IS NULL)"
			 " WHERE entries <= ?1 * below ORDER BY entries DESC, number DESC LIMIT 1",
			 "i", (int64_t)TIER_TIMES) < 0
		       ? -1
		       : 0;
}

static int tier_plan(struct db *d, struct err *e)
{
	int64_t target;
	if (tier_target(d, &target, e))
		return -1;
	if (!target)
		return 0;
	/* What was to go to one that goes there itself goes there, too: no target is ever emptied.
	 */
	return db_do(d, e,
		     "UPDATE entry_tier SET target = ?1 WHERE target IS NULL AND (entries, number) "
		     "<"
		     " (SELECT entries, number FROM entry_tier WHERE number = ?1)",
		     "i", target) < 0 ||
			       db_do(d, e,
				     "UPDATE entry_tier SET target = ?1 WHERE target IN"
				     " (SELECT number FROM entry_tier WHERE target = ?1)",
				     "i", target) < 0
		       ? -1
		       : 0;
}

/* Moves up to n of its entries, in the order of their paths; how many. -1. */
static int64_t tier_slice(struct db *d, int64_t from, int64_t to, int64_t n, struct err *e)
{
	int64_t moved =
		db_do(d, e,
		      "UPDATE entry SET tier = ?2 FROM (SELECT harvest AS h, path AS p FROM entry"
		      "  WHERE tier = ?1 ORDER BY CAST(path AS TEXT) LIMIT ?3) AS slice"
		      " WHERE harvest = h AND path = p",
		      "iii", from, to, n);
	if (moved < 0 ||
	    (moved < n && db_do(d, e, "DELETE FROM entry_tier WHERE number = ?1", "i", from) < 0))
		return -1;
	return db_do(d, e, "UPDATE entry_tier SET entries = entries + ?2 WHERE number = ?1", "ii",
		     to, moved) < 0 ||
			       db_do(d, e,
				     "UPDATE entry_tier SET entries = max(0, entries - ?2) WHERE "
				     "number = ?1",
				     "ii", from, moved) < 0
		       ? -1
		       : moved;
}

/* The next that is to be emptied, and where to: the smallest, so that a large one that takes many
 * transactions does not keep those that come meanwhile. 1, 0: there is none. -1. */
static int tier_next(struct db *d, int64_t *from, int64_t *to, struct err *e)
{
	sqlite3_stmt *s = db_ask(d, e,
				 "SELECT number, target FROM entry_tier WHERE target IS NOT NULL"
				 " ORDER BY entries, number LIMIT 1",
				 "");
	int rc = s ? db_step(d, s, e) : -1;
	if (rc > 0) {
		*from = sqlite3_column_int64(s, 0);
		*to = sqlite3_column_int64(s, 1);
	}
	db_done(s);
	return rc;
}

/* Where there are more than `few` that stay, up to about `most` entries move. */
static int tier_move(struct db *d, int64_t few, int64_t most, struct err *e)
{
	int64_t stay = 0, from = 0, to = 0;
	if (db_number(d, e, &stay, "SELECT count(*) FROM entry_tier WHERE target IS NULL", "") <
		    0 ||
	    (stay > few && tier_plan(d, e)))
		return -1;
	while (most > 0) {
		int rc = tier_next(d, &from, &to, e);
		int64_t moved = rc > 0 ? tier_slice(d, from, to, TIER_SLICE, e) : rc;
		if (rc <= 0 || moved < 0)
			return moved < 0 ? -1 : 0;
		most -= moved;
	}
	return 0;
}

int tier_begin(struct db *d, int64_t entries, int64_t *tier, struct err *e)
{
	int64_t many = 0;
	if (db_number(d, e, &many, "SELECT count(*) >= ?1 FROM entry_tier", "i",
		      (int64_t)TIER_MANY) < 0 ||
	    (many && tier_move(d, TIER_FEW, 4 * entries + TIER_SLICE, e)) ||
	    db_do(d, e, "INSERT INTO entry_tier (entries) VALUES (?1)", "i", entries) < 0)
		return -1;
	*tier = sqlite3_last_insert_rowid(d->h);
	return 0;
}

int tier_settle(struct db *d, struct err *e)
{
	return tier_move(d, TIER_FEW, TIER_ONCE, e);
}
