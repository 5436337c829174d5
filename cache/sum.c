#include "cache/sum.h"

#include <string.h>
#include <xxhash.h>

static const char *const sum_words[] = {[SUM_XXH3] = "xxh3:", [SUM_SHA256] = "sha256:"};

enum sum_kind sum_kind_of(const char text[CACHE_SUM])
{
	const char *word = sum_words[SUM_XXH3];
	return strncmp(text, word, strlen(word)) ? SUM_SHA256 : SUM_XXH3;
}

const char *sum_hex(const char text[CACHE_SUM])
{
	const char *colon = strchr(text, ':');
	return colon ? colon + 1 : "";
}

void sum_of_hex(enum sum_kind kind, const char *hex, char text[CACHE_SUM])
{
	memset(text, 0, CACHE_SUM);
	snprintf(text, CACHE_SUM, "%s%.64s", sum_words[kind], hex);
}

int sum_open(struct sum *s, enum sum_kind kind, struct err *e)
{
	*s = (struct sum){.kind = kind};
	if (kind == SUM_SHA256)
		return hash_open(&s->sha256, "SHA256")
			       ? err_set(e, ERR_SYS, "libcrypto has no SHA-256")
			       : 0;
	s->xxh3 = XXH3_createState();
	if (!s->xxh3)
		abort();
	XXH3_128bits_reset(s->xxh3);
	return 0;
}

void sum_close(struct sum *s)
{
	XXH3_freeState(s->xxh3);
	hash_close(&s->sha256);
	*s = (struct sum){0};
}

void sum_add(struct sum *s, const void *bytes, size_t n)
{
	if (s->kind == SUM_XXH3)
		XXH3_128bits_update(s->xxh3, bytes, n);
	else
		hash_add(&s->sha256, bytes, n);
}

void sum_text(struct sum *s, char text[CACHE_SUM])
{
	char hex[HASH_HEX] = {0};
	XXH128_canonical_t raw;
	if (s->kind == SUM_SHA256) {
		hash_id(&s->sha256, hex);
	} else {
		XXH128_canonicalFromHash(&raw, XXH3_128bits_digest(s->xxh3));
		XXH3_128bits_reset(s->xxh3);
		for (size_t i = 0; i < sizeof(raw.digest); i++)
			snprintf(hex + 2 * i, 3, "%02x", raw.digest[i]);
	}
	sum_of_hex(s->kind, hex, text);
}
