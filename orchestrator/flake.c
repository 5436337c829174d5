#include "orchestrator/flake.h"

#include <math.h>

static double flake_fade(void)
{
	return exp2(-1 / FLAKE_HALF_LIFE);
}

void flake_night(struct flake *f, unsigned passed, unsigned failed)
{
	double fade = flake_fade();
	f->failed *= fade;
	f->passed *= fade;
	f->pending *= fade;
	if (failed) {
		f->pending += failed;
		f->streak++;
	}
	if (!passed)
		return;
	f->passed += passed;
	if (f->streak <= FLAKE_STREAK)
		f->failed += f->pending;
	flake_changed(f);
}

void flake_changed(struct flake *f)
{
	f->pending = 0;
	f->streak = 0;
}

double flake_rate(const struct flake *f)
{
	double failed = f->failed + FLAKE_PRIOR_FAILED, passed = f->passed + FLAKE_PRIOR_PASSED;
	return failed / (failed + passed);
}

bool flake_known(const struct flake *f)
{
	/* less than half a failure is one that has long faded, and none at all */
	return f->failed >= 0.5 && flake_rate(f) >= FLAKE_KNOWN;
}
