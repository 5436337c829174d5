#include "orchestrator/review.h"

#include "base/text.h"
#include "base/unit.h"
#include "orchestrator/commands.h"
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

/* A word of a newer assay's database is no result this one could judge: the job counts as not done.
 */
static struct compare_side side_result(const struct db_table *jobs, size_t row)
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
	return (struct review_side){
		.is = side_result(jobs, row),
		.row = row,
		.state = rows_str(jobs, row, "state"),
		.evidence = rows_text(jobs, row, "evidence"),
		.log = rows_text(jobs, row, "log"),
		.exit_code = rows_int(jobs, row, "exit_code", -1),
		.signal = rows_int(jobs, row, "signal", 0),
		.wall_ms = rows_int(jobs, row, "wall_ms", -1),
		.evidence_offset = rows_int(jobs, row, "evidence_offset", -1),
		.evidence_length = rows_int(jobs, row, "evidence_length", 0),
	};
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

/* Half a pair for each job of the two sides, sorted by package; then halves of one package become
 * one. */
static void review_halves(struct review *r)
{
	r->pairs = own_calloc(r->jobs->n_rows, sizeof(*r->pairs));
	for (size_t i = 0; i < r->jobs->n_rows; i++) {
		const char *variant = rows_str(r->jobs, i, "variant");
		bool base = r->base && !strcmp(variant, r->base), next = !strcmp(variant, r->next);
		if (!base && !next)
			continue;
		struct review_pair *p = &r->pairs[r->n_pairs++];
		p->package = rows_str(r->jobs, i, "package");
		p->version = rows_str(r->jobs, i, "version");
		if (base)
			p->base = side_make(r->jobs, i);
		if (next)
			p->next = side_make(r->jobs, i);
	}
	if (r->n_pairs)
		qsort(r->pairs, r->n_pairs, sizeof(*r->pairs), by_package);
}

static void review_pair_up(struct review *r)
{
	size_t n = 0;
	review_halves(r);
	for (size_t i = 0; i < r->n_pairs; i++) {
		struct review_pair *last = n ? &r->pairs[n - 1] : NULL, *p = &r->pairs[i];
		if (!last || strcmp(last->package, p->package)) {
			r->pairs[n++] = *p;
			continue;
		}
		if (p->base.state)
			last->base = p->base;
		if (p->next.state)
			last->next = p->next;
	}
	r->n_pairs = n;
	for (size_t i = 0; i < n; i++) {
		struct review_pair *p = &r->pairs[i];
		p->verdict = r->base ? compare_sides(&p->base.is, &p->next.is) : VERDICT_SAME;
		r->verdicts[p->verdict]++;
	}
	if (n)
		qsort(r->pairs, n, sizeof(*r->pairs), by_rank);
}

static size_t percent_x10(size_t part, size_t whole)
{
	return whole ? part * 1000 / whole : 0;
}

static char *review_reason(const struct review *r, const char *state)
{
	size_t share = percent_x10(r->n_lost, r->n_jobs);
	if (!r->n_jobs)
		return own_dup("the run has no jobs");
	if (r->running)
		return own_fmt(
			"the run is going on: %zu of %zu jobs are done, and nothing here is final",
			r->n_done, r->n_jobs);
	if (!r->n_lost && r->n_passed)
		return own_dup("");
	if (!r->n_lost)
		return own_fmt(
			"not one of %zu jobs passed; is something wrong with what all of them use?",
			r->n_jobs);
	return own_fmt("%zu of %zu jobs (%zu.%zu %%) say nothing about their package%s%s",
		       r->n_lost, r->n_jobs, share / 10, share % 10,
		       strcmp(state, "done") ? ": the run was " : "",
		       strcmp(state, "done") ? state : "");
}

static void review_judge(struct review *r)
{
	const char *state = rows_str(r->row, 0, "state");
	r->running = !strcmp(state, "running");
	r->n_jobs = r->jobs->n_rows;
	for (size_t i = 0; i < r->n_jobs; i++) {
		struct compare_side s = side_result(r->jobs, i);
		r->n_done += s.presence == PRESENCE_DONE;
		r->n_passed += s.presence == PRESENCE_DONE && s.status == STATUS_PASS;
		r->n_pending += s.presence == PRESENCE_PENDING;
		r->n_lost += compare_lost(&s) && !(r->running && s.presence == PRESENCE_PENDING);
	}
	r->validity = r->running && !r->n_done
			      ? VALIDITY_DEGRADED
			      : compare_validity(r->running ? r->n_done : r->n_jobs, r->n_lost);
	/* that nothing changed is true, but no good news */
	if (!r->running && r->validity == VALIDITY_VALID && !r->n_passed)
		r->validity = VALIDITY_DEGRADED;
	r->why = review_reason(r, state);
}

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

/* Which two sides; the names are kept in the tables the review owns, or are the caller's for as
 * long as it lives. */
static int review_sides(struct review *r, struct db_table *variants, const char *base,
			const char *next, struct err *e)
{
	if (!base != !next)
		return err_set(e, ERR_USAGE, "--base and --next go together");
	if (review_side_name(r, variants, base, e) || review_side_name(r, variants, next, e))
		return -1;
	if (!base) {
		base = rows_text(r->row, 0, "compare_base");
		next = rows_text(r->row, 0, "compare_next");
	}
	if (!base || !next) {
		if (variants->n_rows != 1)
			return err_set(e, ERR_USAGE,
				       "the suite of run %lld does not say what to compare: give "
				       "--base and --next",
				       (long long)r->run);
		base = NULL;
		next = rows_str(variants, 0, "name");
	}
	if (base && !strcmp(base, next))
		return err_set(e, ERR_USAGE, "--base and --next are both %s", base);
	r->base = base;
	r->next = next;
	return 0;
}

struct review *review_load(struct db *d, int64_t run, const char *base, const char *next,
			   struct err *e)
{
	struct review *r = own_calloc(1, sizeof(*r));
	char id[24];
	const char *args[] = {id};
	snprintf(id, sizeof(id), "%lld", (long long)run);
	r->run = run;
	r->why = own_dup("");
	if (db_named(d, "run", args, 1, &r->row, e))
		goto failed;
	if (!r->row->n_rows) {
		err_set(e, ERR_USAGE, "there is no run %s; assay status lists those there are", id);
		goto failed;
	}
	if (db_named(d, "variants", args, 1, &r->variants, e) ||
	    review_sides(r, r->variants, base, next, e) ||
	    db_named(d, "jobs", args, 1, &r->jobs, e))
		goto failed;
	review_pair_up(r);
	free(r->why);
	review_judge(r);
	return r;
failed:
	review_free(r);
	return NULL;
}

void review_free(struct review *r)
{
	if (!r)
		return;
	db_table_free(r->row);
	db_table_free(r->variants);
	db_table_free(r->jobs);
	free(r->pairs);
	free(r->why);
	free(r);
}

int review_exit(const struct review *r)
{
	if (r->running || r->validity == VALIDITY_VOID)
		return EXIT_OURS;
	return r->verdicts[VERDICT_REGRESSED] ? EXIT_REGRESSED : EXIT_OK;
}
