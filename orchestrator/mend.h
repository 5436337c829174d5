/* The archive's copies of publishes, and making those again that are damaged or lost, from layers
 * that still have what was brought. For assay cache verify; nobody publishes meanwhile. */
#pragma once
#include "cache/cache.h"
#include "db/db.h"

/* One publish and its frames. */
struct archived {
	int64_t harvest;
	const char *store, *job, *layer; /* borrowed */
	struct cache_frame *frames;      /* as it was before mend_archive() */
	size_t n_frames;
	bool damaged; /* or lost: the archive can't bring it back */
	bool mended;  /* it was, and is not any more */
	char *why;    /* in words, what is wrong with it */
};

/* mend_archive(d, c, v, n, e): of n publishes, by harvest, those that are damaged are written again
 * into the place that is theirs in the archive, each segment in one step: a kill leaves it as it
 * was or mended. What can't be says so behind `why`. 0; -1 is our own trouble. */
int mend_archive(struct db *d, struct cache *c, struct archived *v, size_t n, struct err *e)
	must_check;

/* archived_of(v, n, harvest): the publish of that harvest, or NULL. */
const struct archived *archived_of(const struct archived *v, size_t n, int64_t harvest);

/* mend_layer(c, v, n, layer, parts, e): a layer that is not what its name says is made again: a
 * publish's from its frames, another by its list from what its parts (rows of layer-parts) have, or
 * without its list from all of them together. ERR_CORRUPT or ERR_ABSENT: it can't be, in words, and
 * then it is as it was; what n archived publishes can't bring back is not tried. Anything else: our
 * own trouble, and it may be gone, so that the next try finds it missing. */
int mend_layer(struct cache *c, const struct archived *v, size_t n, const char *layer,
	       const struct db_table *parts, struct err *e) must_check;
