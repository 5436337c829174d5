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

int verdict_parse(const char *name, enum verdict *v)
{
	for (unsigned i = 0; i < VERDICT_COUNT; i++)
		if (!strcmp(name, verdicts[i].name)) {
			*v = (enum verdict)i;
			return 0;
		}
	return -1;
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

/* ---- all that was seen ---- */

bool compare_tells(const struct compare_side *s)
{
	return side_severity(s) > 0;
}

static struct confirm_tally tally(const struct compare_all *a)
{
	struct confirm_tally t = {0};
	for (size_t i = 0; i < a->n; i++) {
		t.n += compare_tells(&a->seen[i]);
		t.passes += compare_tells(&a->seen[i]) && a->seen[i].status == STATUS_PASS;
	}
	return t;
}

static bool sides_equal(const struct compare_side *a, const struct compare_side *b)
{
	return a->presence == b->presence && a->status == b->status && a->reason == b->reason &&
	       phases_equal(a->phase, b->phase);
}

/* A total order that is no judgement: of what is equally common the same one is always taken. */
static int side_order(const struct compare_side *a, const struct compare_side *b)
{
	int d = side_severity(a) - side_severity(b);
	if (!d)
		d = (int)a->reason - (int)b->reason;
	return d ? d : strcmp(a->phase ? a->phase : "", b->phase ? b->phase : "");
}

static size_t times_seen(const struct compare_all *a, const struct compare_side *s)
{
	size_t n = 0;
	for (size_t i = 0; i < a->n; i++)
		n += sides_equal(&a->seen[i], s);
	return n;
}

/* The commonest of the results that tell (passes only where there is nothing else); where none
 * does, what was found of the job at all. */
static struct compare_side commonest(const struct compare_all *a)
{
	struct compare_side best = {.presence = PRESENCE_ABSENT};
	size_t most = 0;
	for (size_t i = 0; i < a->n; i++) {
		const struct compare_side *s = &a->seen[i];
		if (!compare_tells(s)) {
			if (!most && s->presence > best.presence)
				best = *s;
			continue;
		}
		size_t n = times_seen(a, s) + (s->status != STATUS_PASS) * a->n;
		if (n > most || (n == most && side_order(s, &best) > 0)) {
			best = *s;
			most = n;
		}
	}
	return best;
}

/* Failures on both sides: what is there on both is no difference. */
static enum verdict compare_failures(const struct compare_all *base, const struct compare_all *next)
{
	struct compare_side was = commonest(base), is = commonest(next);
	enum verdict v = compare_sides(&was, &is);
	bool overlap = times_seen(next, &was) || times_seen(base, &is);
	return v != VERDICT_SAME && overlap ? VERDICT_UNSTABLE : v;
}

static struct confirm_tally without_one(struct confirm_tally t, bool pass)
{
	return (struct confirm_tally){t.n - 1, t.passes - pass};
}

/* The side that passes more often against the other. One pass and one failure chose the pair. */
static void compare_rates(struct comparison *c, bool regressed, const struct flake *known)
{
	const struct confirm_tally *good = regressed ? &c->base : &c->next,
				   *bad = regressed ? &c->next : &c->base;
	struct confirm_seen seen = {.good = without_one(*good, true),
				    .bad = without_one(*bad, false)};
	if (known)
		seen.known = *known;
	struct confirm_step step = confirm_next(&confirm_defaults, &seen);
	c->verdict = step.unstable ? VERDICT_UNSTABLE
		     : regressed   ? VERDICT_REGRESSED
				   : VERDICT_FIXED;
	c->confidence = step.confidence;
	c->p = seen.good.n && seen.bad.n ? step.p : -1;
}

struct comparison compare_seen(const struct compare_all *base, const struct compare_all *next,
			       const struct flake *base_known, const struct flake *next_known)
{
	struct comparison c = {.base = tally(base), .next = tally(next), .p = -1};
	struct compare_side was = commonest(base), is = commonest(next);
	size_t base_rate = (size_t)c.base.passes * c.next.n,
	       next_rate = (size_t)c.next.passes * c.base.n;
	c.confidence = c.base.n > 1 && c.next.n > 1 ? CONFIDENCE_LIKELY : CONFIDENCE_SINGLE;
	if (!c.base.n || !c.next.n)
		c.verdict = compare_sides(&was, &is);
	else if (base_rate != next_rate)
		compare_rates(&c, base_rate > next_rate,
			      base_rate > next_rate ? next_known : base_known);
	else if (!c.base.passes || c.base.passes == c.base.n)
		c.verdict = compare_failures(base, next);
	else
		c.verdict = VERDICT_UNSTABLE;
	return c;
}

const char *attribution_name(enum attribution a)
{
	static const char *const names[ATTRIBUTION_COUNT] = {"root", "inherited", "shared"};
	return names[a];
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
