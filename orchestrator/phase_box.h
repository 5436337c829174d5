/* The box of a phase, described: the one place where what a suite says of a phase and what
 * boxing_open opened come together. The engine starts it; `assay shell` starts it again. Any
 * thread.
 */
#pragma once
#include "orchestrator/boxing.h"
#include "orchestrator/hostfiles.h"

/* What is not the suite's to say. */
struct phase_see {
	const char *name; /* the box's */
	enum box_net net; /* none where the phase is tried without the network it may have */
	bool by_cpu;      /* its time limit counts processor time */
	const struct boxing *boxing;
};

struct phase_box {
	struct box_spec spec; /* borrows from the suite, the boxing and what follows */
	char **env;
	char *argv[4];
	struct hostfiles files;
};

/* phase_box_make(b, s, unit, phase, see): in place: b is not to be copied. Give it back with
 * phase_box_fini. */
void phase_box_make(struct phase_box *b, const struct suite *s, const struct plan_unit *unit,
		    size_t phase, const struct phase_see *see);
void phase_box_fini(struct phase_box *b);

/* phase_limits(l): as the sandbox takes them. */
struct box_limits phase_limits(const struct suite_limits *l);
