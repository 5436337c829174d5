/* db/handle.c and db/schema.c: what is opened, what is brought up to date, what is refused. */
#include "db_scratch.h"

#include "db/handle.h"

#include <sys/stat.h>

/* Everything that defines the schema, sorted: equal texts, equal schemas. */
static char *schema_text(struct db *d)
{
	struct db_table *t =
		ask(d, "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name");
	char *text = table_text(t);
	db_table_free(t);
	return text;
}

static void write_file(const char *path, const void *bytes, size_t n)
{
	auto_fd int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(dir_write_all(fd, bytes, n), 0);
}

static struct text read_file(const char *path)
{
	struct err e = ERR_INIT;
	struct text t = TEXT_INIT;
	auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	must(dir_read_fd(fd, 64 << 20, &t, &e));
	return t;
}

/* A file made by plain SQLite. */
static void make_foreign(const char *path, const char *sql)
{
	sqlite3 *h = NULL;
	assert_int_equal(sqlite3_open(path, &h), SQLITE_OK);
	assert_int_equal(sqlite3_exec(h, sql, NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_close(h), SQLITE_OK);
}

/* The file as an older assay would have left it. */
static void make_version(const char *path, int version)
{
	struct err e = ERR_INIT;
	struct db d = {.path = own_dup(path)};
	make_foreign(path, "PRAGMA journal_mode = WAL");
	assert_int_equal(sqlite3_open(path, &d.h), SQLITE_OK);
	must(schema_migrate(&d, version, &e));
	for (size_t i = 0; i < d.n_prepared; i++)
		sqlite3_finalize(d.prepared[i].stmt);
	assert_int_equal(sqlite3_close(d.h), SQLITE_OK);
	free(d.prepared);
	free(d.path);
}

static void every_older_version_becomes_the_current_one(void **state)
{
	struct scratch *s = *state;
	struct err e = ERR_INIT;
	auto_free char *fresh = schema_text(s->db);
	for (int version = 0; version <= schema_current; version++) {
		auto_free char *path = own_fmt("%s/v%d", s->dir, version);
		make_version(path, version);
		struct db *reader = db_open(path, DB_READ, &e);
		if (version < schema_current) {
			assert_null(reader);
			assert_int_equal(e.kind, ERR_INPUT);
			auto_free char *said = own_fmt("schema version %d, this assay reads %d",
						       version, schema_current);
			assert_non_null(strstr(e.text, said));
		}
		db_close(reader);
		struct db *d = db_open(path, DB_WRITE, &e);
		if (!d)
			fail_msg("version %d: %s", version, e.text);
		auto_free char *migrated = schema_text(d);
		assert_string_equal(migrated, fresh);
		assert_int_equal(number(d, "PRAGMA user_version"), schema_current);
		assert_sound(d);
		struct life l = life_begin(d, 1);
		must(db_run_end(d, l.run, "done", 2, &e));
		db_close(d);
	}
}

static void phases_of_older_versions_keep_their_network(void **state)
{
	struct scratch *s = *state;
	struct err e = ERR_INIT;
	auto_free char *path = own_fmt("%s/old", s->dir);
	make_version(path, 2);
	make_foreign(path,
		     "INSERT INTO package VALUES (1, 'a');"
		     "INSERT INTO run (id, suite, pid, jobs_at_once, state, started_ms) VALUES "
		     "(1, 's', 1, 1, 'running', 1);"
		     "INSERT INTO phase (id, run, package, name, network, started_ms) VALUES "
		     "(1, 1, 1, 'fetch', 'host', 1), (2, 1, 1, 'test', 'none', 2)");
	struct db *d = db_open(path, DB_WRITE, &e);
	if (!d)
		fail_msg("%s", e.text);
	assert_rows(d, "SELECT phase, network, network_lost FROM v_phase ORDER BY phase_id",
		    "fetch|host|-\ntest|none|-");
	assert_sound(d);
	db_close(d);
}

static void entries_of_older_versions_stay_and_what_is_none_is_refused(void **state)
{
	static const char right[] = "'added', 'f', zeroblob(32), NULL";
	static const char *const wrong[] = {"'dropped', 'f', zeroblob(32), NULL",
					    "'added', 'x', NULL, NULL", "'added', 'f', NULL, NULL",
					    "'added', 'd', NULL, x'74'"};
	struct scratch *s = *state;
	struct err e = ERR_INIT;
	auto_free char *path = own_fmt("%s/old", s->dir);
	make_version(path, 19);
	make_foreign(path,
		     "INSERT INTO store (id, name) VALUES (1, 'npm');"
		     "INSERT INTO harvest (id, store, added, replaced, merged, identical, dropped, "
		     "conflicts, deleted, refused, bytes, made_ms)"
		     " VALUES (7, 1, 1, 1, 1, 0, 0, 0, 0, 0, 3, 1);"
		     "INSERT INTO entry VALUES"
		     " (7, x'61', 'added', 'd', 493, 0, 0, NULL, NULL, NULL),"
		     " (7, x'612f62', 'replaced', 'f', 420, 5, 3, zeroblob(32), NULL, 99),"
		     " (7, x'612f63', 'merged', 'l', 511, 6, 1, NULL, x'62', NULL)");
	struct db *d = db_open(path, DB_WRITE, &e);
	if (!d)
		fail_msg("%s", e.text);
	assert_rows(d,
		    "SELECT harvest, CAST(path AS TEXT), change, type, mode, mtime_ns, size, "
		    "hex(sha256) = hex(zeroblob(32)), CAST(target AS TEXT), revoked_ms FROM entry "
		    "ORDER BY path",
		    "7|a|added|d|493|0|0|0|-|-\n7|a/b|replaced|f|420|5|3|1|-|99\n"
		    "7|a/c|merged|l|511|6|1|0|b|-");
	assert_rows(d, "SELECT harvest, change FROM v_entry WHERE path = 'a/c'", "7|merged");
	for (size_t i = 0; i <= countof(wrong); i++) {
		auto_free char *sql = own_fmt("INSERT INTO entry (harvest, path, mode, mtime_ns, "
					      "size, change, type, sha256, target)"
					      " VALUES (7, x'78', 0, 0, 0, %s)",
					      i < countof(wrong) ? wrong[i] : right);
		assert_int_equal(sqlite3_exec(d->h, sql, NULL, NULL, NULL) & 0xff,
				 i < countof(wrong) ? SQLITE_CONSTRAINT : SQLITE_OK);
	}
	assert_sound(d);
	db_close(d);
}

static void frames_of_older_versions_say_which_digest_they_have(void **state)
{
	static const char *const wrong[] = {"'xxh3:0123456789abcdef0123456789abcde', NULL",
					    "'0123456789abcdef', NULL",
					    "'sha256:0123456789abcdef0123456789abcdef', NULL",
					    "'xxh3:0123456789abcdef0123456789abcdef', x'00'"};
	struct scratch *s = *state;
	struct err e = ERR_INIT;
	auto_free char *path = own_fmt("%s/old", s->dir);
	make_version(path, 26);
	make_foreign(path,
		     "INSERT INTO store (id, name) VALUES (1, 'npm');"
		     "INSERT INTO harvest (id, store, added, replaced, merged, identical, dropped, "
		     "conflicts, deleted, refused, bytes, made_ms)"
		     " VALUES (7, 1, 1, 1, 1, 0, 0, 0, 0, 0, 3, 1);"
		     "INSERT INTO segment VALUES (1, 300);"
		     "INSERT INTO frame (segment, offset, bytes, sha256, harvest) VALUES"
		     " (1, 0, 100, zeroblob(32), 7), (1, 100, 200, randomblob(32), 7)");
	struct db *d = db_open(path, DB_WRITE, &e);
	if (!d)
		fail_msg("%s", e.text);
	assert_rows(d,
		    "SELECT segment, offset, bytes, digest = 'sha256:' || lower(hex(zeroblob(32))),"
		    " record, harvest FROM frame ORDER BY offset",
		    "1|0|100|1|-|7\n1|100|200|0|-|7");
	for (size_t i = 0; i < countof(wrong); i++) {
		auto_free char *sql = own_fmt("INSERT INTO frame (segment, offset, bytes, harvest, "
					      "digest, record) VALUES (1, 300, 1, 7, %s)",
					      wrong[i]);
		assert_int_equal(sqlite3_exec(d->h, sql, NULL, NULL, NULL) & 0xff,
				 SQLITE_CONSTRAINT);
	}
	assert_sound(d);
	db_close(d);
}

static void opening_again_changes_nothing(void **state)
{
	struct scratch *s = *state;
	struct err e = ERR_INIT;
	int64_t before = number(s->db, "PRAGMA schema_version");
	db_close(s->db);
	s->db = db_open(s->file, DB_WRITE, &e);
	assert_non_null(s->db);
	assert_int_equal(number(s->db, "PRAGMA schema_version"), before);
	assert_rows(
		s->db,
		"SELECT count(*) FROM sqlite_schema WHERE type = 'view' AND name NOT GLOB 'v_*'",
		"0");
}

/* Each is refused with these words, as reader and as writer, and stays byte for byte what it was.
 */
static void assert_refused(struct scratch *s, const char *path, const char *says)
{
	struct err e = ERR_INIT;
	auto_text struct text before = read_file(path);
	for (enum db_mode mode = DB_READ; mode <= DB_WRITE; mode++) {
		struct db *d = db_open(path, mode, &e);
		if (d)
			fail_msg("%s was opened", path);
		assert_true(e.kind == ERR_INPUT || e.kind == ERR_CORRUPT);
		if (!strstr(e.text, says) || !strstr(e.text, path))
			fail_msg("%s: %s, not %s", path, e.text, says);
	}
	auto_text struct text after = read_file(path);
	assert_int_equal(after.n, before.n);
	if (before.n)
		assert_memory_equal(after.p, before.p, before.n);
	auto_free char *wal = own_fmt("%s-wal", path);
	assert_int_equal(access(wal, F_OK), -1);
	(void)s;
}

static void what_is_not_ours_is_refused_and_left_alone(void **state)
{
	struct scratch *s = *state;
	auto_free char *foreign = own_fmt("%s/foreign", s->dir),
		       *stamped = own_fmt("%s/stamped", s->dir),
		       *newer = own_fmt("%s/newer", s->dir), *words = own_fmt("%s/words", s->dir);
	make_foreign(foreign, "CREATE TABLE run (id); INSERT INTO run VALUES (1)");
	assert_refused(s, foreign, "is a database, but not one of assay");
	make_foreign(stamped, "PRAGMA application_id = 252006674; CREATE TABLE x (a)");
	assert_refused(s, stamped, "is a database, but not one of assay");
	make_foreign(
		newer,
		"PRAGMA application_id = 0x61737379; PRAGMA user_version = 99; CREATE TABLE x (a)");
	assert_refused(s, newer, "has schema version 99, and this assay (");
	write_file(words,
		   "These are words, and not a database at all, however often one reads them over "
		   "and over again.",
		   90);
	assert_refused(s, words, "is no database of assay");
}

static void a_damaged_file_is_named(void **state)
{
	struct scratch *s = *state;
	struct err e = ERR_INIT;
	auto_free char *cut = own_fmt("%s/cut", s->dir), *stained = own_fmt("%s/stained", s->dir);
	life_begin(s->db, 1);
	db_close(s->db);
	auto_text struct text whole = read_file(s->file);
	write_file(cut, whole.p, whole.n / 2 / 4096 * 4096 + 100);
	assert_refused(s, cut, "malformed");
	memset(whole.p + 100, 0xa5, 3000); /* the schema's own page */
	write_file(stained, whole.p, whole.n);
	assert_refused(s, stained, "malformed");
	s->db = db_open(s->file, DB_WRITE, &e);
	assert_non_null(s->db);
}

static void a_reader_needs_a_database_that_is_there(void **state)
{
	struct scratch *s = *state;
	struct err e = ERR_INIT;
	auto_free char *nothing = own_fmt("%s/nothing", s->dir),
		       *nowhere = own_fmt("%s/no/where", s->dir);
	assert_null(db_open(nothing, DB_READ, &e));
	assert_int_equal(e.kind, ERR_ABSENT);
	assert_int_equal(access(nothing, F_OK), -1);
	assert_null(db_open(nowhere, DB_WRITE, &e));
	assert_int_equal(e.kind, ERR_SYS);
	assert_null(db_open(s->dir, DB_WRITE, &e)); /* a directory */
	assert_int_equal(e.kind, ERR_SYS);
}

static void a_path_means_itself(void **state)
{
	struct scratch *s = *state;
	struct err e = ERR_INIT;
	static const char *const odd[] = {"a?mode=memory", "b#c",      "d%41",   "e f",
					  "file:x",        ":memory:", "\xff\n'"};
	for (size_t i = 0; i < countof(odd); i++) {
		auto_free char *path = own_fmt("%s/%s", s->dir, odd[i]);
		struct db *d = db_open(path, DB_WRITE, &e);
		if (!d)
			fail_msg("%s: %s", odd[i], e.text);
		db_close(d);
		assert_int_equal(access(path, F_OK), 0);
	}
	auto_free char *twice = own_fmt("/%s", s->file);
	struct db *d = db_open(twice, DB_READ, &e);
	assert_non_null(d);
	db_close(d);
}

static void a_database_in_a_directory_nobody_may_write_can_be_read(void **state)
{
	struct scratch *s = *state;
	struct err e = ERR_INIT;
	life_begin(s->db, 1);
	db_close(s->db);
	assert_int_equal(chmod(s->dir, 0555), 0);
	assert_int_equal(chmod(s->file, 0444), 0);
	/* root may write there all the same: then this shows only that reading works */
	struct db *d = db_open(s->file, DB_READ, &e);
	if (!d)
		fail_msg("%s", e.text);
	assert_int_equal(number(d, "SELECT count(*) FROM v_run"), 1);
	db_close(d);
	assert_int_equal(chmod(s->dir, 0755), 0);
	assert_int_equal(chmod(s->file, 0644), 0);
	s->db = db_open(s->file, DB_WRITE, &e);
	assert_non_null(s->db);
}

static void commits_survive_power_cuts_and_references_hold(void **state)
{
	struct db *d = ((struct scratch *)*state)->db;
	struct err e = ERR_INIT;
	int64_t n = 0;
	assert_int_equal(db_number(d, &e, &n, "PRAGMA synchronous", ""), 1);
	assert_int_equal(n, 2); /* FULL */
	n = 0;
	assert_int_equal(db_number(d, &e, &n, "PRAGMA foreign_keys", ""), 1);
	assert_int_equal(n, 1);
	sqlite3_stmt *mode = db_ask(d, &e, "PRAGMA journal_mode", "");
	assert_non_null(mode);
	assert_int_equal(db_step(d, mode, &e), 1);
	assert_string_equal((const char *)sqlite3_column_text(mode, 0), "wal");
	db_done(mode);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(every_older_version_becomes_the_current_one),
		scratch_test(phases_of_older_versions_keep_their_network),
		scratch_test(entries_of_older_versions_stay_and_what_is_none_is_refused),
		scratch_test(frames_of_older_versions_say_which_digest_they_have),
		scratch_test(opening_again_changes_nothing),
		scratch_test(what_is_not_ours_is_refused_and_left_alone),
		scratch_test(a_damaged_file_is_named),
		scratch_test(a_reader_needs_a_database_that_is_there),
		scratch_test(a_path_means_itself),
		scratch_test(a_database_in_a_directory_nobody_may_write_can_be_read),
		scratch_test(commits_survive_power_cuts_and_references_hold),
	};
	return cmocka_run_group_tests_name("db_schema", tests, NULL, NULL);
}
