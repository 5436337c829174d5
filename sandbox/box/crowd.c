#include "sandbox/box/crowd.h"

#include "base/clock.h"
#include "sandbox/box/look.h"
#include "sandbox/box/plan.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define PART 10
#define PAUSE_NS 20000000 /* some thousand forks are not made in less */
#define PAUSE_MOST_NS 400000000
#define OURS 4 /* pid 1, and looks, are its user's, too */

void crowd_init(struct crowd *c, uint64_t processes)
{
	struct rlimit l = {.rlim_max = RLIM_INFINITY};
	getrlimit(RLIMIT_NPROC, &l);
	uint64_t most = plan_nproc(processes);
	most = l.rlim_max < most ? l.rlim_max : most;
	*c = (struct crowd){.bound = processes,
			    .refusing = most > OURS ? most - OURS : 0,
			    .pause = {.tv_nsec = PAUSE_NS}};
}

const struct timespec *crowd_pause(const struct crowd *c)
{
	return c->bound ? &c->pause : NULL;
}

/* The number of the newest process, of this pid namespace: proc(5), loadavg. */
static bool newest_pid(uint64_t *pid)
{
	char buf[128];
	return look_read(AT_FDCWD, "/proc/loadavg", buf, sizeof(buf)) > 0 &&
	       sscanf(buf, "%*s %*s %*s %*s %" SCNu64, pid) == 1;
}

/* Each has got a number; they begin anew after the last one, about which nothing is known here. */
static bool may_be_many(struct crowd *c)
{
	uint64_t pid, forked;
	if (!newest_pid(&pid))
		return false;
	c->pause.tv_nsec = pid != c->newest                   ? PAUSE_NS
			   : c->pause.tv_nsec < PAUSE_MOST_NS ? c->pause.tv_nsec * 2
							      : c->pause.tv_nsec;
	c->newest = pid;
	forked = pid >= c->last_pid ? pid - c->last_pid : UINT64_MAX / 2;
	if (c->counted + forked <= c->bound)
		return false;
	c->last_pid = pid;
	return true;
}

/* What others' work kept it from the processor is not what it took. */
static int64_t spent_ns(void)
{
	struct timespec t;
	return clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t)
		       ? 0
		       : (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Who has ended and waits for pid 1 is not the job's fault: pid 1 may lack the processor. But where
 * so many are there, with those, forks are refused. */
uint64_t crowd_count(struct crowd *c, bool always)
{
	struct look_processes p = {.tasks = 0};
	int64_t now = c->bound ? clock_mono_ns() : 0;
	if (!c->bound || (!always && now < c->not_before_ns) || !may_be_many(c))
		return 0;
	int64_t began = spent_ns();
	look_tasks(&p);
	c->not_before_ns = now + (spent_ns() - began) * PART;
	c->counted = p.tasks + p.orphans;
	uint64_t n = c->counted >= c->refusing ? c->counted : p.tasks;
	if (n <= c->bound)
		return 0;
	c->bound = 0;
	return n;
}
