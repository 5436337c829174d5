/* How many processes a box has at once, where only looks from outside count them (plan.h) and one
 * could die out between two. The kernel keeps no count of refused forks but in a cgroup, and no
 * highest number of a user's or of a pid namespace's processes. But who dies of a refused fork is,
 * once its parent is dead, too, pid 1's to reap, and until it is reaped it is there to be counted,
 * with all others. What never becomes pid 1's (threads, processes whose parent waits for them) is
 * seen only if it is there for longer than crowd_pause, which grows while nothing is forked. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

struct crowd {
	uint64_t bound;             /* 0: nothing is counted */
	uint64_t refusing;          /* about so many are there when forks are refused */
	uint64_t last_pid, counted; /* when it was counted last */
	int64_t not_before_ns;
	uint64_t newest; /* process, when that was asked last */
	struct timespec pause;
};

/* crowd_init(c, processes): of the plan. */
void crowd_init(struct crowd *c, uint64_t processes);
/* crowd_count(c, always): if by what was forked since there may be more than the bound, count them:
 * how many, if they are more, and then nothing is counted any more; else 0. Not always: in a tenth
 * of the time at most. A few microseconds where they can't be so many. */
uint64_t crowd_count(struct crowd *c, bool always);
/* crowd_pause(c): when to count at the latest; NULL: never. */
const struct timespec *crowd_pause(const struct crowd *c);
