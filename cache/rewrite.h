/* A segment without what nobody needs any more. */
#pragma once
#include "cache/inner.h"

/* rewrite_settle(c, known, n, e): what a kill left of cache_segment_rewrite() takes the place of
 * the segment where the database says that it has, else it goes. When a cache is opened. 0 or -1.
 */
int rewrite_settle(struct cache *c, const struct cache_known_segment *known, size_t n,
		   struct err *e) must_check;
