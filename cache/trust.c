/* Asked when all of the upper was seen: a harvest that is refused asks nobody, and leaves no word.
 */
#include "cache/trust.h"
#include "cache/rules.h"
#include "base/text.h"

#include <string.h>

int trust_check(const struct cache_harvest *how, struct err *e)
{
	const struct cache_trust *t = &how->trust;
	if (t->n < 2)
		return 0;
	if (!t->package || !t->words)
		return err_set(e, ERR_USAGE,
			       "the store demands %u packages, and this caller does not say whose "
			       "word it has",
			       t->n);
	if (how->deletions == CACHE_DELETIONS_APPLY)
		return err_set(e, ERR_USAGE,
			       "the store demands %u packages: no single one may delete from it "
			       "(deletions: apply)",
			       t->n);
	for (size_t i = 0; i < how->n_rules; i++)
		if (how->rules[i].what == CACHE_UNION_LINES)
			return err_set(
				e, ERR_USAGE,
				"rule %zu (%.200s): the store demands %u packages, and lines "
				"of a file can't be counted for themselves",
				i + 1, how->rules[i].match, t->n);
	return 0;
}

/* Is it something a package can vouch for? */
static bool trust_about(const struct harvest *h, const struct harvest_item *x)
{
	bool there = x->x.change == CACHE_IDENTICAL && x->x.type != 'd';
	if (!there && !(x->wanted && x->x.change <= CACHE_MERGED))
		return false;
	return x->x.type == 'd' ||
	       rules_find(h->how->rules, h->how->n_rules, x->x.path) != CACHE_SUM_COUNTERS;
}

int trust_ask(struct harvest *h, struct err *e)
{
	const struct cache_trust *t = &h->how->trust;
	for (size_t i = 0; t->n > 1 && i < h->n; i++) {
		struct harvest_item *x = &h->v[i];
		struct cache_words w = {0};
		if (!trust_about(h, x))
			continue;
		if (t->words(t->owner, &x->x, &w, e))
			return err_add(e, "%.300s", x->x.path);
		x->x.word = !w.said;
		h->words += x->x.word;
		if (x->wanted && w.others + 1 < t->n) {
			x->x.change = CACHE_PENDING;
			x->wanted = false;
		}
	}
	return 0;
}

void trust_record_id(const struct cache_harvest *how, const struct cache_published *p,
		     char out[CACHE_ID])
{
	auto_text struct text t = TEXT_INIT;
	text_addf(&t, "words\n%s\n%s\n%s\n%lld\n", how->store ? how->store : "",
		  how->job ? how->job : "", how->trust.package, (long long)how->made_ms);
	for (size_t i = 0; i < p->n_entries; i++) {
		const struct cache_entry *x = &p->entries[i];
		if (!x->word)
			continue;
		text_put(&t, x->path, strlen(x->path) + 1);
		text_addf(&t, "%c%s\n", x->type, x->target ? x->target : x->sha256);
	}
	cache_digest(t.p, t.n, out);
}
