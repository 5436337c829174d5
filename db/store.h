/* What the rooms about stores have in common. Inside db/ only, within a transaction. */
#pragma once
#include "db/handle.h"

/* store_row(d, store, e): its row, made where it is missing. store_at: the same, if its current
 * generation is parent, else ERR_BUSY. Row id or -1. */
int64_t store_row(struct db *d, const char *store, struct err *e) must_check;
int64_t store_at(struct db *d, const char *store, int64_t parent, struct err *e) must_check;
/* store_generation(…): a generation's row with layer on top, which is the store's current one from
 * now on. Row id or -1. chain NULL: none. */
int64_t store_generation(struct db *d, int64_t store, int64_t parent, const char *made_by,
			 const char *chain, int64_t layer, int64_t made_ms, struct err *e)
	must_check;
/* store_inherit(…): the parent's layers below it, but the uppermost n. Should the new layer be one
 * of them, it shows through its upper place already. */
int store_inherit(struct db *d, int64_t generation, int64_t parent, size_t n, int64_t layer,
		  struct err *e) must_check;

/* The parts of a publish, in the order in which they refer to each other. */
int64_t publish_harvest(struct db *d, const struct db_publish *p, int64_t store, int64_t generation,
			int64_t layer, struct err *e) must_check;
int publish_frames(struct db *d, const struct db_publish *p, int64_t harvest, struct err *e)
	must_check;
/* publish_frame_row(d, f, harvest, e): its row alone, whatever the segment's length. */
int publish_frame_row(struct db *d, const struct db_frame *f, int64_t harvest, struct err *e)
	must_check;
int publish_entries(struct db *d, const struct db_publish *p, int64_t harvest, struct err *e)
	must_check;

/* What lies in a layer of a store, by their rows. parts_publish: the harvest that made it.
 * parts_flatten: what lies in n of a generation's layers, below the uppermost `above`, of which it
 * was made. parts_end: what lies in all of them; `without` the harvests of the temporary table
 * ending. */
#define PARTS_ALL ((size_t)INT64_MAX)
int parts_publish(struct db *d, int64_t layer, int64_t store, int64_t harvest, struct err *e)
	must_check;
int parts_flatten(struct db *d, int64_t layer, int64_t store, int64_t generation, size_t above,
		  size_t n, struct err *e) must_check;
int parts_end(struct db *d, int64_t layer, int64_t store, int64_t generation, bool without,
	      struct err *e) must_check;

/* word_put(d, p, store, harvest, x, e): what x, of a harvest where words count, says.
 * word_pending(…): the entry at that path of that harvest is shown no more for want of words. */
int word_put(struct db *d, const struct db_publish *p, int64_t store, int64_t harvest,
	     const struct db_entry *x, struct err *e) must_check;
int word_pending(struct db *d, int64_t harvest, const char *path, struct err *e) must_check;
/* ending_mark(d, harvests, n, e): the temporary table `ending` has these and no others. */
int ending_mark(struct db *d, const int64_t *harvests, size_t n, struct err *e) must_check;
/* taken_read(d, s, out, n, e): the rows of s: harvest, id, store, job, bytes, last_ms; s is done.
 */
int taken_read(struct db *d, sqlite3_stmt *s, struct db_taken **out, size_t *n, struct err *e)
	must_check;

/* store_event(…): an event with its frames; generation 0: it made none. */
int store_event(struct db *d, const struct db_event *ev, int64_t store, int64_t generation,
		struct err *e) must_check;
