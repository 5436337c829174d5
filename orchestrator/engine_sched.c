/* The engine's side of the scheduler: units are offered to it once nothing they depend on is left,
 * phases of begun units wait in it for tokens, and what it picks is started, unless this machine
 * has enough to do. */
#include "orchestrator/job.h"

#include "base/clock.h"
#include "orchestrator/pressure.h"

#include <errno.h>

/* Phases opened ahead of their turn, whatever there is of processors and descriptors. */
#define ENGINE_AHEAD 64
/* What a phase that is opened holds of descriptors, but for the layers of stores. */
#define ENGINE_PHASE_DESCRIPTORS 32
/* So many trees for each slot may wait to be removed. */
#define ENGINE_LEAVING 4

/* ---- what waits ---- */

static void engine_offer(struct engine *g, size_t unit)
{
	const struct plan_unit *u = &g->conf->plan->units[unit];
	struct sched_task t = {
		.id = (uint32_t)unit,
		.package = g->first[u->package],
		.left_ms = expect_left(g->expect, unit, u->first_phase) + g->after[unit],
	};
	sched_offer(g->sched, &t);
}

/* Whether it begins by itself: a branch comes from its trunk, and one that rests with its other
 * side; where that rests, too, with the first of them. */
static bool engine_leads(const struct engine *g, size_t unit)
{
	const struct plan *p = g->conf->plan;
	const struct plan_unit *u = &p->units[unit];
	if (u->trunk != PLAN_NONE)
		return false;
	for (size_t i = g->first[u->package];
	     plan_rests(u) && i < p->n_units && p->units[i].package == u->package; i++)
		if (i != unit && candidate_side_of(g->suite, p->units[i].variant) >= 0 &&
		    (i < unit || !plan_rests(&p->units[i])))
			return false;
	return true;
}

/* A package whose wait is over. */
static void engine_package(void *engine, uint32_t package)
{
	struct engine *g = engine;
	const struct plan *p = g->conf->plan;
	if (!g->left[package])
		return;
	for (size_t i = g->first[package]; i < p->n_units && p->units[i].package == package; i++)
		if (engine_leads(g, i))
			engine_offer(g, i);
}

/* So many phases are opened ahead of their turn at the most: what descriptors are left when each
 * processor's box has twice what one may need, and no more than fill the next turns. */
static size_t ahead_most(const struct engine *g)
{
	size_t each = ENGINE_PHASE_DESCRIPTORS + g->suite->n_stores * CACHE_MOST_LAYERS,
	       room = g->descriptors / each, boxes = 2 * g->at_once,
	       most = g->at_once + SCHED_AHEAD;
	most = most < ENGINE_AHEAD ? most : ENGINE_AHEAD;
	return room <= boxes ? 0 : room - boxes < most ? room - boxes : most;
}

/* One that may have a network waits for that and holds no processor meanwhile, and is given the
 * stores as they are when it starts: that is not decided ahead. Nor is anything about repeats,
 * whose sides take turns. */
enum job_state engine_next(struct job *j)
{
	struct engine *g = j->engine;
	if (job_phase(j)->network != BOX_NET_NONE || j->repeat || j->until != PLAN_NONE ||
	    g->ahead >= ahead_most(g) || g->stopping || g->paused || g->admit != ADMIT_YES ||
	    job_cancelled(j))
		return JOB_QUEUE;
	j->ahead = true;
	j->networked = false;
	g->ahead++;
	return JOB_OPEN;
}

void engine_turn(struct job *j)
{
	j->ahead = false;
	j->engine->ahead--;
}

void engine_end_ahead(struct engine *g)
{
	for (size_t i = 0; g->ahead && i < g->conf->plan->n_units; i++) {
		struct job *j = g->jobs[i];
		if (!j || !j->ahead || j->state != JOB_QUEUE)
			continue;
		engine_turn(j);
		job_boxless(j);
		job_go(j, JOB_CLOSE);
	}
}

uint64_t engine_cpus(const struct job *j)
{
	uint64_t cpus = job_phase(j)->limits.cpus;
	return j->networked ? 0 : cpus ? cpus : 1;
}

/* Whether the try has a network decides what it waits for. */
void engine_wait(struct job *j)
{
	struct engine *g = j->engine;
	j->networked = job_phase(j)->network != BOX_NET_NONE && !job_may_try_offline(j);
	if (j->alone) {
		engine_push(&g->solo, j);
		return;
	}
	struct expected x = expect_phase(g->expect, j->number, j->phase);
	struct sched_task t = {
		.id = (uint32_t)j->number,
		.package = g->first[j->unit->package],
		.left_ms = expect_left(g->expect, j->number, j->phase) + g->after[j->number],
		.need = {{[SCHED_CPU] = engine_cpus(j),
			  [SCHED_FETCH] = j->networked,
			  [SCHED_MEMORY] = x.memory,
			  [SCHED_DISK] = x.disk}},
	};
	sched_push(g->sched, &t);
}

void engine_unit_over(struct job *j)
{
	struct engine *g = j->engine;
	uint64_t skipped =
		expect_left(g->expect, j->number, j->has_result ? j->phase + 1 : j->phase);
	g->left_ms -= skipped < g->left_ms ? skipped : g->left_ms;
	g->units_left--;
	if (!--g->left[j->unit->package] && g->graph)
		graph_done(g->graph, (uint32_t)j->unit->package, engine_package, g);
}

/* ---- what starts ---- */

/* A repeat that is to run alone: when nothing else does, nor will before it is over. */
static void engine_start_alone(struct engine *g)
{
	struct sched_state st;
	sched_look(g->sched, &st);
	if (!g->solo.n || g->boxes || g->moving || g->later.n || st.offered || st.waiting)
		return;
	struct job *j = engine_pop(&g->solo);
	if (job_cancelled(j)) {
		job_cancel(j);
		return;
	}
	g->boxes++;
	g->alone = true;
	job_go(j, JOB_OPEN);
}

/* With one side of a package its other one, if that rests, begins to wait for it. Where they have a
 * trunk, that begins both. */
static void engine_begin(struct engine *g, size_t unit)
{
	const struct plan *p = g->conf->plan;
	const size_t *sides = g->suite->compare, package = p->units[unit].package,
		     variant = p->units[unit].variant;
	for (size_t i = g->first[package]; i < p->n_units && p->units[i].package == package; i++)
		if (i != unit && plan_rests(&p->units[i]) && p->units[i].trunk == PLAN_NONE &&
		    variant == sides[p->units[i].variant == sides[0]])
			job_begin(engine_job(g, i));
	struct job *j = engine_job(g, unit);
	j->coming = true;
	job_begin(j);
}

void engine_start_some(struct engine *g)
{
	struct job *j;
	uint32_t unit;
	struct sched_need taken;
	while ((j = engine_pop(&g->branches)))
		job_begin(j);
	if (g->admit != ADMIT_YES || g->paused || g->alone)
		return;
	while (sched_pick(g->sched, &unit, &taken)) {
		j = g->jobs[unit];
		if (job_cancelled(j)) {
			sched_give(g->sched, &taken);
			job_cancel(j);
			continue;
		}
		/* What others fetched while it waited may be all it needs. */
		if (j->networked && job_may_try_offline(j)) {
			sched_give(g->sched, &taken);
			engine_wait(j);
			continue;
		}
		j->taken = taken;
		g->boxes++;
		bool ready = j->ahead;
		if (ready)
			engine_turn(j);
		job_go(j, ready ? JOB_BOX : JOB_OPEN);
	}
	/* Begin new packages only as far as the stores and the removal of what is over keep up:
	 * their directories cost disk. */
	while (g->publishers.n <= g->at_once && g->leaving <= ENGINE_LEAVING * g->at_once &&
	       sched_begin(g->sched, &unit))
		engine_begin(g, unit);
	engine_start_alone(g);
}

void engine_again(struct engine *g)
{
	struct job_queue later = g->later;
	int64_t now = clock_mono_ns();
	g->later = (struct job_queue){0};
	for (struct job *j; (j = engine_pop(&later));)
		if (j->due_ns <= now && !g->stopping)
			job_go(j, JOB_QUEUE);
		else
			engine_push(&g->later, j);
}

static void engine_hold(struct engine *g, enum admit admit)
{
	bool was = g->admit != ADMIT_YES, is = admit != ADMIT_YES;
	if (g->conf->on_held && admit != g->admit)
		g->conf->on_held(g->conf->owner, is ? admit_name(admit) : NULL);
	g->admit = admit;
	if (is && !was)
		g->held_since_ns = clock_mono_ns();
	if (was && !is)
		g->held_ms += (uint64_t)(clock_mono_ns() - g->held_since_ns) / 1000000;
}

void engine_look(struct engine *g)
{
	struct err e = ERR_INIT;
	(g->conf->readings ? g->conf->readings : pressure_read)(g->state->fd, &g->readings);
	const struct readings r = g->readings;
	sched_have(g->sched, SCHED_DISK,
		   r.disk_free == UINT64_MAX      ? UINT64_MAX
		   : r.disk_free > ADMIT_DISK_MIN ? r.disk_free - ADMIT_DISK_MIN
						  : 0);
	if (pressure_full(&r))
		g->full_ns = clock_mono_ns();
	engine_hold(g, admit(&r, g->boxes, g->admit));
	/* Nobody here will make room. */
	if (g->admit != ADMIT_DISK || g->stopping || g->moving || g->leaving)
		return;
	errno = ENOSPC;
	err_sys(&e, "state directory %s has too little room for another box (%llu MiB)",
		g->state->path, (unsigned long long)(r.disk_free >> 20));
	engine_fail(g, &e);
}

/* ---- before and after ---- */

static void engine_graph(struct engine *g)
{
	const struct suite *s = g->suite;
	bool any = false;
	for (size_t i = 0; i < s->n_packages; i++)
		any |= s->packages[i].n_depends != 0;
	if (!any)
		return;
	g->graph = graph_new(s->n_packages);
	/* What is not in the plan is waited for by nobody. */
	for (size_t i = 0; i < s->n_packages; i++)
		for (size_t k = 0; g->left[i] && k < s->packages[i].n_depends; k++)
			if (g->left[s->packages[i].depends[k]])
				graph_edge(g->graph, (uint32_t)i, s->packages[i].depends[k]);
	graph_close(g->graph);
}

static void engine_rank(struct engine *g)
{
	const struct plan *p = g->conf->plan;
	auto_free struct rank_unit *u = own_calloc(p->n_units + 1, sizeof(*u));
	g->after = own_calloc(p->n_units + 1, sizeof(*g->after));
	for (size_t i = 0; i < p->n_units; i++)
		u[i] = (struct rank_unit){
			.package = (uint32_t)p->units[i].package,
			.trunk = p->units[i].trunk == PLAN_NONE ? RANK_NONE
								: (uint32_t)p->units[i].trunk,
			.total_ms = expect_left(g->expect, i, p->units[i].first_phase),
		};
	for (size_t i = 0; i < p->n_units; i++)
		g->left_ms += plan_rests(&p->units[i]) ? 0 : u[i].total_ms;
	rank_units(u, p->n_units, g->graph, g->suite->n_packages, g->after);
}

int engine_schedule(struct engine *g, struct err *e)
{
	const struct plan *p = g->conf->plan;
	const struct sched_conf conf = {
		.have = {{[SCHED_CPU] = g->conf->at_once,
			  [SCHED_FETCH] = g->conf->fetches,
			  [SCHED_MEMORY] = pressure_memory(),
			  [SCHED_DISK] = UINT64_MAX}},
		.policy = POLICY_LPT,
		.ahead = SCHED_AHEAD,
	};
	g->sched = sched_new(&conf);
	g->expect = expect_load(p, g->state->db, e);
	if (!g->expect)
		return -1;
	g->first = own_calloc(g->suite->n_packages + 1, sizeof(*g->first));
	g->left = own_calloc(g->suite->n_packages + 1, sizeof(*g->left));
	for (size_t i = p->n_units; i-- > 0;) {
		g->left[p->units[i].package]++;
		g->first[p->units[i].package] = (uint32_t)i;
	}
	engine_graph(g);
	engine_rank(g);
	/* In the plan's order: of equals the first comes first. */
	for (size_t i = 0; i < p->n_units; i++) {
		uint32_t package = (uint32_t)p->units[i].package;
		if (g->first[package] == i && !(g->graph && graph_waits(g->graph, package)))
			engine_package(g, package);
	}
	engine_look(g);
	return g->failed ? (*e = g->err, -1) : 0;
}

void engine_unschedule(struct engine *g)
{
	if (g->admit != ADMIT_YES)
		engine_hold(g, ADMIT_YES);
	sched_free(g->sched);
	expect_free(g->expect);
	graph_free(g->graph);
	free(g->after);
	free(g->first);
	free(g->left);
}
