#include "sandbox/watch.h"

#include "base/clock.h"
#include "base/dir.h"
#include "base/text.h"
#include "sandbox/inside.h"

#include <string.h>

#define MS INT64_C(1000000)
#define SOONEST_NS (20 * MS)
#define PROCESSES_NS (500 * MS)
#define DISK_NS (1000 * MS)
#define PART 10               /* looks take at most this part of the time */
#define LOST_NS (60000 * MS)  /* a look that takes so long hangs: another is tried */
#define STUCK_NS (10000 * MS) /* what was killed and is there still after that hangs */
#define LOST_MAX 6            /* each time twice as long is waited, so often: it may just be much */

/* Faster than this nothing grows here. */
#define BYTES_PER_NS 4
#define NS_PER_INODE 1000

void watch_close(struct watch *w)
{
	watch_let_go(w);
	own_close(&w->room.fd);
	free(w->uppers);
	free(w->devices);
	free(w->table);
}

static bool counts_all(const struct box *b)
{
	const struct box_limits *l = &b->limits;
	return (!l->memory || b->counts.has_memory) && (!l->processes || b->counts.has_processes) &&
	       (!l->cpu_ms || b->counts.has_cpu);
}

static bool wants_disk(const struct box *b)
{
	const struct watch *w = &b->watch;
	return (b->limits.disk || b->limits.disk_inodes) && (w->n_uppers || w->room.fd >= 0);
}

static uint64_t left(uint64_t limit, uint64_t used)
{
	return !limit ? UINT64_MAX : limit > used ? limit - used : 0;
}

static int64_t within(int64_t ns, int64_t least, int64_t most)
{
	return ns < least ? least : ns > most ? most : ns;
}

/* How long it takes at least until the limit can be passed. */
static int64_t soonest_bytes(uint64_t bytes)
{
	return bytes / BYTES_PER_NS > INT64_MAX ? INT64_MAX : (int64_t)(bytes / BYTES_PER_NS);
}

static int64_t soonest_inodes(uint64_t inodes)
{
	return inodes > INT64_MAX / NS_PER_INODE ? INT64_MAX : (int64_t)inodes * NS_PER_INODE;
}

static int64_t disk_pause(const struct box *b, uint64_t bytes, uint64_t inodes)
{
	int64_t a = soonest_bytes(left(b->limits.disk, bytes));
	int64_t c = soonest_inodes(left(b->limits.disk_inodes, inodes));
	return within(a < c ? a : c, SOONEST_NS, DISK_NS);
}

static int64_t processes_pause(const struct box *b)
{
	const struct box_limits *l = &b->limits;
	const struct plan_seen *s = &b->watch.seen;
	int64_t pause = PROCESSES_NS;
	if (l->memory && !b->counts.has_memory)
		pause = within(soonest_bytes(left(l->memory, s->memory)), 0, pause);
	if (l->processes && !b->counts.has_processes && s->processes > l->processes / 2)
		pause = within(pause, 0, PROCESSES_NS / 10);
	return within(pause, within((int64_t)s->took_ns * PART, SOONEST_NS, PROCESSES_NS), pause);
}

void watch_begin(struct box *b, int64_t now)
{
	struct watch *w = &b->watch;
	idle_begin(b, now);
	if (!counts_all(b))
		w->processes_at_ns = now + SOONEST_NS;
	if (!wants_disk(b))
		return;
	watch_mark(w); /* the uppers are empty */
	w->disk_at_ns = now + disk_pause(b, 0, 0);
	w->walk_at_ns = now + DISK_NS;
}

static struct watch_asked *asked_of(struct watch *w, unsigned what)
{
	return what & PLAN_LOOK_DISK ? &w->walk : &w->look;
}

static int64_t asked_until(const struct watch_asked *a)
{
	return a->at_ns + (LOST_NS << a->lost);
}

/* Is its answer still waited for? */
static bool asked_waits(struct watch_asked *a, int64_t now)
{
	if (!a->at_ns || now < asked_until(a))
		return a->at_ns;
	a->at_ns = 0;
	a->lost += a->lost < LOST_MAX;
	return false;
}

static bool ask(struct box *b, unsigned what, int64_t now)
{
	struct watch *w = &b->watch;
	struct plan_start m = {.kind = PLAN_LOOK,
			       .version = PLAN_VERSION,
			       .look = what,
			       .memory = b->limits.memory,
			       .inodes = b->limits.disk_inodes,
			       .room = watch_room_blocks(w)};
	if (!b->slot || !b->slot->helper || b->pid <= 0)
		return false;
	helper_look(b->slot->helper, &m, w->uppers, what & PLAN_LOOK_DISK ? w->n_uppers : 0);
	struct watch_asked *a = asked_of(w, what);
	a->what = what;
	a->at_ns = now;
	return true;
}

/* Disk without a walk: what the quota and the room say, and what is gone of the file systems since
 * the last one. true: it takes a walk to know. */
static bool peek(struct box *b, int64_t now)
{
	struct watch *w = &b->watch;
	uint64_t bytes, inodes, gone_bytes, gone_inodes;
	bool counted = quota_used(&w->quota, &w->seen.disk_bytes, &w->seen.disk_inodes);
	watch_room_look(w);
	watch_used(w, &bytes, &inodes);
	if (counted || w->room.fd >= 0)
		limits_disk(b);
	if (counted || !w->n_uppers) {
		w->disk_at_ns = now + disk_pause(b, bytes, inodes);
		return false;
	}
	watch_gone(w, &gone_bytes, &gone_inodes);
	bytes += gone_bytes;
	inodes += gone_inodes;
	w->disk_at_ns = now + disk_pause(b, bytes, inodes);
	if (now >= w->walk_at_ns)
		return true;
	/* Another one so soon only if the last was quick. */
	return (!left(b->limits.disk, bytes) || !left(b->limits.disk_inodes, inodes)) &&
	       now >= w->walk_at_ns - DISK_NS + w->walk_took_ns * PART;
}

int64_t watch_next(const struct box *b)
{
	const struct watch *w = &b->watch;
	int64_t look = w->processes_at_ns < w->idle_at_ns ? w->processes_at_ns : w->idle_at_ns;
	int64_t walk = w->disk_at_ns;
	if (w->look.at_ns)
		look = asked_until(&w->look);
	if (w->walk.at_ns)
		walk = asked_until(&w->walk);
	return look < walk ? look : walk;
}

static unsigned look_wanted(struct box *b, int64_t now)
{
	struct watch *w = &b->watch;
	unsigned what = 0;
	if (now >= w->processes_at_ns) {
		what |= PLAN_LOOK_PROCESSES;
		what |= b->limits.memory && !b->counts.has_memory ? PLAN_LOOK_MEMORY : 0;
		w->processes_at_ns = now + PROCESSES_NS;
	}
	if (now >= w->idle_at_ns) {
		what |= PLAN_LOOK_IO | PLAN_LOOK_PROCESSES;
		w->idle_at_ns = now + (int64_t)b->limits.idle_ms * MS;
	}
	return what;
}

void watch_look(struct box *b, int64_t now)
{
	struct watch *w = &b->watch;
	bool walk = !asked_waits(&w->walk, now) && now >= w->disk_at_ns && peek(b, now);
	unsigned what = asked_waits(&w->look, now) ? 0 : look_wanted(b, now);
	if (walk)
		watch_mark(w);
	if (b->ending || ((!walk || ask(b, PLAN_LOOK_DISK, now)) && (!what || ask(b, what, now))))
		return;
	w->processes_at_ns = w->disk_at_ns = w->idle_at_ns = INT64_MAX;
}

static void heard_table(struct watch *w, int fd)
{
	struct err ignored = ERR_INIT;
	auto_text struct text t = TEXT_INIT;
	if (fd < 0 || w->table || lseek(fd, 0, SEEK_SET) < 0 ||
	    dir_read_fd(fd, PLAN_TABLE_MAX, &t, &ignored))
		return;
	while (t.n && t.p[t.n - 1] != '\n')
		t.n--;
	w->table = own_dup_n(text_str(&t), t.n);
}

static void heard_disk(struct box *b, const struct plan_seen *s, int64_t now)
{
	struct watch *w = &b->watch;
	if (!(s->has & PLAN_LOOK_DISK)) {
		w->walk_at_ns = now + DISK_NS;
		return;
	}
	w->seen.disk_bytes = s->disk_bytes;
	w->seen.disk_inodes = s->disk_inodes;
	w->seen.deep = s->deep;
	w->walk_took_ns = (int64_t)s->took_ns;
	w->walk_at_ns = now + within(w->walk_took_ns * PART, DISK_NS, INT64_MAX);
	uint64_t bytes, inodes;
	watch_used(w, &bytes, &inodes);
	w->disk_at_ns = now + disk_pause(b, bytes, inodes);
	limits_seen(b, s);
}

static void heard_processes(struct watch *w, const struct plan_seen *s)
{
	w->seen.processes = s->processes;
	if (s->processes > w->peak_processes)
		w->peak_processes = s->processes;
	/* Who has ended without being waited for is in nobody's time. */
	if (s->cpu_ns > w->seen.cpu_ns)
		w->seen.cpu_ns = s->cpu_ns;
}

bool watch_heard(struct box *b, const struct plan_reply *r, int fd)
{
	struct watch *w = &b->watch;
	const struct plan_seen *s = &r->seen;
	int64_t now = clock_mono_ns();
	unsigned asked = r->look;
	struct watch_asked *a = asked_of(w, asked);
	if (asked == a->what)
		a->at_ns = 0;
	a->stuck_ns = !s->stuck ? 0 : a->stuck_ns ? a->stuck_ns : now;
	if (s->stuck && now - a->stuck_ns >= STUCK_NS)
		limits_hidden(b, asked);
	if (asked & PLAN_LOOK_DISK) {
		heard_disk(b, s, now);
		return false;
	}
	w->seen.took_ns = s->took_ns;
	if (asked & PLAN_LOOK_TABLE)
		heard_table(w, fd);
	if (s->has & PLAN_LOOK_PROCESSES)
		heard_processes(w, s);
	if (s->has & PLAN_LOOK_MEMORY) {
		w->seen.memory = s->memory;
		w->peak_memory = s->memory > w->peak_memory ? s->memory : w->peak_memory;
	}
	if (s->has & PLAN_LOOK_IO) {
		w->seen.io_read_bytes = s->io_read_bytes;
		w->seen.io_write_bytes = s->io_write_bytes;
	}
	if (asked & PLAN_LOOK_TABLE)
		return true;
	limits_seen(b, s);
	if (w->processes_at_ns != INT64_MAX)
		w->processes_at_ns = now + processes_pause(b);
	w->idle.stirred |= s->ready;
	if (asked & PLAN_LOOK_IO)
		idle_sample(b, now, s->has & PLAN_LOOK_IO ? s->io_chars : w->idle.io);
	return false;
}

bool watch_table(struct box *b)
{
	unsigned what = PLAN_LOOK_TABLE | PLAN_LOOK_IO | PLAN_LOOK_PROCESSES;
	return ask(b, what, clock_mono_ns());
}
