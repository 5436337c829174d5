#include "orchestrator/confirm.h"

#include "base/own.h"
#include "orchestrator/stats.h"

#include <string.h>

static const char *const names[CONFIDENCE_COUNT] = {"single", "likely", "confirmed"};

const char *confidence_name(enum confidence c)
{
	return names[c];
}

int confidence_parse(const char *name, enum confidence *c)
{
	for (unsigned i = 0; i < CONFIDENCE_COUNT; i++)
		if (!strcmp(name, names[i])) {
			*c = (enum confidence)i;
			return 0;
		}
	return -1;
}

const struct confirm_conf confirm_defaults = {.most = 5, .most_flaky = 10, .p = 0.02};

static double tally_p(const struct confirm_tally *good, const struct confirm_tally *bad)
{
	return stats_fisher(good->passes, good->n, bad->passes, bad->n);
}

/* The sides differ, and a package that fails now and then does not explain the bad one. */
static bool enough(const struct confirm_conf *conf, const struct confirm_seen *s,
		   const struct confirm_tally *good, const struct confirm_tally *bad)
{
	double by_itself =
		stats_beta_tail(bad->n - bad->passes, bad->n, s->known.failed + FLAKE_PRIOR_FAILED,
				s->known.passed + FLAKE_PRIOR_PASSED);
	return bad->passes < CONFIRM_PASSES && tally_p(good, bad) <= conf->p &&
	       by_itself <= conf->p;
}

static unsigned repeats_at_most(const struct confirm_conf *conf, const struct confirm_seen *s)
{
	/* a good side that wavers needs more runs to be told from a bad one, not fewer */
	bool wavers = s->good.passes < s->good.n && !s->bad.passes;
	return flake_known(&s->known) || wavers ? conf->most_flaky : conf->most;
}

/* Could it still be enough, if from now on the sides behaved as differently as can be? */
static bool hope(const struct confirm_conf *conf, const struct confirm_seen *s, unsigned most)
{
	struct confirm_tally good = s->good, bad = s->bad;
	if (good.n < most) {
		good.passes += most - good.n;
		good.n = most;
	}
	if (bad.n < most)
		bad.n = most;
	return enough(conf, s, &good, &bad);
}

struct confirm_step confirm_next(const struct confirm_conf *conf, const struct confirm_seen *s)
{
	unsigned most = repeats_at_most(conf, s);
	bool mixed = s->good.passes < s->good.n || s->bad.passes;
	struct confirm_step step = {.p = tally_p(&s->good, &s->bad)};
	if (enough(conf, s, &s->good, &s->bad)) {
		step.confidence = CONFIDENCE_CONFIRMED;
		return step;
	}
	step.unstable = mixed;
	if (!mixed && s->good.n && s->bad.n)
		step.confidence = CONFIDENCE_LIKELY;
	if (s->bad.passes >= CONFIRM_PASSES || s->lost > conf->most || !hope(conf, s, most) ||
	    (s->good.n >= most && s->bad.n >= most))
		return step;
	step.move = s->good.n <= s->bad.n && s->good.n < most ? CONFIRM_GOOD : CONFIRM_BAD;
	if (step.move == CONFIRM_BAD) {
		struct confirm_tally bad = {s->bad.n + 1, s->bad.passes};
		step.by_cpu = s->near_limit;
		step.alone = s->near_limit || enough(conf, s, &s->good, &bad);
	}
	return step;
}

bool confirm_near(unsigned long long wall, unsigned long long limit)
{
	return limit && wall >= limit - limit / 5;
}
