/* What a stack of layers shows, path by path: made into one layer, an archive or a directory. One
 * thread at a time. */
#pragma once
#include "cache/build.h"

struct flatten_layer {
	int fd;
	struct list list;
	struct tree_at at;
	size_t next;
};

/* A path where the layers disagree about what it is: what lies in layers from `from` on is hidden
 * below it. */
struct flatten_cut {
	const char *path;
	size_t n, from;
};

struct flatten;
/* What is done with each path that shows; layer is the place of the one that gives it. 0 or -1. */
typedef int (*flatten_fn)(struct flatten *f, size_t layer, const struct list_entry *x,
			  struct err *e);

struct flatten {
	struct build b; /* of flatten_put: where it goes; without a list nothing is listed */
	bool copy;      /* of flatten_put: files are copies, and compared with their digests */
	flatten_fn put;
	void *owner;
	const struct cache_but *but; /* NULL: none */
	struct flatten_layer *v;
	size_t n;
	struct flatten_cut *cuts;
	size_t n_cuts;
};

/* flatten_walk(f, c, layers, n, e): f->put for each path in bytewise order; f's put, owner, but,
 * copy and b are the caller's. 0 or -1. */
int flatten_walk(struct flatten *f, struct cache *c, const char *const *layers, size_t n,
		 struct err *e) must_check;
/* flatten_put: into f->b. */
int flatten_put(struct flatten *f, size_t layer, const struct list_entry *x, struct err *e)
	must_check;
/* flatten_read(f, layer, x, e): a descriptor to read a file that shows, or -1. */
int flatten_read(struct flatten *f, size_t layer, const struct list_entry *x, struct err *e)
	must_check;
