#include "orchestrator/commands.h"

#include "base/unit.h"
#include "orchestrator/options.h"
#include "orchestrator/replay.h"
#include "orchestrator/state.h"
#include "orchestrator/table.h"

#include <jansson.h>
#include <string.h>

struct simulate_args {
	struct options_common common;
	const char *what;
	uint64_t slots, fetches, seed;
	double sigma;
	enum sched_policy policy;
	bool all;
};

enum { SIMULATE_SIGMA = 0x300, SIMULATE_SEED, SIMULATE_FETCHES };

static const struct argp_option simulate_options[] = {
	{"slots", 'n', "N", 0, "processors (default: the run's, for a file 4)", 0},
	{"fetches", SIMULATE_FETCHES, "N", 0, "phases with a network at once (default: as slots)",
	 0},
	{"policy", 'p', "lpt|fifo|random|sjf|all", 0,
	 "longest first (default), as listed, by chance, shortest first; or a line for each", 0},
	{"sigma", SIMULATE_SIGMA, "S", 0,
	 "the scheduler's estimates are off by a log-normal factor of this sigma (default 0)", 0},
	{"seed", SIMULATE_SEED, "N", 0, "of what is by chance (default 1)", 0},
	{0},
};

static const struct argp_child simulate_children[] = {{&options_common_argp, 0, NULL, 0}, {0}};

static void simulate_count(const struct argp_state *st, const char *arg, uint64_t most, uint64_t *n,
			   const char *option)
{
	if (unit_parse_count(arg, n) || !*n || *n > most)
		argp_error(st, "--%s takes a number from 1 to %llu, not '%s'", option,
			   (unsigned long long)most, arg);
}

static void simulate_sigma(const struct argp_state *st, const char *arg, double *sigma)
{
	char *end;
	*sigma = strtod(arg, &end);
	if (end == arg || *end || !(*sigma >= 0 && *sigma <= 5))
		argp_error(st, "--sigma takes a number from 0 to 5, not '%s'", arg);
}

static error_t simulate_parse(int key, char *arg, struct argp_state *st)
{
	struct simulate_args *a = st->input;
	switch (key) {
	case ARGP_KEY_INIT:
		st->child_inputs[0] = &a->common;
		return 0;
	case 'n':
		simulate_count(st, arg, 100000, &a->slots, "slots");
		return 0;
	case SIMULATE_FETCHES:
		simulate_count(st, arg, 100000, &a->fetches, "fetches");
		return 0;
	case SIMULATE_SEED:
		simulate_count(st, arg, UINT32_MAX, &a->seed, "seed");
		return 0;
	case SIMULATE_SIGMA:
		simulate_sigma(st, arg, &a->sigma);
		return 0;
	case 'p':
		a->all = !strcmp(arg, "all");
		if (!a->all && sched_policy_parse(arg, &a->policy))
			argp_error(st, "--policy takes lpt, fifo, random, sjf or all, not '%s'",
				   arg);
		return 0;
	case ARGP_KEY_ARG:
		if (a->what)
			argp_error(st, "one run or file at a time");
		a->what = arg;
		return 0;
	case ARGP_KEY_END:
		if (!a->what)
			argp_error(st, "which run, or which file?");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp simulate_argp = {
	simulate_options,
	simulate_parse,
	"RUN|FILE",
	"Play the jobs of a recorded run, or of a file, through the scheduler on a clock that "
	"costs no "
	"time, and say how long that takes and how short it could be.\v"
	"A FILE has a JSON object per line: name, seconds, and where wanted expect (seconds the "
	"scheduler thinks of), cpus, memory, fetch (seconds of waiting for a network before) and "
	"depends "
	"(names). The lower bound is the largest of the longest chain of jobs, the work by slots, "
	"and "
	"the fetches by --fetches.\n\n"
	"Example:\n  assay simulate 12 --slots 16 --policy all\n  assay simulate jobs.jsonl "
	"--slots 8 "
	"--sigma 0.5",
	simulate_children,
	NULL,
	NULL,
};

static int simulate_load(const struct simulate_args *a, struct sim *s, struct spent *sp,
			 struct err *e)
{
	uint64_t run;
	if (unit_parse_count(a->what, &run))
		return replay_file(a->what, s, e);
	auto_free char *state = state_path(a->common.state, e);
	if (!state)
		return -1;
	auto_free char *file = own_fmt("%s/assay.db", state);
	struct db *d = db_open(file, DB_READ, e);
	int rc = d ? replay_run(d, (int64_t)run, s, sp, e) : -1;
	db_close(d);
	if (!rc && !s->n_units)
		return err_set(e, ERR_ABSENT, "run %s has no phases that ended", a->what);
	return rc;
}

struct simulate_line {
	enum sched_policy policy;
	struct sim_outcome out;
};

static double ratio_of(const struct sim_outcome *o)
{
	return o->bound_ms ? (double)o->makespan_ms / (double)o->bound_ms : 1;
}

static void simulate_print(const struct simulate_args *a, const struct sim *s,
			   const struct simulate_line *lines, size_t n)
{
	struct table *t = table_new();
	char text[UNIT_TEXT], chain[UNIT_TEXT], share[UNIT_TEXT];
	table_column(t, "POLICY", TABLE_LEFT);
	table_column(t, "MAKESPAN", TABLE_RIGHT);
	table_column(t, "BOUND", TABLE_RIGHT);
	table_column(t, "RATIO", TABLE_RIGHT);
	for (size_t i = 0; i < n; i++) {
		table_cell(t, sched_policy_name(lines[i].policy));
		table_cell(t, unit_duration(lines[i].out.makespan_ms, text));
		table_cell(t, unit_duration(lines[i].out.bound_ms, text));
		table_cellf(t, "%.3f", ratio_of(&lines[i].out));
	}
	printf("%zu jobs of %zu packages, %zu phases, %llu slots: longest chain %s, work by slots "
	       "%s\n",
	       s->n_units, s->n_packages, s->n_phases, (unsigned long long)a->slots,
	       unit_duration(lines[0].out.chain_ms, chain),
	       unit_duration(lines[0].out.share_ms, share));
	table_print(t, stdout, table_width(stdout), table_colours(stdout));
	table_free(t);
}

static void simulate_print_json(const struct simulate_args *a, const struct sim *s,
				const struct simulate_line *lines, size_t n)
{
	json_t *list = json_array();
	for (size_t i = 0; i < n; i++) {
		const struct sim_outcome *o = &lines[i].out;
		json_array_append_new(list,
				      json_pack("{s:s, s:I, s:I, s:f, s:I, s:I}", "policy",
						sched_policy_name(lines[i].policy), "makespan_ms",
						(json_int_t)o->makespan_ms, "bound_ms",
						(json_int_t)o->bound_ms, "ratio", ratio_of(o),
						"chain_ms", (json_int_t)o->chain_ms, "share_ms",
						(json_int_t)o->share_ms));
	}
	json_t *j = json_pack("{s:I, s:I, s:I, s:I, s:o}", "jobs", (json_int_t)s->n_units,
			      "packages", (json_int_t)s->n_packages, "slots", (json_int_t)a->slots,
			      "fetches", (json_int_t)a->fetches, "policies", list);
	json_dumpf(j, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(j);
}

static void simulate_go(struct simulate_args *a, struct sim *s, const struct spent *sp)
{
	struct simulate_line lines[4];
	size_t n = 0;
	if (!a->slots)
		a->slots = sp->slots ? sp->slots : 4;
	if (!a->fetches)
		a->fetches = a->slots;
	if (a->sigma > 0)
		sim_blur(s, a->sigma, a->seed);
	for (unsigned p = 0; sched_policy_name(p); p++) {
		if (!a->all && p != a->policy)
			continue;
		struct sim_conf conf = {a->slots, a->fetches, p, a->seed};
		lines[n].policy = p;
		sim_run(s, &conf, &lines[n++].out);
	}
	if (a->common.json)
		simulate_print_json(a, s, lines, n);
	else
		simulate_print(a, s, lines, n);
}

int cmd_simulate(int argc, char **argv)
{
	struct simulate_args a = {.seed = 1, .policy = POLICY_LPT};
	struct err e = ERR_INIT;
	struct sim s = {0};
	struct spent sp = {0};
	if (argp_parse(&simulate_argp, argc, argv, 0, NULL, &a))
		return EXIT_USAGE;
	int rc = simulate_load(&a, &s, &sp, &e);
	if (!rc)
		simulate_go(&a, &s, &sp);
	sim_fini(&s);
	return rc ? command_fail(&e) : EXIT_OK;
}
