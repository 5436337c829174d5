#include "orchestrator/commands.h"

#include "orchestrator/options.h"
#include "orchestrator/plan_show.h"
#include "orchestrator/state.h"

#include <string.h>

struct plan_args {
	struct options_common common;
	struct options_suite suite;
	bool verbose;
};

static const struct argp_option plan_options[] = {
	{"verbose", 'v', NULL, 0, "also mounts, network, environment and limits of every box", 0},
	{0},
};

static const struct argp_child plan_children[] = {{&options_suite_argp, 0, NULL, 0},
						  {&options_common_argp, 0, NULL, 0},
						  {0}};

static error_t plan_parse(int key, char *arg, struct argp_state *st)
{
	struct plan_args *a = st->input;
	(void)arg;
	switch (key) {
	case ARGP_KEY_INIT:
		st->child_inputs[0] = &a->suite;
		st->child_inputs[1] = &a->common;
		return 0;
	case 'v':
		a->verbose = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp plan_argp = {
	plan_options,
	plan_parse,
	"SUITE",
	"Check SUITE and show what a run of it would do: the jobs in running order, what they "
	"share, which layers there are.\v"
	"Nothing is run but the commands by which SUITE lists packages, and nothing is written. A "
	"layer that is missing is shown, not an "
	"error.\n\n"
	"Example:\n  assay plan suites/demo.yaml\n  assay plan --verbose suites/demo.yaml --only "
	"xtend",
	plan_children,
	NULL,
	NULL,
};

/* What the state directory knows of the suite's layers. One that is not there yet knows none. */
static int plan_find_layers(const struct plan_args *a, const struct suite *s,
			    struct plan_layer *layers, struct err *e)
{
	auto_free char *state = state_path(a->common.state, e);
	if (!state)
		return -1;
	auto_free char *file = own_fmt("%s/assay.db", state);
	struct db *d = db_open(file, DB_READ, e);
	if (!d && e->kind != ERR_ABSENT)
		return -1;
	int found = 0;
	for (size_t i = 0; i < s->n_layer_refs && found >= 0; i++) {
		struct db_layer l = {0};
		layers[i].ref = &s->layer_refs[i];
		found = d ? db_layer_find(d, s->layer_refs[i].name, &l, e) : 0;
		if (found > 0) {
			memcpy(layers[i].id, l.id, sizeof(layers[i].id));
			db_layer_fini(&l);
		}
	}
	db_close(d);
	return found < 0 ? -1 : 0;
}

static int plan_suite(const struct plan_args *a, const struct suite *s, struct err *e)
{
	auto_free struct plan_layer *layers = own_calloc(s->n_layer_refs + 1, sizeof(*layers));
	struct plan *p = plan_make(s, a->suite.only, a->suite.n_only, NULL, NULL, e);
	struct plan_view view = {p, layers, a->verbose};
	if (!p || plan_find_layers(a, s, layers, e)) {
		plan_free(p);
		return -1;
	}
	if (a->common.json) {
		json_t *j = plan_show_json(&view);
		json_dumpf(j, stdout, JSON_INDENT(2));
		putchar('\n');
		json_decref(j);
	} else {
		plan_show_text(&view);
	}
	plan_free(p);
	return 0;
}

int cmd_plan(int argc, char **argv)
{
	struct plan_args a = {0};
	struct err e = ERR_INIT;
	if (argp_parse(&plan_argp, argc, argv, 0, NULL, &a))
		return EXIT_USAGE;
	struct suite *s = suite_load(a.suite.suite, &e);
	int status = s && !plan_suite(&a, s, &e) ? EXIT_OK : command_fail(&e);
	suite_free(s);
	free(a.suite.only);
	return status;
}
