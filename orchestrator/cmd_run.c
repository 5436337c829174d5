#include "orchestrator/commands.h"

#include "orchestrator/carry.h"
#include "base/unit.h"
#include "orchestrator/kept.h"
#include "orchestrator/known.h"
#include "orchestrator/record.h"
#include "orchestrator/spare.h"

struct run_args {
	struct options_common common;
	struct options_suite suite;
	struct how how;
	bool allow_expired;
	uint64_t keep; /* UINT64_MAX: not given */
};

enum { RUN_ALLOW_EXPIRED = 0x380, RUN_FRESH, RUN_RECHECK, RUN_KEEP };

static const struct argp_option run_options[] = {
	{"fresh", RUN_FRESH, NULL, 0,
	 "run everything, also what earlier runs judged, or left, with the same inputs", 0},
	{"recheck", RUN_RECHECK, "PERCENT", 0,
	 "of the packages that earlier runs judged run so many all the same (default 2)", 0},
	{"keep-layers", RUN_KEEP, "SIZE", 0,
	 "of what phases leave keep so much for later runs (default: the suite's keep-layers, "
	 "else 10G; 0: nothing)",
	 0},
	{"allow-expired", RUN_ALLOW_EXPIRED, NULL, 0,
	 "only warn where what the suite knows of a package is past its day", 0},
	{0},
};

static const struct argp_child run_children[] = {{&options_suite_argp, 0, NULL, 0},
						 {&how_argp, 0, NULL, 0},
						 {&options_common_argp, 0, NULL, 0},
						 {0}};

static void run_recheck(struct run_args *a, const char *arg, const struct argp_state *st)
{
	char *end;
	a->how.recheck = strtod(arg, &end);
	if (end == arg || *end || !(a->how.recheck >= 0 && a->how.recheck <= 100))
		argp_error(st, "--recheck takes a number from 0 to 100, not '%s'", arg);
}

static error_t run_parse(int key, char *arg, struct argp_state *st)
{
	struct run_args *a = st->input;
	switch (key) {
	case ARGP_KEY_INIT:
		st->child_inputs[0] = &a->suite;
		st->child_inputs[1] = &a->how;
		st->child_inputs[2] = &a->common;
		return 0;
	case RUN_ALLOW_EXPIRED:
		a->allow_expired = true;
		return 0;
	case RUN_FRESH:
		a->how.reuse = false;
		return 0;
	case RUN_KEEP:
		if (unit_parse_size(arg, &a->keep))
			argp_error(st, "--keep-layers takes a size (20G), not '%s'", arg);
		return 0;
	case RUN_RECHECK:
		run_recheck(a, arg, st);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp run_argp = {
	run_options,
	run_parse,
	"SUITE",
	"Run every package of SUITE under each of its variants, each phase in a sandbox of its "
	"own, and say what regressed.\v"
	"Exit status: 0 nothing regressed, 1 something did (see --fail-on), 2 our own failure, a "
	"void or an "
	"interrupted run, 3 usage.\n\n"
	"Example:\n  assay run suites/demo.yaml --jobs 4\n  assay run suites/demo.yaml --only "
	"semver browserify-des",
	run_children,
	NULL,
	NULL,
};

static uint64_t run_keep(const struct run_args *a, const struct suite *s)
{
	return a->keep != UINT64_MAX          ? a->keep
	       : s->keep_layers != UINT64_MAX ? s->keep_layers
					      : KEPT_DEFAULT;
}

static int run_suite(struct run_args *a, const struct suite *s, struct state *st, struct err *e)
{
	struct plan *plan =
		plan_make(s, a->suite.only, a->suite.n_only, record_layer_known, st->db, e);
	if (!plan)
		return -1;
	a->how.keep_bytes = run_keep(a, s);
	auto_free int64_t *ids = own_calloc(plan->n_units, sizeof(*ids));
	int64_t run = record_begin(plan, st, &a->how, ids, e);
	struct spare spared = {0};
	if (run > 0 && spare_jobs(plan, st, run, &a->how, ids, &spared, e))
		run = -1;
	if (spared.spared)
		fprintf(stderr,
			"run %lld: unchanged since an earlier run judged them: %zu jobs; run all "
			"the same to check: %zu (--fresh runs everything)\n",
			(long long)run, spared.spared, spared.rechecked);
	struct carry c = {.how = &a->how,
			  .plan = plan,
			  .state = st,
			  .run = run,
			  .ids = ids,
			  .was = spared.was};
	int status = run > 0 ? carry_out(&c, e) : -1;
	free(spared.was);
	plan_free(plan);
	return status;
}

int cmd_run(int argc, char **argv)
{
	struct run_args a = {.how = {.reuse = true, .recheck = 2}, .keep = UINT64_MAX};
	struct err e = ERR_INIT;
	if (argp_parse(&run_argp, argc, argv, 0, NULL, &a))
		return EXIT_USAGE;
	how_fill(&a.how);
	a.how.json = a.common.json;
	int status = -1;
	struct suite *s = suite_load(a.suite.suite, &e);
	char today[16];
	known_today(today);
	bool fit = s && !suite_known_check(s, today, a.allow_expired, &e);
	struct state *st = fit ? state_open(a.common.state, &e) : NULL;
	if (st)
		status = run_suite(&a, s, st, &e);
	if (status < 0)
		status = command_fail(&e);
	state_close(st);
	suite_free(s);
	free(a.suite.only);
	return status;
}
