/* Inside db/ only: the connection, and the few ways in which every room here talks to SQLite. A struct db belongs to one thread at
 * a time. */
#pragma once
#include "base/text.h"
#include "db/db.h"

#include <sqlite3.h>

struct db {
	sqlite3 *h;
	char *path;
	struct db_prepared {
		const char *sql; /* the very pointer the caller passes: texts are literals */
		sqlite3_stmt *stmt;
	} *prepared;
	size_t n_prepared;
};

/* db_fail(d, rc, e, doing): what SQLite said, as ours: a full disk is ERR_SYS with ENOSPC, somebody else's lock ERR_BUSY, a broken
 * constraint or file ERR_CORRUPT. Returns -1. Out of memory aborts. */
int db_fail(struct db *d, int rc, struct err *e, const char *doing);

/* db_script(d, sql, e): several statements without parameters or rows. */
int db_script(struct db *d, const char *sql, struct err *e) must_check;

/* db_ask(d, e, sql, types, ...): the kept statement for sql (a string literal, prepared once per connection) with its
 * parameters bound: one letter each: i int64_t, s const char * (NULL is NULL; bytes that are no UTF-8 become U+FFFD), b const char *
 * as a blob, x const char * of hex digits as a blob, z int64_t where 0 is NULL, m int64_t where -1 is NULL. Texts are borrowed until
 * db_done. NULL with e. */
sqlite3_stmt *db_ask(struct db *d, struct err *e, const char *sql, const char *types, ...) must_check;
/* db_step(d, s, e): 1 a row, 0 the end, -1. */
int db_step(struct db *d, sqlite3_stmt *s, struct err *e) must_check;
/* db_done(s): the statement is ready for its next use. NULL is fine. */
void db_done(sqlite3_stmt *s);
/* db_do(d, e, sql, types, ...): as db_ask, run to its end. Number of rows changed, or -1. */
int db_do(struct db *d, struct err *e, const char *sql, const char *types, ...) must_check;
/* db_number(d, e, out, sql, types, ...): the first column of the first row. 1 found, 0 no row, -1. */
int db_number(struct db *d, struct err *e, int64_t *out, const char *sql, const char *types, ...) must_check;

int db_begin(struct db *d, struct err *e) must_check;
int db_commit(struct db *d, struct err *e) must_check;
/* db_rollback(d): back to before db_begin, where one is open. Returns -1, so that `return db_rollback(d)` says it. */
int db_rollback(struct db *d);

/* utf8_copy(bytes, n): a NUL-terminated copy in which each byte that is not part of valid UTF-8, and each NUL, is U+FFFD. The caller
 * frees it. */
char *utf8_copy(const void *bytes, size_t n) must_check;
/* utf8_valid(bytes, n): also without NUL. */
int utf8_valid(const void *bytes, size_t n);

/* schema_current: the version this program writes (PRAGMA user_version). schema_migrate(d, e): from whatever version the file has. */
extern const int schema_current;
int schema_migrate(struct db *d, struct err *e) must_check;
/* schema_check(d, e): for readers. */
int schema_check(struct db *d, struct err *e) must_check;
