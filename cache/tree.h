/* Trees that somebody else made: opened beneath a descriptor, walked in one order, within bounds,
 * at any depth. Any thread. */
#pragma once
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

/* tree_open(root, path, flags): openat2(2) with BENEATH | NO_SYMLINKS | NO_MAGICLINKS | NO_XDEV,
 * for a path of any length (it is opened in pieces where it is longer than PATH_MAX). A descriptor
 * (O_CLOEXEC) or -1 with errno. O_PATH|O_NOFOLLOW gives a symbolic link itself. */
int tree_open(int root, const char *path, int flags) must_check;

/* tree_create(root, path, mode): a new file to be written, on the same way. mode as open(2) takes
 * it. A descriptor or -1 with errno. */
int tree_create(int root, const char *path, mode_t mode) must_check;

/* tree_open_unseen(root, path, flags): the same to read, and where we may (open(2), O_NOATIME)
 * without a trace: writing the time of a reading costs more than the reading. */
int tree_open_unseen(int root, const char *path, int flags) must_check;

/* The directories that the last paths lay in, kept open: paths that come in order mostly share one,
 * or lie in one beside it. */
#define TREE_AT_OPEN 4
struct tree_at {
	int root; /* borrowed */
	size_t n;
	struct {
		int fd; /* O_PATH */
		char *path;
		size_t path_n;
	} dirs[TREE_AT_OPEN]; /* the one asked for last comes first */
};
#define TREE_AT(r)                                                                                 \
	{                                                                                          \
		.root = (r)                                                                        \
	}
/* tree_at(at, path, name): descriptor of the directory path lies in (borrowed; valid until the next
 * call), *name its last component. -1 with errno. */
int tree_at(struct tree_at *at, const char *path, const char **name) must_check;
void tree_at_fini(struct tree_at *at);

struct tree_item {
	const char *path; /* relative to the root; valid during the call */
	const char *name; /* its last component */
	int dirfd;        /* what name lies in */
	struct stat st;   /* not followed */
	unsigned depth;   /* 1: directly in the root */
	bool elsewhere;   /* a directory of another file system: never entered */
	size_t above;     /* tag of the directory it is in; that of the root is TREE_ROOT */
	size_t tag;       /* to be set for directories: `above` of what is inside */
	bool skip;        /* to be set for directories: do not go in */
	int fd;           /* of a regular file that was opened before st was asked of it; -1 */
	int opened;       /* to be set for directories that were opened to be read (and not moved on
			     in): the walk's from then on; -1 */
};
#define TREE_ROOT ((size_t)-1)

struct tree_bounds {
	uint64_t max_entries;
	unsigned max_depth;
	bool open; /* regular files that may be read are opened, so that st is of what is read */
};
/* Layers have no hostile author any more; this only bounds memory. */
#define TREE_LAYER_BOUNDS                                                                          \
	{                                                                                          \
		.max_entries = 50000000, .max_depth = 4096, .open = true                           \
	}

/* tree_item_open(it): the file to be read, as tree_open_unseen() opens it; the caller closes it.
 * The walk's own, once, where the bounds say `open`: asking a descriptor costs less than asking a
 * name and says of which file it is. -1 with errno. */
int tree_item_open(struct tree_item *it) must_check;

typedef int (*tree_fn)(void *arg, struct tree_item *it, struct err *e);
/* tree_walk(root, bounds, fn, arg, e): fn for each entry in bytewise order of the whole paths (so
 * "a", "a-b", "a/c"). 0, or -1 as soon as fn returns -1, a bound is passed (ERR_HOSTILE) or
 * something can't be read. Descriptors in use are bounded whatever the depth. */
int tree_walk(int root, const struct tree_bounds *bounds, tree_fn fn, void *arg, struct err *e)
	must_check;
