#include "orchestrator/job.h"

struct job *job_new(struct engine *g, size_t unit)
{
	const struct plan *p = g->conf->plan;
	const struct plan_unit *u = &p->units[unit];
	struct job *j = own_calloc(1, sizeof(*j));
	j->engine = g;
	j->unit = u;
	j->trunk = u->trunk == PLAN_NONE ? NULL : g->jobs[u->trunk];
	j->number = unit;
	j->id = g->conf->jobs[unit];
	j->phase = u->first_phase;
	j->until = PLAN_NONE;
	j->uppers = own_calloc(g->suite->n_phases, sizeof(*j->uppers));
	j->phase_ids = own_calloc(g->suite->n_phases, sizeof(*j->phase_ids));
	j->evidence.offset = -1;
	while (unit + 1 + j->n_branches < p->n_units &&
	       p->units[unit + 1 + j->n_branches].trunk == unit)
		j->n_branches++;
	j->branches_left = j->n_branches;
	return j;
}

void job_free(struct job *j)
{
	if (!j)
		return;
	for (size_t i = 0; i < j->engine->suite->n_phases; i++)
		free(j->uppers[i]);
	free(j->uppers);
	free(j->phase_ids);
	free(j->input);
	free(j->note);
	free(j->kept);
	free(j->gone);
	free(j->profile);
	free(j->processes);
	evidence_fini(&j->evidence);
	free(j);
}

/* It is in the scheduler's queue, or on a way that does not lead there: not waited for. */
static void job_arrived(struct job *j, enum job_state at)
{
	if (!j->coming || at == JOB_BEGIN || at == JOB_TAKE || at == JOB_OPEN)
		return;
	j->coming = false;
	sched_arrived(j->engine->sched);
}

void job_go(struct job *j, enum job_state to)
{
	const struct job_step *from = &job_steps[j->state];
	if (!(from->may & 1u << to)) {
		fprintf(stderr, "assay: job %zu may not go from %s to %s\n", j->number, from->name,
			job_steps[to].name);
		abort();
	}
	if (j->engine->conf->verbose)
		fprintf(stderr, "assay: job %zu%s%s: %s -> %s\n", j->number,
			j->phase < j->unit->end_phase ? " phase " : "",
			j->phase < j->unit->end_phase ? job_phase(j)->name : "", from->name,
			job_steps[to].name);
	j->engine->moving += from->rests;
	j->engine->moving -= job_steps[to].rests;
	j->state = to;
	job_arrived(j, to);
	if (job_steps[to].start)
		job_steps[to].start(j);
}

void job_begin(struct job *j)
{
	if (!plan_rests(j->unit)) {
		job_go(j, JOB_BEGIN);
		return;
	}
	j->has_result = true;
	j->result = j->own = j->engine->conf->was[j->number].result;
	job_go(j, JOB_HOLD);
}

static void job_task_work(struct lane_task *t)
{
	struct job_task *jt = (struct job_task *)t;
	jt->rc = jt->work(jt->job, &jt->err);
}

/* The others of its group were its undoing: what it did is not recorded. */
static void job_task_lost(struct lane_task *t, const struct err *e)
{
	struct job_task *jt = (struct job_task *)t;
	if (jt->rc)
		return; /* it has told its own trouble */
	jt->rc = -1;
	jt->err = *e;
}

static void job_task_done(struct lane_task *t)
{
	struct job_task *jt = (struct job_task *)t;
	struct job *j = jt->job;
	struct engine *g = j->engine;
	if (jt->rc)
		engine_fail(g, &jt->err);
	/* Whatever went wrong, what the state holds is given back in the same way. */
	job_go(j, job_steps[j->state].finish(j));
	if (j->state == JOB_DONE) {
		g->jobs[j->number] = NULL;
		job_free(j);
	}
	engine_kick(g);
}

void job_lane(struct job *j, struct lane *lane, int (*work)(struct job *, struct err *))
{
	j->task = (struct job_task){
		.task = {.work = job_task_work, .lost = job_task_lost, .done = job_task_done},
		.job = j,
		.work = work,
	};
	lane_push(lane, &j->task.task);
}
