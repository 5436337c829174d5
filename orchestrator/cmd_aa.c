#include "orchestrator/commands.h"

#include "orchestrator/carry.h"
#include "orchestrator/known.h"
#include "orchestrator/record.h"
#include "orchestrator/review.h"

#include <string.h>

struct aa_args {
	struct options_common common;
	struct options_suite suite;
	struct how how;
	const char *variant;
};

enum { AA_VARIANT = 0x390 };

static const struct argp_option aa_options[] = {
	{"variant", AA_VARIANT, "VARIANT", 0, "which (default: the base of the suite's comparison)",
	 0},
	{0},
};

static const struct argp_child aa_children[] = {{&options_suite_argp, 0, NULL, 0},
						{&how_argp, 0, NULL, 0},
						{&options_common_argp, 0, NULL, 0},
						{0}};

static error_t aa_parse(int key, char *arg, struct argp_state *st)
{
	struct aa_args *a = st->input;
	switch (key) {
	case ARGP_KEY_INIT:
		st->child_inputs[0] = &a->suite;
		st->child_inputs[1] = &a->how;
		st->child_inputs[2] = &a->common;
		return 0;
	case AA_VARIANT:
		a->variant = arg;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp aa_argp = {
	aa_options,
	aa_parse,
	"SUITE",
	"Run a variant of SUITE against itself, and say what comes of nothing: how many packages "
	"seem to "
	"regress although nothing changed, and how many of them repeats let pass.\v"
	"What packages do by themselves is remembered, as after any run, and asked for more "
	"evidence the "
	"next time.\n\n"
	"Exit status: 0 nothing was confirmed, 1 something was, 2 our own failure or a void run, 3 "
	"usage.\n\n"
	"Example:\n  assay aa suites/demo.yaml --jobs 4",
	aa_children,
	NULL,
	NULL,
};

/* What was single would have been told by a comparison without repeats. */
static void aa_floor(const struct review *r)
{
	size_t alarms = 0, apart = 0;
	for (size_t i = 0; i < r->n_pairs; i++) {
		const struct review_pair *p = &r->pairs[i];
		enum verdict single = compare_sides(&p->base.is, &p->next.is);
		alarms += single == VERDICT_REGRESSED;
		apart += single != VERDICT_SAME && single != VERDICT_INCOMPARABLE;
	}
	printf("\nNoise floor: of %zu packages %zu differ from themselves, %zu as if they had "
	       "regressed; "
	       "%zu confirmed after repeats\n",
	       r->n_pairs, apart, alarms, r->n_confirmed);
}

static int aa_report(const struct aa_args *a, struct state *st, int64_t run, int status,
		     struct err *e)
{
	struct review *r = review_load(st->db, run, NULL, NULL, e);
	if (!r)
		return -1;
	if (!a->common.json)
		aa_floor(r);
	/* by themselves packages differ; what is confirmed of nothing is an alarm */
	if (status == EXIT_REGRESSED && !r->n_confirmed)
		status = EXIT_OK;
	review_free(r);
	return status;
}

static int aa_run(struct aa_args *a, const struct suite *s, struct state *st, struct err *e)
{
	struct plan *plan =
		plan_make(s, a->suite.only, a->suite.n_only, record_layer_known, st->db, e);
	if (!plan)
		return -1;
	auto_free int64_t *ids = own_calloc(plan->n_units, sizeof(*ids));
	int64_t run = record_begin(plan, st, &a->how, ids, e);
	struct carry c = {.how = &a->how, .plan = plan, .state = st, .run = run, .ids = ids};
	int status = run > 0 ? carry_out(&c, e) : -1;
	if (status == EXIT_OK || status == EXIT_REGRESSED)
		status = aa_report(a, st, run, status, e);
	plan_free(plan);
	return status;
}

int cmd_aa(int argc, char **argv)
{
	struct aa_args a = {0};
	struct err e = ERR_INIT;
	if (argp_parse(&aa_argp, argc, argv, 0, NULL, &a))
		return EXIT_USAGE;
	how_fill(&a.how);
	a.how.json = a.common.json;
	int status = -1;
	struct suite *s = suite_load(a.suite.suite, &e);
	bool fit = s && !suite_against_itself(s, a.variant, &e);
	struct state *st = fit ? state_open(a.common.state, &e) : NULL;
	if (st)
		status = aa_run(&a, s, st, &e);
	if (status < 0)
		status = command_fail(&e);
	state_close(st);
	suite_free(s);
	free(a.suite.only);
	return status;
}
