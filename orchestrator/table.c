#include "orchestrator/table.h"

#include "orchestrator/plain.h"

#include <locale.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <wchar.h>

struct table_entry {
	char *s;
	size_t wide;
	enum table_ink ink;
};

struct table {
	struct {
		char *name;
		enum table_align align;
		size_t wide;
	} * columns;
	size_t n_columns;
	struct table_entry *entries;
	size_t n_entries, cap;
	bool begun; /* its heading was printed, for good */
};

enum { CELL_MAX = 4000, GAP = 2 };

/* wcwidth(3) of any Unicode character, whatever the program's locale. glibc 2.35 has C.UTF-8 built
 * in; without it everything counts 1. */
static int char_wide(uint32_t c)
{
	static _Thread_local locale_t utf8;
	if (c < 0x7f)
		return 1;
	if (!utf8)
		utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", NULL);
	if (!utf8)
		return 1;
	locale_t before = uselocale(utf8);
	int wide = wcwidth((wchar_t)c);
	uselocale(before);
	return wide < 0 ? 1 : wide;
}

/* The bytes of s that fit in `max` terminal cells; *wide gets how many those take. */
static size_t cells_fit(const char *s, size_t max, size_t *wide)
{
	size_t n = strlen(s), i = 0;
	*wide = 0;
	while (i < n) {
		uint32_t c;
		size_t len = plain_next(s + i, n - i, &c), w = (size_t)char_wide(c);
		if (*wide + w > max)
			break;
		*wide += w;
		i += len;
	}
	return i;
}

size_t table_cells_wide(const char *s)
{
	size_t wide;
	cells_fit(s, SIZE_MAX / 2, &wide);
	return wide;
}

struct table *table_new(void)
{
	return own_calloc(1, sizeof(struct table));
}

void table_free(struct table *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->n_columns; i++)
		free(t->columns[i].name);
	for (size_t i = 0; i < t->n_entries; i++)
		free(t->entries[i].s);
	free(t->columns);
	free(t->entries);
	free(t);
}

static char *cell_plain(const char *s)
{
	struct text t = TEXT_INIT;
	plain_add(&t, s, strlen(s), &(struct plain_bounds){CELL_MAX, 1});
	return text_take(&t);
}

void table_column(struct table *t, const char *name, enum table_align align)
{
	t->columns = own_grow(t->columns, t->n_columns + 1, sizeof(*t->columns));
	char *plain = cell_plain(name);
	t->columns[t->n_columns].name = plain;
	t->columns[t->n_columns].align = align;
	t->columns[t->n_columns++].wide = table_cells_wide(plain);
}

void table_cell(struct table *t, const char *s)
{
	if (t->n_entries == t->cap) {
		t->cap = t->cap ? t->cap * 2 : 64;
		t->entries = own_grow(t->entries, t->cap, sizeof(*t->entries));
	}
	struct table_entry *e = &t->entries[t->n_entries];
	size_t column = t->n_entries++ % t->n_columns;
	*e = (struct table_entry){.s = cell_plain(s ? s : "")};
	e->wide = table_cells_wide(e->s);
	if (e->wide > t->columns[column].wide)
		t->columns[column].wide = e->wide;
}

void table_cellf(struct table *t, const char *fmt, ...)
{
	auto_free char *s = NULL;
	va_list ap;
	va_start(ap, fmt);
	int n = vasprintf(&s, fmt, ap);
	va_end(ap);
	if (n < 0)
		abort();
	table_cell(t, s);
}

void table_ink(struct table *t, enum table_ink ink)
{
	if (t->n_entries)
		t->entries[t->n_entries - 1].ink = ink;
}

size_t table_rows(const struct table *t)
{
	return t->n_columns ? (t->n_entries + t->n_columns - 1) / t->n_columns : 0;
}

static void put_blanks(FILE *out, size_t n)
{
	fprintf(out, "%*s", (int)n, "");
}

/* SGR sequences (ECMA-48 8.3.117). */
static const char *const inks[] = {
	[TABLE_PLAIN] = "",          [TABLE_RED] = "\033[31m",  [TABLE_GREEN] = "\033[32m",
	[TABLE_YELLOW] = "\033[33m", [TABLE_BLUE] = "\033[34m", [TABLE_DIM] = "\033[2m",
};

static void put_inked(FILE *out, const char *s, size_t n, enum table_ink ink, bool colours)
{
	bool inked = colours && ink != TABLE_PLAIN && n;
	fprintf(out, "%s%.*s%s", inked ? inks[ink] : "", (int)n, s, inked ? "\033[0m" : "");
}

/* One line; `at` gives the text, width and ink of a column. */
static void put_line(const struct table *t, FILE *out, size_t width, bool colours,
		     const struct table_entry *row)
{
	size_t used = 0, owed = 0;
	for (size_t i = 0; i < t->n_columns; i++) {
		bool last = i + 1 == t->n_columns;
		size_t pad = t->columns[i].wide - row[i].wide, n = strlen(row[i].s),
		       wide = row[i].wide;
		bool cut = last && width && used + wide > width;
		if (cut)
			n = cells_fit(row[i].s, width > used + 1 ? width - used - 1 : 0, &wide);
		if (t->columns[i].align == TABLE_RIGHT && !cut)
			owed += pad;
		if (n || cut)
			put_blanks(out, owed), owed = 0;
		put_inked(out, row[i].s, n, row[i].ink, colours);
		if (cut && width > used)
			fputs("…", out);
		if (t->columns[i].align == TABLE_LEFT)
			owed += pad;
		owed += GAP;
		used += t->columns[i].wide + GAP;
	}
	putc('\n', out);
}

static void put_heading(const struct table *t, FILE *out, size_t width, bool colours)
{
	auto_free struct table_entry *row = own_calloc(t->n_columns, sizeof(*row));
	for (size_t i = 0; i < t->n_columns; i++)
		row[i] = (struct table_entry){t->columns[i].name,
					      table_cells_wide(t->columns[i].name), TABLE_DIM};
	put_line(t, out, width, colours, row);
}

static void put_rows(const struct table *t, FILE *out, size_t width, bool colours)
{
	auto_free struct table_entry *row = own_calloc(t->n_columns, sizeof(*row));
	for (size_t r = 0; r < table_rows(t); r++) {
		for (size_t i = 0; i < t->n_columns; i++) {
			size_t at = r * t->n_columns + i;
			row[i] = at < t->n_entries
					 ? t->entries[at]
					 : (struct table_entry){.s = t->columns[i].name +
								     strlen(t->columns[i].name)};
		}
		put_line(t, out, width, colours, row);
	}
}

void table_print(const struct table *t, FILE *out, size_t width, bool colours)
{
	put_heading(t, out, width, colours);
	put_rows(t, out, width, colours);
}

void table_flush(struct table *t, FILE *out, size_t width, bool colours)
{
	if (!t->begun)
		put_heading(t, out, width, colours);
	put_rows(t, out, width, colours);
	for (size_t i = 0; i < t->n_entries; i++)
		free(t->entries[i].s);
	t->n_entries = 0;
	t->begun = true;
}

void markdown_add(struct text *t, const char *s)
{
	for (; *s; s++) {
		if (strchr("\\`*_{}[]<>()#+!|~&@", *s))
			text_addc(t, '\\');
		text_addc(t, *s);
	}
}

static void markdown_line(const struct table *t, FILE *out, size_t row)
{
	for (size_t i = 0; i < t->n_columns; i++) {
		size_t at = row * t->n_columns + i;
		auto_text struct text cell = TEXT_INIT;
		if (at < t->n_entries)
			markdown_add(&cell, t->entries[at].s);
		fprintf(out, "| %s ", text_str(&cell));
	}
	fputs("|\n", out);
}

void table_markdown(const struct table *t, FILE *out)
{
	for (size_t i = 0; i < t->n_columns; i++) {
		auto_text struct text name = TEXT_INIT;
		markdown_add(&name, t->columns[i].name);
		fprintf(out, "| %s ", text_str(&name));
	}
	fputs("|\n", out);
	for (size_t i = 0; i < t->n_columns; i++)
		fputs(t->columns[i].align == TABLE_RIGHT ? "| ---: " : "| --- ", out);
	fputs("|\n", out);
	for (size_t r = 0; r < table_rows(t); r++)
		markdown_line(t, out, r);
}

size_t table_width(FILE *out)
{
	struct winsize w;
	if (!isatty(fileno(out)) || ioctl(fileno(out), TIOCGWINSZ, &w) || w.ws_col < 40)
		return 0;
	return w.ws_col;
}

bool table_colours(FILE *out)
{
	const char *no = getenv("NO_COLOR");
	return isatty(fileno(out)) && !(no && *no);
}
