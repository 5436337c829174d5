/* cgroup v1: a directory per hierarchy. Kernel documentation:
 * admin-guide/cgroup-v1/{memory,pids,cpuacct,freezer-subsystem}.rst, scheduler/sched-bwc.rst. */
#include "sandbox/cgroup_inside.h"

#include <errno.h>

enum { V1_LAST_BYTES = 4 << 20 };

/* memory.memsw.* is there when swap is counted; v1_settle sees to the rest. */
static int v1_limit_memory(const struct cgroup *c, int dirfd, uint64_t bytes, struct err *e)
{
	return cgroup_limit_write(c, dirfd, "memory.limit_in_bytes", bytes, e) ||
			       (c->host->counts_swap &&
				cgroup_limit_write(c, dirfd, "memory.memsw.limit_in_bytes", bytes,
						   e))
		       ? -1
		       : 0;
}

static int v1_limit_cpu(const struct cgroup *c, int dirfd, uint64_t milli, struct err *e)
{
	uint64_t period, quota = cgroup_quota(milli, &period);
	return cgroup_limit_write(c, dirfd, "cpu.cfs_period_us", period, e) ||
	       cgroup_limit_write(c, dirfd, "cpu.cfs_quota_us", quota, e);
}

static int v1_limit(const struct cgroup *c, const struct cgroup_limits *l, struct err *e)
{
	int memory = cgroup_in(c, CGROUP_MEMORY), pids = cgroup_in(c, CGROUP_PIDS);
	int cpu = cgroup_in(c, CGROUP_CPU);
	if (l->cpu_milli && cpu >= 0 && v1_limit_cpu(c, cpu, l->cpu_milli, e))
		return -1;
	if (l->memory && memory >= 0 && v1_limit_memory(c, memory, l->memory, e))
		return -1;
	if (l->processes && pids >= 0 && cgroup_limit_write(c, pids, "pids.max", l->processes, e))
		return -1;
	return 0;
}

/* The total is exact; how it is divided is the kernel's estimate. */
static bool v1_read_cpu(int dirfd, struct cgroup_counts *out)
{
	uint64_t total, user;
	if (dirfd < 0 || cgroup_number(dirfd, "cpuacct.usage", &total))
		return false;
	if (cgroup_number(dirfd, "cpuacct.usage_user", &user) || user > total)
		user = total;
	out->cpu_user_ns = user;
	out->cpu_system_ns = total - user;
	return true;
}

/* oom_kill counts whoever the kernel chose in the group, for whatever need (__oom_kill_process).
 * Its own limit was the reason where charges failed, or where usage came up to it: failures of the
 * charge for memory with swap are not counted any more (Linux 6.18 has them at 0). What can't be
 * read is taken as that. */
static bool v1_at_limit(int memory, uint64_t peak)
{
	uint64_t failed, limit, with_swap = 0;
	if (cgroup_number(memory, "memory.failcnt", &failed) || failed ||
	    cgroup_number(memory, "memory.limit_in_bytes", &limit))
		return true;
	if (!cgroup_number(memory, "memory.memsw.max_usage_in_bytes", &with_swap) &&
	    with_swap > peak)
		peak = with_swap;
	/* what it asked for last, a huge page or two, did not fit */
	return peak + limit / 16 + V1_LAST_BYTES >= limit;
}

static void v1_read(const struct cgroup *c, struct cgroup_counts *out)
{
	int memory = cgroup_in(c, CGROUP_MEMORY);
	out->has_memory = memory >= 0 &&
			  !cgroup_number(memory, "memory.max_usage_in_bytes", &out->peak_memory) &&
			  !cgroup_key(memory, "memory.oom_control", "oom_kill", &out->oom_kills);
	out->at_limit = out->has_memory && out->oom_kills && v1_at_limit(memory, out->peak_memory);
	cgroup_read_processes(c, cgroup_in(c, CGROUP_PIDS), out);
	out->has_cpu = v1_read_cpu(cgroup_in(c, CGROUP_CPUACCT), out);
	out->has_quota = cgroup_in(c, CGROUP_CPU) >= 0;
}

static void v1_read_more(const struct cgroup *c, struct cgroup_counts *out)
{
	int cpu = cgroup_in(c, CGROUP_CPU);
	cgroup_read_peak(c, cgroup_in(c, CGROUP_PIDS), out);
	if (cpu >= 0 && (cgroup_key(cpu, "cpu.stat", "nr_throttled", &out->throttled) ||
			 cgroup_key(cpu, "cpu.stat", "throttled_time", &out->throttled_ns)))
		out->throttled = out->throttled_ns = 0;
}

/* Not frozen for it: a frozen task does not die of SIGKILL, and a box whose caller was killed
 * between freezing and thawing would stay for ever. What forks faster than it is listed dies with
 * its pid namespace. But somebody else may have frozen it, where it is in the freezer. */
static void v1_kill(const struct cgroup_world *w, int dirfd)
{
	cgroup_signal_each(dirfd);
	if (!faccessat(dirfd, "freezer.state", F_OK, 0))
		w->write(dirfd, "freezer.state", "THAWED");
}

const struct cgroup_kind cgroup_v1 = {
	.name = "v1",
	.limit = v1_limit,
	.read = v1_read,
	.read_more = v1_read_more,
	.kill = v1_kill,
};

/* A box inherits the switch of memory.oom_control and the swappiness from NAME.<pid>, which
 * inherits them from wherever this process is: boxes want OOM kills, and where swap is not counted,
 * a limit that pushes no pages out. */
static bool v1_settle(struct cgroup_host *h)
{
	const struct cgroup_world *w = h->world;
	for (size_t i = 0; i < h->n; i++) {
		int dir = h->dir[i];
		if (!(h->base[i].controllers & CGROUP_MEMORY))
			continue;
		h->counts_swap = !faccessat(dir, "memory.memsw.limit_in_bytes", F_OK, 0);
		if ((w->write(dir, "memory.oom_control", "0") && errno != ENOENT) ||
		    (!h->counts_swap && w->write(dir, "memory.swappiness", "0") && errno != ENOENT))
			return false;
	}
	return true;
}

bool cgroup_v1_open(struct cgroup_host *h, const char *name, struct cgroup_places *p)
{
	if (!cgroup_claim(h, name, p->v1, CGROUP_HIERARCHIES))
		return false;
	if (!v1_settle(h)) {
		cgroup_unclaim(h);
		return false;
	}
	h->kind = &cgroup_v1;
	return true;
}
