/* A spare upper becomes the layer itself: its directories and files stay where they are, and only
 * what no layer may have of it is made anew or removed. One thread at a time. */
#pragma once
#include "cache/build.h"
#include "cache/harvest.h"

/* adopt_ask(h): what there is to be asked of each directory; once, before them. */
void adopt_ask(struct harvest *h);
/* adopt_directory(h, fd, st, plain, as_is): of a directory of h's upper, plain: without attributes:
 * can it be a layer's, once its mode and attributes are? *as_is: they are. */
bool adopt_directory(const struct harvest *h, int fd, const struct stat *st, bool plain,
		     bool *as_is);
/* adopt_link(h, dirfd, name, st): the same of a symbolic link; it can't become so. */
bool adopt_link(const struct harvest *h, int dirfd, const char *name, const struct stat *st);

/* adopt_begin(b, c, h, e): the upper of h is b's tree, without what is not wanted, every directory
 * with a layer's mode and no attributes. What else is wanted and not `as_is` is still the upper's.
 * 1; 0: it can't be so, or does not pay, and nothing was begun; -1. */
int adopt_begin(struct build *b, struct cache *c, const struct harvest *h, struct err *e)
	must_check;
