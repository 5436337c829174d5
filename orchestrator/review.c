#include "orchestrator/review.h"

#include "base/text.h"
#include "base/unit.h"
#include "orchestrator/commands.h"
#include "orchestrator/review_parts.h"
#include "orchestrator/rows.h"

#include <string.h>

int64_t review_run(struct db *d, const char *word, struct err *e)
{
	struct db_table *t = NULL;
	uint64_t n;
	if (word && (unit_parse_count(word, &n) || !n))
		return err_set(e, ERR_USAGE,
			       "'%s' is no run: they are numbers, and assay status lists them",
			       word);
	if (db_named(d, word ? "run" : "last-run", &word, word ? 1 : 0, &t, e))
		return -1;
	int64_t run = rows_int(t, 0, "run", -1);
	db_table_free(t);
	if (run > 0)
		return run;
	return word ? err_set(e, ERR_USAGE,
			      "there is no run %s; assay status lists those there are", word)
		    : err_set(e, ERR_ABSENT, "nothing was run yet; begin with: assay run SUITE");
}

static int pick_baseline(struct db *d, const char *name, struct review_pick *p, char **kept,
			 struct err *e)
{
	struct db_table *t = NULL;
	if (db_named(d, "baseline", &name, 1, &t, e))
		return -1;
	p->run = rows_int(t, 0, "run", -1);
	if (p->run > 0)
		p->variant = *kept = own_dup(rows_str(t, 0, "variant"));
	db_table_free(t);
	return p->run > 0 ? 0
			  : err_set(e, ERR_ABSENT,
				    "there is no baseline '%s'; assay baseline list shows those "
				    "there are",
				    name);
}

int review_pick(struct db *d, const char *word, struct review_pick *p, char **kept, struct err *e)
{
	const char *colon = strchr(word, ':');
	*p = (struct review_pick){0};
	*kept = NULL;
	if (*word == '@')
		return pick_baseline(d, word + 1, p, kept, e);
	auto_free char *run = colon ? own_dup_n(word, (size_t)(colon - word)) : own_dup(word);
	p->variant = colon ? colon + 1 : NULL;
	p->run = review_run(d, run, e);
	return p->run > 0 ? 0 : -1;
}

/* ---- which sides ---- */

static bool review_has_variant(const struct db_table *variants, const char *name)
{
	for (size_t i = 0; i < variants->n_rows; i++)
		if (!strcmp(rows_str(variants, i, "name"), name))
			return true;
	return false;
}

static int review_side_name(struct review *r, const struct db_table *variants, const char *name,
			    struct err *e)
{
	auto_text struct text all = TEXT_INIT;
	if (!name || review_has_variant(variants, name))
		return 0;
	for (size_t i = 0; i < variants->n_rows; i++)
		text_addf(&all, "%s%s", i ? ", " : "", rows_str(variants, i, "name"));
	return err_set(e, ERR_USAGE, "run %lld has no variant '%s'; it has %s", (long long)r->run,
		       name, text_str(&all));
}

/* Of one run: which two of its variants. The names are kept in the tables the review owns, or are
 * the caller's for as long as it lives. */
static int review_sides(struct review *r, const char *base, const char *next, struct err *e)
{
	if (!base != !next)
		return err_set(e, ERR_USAGE, "--base and --next go together");
	if (review_side_name(r, r->variants, base, e) || review_side_name(r, r->variants, next, e))
		return -1;
	if (!base) {
		base = rows_text(r->row, 0, "compare_base");
		next = rows_text(r->row, 0, "compare_next");
	}
	if (!base || !next) {
		if (r->variants->n_rows != 1)
			return err_set(e, ERR_USAGE,
				       "the suite of run %lld does not say what to compare: give "
				       "--base and --next",
				       (long long)r->run);
		base = NULL;
		next = rows_str(r->variants, 0, "name");
	}
	if (base && !strcmp(base, next))
		return err_set(e, ERR_USAGE, "--base and --next are both %s", base);
	r->base_run = base ? r->run : 0;
	r->base_variant = base;
	r->next_variant = next;
	r->base = base ? own_dup(base) : NULL;
	r->next = own_dup(next);
	return 0;
}

/* The variant a pick means. */
static const char *pick_variant(struct review *r, const struct review_source *from,
				const char *variant, struct err *e)
{
	if (variant)
		return review_side_name(r, from->variants, variant, e) ? NULL : variant;
	variant = rows_text(from->row, 0, "compare_next");
	if (!variant && from->variants->n_rows == 1)
		variant = rows_str(from->variants, 0, "name");
	if (!variant)
		err_set(e, ERR_USAGE, "run %lld has several variants: say which, as %lld:VARIANT",
			(long long)from->run, (long long)from->run);
	return variant;
}

static int review_picks(struct review *r, const struct review_pick *base,
			const struct review_pick *next, struct err *e)
{
	r->run = base->run; /* for what is said about it */
	r->base_variant = pick_variant(r, review_base_source(r), base->variant, e);
	r->run = next->run;
	r->next_variant = r->base_variant ? pick_variant(r, &r->source[1], next->variant, e) : NULL;
	if (!r->next_variant)
		return -1;
	bool one_run = base->run == next->run;
	if (one_run && !strcmp(r->base_variant, r->next_variant))
		return err_set(e, ERR_USAGE, "both sides are %s of run %lld", r->next_variant,
			       (long long)r->run);
	r->base_run = base->run;
	r->base = one_run ? own_dup(r->base_variant)
			  : own_fmt("%s (run %lld)", r->base_variant, (long long)base->run);
	r->next = one_run ? own_dup(r->next_variant)
			  : own_fmt("%s (run %lld)", r->next_variant, (long long)next->run);
	return 0;
}

static int source_load(struct db *d, int64_t run, struct review_source *s, struct err *e)
{
	char id[24];
	const char *args[] = {id};
	snprintf(id, sizeof(id), "%lld", (long long)run);
	s->run = run;
	if (db_named(d, "run", args, 1, &s->row, e))
		return -1;
	if (!s->row->n_rows)
		return err_set(e, ERR_USAGE,
			       "there is no run %s; assay status lists those there are", id);
	return db_named(d, "variants", args, 1, &s->variants, e) ||
			       db_named(d, "jobs", args, 1, &s->jobs, e) ||
			       db_named(d, "repeats", args, 1, &s->repeats, e) ||
			       db_named(d, "causes", args, 1, &s->causes, e) ||
			       db_named(d, "expectations", args, 1, &s->expectations, e) ||
			       db_named(d, "depends", args, 1, &s->depends, e) ||
			       db_named(d, "canaries", args, 1, &s->canaries, e)
		       ? -1
		       : 0;
}

static struct review *review_new(struct db *d, int64_t base_run, int64_t run, struct err *e)
{
	struct review *r = own_calloc(1, sizeof(*r));
	r->run = run;
	r->why = own_dup("");
	if (source_load(d, run, &r->source[1], e) ||
	    (base_run != run && source_load(d, base_run, &r->source[0], e)))
		goto failed;
	r->row = r->source[1].row;
	r->variants = r->source[1].variants;
	r->jobs = r->source[1].jobs;
	const char *suite[] = {rows_str(r->row, 0, "suite")};
	if (!db_named(d, "flakes", suite, 1, &r->flakes, e))
		return r;
failed:
	review_free(r);
	return NULL;
}

static struct review *review_finish(struct review *r, int rc)
{
	if (rc) {
		review_free(r);
		return NULL;
	}
	review_pair_up(r);
	review_verdicts(r);
	review_causes(r);
	free(r->why);
	review_judge(r);
	return r;
}

struct review *review_load(struct db *d, int64_t run, const char *base, const char *next,
			   struct err *e)
{
	struct review *r = review_new(d, run, run, e);
	return r ? review_finish(r, review_sides(r, base, next, e)) : NULL;
}

struct review *review_load_picks(struct db *d, const struct review_pick *base,
				 const struct review_pick *next, struct err *e)
{
	struct review *r = review_new(d, base->run, next->run, e);
	return r ? review_finish(r, review_picks(r, base, next, e)) : NULL;
}

struct review *review_ask(struct db *d, const char *first, const char *second, const char *base,
			  const char *next, struct err *e)
{
	struct review_pick picks[2];
	char *kept[2] = {NULL, NULL};
	struct review *r = NULL;
	if (!second) {
		int64_t run = review_run(d, first, e);
		return run > 0 ? review_load(d, run, base, next, e) : NULL;
	}
	if (base || next)
		err_set(e, ERR_USAGE,
			"variants of two runs are named as RUN:VARIANT, without --base and --next");
	else if (!review_pick(d, first, &picks[0], &kept[0], e) &&
		 !review_pick(d, second, &picks[1], &kept[1], e))
		r = review_load_picks(d, &picks[0], &picks[1], e);
	for (size_t i = 0; r && i < 2; i++)
		r->kept[i] = give(kept[i]);
	free(kept[0]);
	free(kept[1]);
	return r;
}

static void source_fini(struct review_source *s)
{
	db_table_free(s->row);
	db_table_free(s->variants);
	db_table_free(s->jobs);
	db_table_free(s->repeats);
	db_table_free(s->causes);
	db_table_free(s->expectations);
	db_table_free(s->depends);
	db_table_free(s->canaries);
}

void review_free(struct review *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->n_pairs; i++) {
		free(r->pairs[i].base.seen);
		free(r->pairs[i].next.seen);
	}
	for (size_t i = 0; i < r->n_causes; i++)
		free(r->causes[i].pairs);
	source_fini(&r->source[0]);
	source_fini(&r->source[1]);
	db_table_free(r->flakes);
	free(r->known);
	free(r->kept[0]);
	free(r->kept[1]);
	free(r->causes);
	free(r->pairs);
	free(r->base);
	free(r->next);
	free(r->why);
	free(r);
}

int review_exit(const struct review *r, enum confidence least)
{
	if (r->running || r->validity == VALIDITY_VOID)
		return EXIT_OURS;
	for (size_t i = 0; i < r->n_pairs; i++)
		if (r->pairs[i].verdict == VERDICT_REGRESSED && !r->pairs[i].known &&
		    r->pairs[i].how.confidence >= least)
			return EXIT_REGRESSED;
	return EXIT_OK;
}
