/* Whose doing a difference for the worse is: its own, or that of a package it depends on. */
#include "orchestrator/review_parts.h"

#include "orchestrator/rows.h"

#include <string.h>

static bool for_the_worse(enum verdict v)
{
	return v == VERDICT_REGRESSED || v == VERDICT_WORSE || v == VERDICT_CHANGED;
}

/* The first row of that package or behind it; rows are sorted by it. */
static size_t needs_first(const struct db_table *t, const char *package)
{
	size_t low = 0, high = t->n_rows;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (strcmp(rows_str(t, middle, "package"), package) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* A package it needs that differs for the worse, too; NULL: none. Itself is none. */
static struct review_pair *worse_need(struct review *r, const struct review_pair *p)
{
	const struct db_table *t = r->source[1].depends;
	for (size_t i = needs_first(t, p->package);
	     i < t->n_rows && !strcmp(rows_str(t, i, "package"), p->package); i++) {
		struct review_pair *on = review_find(r, rows_str(t, i, "needs"));
		if (on && on != p && on->attributed)
			return on;
	}
	return NULL;
}

void review_inherit(struct review *r)
{
	for (size_t i = 0; i < r->n_pairs; i++)
		r->pairs[i].attributed = r->base && for_the_worse(r->pairs[i].verdict);
	for (size_t i = 0; i < r->n_pairs; i++) {
		struct review_pair *p = &r->pairs[i], *on = p->attributed ? worse_need(r, p) : NULL;
		/* to where it begins; what depends on itself in a circle begins somewhere in it */
		for (size_t steps = 0; on && steps < r->n_pairs; steps++) {
			struct review_pair *below = worse_need(r, on);
			if (!below || below == p)
				break;
			on = below;
		}
		if (!on)
			continue;
		p->attribution = ATTRIBUTION_INHERITED;
		p->inherited_from = on->package;
	}
}
