/* Which of what need not run is run all the same, to see whether that is true. A pure function. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sample {
	size_t of;     /* the caller's */
	uint64_t cost; /* of running it, in whatever unit all of them have */
	int64_t last;  /* the run that last ran it */
	bool drawn;
};

/* sample_draw(list, n, percent, some, seed): draws so many percent of them, rounded by chance to
 * one more or less; with `some`, one at least where percent is more than 0. Of as many like costly
 * ones as there are for each that is drawn it is the one that ran longest ago, so that each has its
 * turn within twice 100/percent nights; of those that ran last in the same run it is one by chance,
 * chosen so that what is drawn costs about that share of what all cost. The same seed draws the
 * same. Sorts the list. */
void sample_draw(struct sample *list, size_t n, double percent, bool some, uint64_t seed);
