/* Tables as people see them. */
#include "orchestrator/table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static char *printed(const struct table *t, size_t width, bool colours, bool markdown)
{
	char *s = NULL;
	size_t n;
	FILE *f = open_memstream(&s, &n);
	assert_non_null(f);
	if (markdown)
		table_markdown(t, f);
	else
		table_print(t, f, width, colours);
	fclose(f);
	return s;
}

static struct table *two_columns(void)
{
	struct table *t = table_new();
	table_column(t, "NAME", TABLE_LEFT);
	table_column(t, "N", TABLE_RIGHT);
	table_column(t, "SAYS", TABLE_LEFT);
	return t;
}

static void prints(const struct table *t, size_t width, const char *want)
{
	auto_free char *s = printed(t, width, false, false);
	assert_string_equal(s, want);
}

static void numbers_stand_at_the_right_and_no_line_ends_in_blanks(void **state)
{
	struct table *t = two_columns();
	(void)state;
	table_cell(t, "a");
	table_cellf(t, "%d", 1);
	table_cell(t, "x");
	table_cell(t, "longer");
	table_cellf(t, "%d", 12345);
	table_cell(t, NULL);
	prints(t, 0, "NAME        N  SAYS\na           1  x\nlonger  12345\n");
	assert_int_equal(table_rows(t), 2);
	table_free(t);
}

static void wide_and_combining_characters_take_the_cells_they_take(void **state)
{
	struct table *t = two_columns();
	(void)state;
	table_cell(t, "日本");
	table_cell(t, "1");
	table_cell(t, "x");
	table_cell(t, "e\xcc\x81");
	table_cell(t, "2");
	table_cell(t, "y");
	prints(t, 0, "NAME  N  SAYS\n日本  1  x\ne\xcc\x81     2  y\n");
	assert_int_equal(table_cells_wide("日本"), 4);
	assert_int_equal(table_cells_wide("e\xcc\x81"), 1);
	table_free(t);
}

static void only_the_last_column_is_cut(void **state)
{
	struct table *t = two_columns();
	(void)state;
	table_cell(t, "a-long-package-name");
	table_cell(t, "1");
	table_cell(t, "a line that is too long");
	prints(t, 32, "NAME                 N  SAYS\na-long-package-name  1  a line …\n");
	table_free(t);
}

static void a_cell_can_neither_move_the_cursor_nor_end_its_line(void **state)
{
	struct table *t = two_columns();
	(void)state;
	table_cell(t, "\033[2Jevil\033[0m");
	table_cell(t, "1\n2");
	table_cell(t, "a\x07z");
	auto_free char *s = printed(t, 0, false, false);
	assert_null(strpbrk(s, "\033\007"));
	assert_string_equal(s, "NAME  N  SAYS\nevil  1  a␇z\n");
	table_free(t);
}

static void colours_are_there_only_when_asked_for(void **state)
{
	struct table *t = two_columns();
	(void)state;
	table_cell(t, "bad");
	table_ink(t, TABLE_RED);
	auto_free char *plain = printed(t, 0, false, false), *inked = printed(t, 0, true, false);
	assert_null(strchr(plain, '\033'));
	assert_non_null(strstr(inked, "\033[31mbad\033[0m"));
	table_free(t);
}

static void markdown_cells_mean_nothing_but_themselves(void **state)
{
	struct table *t = two_columns();
	(void)state;
	table_cell(t, "a|b");
	table_cell(t, "1");
	table_cell(t, "<b>`*x*` @you [l](u)\nmore");
	auto_free char *s = printed(t, 0, false, true);
	assert_string_equal(s, "| NAME | N | SAYS |\n| --- | ---: | --- |\n"
			       "| a\\|b | 1 | \\<b\\>\\`\\*x\\*\\` \\@you \\[l\\]\\(u\\) |\n");
	table_free(t);
}

static void an_empty_table_is_its_heading(void **state)
{
	struct table *t = two_columns();
	(void)state;
	prints(t, 0, "NAME  N  SAYS\n");
	table_free(t);
	table_free(NULL);
}

/* In parts as whole, where no later cell is wider than what came first. */
static void a_table_can_be_printed_before_all_of_it_is_there(void **state)
{
	struct table *t = two_columns();
	char *s = NULL;
	size_t n;
	FILE *f = open_memstream(&s, &n);
	(void)state;
	for (int i = 0; i < 5; i++) {
		table_cell(t, i == 3 ? "a wider one" : "x");
		table_cellf(t, "%d", i);
		table_cell(t, "");
		if (i % 2) {
			table_flush(t, f, 0, false);
			assert_int_equal(table_rows(t), 0);
		}
	}
	table_flush(t, f, 0, false);
	fclose(f);
	assert_string_equal(s, "NAME  N  SAYS\nx     0\nx     1\nx            2\n"
			       "a wider one  3\nx            4\n");
	free(s);
	table_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_stand_at_the_right_and_no_line_ends_in_blanks),
		cmocka_unit_test(wide_and_combining_characters_take_the_cells_they_take),
		cmocka_unit_test(only_the_last_column_is_cut),
		cmocka_unit_test(a_cell_can_neither_move_the_cursor_nor_end_its_line),
		cmocka_unit_test(colours_are_there_only_when_asked_for),
		cmocka_unit_test(markdown_cells_mean_nothing_but_themselves),
		cmocka_unit_test(an_empty_table_is_its_heading),
		cmocka_unit_test(a_table_can_be_printed_before_all_of_it_is_there),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
