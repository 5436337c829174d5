/* Inside db/ only: the connection, and the few ways in which every room here talks to SQLite. A
 * struct db belongs to one thread at a time. */
#pragma once
#include "base/text.h"
#include "db/db.h"

#include <sqlite3.h>

struct db {
	sqlite3 *h;
	char *path;
	char *host;        /* of attempts that begin; NULL: not known */
	bool together;     /* between db_together and its end */
	struct err undone; /* why SQLite undid all of that, ERR_NONE: it did not */
	struct db_prepared {
		const char *sql; /* the very pointer the caller passes: texts are literals */
		sqlite3_stmt *stmt;
	} * prepared;
	size_t n_prepared;
};

/* The tables of layers and stores have a room each; both name layers by their row. db_layer_row(d,
 * id, entries, bytes, made_ms, source, e): the row of the layer with that digest, made where it is
 * missing. Row id or -1. */
int64_t db_layer_row(struct db *d, const char *id, int64_t entries, int64_t bytes, int64_t made_ms,
		     const char *source, struct err *e) must_check;

/* db_bind_texts(d, s, args, n, e): args as text to ?1 … of a statement that has exactly n
 * parameters; else ERR_USAGE. Borrowed. */
int db_bind_texts(struct db *d, sqlite3_stmt *s, const char *const *args, size_t n_args,
		  struct err *e) must_check;
/* db_named_sql(i): the text of the query that db_named_at(i) names; NULL behind the last. */
const char *db_named_sql(size_t i);
/* db_collect(d, s, out, e): all rows of a bound statement; who began s ends it. */
int db_collect(struct db *d, sqlite3_stmt *s, struct db_table **out, struct err *e) must_check;
/* db_each(d, s, row, owner, e): the same, one row after the other. */
int db_each(struct db *d, sqlite3_stmt *s, db_row_fn row, void *owner, struct err *e) must_check;

/* db_fail(d, rc, e, doing): what SQLite said, as ours: a full disk is ERR_SYS with ENOSPC, what
 * else the kernel refused ERR_SYS with its error (errno is to be 0 before SQLite is asked),
 * somebody else's lock ERR_BUSY, a broken constraint or file ERR_CORRUPT. Returns -1. Out of memory
 * aborts. */
int db_fail(struct db *d, int rc, struct err *e, const char *doing);

/* db_script(d, sql, e): several statements without parameters or rows. */
int db_script(struct db *d, const char *sql, struct err *e) must_check;

/* db_ask(d, e, sql, types, ...): the kept statement for sql (a string literal, prepared once per
 * connection) with its parameters bound: one letter each: i int64_t, s const char * (NULL is NULL;
 * bytes that are no UTF-8 become U+FFFD), b const char * as a blob, x const char * of hex digits as
 * a blob, z int64_t where 0 is NULL, m int64_t where -1 is NULL, r double, n double where what is
 * negative is NULL. Texts are borrowed until db_done. NULL with e. */
sqlite3_stmt *db_ask(struct db *d, struct err *e, const char *sql, const char *types, ...)
	must_check;
/* db_step(d, s, e): 1 a row, 0 the end, -1. */
int db_step(struct db *d, sqlite3_stmt *s, struct err *e) must_check;
/* db_done(s): the statement is ready for its next use. NULL is fine. */
void db_done(sqlite3_stmt *s);
/* db_do(d, e, sql, types, ...): as db_ask, run to its end. Number of rows changed, or -1. */
int db_do(struct db *d, struct err *e, const char *sql, const char *types, ...) must_check;
/* db_number(d, e, out, sql, types, ...): the first column of the first row. 1 found, 0 no row, -1.
 */
int db_number(struct db *d, struct err *e, int64_t *out, const char *sql, const char *types, ...)
	must_check;

/* db_absent_none(word): NULL for NULL, "" and "none": what means nothing is NULL in every table. */
const char *db_absent_none(const char *word);

int db_begin(struct db *d, struct err *e) must_check;
int db_commit(struct db *d, struct err *e) must_check;
/* db_end(d, rc, e): the end of what db_begin began: kept where rc is 0, undone and -1 where it is
 * not. */
int db_end(struct db *d, int rc, struct err *e) must_check;
/* db_rollback(d): back to before db_begin, where one is open. Returns -1, so that `return
 * db_rollback(d)` says it. */
int db_rollback(struct db *d);

/* db_median(h): the aggregate median(X) is known on h. As SQLite's own. */
int db_median(sqlite3 *h) must_check;

/* utf8_copy(bytes, n): a NUL-terminated copy in which each byte that is not part of valid UTF-8,
 * and each NUL, is U+FFFD. The caller frees it. */
char *utf8_copy(const void *bytes, size_t n) must_check;
/* utf8_valid(bytes, n): also without NUL. */
int utf8_valid(const void *bytes, size_t n);

/* schema_current: the version this program writes (PRAGMA user_version). */
extern const int schema_current;
/* schema_version(d, e): the file's; 0 where it is empty. -1 with ERR_INPUT where it is somebody
 * else's or from the future. Writes nothing. */
int schema_version(struct db *d, struct err *e) must_check;
/* schema_migrate(d, to, e): from whatever older version the file has to version `to`
 * (schema_current but for tests), as one transaction. */
int schema_migrate(struct db *d, int to, struct err *e) must_check;
/* schema_check(d, e): for readers. */
int schema_check(struct db *d, struct err *e) must_check;
