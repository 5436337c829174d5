/* JOB_HOLD: both compared sides of a package have their results, and what differs is repeated, from
 * the layers that its failing phase saw, until confirm_next says that it is enough. The sides keep
 * their directories that long; then both are removed. */
#include "orchestrator/job.h"

#include <string.h>

enum { BASE, NEXT };

/* What is being found out about a package. Lives from its first side's JOB_HOLD to the run's end.
 */
struct repeat_pair {
	struct job *held[2]; /* in JOB_HOLD, or under way for a repeat; NULL: not yet, or no more */
	bool gone[2];        /* a side that will not come, or is not there any more */
	struct candidate_side sides[2];
	struct candidate
		is; /* as of sides, and, once something was repeated, of what that brought */
	struct job *running; /* the one that is repeated now */
	bool repeated;
};

static int side_of(const struct job *j)
{
	return candidate_side_of(j->engine->suite, j->unit->variant);
}

static bool planned(const struct engine *g, size_t package, int side)
{
	const struct plan *p = g->conf->plan;
	for (size_t i = g->first[package]; i < p->n_units && p->units[i].package == package; i++)
		if (p->units[i].variant == g->suite->compare[side])
			return true;
	return false;
}

static struct repeat_pair *pair_of(struct job *j)
{
	struct engine *g = j->engine;
	size_t package = j->unit->package;
	if (!g->pairs)
		g->pairs = own_calloc(g->suite->n_packages, sizeof(struct repeat_pair *));
	if (!g->pairs[package]) {
		struct repeat_pair *p = g->pairs[package] = own_calloc(1, sizeof(*p));
		p->gone[BASE] = !planned(g, package, BASE);
		p->gone[NEXT] = !planned(g, package, NEXT);
	}
	return g->pairs[package];
}

void repeat_forget(struct engine *g)
{
	for (size_t i = 0; g->pairs && i < g->suite->n_packages; i++)
		free(g->pairs[i]);
	free(g->pairs);
	g->pairs = NULL;
	db_table_free(g->flakes);
	g->flakes = NULL;
}

bool repeat_may(const struct job *j)
{
	const struct engine *g = j->engine;
	/* what the sides share is the same on both */
	return g->conf->confirm.most && side_of(j) >= 0 && j->has_result && !g->failed &&
	       !job_cancelled(j) && !(j->trunk && j->trunk->has_result);
}

/* ---- what is known of it ---- */

int repeat_open(struct engine *g, struct err *e)
{
	const char *suite[] = {g->suite->name};
	return g->conf->confirm.most ? db_named(g->state->db, "flakes", suite, 1, &g->flakes, e)
				     : 0;
}

/* ---- whether, and which ---- */

static void pair_decide(struct repeat_pair *p)
{
	const struct job *j = p->held[BASE];
	const struct engine *g = j->engine;
	const struct candidate_of of = {.suite = g->suite,
					.package = j->unit->package,
					.run = g->conf->run,
					.repeat_fixes = g->conf->repeat_fixes,
					.flakes = g->flakes};
	candidate_look(&of, &p->sides[BASE], &p->sides[NEXT], &p->is);
}

static void pair_release(struct repeat_pair *p)
{
	struct job *leave[] = {p->held[BASE], p->held[NEXT]};
	p->held[BASE] = p->held[NEXT] = NULL;
	p->gone[BASE] = p->gone[NEXT] = true;
	for (int k = BASE; k <= NEXT; k++)
		if (leave[k])
			job_go(leave[k], job_leave(leave[k]));
}

static void pair_repeat(struct repeat_pair *p, struct job *j, const struct confirm_step *step)
{
	p->running = j;
	p->repeated = true;
	evidence_fini(&j->evidence);
	j->repeat++;
	j->alone = step->alone;
	j->by_cpu = step->by_cpu;
	j->phase = p->is.phase;
	j->again = 0;
	j->offline_tried = false;
	job_go(j, JOB_QUEUE);
}

/* It has its result in this run, and keeps it. */
static bool keeps_result(const struct job *j)
{
	return j->unit->judged && !j->engine->conf->was[j->number].unchanged;
}

/* What it was judged once is not what it does now, beside the other side. */
static void wake_spared(struct job *j)
{
	struct engine *g = j->engine;
	j->has_result = false;
	g->woken++;
	if (g->conf->on_woken)
		g->conf->on_woken(g->conf->owner);
}

/* A side that rested is run after all: one that keeps its result as far as the phase that is to be
 * repeated further. Not where earlier runs confirmed what this one sees again. Whether one was. */
static bool pair_wake(struct repeat_pair *p, bool enough)
{
	bool woken = false;
	for (int k = BASE; k <= NEXT; k++) {
		struct job *j = p->held[k];
		if (!plan_rests(j->unit) || j->awake ||
		    (enough && (keeps_result(j) || p->is.earlier)))
			continue;
		p->held[k] = NULL;
		j->awake = woken = true;
		if (keeps_result(j))
			j->until = p->is.phase;
		else
			wake_spared(j);
		job_go(j, JOB_BEGIN);
	}
	return woken;
}

/* It ran to check what earlier runs had judged, and that is so: their number. */
static unsigned agrees_with(const struct job *j)
{
	const struct candidate_side *was = j->engine->conf->was;
	if (!was || !j->unit->afresh)
		return 0;
	was += j->number;
	return was->result.status == j->own.status && was->result.reason == j->own.reason &&
			       was->result.phase && !strcmp(was->result.phase, j->own.phase)
		       ? was->agreeing
		       : 0;
}

/* A side has its result, or is as far as the phase to be repeated. */
static void pair_arrive(struct repeat_pair *p, struct job *j)
{
	int side = side_of(j);
	struct candidate_side *s = &p->sides[side];
	p->held[side] = j;
	if (plan_rests(j->unit) && (!j->awake || keeps_result(j)))
		*s = j->engine->conf->was[j->number];
	else
		*s = (struct candidate_side){.result = j->own,
					     .wall_ms = j->facts.wall_ns / 1000000,
					     .agreeing = agrees_with(j)};
	j->repeat = j->until == PLAN_NONE ? 0 : s->repeats.n + s->lost;
}

/* What the repeat that has just ended brought. */
static void pair_learn(struct repeat_pair *p, const struct job *j)
{
	struct compare_side is = {PRESENCE_DONE, j->result.status, j->result.reason,
				  j->result.phase};
	struct confirm_seen *seen = &p->is.seen;
	struct confirm_tally *t = j == p->held[p->is.bad] ? &seen->bad : &seen->good;
	p->running = NULL;
	if (!compare_tells(&is)) {
		seen->lost++;
		return;
	}
	t->n++;
	t->passes += is.status == STATUS_PASS;
}

void repeat_look(struct job *j)
{
	struct repeat_pair *p = pair_of(j);
	struct engine *g = j->engine;
	if (p->running == j)
		pair_learn(p, j);
	else
		pair_arrive(p, j);
	if (p->gone[BASE] || p->gone[NEXT] || job_cancelled(j)) {
		pair_release(p);
		return;
	}
	if (!p->held[BASE] || !p->held[NEXT])
		return;
	if (!p->repeated)
		pair_decide(p);
	struct confirm_step step = confirm_next(&g->conf->confirm, &p->is.seen);
	bool enough = !p->is.is || step.move == CONFIRM_STOP;
	g->unrepeated |= g->stopping && !enough;
	if (g->stopping || !p->is.is)
		pair_release(p);
	else if (pair_wake(p, enough))
		return;
	else if (enough)
		pair_release(p);
	else
		pair_repeat(p, p->held[step.move == CONFIRM_BAD ? p->is.bad : !p->is.bad], &step);
}

void repeat_gone(struct job *j)
{
	int side = side_of(j);
	if (side < 0 || !j->engine->conf->confirm.most)
		return;
	struct repeat_pair *p = pair_of(j);
	struct job *other = p->held[!side];
	/* a repeat that was cut short, or what led to one */
	j->engine->unrepeated |= j->engine->stopping && !p->gone[side] && p->is.is;
	p->gone[side] = true;
	p->held[side] = NULL;
	if (p->running == j)
		p->running = NULL;
	if (other && p->running != other && other->state == JOB_HOLD)
		engine_push(&j->engine->holds, other);
}
