/* One box for a person: what it says is told at once, signals and keys reach it, and with a
 * terminal of its own it is as if the command ran at the caller's. `assay sandbox` and `assay
 * shell` are made of it. Main thread; hand_run has a loop of its own. */
#pragma once
#include "orchestrator/sandbox_end.h"

struct hand {
	struct box_spec *box;     /* ready once `open` was called; its stdio is not looked at */
	struct sandbox_conf conf; /* `first` is not looked at */
	bool stdin_taken;         /* nothing of standard input is the command's any more */
	bool apart; /* it has no part in our standard input and output: it reads nothing, and
		       what it says goes to standard error */
	/* Called once signals are watched for: from now on there is something to be put away. What
	 * box points to is there when it returns 0. */
	int (*open)(void *owner, struct err *e);
	/* The box is over, or was never there: what open made is put away. */
	void (*close)(void *owner);
	/* In place of close and all that would come after hand_run: a signal ends the process. */
	void (*leave)(void *owner);
	void *owner;

	/* how it ended */
	struct sandbox_end end;
	bool passed;      /* exit status 0, and nothing was killed for want of memory */
	struct text line; /* that a person is told */
	json_t *facts;
};

/* hand_run(h): until the box is over and all it said is written. Our own trouble is an end, too.
 * The caller calls hand_fini. */
void hand_run(struct hand *h);
void hand_fini(struct hand *h);
