/* What the rooms of cache/ know of one another's opened store. */
#pragma once
#include "cache/cache.h"

#include <stdatomic.h>

struct cache {
	int layers_fd, seg_fd, tmp_fd, trash_fd; /* -1: opened for reading, and not there */
	bool writable;
	uint32_t segment;                  /* the one that grows; 0: none yet */
	uint64_t segment_end;              /* where its next frame begins */
	uint32_t sealed;                   /* all up to this one are read-only */
	uint64_t segment_full, frame_full; /* CACHE_SEGMENT_FULL, CACHE_FRAME_FULL but in tests */
	atomic_ulong serial;               /* makes names below tmp/ and trash/ */
};

/* A segment this long is sealed: the next publish begins another. */
#define CACHE_SEGMENT_FULL ((uint64_t)256 << 20)
/* And a frame as long as this ends; the publish goes on in another. */
#define CACHE_FRAME_FULL ((uint64_t)128 << 20)

/* cache_may_write(c, e): 0, or ERR_USAGE where the cache was opened for reading. */
int cache_may_write(const struct cache *c, struct err *e) must_check;
/* cache_is_id(s, n): the n bytes are 64 lower-case hex digits. */
bool cache_is_id(const char *s, size_t n);
/* cache_discard(c, dirfd, name, e): out of sight by one rename into trash/, then removed. Absent is
 * fine. */
int cache_discard(struct cache *c, int dirfd, const char *name, struct err *e) must_check;

/* The steps between which a process may be killed, for the tests of that: called with the step's
 * name when it is done. */
extern void (*cache_on_step)(const char *step);
static inline void cache_step(const char *step)
{
	if (cache_on_step)
		cache_on_step(step);
}
