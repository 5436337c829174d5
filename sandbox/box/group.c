#include "sandbox/box/group.h"

#include <assert.h>
#include <fcntl.h>
#include <string.h>

static_assert(CGROUP_DOORS <= PLAN_DOORS_MAX, "a box enters all its groups");

int group_told(struct group *g, const struct plan_start *m, const int *fds, size_t n, struct err *e)
{
	if (!g->host && n == m->groups.n)
		g->host = cgroup_host_told(&m->groups, fds);
	else
		n = 0;
	return g->host && n ? 0 : err_set(e, ERR_USAGE, "groups that break the rules");
}

/* v2: a directory to be born in; v1: doors. How many, -1. */
static int group_open(const struct cgroup *c, struct plan_start *start, int fds[GROUP_FDS],
		      struct err *e)
{
	int dir = cgroup_clone_fd(c), n = 0;
	if (dir >= 0) {
		fds[n++] = fcntl(dir, F_DUPFD_CLOEXEC, 0);
		start->in_cgroup = 1;
		return fds[0] < 0 ? err_sys(e, "open the box's cgroup") : n;
	}
	n = cgroup_doors(c, fds, e);
	start->n_doors = n < 0 ? 0 : (uint32_t)n;
	return n;
}

int group_begin(struct group *g, struct plan_start *start, int *fds, size_t *n, struct err *e)
{
	int mine[GROUP_FDS];
	size_t at = plan_fds(start), behind = *n - at;
	if (!start->group.name[0])
		return 0;
	if (!g->host)
		return err_set(e, ERR_USAGE, "a group, and it was not told where");
	start->group.name[CGROUP_NAME - 1] = 0;
	g->box = cgroup_make(g->host, start->group.name, &start->group.limits, e);
	int got = g->box ? group_open(g->box, start, mine, e) : -1;
	if (got < 0)
		return -1;
	memmove(fds + at + got, fds + at, behind * sizeof(*fds));
	memcpy(fds + at, mine, (size_t)got * sizeof(*fds));
	*n += (size_t)got;
	return 0;
}

void group_end(struct group *g, struct plan_reply *end)
{
	struct err e = ERR_INIT;
	if (!g->box)
		return;
	cgroup_read_all(g->box, &end->counts);
	end->counted = 1;
	end->group_left = cgroup_remove(g->box, &e) != 0;
	if (end->group_left)
		cgroup_forget(g->box);
	g->box = NULL;
}
