/* What the store's current generation has at a path: a stack of layers, read as overlayfs would
 * show them. One thread at a time for each harvest. */
#pragma once
#include "cache/harvest.h"

struct lower {
	bool found;
	int dirfd;        /* borrowed, until the next question about that layer: what it lies in */
	const char *name; /* there; points into the path that was asked for */
	struct stat st;
};
/* lower_find(h, lowers, n, path, l, e): what the uppermost has that has path: of n layers those
 * that have the directory it is in. Of a directory l->st has the type alone. 0 or -1. */
int lower_find(struct harvest *h, struct lower_dir *lowers, size_t n, const char *path,
	       struct lower *l, struct err *e) must_check;
/* lower_read(l, e): a descriptor to read the regular file it found, or -1. */
int lower_read(const struct lower *l, struct err *e) must_check;
/* lower_dirs(h, lowers, n, path, item, e): fill item's lowers, for a directory of the upper;
 * `hidden` where the store shows something else there. 0 or -1. */
int lower_dirs(struct harvest *h, struct lower_dir *lowers, size_t n, const char *path,
	       struct harvest_item *item, struct err *e) must_check;
/* lower_forget(h): the names that were read; before the items are freed. */
void lower_forget(struct harvest *h);
