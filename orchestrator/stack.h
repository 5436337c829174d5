/* Stacks of layers that became too high to be mounted quickly. */
#pragma once
#include "cache/cache.h"
#include "db/db.h"

/* stack_height(entries, n): how many of the uppermost of n layers, of which each has so many
 * entries, become one: at least half of what a stack may have, and on as long as the next is not
 * larger than those together. So an entry is written anew only into a layer that is twice as large
 * as the one before: O(log n) times, however long the store grows (a log-structured merge tree). */
size_t stack_height(const uint64_t *entries, size_t n) must_check;

/* stack_flatten(c, d, store, all, e): where the store's current stack has more than
 * CACHE_MAX_LAYERS layers, or `all` and more than one, a generation that shows the same with fewer.
 * 1 done, 0 there was nothing to do, -1. */
int stack_flatten(struct cache *c, struct db *d, const char *store, bool all, struct err *e)
	must_check;
