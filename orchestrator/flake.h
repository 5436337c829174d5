/* How often a package fails for no reason of its own, learned over nights: one of these for each
 * package, variant and phase. A Beta distribution whose counts fade, so that what was mended is
 * forgiven. Values; pure functions. */
#pragma once

#include <stdbool.h>

/* A night's counts are worth half after so many nights. */
#define FLAKE_HALF_LIFE 14.0
/* Failures in more nights on end than this are no flake: something broke, and was mended since. */
#define FLAKE_STREAK 3
/* What is believed of a package nobody knows: 1 run in 100 fails, as sure as 10 runs make it. */
#define FLAKE_PRIOR_FAILED 0.1
#define FLAKE_PRIOR_PASSED 9.9
/* From this rate on a package is called flaky, once one failure of it was seen to be none. */
#define FLAKE_KNOWN 0.02

struct flake {
	double failed, passed; /* runs, faded; without the prior */
	double pending;        /* failures that no pass has followed yet */
	unsigned streak;       /* nights they are of */
};

/* flake_night(f, passed, failed): one more night in which so many runs of the phase passed and so
 * many failed (neither: the night fades what there is and says nothing). A failure counts as a
 * flake once a pass is seen beside it or after it: what fails from one night on for ever is broken,
 * not flaky. */
void flake_night(struct flake *f, unsigned passed, unsigned failed);
/* flake_changed(f): the package has another version, or the variant another toolchain: failures
 * that are pending are of what is gone. */
void flake_changed(struct flake *f);
/* The mean of what is believed, prior included: in (0, 1). */
double flake_rate(const struct flake *f);
/* Whether it is known to be flaky. */
bool flake_known(const struct flake *f);
