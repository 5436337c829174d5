#include "orchestrator/candidate.h"

#include "orchestrator/rows.h"

#include <string.h>

enum { BASE, NEXT };

int candidate_side_of(const struct suite *s, size_t variant)
{
	return !s->has_compare               ? -1
	       : variant == s->compare[BASE] ? BASE
	       : variant == s->compare[NEXT] ? NEXT
					     : -1;
}

static struct compare_side seen_of(const struct candidate_side *s)
{
	return (struct compare_side){PRESENCE_DONE, s->result.status, s->result.reason,
				     s->result.phase};
}

static size_t phase_of(const struct suite *s, const char *name)
{
	size_t i = 0;
	while (i + 1 < s->n_phases && strcmp(s->phases[i].name, name))
		i++;
	return i;
}

static double real(const struct db_table *t, size_t row, const char *column)
{
	const struct db_cell *c = rows_cell(t, row, column);
	return c && c->type == DB_REAL ? c->r : 0;
}

static struct flake known_of(const struct candidate_of *of, const char *variant, const char *phase)
{
	const struct db_table *t = of->flakes;
	for (size_t i = 0; t && i < t->n_rows; i++)
		if (!strcmp(rows_str(t, i, "package"), of->suite->packages[of->package].id) &&
		    !strcmp(rows_str(t, i, "variant"), variant) &&
		    !strcmp(rows_str(t, i, "phase"), phase))
			return (struct flake){.failed = real(t, i, "failed"),
					      .passed = real(t, i, "passed")};
	return (struct flake){0};
}

/* The share of fixes that is repeated: by chance, but the same for the same run and package. */
static bool fix_chosen(const struct candidate_of *of)
{
	uint64_t x = ((uint64_t)of->run << 32 | of->package) * 0x9e3779b97f4a7c15u;
	return (x >> 33) % 100 < of->repeat_fixes;
}

static void earlier_add(const struct candidate_side *s, struct confirm_tally *t)
{
	t->n += s->agreeing;
	t->passes += s->result.status == STATUS_PASS ? s->agreeing : 0;
}

void candidate_look(const struct candidate_of *of, const struct candidate_side *base,
		    const struct candidate_side *next, struct candidate *out)
{
	const struct suite *s = of->suite;
	struct compare_side was = seen_of(base), is = seen_of(next);
	enum verdict v = compare_sides(&was, &is);
	*out = (struct candidate){.is = v == VERDICT_REGRESSED ||
					(v == VERDICT_FIXED && fix_chosen(of))};
	if (!out->is)
		return;
	out->bad = v == VERDICT_REGRESSED ? NEXT : BASE;
	const struct candidate_side *bad = out->bad == NEXT ? next : base,
				    *good = out->bad == NEXT ? base : next;
	const char *phase = bad->result.phase;
	out->phase = phase_of(s, phase);
	out->seen = (struct confirm_seen){
		.good = good->repeats,
		.bad = bad->repeats,
		.lost = good->lost + bad->lost,
		.known = known_of(of, s->variants[s->compare[out->bad]].name, phase),
		.near_limit = bad->result.reason == REASON_WALL_TIME &&
			      !strcmp(good->result.phase, phase) &&
			      confirm_near(good->wall_ms, s->phases[out->phase].limits.time_ms),
	};
	out->earlier = base->agreeing && next->agreeing;
	if (out->earlier) {
		earlier_add(good, &out->seen.good);
		earlier_add(bad, &out->seen.bad);
	}
}
