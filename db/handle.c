#include "db/handle.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum { BUSY_MS = 60000 };

/* Where somebody ran ANALYZE, SQLite (3.40) may filter look-ups through an index on an expression
 * (entry_by_path, entry_by_sha256) by a Bloom filter that has other values in it, and then finds
 * nothing. Not in our connections: sqliteInt.h, SQLITE_BloomFilter. */
enum { NO_BLOOM_FILTER = 0x00080000 };

/* Of pages in memory, per writer. A transaction that changes more writes pages to the WAL before
 * its end and reads them again, often twice and more: a small publish into a large store changes a
 * page of an index for each of its files. */
#define CACHE_KIB "4096"

/* Which error of the kernel's SQLITE_IOERR was. SQLite keeps it where a statement fails but for
 * COMMIT; that one leaves what it found in errno, which who asks has cleared (an absent file is
 * none). */
static int db_kernel_said(struct db *d, int now)
{
	int kept = d->h ? sqlite3_system_errno(d->h) : 0;
	return now && now != ENOENT ? now : kept ? kept : EIO;
}

static int db_said(struct db *d, int rc, struct err *e, const char *doing)
{
	int now = errno;
	const char *says = d->h ? sqlite3_errmsg(d->h) : sqlite3_errstr(rc);
	int sys = d->h ? sqlite3_system_errno(d->h) : 0;
	switch (rc & 0xff) {
	case SQLITE_NOMEM:
		abort();
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
	case SQLITE_PROTOCOL:
		if (now == ENOLCK)
			return err_set(e, ERR_SYS,
				       "%s: %s: its file system gives no locks: a state directory "
				       "must be on one that does, as local disks do",
				       d->path, doing);
		return err_set(e, ERR_BUSY, "%s: %s: somebody else is writing it", d->path, doing);
	case SQLITE_FULL:
		errno = ENOSPC;
		return err_sys(e, "%s: %s", d->path, doing);
	case SQLITE_IOERR:
		errno = db_kernel_said(d, now);
		return err_sys(e, "%s: %s: %s", d->path, doing, says);
	case SQLITE_CANTOPEN:
		/* SQLite says how its second attempt failed, which was not to make the file. */
		if (sys == ENOENT)
			return err_set(e, ERR_SYS,
				       "%s: %s: %s: it, or a file beside it, can't be made: is "
				       "there space, are there free descriptors, is the disk well?",
				       d->path, doing, says);
		/* fall through */
	case SQLITE_PERM:
	case SQLITE_READONLY:
		errno = sys ? sys : EACCES;
		return err_sys(e, "%s: %s: %s", d->path, doing, says);
	case SQLITE_CORRUPT:
		/* SQLite takes what can't be read for damaged (SQLITE_IOERR_CORRUPTFS). */
		if (now != EIO && now != ENXIO && now != ERANGE)
			break;
		errno = now;
		return err_sys(e, "%s: %s: it can't be read", d->path, doing);
	case SQLITE_TOOBIG:
		return err_set(e, ERR_LIMIT, "%s: %s: %s", d->path, doing, says);
	}
	return err_set(e, ERR_CORRUPT, "%s: %s: %s", d->path, doing, says);
}

int db_fail(struct db *d, int rc, struct err *e, const char *doing)
{
	db_said(d, rc, e, doing);
	if (d->together && d->undone.kind == ERR_NONE && sqlite3_get_autocommit(d->h))
		d->undone = *e;
	return -1;
}

/* What SQLite undid as a whole (a full disk) is lost to all of it, for the reason of one. */
static int db_lost(struct db *d, struct err *e)
{
	*e = d->undone;
	if (e->kind == ERR_NONE)
		err_set(e, ERR_SYS, "%s", d->path);
	return err_add(e, "what was recorded together was undone");
}

int db_script(struct db *d, const char *sql, struct err *e)
{
	errno = 0;
	int rc = sqlite3_exec(d->h, sql, NULL, NULL, NULL);
	return rc ? db_fail(d, rc, e, "set up") : 0;
}

/* Who else has the lock is waited for, BUSY_MS in all and ever longer at once (called the n-th
 * time; sqlite.org/c3ref/busy_handler.html). To SQLite a file system without locks is somebody
 * else's lock, too (sqliteErrorFromPosixError): that one is never given back. */
static int db_wait(void *unused, int n)
{
	enum { LONGEST_MS = 100 };
	(void)unused;
	if (errno == ENOLCK || n >= BUSY_MS / LONGEST_MS)
		return 0;
	int ms = n < 10 ? 1 + n * n : LONGEST_MS;
	nanosleep(&(struct timespec){.tv_nsec = ms * 1000000L}, NULL);
	return 1;
}

static sqlite3_stmt *db_prepare(struct db *d, const char *sql, struct err *e)
{
	sqlite3_stmt *s = NULL;
	for (size_t i = 0; i < d->n_prepared; i++)
		if (d->prepared[i].sql == sql)
			return d->prepared[i].stmt;
	errno = 0;
	int rc = sqlite3_prepare_v3(d->h, sql, -1, SQLITE_PREPARE_PERSISTENT, &s, NULL);
	if (rc) {
		db_fail(d, rc, e, "prepare");
		return NULL;
	}
	d->prepared = own_grow(d->prepared, d->n_prepared + 1, sizeof(*d->prepared));
	d->prepared[d->n_prepared++] = (struct db_prepared){sql, s};
	return s;
}

static int hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Hex digits as the bytes they mean; "" and NULL are NULL. A wrong digit stores NULL, which NOT
 * NULL and CHECK then refuse. */
static int bind_hex(sqlite3_stmt *s, int at, const char *hex)
{
	uint8_t bytes[64];
	size_t n = hex ? strlen(hex) : 0;
	if (!n || n % 2 || n / 2 > sizeof(bytes))
		return sqlite3_bind_null(s, at);
	for (size_t i = 0; i < n / 2; i++) {
		int high = hex_digit(hex[2 * i]), low = hex_digit(hex[2 * i + 1]);
		if (high < 0 || low < 0)
			return sqlite3_bind_null(s, at);
		bytes[i] = (uint8_t)(high << 4 | low);
	}
	return sqlite3_bind_blob(s, at, bytes, (int)(n / 2), SQLITE_TRANSIENT);
}

static int bind_text(sqlite3_stmt *s, int at, const char *text)
{
	if (!text)
		return sqlite3_bind_null(s, at);
	if (utf8_valid(text, strlen(text)))
		return sqlite3_bind_text(s, at, text, -1, SQLITE_STATIC);
	return sqlite3_bind_text(s, at, utf8_copy(text, strlen(text)), -1, free);
}

static int bind_one(sqlite3_stmt *s, int at, char type, va_list *ap)
{
	if (type == 's')
		return bind_text(s, at, va_arg(*ap, const char *));
	if (type == 'x')
		return bind_hex(s, at, va_arg(*ap, const char *));
	if (type == 'b') {
		const char *p = va_arg(*ap, const char *);
		return p && *p ? sqlite3_bind_blob64(s, at, p, strlen(p), SQLITE_STATIC)
			       : sqlite3_bind_null(s, at);
	}
	if (type == 'r' || type == 'n') {
		double r = va_arg(*ap, double);
		return type == 'n' && r < 0 ? sqlite3_bind_null(s, at)
					    : sqlite3_bind_double(s, at, r);
	}
	int64_t i = va_arg(*ap, int64_t);
	if ((type == 'z' && i == 0) || (type == 'm' && i == -1))
		return sqlite3_bind_null(s, at);
	return sqlite3_bind_int64(s, at, i);
}

static sqlite3_stmt *db_ask_v(struct db *d, struct err *e, const char *sql, const char *types,
			      va_list *ap)
{
	/* What SQLite undid as a whole is not begun anew behind its caller's back. */
	if (d->together && sqlite3_get_autocommit(d->h)) {
		db_lost(d, e);
		return NULL;
	}
	sqlite3_stmt *s = db_prepare(d, sql, e);
	if (!s)
		return NULL;
	for (int at = 1; types[at - 1]; at++) {
		int rc = bind_one(s, at, types[at - 1], ap);
		if (rc) {
			db_fail(d, rc, e, "bind");
			db_done(s);
			return NULL;
		}
	}
	return s;
}

sqlite3_stmt *db_ask(struct db *d, struct err *e, const char *sql, const char *types, ...)
{
	va_list ap;
	va_start(ap, types);
	sqlite3_stmt *s = db_ask_v(d, e, sql, types, &ap);
	va_end(ap);
	return s;
}

int db_step(struct db *d, sqlite3_stmt *s, struct err *e)
{
	errno = 0;
	int rc = sqlite3_step(s);
	if (rc == SQLITE_ROW)
		return 1;
	return rc == SQLITE_DONE ? 0
				 : db_fail(d, rc, e, sqlite3_stmt_readonly(s) ? "read" : "write");
}

void db_done(sqlite3_stmt *s)
{
	if (!s)
		return;
	sqlite3_reset(s);
	sqlite3_clear_bindings(s);
}

int db_do(struct db *d, struct err *e, const char *sql, const char *types, ...)
{
	va_list ap;
	va_start(ap, types);
	sqlite3_stmt *s = db_ask_v(d, e, sql, types, &ap);
	va_end(ap);
	int rc = s ? db_step(d, s, e) : -1;
	db_done(s);
	return rc < 0 ? -1 : sqlite3_changes(d->h);
}

int db_number(struct db *d, struct err *e, int64_t *out, const char *sql, const char *types, ...)
{
	va_list ap;
	va_start(ap, types);
	sqlite3_stmt *s = db_ask_v(d, e, sql, types, &ap);
	va_end(ap);
	int rc = s ? db_step(d, s, e) : -1;
	if (rc > 0)
		*out = sqlite3_column_int64(s, 0);
	db_done(s);
	return rc;
}

int db_begin(struct db *d, struct err *e)
{
	return db_do(d, e, d->together ? "SAVEPOINT one" : "BEGIN IMMEDIATE", "") < 0 ? -1 : 0;
}

int db_commit(struct db *d, struct err *e)
{
	if (db_do(d, e, d->together ? "RELEASE one" : "COMMIT", "") >= 0)
		return 0;
	return db_rollback(d);
}

int db_together(struct db *d, struct err *e)
{
	if (db_begin(d, e))
		return -1;
	d->undone = (struct err)ERR_INIT;
	d->together = true;
	return 0;
}

int db_together_end(struct db *d, struct err *e)
{
	bool lost = sqlite3_get_autocommit(d->h);
	d->together = false;
	if (lost)
		return db_lost(d, e);
	return db_commit(d, e);
}

int db_end(struct db *d, int rc, struct err *e)
{
	return rc ? db_rollback(d) : db_commit(d, e);
}

const char *db_absent_none(const char *word)
{
	return word && *word && strcmp(word, "none") ? word : NULL;
}

int db_rollback(struct db *d)
{
	struct err ignored;
	/* Some failures (a full disk) have rolled back already. */
	if (sqlite3_get_autocommit(d->h))
		return -1;
	if (!d->together)
		(void)!db_do(d, &ignored, "ROLLBACK", "");
	else if (db_do(d, &ignored, "ROLLBACK TO one", "") >= 0)
		(void)!db_do(d, &ignored, "RELEASE one", "");
	return -1;
}

/* ---- opening ---- */

/* SQLite counts what memory it has under one lock of the process; nobody here asks. And it takes
 * twenty pages ahead for each file, also for the tables in memory it makes whenever a CHECK has a
 * list of more than two words (malloc.html, 4.2): so many that each goes back to the system and
 * comes as fresh ones. No error where somebody else has begun to use SQLite: it is slower then. */
static void open_first(void)
{
	sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
	sqlite3_config(SQLITE_CONFIG_PAGECACHE, NULL, 0, 0);
}

static int open_handle(struct db *d, const char *name, int flags, struct err *e)
{
	static pthread_once_t first = PTHREAD_ONCE_INIT;
	pthread_once(&first, open_first);
	int rc = sqlite3_open_v2(name, &d->h, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_URI, NULL);
	if (!rc)
		rc = db_median(d->h);
	if (rc) {
		db_fail(d, rc, e, "open");
		sqlite3_close(d->h);
		d->h = NULL;
		return -1;
	}
	sqlite3_extended_result_codes(d->h, 1);
	sqlite3_test_control(SQLITE_TESTCTRL_OPTIMIZATIONS, d->h, NO_BLOOM_FILTER);
	sqlite3_busy_handler(d->h, db_wait, NULL);
	sqlite3_db_config(d->h, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_db_config(d->h, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	sqlite3_db_config(d->h, SQLITE_DBCONFIG_ENABLE_FKEY, 1, NULL);
	return 0;
}

/* A path as the URI SQLite wants: what has a meaning there is percent-encoded. */
static char *uri_of(const char *path, const char *query)
{
	auto_text struct text t = TEXT_INIT;
	text_add(&t, *path == '/' ? "file://"
				  : "file:"); /* an empty authority: the path may begin with "//" */
	for (const char *p = path; *p; p++)
		if (strchr("%?#", *p))
			text_addf(&t, "%%%02X", (unsigned)*p);
		else
			text_addc(&t, *p);
	text_add(&t, query);
	return text_take(&t);
}

static int64_t file_size(const char *path, const char *suffix)
{
	struct stat st;
	auto_free char *name = own_fmt("%s%s", path, suffix);
	return stat(name, &st) ? -1 : (int64_t)st.st_size;
}

/* A reader joins the writer through -wal and -shm, or makes them. In a directory it can't write
 * (another user's, a read-only medium) with nobody writing, they are absent and can't be made
 * (sqlite.org/wal.html, "read-only databases"): then and only then the file itself is everything,
 * and can be read as what it is, immutable. */
static int open_read(struct db *d, struct err *e)
{
	auto_free char *plain = uri_of(d->path, ""), *still = uri_of(d->path, "?immutable=1");
	if (open_handle(d, plain, SQLITE_OPEN_READONLY, e))
		return -1;
	errno = 0;
	int rc = sqlite3_exec(d->h, "SELECT 1 FROM sqlite_schema", NULL, NULL, NULL);
	if (!rc)
		return schema_check(d, e);
	int kind = rc & 0xff;
	if ((kind == SQLITE_CANTOPEN || kind == SQLITE_READONLY) &&
	    file_size(d->path, "-wal") <= 0) {
		sqlite3_close(d->h);
		d->h = NULL;
		return open_handle(d, still, SQLITE_OPEN_READONLY, e) ? -1 : schema_check(d, e);
	}
	return kind == SQLITE_NOTADB ? err_set(e, ERR_INPUT, "%s is no database of assay", d->path)
				     : db_fail(d, rc, e, "read");
}

static int open_write(struct db *d, struct err *e)
{
	auto_free char *uri = uri_of(d->path, "");
	if (open_handle(d, uri, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, e))
		return -1;
	errno = 0;
	int rc = sqlite3_exec(d->h, "SELECT 1 FROM sqlite_schema", NULL, NULL, NULL);
	if ((rc & 0xff) == SQLITE_NOTADB)
		return err_set(e, ERR_INPUT, "%s is no database of assay", d->path);
	if (rc)
		return db_fail(d, rc, e, "read");
	if (schema_version(d, e) < 0) /* before the first write: what is not ours stays as it is */
		return -1;
	/* FULL: a commit in WAL mode survives power loss only with it
	 * (sqlite.org/pragma.html#pragma_synchronous). */
	if (db_script(d,
		      "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
		      " PRAGMA cache_size=-" CACHE_KIB,
		      e))
		return -1;
	return schema_migrate(d, schema_current, e);
}

struct db *db_open(const char *path, enum db_mode mode, struct err *e)
{
	struct db *d = own_calloc(1, sizeof(*d));
	int rc = -1;
	d->path = own_dup(path);
	if (mode == DB_WRITE)
		rc = open_write(d, e);
	else if (file_size(path, "") < 0 && errno == ENOENT)
		err_set(e, ERR_ABSENT, "there is no database %s yet; assay run makes it", path);
	else
		rc = open_read(d, e);
	if (!rc)
		return d;
	db_close(d);
	return NULL;
}

void db_close(struct db *d)
{
	if (!d)
		return;
	for (size_t i = 0; i < d->n_prepared; i++)
		sqlite3_finalize(d->prepared[i].stmt);
	sqlite3_close(d->h);
	free(d->prepared);
	free(d->path);
	free(d->host);
	free(d);
}
