/* Segments read without their database. */
#pragma once
#include "cache/inner.h"

/* How far a segment is good: up to the end of its last whole publish. */
struct scan_end {
	uint32_t segment;
	uint64_t bytes;
};
/* scan_from(c, known, n, scan, ends, n_ends, e): as cache_scan(), from the committed ends on. ends,
 * the caller's to free, tells of each segment that is there. */
int scan_from(struct cache *c, const struct cache_known_segment *known, size_t n,
	      const struct cache_scan *scan, struct scan_end **ends, size_t *n_ends, struct err *e)
	must_check;
