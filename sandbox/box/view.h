/* What an overlay of some layers will show at a path, told before it is made. In the box only, over
 * directories that nobody writes any more. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

enum view_found {
	VIEW_SHOWN,  /* something is there: *st */
	VIEW_LINK,   /* a link is there or on the way to it: the first *seen bytes of rel are it */
	VIEW_TAKEN,  /* what is on the way is no directory */
	VIEW_ABSENT, /* nothing, and one layer more, below all others, would show */
	VIEW_HIDDEN, /* nothing, and only a layer above the others would: a whiteout or an opaque
			directory of theirs hides what is below it */
};

struct view {
	const char *const *lowers; /* names below the current directory, uppermost first */
	size_t n;
};

/* view_find(v, rel, st, seen, layer): rel "a/b/c". st: of what is there; with VIEW_LINK *layer is
 * the index of the lower that has the link. */
enum view_found view_find(const struct view *v, const char *rel, struct stat *st, size_t *seen,
			  size_t *layer);
