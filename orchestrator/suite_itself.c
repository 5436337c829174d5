/* A suite of one variant against itself: what comes of it is noise. */
#include "base/text.h"
#include "orchestrator/suite.h"

#include <string.h>

static int itself_which(const struct suite *s, const char *name, size_t *at, struct err *e)
{
	auto_text struct text all = TEXT_INIT;
	*at = s->has_compare ? s->compare[0] : 0;
	if (!name)
		return 0;
	for (*at = 0; *at < s->n_variants; ++*at) {
		if (!strcmp(s->variants[*at].name, name))
			return 0;
		text_addf(&all, "%s%s", *at ? ", " : "", s->variants[*at].name);
	}
	return err_set(e, ERR_USAGE, "suite %s has no variant '%s'; it has %s", s->name, name,
		       text_str(&all));
}

static struct suite_variant itself_again(const struct suite_variant *v)
{
	struct suite_variant again = {
		.name = own_fmt("%s-again", v->name),
		.layers = own_calloc(v->n_layers + 1, sizeof(*again.layers)),
		.n_layers = v->n_layers,
		.env = own_calloc(v->n_env + 1, sizeof(*again.env)),
		.n_env = v->n_env,
	};
	for (size_t i = 0; i < v->n_layers; i++)
		again.layers[i] = own_dup(v->layers[i]);
	for (size_t i = 0; i < v->n_env; i++)
		again.env[i] =
			(struct suite_env){own_dup(v->env[i].name), own_dup(v->env[i].value)};
	return again;
}

/* What is known of that variant holds for both; of others, for none. */
static void itself_known(struct suite *s, size_t at)
{
	size_t n = 0;
	for (size_t i = 0; i < s->n_known; i++) {
		struct suite_known k = s->known[i];
		if (k.variant != SUITE_ANY_VARIANT && k.variant != at) {
			suite_known_fini(&k);
			continue;
		}
		k.variant = SUITE_ANY_VARIANT;
		s->known[n++] = k;
	}
	s->n_known = n;
}

int suite_against_itself(struct suite *s, const char *variant, struct err *e)
{
	char digest[CACHE_ID];
	size_t at;
	if (itself_which(s, variant, &at, e))
		return -1;
	auto_free char *key = own_fmt("%s against itself: %s", s->variants[at].name, s->sha256);
	struct suite_variant *both = own_calloc(2, sizeof(*both));
	both[0] = s->variants[at];
	both[1] = itself_again(&both[0]);
	for (size_t i = 0; i < s->n_variants; i++)
		if (i != at)
			suite_variant_fini(&s->variants[i]);
	free(s->variants);
	s->variants = both;
	s->n_variants = 2;
	s->compare[0] = 0;
	s->compare[1] = 1;
	s->has_compare = true;
	itself_known(s, at);
	cache_digest(key, strlen(key), digest);
	free(s->sha256);
	s->sha256 = own_dup(digest);
	return 0;
}
