#include "orchestrator/commands.h"

#include "base/unit.h"
#include "orchestrator/options.h"
#include "orchestrator/plain.h"
#include "orchestrator/review.h"
#include "orchestrator/rows.h"
#include "orchestrator/state.h"
#include "orchestrator/table.h"

#include <jansson.h>
#include <string.h>

struct compare_args {
	struct options_common common;
	struct options_sides sides;
	struct options_fail_on fail_on;
	bool all;
};

enum { COMPARE_ALL = 0x100, LINE_MAX_SHOWN = 300, CAUSES_SHOWN = 20 };

static const struct argp_option compare_options[] = {
	{"all", COMPARE_ALL, NULL, 0, "list what is the same too (JSON always does)", 0},
	{0},
};

static const struct argp_child compare_children[] = {{&options_sides_argp, 0, NULL, 0},
						     {&options_fail_on_argp, 0, NULL, 0},
						     {&options_common_argp, 0, NULL, 0},
						     {0}};

static error_t compare_parse(int key, char *arg, struct argp_state *st)
{
	struct compare_args *a = st->input;
	(void)arg;
	switch (key) {
	case ARGP_KEY_INIT:
		st->child_inputs[0] = &a->sides;
		st->child_inputs[1] = &a->fail_on;
		st->child_inputs[2] = &a->common;
		return 0;
	case COMPARE_ALL:
		a->all = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp compare_argp = {
	compare_options,
	compare_parse,
	"[RUN]\nBASE NEXT",
	"Compare two variants of a run (default: the newest run), or any two sides, and say what "
	"regressed.\v"
	"A side is RUN, RUN:VARIANT, or @NAME of what assay baseline saved; without a variant it "
	"is "
	"the next one of the run's own comparison.\n\n"
	"Verdicts: regressed (passed, and does not any more), fixed, worse and better (fail < kill "
	"< crash), changed (fails in another way), "
	"incomparable (one side says nothing about the package), new, gone, unstable (a side "
	"differs "
	"from itself), same. Where repeats were made: passes of runs on both sides, and the exact "
	"one-sided p of the repeats.\n\n"
	"Exit status: 0 nothing regressed, 1 something did, 2 the run is void, not over, or the "
	"trouble is ours, 3 usage. What was seen once and no repeat bore out (confidence single: "
	"no repeats were made, or they said nothing; so it is between runs without any) is told "
	"and is no 1, but with --fail-on single.\n\n"
	"Example:\n  assay compare\n  assay compare 7 --base node-22 --next node-24 --all\n  assay "
	"compare "
	"@last-good 7\n  assay compare 3:node-24 7:node-24",
	compare_children,
	NULL,
	NULL,
};

static enum table_ink verdict_ink(enum verdict v)
{
	switch (v) {
	case VERDICT_REGRESSED:
	case VERDICT_WORSE:
		return TABLE_RED;
	case VERDICT_FIXED:
	case VERDICT_BETTER:
		return TABLE_GREEN;
	case VERDICT_UNSTABLE:
	case VERDICT_INCOMPARABLE:
		return TABLE_YELLOW;
	case VERDICT_CHANGED:
	case VERDICT_NEW:
	case VERDICT_GONE:
		return TABLE_BLUE;
	case VERDICT_SAME:
		return TABLE_DIM;
	}
	return TABLE_PLAIN;
}

/* Of a run of one variant there is no verdict; what does not pass is what people look for. */
static bool pair_shown(const struct review *r, const struct review_pair *p, bool all)
{
	if (all || (r->base && p->verdict != VERDICT_SAME))
		return true;
	return !r->base &&
	       (p->next.is.presence != PRESENCE_DONE || p->next.is.status != STATUS_PASS);
}

/* Whether anything can be said on how sure a verdict is. */
static bool any_certainty(const struct review *r)
{
	for (size_t i = 0; i < r->n_pairs; i++) {
		auto_free char *s = review_certainty(&r->pairs[i]);
		if (*s)
			return true;
	}
	return false;
}

/* What made several packages, or any, differ for the worse: before the packages themselves. */
static void compare_causes(const struct review *r)
{
	struct table *t = table_new();
	if (!r->base || !r->n_causes) {
		table_free(t);
		return;
	}
	table_column(t, "PACKAGES", TABLE_RIGHT);
	table_column(t, "FIRST SEEN", TABLE_LEFT);
	table_column(t, "CAUSE", TABLE_LEFT);
	for (size_t i = 0; i < r->n_causes && i < CAUSES_SHOWN; i++) {
		const struct review_cause *c = &r->causes[i];
		auto_free char *line = review_cause_line(r, c, LINE_MAX_SHOWN);
		table_cellf(t, "%zu", c->n);
		table_cellf(t, c->first_run == r->run ? "new" : "run %lld",
			    (long long)c->first_run);
		table_cell(t, line);
	}
	putchar('\n');
	table_print(t, stdout, table_width(stdout), table_colours(stdout));
	if (r->n_causes > CAUSES_SHOWN)
		printf("and %zu causes more\n", r->n_causes - CAUSES_SHOWN);
	table_free(t);
}

static struct table *compare_table(const struct review *r, bool all)
{
	bool certainty = any_certainty(r);
	struct table *t = table_new();
	if (r->base)
		table_column(t, "VERDICT", TABLE_LEFT);
	table_column(t, "PACKAGE", TABLE_LEFT);
	table_column(t, "VERSION", TABLE_LEFT);
	if (r->base)
		table_column(t, r->base, TABLE_LEFT);
	table_column(t, r->next, TABLE_LEFT);
	if (certainty)
		table_column(t, "EVIDENCE", TABLE_LEFT);
	table_column(t, "DECIDING LINE", TABLE_LEFT);
	for (size_t i = 0; i < r->n_pairs; i++) {
		const struct review_pair *p = &r->pairs[i];
		if (!pair_shown(r, p, all))
			continue;
		auto_free char *base = review_outcome(&p->base), *next = review_outcome(&p->next);
		auto_free char *line = review_line(review_telling(p), LINE_MAX_SHOWN);
		if (r->base) {
			table_cell(t, verdict_name(p->verdict));
			table_ink(t, verdict_ink(p->verdict));
		}
		table_cell(t, p->package);
		table_cell(t, p->version);
		if (r->base)
			table_cell(t, base);
		table_cell(t, next);
		if (certainty) {
			auto_free char *sure = review_certainty(p);
			table_cell(t, sure);
		}
		table_cell(t, line);
	}
	return t;
}

/* Entries of the suite's list of what is known that no longer hold: to be looked at. */
static void compare_stale(const struct review *r)
{
	bool any = false;
	for (size_t i = 0; i < r->n_known; i++) {
		auto_free char *stale = review_stale(&r->known[i]);
		auto_free char *line = stale ? plain_line(stale, LINE_MAX_SHOWN) : NULL;
		if (line)
			printf("%s  %s\n", any ? "" : "\nKnown, and not so:\n", line);
		any |= line != NULL;
	}
}

static void compare_print(const struct review *r, const struct compare_args *a)
{
	char took[UNIT_TEXT];
	int64_t wall = rows_int(r->row, 0, "wall_ms", -1);
	auto_free char *headline = review_headline(r);
	printf("Run %lld, suite %s: %s", (long long)r->run, rows_str(r->row, 0, "suite"),
	       validity_name(r->validity));
	printf("%s%s\n", *r->why ? ": " : "", r->why);
	printf("%s", headline);
	if (wall >= 0)
		printf(" (%zu job%s in %s)", r->n_jobs, r->n_jobs == 1 ? "" : "s",
		       unit_duration((uint64_t)wall, took));
	putchar('\n');
	compare_causes(r);
	struct table *t = compare_table(r, a->all);
	if (table_rows(t)) {
		putchar('\n');
		table_print(t, stdout, table_width(stdout), table_colours(stdout));
	}
	size_t unlisted = r->n_pairs - table_rows(t);
	if (!a->all && unlisted)
		printf("\n%zu%s %s the same%s; --all lists %s\n", unlisted,
		       table_rows(t) ? " more" : "", unlisted == 1 ? "is" : "are",
		       r->base ? " on both sides" : ": pass", unlisted == 1 ? "it" : "them");
	table_free(t);
	compare_stale(r);
}

static void compare_print_json(const struct review *r)
{
	json_t *j = review_json(r);
	json_dumpf(j, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(j);
}

int cmd_compare(int argc, char **argv)
{
	struct compare_args a = {0};
	struct err e = ERR_INIT;
	if (argp_parse(&compare_argp, argc, argv, 0, NULL, &a))
		return EXIT_USAGE;
	auto_free char *state = state_path(a.common.state, &e);
	auto_free char *file = state ? own_fmt("%s/assay.db", state) : NULL;
	struct db *d = file ? db_open(file, DB_READ, &e) : NULL;
	const struct options_sides *of = &a.sides;
	struct review *r = d ? review_ask(d, of->run, of->other, of->base, of->next, &e) : NULL;
	int status = r ? review_exit(r, a.fail_on.least) : command_fail(&e);
	if (r && a.common.json)
		compare_print_json(r);
	else if (r)
		compare_print(r, &a);
	review_free(r);
	db_close(d);
	return status;
}
