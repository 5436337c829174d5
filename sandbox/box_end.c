/* How a box ends, and what is said about it: by itself, by a limit, by the caller, by our own
 * trouble. */
#include "sandbox/inside.h"

#include "base/clock.h"

#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/wait.h>

#define MS INT64_C(1000000)
#define KILL_AGAIN_NS (1000 * MS)
#define DEAF_NS (5000 * MS)   /* a helper that has not ended a box after that hears nothing */
#define SLOW_NS (600000 * MS) /* one that has not put in order what an ended box left */
#define CGROUP_AGAIN_NS (10 * MS)
#define CGROUP_TRIES 1000
#define TABLE_NS (60 * MS)   /* no end waits longer for a table */
#define ASKED_NS (1000 * MS) /* nor one that is asked for, with time to obey */
#define TOLD_NS (5000 * MS)  /* nor for the word that a command runs which has said something */

static void box_free(struct box *b)
{
	struct sandbox *sb = b->sandbox;
	watch_close(&b->watch);
	if (b->output_fd >= 0)
		close(b->output_fd);
	if (b->pidfd >= 0)
		close(b->pidfd);
	free(b->name);
	free(b->profile);
	free(b);
	sb->n_boxes--;
	sandbox_settle(sb);
}

static void on_closed(uv_handle_t *handle)
{
	struct box *b = handle->data;
	if (!--b->handles)
		box_free(b);
}

static void on_room_closed(uv_fs_t *closing)
{
	struct box *b = closing->data;
	uv_fs_req_cleanup(closing);
	if (!--b->handles)
		box_free(b);
}

/* Not here: with the last descriptor goes the tmpfs and all that is in it. */
static void box_leave_room(struct box *b)
{
	int fd = watch_leave(&b->watch);
	if (fd < 0)
		return;
	b->closing.data = b;
	if (!uv_fs_close(b->sandbox->loop, &b->closing, fd, on_room_closed))
		b->handles++;
}

void box_close(struct box *b)
{
	box_leave_room(b);
	uv_handle_t *all[] = {(uv_handle_t *)&b->output, (uv_handle_t *)&b->timer,
			      (uv_handle_t *)&b->orphan};
	for (size_t i = 0; i < countof(all); i++)
		if (all[i]->loop && !uv_is_closing(all[i]))
			uv_close(all[i], on_closed);
	if (!b->handles)
		box_free(b);
}

/* Its output may be here before the helper's word that it runs. */
static bool box_ran(const struct box *b)
{
	return b->runs_ns || b->facts.output_bytes;
}

static void facts_limit(struct box_facts *f, enum box_limit l, uint64_t bound, uint64_t value)
{
	f->end = BOX_LIMITED;
	f->limit = l;
	f->limit_bound = bound;
	f->limit_value = value;
}

/* Who ended it. The kernel's counts come first: a command may have seen its child being killed for
 * memory, and gone on. And where it was refused processes, that was first: what a refused fork had
 * copied is counted as the group's memory until the kernel gets round to freeing it (RCU), hundreds
 * of MiB of it where forks are tried again and again. */
static void box_judge(struct box *b)
{
	const struct cgroup_counts *c = &b->counts;
	struct box_facts *f = &b->facts;
	bool ran = box_ran(b);
	bool refused =
		b->limits.processes && (c->processes_refused || f->limit == BOX_LIMIT_PROCESSES);
	enum box_limit limit;
	uint64_t bound, value;
	if (f->error[0])
		f->end = BOX_FAILED;
	else if (ran && c->oom_kills && refused)
		facts_limit(f, BOX_LIMIT_PROCESSES, b->limits.processes, b->limits.processes);
	else if (ran && c->oom_kills)
		facts_limit(f, BOX_LIMIT_MEMORY, b->limits.memory, c->peak_memory);
	else if (f->limit != BOX_LIMIT_NONE)
		f->end = BOX_LIMITED;
	else if (b->cancelled)
		f->end = BOX_CANCELLED;
	else if (ran && refused)
		facts_limit(f, BOX_LIMIT_PROCESSES, b->limits.processes, b->limits.processes);
	else if (ran && watch_over(b, &limit, &bound, &value))
		facts_limit(f, limit, bound, value);
	else if (f->signal == SIGXFSZ && b->limits.file_size)
		facts_limit(f, BOX_LIMIT_FILE_SIZE, b->limits.file_size, b->limits.file_size);
	else if (f->signal)
		f->end = BOX_SIGNALLED;
	else if (f->host_oom_kills && f->exit_code < 0) {
		/* with its pid 1 (memory.oom.group) */
		f->end = BOX_SIGNALLED;
		f->signal = SIGKILL;
	} else if (f->exit_code >= 0)
		f->end = BOX_EXITED;
	else {
		f->end = BOX_FAILED;
		snprintf(f->error, sizeof(f->error), "box %s: its pid 1 was lost (wait status %#x)",
			 b->name, (unsigned)b->end.init_status);
	}
}

static uint64_t larger(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static void box_count_rest(struct box *b)
{
	const struct cgroup_counts *c = &b->counts;
	struct box_facts *f = &b->facts;
	const struct watch *w = &b->watch;
	watch_last(b);
	f->processes_peak = c->processes_peak ? c->processes_peak : w->peak_processes;
	/* Who is killed together with pid 1 is in nobody's rusage. */
	f->io_read_bytes = b->end.io_read_bytes + (b->listed ? w->seen.io_read_bytes : 0);
	f->io_write_bytes = b->end.io_write_bytes + (b->listed ? w->seen.io_write_bytes : 0);
	/* Not every block device tells the cgroup what went to it. */
	f->io_read_bytes = larger(f->io_read_bytes, c->io_read_bytes);
	f->io_write_bytes = larger(f->io_write_bytes, c->io_write_bytes);
	f->processes = w->table ? w->table : "";
	watch_used(w, &f->disk_bytes, &f->disk_inodes);
	f->throttled = c->throttled;
	f->throttled_ns = c->throttled_ns;
	f->stalled_memory_ns = c->stalled_memory_ns;
	f->stalled_cpu_ns = c->stalled_cpu_ns;
	f->stalled_io_ns = c->stalled_io_ns;
}

/* Before the cgroup goes. */
static void box_count(struct box *b)
{
	struct cgroup_counts *c = &b->counts;
	struct box_facts *f = &b->facts;
	int status = b->end.command_status;
	if (b->end.counted) {
		*c = b->end.counts;
		cgroup_heard(b->cgroup, c);
	} else
		cgroup_read_all(b->cgroup, c);
	f->cpu_user_ns = c->has_cpu ? c->cpu_user_ns : b->end.user_ns;
	f->cpu_system_ns = c->has_cpu ? c->cpu_system_ns : b->end.system_ns;
	f->peak_memory =
		c->has_memory ? c->peak_memory : larger(b->end.peak_bytes, b->watch.peak_memory);
	/* Who is killed together with pid 1 is in nobody's rusage; the watch may have seen it. */
	uint64_t seen_ns = b->watch.seen.cpu_ns;
	if (!c->has_cpu && seen_ns > f->cpu_user_ns + f->cpu_system_ns)
		f->cpu_user_ns = seen_ns - f->cpu_system_ns;
	box_count_rest(b);
	f->oom_kills = c->oom_kills;
	f->processes_refused = c->processes_refused;
	f->exit_code = -1;
	if (status >= 0 && WIFEXITED(status))
		f->exit_code = WEXITSTATUS(status);
	else if (status >= 0 && WIFSIGNALED(status)) {
		f->signal = WTERMSIG(status);
		f->core = WCOREDUMP(status);
	} else if (b->killed && box_ran(b))
		f->signal = SIGKILL; /* with everything else, by us */
	f->host_oom_kills = c->host_oom_kills;
	if (!c->has_memory && f->signal == SIGKILL && !b->killed)
		f->host_oom_kills = ooms_since(&b->sandbox->ooms, b->ooms);
}

/* Its helper has removed it, unless it is dead or the group was not empty yet, which the kernel may
 * notice a moment after us. */
static bool box_leave_cgroup(struct box *b)
{
	struct err e = ERR_INIT;
	if (b->end.kind == PLAN_ENDED && !b->end.group_left) {
		cgroup_forget(b->cgroup);
		b->cgroup = NULL;
		return true;
	}
	if (!b->cgroup || !cgroup_remove(b->cgroup, &e)) {
		b->cgroup = NULL;
		return true;
	}
	cgroup_kill(b->cgroup);
	if (++b->cgroup_tries < CGROUP_TRIES)
		return false;
	fprintf(stderr, "assay: box %s: its cgroup stays: %s\n", b->name, e.text);
	cgroup_forget(b->cgroup); /* sandbox_sweep takes it another day */
	b->cgroup = NULL;
	return true;
}

void box_settle(struct box *b)
{
	if (b->state != BOX_GONE || !b->drained || !b->slot)
		return;
	if (!b->counted) {
		b->counted = true;
		box_count(b);
		box_judge(b);
	}
	if (!box_leave_cgroup(b)) {
		b->settle_at_ns = clock_mono_ns() + CGROUP_AGAIN_NS;
		box_schedule(b);
		return;
	}
	struct sandbox *sb = b->sandbox;
	watch_let_go(&b->watch); /* whoever hears of the end may remove them */
	b->slot->box = NULL;
	b->slot = NULL;
	uv_timer_stop(&b->timer);
	b->ev.on_end(b->owner, &b->facts);
	box_close(b);
	sandbox_settle(sb);
}

void box_gone(struct box *b)
{
	b->state = BOX_GONE;
	b->facts.wall_ns = (uint64_t)(clock_mono_ns() - (b->runs_ns ? b->runs_ns : b->started_ns));
	output_drain(b);
	box_settle(b);
}

/* A helper that hears nothing hangs, over a file system that does: without a box yet, or with one,
 * which ends of its helper's end. What it was ended for is known here. */
static bool box_unheard(const struct box *b, int64_t now)
{
	struct pollfd p = {.fd = b->pidfd, .events = POLLIN};
	if (!b->killed || b->state == BOX_SENT)
		return b->killed;
	bool over = poll(&p, 1, 0) > 0;
	return now - b->killed_ns >= (over ? SLOW_NS : DEAF_NS);
}

static void box_kill(struct box *b)
{
	int64_t now = clock_mono_ns();
	bool deaf = box_unheard(b, now);
	b->killed_ns = b->killed ? b->killed_ns : now;
	b->killed = true;
	b->kill_at_ns = now + KILL_AGAIN_NS; /* until it is gone */
	if (b->slot && b->slot->helper && deaf)
		helper_kill(b->slot->helper);
	else if (b->slot && b->slot->helper)
		helper_say(b->slot->helper, PLAN_KILL, 0);
	if (b->cgroup)
		cgroup_kill(b->cgroup);
}

/* One that does not run its command yet just ends of the SIGTERM. */
static void box_proceed(struct box *b)
{
	b->table_until_ns = 0;
	if (b->kill_next) {
		box_kill(b);
		return;
	}
	helper_say(b->slot->helper, PLAN_SIGNAL, SIGTERM);
	b->kill_at_ns = clock_mono_ns() + (int64_t)b->limits.grace_ms * MS;
}

/* First the table of its processes for the record. false: nobody can make one. */
static bool box_list(struct box *b)
{
	if (!watch_table(b))
		return false;
	b->listed = b->kill_next;
	b->table_until_ns = clock_mono_ns() + (b->kill_next ? TABLE_NS : ASKED_NS);
	return true;
}

void box_told(struct box *b)
{
	if (b->table_until_ns && !box_list(b))
		box_proceed(b);
}

void box_listed(struct box *b)
{
	if (b->table_until_ns)
		box_proceed(b);
}

/* The processes are listed as they are: nothing is frozen for it. That would hide what each was
 * doing, and a v1 group whose caller dies meanwhile would stay frozen. What a box wrote that was
 * ended before its pid 1 could say that the command runs would be nobody's. */
static void box_terminate(struct box *b, bool gently)
{
	bool first = !b->ending;
	if (b->state == BOX_GONE || b->killed)
		return;
	b->ending = true;
	b->kill_next |= !gently || !b->limits.grace_ms || !b->slot->helper;
	bool waits = first && b->state == BOX_RUNS && box_list(b);
	if (first && b->state == BOX_BORN && box_ran(b))
		b->table_until_ns = clock_mono_ns() + TOLD_NS;
	else if (!waits && !b->table_until_ns && (first || b->kill_next))
		box_proceed(b);
	else if (!waits && b->kill_next && b->table_until_ns > clock_mono_ns() + TABLE_NS &&
		 b->state == BOX_RUNS)
		b->table_until_ns = clock_mono_ns() + TABLE_NS;
	box_schedule(b);
}

void box_fire(struct box *b, enum box_limit l, uint64_t bound, uint64_t value)
{
	if (b->ending || (b->state != BOX_BORN && b->state != BOX_RUNS))
		return;
	b->facts.limit = l;
	b->facts.limit_bound = bound;
	b->facts.limit_value = value;
	box_terminate(b, true);
}

void box_trouble(struct box *b, const char *fmt, ...)
{
	char text[400];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (!b->facts.error[0] && !b->cancelled)
		snprintf(b->facts.error, sizeof(b->facts.error), "box %s: %s", b->name, text);
	box_terminate(b, false);
}

void box_signal(struct box *b, int signal)
{
	if (b->state < BOX_RUNS)
		b->signals |= UINT64_C(1) << (signal - 1);
	else if (b->state == BOX_RUNS && b->slot && b->slot->helper)
		helper_say(b->slot->helper, PLAN_SIGNAL, signal);
}

void box_cancel(struct box *b, bool gently)
{
	if (!b->ending)
		b->cancelled = true;
	box_terminate(b, gently);
}

void box_on_timer(uv_timer_t *timer)
{
	struct box *b = timer->data;
	int64_t now = clock_mono_ns();
	if (b->kill_at_ns && now >= b->kill_at_ns && b->state < BOX_GONE)
		box_kill(b);
	if (b->table_until_ns && now >= b->table_until_ns && b->state < BOX_ORPHAN)
		box_proceed(b);
	limits_look(b, now);
	if (b->state != BOX_GONE || (b->settle_at_ns && now < b->settle_at_ns)) {
		box_schedule(b);
		return;
	}
	b->settle_at_ns = 0;
	output_drain(b);
	box_settle(b);
}

void box_schedule(struct box *b)
{
	int64_t now = clock_mono_ns(), next = limits_next(b);
	if (b->kill_at_ns && b->state < BOX_GONE && b->kill_at_ns < next)
		next = b->kill_at_ns;
	if (b->table_until_ns && b->state < BOX_ORPHAN && b->table_until_ns < next)
		next = b->table_until_ns;
	if (b->settle_at_ns && b->settle_at_ns < next)
		next = b->settle_at_ns;
	if (b->state == BOX_GONE && !b->drained && !b->paused)
		next = now; /* the caller takes output again */
	if (next == INT64_MAX) {
		uv_timer_stop(&b->timer);
		return;
	}
	uv_update_time(b->sandbox->loop);
	uv_timer_start(&b->timer, box_on_timer,
		       next > now ? (uint64_t)((next - now + MS - 1) / MS) : 0, 0);
}
