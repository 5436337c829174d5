/* Pairs of a review: jobs put side by side, weighed with what is known of their packages, and what
 * their differences have in common. */
#include "orchestrator/review_parts.h"

#include "orchestrator/rows.h"

#include <string.h>

struct compare_side review_result(const struct db_table *jobs, size_t row)
{
	struct compare_side s = {.presence = PRESENCE_PENDING};
	const char *status = rows_text(jobs, row, "status"),
		   *reason = rows_text(jobs, row, "reason");
	if (!status || !reason || status_parse(status, &s.status) ||
	    reason_parse(reason, &s.reason))
		return s;
	s.phase = rows_text(jobs, row, "phase");
	s.presence = PRESENCE_DONE;
	return s;
}

static struct review_side side_make(const struct db_table *jobs, size_t row)
{
	struct review_side s = {
		.is = review_result(jobs, row),
		.seen = own_calloc(1, sizeof(*s.seen)),
		.n_seen = 1,
		.jobs = jobs,
		.row = row,
		.state = rows_str(jobs, row, "state"),
		.evidence = rows_text(jobs, row, "evidence"),
		.log = rows_text(jobs, row, "log"),
		.cause = rows_text(jobs, row, "cause"),
		.exit_code = rows_int(jobs, row, "exit_code", -1),
		.signal = rows_int(jobs, row, "signal", 0),
		.wall_ms = rows_int(jobs, row, "wall_ms", -1),
		.evidence_offset = rows_int(jobs, row, "evidence_offset", -1),
		.evidence_length = rows_int(jobs, row, "evidence_length", 0),
		.agreeing = (size_t)rows_int(jobs, row, "agreeing", 0),
	};
	s.seen[0] = s.is;
	return s;
}

static int by_package(const void *a, const void *b)
{
	const struct review_pair *x = a, *y = b;
	return strcmp(x->package, y->package);
}

static int by_rank(const void *a, const void *b)
{
	const struct review_pair *x = a, *y = b;
	int d = verdict_rank(x->verdict) - verdict_rank(y->verdict);
	return d ? d : strcmp(x->package, y->package);
}

/* Half a pair for each job of that variant. */
static void review_half(struct review *r, const struct db_table *jobs, const char *variant,
			bool next)
{
	for (size_t i = 0; variant && i < jobs->n_rows; i++) {
		if (strcmp(rows_str(jobs, i, "variant"), variant))
			continue;
		struct review_pair *p = &r->pairs[r->n_pairs++];
		p->package = rows_str(jobs, i, "package");
		p->version = rows_str(jobs, i, "version");
		*(next ? &p->next : &p->base) = side_make(jobs, i);
	}
}

const struct review_source *review_base_source(const struct review *r)
{
	return &r->source[r->source[0].run ? 0 : 1];
}

struct review_pair *review_find(struct review *r, const char *package)
{
	struct review_pair key = {.package = package};
	return r->n_pairs ? bsearch(&key, r->pairs, r->n_pairs, sizeof(key), by_package) : NULL;
}

/* What repeats brought, behind the results they repeat. */
static void review_repeats(struct review *r, const struct review_source *from, const char *variant,
			   bool next)
{
	for (size_t i = 0; variant && i < from->repeats->n_rows; i++) {
		struct review_pair *p = review_find(r, rows_str(from->repeats, i, "package"));
		if (!p || strcmp(rows_str(from->repeats, i, "variant"), variant))
			continue;
		struct review_side *s = next ? &p->next : &p->base;
		if (!s->n_seen)
			continue;
		s->seen = own_grow(s->seen, s->n_seen + 1, sizeof(*s->seen));
		s->seen[s->n_seen++] = review_result(from->repeats, i);
	}
}

/* What a run of some packages (--only) was not asked for is neither gone nor new. */
static void review_asked(struct review *r, const struct review_source *base,
			 const struct review_source *next)
{
	bool base_some = rows_int(base->row, 0, "partial", 0) == 1,
	     next_some = rows_int(next->row, 0, "partial", 0) == 1;
	size_t n = 0;
	for (size_t i = 0; i < r->n_pairs; i++) {
		struct review_pair *p = &r->pairs[i];
		if ((p->base.state || !base_some) && (p->next.state || !next_some)) {
			r->pairs[n++] = *p;
			continue;
		}
		free(p->base.seen);
		free(p->next.seen);
		r->n_not_asked++;
	}
	r->n_pairs = n;
}

/* Halves of one package become one pair; of two versions the next side's is told. */
void review_pair_up(struct review *r)
{
	const struct review_source *base = review_base_source(r), *next = &r->source[1];
	size_t n = 0;
	r->pairs = own_calloc(base->jobs->n_rows + next->jobs->n_rows, sizeof(*r->pairs));
	review_half(r, base->jobs, r->base_variant, false);
	review_half(r, next->jobs, r->next_variant, true);
	if (r->n_pairs)
		qsort(r->pairs, r->n_pairs, sizeof(*r->pairs), by_package);
	for (size_t i = 0; i < r->n_pairs; i++) {
		struct review_pair *last = n ? &r->pairs[n - 1] : NULL, *p = &r->pairs[i];
		if (!last || strcmp(last->package, p->package)) {
			r->pairs[n++] = *p;
			continue;
		}
		if (p->base.state)
			last->base = p->base;
		if (p->next.state) {
			last->next = p->next;
			last->version = p->version;
		}
	}
	r->n_pairs = n;
	if (r->base_run && r->base_run != r->run)
		review_asked(r, base, next);
	review_repeats(r, base, r->base_variant, false);
	review_repeats(r, next, r->next_variant, true);
}

/* ---- what is known of a package ---- */

static bool flake_row_is(const struct review *r, size_t row, const char *package,
			 const char *variant, const char *phase)
{
	return !strcmp(rows_str(r->flakes, row, "package"), package) &&
	       !strcmp(rows_str(r->flakes, row, "variant"), variant) &&
	       (!phase || !strcmp(rows_str(r->flakes, row, "phase"), phase));
}

size_t review_flakes_of(const struct review *r, const char *package)
{
	size_t low = 0, high = r->flakes->n_rows;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (strcmp(rows_str(r->flakes, middle, "package"), package) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* The row of a side's failures in the phase where it failed; false: there is none. */
static bool flake_find(const struct review *r, const struct review_pair *p, bool next, size_t *row)
{
	const struct review_side *s = next ? &p->next : &p->base;
	const char *variant = next ? r->next_variant : r->base_variant, *phase = NULL;
	for (size_t i = 0; i < s->n_seen; i++)
		if (s->seen[i].presence == PRESENCE_DONE && s->seen[i].status != STATUS_PASS)
			phase = s->seen[i].phase;
	for (*row = review_flakes_of(r, p->package); phase && *row < r->flakes->n_rows; ++*row) {
		if (strcmp(rows_str(r->flakes, *row, "package"), p->package))
			break;
		if (flake_row_is(r, *row, p->package, variant, phase))
			return true;
	}
	return false;
}

static double rows_real(const struct db_table *t, size_t row, const char *column)
{
	const struct db_cell *c = rows_cell(t, row, column);
	return c && c->type == DB_REAL ? c->r : c && c->type == DB_INT ? (double)c->i : 0;
}

struct flake review_flake(const struct review *r, size_t row)
{
	return (struct flake){
		.failed = rows_real(r->flakes, row, "failed"),
		.passed = rows_real(r->flakes, row, "passed"),
		.pending = rows_real(r->flakes, row, "pending"),
		.streak = (unsigned)rows_int(r->flakes, row, "streak", 0),
	};
}

/* All that counts of a side; the caller frees it. */
static struct compare_side *side_all(const struct review_side *s, bool earlier,
				     struct compare_all *out)
{
	size_t more = earlier ? s->agreeing : 0, n = s->n_seen + more;
	struct compare_side *all = own_calloc(n + 1, sizeof(*all));
	if (s->n_seen)
		memcpy(all, s->seen, s->n_seen * sizeof(*all));
	for (size_t i = s->n_seen; i < n; i++)
		all[i] = s->is;
	*out = (struct compare_all){all, n};
	return all;
}

static bool seen_again(const struct review_side *s)
{
	return s->agreeing || s->n_seen > 1;
}

/* What earlier runs said of the same inputs counts where both sides have such: then nothing but the
 * night differs between the two. Sides of two runs are of two nights anyhow: there repeats of the
 * one stand against what earlier runs said of the other, which was spared. */
static bool earlier_counts(const struct review *r, const struct review_pair *p)
{
	bool apart = r->base_run != r->run;
	return (p->base.agreeing && p->next.agreeing) ||
	       (apart && seen_again(&p->base) && seen_again(&p->next));
}

/* The same words on both sides, and other lines that decided. */
static bool other_cause(const struct review_pair *p)
{
	bool failed = p->next.is.presence == PRESENCE_DONE &&
		      (p->next.is.status == STATUS_FAIL || p->next.is.status == STATUS_CRASH);
	return failed && p->base.cause && p->next.cause &&
	       strcmp(p->base.cause, p->next.cause) != 0;
}

static void review_compare(const struct review *r, struct review_pair *p)
{
	bool earlier = earlier_counts(r, p);
	struct compare_all base, next;
	struct compare_side *base_all = side_all(&p->base, earlier, &base),
			    *next_all = side_all(&p->next, earlier, &next);
	struct flake known[2];
	size_t row;
	bool found[2];
	p->flake_rate = -1;
	for (size_t k = 0; k < 2; k++) {
		found[k] = flake_find(r, p, k, &row);
		known[k] = found[k] ? review_flake(r, row) : (struct flake){0};
		if (found[k] && flake_known(&known[k]))
			p->flake_rate = flake_rate(&known[k]);
	}
	p->how = compare_seen(&base, &next, found[0] ? &known[0] : NULL,
			      found[1] ? &known[1] : NULL);
	if (p->how.verdict == VERDICT_SAME && other_cause(p))
		p->how.verdict = VERDICT_CHANGED;
	free(base_all);
	free(next_all);
	p->verdict = r->base ? p->how.verdict : VERDICT_SAME;
}

void review_verdicts(struct review *r)
{
	for (size_t i = 0; i < r->n_pairs; i++) {
		struct review_pair *p = &r->pairs[i];
		review_compare(r, p);
		r->verdicts[p->verdict]++;
		r->n_confirmed += p->verdict == VERDICT_REGRESSED &&
				  p->how.confidence == CONFIDENCE_CONFIRMED;
	}
	review_expectations(r);
	for (size_t i = 0; i < r->n_pairs; i++)
		r->n_seen_once += r->pairs[i].verdict == VERDICT_REGRESSED && !r->pairs[i].known &&
				  r->pairs[i].how.confidence == CONFIDENCE_SINGLE;
	review_inherit(r);
	if (r->n_pairs)
		qsort(r->pairs, r->n_pairs, sizeof(*r->pairs), by_rank);
}

/* ---- causes ---- */

static int by_frequency(const void *a, const void *b)
{
	const struct review_cause *x = a, *y = b;
	return x->n != y->n ? (x->n < y->n) - (x->n > y->n) : strcmp(x->id, y->id);
}

static struct review_cause *cause_find(struct review *r, const char *id)
{
	for (size_t i = 0; i < r->n_causes; i++)
		if (!strcmp(r->causes[i].id, id))
			return &r->causes[i];
	r->causes = own_grow(r->causes, r->n_causes + 1, sizeof(*r->causes));
	struct review_cause *c = &r->causes[r->n_causes];
	const struct db_table *t = r->source[1].causes;
	*c = (struct review_cause){.id = id};
	for (size_t i = 0; i < t->n_rows; i++)
		if (!strcmp(rows_str(t, i, "cause"), id)) {
			c->first_run = rows_int(t, i, "first_run", 0);
			c->line = rows_text(t, i, "line");
		}
	return &r->causes[r->n_causes++];
}

void review_causes(struct review *r)
{
	for (size_t i = 0; i < r->n_pairs; i++) {
		struct review_pair *p = &r->pairs[i];
		if (!p->attributed || !p->next.cause)
			continue;
		struct review_cause *c = cause_find(r, p->next.cause);
		c->pairs = own_grow(c->pairs, c->n + 1, sizeof(*c->pairs));
		c->pairs[c->n++] = i;
	}
	for (size_t i = 0; i < r->n_causes; i++)
		for (size_t k = 0; r->causes[i].n > 1 && k < r->causes[i].n; k++) {
			struct review_pair *p = &r->pairs[r->causes[i].pairs[k]];
			/* failures that say nothing have no more in common than that */
			bool tells = r->causes[i].line || p->next.is.status != STATUS_FAIL;
			if (p->attribution == ATTRIBUTION_ROOT && tells)
				p->attribution = ATTRIBUTION_SHARED;
		}
	if (r->n_causes)
		qsort(r->causes, r->n_causes, sizeof(*r->causes), by_frequency);
}
