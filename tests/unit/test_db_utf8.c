/* db/utf8.c: what leaves the database as text is text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "db/handle.h"

#include <string.h>

static size_t encode(uint32_t c, uint8_t out[4])
{
	if (c < 0x80)
		return out[0] = (uint8_t)c, 1;
	size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
	for (size_t i = n; --i; c >>= 6)
		out[i] = (uint8_t)(0x80 | (c & 0x3f));
	out[0] = (uint8_t)((0xf00 >> n & 0xff) | c);
	return n;
}

static void every_character_is_valid_but_nul_and_surrogates(void **state)
{
	(void)state;
	for (uint32_t c = 0; c < 0x110000; c++) {
		uint8_t bytes[4];
		size_t n = encode(c, bytes);
		int valid = c != 0 && (c < 0xd800 || c > 0xdfff);
		if (utf8_valid(bytes, n) != valid)
			fail_msg("U+%04X", (unsigned)c);
	}
}

static void a_cut_character_is_not_valid(void **state)
{
	(void)state;
	for (uint32_t c = 0x80; c < 0x110000; c += 77) {
		uint8_t bytes[4];
		size_t n = encode(c, bytes);
		for (size_t i = 1; i < n; i++)
			assert_false(utf8_valid(bytes, i));
	}
}

static void whatever_comes_in_valid_text_comes_out(void **state)
{
	static const struct {
		const char *in;
		size_t n;
		const char *out;
	} cases[] = {
		{"", 0, ""},
		{"plain", 5, "plain"},
		{"a\0b", 3,
		 "a\xef\xbf\xbd"
		 "b"},
		{"\xc0\xaf", 2, "\xef\xbf\xbd\xef\xbf\xbd"}, /* '/' too long */
		{"\xe0\x80\x80", 3, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
		{"\xf4\x90\x80\x80", 4,
		 "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"}, /* past U+10FFFF */
		{"\xe2\x82", 2, "\xef\xbf\xbd\xef\xbf\xbd"},          /* half a euro */
		{"\xe2\x82\xac", 3, "\xe2\x82\xac"},
		{"\x80x\xff", 3, "\xef\xbf\xbdx\xef\xbf\xbd"},
	};
	(void)state;
	for (size_t i = 0; i < countof(cases); i++) {
		auto_free char *out = utf8_copy(cases[i].in, cases[i].n);
		assert_string_equal(out, cases[i].out);
	}
	uint32_t seed = 1;
	for (unsigned round = 0; round < 20000; round++) {
		uint8_t bytes[16];
		for (size_t i = 0; i < sizeof(bytes); i++) {
			seed = seed * 1664525 + 1013904223;
			bytes[i] = (uint8_t)(seed >> 24 | (round & 1 ? 0x80 : 0));
		}
		auto_free char *out = utf8_copy(bytes, sizeof(bytes));
		assert_true(utf8_valid(out, strlen(out)));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_character_is_valid_but_nul_and_surrogates),
		cmocka_unit_test(a_cut_character_is_not_valid),
		cmocka_unit_test(whatever_comes_in_valid_text_comes_out),
	};
	return cmocka_run_group_tests_name("db_utf8", tests, NULL, NULL);
}
