/* What was known of packages beforehand, held against what came. */
#include "orchestrator/review_parts.h"

#include "orchestrator/rows.h"

#include <string.h>

static bool side_fails(const struct compare_side *s)
{
	return s->presence == PRESENCE_DONE && !compare_lost(s) &&
	       (s->status == STATUS_FAIL || s->status == STATUS_CRASH || s->status == STATUS_KILL);
}

/* What one side has to say of an entry. */
static enum known_is side_says(const struct review_side *s, enum suite_expect expect)
{
	size_t fails = 0, passes = 0, listed = 0;
	for (size_t i = 0; i < s->n_seen; i++) {
		const struct compare_side *is = &s->seen[i];
		fails += side_fails(is);
		passes += is->presence == PRESENCE_DONE && is->status == STATUS_PASS;
		listed += is->presence == PRESENCE_DONE && is->reason == REASON_LISTED;
	}
	switch (expect) {
	case SUITE_EXPECT_SKIP:
		return listed ? KNOWN_HOLDS : KNOWN_UNSEEN;
	case SUITE_EXPECT_FAIL:
		return fails ? KNOWN_HOLDS : passes ? KNOWN_PASSES : KNOWN_UNSEEN;
	case SUITE_EXPECT_FLAKY:
		return fails ? KNOWN_HOLDS : KNOWN_UNSEEN;
	}
	return KNOWN_UNSEEN;
}

static bool concerns(const char *variant, const char *side)
{
	return side && (!variant || !strcmp(variant, side));
}

/* For the worse, where more is not news. */
static bool expected(const struct review_pair *p, enum suite_expect expect)
{
	bool worse = p->verdict == VERDICT_REGRESSED || p->verdict == VERDICT_WORSE ||
		     p->verdict == VERDICT_CHANGED || p->verdict == VERDICT_UNSTABLE;
	switch (expect) {
	case SUITE_EXPECT_SKIP:
		return p->verdict == VERDICT_INCOMPARABLE;
	case SUITE_EXPECT_FAIL:
		return worse;
	case SUITE_EXPECT_FLAKY:
		return worse && p->how.confidence != CONFIDENCE_CONFIRMED;
	}
	return false;
}

static void known_apply(struct review *r, struct review_known *k, struct review_pair *p)
{
	enum known_is base = concerns(k->variant, r->base_variant) ? side_says(&p->base, k->expect)
								   : KNOWN_UNSEEN,
		      next = concerns(k->variant, r->next_variant) ? side_says(&p->next, k->expect)
								   : KNOWN_UNSEEN;
	k->is = base == KNOWN_HOLDS || next == KNOWN_HOLDS     ? KNOWN_HOLDS
		: base == KNOWN_PASSES || next == KNOWN_PASSES ? KNOWN_PASSES
							       : KNOWN_UNSEEN;
	/* an entry of the base side does not explain what the next one does */
	if (next == KNOWN_HOLDS && expected(p, k->expect)) {
		p->known = k;
		r->n_expected += p->verdict == VERDICT_REGRESSED;
	}
}

static int expect_parse(const char *word, enum suite_expect *x)
{
	for (unsigned i = SUITE_EXPECT_FAIL; i <= SUITE_EXPECT_SKIP; i++)
		if (!strcmp(word, suite_expect_name((enum suite_expect)i))) {
			*x = (enum suite_expect)i;
			return 0;
		}
	return -1;
}

void review_expectations(struct review *r)
{
	const struct db_table *t = r->source[1].expectations;
	r->known = own_calloc(t->n_rows + 1, sizeof(*r->known));
	for (size_t i = 0; i < t->n_rows; i++) {
		struct review_known *k = &r->known[r->n_known];
		*k = (struct review_known){
			.package = rows_str(t, i, "package"),
			.variant = rows_text(t, i, "variant"),
			.reason = rows_str(t, i, "reason"),
			.link = rows_text(t, i, "link"),
			.is = KNOWN_ABSENT,
		};
		if (expect_parse(rows_str(t, i, "expect"), &k->expect))
			continue;
		r->n_known++;
		struct review_pair *p = review_find(r, k->package);
		if (p)
			known_apply(r, k, p);
	}
}
