/* Is a difference real? The sequential test that decides, after each repeat, what is repeated next,
 * or that enough is known. Pure: who schedules the repeats calls confirm_next() with all that they
 * brought so far, does what it says, and calls again with what came of it.
 *
 * What counts are the repeats alone: the results by which a pair was chosen to be repeated are no
 * evidence, they were chosen for being as they are.
 *
 * Of a pair that differs one side passed (good) and the other did not (bad). For a regression the
 * good side is the base; for a fix it is the other one. */
#pragma once
#include "orchestrator/flake.h"

#include <stdbool.h>

/* Closed and append-only: its texts are in databases. */
enum confidence {
	CONFIDENCE_SINGLE, /* nothing was repeated, or nothing came of it */
	CONFIDENCE_LIKELY, /* repeats agree, and are too few for what is known of the package */
	CONFIDENCE_CONFIRMED,
};
#define CONFIDENCE_COUNT (CONFIDENCE_CONFIRMED + 1)

const char *confidence_name(enum confidence c);
int confidence_parse(const char *name, enum confidence *c);

struct confirm_tally { /* of one side's repeats: those whose results are about the package */
	unsigned n, passes;
};

struct confirm_conf {
	unsigned most;       /* repeats of a side, at the most */
	unsigned most_flaky; /* … of a package that is known to be flaky, or whose good side is seen
				to waver while the bad one never passes */
	double p;            /* confirmed at this, or less */
};
/* What passes so often when it is repeated is at most a package that fails more often than it did:
 * unstable, whatever the numbers say. */
#define CONFIRM_PASSES 2
/* 5, 10, 0.02 */
extern const struct confirm_conf confirm_defaults;

struct confirm_seen {
	struct confirm_tally good, bad;
	struct flake known; /* the bad side's history; all 0: nothing is known */
	bool near_limit; /* the bad side was ended by a time limit that the good side came near to
			  */
	unsigned lost;   /* repeats that said nothing: infra, cancelled */
};

enum confirm_move {
	CONFIRM_STOP,
	CONFIRM_GOOD, /* repeat the good side's failing phase from its frozen layers */
	CONFIRM_BAD,
};

struct confirm_step {
	enum confirm_move move;
	bool alone;                 /* nothing else may run on the machine meanwhile */
	bool by_cpu;                /* its time limit is of processor time, not of wall time */
	enum confidence confidence; /* of what is known now, whatever move is */
	bool unstable; /* what is known now says that a side differs from itself, and that this may
			  be all */
	double p;      /* stats_fisher of what is known now */
};

/* confirm_next(conf, seen): total, and without memory: the same sight gives the same step, in
 * whatever order it came about. The sides take turns, the good one first; it ends where p is
 * reached (and, if the package is known to fail by itself, where that can't explain it either),
 * where it can't be reached any more whatever is still seen, where the bad side passed
 * CONFIRM_PASSES times, and after the most repeats. The repeat that may confirm runs alone; so do
 * all of the bad side where near_limit. */
struct confirm_step confirm_next(const struct confirm_conf *conf, const struct confirm_seen *seen);

/* confirm_near(wall, limit): a phase that took `wall` came near its limit of `limit` (both in one
 * unit; limit 0: none): within a fifth of it. */
bool confirm_near(unsigned long long wall, unsigned long long limit);
