/* A box's limits: what is looked at when, and what was passed. Where a cgroup counts memory,
 * processes and cpu, its numbers decide; else the watch does (watch.h), which a job can outrun for
 * as long as there is between two looks: the limit on processes is then also an RLIMIT_NPROC with
 * some room above it, and files in memory have the limit as their size. An address space limit
 * would be no substitute for memory: V8, sanitizers and Go reserve far more than they use. */
#include "sandbox/inside.h"

#include "base/clock.h"

#include <poll.h>

#define MS INT64_C(1000000)
#define LOOK_NS (500 * MS)
#define SETUP_NS (120000 * MS)

static uint64_t ms_of(int64_t ns)
{
	return (uint64_t)(ns / MS);
}

/* To be hidden is what it is for. */
static void disk_hidden(struct box *b)
{
	const struct box_limits *l = &b->limits;
	if (l->disk)
		box_fire(b, BOX_LIMIT_DISK, l->disk, l->disk);
	if (l->disk_inodes)
		box_fire(b, BOX_LIMIT_INODES, l->disk_inodes, l->disk_inodes);
}

void limits_hidden(struct box *b, unsigned look)
{
	const struct box_limits *l = &b->limits;
	const struct cgroup_counts *c = &b->counts;
	if (look & PLAN_LOOK_DISK)
		disk_hidden(b);
	if (look & PLAN_LOOK_MEMORY)
		box_fire(b, BOX_LIMIT_MEMORY, l->memory, l->memory);
	if (look & PLAN_LOOK_PROCESSES && l->processes && !c->has_processes)
		box_fire(b, BOX_LIMIT_PROCESSES, l->processes, l->processes);
	if (look & PLAN_LOOK_PROCESSES && l->cpu_ms && !c->has_cpu)
		box_fire(b, BOX_LIMIT_CPU, l->cpu_ms, l->cpu_ms);
}

void limits_disk(struct box *b)
{
	const struct box_limits *l = &b->limits;
	uint64_t bytes, inodes;
	watch_used(&b->watch, &bytes, &inodes);
	if (l->disk && bytes > l->disk)
		box_fire(b, BOX_LIMIT_DISK, l->disk, bytes);
	if (l->disk_inodes && inodes > l->disk_inodes)
		box_fire(b, BOX_LIMIT_INODES, l->disk_inodes, inodes);
	if (b->watch.seen.deep) /* deeper than anybody looks */
		disk_hidden(b);
}

void limits_seen(struct box *b, const struct plan_seen *s)
{
	const struct box_limits *l = &b->limits;
	const struct cgroup_counts *c = &b->counts;
	if (s->has & PLAN_LOOK_DISK)
		limits_disk(b);
	if (s->has & PLAN_LOOK_PROCESSES && l->processes && !c->has_processes &&
	    s->processes > l->processes)
		box_fire(b, BOX_LIMIT_PROCESSES, l->processes, s->processes);
	if (s->has & PLAN_LOOK_MEMORY && l->memory && !c->has_memory && s->memory > l->memory)
		box_fire(b, BOX_LIMIT_MEMORY, l->memory, s->memory);
	if (s->has & PLAN_LOOK_PROCESSES && l->cpu_ms && !c->has_cpu && s->cpu_ns / MS > l->cpu_ms)
		box_fire(b, BOX_LIMIT_CPU, l->cpu_ms, s->cpu_ns / MS);
}

void limits_crowd(struct box *b, uint64_t processes)
{
	if (b->limits.processes && processes > b->limits.processes)
		box_fire(b, BOX_LIMIT_PROCESSES, b->limits.processes, processes);
}

static void look_cgroup(struct box *b)
{
	const struct box_limits *l = &b->limits;
	struct cgroup_counts *c = &b->counts, now;
	if (!c->has_memory && !c->has_processes && !c->has_cpu)
		return;
	cgroup_read(b->cgroup, &now);
	/* Its helper has removed it: PLAN_ENDED is on its way. */
	if (now.has_memory != c->has_memory || now.has_processes != c->has_processes ||
	    now.has_cpu != c->has_cpu)
		return;
	*c = now;
	uint64_t cpu_ms = (c->cpu_user_ns + c->cpu_system_ns) / MS;
	if (c->has_processes && c->processes_refused && l->processes)
		box_fire(b, BOX_LIMIT_PROCESSES, l->processes, l->processes);
	if (c->has_memory && c->oom_kills)
		box_fire(b, BOX_LIMIT_MEMORY, l->memory, c->peak_memory);
	if (c->has_cpu && l->cpu_ms && cpu_ms > l->cpu_ms)
		box_fire(b, BOX_LIMIT_CPU, l->cpu_ms, cpu_ms);
}

int sandbox_keeps(const struct sandbox *sb, const struct box_limits *l, unsigned loosen,
		  struct err *e)
{
	bool mounts = loosen & (BOX_LOOSEN_USERNS | BOX_LOOSEN_FUSE);
	if (sb->best_effort)
		return 0;
	if (l->cpu_milli && !cgroup_host_has_quota(sb->cgroups))
		return err_set(
			e, ERR_LIMIT,
			"a quota of the processors can't be kept here: there is no cgroup with the "
			"cpu controller (cgroup: %s)",
			cgroup_host_kind(sb->cgroups));
	if (l->memory && mounts && !cgroup_host_has_memory(sb->cgroups))
		return err_set(
			e, ERR_LIMIT,
			"a limit on memory can't be kept here for a box that may mount (userns, "
			"fuse): files in memory of its own would be counted by a cgroup with the "
			"memory controller, and there is none (cgroup: %s)",
			cgroup_host_kind(sb->cgroups));
	return 0;
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int64_t wall_end(const struct box *b)
{
	return b->limits.wall_ms ? b->runs_ns + (int64_t)b->limits.wall_ms * MS : INT64_MAX;
}

static int64_t silence_end(const struct box *b)
{
	return b->limits.silence_ms && !b->paused ? b->said_ns + (int64_t)b->limits.silence_ms * MS
						  : INT64_MAX;
}

/* Said, and the loop has not come to read it: it may have been away for longer than the limit. */
static bool output_waits(const struct box *b)
{
	struct pollfd p = {.fd = b->output_fd, .events = POLLIN};
	return poll(&p, 1, 0) > 0 && p.revents & POLLIN;
}

int64_t limits_next(const struct box *b)
{
	if (b->state > BOX_RUNS || b->ending)
		return INT64_MAX;
	if (b->state < BOX_RUNS)
		return b->started_ns + SETUP_NS;
	return earlier(earlier(b->watch_at_ns, watch_next(b)),
		       earlier(wall_end(b), silence_end(b)));
}

void limits_look(struct box *b, int64_t now)
{
	const struct box_limits *l = &b->limits;
	if (b->state < BOX_RUNS && !b->ending && now >= b->started_ns + SETUP_NS)
		box_trouble(b, "its command was not executed within %lld s",
			    (long long)(SETUP_NS / (1000 * MS)));
	if (b->state != BOX_RUNS || b->ending)
		return;
	if (now >= wall_end(b))
		box_fire(b, BOX_LIMIT_WALL, l->wall_ms, ms_of(now - b->runs_ns));
	if (now >= silence_end(b) && output_waits(b))
		b->said_ns = now;
	if (now >= silence_end(b))
		box_fire(b, BOX_LIMIT_SILENCE, l->silence_ms, ms_of(now - b->said_ns));
	if (now >= b->watch_at_ns) {
		b->look_ns = b->look_ns * 2 < LOOK_NS ? b->look_ns * 2 : LOOK_NS;
		b->watch_at_ns = now + b->look_ns;
		look_cgroup(b);
	}
	if (now >= watch_next(b))
		watch_look(b, now);
}
