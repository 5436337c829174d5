/* Who ends what a box's own FUSE file systems keep from ending. A process that is killed while it
 * has an open file of a file system and is the one who would have to answer for it waits for
 * itself, and no signal ends that (fs/fuse/dev.c, FR_FORCE): so do pid 1 and the whole box. Only
 * the connection's abort does (fusectl.h).
 *
 * A guard is a child of the helper, for one box with PLAN_LOOSEN_FUSE, and outlives the helper
 * until that box is over. Which connections it may abort says claim.h. */
#pragma once
#include "sandbox/box/init.h"

#include <stdint.h>
#include <sys/types.h>

/* guard_tell(socket, kind): in the box, what the guard needs to know: INIT_BUILT by pid 1, and
 * INIT_NESTED by who becomes the command, each with the list of the caller's mounts
 * (proc_pid_mountinfo(5)), if that can be had. */
void guard_tell(int socket, enum init_kind kind);

struct guard {
	pid_t pid; /* 0: none */
	int tie;   /* a word here: the box is to end */
};
#define GUARD_INIT                                                                                 \
	{                                                                                          \
		.tie = -1                                                                          \
	}

struct guard_box {
	int built, nested; /* of guard_tell, or -1 */
	int pidfd;         /* ready when the box is over */
	pid_t pid;         /* of its pid 1 */
	uint32_t uid;      /* its first id, if nobody else has them; else 0 */
};

/* guard_begin(g, box): descriptors are the caller's. Where no connection could be aborted, or
 * there is no memory for one more process, the box has none. */
void guard_begin(struct guard *g, const struct guard_box *box);
/* guard_warn(g): the box is to end, or is ending: what is not over GUARD_MS later is helped. So it
 * is when the helper dies. */
#define GUARD_MS 500
void guard_warn(struct guard *g);
/* guard_end(g): the box is over. */
void guard_end(struct guard *g);
