/* One box as its helper sees it, from outside: it is born, speaks, is looked at and ends; what of
 * it is told to the caller. */
#pragma once
#include "sandbox/box/ahead.h"
#include "sandbox/box/fuse.h"
#include "sandbox/box/group.h"
#include "sandbox/box/guard.h"
#include "sandbox/box/look.h"
#include "sandbox/box/network.h"
#include "sandbox/box/serve.h"

struct carried;

struct life {
	struct birth birth; /* its processes' handles; birth.pid 0: none */
	struct plan_reply end;
	struct ahead *ahead;
	enum overlay_way way; /* that worked here */
	struct uppers uppers; /* what was found out about them */
	bool ranged;
	struct network network;
	int userns_fd;         /* -1, or the box's */
	struct carried *carry; /* owned; what is to be moved when it is over */
	size_t n_carry;
	bool ran, moved, over; /* over: its command is, and the rest is soon */
	struct fuse_task task; /* for the next of fuse */
	struct fuse *fuse;     /* owned */
	size_t n_fuse;
	int built_fd;    /* of guard_tell, or -1 */
	pid_t built_pid; /* who said it */
	struct guard guard;
	uint32_t by; /* enum plan_uppers, where an engine makes the container */
	pid_t pid;   /* of the box's pid 1, which an engine may have made */
	int end_signal;
	struct init_message used; /* INIT_USED, if it was said */
	struct looks looks;
	struct group group;
};

/* life_init(l, s, ahead): no box yet. l and ahead are the helper's, for all its boxes. */
void life_init(struct life *l, const struct serve *s, struct ahead *ahead);

/* life_begin(l, s, start, fds, n): a box of this plan; the descriptors (birth_make) are borrowed,
 * and there is room for GROUP_FDS more of them: how many is n afterwards. The caller is told
 * PLAN_BORN, or PLAN_ENDED with what was wrong, and then there is no box. */
void life_begin(struct life *l, const struct serve *s, struct plan_start *start, int *fds,
		size_t *n);

/* life_say(l, kind, signal): to the box's pid 1. life_kill(l): all of it is to end; life_end later.
 */
void life_say(struct life *l, enum init_kind kind, uint32_t signal);
void life_kill(struct life *l);

/* life_look(l, m, fds, n): PLAN_LOOK; the descriptors are taken. life_looked(k): that one has
 * ended: the caller is told what was seen. */
void life_look(struct life *l, const struct plan_start *m, const int *fds, size_t n);
void life_looked(struct look *k);

/* life_speaks(l): may pid 1 say something that can't wait for its end? life_listen(l): it has.
 * life_network_heard(l): who makes its network has. */
bool life_speaks(const struct life *l);
void life_listen(struct life *l);
void life_network_heard(struct life *l);

/* life_end(l): its pid 1 has ended: when this returns all of it has, what it left is where it
 * belongs, and the caller was told PLAN_ENDED. */
void life_end(struct life *l);

/* life_leave(l): the helper goes: so does its box, if there is one, and nobody is told. */
void life_leave(struct life *l);
