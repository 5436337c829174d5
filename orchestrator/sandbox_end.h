/* How `assay sandbox` ends when its box has: the process's own end, a line for people, the facts as
 * JSON. Pure functions, but for sandbox_end_die. */
#pragma once
#include "base/text.h"
#include "sandbox/sandbox.h"

#include <jansson.h>

enum {
	SANDBOX_LIMITED = 124, /* as timeout(1) has it */
	SANDBOX_OURS = 125,    /* as env(1), timeout(1) and docker-run(1) have it */
};

struct sandbox_end {
	int status; /* to exit with, where signal is 0 */
	int signal; /* to end by */
};

/* sandbox_end_of(f, cause): cause: the signal for which the box was cancelled, else 0. */
struct sandbox_end sandbox_end_of(const struct box_facts *f, int cause);
/* sandbox_end_line(f, t): what a person should be told, without a newline, nothing where the
 * command ended by itself with all that it was given. */
void sandbox_end_line(const struct box_facts *f, struct text *t);
/* sandbox_end_json(f, net): an object, the caller's. Names are struct box_facts'. net: what it was
 * to have. */
json_t *sandbox_end_json(const struct box_facts *f, enum box_net net) must_check;

/* sandbox_end_die(signal): by that signal as if it had never been caught, without a core of ours.
 * Returns only if it does not end a process. */
void sandbox_end_die(int signal);
