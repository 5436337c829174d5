/* Hostile text, made fit to be shown. */
#include "orchestrator/plain.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static const struct plain_bounds wide = {1000, 1000};

static void becomes_n(const char *s, size_t n, const struct plain_bounds *b, const char *want)
{
	auto_text struct text t = TEXT_INIT;
	plain_add(&t, s, n, b);
	assert_string_equal(text_str(&t), want);
}

static void becomes(const char *s, const char *want)
{
	becomes_n(s, strlen(s), &wide, want);
}

static void what_is_harmless_stays_as_it_is(void **state)
{
	(void)state;
	becomes("", "");
	becomes("plain text, 100 % of it", "plain text, 100 % of it");
	becomes("Grüße, 日本語, 👩‍👧, עברית",
		"Grüße, 日本語, 👩‍👧, עברית");
	becomes("a\nb\n\nc\n", "a\nb\n\nc");
}

static void terminal_sequences_vanish_with_their_contents(void **state)
{
	(void)state;
	becomes("\033[31mred\033[0m", "red");
	becomes("\033[2J\033[1;1Hcleared", "cleared");
	becomes("\033]0;title\007after", "after");
	becomes("\033]8;;http://evil\033\\link\033]8;;\033\\", "link");
	becomes("\033P1;2qsixel\033\\after", "after");
	becomes("\033(Bcharset\033=keypad", "charsetkeypad");
	becomes("\302\2331mC1 CSI", "C1 CSI");
	becomes("half \033", "half ");
	becomes("half \033[12", "half ");
	becomes("half \033]0;never ended\nnext", "half \nnext");
}

static void control_characters_become_their_pictures(void **state)
{
	(void)state;
	becomes_n("a\0b", 3, &wide, "a␀b");
	becomes("bell\a back\b del\177", "bell␇ back␈ del␡");
	becomes("tab\there", "tab here");
	becomes("progress 1%\rprogress 2%\r\nnext", "progress 1%\nprogress 2%\nnext");
}

static void what_reverses_or_hides_text_is_replaced(void **state)
{
	(void)state;
	becomes("safe\xe2\x80\xae"
		"exe.txt",
		"safe\xef\xbf\xbd"
		"exe.txt");
	becomes("\xe2\x81\xa6isolate", "\xef\xbf\xbdisolate");
	becomes("zero\xe2\x80\x8bwidth", "zero\xef\xbf\xbdwidth");
	becomes("\xf3\xa0\x81\x81tag", "\xef\xbf\xbdtag");
	becomes("\xc2\x85nel", "\xef\xbf\xbdnel");
}

static void bytes_that_are_no_utf8_are_replaced_one_by_one(void **state)
{
	(void)state;
	becomes("\xff\xfe", "\xef\xbf\xbd\xef\xbf\xbd");
	becomes("\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd");                 /* an overlong '/' */
	becomes("\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"); /* a surrogate */
	becomes("cut \xe2\x82", "cut \xef\xbf\xbd\xef\xbf\xbd");
	becomes("\xf5\x80\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
}

static void long_lines_and_many_lines_are_cut_and_say_so(void **state)
{
	(void)state;
	becomes_n("abcdef\nxy", 9, &(struct plain_bounds){3, 10}, "abc…\nxy");
	becomes_n("äöüß", 8, &(struct plain_bounds){4, 10}, "äöüß");
	becomes_n("1\n2\n3\n4", 7, &(struct plain_bounds){9, 2}, "1\n2\n…");
	becomes_n("1\n2", 3, &(struct plain_bounds){9, 1}, "1");
}

static void a_line_is_the_first_that_is_not_blank(void **state)
{
	static const struct {
		const char *s, *want;
	} cases[] = {{"\n \t\n  first  \nsecond", "first"},
		     {"", ""},
		     {" \n \n", ""},
		     {"\033[1m\033[0m\nreal", "real"},
		     {"one\rtwo", "one"}};
	(void)state;
	for (size_t i = 0; i < countof(cases); i++) {
		auto_free char *line = plain_line(cases[i].s, 100);
		assert_string_equal(line, cases[i].want);
	}
}

static void whatever_comes_in_what_goes_out_is_printable_utf8(void **state)
{
	uint32_t random = 12345;
	(void)state;
	for (int round = 0; round < 2000; round++) {
		static const char spice[] = "\033[]P\\0;m\007\r\n\xe2\x80\xae<>&\"'\xc2\x9b";
		char raw[64];
		for (size_t i = 0; i < sizeof(raw); i++) {
			random = random * 1664525 + 1013904223;
			raw[i] = random >> 31 ? (char)(random >> 16)
					      : spice[(random >> 16) % (sizeof(spice) - 1)];
		}
		auto_text struct text t = TEXT_INIT;
		plain_add(&t, raw, sizeof(raw), &wide);
		for (size_t i = 0; i < t.n;) {
			uint32_t c;
			size_t n = plain_next(t.p + i, t.n - i, &c);
			assert_true(c != 0xfffd || n == 3);
			assert_true(c == '\n' ||
				    (c >= 0x20 && c != 0x7f && !(c >= 0x80 && c < 0xa0)));
			i += n;
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_harmless_stays_as_it_is),
		cmocka_unit_test(terminal_sequences_vanish_with_their_contents),
		cmocka_unit_test(control_characters_become_their_pictures),
		cmocka_unit_test(what_reverses_or_hides_text_is_replaced),
		cmocka_unit_test(bytes_that_are_no_utf8_are_replaced_one_by_one),
		cmocka_unit_test(long_lines_and_many_lines_are_cut_and_say_so),
		cmocka_unit_test(a_line_is_the_first_that_is_not_blank),
		cmocka_unit_test(whatever_comes_in_what_goes_out_is_printable_utf8),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
