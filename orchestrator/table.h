/* Tables: the one way in which commands print rows to people. Cells are plain text
 * (orchestrator/plain.h makes it so when they are put in), columns are as wide as what they hold in
 * terminal cells (wcwidth), numbers stand at the right. */
#pragma once
#include "base/text.h"

#include <stdbool.h>

enum table_align { TABLE_LEFT, TABLE_RIGHT };
enum table_ink { TABLE_PLAIN, TABLE_RED, TABLE_GREEN, TABLE_YELLOW, TABLE_BLUE, TABLE_DIM };

struct table;

struct table *table_new(void) must_check;
void table_free(struct table *t);
/* All columns come before the first cell. */
void table_column(struct table *t, const char *name, enum table_align align);
/* The next cell of the current row, which begins by itself where the one before is full. NULL is an
 * empty cell. Only the first line of s is taken. */
void table_cell(struct table *t, const char *s);
void table_cellf(struct table *t, const char *fmt, ...) printf_like(2, 3);
/* The ink of the cell put last; used only where table_print is told that there are colours. */
void table_ink(struct table *t, enum table_ink ink);
size_t table_rows(const struct table *t);

/* table_print(t, out, width, colours): heading and rows, two spaces between columns, no blanks at
 * the ends of lines. Where a line would be wider than `width` terminal cells (0: no bound) the last
 * column is cut, with "…"; the others never are. */
void table_print(const struct table *t, FILE *out, size_t width, bool colours);
/* table_flush(t, out, width, colours): prints the rows that are there, and forgets them: for tables
 * that are not to be held whole. The heading comes once; columns get wider for later rows, never
 * less wide. */
void table_flush(struct table *t, FILE *out, size_t width, bool colours);
/* A Markdown table: '|', backticks and the like in cells are escaped. */
void table_markdown(const struct table *t, FILE *out);

/* table_width(out): the terminal's width, 0 where out is none. table_colours(out): a terminal, and
 * NO_COLOR is not set (no-color.org). */
size_t table_width(FILE *out);
bool table_colours(FILE *out);

/* Terminal cells that s takes up. */
size_t table_cells_wide(const char *s);
/* markdown_add(t, s): s as running text of Markdown, everything that would mean something there
 * escaped. */
void markdown_add(struct text *t, const char *s);
