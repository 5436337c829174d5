#include "orchestrator/cache_cmd.h"

#include "base/clock.h"
#include "base/unit.h"
#include "orchestrator/rows.h"

#include <string.h>
#include <time.h>

struct db *cache_cmd_db(const struct cache_args *a, struct err *e)
{
	auto_free char *path = state_path(a->common.state, e);
	if (!path)
		return NULL;
	auto_free char *file = own_fmt("%s/assay.db", path);
	return db_open(file, DB_READ, e);
}

int cache_cmd_ask(struct db *d, const char *name, const char *arg, struct db_table **out,
		  struct err *e)
{
	const char *args[] = {arg};
	return db_named(d, name, args, arg != NULL, out, e);
}

int cache_cmd_store(struct db *d, const char *word, char **out, struct err *e)
{
	struct db_table *t;
	int rc = -1;
	*out = NULL;
	if (cache_cmd_ask(d, "stores", NULL, &t, e))
		return -1;
	for (size_t i = 0; word && !*out && i < t->n_rows; i++)
		if (!strcmp(rows_str(t, i, "store"), word))
			*out = own_dup(word);
	if (!word && t->n_rows == 1)
		*out = own_dup(rows_str(t, 0, "store"));
	if (*out)
		rc = 0;
	else if (!t->n_rows)
		err_set(e, ERR_ABSENT, "there are no stores yet; assay run makes them");
	else if (word)
		err_set(e, ERR_ABSENT,
			"there is no store %s; assay cache list shows those there are", word);
	else
		err_set(e, ERR_USAGE, "which store? assay cache list shows them");
	db_table_free(t);
	return rc;
}

int cache_cmd_generation(struct db *d, const char *word, int64_t *out, struct err *e)
{
	uint64_t n;
	struct db_table *t;
	auto_free char *store = NULL;
	if (word && !unit_parse_count(word, &n)) {
		if (cache_cmd_ask(d, "generation", word, &t, e))
			return -1;
		*out = rows_int(t, 0, "generation", 0);
		db_table_free(t);
		return *out ? 0 : err_set(e, ERR_ABSENT, "there is no generation %s", word);
	}
	struct db_generation g;
	if (cache_cmd_store(d, word, &store, e) || db_store_current(d, store, &g, e))
		return -1;
	*out = g.id;
	db_generation_fini(&g);
	return *out ? 0 : err_set(e, ERR_ABSENT, "store %s is empty", store);
}

void cache_cmd_json(json_t *j)
{
	json_dumpf(j, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(j);
}

void cache_cmd_element(FILE *to, int indent, bool first, json_t *j)
{
	char *text = json_dumps(j, JSON_INDENT(2));
	fputs(first ? "[\n" : ",\n", to);
	for (const char *line = text, *end; line; line = *end ? end + 1 : NULL) {
		end = strchrnul(line, '\n');
		fprintf(to, "%*s%.*s%s", indent, "", (int)(end - line), line, *end ? "\n" : "");
	}
	free(text);
	json_decref(j);
}

static void print_cell(struct table *out, const struct db_table *t, size_t row,
		       const struct cache_column *c)
{
	char size[UNIT_TEXT], when[32] = "";
	const struct db_cell *cell = rows_cell(t, row, c->column);
	struct tm tm;
	if (!cell || cell->type == DB_NULL) {
		table_cell(out, "");
		return;
	}
	time_t at = (time_t)(cell->i / 1000);
	switch (c->kind) {
	case CACHE_TEXT:
		table_cell(out, cell->s);
		break;
	case CACHE_NUMBER:
		table_cellf(out, "%lld", (long long)cell->i);
		break;
	case CACHE_SIZE:
		table_cell(out, unit_size((uint64_t)cell->i, size));
		break;
	case CACHE_TIME:
		if (localtime_r(&at, &tm))
			strftime(when, sizeof(when), "%Y-%m-%d %H:%M", &tm);
		table_cell(out, when);
		break;
	case CACHE_SHORT:
		table_cellf(out, "%.12s", cell->s ? cell->s : "");
		break;
	case CACHE_MARK:
		table_cell(out, cell->i ? "*" : "");
		break;
	}
}

/* ---- rows, as they come ---- */

enum { LIST_AHEAD = 4096 }; /* rows that columns are made as wide as */

struct list {
	const struct cache_args *a;
	const struct cache_column *columns;
	size_t n, n_rows;
	struct table *table; /* NULL: JSON */
};

static void list_begin(struct list *l)
{
	if (l->a->common.json)
		return;
	l->table = table_new();
	for (size_t i = 0; i < l->n; i++)
		table_column(l->table, l->columns[i].heading,
			     l->columns[i].kind == CACHE_NUMBER || l->columns[i].kind == CACHE_SIZE
				     ? TABLE_RIGHT
				     : TABLE_LEFT);
}

static void list_json(const struct list *l, const struct db_table *t, size_t row)
{
	cache_cmd_element(stdout, 2, !l->n_rows, rows_object(t, row));
}

static void list_row(struct list *l, const struct db_table *t, size_t row)
{
	if (!l->table)
		list_json(l, t, row);
	for (size_t i = 0; l->table && i < l->n; i++)
		print_cell(l->table, t, row, &l->columns[i]);
	l->n_rows++;
	if (l->table && table_rows(l->table) == LIST_AHEAD)
		table_flush(l->table, stdout, table_width(stdout), table_colours(stdout));
}

/* none: said where there were none; NULL: the rest did not come. */
static void list_end(struct list *l, const char *none)
{
	if (!l->table && none)
		puts(l->n_rows ? "\n]" : "[]");
	else if (l->table && !l->n_rows && none)
		fprintf(stderr, "assay: %s\n", none);
	else if (l->table && table_rows(l->table))
		table_flush(l->table, stdout, table_width(stdout), table_colours(stdout));
	table_free(l->table);
}

void cache_cmd_print(const struct cache_args *a, struct db_table *t,
		     const struct cache_column *columns, size_t n, const char *none)
{
	struct list l = {.a = a, .columns = columns, .n = n};
	list_begin(&l);
	for (size_t i = 0; i < t->n_rows; i++)
		list_row(&l, t, i);
	list_end(&l, none);
	db_table_free(t);
}

static int list_on_row(void *owner, const struct db_table *t, struct err *e)
{
	struct list *l = owner;
	list_row(l, t, 0);
	return ferror(stdout) ? err_sys(e, "write the list") : 0;
}

int cache_cmd_list(const struct cache_args *a, struct db *d, const char *name,
		   const char *const *args, size_t n_args, const struct cache_column *columns,
		   size_t n, const char *none, struct err *e)
{
	struct list l = {.a = a, .columns = columns, .n = n};
	list_begin(&l);
	int rc = db_named_each(d, name, args, n_args, list_on_row, &l, e);
	list_end(&l, rc ? NULL : none);
	return rc;
}

void cache_cmd_progress(const char *what, size_t done, size_t of)
{
	static int64_t last_ns;
	int64_t now = clock_mono_ns();
	if (!isatty(STDERR_FILENO) || (done < of && now - last_ns < 200000000))
		return;
	last_ns = now;
	fprintf(stderr, "\r%s %zu of %zu\033[K%s", what, done, of, done < of ? "" : "\r\033[K");
}
