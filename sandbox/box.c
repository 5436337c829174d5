/* How a box begins, and what its helper says about it. */
#include "sandbox/inside.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define BOX_PIPE (256 << 10)

static int box_pipe(int *write_fd, struct err *e)
{
	int fds[2];
	if (pipe2(fds, O_CLOEXEC))
		return err_sys(e, "pipe");
	/* A larger one is faster; an unprivileged user's pipes are bounded in sum (pipe(7)), then
	 * this one is as it is. */
	fcntl(fds[1], F_SETPIPE_SZ, BOX_PIPE);
	if (fcntl(fds[0], F_SETFL, O_NONBLOCK)) {
		close(fds[0]);
		close(fds[1]);
		return err_sys(e, "pipe");
	}
	*write_fd = fds[1];
	return fds[0];
}

/* below: cgroup.h */
static int box_join(struct box *b, bool below, struct err *e)
{
	struct cgroup_limits limits = {.memory = b->limits.memory,
				       .processes = b->limits.processes,
				       .cpu_milli = b->limits.cpu_milli,
				       .below = below};
	auto_free char *name = own_fmt("%s.%zu", b->name, b->slot->number);
	b->cgroup = cgroup_want(b->sandbox->cgroups, name, &limits, e);
	if (!b->cgroup)
		return -1;
	cgroup_can(b->cgroup, &b->counts);
	b->facts.cgroup = cgroup_host_kind(b->sandbox->cgroups);
	if (b->sandbox->verbose)
		fprintf(stderr,
			"assay: box %s: cgroup %s: memory %llu, processes %llu, processors "
			"%llu/1000; 0: no limit\n",
			b->name, b->facts.cgroup, (unsigned long long)limits.memory,
			(unsigned long long)limits.processes, (unsigned long long)limits.cpu_milli);
	return 0;
}

/* Other boxes that run. */
static size_t sandbox_busy(const struct sandbox *sb)
{
	size_t n = 0;
	for (size_t i = 0; i < sb->n_slots; i++)
		n += !!sb->slots[i].box;
	return n;
}

static int box_send(struct box *b, const struct box_spec *spec, int write_fd, struct err *e)
{
	uint64_t processes = b->counts.has_processes ? 0 : b->limits.processes;
	struct pack p;
	const struct filter *filter = sandbox_filter(b->sandbox, spec->loosen, e);
	if (!filter)
		return -1;
	int rc = pack_make(&p, spec, filter, processes, b->sandbox->verbose, e);
	p.ahead = sandbox_busy(b->sandbox) + 1 < b->sandbox->n_cpus;
	if (!rc)
		rc = helper_plan(b->slot->helper, &p, write_fd, spec->stdio, b->cgroup, e);
	pack_fini(&p);
	return rc;
}

static void box_undo(struct box *b)
{
	cgroup_forget(b->cgroup); /* nobody has made it */
	b->sandbox->n_boxes++;
	box_close(b);
}

/* Before its helper has heard of it: there is no box that nobody watches. */
static int box_watch(struct box *b, struct err *e)
{
	uv_loop_t *loop = b->sandbox->loop;
	int rc = uv_poll_init(loop, &b->output, b->output_fd);
	if (rc)
		return err_set(e, ERR_SYS, "watch a pipe: %s", uv_strerror(rc));
	uv_timer_init(loop, &b->timer);
	b->handles = 2;
	b->output.data = b->timer.data = b->orphan.data = b;
	return 0;
}

static int box_begin(struct box *b, const struct box_spec *spec, struct err *e)
{
	auto_fd int write_fd = -1;
	b->output_fd = box_pipe(&write_fd, e);
	if (b->output_fd < 0 || watch_open(&b->watch, spec, e) || sandbox_helper(b->slot, e) ||
	    box_join(b, spec->loosen & BOX_LOOSEN_USERNS && geteuid(), e) || box_watch(b, e) ||
	    box_send(b, spec, write_fd, e))
		return -1;
	output_start(b);
	box_schedule(b);
	return 0;
}

static struct slot *slot_free(struct sandbox *sb)
{
	for (size_t i = 0; i < sb->n_slots; i++)
		if (!sb->slots[i].box)
			return &sb->slots[i];
	return NULL;
}

struct box *box_start(struct sandbox *sb, const struct box_spec *spec, const struct box_events *ev,
		      void *owner, struct err *e)
{
	int64_t now = clock_mono_ns();
	if (pack_check(spec, e) || box_loosen_check(spec->loosen, e) ||
	    sandbox_keeps(sb, &spec->limits, spec->loosen, e) || box_net_check(spec->net, e)) {
		/* what was asked for is named by its own words */
		if (e->kind == ERR_SYS)
			err_add(e, "box %s", spec->name);
		return NULL;
	}
	struct slot *slot = sb->on_closed ? NULL : slot_free(sb);
	if (!slot) {
		err_set(e, ERR_BUSY, "box %s: all %zu slots are taken", spec->name, sb->n_slots);
		return NULL;
	}
	struct box *b = own_calloc(1, sizeof(*b));
	*b = (struct box){
		.sandbox = sb,
		.slot = slot,
		.ev = *ev,
		.owner = owner,
		.name = own_dup(spec->name),
		.profile = box_profile_name(spec->loosen),
		.limits = spec->limits,
		.watch = {.room = {.fd = -1}},
		.output_fd = -1,
		.pidfd = -1,
		.started_ns = now,
		.end = {.command_status = -1},
		.facts = {.exit_code = -1,
			  .started_ms = clock_real_ms(),
			  .cgroup = "none",
			  .uppers = "as given",
			  .executor = sb->program.executor,
			  .ids = box_ids_name(ranges_ids(&sb->ranges))},
	};
	b->facts.profile = b->profile;
	if (box_begin(b, spec, e)) {
		err_add(e, "box %s", spec->name);
		box_undo(b);
		return NULL;
	}
	if (!b->counts.has_memory)
		b->ooms = ooms_before(&sb->ooms, now);
	slot->box = b;
	sb->n_boxes++;
	return b;
}

static void heard_born(struct box *b, const struct plan_reply *r, int fd)
{
	b->pid = r->pid;
	b->pidfd = fd;
	b->state = BOX_BORN;
}

static void heard_terminal(struct box *b, int fd)
{
	if (b->ev.on_terminal)
		b->ev.on_terminal(b->owner, fd);
	else
		close(fd);
	helper_say(b->slot->helper, PLAN_GO, 0);
}

static const char *uppers_name(uint32_t by)
{
	switch ((enum plan_uppers)by) {
	case PLAN_UPPERS_GIVEN:
		break;
	case PLAN_UPPERS_TMPFS:
		return "tmpfs";
	case PLAN_UPPERS_FUSE:
		return "fuse-overlayfs";
	}
	return "as given";
}

static void heard_runs(struct box *b, const struct plan_reply *r)
{
	b->facts.uppers = uppers_name(r->uppers);
	b->pid = r->pid; /* an engine's container is born later than who runs the engine */
	b->runs_ns = (int64_t)r->exec_ns;
	b->facts.setup_ns = (uint64_t)(b->runs_ns - b->started_ns);
	b->said_ns = clock_mono_ns();
	b->look_ns = BOX_FIRST_LOOK_NS;
	b->watch_at_ns = b->said_ns + b->look_ns;
	b->state = BOX_RUNS;
	watch_begin(b, b->said_ns);
	for (int i = 1; i <= 64; i++)
		if (b->signals >> (i - 1) & 1)
			box_signal(b, i);
	box_told(b);
	box_schedule(b);
}

void box_heard(struct box *b, const struct plan_reply *r, int fd)
{
	if (r->kind == PLAN_BORN && b->state == BOX_SENT && fd >= 0) {
		heard_born(b, r, fd);
	} else if (r->kind == PLAN_TERMINAL && b->state == BOX_BORN && fd >= 0) {
		heard_terminal(b, fd);
		return;
	} else if (r->kind == PLAN_ROOM && b->state == BOX_BORN && fd >= 0) {
		watch_room(&b->watch, fd, &r->seen, r->uppers != PLAN_UPPERS_GIVEN);
		return;
	} else if (r->kind == PLAN_RUNS && b->state == BOX_BORN) {
		heard_runs(b, r);
	} else if (r->kind == PLAN_LOOKED && b->state == BOX_RUNS) {
		if (watch_heard(b, r, fd))
			box_listed(b);
		box_schedule(b);
	} else if (r->kind == PLAN_CROWD) {
		limits_crowd(b, r->seen.processes);
	} else if (r->kind == PLAN_ENDED && b->state < BOX_ORPHAN) {
		b->end = *r;
		b->facts.network_lost = r->network_lost;
		/* What could not be done to a box because we had killed it is no trouble. */
		if (r->error[0] && !r->refused && !b->facts.error[0] && !b->killed)
			snprintf(b->facts.error, sizeof(b->facts.error), "box %s: %.400s", b->name,
				 r->error);
		if (r->refused)
			b->drained = false; /* there is a last word */
		box_gone(b);
	}
	if (fd >= 0 && fd != b->pidfd)
		close(fd);
}

static void on_orphan(uv_poll_t *poll, int status, int events)
{
	struct box *b = poll->data;
	(void)status;
	(void)events;
	uv_poll_stop(poll);
	box_gone(b);
}

/* Its pid 1 dies of its helper's death (PR_SET_PDEATHSIG), at once; the pidfd says when it is over.
 */
void box_lost(struct box *b, const char *how)
{
	if (b->state >= BOX_ORPHAN)
		return;
	if (!b->facts.error[0] && !b->killed)
		snprintf(b->facts.error, sizeof(b->facts.error), "box %s: %s", b->name, how);
	b->state = BOX_ORPHAN;
	if (b->cgroup)
		cgroup_kill(b->cgroup);
	if (b->pidfd >= 0 && !uv_poll_init(b->sandbox->loop, &b->orphan, b->pidfd)) {
		b->handles++;
		uv_poll_start(&b->orphan, UV_READABLE, on_orphan);
	} else
		box_gone(b);
}
