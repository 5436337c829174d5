/* orchestrator/watch.c, porcelain.c: what a snapshot looks like, whatever is in it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "orchestrator/porcelain.h"
#include "orchestrator/table.h"
#include "orchestrator/watch.h"

#include <locale.h>
#include <string.h>

static json_t *snapshot(size_t running)
{
	json_t *list = json_array(), *recent = json_array();
	for (size_t i = 0; i < running; i++)
		json_array_append_new(list, json_pack("{s:s, s:s?, s:s, s:i, s:i, s:b}", "package",
						      i % 2 ? "semver" : "日本語\033[2Jパッケージ",
						      "variant", i % 3 ? "node-22" : NULL, "phase",
						      "test", "since_ms", 5000, "expect_ms", 10000,
						      "networked", 0));
	json_array_append_new(recent, json_pack("{s:s, s:s, s:s, s:s, s:s, s:i}", "package", "a",
						"variant", "next", "status", "fail", "reason",
						"exit", "phase", "test", "wall_ms", 12));
	return json_pack(
		"{s:i, s:s, s:i, s:i, s:i, s:s, s:[i, i], s:{s:i, s:i}, s:o, s:o, s:{s:i, s:i, "
		"s:i}}",
		"run", 3, "suite", "demo", "jobs", 40, "done", 10, "wall_ms", 65000, "state",
		"running", "left_ms", 60000, 90000, "slots", "jobs", 4, "jobs_used", 2, "running",
		list, "recent", recent, "pressure", "memory", 12, "io", 0, "disk_free", 1 << 30);
}

static void a_line_tells_how_far_it_is(void **state)
{
	auto_text struct text t = TEXT_INIT;
	json_t *s = snapshot(2);
	(void)state;
	watch_line(s, &t);
	assert_string_equal(t.p,
			    "run 3: 10 of 40 done, 2 running, 1 m 05 s, about 1 m 00 s to 1 m 30 s "
			    "left");
	json_decref(s);
}

/* Whatever the size, a screen is never larger, and nothing that a name brings reaches a terminal.
 */
static void a_screen_fits(void **state)
{
	(void)state;
	for (size_t width = 1; width < 130; width += 7)
		for (size_t height = 1; height < 40; height += 5) {
			auto_text struct text t = TEXT_INIT;
			json_t *s = snapshot(20);
			size_t lines = 1;
			watch_screen(s, width, height, false, &t);
			assert_null(strstr(t.p, "\033[2J"));
			for (char *line = t.p, *end; line; line = end, lines += line != NULL) {
				end = strstr(line, "\r\n");
				if (end) {
					*end = '\0';
					end += 2;
				}
				char *erase = strstr(line, "\033[K");
				assert_non_null(erase);
				*erase = '\0';
				assert_true(table_cells_wide(line) <= width);
			}
			assert_true(lines <= height);
			json_decref(s);
		}
}

static void a_broken_snapshot_is_shown_as_far_as_it_goes(void **state)
{
	auto_text struct text t = TEXT_INIT;
	json_t *s = json_object();
	(void)state;
	watch_screen(s, 80, 24, true, &t);
	watch_line(s, &t);
	assert_non_null(strstr(t.p, "0 of 0 done"));
	json_decref(s);
}

static void a_name_is_one_word_of_a_line(void **state)
{
	static const struct {
		const char *name, *word;
	} names[] = {{"semver", " semver"},
		     {"@a/b c", " @a/b%20c"},
		     {"100%", " 100%25"},
		     {"-", " %2D"},
		     {"", " -"},
		     {NULL, " -"},
		     {"a\nb", " a%0Ab"},
		     {"é", " %C3%A9"}};
	(void)state;
	for (size_t i = 0; i < countof(names); i++) {
		auto_text struct text t = TEXT_INIT;
		porcelain_word(&t, names[i].name);
		assert_string_equal(t.p, names[i].word);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_tells_how_far_it_is),
		cmocka_unit_test(a_screen_fits),
		cmocka_unit_test(a_broken_snapshot_is_shown_as_far_as_it_goes),
		cmocka_unit_test(a_name_is_one_word_of_a_line),
	};
	setlocale(LC_CTYPE, "C.UTF-8");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
