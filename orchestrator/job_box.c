/* The box of a phase: started with what JOB_OPEN made ready, its output captured, its slot given
 * back as soon as it is gone. The state is over when its log is on disk. */
#include "orchestrator/job.h"

#include "base/clock.h"
#include "orchestrator/phase_box.h"
#include "orchestrator/pressure.h"

bool job_box_passed(const struct job *j)
{
	return j->facts.end == BOX_EXITED && j->facts.exit_code == 0 && !j->facts.oom_kills &&
	       !j->facts.host_oom_kills;
}

static void on_log(void *owner, struct capture_log *log)
{
	struct job *j = owner;
	struct engine *g = j->engine;
	j->log = *log;
	log->text = NULL;
	j->capture = NULL;
	j->harvest_at = 0;
	if (j->log.err.kind)
		engine_fail(g, &j->log.err);
	/* what a repeat leaves is nobody's */
	bool harvest = job_box_passed(j) && job_phase(j)->n_harvest && !g->failed && !j->repeat;
	/* It passed; but what it wrote last may not be there. */
	if (harvest && j->host_full && !j->note)
		j->note = own_dup("harvest left out: the disk was full");
	job_go(j, harvest && !j->host_full ? JOB_SHELVE : JOB_CLOSE);
	engine_kick(g);
}

static void on_output(void *owner, const void *bytes, size_t n)
{
	struct job *j = owner;
	capture_write(j->capture, bytes, n);
	if (capture_full(j->capture))
		box_pause_output(j->box, true);
}

static void on_drain(void *owner)
{
	struct job *j = owner;
	if (j->box)
		box_pause_output(j->box, false);
}

/* Now, or when the engine looked while the box ran. */
static bool host_full(const struct job *j)
{
	struct readings r;
	pressure_disk(j->engine->state->fd, &r);
	return pressure_full(&r) || (j->engine->full_ns && j->engine->full_ns >= j->began_ns);
}

static void tell(const struct job *j, const struct box_facts *facts)
{
	const struct engine_conf *c = j->engine->conf;
	const struct suite *s = j->engine->suite;
	const struct engine_phase p = {
		&s->packages[j->unit->package],
		job_is_trunk(j) ? NULL : &s->variants[j->unit->variant],
		job_phase(j)->name,
		facts,
	};
	if (c->on_phase)
		c->on_phase(c->owner, &p);
}

static void on_box_end(void *owner, const struct box_facts *facts)
{
	struct job *j = owner;
	j->box = NULL;
	j->facts = *facts;
	free(j->profile);
	free(j->processes);
	j->facts.profile = j->profile = facts->profile ? own_dup(facts->profile) : NULL;
	j->facts.processes = j->processes = facts->processes ? own_dup(facts->processes) : NULL;
	j->wall_ms += facts->wall_ns / 1000000;
	j->ended_ms = clock_real_ms();
	j->host_full = host_full(j);
	engine_give_back(j);
	tell(j, facts);
	capture_finish(j->capture, on_log);
	engine_kick(j->engine);
}

/* No box at all: what the sandbox says about that is the phase's outcome, as where it could not be
 * built later. */
static void box_never_was(struct job *j, const struct err *e)
{
	struct box_facts facts = {.end = BOX_FAILED,
				  .exit_code = -1,
				  .cgroup = "none",
				  .started_ms = clock_real_ms()};
	snprintf(facts.error, sizeof(facts.error), "%.*s", (int)sizeof(facts.error) - 1, e->text);
	on_box_end(j, &facts);
}

void job_box_start(struct job *j)
{
	static const struct box_events events = {.on_output = on_output, .on_end = on_box_end};
	struct engine *g = j->engine;
	const struct suite_phase *p = job_phase(j);
	struct err e = ERR_INIT;
	struct phase_box made;
	char name[64]; /* 1 + 20 + 1 + 20 + 1 + 10 digits at the most */
	snprintf(name, sizeof(name), "r%lld-%zu-%u", (long long)g->conf->run, j->number, j->tries);
	struct phase_see see = {
		.name = name,
		.net = j->networked ? p->network : BOX_NET_NONE,
		.by_cpu = j->by_cpu,
		.boxing = &j->boxing,
	};
	phase_box_make(&made, g->suite, j->unit, j->phase, &see);
	j->store_bytes = j->store_files = 0;
	j->began_ns = clock_mono_ns();
	j->capture = capture_open(&g->logs, j->log_rel, p->limits.log, on_drain, j);
	j->box = box_start(g->sandbox, &made.spec, &events, j, &e);
	phase_box_fini(&made);
	boxing_close(&j->boxing);
	tell(j, NULL);
	if (!j->box)
		box_never_was(j, &e);
}
