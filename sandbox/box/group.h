/* A box's control group, which its helper makes before the box is born and removes when it is over:
 * the caller's loop would wait for the kernel's one lock of all groups. Where the helper is killed
 * the caller removes it; where that is, too, sandbox_sweep does. */
#pragma once
#include "sandbox/box/plan.h"

struct group {
	struct cgroup_host *host; /* the caller's, as told once; NULL: there are no groups */
	struct cgroup *box;       /* of the box that is; NULL: none */
};

/* What comes with a box more than the caller sent. */
#define GROUP_FDS (CGROUP_DOORS + 1)

/* group_told(g, m, fds, n, e): PLAN_GROUPS; takes the descriptors. */
int group_told(struct group *g, const struct plan_start *m, const int *fds, size_t n, struct err *e)
	must_check;

/* group_begin(g, start, fds, n, e): make what start->group describes. Its descriptors are put
 * behind start's own in fds, which has room for GROUP_FDS more than n, and counted in start and n;
 * they are the caller's, as the others. */
int group_begin(struct group *g, struct plan_start *start, int *fds, size_t *n, struct err *e)
	must_check;

/* group_end(g, end): nothing of the box is left: what its group has counted is told in end, and it
 * is removed. */
void group_end(struct group *g, struct plan_reply *end);
