#include "orchestrator/compare.h"

#include <string.h>

/* clang-format off */
static const struct {
	const char *name;
	int rank;
} verdicts[VERDICT_COUNT] = {
	[VERDICT_REGRESSED]    = {"regressed",    0},
	[VERDICT_WORSE]        = {"worse",        1},
	[VERDICT_UNSTABLE]     = {"unstable",     2},
	[VERDICT_INCOMPARABLE] = {"incomparable", 3},
	[VERDICT_FIXED]        = {"fixed",        4},
	[VERDICT_BETTER]       = {"better",       5},
	[VERDICT_CHANGED]      = {"changed",      6},
	[VERDICT_NEW]          = {"new",          7},
	[VERDICT_GONE]         = {"gone",         8},
	[VERDICT_SAME]         = {"same",         9},
};

/* How bad, among those that can be compared; 0: says nothing about the package. */
static const int severities[STATUS_COUNT] = {
	[STATUS_PASS]  = 1,
	[STATUS_FAIL]  = 2,
	[STATUS_KILL]  = 3,
	[STATUS_CRASH] = 4,
	[STATUS_BLOCK] = 0,
	[STATUS_SKIP]  = 0,
	[STATUS_INFRA] = 0,
};
/* clang-format on */

const char *verdict_name(enum verdict v)
{
	return verdicts[v].name;
}

int verdict_rank(enum verdict v)
{
	return verdicts[v].rank;
}

static int side_severity(const struct compare_side *s)
{
	if (s->presence != PRESENCE_DONE || s->reason == REASON_CANCELLED)
		return 0;
	return severities[s->status];
}

static bool phases_equal(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

enum verdict compare_sides(const struct compare_side *base, const struct compare_side *next)
{
	int was = side_severity(base), is = side_severity(next);
	if (base->presence == PRESENCE_ABSENT && next->presence != PRESENCE_ABSENT)
		return VERDICT_NEW;
	if (next->presence == PRESENCE_ABSENT && base->presence != PRESENCE_ABSENT)
		return VERDICT_GONE;
	if (!was || !is)
		return VERDICT_INCOMPARABLE;
	if (was == is)
		return base->reason == next->reason && phases_equal(base->phase, next->phase)
			       ? VERDICT_SAME
			       : VERDICT_CHANGED;
	if (was == severities[STATUS_PASS])
		return VERDICT_REGRESSED;
	if (is == severities[STATUS_PASS])
		return VERDICT_FIXED;
	return is > was ? VERDICT_WORSE : VERDICT_BETTER;
}

const char *validity_name(enum validity v)
{
	static const char *const names[VALIDITY_COUNT] = {"valid", "degraded", "void"};
	return names[v];
}

enum validity compare_validity(size_t jobs, size_t lost)
{
	if (lost >= jobs || lost * 10 >= jobs)
		return VALIDITY_VOID;
	return lost * 100 >= jobs ? VALIDITY_DEGRADED : VALIDITY_VALID;
}

bool compare_lost(const struct compare_side *s)
{
	return s->presence == PRESENCE_PENDING ||
	       (s->presence == PRESENCE_DONE &&
		(s->status == STATUS_INFRA || s->reason == REASON_CANCELLED));
}
