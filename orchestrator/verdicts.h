/* What is recorded of a run once it is over: whether it can be believed, a verdict for each
 * package, and what its packages' flake rates have become. Called by the commands that end or
 * change a run. */
#pragma once
#include "db/db.h"

/* verdicts_record(d, run, e): by the run's own comparison. May be called again: verdicts are made
 * anew, flake rates learn from a run once. A run without a comparison of its own has none, and one
 * that did not come to its end neither. */
int verdicts_record(struct db *d, int64_t run, struct err *e) must_check;
