/* The box of a phase: started with what JOB_OPEN made ready, its output captured, its slot given
 * back as soon as it is gone. The state is over when its log is on disk. */
#include "orchestrator/job.h"

#include "base/clock.h"
#include "orchestrator/hostfiles.h"
#include "orchestrator/pressure.h"

bool job_box_passed(const struct job *j)
{
	return j->facts.end == BOX_EXITED && j->facts.exit_code == 0 && !j->facts.oom_kills;
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

struct box_limits job_limits(const struct suite_limits *l)
{
	return (struct box_limits){
		.wall_ms = l->time_ms,
		.cpu_ms = l->cpu_ms,
		.silence_ms = l->silence_ms,
		.idle_ms = l->idle_ms,
		.memory = l->memory,
		.processes = l->processes,
		.disk = l->disk,
		.disk_inodes = l->inodes,
		.output_bytes =
			l->log > UINT64_MAX / 64
				? 0
				: l->log *
					  64, /* head and tail are kept well before: the hard cap */
		.open_files = l->open_files,
		.file_size = l->file_size,
		.cpu_milli = l->cpu_milli,
		.grace_ms = l->grace_ms,
	};
}

/* By processor time: a busy machine can't make it fail. */
static struct box_limits limits_by_cpu(struct box_limits l)
{
	if (!l.cpu_ms || l.cpu_ms > l.wall_ms)
		l.cpu_ms = l.wall_ms;
	l.wall_ms *= 3;
	return l;
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
	static const char hostname[] = "assay";
	struct engine *g = j->engine;
	const struct suite *s = g->suite;
	const struct suite_phase *p = job_phase(j);
	struct err e = ERR_INIT;
	struct hostfiles files;
	char name[64]; /* 1 + 20 + 1 + 20 + 1 + 10 digits at the most */
	char **env = plan_env(s, j->unit, j->phase, j->offline);
	char *argv[] = {(char[]){"/bin/sh"}, (char[]){"-ec"}, p->run, NULL};
	enum box_net net = j->networked ? p->network : BOX_NET_NONE;
	snprintf(name, sizeof(name), "r%lld-%zu-%u", (long long)g->conf->run, j->number, j->tries);
	struct box_spec spec = {
		.name = name,
		.root_host = s->root_is_host,
		.mounts = j->boxing.mounts,
		.n_mounts = j->boxing.n_mounts,
		.argv = argv,
		.env = env,
		.cwd = s->workdir,
		.hostname = hostname,
		.net = net,
		.loosen = p->loosen,
		.limits =
			j->by_cpu ? limits_by_cpu(job_limits(&p->limits)) : job_limits(&p->limits),
	};
	hostfiles_make(&files, &spec);
	spec.files = files.files;
	spec.n_files = files.n;
	j->store_bytes = j->store_files = 0;
	j->began_ns = clock_mono_ns();
	j->capture = capture_open(&g->logs, j->log_rel, p->limits.log, on_drain, j);
	j->box = box_start(g->sandbox, &spec, &events, j, &e);
	plan_env_free(env);
	hostfiles_fini(&files);
	boxing_close(&j->boxing);
	tell(j, NULL);
	if (!j->box)
		box_never_was(j, &e);
}
