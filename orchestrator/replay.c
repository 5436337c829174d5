#include "orchestrator/replay.h"

#include "base/text.h"
#include "base/unit.h"
#include "orchestrator/rows.h"

#include <string.h>

/* ---- a recorded run ---- */

struct replay {
	struct sim *s;
	const struct db_table *t;
	struct spent *spent;
	int64_t package; /* of the row before */
	uint32_t trunk;  /* of this package, RANK_NONE */
	int64_t first_start, last_start, last_end;
	int64_t *starts; /* by row: so late at the earliest that the unit's rows do not overlap */
};

static struct sim_unit *replay_unit(struct replay *r, bool shared)
{
	struct sim *s = r->s;
	s->units[s->n_units] =
		(struct sim_unit){(uint32_t)s->n_packages - 1, shared ? RANK_NONE : r->trunk,
				  (uint32_t)s->n_phases, 0};
	if (shared)
		r->trunk = (uint32_t)s->n_units;
	return &s->units[s->n_units++];
}

static void replay_times(struct replay *r, size_t row)
{
	int64_t start = rows_int(r->t, row, "started_ms", 0),
		end = rows_int(r->t, row, "ended_ms", 0);
	if (!row || start < r->first_start)
		r->first_start = start;
	if (!row || start > r->last_start)
		r->last_start = start;
	if (!row || end > r->last_end)
		r->last_end = end;
}

static uint64_t replay_number(const struct replay *r, size_t row, const char *column, int64_t none)
{
	int64_t n = rows_int(r->t, row, column, none);
	return n > 0 ? (uint64_t)n : 0;
}

/* What a row's phase took of its own: one of a unit begins when the one before is over, so what
 * clocks say otherwise is rounding, or a clock that was set. */
static uint64_t replay_ms(struct replay *r, size_t row, size_t of_unit)
{
	int64_t start = rows_int(r->t, row, "started_ms", 0),
		end = rows_int(r->t, row, "ended_ms", 0);
	int64_t before = of_unit ? rows_int(r->t, row - 1, "ended_ms", 0) : start;
	r->starts[row] = start > before ? start : before;
	uint64_t ms = replay_number(r, row, "wall_ms", 0),
		 room = end > r->starts[row] ? (uint64_t)(end - r->starts[row]) : 0;
	return ms < room ? ms : room;
}

static void replay_rows(struct replay *r)
{
	struct sim *s = r->s;
	int64_t variant = -2;
	struct sim_unit *u = NULL;
	for (size_t i = 0; i < r->t->n_rows; i++) {
		int64_t package = rows_int(r->t, i, "place", 0),
			v = rows_int(r->t, i, "variant", -1);
		if (!u || package != r->package) {
			s->n_packages++;
			r->trunk = RANK_NONE;
		}
		if (!u || package != r->package || v != variant)
			u = replay_unit(r, v < 0);
		r->package = package;
		variant = v;
		bool fetch = rows_int(r->t, i, "networked", 0) != 0;
		uint64_t ms = replay_ms(r, i, u->n);
		s->phases[s->n_phases++] =
			(struct sim_phase){ms,
					   ms,
					   {{[SCHED_CPU] =
						     fetch ? 0 : replay_number(r, i, "cpus", 1),
					     [SCHED_FETCH] = fetch}}};
		u->n++;
		replay_times(r, i);
	}
}

/* ---- at once ---- */

struct edge {
	int64_t at_ms;
	int64_t by; /* tokens, taken or given */
};

static int by_time(const void *pa, const void *pb)
{
	const struct edge *a = pa, *b = pb;
	if (a->at_ms != b->at_ms)
		return a->at_ms < b->at_ms ? -1 : 1;
	return a->by < b->by ? -1 : a->by > b->by; /* given before taken */
}

/* Most of a token that boxes held at once. */
static uint64_t replay_peak(const struct replay *r, enum sched_token token)
{
	size_t n = 0;
	int64_t now = 0, most = 0;
	auto_free struct edge *edges = own_calloc(2 * r->t->n_rows + 1, sizeof(*edges));
	for (size_t i = 0; i < r->t->n_rows; i++) {
		const struct sim_phase *p = &r->s->phases[i];
		int64_t by = (int64_t)p->need.of[token];
		edges[n++] = (struct edge){r->starts[i], by};
		edges[n++] = (struct edge){r->starts[i] + (int64_t)p->ms, -by};
	}
	qsort(edges, n, sizeof(*edges), by_time);
	for (size_t i = 0; i < n; i++) {
		now += edges[i].by;
		most = now > most ? now : most;
	}
	return (uint64_t)most;
}

/* No order of the same boxes takes less: which would be wrong if it took more than these did. */
static void replay_bound(struct replay *r)
{
	struct spent *sp = r->spent;
	struct sim_outcome *least = &sp->least;
	uint64_t slots = replay_peak(r, SCHED_CPU), fetches = replay_peak(r, SCHED_FETCH);
	sp->slots = slots > sp->slots ? slots : sp->slots;
	sim_bound(r->s, sp->slots, fetches > sp->slots ? fetches : sp->slots, least);
	uint64_t *bounds[] = {&least->chain_ms, &least->share_ms, &least->bound_ms};
	for (size_t i = 0; i < countof(bounds); i++)
		if (*bounds[i] > sp->makespan_ms)
			*bounds[i] = sp->makespan_ms;
}

/* ---- while nothing could run ---- */

static uint64_t within(int64_t from, int64_t to, int64_t first, int64_t last)
{
	from = from > first ? from : first;
	to = to < last ? to : last;
	return to > from ? (uint64_t)(to - from) : 0;
}

/* How long of [first, last] it was interrupted. */
static uint64_t replay_paused(const struct db_table *pauses, int64_t first, int64_t last)
{
	uint64_t ms = 0;
	for (size_t i = 0; i < pauses->n_rows; i++)
		ms += within(rows_int(pauses, i, "from_ms", 0), rows_int(pauses, i, "to_ms", 0),
			     first, last);
	return ms;
}

/* What no box filled after the last one began, and before. */
static void replay_idle(struct replay *r, uint64_t tail)
{
	struct spent *sp = r->spent;
	uint64_t busy = 0, tail_busy = 0;
	for (size_t i = 0; i < r->t->n_rows; i++) {
		int64_t end = rows_int(r->t, i, "ended_ms", 0);
		const struct sim_phase *p = &r->s->phases[i];
		uint64_t cpus = p->need.of[SCHED_CPU];
		busy += p->ms * cpus;
		if (end > r->last_start)
			tail_busy += (uint64_t)(end - r->last_start) * cpus;
	}
	uint64_t area = sp->slots * sp->makespan_ms, tail_area = sp->slots * tail;
	uint64_t idle = area > busy ? area - busy : 0;
	uint64_t tail_idle = tail_area > tail_busy ? tail_area - tail_busy : 0;
	if (tail_idle > idle)
		tail_idle = idle;
	sp->tail_ms = tail_idle / sp->slots;
	sp->between_ms = (idle - tail_idle) / sp->slots;
}

static int replay_slots(struct db *d, const char *run, struct spent *sp, struct err *e)
{
	struct db_table *t = NULL;
	if (db_named(d, "run", &run, 1, &t, e))
		return -1;
	int rc = t->n_rows ? 0 : err_set(e, ERR_ABSENT, "there is no run %s", run);
	int64_t slots = rows_int(t, 0, "jobs_at_once", 1), held = rows_int(t, 0, "held_ms", 0);
	sp->slots = slots > 0 ? (uint64_t)slots : 1;
	sp->held_ms = held > 0 ? (uint64_t)held : 0;
	db_table_free(t);
	return rc;
}

int replay_run(struct db *d, int64_t run, struct sim *s, struct spent *spent, struct err *e)
{
	char id[24];
	const char *arg = id;
	struct db_table *t = NULL, *pauses = NULL;
	snprintf(id, sizeof(id), "%lld", (long long)run);
	*s = (struct sim){0};
	*spent = (struct spent){0};
	if (replay_slots(d, arg, spent, e) || db_named(d, "pauses", &arg, 1, &pauses, e))
		return -1;
	if (db_named(d, "boxes", &arg, 1, &t, e)) {
		db_table_free(pauses);
		return -1;
	}
	auto_free int64_t *starts = own_calloc(t->n_rows + 1, sizeof(*starts));
	s->units = own_calloc(t->n_rows + 1, sizeof(*s->units));
	s->phases = own_calloc(t->n_rows + 1, sizeof(*s->phases));
	struct replay r = {.s = s, .t = t, .spent = spent, .trunk = RANK_NONE, .starts = starts};
	replay_rows(&r);
	spent->paused_ms = replay_paused(pauses, r.first_start, r.last_end);
	spent->makespan_ms = (uint64_t)(r.last_end - r.first_start) - spent->paused_ms;
	replay_bound(&r);
	replay_idle(&r, (uint64_t)(r.last_end - r.last_start) -
				replay_paused(pauses, r.last_start, r.last_end));
	db_table_free(pauses);
	db_table_free(t);
	return 0;
}

char *spent_text(const struct spent *s)
{
	char took[UNIT_TEXT], bound[UNIT_TEXT], chain[UNIT_TEXT], share[UNIT_TEXT], tail[UNIT_TEXT],
		between[UNIT_TEXT], held[UNIT_TEXT], paused[UNIT_TEXT];
	uint64_t least = s->least.bound_ms;
	auto_text struct text t = TEXT_INIT;
	text_addf(&t, "makespan %s, ", unit_duration(s->makespan_ms, took));
	if (least)
		text_addf(&t, "%.2f times ", (double)s->makespan_ms / (double)least);
	text_addf(&t, "its lower bound %s (longest chain %s, work by %llu slot%s %s)",
		  unit_duration(least, bound), unit_duration(s->least.chain_ms, chain),
		  (unsigned long long)s->slots, s->slots == 1 ? "" : "s",
		  unit_duration(s->least.share_ms, share));
	text_addf(&t, "; slots were free for %s at the end, %s between boxes",
		  unit_duration(s->tail_ms, tail), unit_duration(s->between_ms, between));
	if (s->paused_ms)
		text_addf(&t, "; it was interrupted for %s, which do not count",
			  unit_duration(s->paused_ms, paused));
	if (s->held_ms)
		text_addf(&t, "; %s nothing was started for want of memory, i/o or disk",
			  unit_duration(s->held_ms, held));
	return text_take(&t);
}
