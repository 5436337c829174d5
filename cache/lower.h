/* What the store's current generation has at a path: a stack of layers, read as overlayfs would
 * show them. Any thread. */
#pragma once
#include "cache/harvest.h"

struct lower {
	bool found;
	int fd; /* O_PATH of what is there, or -1; the caller closes it */
	struct stat st;
};
/* lower_find(how, lowers, n, path, l, e): the uppermost of these n layers (indices) that has path.
 * 0 or -1. */
int lower_find(const struct cache_harvest *how, const unsigned short *lowers, size_t n,
	       const char *path, struct lower *l, struct err *e) must_check;
/* lower_read(l, e): a descriptor to read the regular file it found, or -1. */
int lower_read(const struct lower *l, struct err *e) must_check;
/* lower_dirs(how, lowers, n, path, item, e): fill item's lowers, for a directory of the upper;
 * `hidden` where the store shows something else there. 0 or -1. */
int lower_dirs(const struct cache_harvest *how, const unsigned short *lowers, size_t n,
	       const char *path, struct harvest_item *item, struct err *e) must_check;
