/* Inside sandbox/ only: what sandbox.c (slots and helpers), box.c (a box's life) and watch.c (its
 * limits) share. Loop thread. */
#pragma once
#include "sandbox/sandbox.h"

#include "sandbox/cgroup.h"
#include "sandbox/filter.h"
#include "sandbox/helper.h"
#include "sandbox/ooms.h"
#include "sandbox/ranges.h"
#include "sandbox/watch.h"

struct slot {
	struct sandbox *sandbox;
	size_t number;
	struct helper *helper; /* NULL: none yet, or dead */
	struct box *box;       /* NULL: free */
};

struct sandbox {
	uv_loop_t *loop;
	struct cgroup_host *cgroups;
	struct filter filters[2 * FILTER_NO_CGROUPS]; /* by what of FILTER_LOOSEN a box has; made
						      when first needed */
	struct helper_program program;
	struct ranges ranges;
	char given[64]; /* of conf.given, as helpers are told */
	bool verbose, best_effort;
	struct slot *slots;
	size_t n_slots;
	size_t n_boxes, n_helpers; /* whose handles are still on the loop */
	size_t n_cpus;             /* that this process may use */
	struct ooms ooms;
	uv_timer_t last; /* closed with the sandbox, so that nothing ends inside sandbox_close */
	bool last_closed;
	void (*on_closed)(void *owner); /* set: closing */
	void *owner;
};

/* In probe.c. probe_box(sb, uppers, e): a whole box, once, waited for. Nothing of it is left on sb.
 */
int probe_box(struct sandbox *sb, const char *uppers, struct err *e) must_check;
/* probe_engine(sb, e): where another program is to make the boxes: could it? In one line, before
 * there is a helper that only its end says something of. */
int probe_engine(struct sandbox *sb, struct err *e) must_check;

/* In sandbox.c. sandbox_filter(sb, loosen, e): of boxes with these loosenings; NULL with e. */
const struct filter *sandbox_filter(struct sandbox *sb, unsigned loosen, struct err *e) must_check;
/* sandbox_settle(sb): closing, and was this the last thing? */
void sandbox_settle(struct sandbox *sb);
/* sandbox_helper(s, e): the slot has a helper now. */
int sandbox_helper(struct slot *s, struct err *e) must_check;

enum box_state {
	BOX_SENT,   /* its plan is with the helper */
	BOX_BORN,   /* its pid 1 exists and builds */
	BOX_RUNS,   /* its command was executed */
	BOX_ORPHAN, /* its helper died: it is going too */
	BOX_GONE,   /* no process is left; its last output may still be to be read */
};

struct box {
	struct sandbox *sandbox;
	struct slot *slot; /* NULL once it is over */
	struct box_events ev;
	void *owner;
	char *name, *profile;
	enum box_state state;
	struct box_limits limits;
	struct cgroup *cgroup;
	struct cgroup_counts counts; /* has_*: what the cgroup does; numbers: as last read */
	unsigned cgroup_tries;
	uint64_t ooms; /* of ooms.h, as it began; only where no cgroup counts its memory */

	int output_fd;
	bool paused, drained, rest_known;
	size_t rest; /* bytes of output that were in the pipe when it was over, and are there yet */
	int pidfd;   /* of its pid 1, from BOX_BORN on; watched when it is an orphan */
	pid_t pid;

	int64_t started_ns, runs_ns,
		said_ns;                  /* monotonic; said: last output, or the end of a pause */
	int64_t kill_at_ns, settle_at_ns; /* 0: not wanted */
	int64_t killed_ns;                /* when it was killed first */
	int64_t look_ns;                  /* between two looks: longer and longer, up to a bound */
	int64_t watch_at_ns;              /* when to look again */
	int64_t table_until_ns;           /* the table of its processes is awaited, 0: no */
	uint64_t signals;                 /* for the command, once it runs: bit 0 is signal 1 */
	bool ending;                      /* by us, for whatever reason */
	bool killed, cancelled, counted;
	bool kill_next; /* after the table; else SIGTERM */
	bool listed;    /* its table was asked for when everything was killed at once */

	struct watch watch;
	struct plan_reply end;
	struct box_facts facts;

	uv_poll_t output, orphan;
	uv_timer_t timer;
	uv_fs_t closing;
	unsigned handles; /* on the loop */
};

/* In box.c. box_heard(b, r, fd), box_lost(b, how): what its helper said, or how it died. */
void box_heard(struct box *b, const struct plan_reply *r, int fd);
void box_lost(struct box *b, const char *how);

/* In box_end.c. box_schedule(b): set the timer for whatever is next. */
void box_schedule(struct box *b);
void box_on_timer(uv_timer_t *timer);
/* box_fire(b, l, bound, value): a limit was passed: the box is ended for it, unless something else
 * ends it already. */
void box_fire(struct box *b, enum box_limit l, uint64_t bound, uint64_t value);
/* box_trouble(b, fmt, ...): our own: it is ended at once, as BOX_FAILED. */
void box_trouble(struct box *b, const char *fmt, ...) printf_like(2, 3);
/* box_gone(b): its last process is. */
void box_gone(struct box *b);
/* box_settle(b): something its end waited for is over. */
void box_settle(struct box *b);

/* box_close(b): it is freed when nothing of it is on the loop any more, or at once; counted in
 * n_boxes until then. */
void box_close(struct box *b);

/* box_told(b): it is known that its command runs: if it is to end, its processes are listed now.
 * box_listed(b): the table of its processes is here, or never will be: what it is ended by comes
 * next. */
void box_told(struct box *b);
void box_listed(struct box *b);

/* In output.c. output_start(b): read when there is something. output_drain(b): all that is left. */
void output_start(struct box *b);
void output_drain(struct box *b);

#define BOX_FIRST_LOOK_NS 20000000 /* limits.c */

/* In limits.c. limits_next(b): when to look, monotonic ns. limits_look(b, now): fire what was
 * passed. */
int64_t limits_next(const struct box *b);
/* limits_seen(b, s), limits_disk(b): fire what the watch has found passed. */
void limits_seen(struct box *b, const struct plan_seen *s);
void limits_disk(struct box *b);
/* limits_crowd(b, processes): its pid 1 has seen so many at once. */
void limits_crowd(struct box *b, uint64_t processes);
/* limits_hidden(b, look): nobody can see any more what this look was for. */
void limits_hidden(struct box *b, unsigned look);
void limits_look(struct box *b, int64_t now);
