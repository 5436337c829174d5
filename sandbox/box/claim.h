/* Which connections of FUSE file systems (fusectl.h) are a box's, for sure: no other one is ever
 * aborted, least of all one of the same user's. Two ways:
 *
 *  - It was seen in the mounts of the command or of who descends from pid 1, into which nothing
 *    comes from outside (they are private: stage.c), and neither in what the box was built of nor
 *    in this process's own. Whoever looks each time that the command's mounts change keeps hold of
 *    what is unmounted later.
 *  - It belongs to ids that nobody else on this machine has (ids.h), and is not among anybody
 *    else's mounts. It need not be mounted anywhere any more. An ordinary user's ids are those of
 *    the user's other connections, too. */
#pragma once
#include "sandbox/box/fusectl.h"

#include <stddef.h>

struct minors {
	uint32_t *all; /* owned, in order */
	size_t n, room;
};

struct claim {
	int ctl;             /* of fusectl_open; owned */
	int nested;          /* the list of the command's mounts, or -1: not needed, or not known */
	pid_t pid;           /* the box's pid 1 */
	uint32_t uid;        /* 0: the second way is none here */
	struct minors built; /* what the box was given */
	struct minors others;    /* what others have mounted, at the moment */
	struct connection *held; /* owned: the first way */
	size_t n, room;
	ino_t *spaces; /* owned: mount namespaces that were looked into, at the moment */
	size_t n_spaces;
};

/* claim_open(c, built, nested, pid, uid): lists of mounts (proc_pid_mountinfo(5)), the caller's, or
 * -1; the box's first id, if it is alone with its ids, else 0. Kept until the process ends. false:
 * nothing can be aborted here. */
bool claim_open(struct claim *c, int built, int nested, pid_t pid, uint32_t uid);
/* claim_look(c): c->nested has changed. */
void claim_look(struct claim *c);
/* claim_abort(c): all that can be found now and was seen before. */
void claim_abort(struct claim *c);
