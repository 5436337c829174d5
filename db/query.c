/* Questions from outside: one statement that can only read, its rows as a table of values. What may
 * run is decided by SQLite's own authorizer while it compiles, never by looking at the text. */
#include "db/handle.h"

#include <errno.h>
#include <string.h>

enum {
	MAX_ROWS = 1000000,
	MAX_VALUE_BYTES = 64 << 20,
	MAX_TABLE_BYTES = 1 << 30,
};

/* ---- tables ---- */

void db_table_free(struct db_table *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->n_columns; i++)
		free(t->columns[i]);
	free(t->cells);
	pool_fini(&t->texts);
	free(t->columns);
	free(t);
}

static struct db_table *table_new(sqlite3_stmt *s)
{
	struct db_table *t = own_calloc(1, sizeof(*t));
	t->n_columns = (size_t)sqlite3_column_count(s);
	t->columns = own_calloc(t->n_columns ? t->n_columns : 1, sizeof(*t->columns));
	for (size_t i = 0; i < t->n_columns; i++) {
		const char *name = sqlite3_column_name(s, (int)i);
		t->columns[i] = utf8_copy(name ? name : "", name ? strlen(name) : 0);
	}
	return t;
}

/* *bytes grows by what the cell holds of text. */
static struct db_cell cell_read(struct pool *texts, size_t *bytes, sqlite3_stmt *s, int at)
{
	switch (sqlite3_column_type(s, at)) {
	case SQLITE_INTEGER:
		return (struct db_cell){.type = DB_INT, .i = sqlite3_column_int64(s, at)};
	case SQLITE_FLOAT:
		return (struct db_cell){.type = DB_REAL, .r = sqlite3_column_double(s, at)};
	case SQLITE_NULL:
		return (struct db_cell){.type = DB_NULL};
	}
	const char *text = sqlite3_column_blob(s, at); /* of a text, its bytes */
	size_t n = text ? (size_t)sqlite3_column_bytes(s, at) : 0;
	if (utf8_valid(text, n)) {
		*bytes += n;
		return (struct db_cell){.type = DB_TEXT, .s = pool_dup_n(texts, text, n)};
	}
	auto_free char *valid = utf8_copy(text, n);
	n = strlen(valid);
	*bytes += n;
	return (struct db_cell){.type = DB_TEXT, .s = pool_dup_n(texts, valid, n)};
}

static int table_row(struct db_table *t, size_t *cap, size_t *bytes, sqlite3_stmt *s, struct err *e)
{
	if (t->n_rows == MAX_ROWS)
		return err_set(e, ERR_LIMIT,
			       "the query has more than %d rows: narrow it, or count in SQL",
			       MAX_ROWS);
	if (t->n_rows == *cap) {
		*cap = *cap ? *cap * 2 : 16;
		t->cells = own_grow(t->cells, *cap * t->n_columns, sizeof(*t->cells));
	}
	struct db_cell *row = t->cells + t->n_rows++ * t->n_columns;
	for (size_t i = 0; i < t->n_columns; i++)
		row[i] = cell_read(&t->texts, bytes, s, (int)i);
	if (*bytes > MAX_TABLE_BYTES)
		return err_set(e, ERR_LIMIT,
			       "the query's rows hold more than 1 GiB of text: narrow it");
	return 0;
}

int db_each(struct db *d, sqlite3_stmt *s, db_row_fn row, void *owner, struct err *e)
{
	struct db_table *t = table_new(s);
	size_t cap = 0;
	int rc;
	while ((rc = db_step(d, s, e)) > 0) {
		size_t bytes = 0;
		pool_fini(&t->texts);
		t->n_rows = 0;
		if (table_row(t, &cap, &bytes, s, e) || row(owner, t, e)) {
			rc = -1;
			break;
		}
	}
	db_table_free(t);
	return rc;
}

int db_collect(struct db *d, sqlite3_stmt *s, struct db_table **out, struct err *e)
{
	struct db_table *t = table_new(s);
	size_t cap = 0, bytes = 0;
	int rc;
	while ((rc = db_step(d, s, e)) > 0)
		if (!t->n_columns || table_row(t, &cap, &bytes, s, e)) {
			rc = -1;
			break;
		}
	if (rc) {
		db_table_free(t);
		return -1;
	}
	*out = t;
	return 0;
}

/* ---- what may run ---- */

/* PRAGMAs that only tell. With an argument those of the second kind would set something. */
/* clang-format off */
static const struct {
	const char *name;
	bool argument;
} pragmas[] = {
	{"application_id", false}, {"collation_list", true}, {"compile_options", true}, {"data_version", false},
	{"database_list", true}, {"encoding", false}, {"foreign_key_check", true}, {"foreign_key_list", true},
	{"freelist_count", true}, {"function_list", true}, {"index_info", true}, {"index_list", true}, {"index_xinfo", true},
	{"integrity_check", true}, {"module_list", true}, {"page_count", true}, {"page_size", false}, {"pragma_list", true},
	{"quick_check", true}, {"schema_version", false}, {"table_info", true}, {"table_list", true}, {"table_xinfo", true},
	{"user_version", false},
};

static const struct {
	int action;
	const char *what;
} actions[] = {
	{SQLITE_INSERT, "INSERT into"}, {SQLITE_UPDATE, "UPDATE"}, {SQLITE_DELETE, "DELETE from"}, {SQLITE_ATTACH, "ATTACH"},
	{SQLITE_DETACH, "DETACH"}, {SQLITE_TRANSACTION, "use transactions:"}, {SQLITE_SAVEPOINT, "use savepoints:"},
	{SQLITE_PRAGMA, "set PRAGMA"}, {SQLITE_ANALYZE, "ANALYZE"}, {SQLITE_REINDEX, "REINDEX"},
	{SQLITE_ALTER_TABLE, "ALTER"}, {SQLITE_FUNCTION, "call"},
};
/* clang-format on */

struct query_gate {
	char refused[200]; /* what it wanted first, in words */
};

static bool gate_pragma(const char *name, const char *argument)
{
	for (size_t i = 0; name && i < countof(pragmas); i++)
		if (!sqlite3_stricmp(name, pragmas[i].name))
			return pragmas[i].argument || !argument;
	return false;
}

static int gate_check(void *owner, int action, const char *a, const char *b, const char *schema,
		      const char *trigger)
{
	struct query_gate *g = owner;
	(void)schema, (void)trigger;
	switch (action) {
	case SQLITE_SELECT:
	case SQLITE_READ:
	case SQLITE_RECURSIVE:
		return SQLITE_OK;
	case SQLITE_UPDATE: /* compiling json_each() or pragma_table_info() asks for this and never
			     * does it; a statement that would is refused as no reader, and by
			     * "defensive" */
		if (a && !strcmp(a, "sqlite_master"))
			return SQLITE_OK;
		break;
	case SQLITE_FUNCTION: /* an extension is code from a file */
		if (b && sqlite3_stricmp(b, "load_extension"))
			return SQLITE_OK;
		a = b;
		break;
	case SQLITE_PRAGMA:
		if (gate_pragma(a, b))
			return SQLITE_OK;
		break;
	}
	const char *what = "change the schema:"; /* the many kinds of CREATE and DROP */
	for (size_t i = 0; i < countof(actions); i++)
		if (actions[i].action == action)
			what = actions[i].what;
	if (!g->refused[0])
		snprintf(g->refused, sizeof(g->refused), "%s%s%s", what, a ? " " : "", a ? a : "");
	return SQLITE_DENY;
}

/* ---- from text to a statement ---- */

/* What is wrong, and where: offset bytes into sql. */
static int query_wrong(const char *sql, size_t offset, struct err *e, const char *what)
{
	size_t line = 1, column = 1;
	for (size_t i = 0; i < offset && sql[i]; i++)
		if (sql[i] == '\n')
			line++, column = 1;
		else if (((unsigned char)sql[i] & 0xc0) != 0x80)
			column++;
	return err_set(e, ERR_USAGE, "query:%zu:%zu: %s", line, column, what);
}

static size_t query_skip_space(const char *sql, size_t at)
{
	return at + strspn(sql + at, " \t\r\n\f;");
}

/* Whether anything but space, ';' and comments follows: SQLite itself says, by compiling it. */
static int query_tail(struct db *d, const char *sql, size_t at, struct err *e)
{
	for (;;) {
		const char *next = NULL;
		sqlite3_stmt *more = NULL;
		at = query_skip_space(sql, at);
		if (!sql[at])
			return 0;
		int rc = sqlite3_prepare_v3(d->h, sql + at, -1, 0, &more, &next);
		sqlite3_finalize(more);
		if (rc || more || !next || next == sql + at)
			return query_wrong(sql, at, e,
					   "a second statement begins here; a query is one");
		at = (size_t)(next - sql);
	}
}

static int query_refused(struct db *d, const char *sql, int rc, const struct query_gate *g,
			 struct err *e)
{
	int offset = sqlite3_error_offset(d->h);
	size_t at = offset >= 0 ? (size_t)offset : query_skip_space(sql, 0);
	auto_free char *denied =
		g->refused[0] ? own_fmt("a query only reads; this one wants to %s", g->refused)
			      : NULL;
	switch (rc & 0xff) {
	case SQLITE_ERROR:
	case SQLITE_AUTH:
	case SQLITE_RANGE:
	case SQLITE_TOOBIG:
		return query_wrong(sql, at, e, denied ? denied : sqlite3_errmsg(d->h));
	}
	return db_fail(d, rc, e, "prepare a query");
}

/* The compiled query; NULL with e. */
static sqlite3_stmt *query_prepare(struct db *d, const char *sql, struct query_gate *g,
				   struct err *e)
{
	const char *end = NULL;
	sqlite3_stmt *s = NULL;
	int rc = sqlite3_prepare_v3(d->h, sql, -1, 0, &s, &end);
	if (rc)
		query_refused(d, sql, rc, g, e);
	else if (!s)
		query_wrong(sql, query_skip_space(sql, 0), e, "there is nothing to ask in it");
	else if (!sqlite3_stmt_readonly(s)) /* VACUUM INTO asks no authorizer while it compiles */
		query_wrong(sql, query_skip_space(sql, 0), e,
			    "a query only reads; this statement writes");
	else if (!query_tail(d, sql, (size_t)(end - sql), e))
		return s;
	sqlite3_finalize(s);
	return NULL;
}

int db_bind_texts(struct db *d, sqlite3_stmt *s, const char *const *args, size_t n_args,
		  struct err *e)
{
	int wanted = sqlite3_bind_parameter_count(s);
	if ((size_t)wanted != n_args)
		return err_set(e, ERR_USAGE, "the query has %d parameter%s, and %zu value%s given",
			       wanted, wanted == 1 ? "" : "s", n_args,
			       n_args == 1 ? " was" : "s were");
	for (size_t i = 0; i < n_args; i++) {
		int rc = args[i] ? sqlite3_bind_text(s, (int)i + 1, args[i], -1, SQLITE_STATIC)
				 : SQLITE_OK;
		if (rc)
			return db_fail(d, rc, e, "bind a query's value");
	}
	return 0;
}

/* A query that compiled can still make no sense with the values it meets: that is the asker's, too.
 */
static int query_run(struct db *d, sqlite3_stmt *s, const char *const *args, size_t n_args,
		     struct db_table **out, struct err *e)
{
	if (db_bind_texts(d, s, args, n_args, e))
		return -1;
	int rc = db_collect(d, s, out, e);
	if (rc && (sqlite3_errcode(d->h) & 0xff) == SQLITE_ERROR)
		return err_set(e, ERR_USAGE, "query: %s", sqlite3_errmsg(d->h));
	return rc;
}

int db_query(struct db *d, const char *sql, const char *const *args, size_t n_args,
	     struct db_table **out, struct err *e)
{
	struct query_gate gate = {{0}};
	int length = sqlite3_limit(d->h, SQLITE_LIMIT_LENGTH, MAX_VALUE_BYTES);
	*out = NULL;
	sqlite3_set_authorizer(d->h, gate_check, &gate);
	sqlite3_stmt *s = query_prepare(d, sql, &gate, e);
	int rc = s ? query_run(d, s, args, n_args, out, e) : -1;
	sqlite3_finalize(s);
	sqlite3_set_authorizer(d->h, NULL, NULL);
	sqlite3_limit(d->h, SQLITE_LIMIT_LENGTH, length);
	return rc;
}
