#include "orchestrator/commands.h"

#include "base/unit.h"
#include "orchestrator/options.h"
#include "orchestrator/plain.h"
#include "orchestrator/review.h"
#include "orchestrator/rows.h"
#include "orchestrator/state.h"
#include "orchestrator/table.h"

#include <inttypes.h>
#include <string.h>

enum query_format { QUERY_TABLE, QUERY_CSV, QUERY_JSON, QUERY_MARKDOWN };
static const char *const formats[] = {"table", "csv", "json", "markdown"};

struct query_args {
	struct options_common common;
	const char *words[16]; /* the question, then its values */
	size_t n_words;
	enum query_format format;
	bool list;
	const char *since;
};

enum { QUERY_FORMAT = 0x100, QUERY_LIST, QUERY_CSV_ALONE, QUERY_MARKDOWN_ALONE, QUERY_SINCE };

static const struct argp_option query_options[] = {
	{"format", QUERY_FORMAT, "FORMAT", 0, "table (default), csv, json or markdown", 0},
	{"csv", QUERY_CSV_ALONE, NULL, 0, "as --format csv", 0},
	{"markdown", QUERY_MARKDOWN_ALONE, NULL, 0, "as --format markdown", 0},
	{"since", QUERY_SINCE, "DAY", 0, "of regressions: its value, as 2026-11-20", 0},
	{"list", QUERY_LIST, NULL, 0, "list the queries that have a name", 0},
	{0},
};

static const struct argp_child query_children[] = {{&options_common_argp, 0, NULL, 0}, {0}};

static error_t query_parse(int key, char *arg, struct argp_state *st)
{
	struct query_args *a = st->input;
	switch (key) {
	case ARGP_KEY_INIT:
		st->child_inputs[0] = &a->common;
		return 0;
	case QUERY_FORMAT:
		for (unsigned i = 0; i < countof(formats); i++)
			if (!strcmp(arg, formats[i])) {
				a->format = (enum query_format)i;
				return 0;
			}
		argp_error(st, "--format takes table, csv, json or markdown, not '%s'", arg);
		return 0;
	case QUERY_CSV_ALONE:
		a->format = QUERY_CSV;
		return 0;
	case QUERY_MARKDOWN_ALONE:
		a->format = QUERY_MARKDOWN;
		return 0;
	case QUERY_SINCE:
		a->since = arg;
		return 0;
	case QUERY_LIST:
		a->list = true;
		return 0;
	case ARGP_KEY_ARG:
		if (a->n_words == countof(a->words))
			argp_error(st, "too many values: %s", arg);
		a->words[a->n_words++] = arg;
		return 0;
	case ARGP_KEY_END:
		if (!a->n_words && !a->list)
			argp_error(st, "which question? SQL, or a name that --list shows");
		if (a->since && (a->n_words != 1 || strcmp(a->words[0], "regressions")))
			argp_error(st, "--since is of the query regressions");
		if (a->since)
			a->words[a->n_words++] = a->since;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp query_argp = {
	query_options,
	query_parse,
	"SQL|NAME [VALUE…]\n--list",
	"Ask the results database: one SQL statement that only reads, or a query that has a name.\v"
	"Values are bound to ?1, ?2 … as text. The views v_run, v_job, v_result, v_phase, v_store, "
	"v_entry … are the database's public face: "
	"assay-db(7). It works while a run is going on.\n\n"
	"Example:\n  assay query \"SELECT package, reason FROM v_result WHERE run = ?1\" 7\n"
	"  assay query regressions --since 2026-11-20\n  assay query jobs 7 --csv",
	query_children,
	NULL,
	NULL,
};

static void cell_text(const struct db_cell *c, struct text *t)
{
	switch (c->type) {
	case DB_NULL:
		return;
	case DB_INT:
		text_addf(t, "%" PRId64, c->i);
		return;
	case DB_REAL:
		text_addf(t, "%.15g", c->r);
		return;
	case DB_TEXT:
		text_add(t, c->s);
		return;
	}
}

/* A cell of a table is one line, and what is asked for is not to be lost: line ends are shown. */
static char *cell_line(const struct db_cell *c)
{
	auto_text struct text raw = TEXT_INIT;
	struct text line = TEXT_INIT;
	cell_text(c, &raw);
	for (const char *p = text_str(&raw); *p; p++)
		if (*p == '\n')
			text_add(&line, p[1] ? "↵" : "");
		else
			text_addc(&line, *p == '\r' ? ' ' : *p);
	return text_take(&line);
}

/* A column of numbers stands at the right; what is NULL says nothing about it. */
static bool column_of_numbers(const struct db_table *rows, size_t column)
{
	bool any = false;
	for (size_t r = 0; r < rows->n_rows; r++) {
		enum db_type type = rows->cells[r * rows->n_columns + column].type;
		if (type == DB_TEXT)
			return false;
		any |= type != DB_NULL;
	}
	return any;
}

static struct table *query_table(const struct db_table *rows)
{
	struct table *t = table_new();
	for (size_t i = 0; i < rows->n_columns; i++)
		table_column(t, rows->columns[i],
			     column_of_numbers(rows, i) ? TABLE_RIGHT : TABLE_LEFT);
	for (size_t i = 0; i < rows->n_rows * rows->n_columns; i++) {
		auto_free char *line = cell_line(&rows->cells[i]);
		table_cell(t, line);
	}
	return t;
}

/* RFC 4180, but lines end in \n. For a terminal, which would obey what is in it, control characters
 * are made harmless. */
static void csv_put(struct text *line, const char *s, bool terminal)
{
	auto_text struct text plain = TEXT_INIT;
	if (terminal)
		plain_add(&plain, s, strlen(s), &(struct plain_bounds){SIZE_MAX, SIZE_MAX});
	if (terminal)
		s = text_str(&plain);
	if (!strpbrk(s, ",\"\r\n")) {
		text_add(line, s);
		return;
	}
	text_addc(line, '"');
	for (; *s; s++) {
		if (*s == '"')
			text_addc(line, '"');
		text_addc(line, *s);
	}
	text_addc(line, '"');
}

enum { CSV_AT_ONCE = 64 << 10 };

static void query_csv(const struct db_table *rows)
{
	bool terminal = isatty(STDOUT_FILENO);
	auto_text struct text lines = TEXT_INIT;
	for (size_t i = 0; i < rows->n_columns; i++) {
		csv_put(&lines, rows->columns[i], terminal);
		text_addc(&lines, i + 1 < rows->n_columns ? ',' : '\n');
	}
	for (size_t i = 0; i < rows->n_rows * rows->n_columns; i++) {
		const struct db_cell *c = &rows->cells[i];
		if (c->type == DB_TEXT)
			csv_put(&lines, c->s, terminal);
		else
			cell_text(c, &lines);
		text_addc(&lines, (i + 1) % rows->n_columns ? ',' : '\n');
		if (lines.n < CSV_AT_ONCE)
			continue;
		fwrite(lines.p, 1, lines.n, stdout);
		lines.n = 0;
	}
	fwrite(text_str(&lines), 1, lines.n, stdout);
}

/* One array of objects, a row a line. */
static void query_json(const struct db_table *rows)
{
	size_t flags = JSON_COMPACT | (isatty(STDOUT_FILENO) ? JSON_ENSURE_ASCII : 0);
	puts(rows->n_rows ? "[" : "[]");
	for (size_t r = 0; r < rows->n_rows; r++) {
		json_t *o = rows_object(rows, r);
		fputs("  ", stdout);
		json_dumpf(o, stdout, flags);
		puts(r + 1 < rows->n_rows ? "," : "\n]");
		json_decref(o);
	}
}

static void query_print(const struct db_table *rows, enum query_format format)
{
	if (!rows->n_columns)
		return;
	if (format == QUERY_JSON) {
		query_json(rows);
	} else if (format == QUERY_CSV) {
		query_csv(rows);
	} else {
		struct table *t = query_table(rows);
		if (format == QUERY_MARKDOWN)
			table_markdown(t, stdout);
		else
			table_print(t, stdout, table_width(stdout), table_colours(stdout));
		table_free(t);
	}
}

static struct db_cell cell_of(struct db_table *t, const char *s)
{
	return s ? (struct db_cell){.type = DB_TEXT, .s = pool_dup(&t->texts, s)}
		 : (struct db_cell){.type = DB_NULL};
}

/* Those for people first, each with what it says; then the others. */
static void query_list(enum query_format format)
{
	enum { COLUMNS = 3 };
	struct db_table rows = {.columns = (char *[]){(char[]){"name"}, (char[]){"values"},
						      (char[]){"what"}},
				.n_columns = COLUMNS};
	for (int people = 1; people >= 0; people--) {
		struct db_named_query q;
		const char *name;
		for (size_t i = 0; (name = db_named_at(i, &q)); i++) {
			if ((q.says != NULL) != people)
				continue;
			rows.cells = own_grow(rows.cells, (rows.n_rows + 1) * COLUMNS,
					      sizeof(*rows.cells));
			struct db_cell *cell = rows.cells + rows.n_rows++ * COLUMNS;
			auto_free char *values =
				q.n_may ? own_fmt("%zu to %zu", q.n_args - q.n_may, q.n_args)
					: own_fmt("%zu", q.n_args);
			cell[0] = cell_of(&rows, name);
			cell[1] = cell_of(&rows, values);
			cell[2] = cell_of(&rows, q.says);
		}
	}
	query_print(&rows, format);
	pool_fini(&rows.texts);
	free(rows.cells);
}

/* A value that names nothing would be answered with no row, and one that is no day with all. */
static int query_first(struct db *d, const char *question, const char *word, struct err *e)
{
	struct db_named_query q;
	const char *name;
	for (size_t i = 0; (name = db_named_at(i, &q)); i++)
		if (!strcmp(name, question))
			break;
	if (!name || !q.first || !word)
		return 0;
	if (!strcmp(q.first, "run"))
		return review_run(d, word, e) < 0 ? -1 : 0;
	if (!strcmp(q.first, "day") && !unit_is_day(word))
		return err_set(e, ERR_USAGE, "'%s' is no day: they are written as 2026-11-20",
			       word);
	return 0;
}

static int query_ask(const struct query_args *a, struct db_table **rows, struct err *e)
{
	static const char letters[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	const char *question = a->words[0];
	bool name = strspn(question, letters) == strlen(question);
	auto_free char *state = state_path(a->common.state, e);
	auto_free char *file = state ? own_fmt("%s/assay.db", state) : NULL;
	struct db *d = file ? db_open(file, DB_READ, e) : NULL;
	if (!d)
		return -1;
	const char *first = a->n_words > 1 ? a->words[1] : NULL;
	int rc = name && query_first(d, question, first, e)
			 ? -1
			 : (name ? db_named : db_query)(d, question, a->words + 1, a->n_words - 1,
							rows, e);
	if (!rc && name && !strcmp(question, "history") && !(*rows)->n_rows)
		rc = err_set(e, ERR_ABSENT, "there is no package '%s' in any run", first);
	db_close(d);
	return rc;
}

int cmd_query(int argc, char **argv)
{
	struct query_args a = {0};
	struct err e = ERR_INIT;
	struct db_table *rows = NULL;
	if (argp_parse(&query_argp, argc, argv, 0, NULL, &a))
		return EXIT_USAGE;
	if (a.common.json)
		a.format = QUERY_JSON;
	if (a.list) {
		query_list(a.format);
		return EXIT_OK;
	}
	int rc = query_ask(&a, &rows, &e);
	if (!rc)
		query_print(rows, a.format);
	db_table_free(rows);
	return rc ? command_fail(&e) : EXIT_OK;
}
