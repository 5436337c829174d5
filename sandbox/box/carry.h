/* After a box: what an upper on a tmpfs holds is moved to the directory of the caller's that the
 * upper was to be, as overlayfs would have left it there. By the helper, in a child that is root of
 * the box's user namespace, so that owners are what they were and nothing is done as anybody else.
 * What is moved is hostile: nothing is followed, and depth is bounded. What a job made that the
 * directory can't hold, or nobody walks (ERR_LIMIT, ERR_HOSTILE), is its own affair. */
#pragma once
#include "base/err.h"
#include "sandbox/box/upper.h"

#include <stdbool.h>
#include <sys/types.h>

struct carry {
	int from, to; /* directories; to is empty */
	enum upper_marks marks;
	bool fuse; /* the marks in from are fuse-overlayfs's */
	/* Paths of files with several names, which are kept until the end: bytes; 0: CARRY_LINKED.
	 */
	size_t linked;
};

#define CARRY_LINKED ((size_t)64 << 20)

#define CARRY_DEPTH 512

/* carry_become(userns_fd, ranged, parent, e): root of the box's user namespace, gone with the
 * parent, which getpid() was before this process was forked. -1 too if the parent is gone already.
 */
int carry_become(int userns_fd, bool ranged, pid_t parent, struct err *e) must_check;

/* carry_tree(c, e): in this process's ids. It takes two descriptors for each directory on the way.
 * ERR_LIMIT, ERR_HOSTILE: what is in `from` is not to be kept; what came before it is in `to`. */
int carry_tree(const struct carry *c, struct err *e) must_check;

/* carry_run(c, userns_fd, ranged, e): carry_tree in a child, waited for. Both of its kinds of error
 * are ERR_HOSTILE; everything else is ERR_BOX or ERR_SYS. */
int carry_run(const struct carry *c, int userns_fd, bool ranged, struct err *e) must_check;
