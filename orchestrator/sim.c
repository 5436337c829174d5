#include "orchestrator/sim.h"

#include "base/own.h"
#include "orchestrator/heap.h"

#include <math.h>

struct sim_alive {
	uint32_t phase;    /* of the unit: the next, or the one that runs */
	uint32_t branches; /* of a trunk: that are not over */
	struct sched_need taken;
};

struct sim_state {
	const struct sim *sim;
	struct sched *sched;
	struct sim_alive *alive;
	uint64_t *after;     /* rank_units */
	uint32_t *left;      /* by package: units that are not over */
	uint32_t *units_of;  /* by package: its first unit; they lie side by side */
	struct heap running; /* by end */
	uint64_t now;
};

static uint64_t unit_left(const struct sim *s, size_t unit, uint32_t from)
{
	uint64_t ms = 0;
	for (uint32_t i = from; i < s->units[unit].n; i++)
		ms += s->phases[s->units[unit].first + i].expect_ms;
	return ms;
}

static struct sched_task state_task(const struct sim_state *st, uint32_t unit)
{
	const struct sim_unit *u = &st->sim->units[unit];
	uint32_t phase = st->alive[unit].phase;
	return (struct sched_task){
		.id = unit,
		.package = u->package,
		.left_ms = unit_left(st->sim, unit, phase) + st->after[unit],
		.need = st->sim->phases[u->first + phase].need,
	};
}

static void state_over(struct sim_state *st, uint32_t unit);

/* A unit that may begin: one without phases is over at once. */
static void state_begin(struct sim_state *st, uint32_t unit)
{
	struct sched_task t;
	if (!st->sim->units[unit].n) {
		state_over(st, unit);
		return;
	}
	t = state_task(st, unit);
	if (st->sim->units[unit].trunk == RANK_NONE)
		sched_offer(st->sched, &t);
	else
		sched_push(st->sched, &t);
}

static void state_package(void *ctx, uint32_t package)
{
	struct sim_state *st = ctx;
	const struct sim *s = st->sim;
	for (uint32_t i = st->units_of[package]; i < s->n_units && s->units[i].package == package;
	     i++)
		if (s->units[i].trunk == RANK_NONE)
			state_begin(st, i);
}

static void state_over(struct sim_state *st, uint32_t unit)
{
	const struct sim *s = st->sim;
	uint32_t package = s->units[unit].package;
	for (uint32_t i = unit + 1; i < s->n_units && s->units[i].package == package; i++)
		if (s->units[i].trunk == unit)
			state_begin(st, i);
	if (!--st->left[package] && s->graph)
		graph_done(s->graph, package, state_package, st);
}

static void state_start(struct sim_state *st, uint32_t unit, const struct sched_need *taken)
{
	struct sim_alive *a = &st->alive[unit];
	const struct sim_phase *p = &st->sim->phases[st->sim->units[unit].first + a->phase];
	a->taken = *taken;
	heap_push(&st->running, (struct heap_entry){st->now + p->ms, unit, unit});
}

static void state_start_some(struct sim_state *st)
{
	uint32_t unit;
	struct sched_need taken;
	bool begun;
	do {
		while (sched_pick(st->sched, &unit, &taken))
			state_start(st, unit, &taken);
		begun = sched_begin(st->sched, &unit);
		if (begun) {
			struct sched_task t = state_task(st, unit);
			sched_push(st->sched, &t);
			sched_arrived(st->sched);
		}
	} while (begun);
}

static void state_go(struct sim_state *st)
{
	for (state_start_some(st); st->running.n; state_start_some(st)) {
		struct heap_entry x = heap_pop(&st->running);
		struct sim_alive *a = &st->alive[x.id];
		st->now = x.rank;
		sched_give(st->sched, &a->taken);
		if (++a->phase < st->sim->units[x.id].n) {
			struct sched_task t = state_task(st, x.id);
			sched_push(st->sched, &t);
		} else {
			state_over(st, x.id);
		}
	}
}

/* Fills after; the longest chain by expectation, or by duration. */
static uint64_t sim_rank(const struct sim *s, bool real, uint64_t *after)
{
	auto_free struct rank_unit *u = own_calloc(s->n_units + 1, sizeof(*u));
	for (size_t i = 0; i < s->n_units; i++) {
		const struct sim_unit *x = &s->units[i];
		u[i] = (struct rank_unit){x->package, x->trunk, 0};
		for (uint32_t k = 0; k < x->n; k++)
			u[i].total_ms += real ? s->phases[x->first + k].ms
					      : s->phases[x->first + k].expect_ms;
	}
	return rank_units(u, s->n_units, s->graph, s->n_packages, after);
}

static uint64_t share(uint64_t work, uint64_t of)
{
	return of ? (work + of - 1) / of : 0;
}

void sim_bound(const struct sim *s, uint64_t slots, uint64_t fetches, struct sim_outcome *out)
{
	auto_free uint64_t *after = own_calloc(s->n_units + 1, sizeof(*after));
	uint64_t work = 0, fetch = 0;
	for (size_t i = 0; i < s->n_phases; i++) {
		const struct sim_phase *p = &s->phases[i];
		uint64_t cpus = p->need.of[SCHED_CPU];
		work += p->ms * (cpus < slots ? cpus : slots);
		fetch += p->ms * p->need.of[SCHED_FETCH];
	}
	*out = (struct sim_outcome){.chain_ms = sim_rank(s, true, after), .work_ms = work};
	out->share_ms = share(work, slots);
	if (share(fetch, fetches) > out->share_ms)
		out->share_ms = share(fetch, fetches);
	out->bound_ms = out->chain_ms > out->share_ms ? out->chain_ms : out->share_ms;
}

void sim_run(const struct sim *s, const struct sim_conf *conf, struct sim_outcome *out)
{
	const struct sched_conf how = {
		.have = {{[SCHED_CPU] = conf->slots,
			  [SCHED_FETCH] = conf->fetches,
			  [SCHED_MEMORY] = UINT64_MAX,
			  [SCHED_DISK] = UINT64_MAX}},
		.policy = conf->policy,
		.seed = conf->seed,
		.ahead = SCHED_AHEAD,
	};
	struct sim_state st = {
		.sim = s,
		.sched = sched_new(&how),
		.alive = own_calloc(s->n_units + 1, sizeof(*st.alive)),
		.after = own_calloc(s->n_units + 1, sizeof(*st.after)),
		.left = own_calloc(s->n_packages + 1, sizeof(*st.left)),
		.units_of = own_calloc(s->n_packages + 1, sizeof(*st.units_of)),
	};
	sim_bound(s, conf->slots, conf->fetches, out);
	sim_rank(s, false, st.after);
	for (size_t i = s->n_units; i-- > 0;) {
		st.left[s->units[i].package]++;
		st.units_of[s->units[i].package] = (uint32_t)i;
	}
	if (s->graph)
		graph_reset(s->graph);
	for (uint32_t p = 0; p < s->n_packages; p++)
		if (st.left[p] && (!s->graph || !graph_waits(s->graph, p)))
			state_package(&st, p);
	state_go(&st);
	out->makespan_ms = st.now;
	heap_fini(&st.running);
	sched_free(st.sched);
	free(st.alive);
	free(st.after);
	free(st.left);
	free(st.units_of);
}

double sim_random(uint64_t *seed)
{
	uint64_t x = *seed += 0x9e3779b97f4a7c15;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	x ^= x >> 31;
	return ((double)(x >> 11) + 0.5) / 9007199254740992.0;
}

void sim_blur(struct sim *s, double sigma, uint64_t seed)
{
	for (size_t i = 0; i < s->n_phases; i++) {
		/* Box and Muller 1958 */
		double radius = sqrt(-2 * log(sim_random(&seed)));
		double normal = radius * cos(6.283185307179586 * sim_random(&seed));
		s->phases[i].expect_ms = (uint64_t)((double)s->phases[i].ms * exp(sigma * normal));
	}
}

void sim_fini(struct sim *s)
{
	free(s->units);
	free(s->phases);
	graph_free(s->graph);
	*s = (struct sim){0};
}
