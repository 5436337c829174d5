#include "orchestrator/takeup.h"

#include "orchestrator/rows.h"

#include <string.h>

#define NONE ((size_t)-1)

/* ---- what is recorded ---- */

static size_t row_find(const struct db_table *t, const char *package, const char *variant)
{
	size_t from = 0, to = t ? t->n_rows : 0;
	while (from < to) {
		size_t at = from + (to - from) / 2;
		int by = strcmp(rows_str(t, at, "package"), package);
		if (!by)
			by = strcmp(rows_str(t, at, "variant"), variant);
		if (!by)
			return at;
		if (by < 0)
			from = at + 1;
		else
			to = at;
	}
	return NONE;
}

/* A word that is not known is a newer assay's: of such a job nothing is repeated. */
static bool result_read(const struct db_table *t, size_t row, const struct suite *s,
			struct result *out)
{
	const char *phase = rows_str(t, row, "phase");
	for (size_t i = 0; i < s->n_phases; i++)
		if (!strcmp(s->phases[i].name, phase))
			out->phase = s->phases[i].name;
	return out->phase && !status_parse(rows_str(t, row, "status"), &out->status) &&
	       !reason_parse(rows_str(t, row, "reason"), &out->reason);
}

static void sides_read(struct takeup *t)
{
	t->sides = own_calloc(t->rows->n_rows + 1, sizeof(*t->sides));
	for (size_t i = 0; i < t->rows->n_rows; i++) {
		struct candidate_side *s = &t->sides[i];
		if (!result_read(t->rows, i, t->of.suite, &s->result))
			s->result = (struct result){.status = STATUS_SKIP, .phase = ""};
		s->wall_ms = (uint64_t)rows_int(t->rows, i, "phase_ms", 0);
		s->unchanged = rows_int(t->rows, i, "unchanged", 0) != 0;
		s->agreeing = (unsigned)rows_int(t->rows, i, "agreeing", 0);
	}
}

static void repeats_read(struct takeup *t, const struct db_table *repeats)
{
	for (size_t i = 0; i < repeats->n_rows; i++) {
		struct result r = {0};
		size_t row = row_find(t->rows, rows_str(repeats, i, "package"),
				      rows_str(repeats, i, "variant"));
		if (row == NONE)
			continue;
		struct candidate_side *s = &t->sides[row];
		bool known = result_read(repeats, i, t->of.suite, &r);
		struct compare_side is = {PRESENCE_DONE, r.status, r.reason, r.phase};
		if (!known || !compare_tells(&is)) {
			s->lost++;
			continue;
		}
		s->repeats.n++;
		s->repeats.passes += r.status == STATUS_PASS;
	}
}

int takeup_load(struct takeup *t, struct db *d, const struct suite *s, int64_t run,
		const struct confirm_conf *confirm, unsigned fixes, struct err *e)
{
	char id[24];
	const char *of_run = id, *of_suite = s->name;
	struct db_table *repeats = NULL, *flakes = NULL;
	*t = (struct takeup){.of = {.suite = s, .run = run, .repeat_fixes = fixes},
			     .confirm = *confirm};
	if (!confirm->most || !s->has_compare)
		return 0;
	snprintf(id, sizeof(id), "%lld", (long long)run);
	if (db_named(d, "settled", &of_run, 1, &t->rows, e) ||
	    db_named(d, "flakes", &of_suite, 1, &flakes, e))
		return -1;
	t->of.flakes = flakes;
	if (db_named(d, "repeats", &of_run, 1, &repeats, e))
		return -1;
	sides_read(t);
	repeats_read(t, repeats);
	db_table_free(repeats);
	return 0;
}

void takeup_fini(struct takeup *t)
{
	db_table_free(t->rows);
	db_table_free((struct db_table *)(uintptr_t)t->of.flakes);
	free(t->sides);
	*t = (struct takeup){0};
}

/* ---- of the plan ---- */

static size_t row_of(const struct takeup *t, const struct plan_unit *u)
{
	const struct suite *s = t->of.suite;
	return u->variant == PLAN_NONE ? NONE
				       : row_find(t->rows, s->packages[u->package].id,
						  s->variants[u->variant].name);
}

const struct candidate_side *takeup_find(const struct takeup *t, const struct plan_unit *u)
{
	size_t row = row_of(t, u);
	return row == NONE ? NULL : &t->sides[row];
}

int64_t takeup_job(const struct takeup *t, const struct plan_unit *u)
{
	size_t row = row_of(t, u);
	return row == NONE ? 0 : rows_int(t->rows, row, "job", 0);
}

/* What the sides share is the same on both: nothing of it is ever repeated. */
static bool pair_is_open(const struct takeup *t, const struct plan_unit *u,
			 const struct candidate_side *base, const struct candidate_side *next)
{
	struct candidate_of of = t->of;
	struct candidate c;
	of.package = u->package;
	candidate_look(&of, base, next, &c);
	if (!c.is || c.phase < u->first_phase)
		return false;
	return (!c.earlier && (base->unchanged || next->unchanged)) ||
	       confirm_next(&t->confirm, &c.seen).move != CONFIRM_STOP;
}

void takeup_mark(struct takeup *t, struct plan *p,
		 bool (*left)(void *ctx, const struct plan_unit *branch), void *ctx)
{
	for (size_t first = 0, end; first < p->n_units; first = end) {
		struct plan_unit *of[2] = {NULL, NULL};
		for (end = first;
		     end < p->n_units && p->units[end].package == p->units[first].package; end++) {
			int side = candidate_side_of(t->of.suite, p->units[end].variant);
			if (side >= 0)
				of[side] = &p->units[end];
		}
		if (!of[0] || !of[1])
			continue;
		bool runs[] = {left(ctx, of[0]), left(ctx, of[1])};
		const struct candidate_side *was[] = {runs[0] ? NULL : takeup_find(t, of[0]),
						      runs[1] ? NULL : takeup_find(t, of[1])};
		bool both = was[0] && was[1] && pair_is_open(t, of[0], was[0], was[1]);
		of[0]->judged = both || (was[0] && runs[1]);
		of[1]->judged = both || (was[1] && runs[0]);
		t->packages += both;
	}
}

void takeup_was(const struct takeup *t, const struct plan *p, struct candidate_side **was)
{
	for (size_t i = 0; i < p->n_units; i++) {
		if (!p->units[i].judged)
			continue;
		if (!*was)
			*was = own_calloc(p->n_units, sizeof(**was));
		(*was)[i] = *takeup_find(t, &p->units[i]);
	}
}
