/* Stores without some of what was published into them, and stores as they were: what the verbs of
 * assay cache do, and what is done once more when only the archive knows that it was done. The
 * caller holds the state directory's lock. */
#pragma once
#include "cache/cache.h"
#include "db/db.h"

struct store_end {
	const char *store, *job; /* job: who wants it, in words */
	enum cache_kind kind;    /* CACHE_REVOKE or CACHE_COLLECT */
	const char *of;          /* CACHE_REVOKE: the publish's layer */
	const struct db_ended *v;
	size_t n;
	/* As the archive has it already; NULL: it is written there. */
	const struct cache_record *found;
};
/* store_end(c, d, how, e): a generation without these entries; where older ones lie below, those
 * show. Its id, or -1. */
int64_t store_end(struct cache *c, struct db *d, const struct store_end *how, struct err *e)
	must_check;

/* store_rollback(c, d, store, generation, job, found, e): a generation that shows what that one
 * showed. Its id, or -1. */
int64_t store_rollback(struct cache *c, struct db *d, const char *store, int64_t generation,
		       const char *job, const struct cache_record *found, struct err *e) must_check;

/* store_disown(c, d, store, t, n, job, found, e): the words of these count no more; no generation
 * comes of it. 0, or -1. */
int store_disown(struct cache *c, struct db *d, const char *store, const struct db_taken *t,
		 size_t n, const char *job, const struct cache_record *found, struct err *e)
	must_check;

/* store_found(c, d, r, e): a note that only the archive knew is done again. 0, or -1. */
int store_found(struct cache *c, struct db *d, const struct cache_record *r, struct err *e)
	must_check;
