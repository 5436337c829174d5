/* Inside sandbox/ only: how often the kernel killed for want of memory, for boxes of which no
 * cgroup of their own counts it. Loop thread. */
#pragma once
#include <stdint.h>

struct cgroup_world;

struct ooms {
	int group_fd;     /* where boxes' memory is charged; -1: the machine's kills are counted */
	const char *file; /* there, with a line "oom_kill" */
	uint64_t kills;   /* as last read */
	int64_t read_ns;  /* 0: not yet */
};
#define OOMS_INIT                                                                                  \
	{                                                                                          \
		.group_fd = -1                                                                     \
	}

/* ooms_find(o, w): boxes stay in the group that this process is in, so that what is killed in it
 * counts (memory.oom_control of v1, Linux 4.13; memory.events.local, Linux 5.2), and not what
 * others on the machine are killed for, who may come to limits of their own every few seconds.
 * Where no such group can be read it stays as it is. w: NULL, the kernel. */
void ooms_find(struct ooms *o, const struct cgroup_world *w);
/* ooms_before(o, now_ns): kills up to a box that begins now, at the most a second old: reading is
 * 0.05 ms, and many boxes begin in a second. now_ns: monotonic. */
uint64_t ooms_before(struct ooms *o, int64_t now_ns);
/* ooms_since(o, before): how many there were since then. */
uint64_t ooms_since(const struct ooms *o, uint64_t before);
void ooms_close(struct ooms *o);
