#include "orchestrator/options.h"

#include "base/own.h"
#include "orchestrator/review.h"

#include <string.h>

enum {
	OPTIONS_STATE = 0x1000,
	OPTIONS_JSON,
	OPTIONS_ONLY,
	OPTIONS_BASE,
	OPTIONS_NEXT,
	OPTIONS_IDS,
	OPTIONS_FAIL_ON
};

static const struct argp_option common_options[] = {
	{"state", OPTIONS_STATE, "DIR", 0,
	 "state directory (default: $ASSAY_STATE, else $XDG_STATE_HOME/assay)", 0},
	{"json", OPTIONS_JSON, NULL, 0, "print JSON", 0},
	{0},
};

static error_t common_parse(int key, char *arg, struct argp_state *st)
{
	struct options_common *o = st->input;
	switch (key) {
	case OPTIONS_STATE:
		o->state = arg;
		return 0;
	case OPTIONS_JSON:
		o->json = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

const struct argp options_common_argp = {common_options, common_parse, NULL, NULL,
					 NULL,           NULL,         NULL};

static const struct argp_option suite_options[] = {
	{"only", OPTIONS_ONLY, "PACKAGE", 0,
	 "only these packages (ids or names); further arguments are packages too", 0},
	{0},
};

static void suite_only(struct options_suite *o, const char *package)
{
	o->only = own_grow(o->only, o->n_only + 1, sizeof(*o->only));
	o->only[o->n_only++] = package;
}

static error_t suite_parse(int key, char *arg, struct argp_state *st)
{
	struct options_suite *o = st->input;
	switch (key) {
	case OPTIONS_ONLY:
		suite_only(o, arg);
		return 0;
	case ARGP_KEY_ARG:
		if (!o->suite)
			o->suite = arg;
		else if (o->n_only)
			suite_only(o, arg);
		else
			argp_error(st, "one suite at a time; packages come after --only");
		return 0;
	case ARGP_KEY_END:
		if (!o->suite)
			argp_error(st, "which suite?");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

const struct argp options_suite_argp = {suite_options, suite_parse, NULL, NULL, NULL, NULL, NULL};

static const struct argp_option ids_options[] = {
	{"ids", OPTIONS_IDS, "auto|one|range", 0,
	 "the ids a box has (default: as root a range, as an ordinary user one)", 0},
	{0},
};

static error_t ids_parse(int key, char *arg, struct argp_state *st)
{
	struct options_ids *o = st->input;
	if (key != OPTIONS_IDS)
		return ARGP_ERR_UNKNOWN;
	int ids = box_ids_of(arg);
	if (ids < 0)
		argp_error(st, "--ids takes auto, one or range, not '%s'", arg);
	o->ids = (enum box_ids)ids;
	return 0;
}

const struct argp options_ids_argp = {ids_options, ids_parse, NULL, NULL, NULL, NULL, NULL};

static const struct argp_option fail_on_options[] = {
	{"fail-on", OPTIONS_FAIL_ON, "CONFIDENCE", 0,
	 "exit with 1 where something regressed with this confidence or more: single, likely "
	 "(default) or confirmed",
	 0},
	{0},
};

static error_t fail_on_parse(int key, char *arg, struct argp_state *st)
{
	struct options_fail_on *o = st->input;
	switch (key) {
	case ARGP_KEY_INIT:
		o->least = REVIEW_FAIL_ON;
		return 0;
	case OPTIONS_FAIL_ON:
		if (confidence_parse(arg, &o->least))
			argp_error(st, "--fail-on takes single, likely or confirmed, not '%s'",
				   arg);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

const struct argp options_fail_on_argp = {
	fail_on_options, fail_on_parse, NULL, NULL, NULL, NULL, NULL};

static const struct argp_option sides_options[] = {
	{"base", OPTIONS_BASE, "VARIANT", 0, "the side that is known (default: as the suite says)",
	 0},
	{"next", OPTIONS_NEXT, "VARIANT", 0, "the side in question", 0},
	{0},
};

static error_t sides_parse(int key, char *arg, struct argp_state *st)
{
	struct options_sides *o = st->input;
	switch (key) {
	case OPTIONS_BASE:
		o->base = arg;
		return 0;
	case OPTIONS_NEXT:
		o->next = arg;
		return 0;
	case ARGP_KEY_ARG:
		if (o->run && o->other)
			argp_error(st, "a comparison has two sides; what is %s?", arg);
		*(o->run ? &o->other : &o->run) = arg;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

const struct argp options_sides_argp = {sides_options, sides_parse, NULL, NULL, NULL, NULL, NULL};
