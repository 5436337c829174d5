/* Is a box doing anything? Every idle_ms a sample is taken. A window between two samples in which
 * the box had less than a hundredth of a processor, read and wrote less than 16 KiB a second and
 * said nothing is a quiet one: a loop that looks every second whether something has come costs less
 * than that, a download that is still worth waiting for more. Two quiet windows in a row, and it is
 * idle. What we ourselves keep from running (its output is not being read) is not, nor what wants
 * to run and gets no processor: on a machine that has too much to do a busy box may have less than
 * a hundredth of one for seconds. */
#include "sandbox/inside.h"

#define IDLE_CPU_PART 100
#define IDLE_BYTES_S (UINT64_C(16) << 10)
#define MS INT64_C(1000000)

void idle_begin(struct box *b, int64_t now)
{
	b->watch.idle.at_ns = b->watch.idle.since_ns = now;
	b->watch.idle_at_ns = b->limits.idle_ms ? now + (int64_t)b->limits.idle_ms * MS : INT64_MAX;
}

static uint64_t moved(uint64_t a, uint64_t b)
{
	return a > b ? a - b : b - a;
}

void idle_sample(struct box *b, int64_t now, uint64_t io)
{
	struct watch *w = &b->watch;
	const struct cgroup_counts *c = &b->counts;
	uint64_t cpu = c->has_cpu ? c->cpu_user_ns + c->cpu_system_ns : w->seen.cpu_ns;
	uint64_t window = (uint64_t)(now - w->idle.at_ns);
	uint64_t bytes = IDLE_BYTES_S * (window / MS) / 1000;
	bool busy = w->idle.stirred || b->paused || b->facts.output_bytes != w->idle.output ||
		    moved(cpu, w->idle.cpu_ns) > window / IDLE_CPU_PART ||
		    moved(io, w->idle.io) > bytes;
	w->idle.at_ns = now;
	w->idle.cpu_ns = cpu;
	w->idle.io = io;
	w->idle.output = b->facts.output_bytes;
	w->idle.stirred = false;
	if (busy)
		w->idle.since_ns = now;
	w->idle_at_ns = now + (int64_t)b->limits.idle_ms * MS;
	uint64_t quiet_ms = (uint64_t)((now - w->idle.since_ns) / MS);
	if (quiet_ms >= 2 * b->limits.idle_ms)
		box_fire(b, BOX_LIMIT_IDLE, b->limits.idle_ms, quiet_ms);
}
