/* Rules that make new bytes of the store's file and the upper's. One thread at a time for each
 * harvest. */
#pragma once
#include "cache/cache.h"
#include "base/text.h"

/* merge_max(rule): the largest file such a rule reads and makes; 0: it makes none. CACHE_PROGRAM is
 * one of them, and not for merge_run: see ask.h. */
size_t merge_max(enum cache_do rule) must_check;

enum merged {
	MERGE_DONE,
	MERGE_REFUSED,  /* the upper's file can't be merged with anything */
	MERGE_CONFLICT, /* the store's can't */
};

struct merge {
	const struct cache_harvest *how;
	enum cache_do rule;
	const char *path;
	const struct text *store; /* NULL: it has none */
	const struct text *mine;
	struct text out; /* the caller's to free, as is why */
	char *why;       /* in words, unless it is MERGE_DONE */
};
/* merge_run(m, result, e): 0, or -1. */
int merge_run(struct merge *m, enum merged *result, struct err *e) must_check;
