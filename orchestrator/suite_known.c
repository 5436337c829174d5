/* What is known of packages beforehand: the suite's list `known`. */
#include "orchestrator/suite_parts.h"

#include "base/unit.h"

#include <string.h>

const char *suite_expect_name(enum suite_expect x)
{
	static const char *const names[] = {[SUITE_EXPECT_FAIL] = "fail",
					    [SUITE_EXPECT_FLAKY] = "flaky",
					    [SUITE_EXPECT_SKIP] = "skip"};
	return names[x];
}

static int known_day(const struct doc_node *n, struct err *e)
{
	return unit_is_day(n->text)
		       ? 0
		       : doc_bad(e, n, "until '%.40s' is no day; write 2026-12-31", n->text);
}

static int known_words(const struct raw_known *raw, struct err *e)
{
	const struct doc_node *link = doc_get(raw->at, "link"), *until = doc_get(raw->at, "until");
	return word_line(doc_get(raw->at, "package"), "package", WORD_ID_MAX, e) ||
			       word_line(doc_get(raw->at, "reason"), "reason", 500, e) ||
			       (link && word_line(link, "link", 1000, e)) ||
			       (until && known_day(until, e))
		       ? -1
		       : 0;
}

/* One package under one variant has one entry. */
static int known_once(const struct suite *s, const struct suite_known *k, const struct doc_node *at,
		      struct err *e)
{
	for (const struct suite_known *o = s->known; o < k; o++)
		if (!strcmp(o->package, k->package) &&
		    (o->variant == k->variant || o->variant == SUITE_ANY_VARIANT ||
		     k->variant == SUITE_ANY_VARIANT))
			return doc_bad(e, at, "%s is known already (%s)", k->package, o->where);
	return 0;
}

static int known_add(struct suite *s, const struct raw_known *raw, struct err *e)
{
	const struct doc_node *variant = doc_get(raw->at, "variant");
	size_t at = SUITE_ANY_VARIANT;
	if (known_words(raw, e) ||
	    (variant && word_lookup(variant, "variant", s->variants, s->n_variants,
				    sizeof(*s->variants), &at, e)))
		return -1;
	struct suite_known *k = &s->known[s->n_known++];
	*k = (struct suite_known){
		.package = own_dup(raw->package),
		.variant = at,
		.expect = raw->expect,
		.reason = own_dup(raw->reason),
		.link = raw->link ? own_dup(raw->link) : NULL,
		.until = raw->until ? own_dup(raw->until) : NULL,
		.where = doc_where(raw->at),
	};
	return known_once(s, k, raw->at, e);
}

int draft_known(struct draft *d, struct err *e)
{
	struct suite *s = d->suite;
	s->known = own_calloc(d->ours->n_known + 1, sizeof(*s->known));
	for (size_t i = 0; i < d->ours->n_known; i++)
		if (known_add(s, &d->ours->known[i], e))
			return -1;
	return 0;
}

const struct suite_known *suite_known_of(const struct suite *s, size_t package, size_t variant)
{
	const struct suite_package *p = &s->packages[package];
	for (size_t i = 0; i < s->n_known; i++) {
		const struct suite_known *k = &s->known[i];
		if ((k->variant == SUITE_ANY_VARIANT || k->variant == variant) &&
		    (!strcmp(k->package, p->id) || !strcmp(k->package, p->name)))
			return k;
	}
	return NULL;
}

int suite_known_check(const struct suite *s, const char *today, bool lenient, struct err *e)
{
	for (size_t i = 0; i < s->n_known; i++) {
		const struct suite_known *k = &s->known[i];
		if (!k->until || strcmp(k->until, today) >= 0)
			continue;
		if (!lenient)
			return err_set(
				e, ERR_INPUT,
				"%s: what is known of %s (%s) expired on %s: look again, and renew "
				"or remove it (--allow-expired goes on)",
				k->where, k->package, suite_expect_name(k->expect), k->until);
		fprintf(stderr, "assay: %s: what is known of %s (%s) expired on %s\n", k->where,
			k->package, suite_expect_name(k->expect), k->until);
	}
	return 0;
}
