#include "orchestrator/spare.h"

#include "base/clock.h"
#include "orchestrator/sample.h"

#include <string.h>

/* One that need not run. */
struct judged_job {
	int64_t job;
	struct db_unchanged row;
	struct result was;
	bool recheck;
};

struct spared {
	const struct suite *suite;
	struct judged_job *list; /* by job */
	size_t n, room;
};

static int by_job(const void *pa, const void *pb)
{
	const struct judged_job *a = pa, *b = pb;
	return a->job < b->job ? -1 : a->job > b->job;
}

static struct judged_job *spared_find(const struct spared *s, int64_t job)
{
	const struct judged_job key = {.job = job};
	return s->n && job ? bsearch(&key, s->list, s->n, sizeof(key), by_job) : NULL;
}

static const char *phase_of(const struct suite *s, const char *name)
{
	for (size_t i = 0; i < s->n_phases; i++)
		if (!strcmp(s->phases[i].name, name))
			return s->phases[i].name;
	return NULL;
}

/* A word that is not known is a newer assay's: such a job runs. */
static void spared_add(void *ctx, const struct db_unchanged *u, const char *status,
		       const char *phase, const char *reason)
{
	struct spared *s = ctx;
	struct judged_job x = {.job = u->job, .row = *u};
	x.was.phase = phase_of(s->suite, phase);
	if (!x.was.phase || status_parse(status, &x.was.status) ||
	    reason_parse(reason, &x.was.reason))
		return;
	if (s->n == s->room) {
		s->room = s->room ? s->room * 2 : 64;
		s->list = own_grow(s->list, s->room, sizeof(*s->list));
	}
	s->list[s->n++] = x;
}

/* What running a package's jobs [from, to) of the plan would take. Phases that they share run once.
 */
static bool package_cost(const struct spared *s, const int64_t *ids, size_t from, size_t to,
			 struct sample *out)
{
	int64_t own = 0, shared = 0, last = INT64_MAX;
	for (size_t i = from; i < to; i++) {
		const struct judged_job *x = spared_find(s, ids[i]);
		if (!x)
			continue;
		own += x->row.own_us;
		shared = x->row.shared_us > shared ? x->row.shared_us : shared;
		last = x->row.run < last ? x->row.run : last;
	}
	*out = (struct sample){from, (uint64_t)(own + shared), last, false};
	return last != INT64_MAX;
}

/* So many percent run all the same: packages, with all that is spared of them, because phases that
 * variants share run for one as for all. */
static size_t spared_recheck(struct spared *s, const struct plan *p, const int64_t *ids,
			     int64_t run, double percent)
{
	auto_free struct sample *list = own_calloc(p->n_units + 1, sizeof(*list));
	size_t n = 0, rechecked = 0;
	for (size_t i = 0, end; i < p->n_units; i = end) {
		for (end = i + 1; end < p->n_units && p->units[end].package == p->units[i].package;
		     end++)
			;
		n += package_cost(s, ids, i, end, &list[n]);
	}
	/* always one of many */
	sample_draw(list, n, percent, s->n >= 20, (uint64_t)run);
	for (size_t k = 0; k < n; k++)
		for (size_t i = list[k].of, package = p->units[i].package;
		     list[k].drawn && i < p->n_units && p->units[i].package == package; i++) {
			struct judged_job *x = spared_find(s, ids[i]);
			if (x)
				x->recheck = true;
			rechecked += x != NULL;
		}
	return rechecked;
}

static int spared_record(const struct spared *s, struct db *d, struct err *e)
{
	auto_free struct db_unchanged *rows = own_calloc(s->n + 1, sizeof(*rows));
	size_t n = 0;
	for (size_t i = 0; i < s->n; i++)
		if (s->list[i].recheck)
			rows[n++] = s->list[i].row;
	if (n && db_recheck(d, rows, n, e))
		return -1;
	n = 0;
	for (size_t i = 0; i < s->n; i++)
		if (!s->list[i].recheck)
			rows[n++] = s->list[i].row;
	return n ? db_spare(d, rows, n, clock_real_ms(), e) : 0;
}

/* What runs to check gets nothing from earlier runs; nor does what it shares. */
static void spared_mark(const struct spared *s, struct plan *p, const int64_t *ids)
{
	for (size_t i = 0; i < p->n_units; i++) {
		struct plan_unit *u = &p->units[i];
		const struct judged_job *x = spared_find(s, ids[i]);
		u->spared = x && !x->recheck;
		u->afresh |= x && x->recheck;
		if (u->afresh && u->trunk != PLAN_NONE)
			p->units[u->trunk].afresh = true;
	}
}

struct keep {
	const struct plan *plan;
	bool *stays; /* by unit */
};

static bool keep_unit(void *ctx, const struct plan_unit *u)
{
	const struct keep *k = ctx;
	return k->stays[u - k->plan->units];
}

/* A spared side stays where the other one runs. */
static void keep_choose(const struct plan *p, bool repeats, bool *stays)
{
	const struct suite *s = p->suite;
	for (size_t i = 0; i < p->n_units; i++) {
		const struct plan_unit *u = &p->units[i];
		int side = !s->has_compare               ? -1
			   : u->variant == s->compare[0] ? 0
			   : u->variant == s->compare[1] ? 1
							 : -1;
		stays[i] = !u->spared;
		/* the branches of a package stand side by side */
		size_t first = i, end = i + 1;
		while (first && p->units[first - 1].package == u->package)
			first--;
		while (end < p->n_units && p->units[end].package == u->package)
			end++;
		for (size_t k = first; repeats && u->spared && side >= 0 && k < end; k++)
			stays[i] |= !p->units[k].spared && p->units[k].variant == s->compare[!side];
	}
}

/* What stands by unit follows its unit. */
static void spared_follow(struct plan *p, const struct plan_unit *before, size_t n_before,
			  int64_t *ids, const struct spared *s, struct spare *out)
{
	size_t k = 0;
	for (size_t i = 0; i < p->n_units; i++) {
		while (k < n_before && (before[k].package != p->units[i].package ||
					before[k].variant != p->units[i].variant))
			k++;
		ids[i] = k < n_before ? ids[k] : 0;
		const struct judged_job *x = spared_find(s, ids[i]);
		if (!x)
			continue;
		if (!out->was)
			out->was = own_calloc(p->n_units, sizeof(*out->was));
		/* the one that stands in this run as its own counts for itself */
		out->was[i] =
			(struct candidate_side){.result = x->was,
						.agreeing = (unsigned)(x->row.agreed - !x->recheck),
						.unchanged = !x->recheck};
		p->n_jobs -= !x->recheck;
	}
}

int spare_jobs(struct plan *p, struct state *st, int64_t run, const struct how *h, int64_t *ids,
	       struct spare *out, struct err *e)
{
	struct spared s = {.suite = p->suite};
	*out = (struct spare){0};
	if (!h->reuse)
		return 0;
	int rc = db_unchanged(st->db, run, spared_add, &s, e);
	if (!rc && s.n) {
		size_t n_units = p->n_units;
		auto_free struct plan_unit *before = own_calloc(n_units + 1, sizeof(*before));
		auto_free bool *stays = own_calloc(n_units + 1, sizeof(*stays));
		struct keep keep = {p, stays};
		qsort(s.list, s.n, sizeof(*s.list), by_job);
		out->rechecked = spared_recheck(&s, p, ids, run, h->recheck);
		out->spared = s.n - out->rechecked;
		rc = spared_record(&s, st->db, e);
		spared_mark(&s, p, ids);
		keep_choose(p, h->repeats != 0, stays);
		memcpy(before, p->units, n_units * sizeof(*before));
		plan_keep(p, keep_unit, &keep);
		spared_follow(p, before, n_units, ids, &s, out);
	}
	free(s.list);
	return rc;
}
