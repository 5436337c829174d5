#include "orchestrator/plan.h"

#include <string.h>

/* ---- which packages, in which order ---- */

static bool plan_names(const struct suite_package *p, const char *word)
{
	return !strcmp(p->id, word) || !strcmp(p->name, word);
}

static bool plan_wanted(const struct suite_package *p, const char *const *only, size_t n_only)
{
	for (size_t i = 0; i < n_only; i++)
		if (plan_names(p, only[i]))
			return true;
	return !n_only;
}

/* Every word of --only must mean something: a slip would otherwise be a run of nothing. */
static int plan_check_only(const struct suite *s, const char *const *only, size_t n_only,
			   struct err *e)
{
	for (size_t i = 0; i < n_only; i++) {
		size_t k = 0;
		while (k < s->n_packages && !plan_names(&s->packages[k], only[i]))
			k++;
		if (k == s->n_packages)
			return err_set(e, ERR_USAGE,
				       "suite %s has no package '%s' (%zu packages; assay plan "
				       "lists them)",
				       s->name, only[i], s->n_packages);
	}
	return 0;
}

static int plan_check_layers(const struct suite *s,
			     int (*layer_known)(void *, const char *, struct err *), void *ctx,
			     struct err *e)
{
	for (size_t i = 0; layer_known && i < s->n_layer_refs; i++) {
		const struct suite_layer_ref *r = &s->layer_refs[i];
		int known = layer_known(ctx, r->name, e);
		if (known < 0)
			return -1;
		if (!known)
			return err_set(e, ERR_INPUT,
				       "%s: there is no layer %s; make it with: assay layer import "
				       "%s DIR|ARCHIVE",
				       r->where, r->name, r->name);
	}
	return 0;
}

struct plan_rank {
	uint64_t weight;
	size_t package;
};

/* Heaviest first; an unknown weight (0) may be the heaviest of all; then as listed. */
static int plan_by_weight(const void *pa, const void *pb)
{
	const struct plan_rank *a = pa, *b = pb;
	if (a->weight != b->weight)
		return a->weight - 1 > b->weight - 1 ? -1 : 1;
	return a->package < b->package ? -1 : 1;
}

static size_t plan_goal(const struct suite *s)
{
	for (size_t i = 0; i < s->n_phases; i++)
		if (s->phases[i].goal)
			return i;
	return s->n_phases - 1;
}

/* The variants of a package that are run; the others are noted. */
static size_t plan_skip(struct plan *p, size_t package)
{
	const struct suite *s = p->suite;
	size_t n = 0;
	for (size_t v = 0; v < s->n_variants; v++) {
		const struct suite_known *k = suite_known_of(s, package, v);
		if (k && k->expect == SUITE_EXPECT_SKIP)
			p->skips[p->n_skips++] = (struct plan_skip){package, v, k};
		else
			n++;
	}
	return n;
}

static bool plan_skips(const struct plan *p, size_t package, size_t variant)
{
	for (size_t i = p->n_skips; i-- && p->skips[i].package == package;)
		if (p->skips[i].variant == variant)
			return true;
	return false;
}

static void plan_add(struct plan *p, size_t package)
{
	const struct suite *s = p->suite;
	if (!plan_skip(p, package))
		return;
	size_t end = plan_goal(s) + 1, shared = 0, trunk = PLAN_NONE;
	while (shared + 1 < end && s->phases[shared].once_per_package)
		shared++;
	if (shared) {
		trunk = p->n_units;
		p->units[p->n_units++] = (struct plan_unit){package, PLAN_NONE, PLAN_NONE, 0,
							    shared,  false,     false,     false};
	}
	for (size_t v = 0; v < s->n_variants; v++) {
		if (plan_skips(p, package, v))
			continue;
		p->units[p->n_units++] =
			(struct plan_unit){package, v, trunk, shared, end, false, false, false};
		p->n_jobs++;
	}
}

struct plan *plan_make(const struct suite *s, const char *const *only, size_t n_only,
		       int (*layer_known)(void *ctx, const char *name, struct err *e), void *ctx,
		       struct err *e)
{
	if (plan_check_only(s, only, n_only, e) || plan_check_layers(s, layer_known, ctx, e))
		return NULL;
	auto_free struct plan_rank *ranks = own_calloc(s->n_packages + 1, sizeof(*ranks));
	size_t n = 0;
	for (size_t i = 0; i < s->n_packages; i++)
		if (plan_wanted(&s->packages[i], only, n_only))
			ranks[n++] = (struct plan_rank){s->packages[i].weight, i};
	qsort(ranks, n, sizeof(*ranks), plan_by_weight);
	struct plan *p = own_calloc(1, sizeof(*p));
	p->suite = s;
	p->partial = n < s->n_packages;
	p->skips = own_calloc(n * s->n_variants + 1, sizeof(*p->skips));
	p->units = own_calloc(n * (s->n_variants + 1) + 1, sizeof(*p->units));
	for (size_t i = 0; i < n; i++)
		plan_add(p, ranks[i].package);
	return p;
}

void plan_keep(struct plan *p, bool (*keep)(void *ctx, const struct plan_unit *branch), void *ctx)
{
	size_t n = 0, trunk = PLAN_NONE;
	p->n_jobs = 0;
	for (size_t i = 0; i < p->n_units; i++) {
		struct plan_unit u = p->units[i];
		if (u.variant == PLAN_NONE) {
			/* The one before had no branches left. */
			if (trunk != PLAN_NONE && trunk + 1 == n)
				n--;
			trunk = n;
		} else if (!keep(ctx, &p->units[i])) {
			continue;
		} else {
			u.trunk = u.trunk == PLAN_NONE ? PLAN_NONE : trunk;
			p->n_jobs += !u.judged;
		}
		p->units[n++] = u;
	}
	if (trunk != PLAN_NONE && trunk + 1 == n)
		n--;
	p->n_units = n;
}

void plan_free(struct plan *p)
{
	if (!p)
		return;
	free(p->units);
	free(p->skips);
	free(p);
}

char *plan_store_key(const struct suite *s, size_t store)
{
	return own_fmt("%s/%s", s->ecosystem ? s->ecosystem : s->name, s->stores[store].name);
}
