/* assay cache refresh: the fetch phases of a suite and nothing else, so that what stores hold is
 * new before the night's runs begin. */
#include "orchestrator/cache_cmd.h"
#include "orchestrator/carry.h"
#include "orchestrator/commands.h"
#include "orchestrator/known.h"
#include "orchestrator/record.h"
#include "orchestrator/rows.h"

#include <inttypes.h>
#include <string.h>

struct refresh {
	struct options_common common;
	struct options_suite suite;
	struct how how;
};

static const struct argp_child refresh_children[] = {{&options_suite_argp, 0, NULL, 0},
						     {&how_argp, 0, NULL, 0},
						     {&options_common_argp, 0, NULL, 0},
						     {0}};

static error_t refresh_parse(int key, char *arg, struct argp_state *st)
{
	struct refresh *r = st->input;
	(void)arg;
	if (key != ARGP_KEY_INIT)
		return ARGP_ERR_UNKNOWN;
	st->child_inputs[0] = &r->suite;
	st->child_inputs[1] = &r->how;
	st->child_inputs[2] = &r->common;
	return 0;
}

static const struct argp refresh_argp = {
	NULL,
	refresh_parse,
	"SUITE",
	"Run the phases of SUITE that fetch, up to the last that brings something into a store, "
	"once for each package, with their network; and say what was new, changed or refused.\v"
	"Exit status: 0, 1 where a package could not be fetched or a harvest was refused, 2 our "
	"own trouble, 3 usage.\n\n"
	"Example:\n  assay cache refresh suites/demo.yaml --jobs 4",
	refresh_children,
	NULL,
	NULL,
};

/* The suite as far as its last harvest, under its first variant: phases before it that are shared
 * by all variants are run once anyway. */
static int refresh_cut(struct suite *s, struct err *e)
{
	size_t last = s->n_phases;
	for (size_t i = 0; i < s->n_phases; i++)
		if (s->phases[i].n_harvest)
			last = i;
	if (last == s->n_phases)
		return err_set(e, ERR_USAGE,
			       "suite %s has no phase that brings anything into a store", s->name);
	for (size_t i = 0; i < s->n_phases; i++) {
		s->phases[i].goal = i == last;
		/* What a store has already is what is to be made new. */
		s->phases[i].offline_first = false;
	}
	s->phases[last].once_per_package = false;
	s->has_compare = false;
	return 0;
}

static int refresh_print(const struct refresh *r, struct db *d, int64_t run, struct err *e)
{
	static const struct cache_column columns[] = {
		{"store", "STORE", CACHE_TEXT},           {"package", "PACKAGE", CACHE_TEXT},
		{"added", "NEW", CACHE_NUMBER},           {"merged", "MERGED", CACHE_NUMBER},
		{"replaced", "CHANGED", CACHE_NUMBER},    {"identical", "THERE", CACHE_NUMBER},
		{"conflicts", "CONFLICTS", CACHE_NUMBER}, {"pending", "PENDING", CACHE_NUMBER},
		{"refused", "REFUSED", CACHE_NUMBER},     {"new_bytes", "SIZE", CACHE_SIZE},
	};
	const struct cache_args as = {.common = r->common};
	struct db_table *harvests, *jobs;
	auto_free char *id = own_fmt("%" PRId64, run);
	size_t bad = 0;
	if (cache_cmd_ask(d, "jobs", id, &jobs, e))
		return -1;
	for (size_t i = 0; i < jobs->n_rows; i++) {
		const char *status = rows_str(jobs, i, "status");
		if (!strcmp(status, "pass"))
			continue;
		bad++;
		fprintf(stderr, "assay: %s was not fetched: %s/%s\n", rows_str(jobs, i, "package"),
			status, rows_str(jobs, i, "reason"));
	}
	db_table_free(jobs);
	if (cache_cmd_ask(d, "harvests", id, &harvests, e))
		return -1;
	for (size_t i = 0; i < harvests->n_rows; i++)
		bad += rows_int(harvests, i, "refused", 0) > 0;
	cache_cmd_print(&as, harvests, columns, countof(columns), "nothing was brought");
	return bad > 0;
}

static int refresh_run(struct refresh *r, struct suite *s, struct state *st, struct err *e)
{
	struct plan *plan =
		plan_make(s, r->suite.only, r->suite.n_only, record_layer_known, st->db, e);
	if (!plan)
		return -1;
	auto_free int64_t *ids = own_calloc(plan->n_units, sizeof(*ids));
	int64_t run = record_begin(plan, st, &r->how, ids, e);
	const struct carry c = {.how = &r->how,
				.plan = plan,
				.state = st,
				.run = run,
				.ids = ids,
				.fetches_only = true};
	int status = run > 0 ? carry_out(&c, e) : -1;
	plan_free(plan);
	return status == EXIT_OK ? refresh_print(r, st->db, run, e) : status;
}

int cmd_cache_refresh(int argc, char **argv)
{
	struct refresh r = {0};
	struct err e = ERR_INIT;
	if (argp_parse(&refresh_argp, argc, argv, 0, NULL, &r))
		return EXIT_USAGE;
	how_fill(&r.how);
	r.how.json = r.common.json;
	struct suite *s = suite_load(r.suite.suite, &e);
	int status = s ? refresh_cut(s, &e) : -1;
	struct state *st = status ? NULL : state_open(r.common.state, &e);
	if (st) {
		size_t all = s->n_variants;
		s->n_variants = 1;
		status = refresh_run(&r, s, st, &e);
		s->n_variants = all;
	} else {
		status = -1;
	}
	if (status < 0)
		status = command_fail(&e);
	state_close(st);
	suite_free(s);
	free(r.suite.only);
	return status;
}
