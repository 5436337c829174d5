/* A segment without what nobody needs any more. */
#pragma once
#include "cache/inner.h"

/* rewrite_create(c, number, e): the file of a segment that is written anew, empty; its descriptor
 * or -1. rewrite_durable(c, number, fd, e): all of it is on disk, and its name. */
int rewrite_create(struct cache *c, uint32_t number, struct err *e) must_check;
int rewrite_durable(struct cache *c, uint32_t number, int fd, struct err *e) must_check;
/* rewrite_copy(from, to, number, at, n, buffer, e): n bytes of the segment from `at` on to where
 * `to` stands; BUILD_BUFFER bytes are lent. 0 or -1. */
int rewrite_copy(int from, int to, uint32_t number, uint64_t at, uint64_t n, char *buffer,
		 struct err *e) must_check;

/* rewrite_settle(c, known, n, e): what a kill left of cache_segment_rewrite() takes the place of
 * the segment where the database says that it has, else it goes. When a cache is opened. 0 or -1.
 */
int rewrite_settle(struct cache *c, const struct cache_known_segment *known, size_t n,
		   struct err *e) must_check;
