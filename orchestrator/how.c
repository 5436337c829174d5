#include "orchestrator/how.h"

#include "base/unit.h"
#include "orchestrator/engine.h"

#include <jansson.h>
#include <sched.h>
#include <string.h>

enum { HOW_BEST_EFFORT = 0x400, HOW_FETCHES, HOW_PORCELAIN, HOW_REPEAT, HOW_FIXES };

static const struct argp_option how_options[] = {
	{"jobs", 'j', "N", 0, "processors that boxes use at once (default: all there are)", 0},
	{"fetches", HOW_FETCHES, "N", 0,
	 "boxes at once that wait for a network, and count for no processor (default: as jobs)", 0},
	{"repeats", HOW_REPEAT, "N", 0,
	 "repeat what regressed so often a side, at the most (default: 5; known flaky packages "
	 "twice as "
	 "often; 0: never)",
	 0},
	{"repeat-fixes", HOW_FIXES, "PERCENT", 0,
	 "of what is fixed repeat so much, too (default: 0)", 0},
	{"best-effort", HOW_BEST_EFFORT, NULL, 0,
	 "go on where a limit of the suite can't be kept on this machine", 0},
	{"executor", 'e', "NAME", 0, "who makes the boxes (default: native)", 0},
	{"porcelain", HOW_PORCELAIN, NULL, 0,
	 "tell a program: a line per event on standard output, and no comparison", 0},
	{"verbose", 'v', NULL, 0, "tell every step on stderr", 0},
	{0},
};

static const struct argp_child how_children[] = {{&options_ids_argp, 0, NULL, 0},
						 {&options_fail_on_argp, 0, NULL, 0},
						 {0}};

static char *how_help(int key, const char *text, void *input)
{
	(void)input;
	auto_free char *names = executor_list();
	return key == 'e' ? own_fmt("%s: %s", text, names) : (char *)text;
}

static void how_executor(struct how *a, const char *name, struct argp_state *st)
{
	auto_free char *names = executor_list();
	a->executor = executor_of(name);
	if (!a->executor)
		argp_error(st, "--executor takes %s, not '%s'", names, name);
}

static void how_count(const struct argp_state *st, const char *option, const char *arg, uint64_t *n)
{
	if (unit_parse_count(arg, n) || !*n || *n > ENGINE_AT_ONCE)
		argp_error(st, "--%s takes a number from 1 to %d, not '%s'", option, ENGINE_AT_ONCE,
			   arg);
}

static void how_number(const struct argp_state *st, const char *option, const char *arg,
		       uint64_t most, uint64_t *n)
{
	if (unit_parse_count(arg, n) || *n > most)
		argp_error(st, "--%s takes a number from 0 to %d, not '%s'", option, (int)most,
			   arg);
}

static error_t how_parse(int key, char *arg, struct argp_state *st)
{
	struct how *h = st->input;
	switch (key) {
	case ARGP_KEY_INIT:
		st->child_inputs[0] = &h->ids;
		st->child_inputs[1] = &h->fail_on;
		h->repeats = h->repeat_fixes = HOW_UNGIVEN;
		return 0;
	case 'j':
		how_count(st, "jobs", arg, &h->jobs);
		return 0;
	case HOW_FETCHES:
		how_count(st, "fetches", arg, &h->fetches);
		return 0;
	case HOW_REPEAT:
		how_number(st, "repeats", arg, HOW_REPEATS, &h->repeats);
		return 0;
	case HOW_FIXES:
		how_number(st, "repeat-fixes", arg, 100, &h->repeat_fixes);
		return 0;
	case HOW_BEST_EFFORT:
		h->best_effort = true;
		return 0;
	case 'e':
		how_executor(h, arg, st);
		return 0;
	case HOW_PORCELAIN:
		h->porcelain = true;
		return 0;
	case 'v':
		h->verbose = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

const struct argp how_argp = {how_options, how_parse, NULL, NULL, how_children, how_help, NULL};

static uint64_t how_processors(void)
{
	cpu_set_t set;
	int n = sched_getaffinity(0, sizeof(set), &set) ? 1 : CPU_COUNT(&set);
	return n > 0 ? (uint64_t)n : 1;
}

void how_fill(struct how *h)
{
	if (!h->jobs)
		h->jobs = how_processors();
	if (!h->fetches)
		h->fetches = h->jobs;
	if (h->repeats == HOW_UNGIVEN)
		h->repeats = confirm_defaults.most;
	if (h->repeat_fixes == HOW_UNGIVEN)
		h->repeat_fixes = 0;
	if (!h->executor)
		h->executor = executor_names[0];
	if (!h->helper)
		h->helper = getenv("ASSAY_BOX");
}

struct confirm_conf how_confirm(const struct how *h)
{
	unsigned most = h->repeats == HOW_UNGIVEN ? confirm_defaults.most : (unsigned)h->repeats;
	return (struct confirm_conf){.most = most, .most_flaky = 2 * most, .p = confirm_defaults.p};
}

char *how_json(const struct how *h)
{
	json_t *j = json_pack("{s:I, s:I, s:I, s:I, s:s, s:i, s:b, s:b, s:f, s:I}", "repeats",
			      (json_int_t)h->repeats, "repeat_fixes", (json_int_t)h->repeat_fixes,
			      "jobs", (json_int_t)h->jobs, "fetches", (json_int_t)h->fetches,
			      "executor", h->executor, "ids", (int)h->ids.ids, "best_effort",
			      h->best_effort, "reuse", h->reuse, "recheck", h->recheck,
			      "keep_bytes", (json_int_t)h->keep_bytes);
	char *text = json_dumps(j, JSON_COMPACT);
	json_decref(j);
	return text;
}

int how_again(struct how *h, const char *json, struct err *e)
{
	json_error_t je;
	json_int_t jobs = 0, fetches = 0, repeats = -1, fixes = -1;
	const char *executor = NULL;
	json_int_t keep = 0;
	double recheck = 0;
	int ids = BOX_IDS_AUTO, best_effort = 0, reuse = 0;
	json_t *j = json ? json_loads(json, 0, &je) : json_object();
	if (!j || json_unpack_ex(j, &je, 0, "{s?I, s?I, s?I, s?I, s?s, s?i, s?b, s?b, s?F, s?I}",
				 "repeats", &repeats, "repeat_fixes", &fixes, "jobs", &jobs,
				 "fetches", &fetches, "executor", &executor, "ids", &ids,
				 "best_effort", &best_effort, "reuse", &reuse, "recheck", &recheck,
				 "keep_bytes", &keep)) {
		json_decref(j);
		return err_set(e, ERR_CORRUPT, "the run's options make no sense: %s", je.text);
	}
	if (!h->jobs && jobs > 0 && jobs <= ENGINE_AT_ONCE)
		h->jobs = (uint64_t)jobs;
	if (!h->fetches && fetches > 0 && fetches <= ENGINE_AT_ONCE)
		h->fetches = (uint64_t)fetches;
	if (h->repeats == HOW_UNGIVEN && repeats >= 0 && repeats <= HOW_REPEATS)
		h->repeats = (uint64_t)repeats;
	if (h->repeat_fixes == HOW_UNGIVEN && fixes >= 0 && fixes <= 100)
		h->repeat_fixes = (uint64_t)fixes;
	if (!h->executor && executor)
		h->executor = executor_of(executor);
	if (h->ids.ids == BOX_IDS_AUTO && ids >= BOX_IDS_AUTO && ids <= BOX_IDS_RANGE)
		h->ids.ids = (enum box_ids)ids;
	h->best_effort |= best_effort != 0;
	h->reuse = reuse != 0;
	h->recheck = recheck;
	h->keep_bytes = keep > 0 ? (uint64_t)keep : 0;
	json_decref(j);
	return 0;
}

char *how_engine(const struct how *h)
{
	const char *who = "ordinary user";
	if (!geteuid())
		who = "root";
	else if (h->ids.ids == BOX_IDS_RANGE)
		who = "ordinary user with a range of ids";
	return own_fmt("%s, %s", h->executor, who);
}
