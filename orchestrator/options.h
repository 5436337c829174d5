/* Options that several commands have, each group once: children for argp_parse(3). A command's own
 * parser hands each child its struct at ARGP_KEY_INIT: st->child_inputs[i] = &…, in the order of
 * its list of children. */
#pragma once
#include "orchestrator/confirm.h"
#include "sandbox/sandbox.h"

#include <argp.h>
#include <stdbool.h>
#include <stddef.h>

/* --state DIR, --json */
struct options_common {
	const char *state; /* NULL: not given */
	bool json;
};
extern const struct argp options_common_argp;

/* SUITE, --only PACKAGE… */
struct options_suite {
	const char *suite;
	const char **only; /* free(3) it */
	size_t n_only;
};
extern const struct argp options_suite_argp;

/* --ids auto|one|range */
struct options_ids {
	enum box_ids ids;
};
extern const struct argp options_ids_argp;

/* --fail-on CONFIDENCE: from which confidence on what regressed is exit status 1. Its parser sets
 * REVIEW_FAIL_ON first. */
struct options_fail_on {
	enum confidence least;
};
extern const struct argp options_fail_on_argp;

/* [RUN], --base VARIANT, --next VARIANT, or two sides; NULL: not given */
struct options_sides {
	const char *run, *other, *base, *next;
};
extern const struct argp options_sides_argp;
