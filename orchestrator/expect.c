#include "orchestrator/expect.h"

#include <string.h>

/* Where nothing at all is known: what it is does not matter, for it is the same for all. */
#define EXPECT_NOTHING_MS 60000

struct cell {
	uint32_t ms, memory_mib, disk_mib;
	bool known, near; /* of this variant; of another one */
};

struct expect {
	const struct plan *plan;
	struct cell *cells;
	uint32_t *first; /* by unit: its first phase's cell */
	uint32_t *by_id; /* packages of the plan, by id */
	uint32_t *units; /* by package of the suite: its first unit */
	size_t n_by_id;
	uint32_t **seen; /* by phase: every p90 there is */
	size_t *n_seen;
};

static uint32_t clamp(uint64_t n)
{
	return n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
}

static struct cell *cell_of(const struct expect *x, size_t unit, size_t phase)
{
	return &x->cells[x->first[unit] + (phase - x->plan->units[unit].first_phase)];
}

static int by_id(const void *pa, const void *pb, void *suite)
{
	const struct suite *s = suite;
	const uint32_t *a = pa, *b = pb;
	return strcmp(s->packages[*a].id, s->packages[*b].id);
}

static struct expect *expect_new(const struct plan *p)
{
	struct expect *x = own_calloc(1, sizeof(*x));
	const struct suite *s = p->suite;
	size_t n = 0;
	x->plan = p;
	x->first = own_calloc(p->n_units + 1, sizeof(*x->first));
	x->by_id = own_calloc(s->n_packages + 1, sizeof(*x->by_id));
	x->units = own_calloc(s->n_packages + 1, sizeof(*x->units));
	x->seen = own_calloc(s->n_phases + 1, sizeof(*x->seen));
	x->n_seen = own_calloc(s->n_phases + 1, sizeof(*x->n_seen));
	for (size_t i = 0; i < p->n_units; i++) {
		const struct plan_unit *u = &p->units[i];
		x->first[i] = (uint32_t)n;
		n += u->end_phase - u->first_phase;
		if (!i || u->package != p->units[i - 1].package) {
			x->by_id[x->n_by_id++] = (uint32_t)u->package;
			x->units[u->package] = (uint32_t)i;
		}
	}
	x->cells = own_calloc(n + 1, sizeof(*x->cells));
	qsort_r(x->by_id, x->n_by_id, sizeof(*x->by_id), by_id, (void *)(uintptr_t)s);
	return x;
}

/* Index of the package in the suite, PLAN_NONE. */
static size_t expect_package(const struct expect *x, const char *id)
{
	const struct suite *s = x->plan->suite;
	size_t low = 0, high = x->n_by_id;
	while (low < high) {
		size_t mid = (low + high) / 2;
		int order = strcmp(s->packages[x->by_id[mid]].id, id);
		if (!order)
			return x->by_id[mid];
		if (order < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return PLAN_NONE;
}

/* What is learned of another variant counts until there is something of this one. */
static void cell_learn(struct cell *c, const struct db_learned *l, uint64_t ms, bool same)
{
	struct cell now = {clamp(ms), clamp((uint64_t)l->peak_memory >> 20),
			   clamp((uint64_t)l->disk_bytes >> 20), same, true};
	if (same) {
		*c = now;
	} else if (!c->known) {
		c->ms = now.ms > c->ms ? now.ms : c->ms;
		c->memory_mib = now.memory_mib > c->memory_mib ? now.memory_mib : c->memory_mib;
		c->disk_mib = now.disk_mib > c->disk_mib ? now.disk_mib : c->disk_mib;
		c->near = true;
	}
}

static void expect_learn(void *ctx, const struct db_learned *l)
{
	struct expect *x = ctx;
	const struct plan *p = x->plan;
	const struct suite *s = p->suite;
	size_t package = expect_package(x, l->package), phase = 0;
	while (phase < s->n_phases && strcmp(s->phases[phase].name, l->phase))
		phase++;
	if (package == PLAN_NONE || phase == s->n_phases)
		return;
	uint64_t ms = l->p90_ms > 0 ? (uint64_t)l->p90_ms : 1;
	/* Ended by a limit: it takes longer, and that is all that is known. */
	if (l->censored && s->phases[phase].limits.time_ms > ms)
		ms = s->phases[phase].limits.time_ms;
	x->seen[phase] = own_grow(x->seen[phase], x->n_seen[phase] + 1, sizeof(**x->seen));
	x->seen[phase][x->n_seen[phase]++] = clamp(ms);
	for (size_t i = x->units[package]; i < p->n_units && p->units[i].package == package; i++) {
		const struct plan_unit *u = &p->units[i];
		const char *variant = u->variant == PLAN_NONE ? NULL : s->variants[u->variant].name;
		if (phase < u->first_phase || phase >= u->end_phase)
			continue;
		bool same = variant && l->variant ? !strcmp(variant, l->variant)
						  : !variant && !l->variant;
		cell_learn(cell_of(x, i, phase), l, ms, same);
	}
}

static int by_number(const void *pa, const void *pb)
{
	const uint32_t *a = pa, *b = pb;
	return *a < *b ? -1 : *a > *b;
}

/* Nine of ten phases of that name take no longer. */
static uint32_t expect_usual(struct expect *x, size_t phase)
{
	size_t n = x->n_seen[phase];
	if (!n)
		return 0;
	qsort(x->seen[phase], n, sizeof(**x->seen), by_number);
	return x->seen[phase][(9 * n + 9) / 10 - 1];
}

static void expect_fill(struct expect *x)
{
	const struct plan *p = x->plan;
	const struct suite *s = p->suite;
	auto_free uint32_t *usual = own_calloc(s->n_phases + 1, sizeof(*usual));
	for (size_t i = 0; i < s->n_phases; i++)
		usual[i] = expect_usual(x, i);
	for (size_t i = 0; i < p->n_units; i++) {
		const struct plan_unit *u = &p->units[i];
		/* A weight is of the whole job, its trunk's phases too. */
		uint64_t weight = s->packages[u->package].weight * 1000 / u->end_phase;
		if (u->variant == PLAN_NONE && i + 1 < p->n_units)
			weight = s->packages[u->package].weight * 1000 / p->units[i + 1].end_phase;
		for (size_t k = u->first_phase; k < u->end_phase; k++) {
			struct cell *c = cell_of(x, i, k);
			if (!c->near)
				c->ms = weight     ? clamp(weight)
					: usual[k] ? usual[k]
						   : EXPECT_NOTHING_MS;
		}
	}
}

struct expect *expect_load(const struct plan *p, struct db *d, struct err *e)
{
	struct expect *x = expect_new(p);
	if (db_learned(d, p->suite->name, EXPECT_RUNS, expect_learn, x, e)) {
		expect_free(x);
		return NULL;
	}
	expect_fill(x);
	return x;
}

void expect_free(struct expect *x)
{
	if (!x)
		return;
	for (size_t i = 0; i < x->plan->suite->n_phases; i++)
		free(x->seen[i]);
	free(x->seen);
	free(x->n_seen);
	free(x->cells);
	free(x->first);
	free(x->by_id);
	free(x->units);
	free(x);
}

struct expected expect_phase(const struct expect *x, size_t unit, size_t phase)
{
	const struct cell *c = cell_of(x, unit, phase);
	uint64_t memory = (uint64_t)c->memory_mib << 20, disk = (uint64_t)c->disk_mib << 20;
	return (struct expected){c->ms, memory + memory / 10, disk + disk / 10, c->known};
}

uint64_t expect_left(const struct expect *x, size_t unit, size_t phase)
{
	uint64_t ms = 0;
	for (size_t k = phase; k < x->plan->units[unit].end_phase; k++)
		ms += cell_of(x, unit, k)->ms;
	return ms;
}
