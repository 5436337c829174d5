#include "orchestrator/verdicts.h"

#include "orchestrator/review.h"
#include "orchestrator/rows.h"

#include <string.h>

struct record {
	const struct review *review;
	struct db_verdict *verdicts;
	struct db_flake *flakes;
	size_t n_flakes;
};

static void record_verdict(const struct review_pair *p, struct db_verdict *v)
{
	const struct comparison *c = &p->how;
	*v = (struct db_verdict){
		.package = p->package,
		.verdict = verdict_name(p->verdict),
		.confidence = confidence_name(c->confidence),
		.base_runs = c->base.n,
		.base_passes = c->base.passes,
		.next_runs = c->next.n,
		.next_passes = c->next.passes,
		.p = c->p,
		.attribution = p->attributed ? attribution_name(p->attribution) : NULL,
		.inherited_from = p->inherited_from,
		.signature = p->next.cause,
		.flake_rate = p->flake_rate,
		.known = p->known ? suite_expect_name(p->known->expect) : NULL,
	};
}

/* ---- flakes: a night's results of one side, phase by phase ---- */

static const char *variant_layers(const struct review *r, const char *variant)
{
	for (size_t i = 0; i < r->variants->n_rows; i++)
		if (!strcmp(rows_str(r->variants, i, "name"), variant))
			return rows_str(r->variants, i, "layers");
	return "";
}

static bool about_package(const struct compare_side *s)
{
	return s->presence == PRESENCE_DONE && !compare_lost(s) && s->status != STATUS_SKIP &&
	       s->status != STATUS_BLOCK;
}

static void flake_record(struct record *to, const struct review_pair *p, const char *variant,
			 const char *phase, const struct flake *f)
{
	to->flakes = own_grow(to->flakes, to->n_flakes + 1, sizeof(*to->flakes));
	to->flakes[to->n_flakes++] = (struct db_flake){
		.package = p->package,
		.variant = variant,
		.phase = phase,
		.passed = f->passed,
		.failed = f->failed,
		.pending = f->pending,
		.rate = flake_rate(f),
		.streak = f->streak,
		.known = flake_known(f),
		.version = p->version,
		.layers = variant_layers(to->review, variant),
	};
}

/* How often the side passed, and failed in that phase. */
static void side_counts(const struct review_side *s, const char *phase, unsigned *passed,
			unsigned *failed)
{
	*passed = *failed = 0;
	for (size_t i = 0; i < s->n_seen; i++) {
		const struct compare_side *is = &s->seen[i];
		if (!about_package(is))
			continue;
		*passed += is->status == STATUS_PASS;
		*failed += is->status != STATUS_PASS && is->phase && !strcmp(is->phase, phase);
	}
}

static void flake_learn(struct record *to, const struct review_pair *p, const struct review_side *s,
			const char *variant, const char *phase, size_t row)
{
	const struct db_table *t = to->review->flakes;
	struct flake f = row < t->n_rows ? review_flake(to->review, row) : (struct flake){0};
	unsigned passed, failed;
	side_counts(s, phase, &passed, &failed);
	if (!passed && !failed)
		return;
	if (row < t->n_rows &&
	    (strcmp(rows_str(t, row, "version"), p->version) ||
	     strcmp(rows_str(t, row, "layers"), variant_layers(to->review, variant))))
		flake_changed(&f);
	flake_night(&f, passed, failed);
	flake_record(to, p, variant, phase, &f);
}

/* A phase it failed in for the first time; several times in one night is once. */
static bool phase_is_new(const struct record *to, const struct review_pair *p, const char *variant,
			 const char *phase)
{
	for (size_t i = to->n_flakes; i-- && !strcmp(to->flakes[i].package, p->package);)
		if (!strcmp(to->flakes[i].variant, variant) && !strcmp(to->flakes[i].phase, phase))
			return false;
	return true;
}

static void record_flakes(struct record *to, const struct review_pair *p, bool next)
{
	const struct review *r = to->review;
	const struct review_side *s = next ? &p->next : &p->base;
	const char *variant = next ? r->next_variant : r->base_variant;
	/* what is known to be broken is not flaky */
	bool broken = p->how.confidence == CONFIDENCE_CONFIRMED &&
		      p->verdict == (next ? VERDICT_REGRESSED : VERDICT_FIXED);
	if (!variant || broken)
		return;
	for (size_t i = review_flakes_of(r, p->package);
	     i < r->flakes->n_rows && !strcmp(rows_str(r->flakes, i, "package"), p->package); i++)
		if (!strcmp(rows_str(r->flakes, i, "variant"), variant))
			flake_learn(to, p, s, variant, rows_str(r->flakes, i, "phase"), i);
	for (size_t i = 0; i < s->n_seen; i++) {
		const struct compare_side *is = &s->seen[i];
		if (about_package(is) && is->status != STATUS_PASS && is->phase &&
		    phase_is_new(to, p, variant, is->phase))
			flake_learn(to, p, s, variant, is->phase, SIZE_MAX);
	}
}

int verdicts_record(struct db *d, int64_t run, struct err *e)
{
	struct review *r = review_load(d, run, NULL, NULL, e);
	if (!r)
		return e->kind == ERR_USAGE ? 0 : -1;
	/* what was cut short may be gone on with: nothing is said of it yet */
	if (strcmp(rows_str(r->row, 0, "state"), "done")) {
		review_free(r);
		return 0;
	}
	struct record to = {.review = r,
			    .verdicts = own_calloc(r->n_pairs + 1, sizeof(*to.verdicts))};
	for (size_t i = 0; i < r->n_pairs; i++) {
		record_verdict(&r->pairs[i], &to.verdicts[i]);
		record_flakes(&to, &r->pairs[i], false);
		record_flakes(&to, &r->pairs[i], true);
	}
	const struct db_judgement j = {
		.validity = validity_name(r->validity),
		.why = r->why,
		.verdicts = to.verdicts,
		.n_verdicts = r->base ? r->n_pairs : 0,
		.flakes = to.flakes,
		.n_flakes = to.n_flakes,
	};
	int rc = db_judge(d, run, &j, e);
	free(to.verdicts);
	free(to.flakes);
	review_free(r);
	return rc;
}
