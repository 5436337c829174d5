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
		uint64_t ms = replay_number(r, i, "wall_ms", 0);
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

/* What no box filled after the last one began, and before. */
static void replay_idle(struct replay *r)
{
	struct spent *sp = r->spent;
	uint64_t busy = 0, tail_busy = 0, tail = (uint64_t)(r->last_end - r->last_start);
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
	struct db_table *t = NULL;
	snprintf(id, sizeof(id), "%lld", (long long)run);
	*s = (struct sim){0};
	*spent = (struct spent){0};
	if (replay_slots(d, arg, spent, e) || db_named(d, "boxes", &arg, 1, &t, e))
		return -1;
	s->units = own_calloc(t->n_rows + 1, sizeof(*s->units));
	s->phases = own_calloc(t->n_rows + 1, sizeof(*s->phases));
	struct replay r = {.s = s, .t = t, .spent = spent, .trunk = RANK_NONE};
	replay_rows(&r);
	sim_bound(s, spent->slots, spent->slots, &spent->least);
	spent->makespan_ms = (uint64_t)(r.last_end - r.first_start);
	replay_idle(&r);
	db_table_free(t);
	return 0;
}

char *spent_text(const struct spent *s)
{
	char took[UNIT_TEXT], bound[UNIT_TEXT], chain[UNIT_TEXT], share[UNIT_TEXT], tail[UNIT_TEXT],
		between[UNIT_TEXT], held[UNIT_TEXT];
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
	if (s->held_ms)
		text_addf(&t, "; %s nothing was started for want of memory, i/o or disk",
			  unit_duration(s->held_ms, held));
	return text_take(&t);
}
