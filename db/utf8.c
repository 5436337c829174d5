#include "db/handle.h"

#include <stdint.h>
#include <string.h>

/* Length of the well-formed sequence at p (Unicode 15, table 3-7), 0 where there is none. */
static size_t utf8_sequence(const uint8_t *p, size_t n)
{
	uint8_t low = 0x80, high = 0xbf;
	size_t want;
	if (*p < 0x80)
		return *p ? 1 : 0;
	if (*p >= 0xc2 && *p <= 0xdf)
		want = 2;
	else if ((*p & 0xf0) == 0xe0)
		want = 3;
	else if (*p >= 0xf0 && *p <= 0xf4)
		want = 4;
	else
		return 0;
	if (*p == 0xe0)
		low = 0xa0; /* overlong */
	else if (*p == 0xed)
		high = 0x9f; /* surrogates */
	else if (*p == 0xf0)
		low = 0x90;
	else if (*p == 0xf4)
		high = 0x8f; /* past U+10FFFF */
	if (n < want || p[1] < low || p[1] > high)
		return 0;
	for (size_t i = 2; i < want; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	return want;
}

/* Eight bytes of ASCII, none of them NUL. */
static bool utf8_plain(const uint8_t *p)
{
	const uint64_t high = 0x8080808080808080, ones = 0x0101010101010101;
	uint64_t w;
	memcpy(&w, p, sizeof(w));
	return !((w | ((w - ones) & ~w)) & high);
}

int utf8_valid(const void *bytes, size_t n)
{
	const uint8_t *p = bytes;
	for (size_t i = 0; i < n;) {
		size_t k = n - i >= 8 && utf8_plain(p + i) ? 8 : utf8_sequence(p + i, n - i);
		if (!k)
			return 0;
		i += k;
	}
	return 1;
}

char *utf8_copy(const void *bytes, size_t n)
{
	const uint8_t *p = bytes;
	if (!n || utf8_valid(bytes, n))
		return own_dup_n(n ? bytes : "", n);
	auto_text struct text t = TEXT_INIT;
	for (size_t i = 0; i < n;) {
		size_t k = utf8_sequence(p + i, n - i);
		if (k)
			text_put(&t, p + i, k);
		else
			text_add(&t, "\xef\xbf\xbd");
		i += k ? k : 1;
	}
	return text_take(&t);
}
