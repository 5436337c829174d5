#include "orchestrator/commands.h"

#include "base/unit.h"
#include "orchestrator/carry.h"
#include "orchestrator/record.h"
#include "orchestrator/rows.h"

#include <string.h>

struct rerun_args {
	struct options_common common;
	struct how how;
	uint64_t run, times;
	bool failed, infra;
	const char **packages;
	size_t n_packages;
};

enum { RERUN_TIMES = 0x380, RERUN_FAILED, RERUN_INFRA };

static const struct argp_option rerun_options[] = {
	{"times", RERUN_TIMES, "N", 0, "so many runs, one after another (default 1)", 0},
	{"failed", RERUN_FAILED, NULL, 0, "the packages that did not pass under some variant", 0},
	{"infra", RERUN_INFRA, NULL, 0, "those that our own trouble kept from a result", 0},
	{0},
};

static const struct argp_child rerun_children[] = {{&how_argp, 0, NULL, 0},
						   {&options_common_argp, 0, NULL, 0},
						   {0}};

static void rerun_arg(struct rerun_args *a, const char *arg, const struct argp_state *st)
{
	if (a->run) {
		a->packages = own_grow(a->packages, a->n_packages + 1, sizeof(*a->packages));
		a->packages[a->n_packages++] = arg;
	} else if (unit_parse_count(arg, &a->run) || !a->run || a->run > INT64_MAX) {
		argp_error(st, "a run is a number, not '%s'", arg);
	}
}

static error_t rerun_parse(int key, char *arg, struct argp_state *st)
{
	struct rerun_args *a = st->input;
	switch (key) {
	case ARGP_KEY_INIT:
		st->child_inputs[0] = &a->how;
		st->child_inputs[1] = &a->common;
		return 0;
	case RERUN_TIMES:
		if (unit_parse_count(arg, &a->times) || !a->times || a->times > 1000)
			argp_error(st, "--times takes a number from 1 to 1000, not '%s'", arg);
		return 0;
	case RERUN_FAILED:
		a->failed = true;
		return 0;
	case RERUN_INFRA:
		a->infra = true;
		return 0;
	case ARGP_KEY_ARG:
		rerun_arg(a, arg, st);
		return 0;
	case ARGP_KEY_END:
		if (!a->run)
			argp_error(st, "which run?");
		if (!a->n_packages && !a->failed && !a->infra)
			argp_error(st, "which packages? Names, --failed or --infra");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp rerun_argp = {
	rerun_options,
	rerun_parse,
	"RUN PACKAGE…",
	"Run packages of a run again, as a run of its own with the same suite, layers and "
	"options.\v"
	"Suite and layers must be as they were. The exit status is the worst of its runs'.\n\n"
	"Example:\n  assay rerun 12 semver --times 10\n  assay rerun 12 --failed",
	rerun_children,
	NULL,
	NULL,
};

static bool rerun_wants(const struct rerun_args *a, const char *status)
{
	bool ours = !strcmp(status, "infra") || !*status;
	return (a->infra && ours) ||
	       (a->failed && !ours && strcmp(status, "pass") && strcmp(status, "skip"));
}

/* The packages that --failed and --infra mean join those named; texts are the table's. */
static int rerun_choose(struct rerun_args *a, struct db *d, struct db_table **jobs, struct err *e)
{
	char id[24];
	const char *arg = id, *last = "";
	snprintf(id, sizeof(id), "%lld", (long long)a->run);
	if (db_named(d, "jobs", &arg, 1, jobs, e))
		return -1;
	for (size_t i = 0; i < (*jobs)->n_rows; i++) {
		const char *package = rows_str(*jobs, i, "package");
		/* by package: of its variants the first that is wanted is enough */
		if (!rerun_wants(a, rows_str(*jobs, i, "status")) || !strcmp(package, last))
			continue;
		last = package;
		a->packages = own_grow(a->packages, a->n_packages + 1, sizeof(*a->packages));
		a->packages[a->n_packages++] = package;
	}
	return a->n_packages ? 0 : err_set(e, ERR_ABSENT, "run %s has no such packages", id);
}

static int rerun(struct rerun_args *a, struct state *st, struct err *e)
{
	struct record_again again;
	struct db_table *jobs = NULL;
	int status = EXIT_OK;
	if (record_same(&again, st, (int64_t)a->run, &a->how, e))
		return -1;
	how_fill(&a->how);
	a->how.reuse = false; /* what was asked for is to run */
	if (rerun_choose(a, st->db, &jobs, e))
		status = -1;
	for (uint64_t i = 0; i < a->times && status >= 0 && status != EXIT_OURS; i++) {
		int64_t run;
		int now = carry_anew(again.suite, a->packages, a->n_packages, &a->how, st, &run, e);
		status = now < 0 || now > status ? now : status;
	}
	db_table_free(jobs);
	record_again_fini(&again);
	return status;
}

int cmd_rerun(int argc, char **argv)
{
	struct rerun_args a = {.times = 1};
	struct err e = ERR_INIT;
	if (argp_parse(&rerun_argp, argc, argv, 0, NULL, &a))
		return EXIT_USAGE;
	a.how.json = a.common.json;
	struct state *st = state_open(a.common.state, &e);
	int status = st ? rerun(&a, st, &e) : -1;
	if (status < 0)
		status = command_fail(&e);
	state_close(st);
	free(a.packages);
	return status;
}
