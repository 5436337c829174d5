#include "orchestrator/commands.h"

#include "base/clock.h"
#include "base/text.h"
#include "base/unit.h"
#include "orchestrator/engine.h"
#include "orchestrator/known.h"
#include "orchestrator/options.h"
#include "orchestrator/progress.h"
#include "orchestrator/replay.h"
#include "orchestrator/verdicts.h"

#include <sched.h>
#include <string.h>

struct run_args {
	struct options_common common;
	struct options_suite suite;
	struct options_ids ids;
	const char *helper, *executor;
	uint64_t jobs, fetches;
	bool verbose, best_effort, allow_expired;
};

enum { RUN_ALLOW_EXPIRED = 0x380, RUN_BEST_EFFORT = 0x300, RUN_FETCHES };

static const struct argp_option run_options[] = {
	{"jobs", 'j', "N", 0, "processors that boxes use at once (default: all there are)", 0},
	{"fetches", RUN_FETCHES, "N", 0,
	 "boxes at once that wait for a network, and count for no processor (default: as jobs)", 0},
	{"best-effort", RUN_BEST_EFFORT, NULL, 0,
	 "go on where a limit of the suite can't be kept on this machine", 0},
	{"executor", 'e', "NAME", 0, "who makes the boxes (default: native)", 0},
	{"allow-expired", RUN_ALLOW_EXPIRED, NULL, 0,
	 "only warn where what the suite knows of a package is past its day", 0},
	{"verbose", 'v', NULL, 0, "tell every step on stderr", 0},
	{0},
};

static const struct argp_child run_children[] = {{&options_suite_argp, 0, NULL, 0},
						 {&options_ids_argp, 0, NULL, 0},
						 {&options_common_argp, 0, NULL, 0},
						 {0}};

static char *run_help(int key, const char *text, void *input)
{
	(void)input;
	auto_free char *names = executor_list();
	return key == 'e' ? own_fmt("%s: %s", text, names) : (char *)text;
}

static void run_executor(struct run_args *a, const char *name, struct argp_state *st)
{
	auto_free char *names = executor_list();
	a->executor = executor_of(name);
	if (!a->executor)
		argp_error(st, "--executor takes %s, not '%s'", names, name);
}

static void run_count(const struct argp_state *st, const char *option, const char *arg, uint64_t *n)
{
	if (unit_parse_count(arg, n) || !*n || *n > ENGINE_AT_ONCE)
		argp_error(st, "--%s takes a number from 1 to %d, not '%s'", option, ENGINE_AT_ONCE,
			   arg);
}

static error_t run_parse(int key, char *arg, struct argp_state *st)
{
	struct run_args *a = st->input;
	switch (key) {
	case ARGP_KEY_INIT:
		st->child_inputs[0] = &a->suite;
		st->child_inputs[1] = &a->ids;
		st->child_inputs[2] = &a->common;
		return 0;
	case 'j':
		run_count(st, "jobs", arg, &a->jobs);
		return 0;
	case RUN_FETCHES:
		run_count(st, "fetches", arg, &a->fetches);
		return 0;
	case RUN_ALLOW_EXPIRED:
		a->allow_expired = true;
		return 0;
	case RUN_BEST_EFFORT:
		a->best_effort = true;
		return 0;
	case 'e':
		run_executor(a, arg, st);
		return 0;
	case 'v':
		a->verbose = true;
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
	"Exit status: 0 nothing regressed, 1 something did, 2 our own failure, a void or an "
	"interrupted run, 3 usage.\n\n"
	"Example:\n  assay run suites/demo.yaml --jobs 4\n  assay run suites/demo.yaml --only "
	"semver browserify-des",
	run_children,
	run_help,
	NULL,
};

static int run_layer_known(void *ctx, const char *name, struct err *e)
{
	struct db_layer l = {0};
	int found = db_layer_find(ctx, name, &l, e);
	if (found > 0)
		db_layer_fini(&l);
	return found;
}

static char *run_lines(const struct suite_env *env, size_t n)
{
	auto_text struct text t = TEXT_INIT;
	for (size_t i = 0; i < n; i++)
		text_addf(&t, "%s%s=%s", i ? "\n" : "", env[i].name, env[i].value);
	return text_take(&t);
}

static char *run_layers(struct db *d, const struct suite_variant *v)
{
	auto_text struct text t = TEXT_INIT;
	for (size_t i = 0; i < v->n_layers; i++) {
		struct db_layer l = {0};
		struct err e = ERR_INIT;
		text_addf(&t, "%s%s", i ? " " : "", v->layers[i]);
		if (db_layer_find(d, v->layers[i], &l, &e) > 0) {
			text_addf(&t, "=%.12s", l.id);
			db_layer_fini(&l);
		}
	}
	return text_take(&t);
}

static char *run_engine(const struct run_args *a)
{
	const char *who = "ordinary user";
	if (!geteuid())
		who = "root";
	else if (a->ids.ids == BOX_IDS_RANGE)
		who = "ordinary user with a range of ids";
	return own_fmt("%s, %s", a->executor, who);
}

/* The run's rows; ids gets one per unit of the plan. */
static int64_t run_record(const struct plan *p, struct state *st, const struct run_args *a,
			  uint64_t at_once, int64_t *ids, struct err *e)
{
	const struct suite *s = p->suite;
	char host[256] = "";
	auto_free struct db_variant *variants = own_calloc(s->n_variants, sizeof(*variants));
	auto_free struct db_job *jobs = own_calloc(p->n_jobs + p->n_skips, sizeof(*jobs));
	auto_free size_t *units = own_calloc(p->n_jobs, sizeof(*units));
	size_t n = 0;
	gethostname(host, sizeof(host) - 1);
	for (size_t i = 0; i < s->n_variants; i++)
		variants[i] =
			(struct db_variant){s->variants[i].name,
					    run_layers(st->db, &s->variants[i]),
					    run_lines(s->variants[i].env, s->variants[i].n_env)};
	for (size_t i = 0; i < p->n_units; i++) {
		const struct plan_unit *u = &p->units[i];
		if (u->variant == PLAN_NONE)
			continue;
		jobs[n] = (struct db_job){0, s->packages[u->package].id,
					  s->packages[u->package].version,
					  s->variants[u->variant].name};
		units[n++] = i;
	}
	auto_free char *engine = run_engine(a);
	const char *goal = NULL;
	for (size_t i = 0; i < s->n_phases; i++)
		if (s->phases[i].goal)
			goal = s->phases[i].name;
	struct db_run run = {
		.suite = s->name,
		.suite_path = s->path,
		.suite_sha256 = s->sha256,
		.ecosystem = s->ecosystem,
		.goal = goal,
		.compare_base = s->has_compare ? s->variants[s->compare[0]].name : NULL,
		.compare_next = s->has_compare ? s->variants[s->compare[1]].name : NULL,
		.host = host,
		.version = ASSAY_VERSION,
		.engine = engine,
		.pid = getpid(),
		.started_ms = clock_real_ms(),
		.jobs_at_once = at_once,
	};
	known_jobs(p, jobs + n);
	int64_t id = db_run_begin(st->db, &run, variants, s->n_variants, jobs, n + p->n_skips, e);
	if (id > 0 && known_record(p, st->db, id, jobs + n, e))
		id = -1;
	for (size_t i = 0; i < n; i++)
		ids[units[i]] = jobs[i].id;
	for (size_t i = 0; i < s->n_variants; i++) {
		free((void *)(uintptr_t)variants[i].layers);
		free((void *)(uintptr_t)variants[i].env);
	}
	return id;
}

static uint64_t run_processors(void)
{
	cpu_set_t set;
	int n = sched_getaffinity(0, sizeof(set), &set) ? 1 : CPU_COUNT(&set);
	return n > 0 ? (uint64_t)n : 1;
}

/* How long it took, and how short it could have been. */
static void run_spent(struct db *d, int64_t run)
{
	struct sim s = {0};
	struct spent spent;
	struct err e = ERR_INIT;
	if (!replay_run(d, run, &s, &spent, &e) && s.n_phases) {
		auto_free char *text = spent_text(&spent);
		fprintf(stderr, "run %lld: %s\n", (long long)run, text);
	}
	sim_fini(&s);
}

/* The comparison of what was just recorded, as the command of that name prints it. */
static int run_compare(const struct run_args *a, const struct state *st, int64_t run)
{
	char id[24], name[] = "assay compare", state[] = "--state", json[] = "--json";
	char *argv[6] = {name, state, st->path, id, a->common.json ? json : NULL, NULL};
	snprintf(id, sizeof(id), "%lld", (long long)run);
	return cmd_compare(a->common.json ? 5 : 4, argv);
}

static int run_suite(const struct run_args *a, const struct suite *s, struct state *st,
		     struct err *e)
{
	struct plan *plan =
		plan_make(s, a->suite.only, a->suite.n_only, run_layer_known, st->db, e);
	if (!plan)
		return -1;
	struct engine_outcome outcome;
	struct progress progress;
	auto_free int64_t *ids = own_calloc(plan->n_units, sizeof(*ids));
	uint64_t at_once = a->jobs ? a->jobs : run_processors();
	int status = -1;
	int64_t run = run_record(plan, st, a, at_once, ids, e);
	if (run > 0) {
		struct engine_conf conf = {
			.plan = plan,
			.state = st,
			.run = run,
			.jobs = ids,
			.at_once = at_once,
			.fetches = a->fetches ? a->fetches : at_once,
			.helper = a->helper,
			.executor = a->executor,
			.ids = a->ids.ids,
			.best_effort = a->best_effort,
			.verbose = a->verbose,
			.on_news = progress_news,
			.on_tick = progress_tick,
			.on_held = progress_held,
			.owner = &progress,
		};
		progress_init(&progress, run, s, plan->n_jobs);
		int rc = engine_run(&conf, &outcome, e);
		progress_fini(&progress);
		struct err late = ERR_INIT; /* the first trouble is the one to tell */
		const char *end = rc ? "aborted" : outcome.interrupted ? "interrupted" : "done";
		if (db_run_held(st->db, run, (int64_t)outcome.held_ms, rc ? &late : e) ||
		    db_run_end(st->db, run, end, clock_real_ms(), rc ? &late : e))
			rc = -1;
		/* what was cut short may be gone on with: nothing is said of it yet */
		if (!rc && !outcome.interrupted)
			rc = verdicts_record(st->db, run, e);
		if (!rc)
			run_spent(st->db, run);
		if (!rc && outcome.interrupted) {
			fprintf(stderr,
				"assay: run %lld was interrupted with %zu of %zu jobs done\n",
				(long long)run, outcome.done, plan->n_jobs);
			status = EXIT_OURS;
		} else if (!rc) {
			status = run_compare(a, st, run);
		}
	}
	plan_free(plan);
	return status;
}

int cmd_run(int argc, char **argv)
{
	struct run_args a = {.helper = getenv("ASSAY_BOX"), .executor = executor_names[0]};
	struct err e = ERR_INIT;
	if (argp_parse(&run_argp, argc, argv, 0, NULL, &a))
		return EXIT_USAGE;
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
