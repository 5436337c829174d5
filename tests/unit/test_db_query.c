/* db/query.c: what may be asked, and what comes back. */
#include "db_scratch.h"

#include "db/handle.h"

#include <errno.h>

static void a_query_returns_values_of_every_type(void **state)
{
	struct db *d = ((struct scratch *)*state)->db;
	struct db_table *t = ask(d, "SELECT NULL AS n, -9223372036854775808 AS i, 0.5 AS r, 'é' AS "
				    "s, x'61ff00' AS b WHERE 1");
	assert_int_equal(t->n_columns, 5);
	assert_int_equal(t->n_rows, 1);
	assert_string_equal(t->columns[4], "b");
	assert_int_equal(t->cells[0].type, DB_NULL);
	assert_true(t->cells[1].type == DB_INT && t->cells[1].i == INT64_MIN);
	assert_true(t->cells[2].type == DB_REAL && t->cells[2].r > 0.4 && t->cells[2].r < 0.6);
	assert_string_equal(t->cells[3].s, "é");
	assert_string_equal(t->cells[4].s, "a\xef\xbf\xbd\xef\xbf\xbd");
	db_table_free(t);
}

/* The lesser of two; each group has its own. */
static void the_middle_of_integers_is_found(void **state)
{
	struct db *d = ((struct scratch *)*state)->db;
	struct err e = ERR_INIT;
	struct db_table *t =
		ask(d, "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < "
		       "200) SELECT median((i * 7919) % 201), median(nullif(i, 0)), "
		       "median(i) FILTER (WHERE i > 500), median(NULL) FROM n");
	assert_int_equal(t->cells[0].i, 100);
	assert_int_equal(t->cells[1].i, 100);
	assert_int_equal(t->cells[2].type, DB_NULL);
	assert_int_equal(t->cells[3].type, DB_NULL);
	db_table_free(t);
	t = ask(d,
		"SELECT column1 AS g, median(column2) AS m FROM (VALUES (1, -5), (2, 7), (1, 3), "
		"(1, 4), (2, 9)) GROUP BY g ORDER BY g");
	assert_int_equal(t->n_rows, 2);
	assert_int_equal(t->cells[1].i, 3);
	assert_int_equal(t->cells[3].i, 7);
	db_table_free(t);
	assert_int_equal(db_query(d, "SELECT median(x) FROM (SELECT 1 AS x UNION SELECT 'two')",
				  NULL, 0, &t, &e),
			 -1);
	assert_int_equal(e.kind, ERR_USAGE);
	assert_non_null(strstr(e.text, "median() is of integers"));
}

static void a_query_that_finds_nothing_still_has_columns(void **state)
{
	struct db_table *t = ask(((struct scratch *)*state)->db,
				 "SELECT run, \"state\" AS \"x\xff\" FROM v_run");
	assert_int_equal(t->n_rows, 0);
	assert_string_equal(t->columns[0], "run");
	assert_string_equal(t->columns[1], "x\xef\xbf\xbd");
	db_table_free(t);
}

static void what_only_reads_may_run(void **state)
{
	struct db *d = ((struct scratch *)*state)->db;
	static const char *const fine[] = {
		"SELECT 1",
		"  SELECT 1 ; ",
		"SELECT 1; -- and that is all",
		"SELECT 1;; /* x */ ; -- y",
		"/* first */ SELECT ';' -- ;",
		"WITH x AS (SELECT 1) SELECT * FROM x",
		"VALUES (1), (2)",
		"EXPLAIN SELECT * FROM run",
		"EXPLAIN QUERY PLAN SELECT * FROM run",
		"PRAGMA user_version",
		"PRAGMA table_info(run)",
		"PRAGMA integrity_check",
		"SELECT * FROM pragma_table_info('run')",
		"SELECT value FROM json_each('[1, 2]')",
		"SELECT json_extract('{\"a\":1}', '$.a')",
	};
	for (size_t i = 0; i < countof(fine); i++)
		db_table_free(ask(d, fine[i]));
}

static void what_would_write_may_not(void **state)
{
	struct scratch *s = *state;
	struct err e = ERR_INIT;
	struct db_table *t = NULL;
	auto_free char *into = own_fmt("VACUUM INTO '%s/copy'", s->dir),
		       *attach = own_fmt("ATTACH '%s/other' AS o", s->dir);
	const char *const wrong[] = {
		"INSERT INTO package (name) VALUES ('x')",
		"UPDATE run SET state = 'done'",
		"DELETE FROM run",
		"WITH x AS (SELECT 1) DELETE FROM run WHERE id IN x",
		"REPLACE INTO package (name) VALUES ('x')",
		"INSERT INTO package (name) VALUES ('x') RETURNING id",
		"EXPLAIN DELETE FROM run",
		"UPDATE sqlite_master SET sql = ''",
		"DELETE FROM sqlite_master",
		"DROP TABLE run",
		"DROP VIEW v_run",
		"CREATE TABLE t (a)",
		"CREATE TEMP TABLE t (a)",
		"CREATE TEMP VIEW t AS SELECT 1",
		"CREATE TEMP TRIGGER t AFTER INSERT ON run BEGIN SELECT 1; END",
		"CREATE INDEX i ON run (suite)",
		"CREATE VIRTUAL TABLE t USING fts5(a)",
		"ALTER TABLE run ADD COLUMN x",
		"DETACH main",
		"BEGIN",
		"BEGIN IMMEDIATE",
		"COMMIT",
		"ROLLBACK",
		"SAVEPOINT a",
		"VACUUM",
		"ANALYZE",
		"REINDEX",
		"PRAGMA user_version = 7",
		"PRAGMA user_version(7)",
		"PRAGMA application_id = 7",
		"PRAGMA journal_mode",
		"PRAGMA journal_mode = delete",
		"PRAGMA synchronous = off",
		"PRAGMA query_only = 0",
		"PRAGMA writable_schema = 1",
		"PRAGMA foreign_keys = off",
		"PRAGMA wal_checkpoint(truncate)",
		"PRAGMA optimize",
		"PRAGMA incremental_vacuum",
		"PRAGMA temp_store_directory = '/'",
		"PRAGMA trusted_schema = 1",
		"PRAGMA locking_mode = exclusive",
		"PRAGMA mmap_size = 1",
		"SELECT load_extension('x')",
		into,
		attach,
	};
	for (enum db_mode mode = DB_READ; mode <= DB_WRITE; mode++) {
		struct db *d = mode == DB_WRITE ? s->db : db_open(s->file, DB_READ, &e);
		assert_non_null(d);
		for (size_t i = 0; i < countof(wrong); i++) {
			if (!db_query(d, wrong[i], NULL, 0, &t, &e))
				fail_msg("ran: %s", wrong[i]);
			assert_null(t);
			if (e.kind != ERR_USAGE || strncmp(e.text, "query:1:", 8))
				fail_msg("%s: %s", wrong[i], e.text);
		}
		if (mode == DB_READ)
			db_close(d);
	}
	auto_free char *version = own_fmt("%d", schema_current);
	assert_rows(s->db, "PRAGMA user_version", version);
	assert_rows(s->db, "SELECT count(*) FROM package", "0");
	auto_free char *copy = own_fmt("%s/copy", s->dir), *other = own_fmt("%s/other", s->dir);
	assert_int_equal(access(copy, F_OK), -1);
	assert_int_equal(access(other, F_OK), -1);
	life_begin(s->db, 1); /* the writer's own statements are not gated afterwards */
}

static void what_is_wrong_is_said_with_its_place(void **state)
{
	struct db *d = ((struct scratch *)*state)->db;
	struct err e = ERR_INIT;
	struct db_table *t;
	static const struct {
		const char *sql, *says;
	} wrong[] = {
		{"", "query:1:1: there is nothing to ask in it"},
		{" ;; ", "query:1:5: there is nothing to ask in it"},
		{"-- nothing", "query:1:1: there is nothing to ask in it"},
		{"SELECT nix FROM v_run", "query:1:8: no such column: nix"},
		{"SELECT 1\n  FROM nowhere", "no such table: nowhere"},
		{"SELECT 1\nFROM v_run\nWERE run = 1", "query:3:6: near \"run\": syntax error"},
		{"SELECT 'é', nix", "query:1:13: no such column: nix"},
		{"SELECT 1; SELECT 2",
		 "query:1:11: a second statement begins here; a query is one"},
		{"SELECT 1;\nDROP TABLE run",
		 "query:2:1: a second statement begins here; a query is one"},
		{"SELECT 1; -- x\n; nonsense", "a second statement begins here; a query is one"},
		{"SELECT 'open", "query:1:8: unrecognized token"},
		{"DELETE FROM run",
		 "query:1:1: a query only reads; this one wants to DELETE from run"},
		{"PRAGMA user_version = 7",
		 "query:1:1: a query only reads; this one wants to set PRAGMA user_version"},
		{"  DROP TABLE run", "query:1:3: a query only reads; this one wants to"},
		{"SELECT abs(-9223372036854775808)", "query: integer overflow"},
		{"SELECT json('{')", "query: malformed JSON"},
	};
	for (size_t i = 0; i < countof(wrong); i++) {
		assert_int_equal(db_query(d, wrong[i].sql, NULL, 0, &t, &e), -1);
		assert_int_equal(e.kind, ERR_USAGE);
		if (!strstr(e.text, wrong[i].says))
			fail_msg("%s: %s, not %s", wrong[i].sql, e.text, wrong[i].says);
	}
}

static void values_are_bound_and_never_spliced(void **state)
{
	struct db *d = ((struct scratch *)*state)->db;
	struct err e = ERR_INIT;
	struct db_table *t;
	const char *args[] = {"1' OR 1 --", "1", NULL};
	life_begin(d, 100);
	must(db_query(d, "SELECT ?1, count(*), ?3 FROM v_run WHERE run = ?2", args, 3, &t, &e));
	auto_free char *text = table_text(t);
	db_table_free(t);
	assert_string_equal(text, "1' OR 1 --|1|-");
	assert_int_equal(db_query(d, "SELECT ?1", NULL, 0, &t, &e), -1);
	assert_int_equal(e.kind, ERR_USAGE);
	assert_int_equal(db_query(d, "SELECT 1", args, 1, &t, &e), -1);
	assert_int_equal(e.kind, ERR_USAGE);
}

static void an_answer_has_bounds(void **state)
{
	struct db *d = ((struct scratch *)*state)->db;
	struct err e = ERR_INIT;
	struct db_table *t;
	static const char count[] = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM "
				    "n LIMIT ?1) SELECT i FROM n";
	must(db_query(d, count, (const char *[]){"1000000"}, 1, &t, &e));
	assert_int_equal(t->n_rows, 1000000);
	assert_int_equal(t->cells[999999].i, 1000000);
	db_table_free(t);
	assert_int_equal(db_query(d, count, (const char *[]){"1000001"}, 1, &t, &e), -1);
	assert_int_equal(e.kind, ERR_LIMIT);
	assert_int_equal(db_query(d, "SELECT zeroblob(100000000)", NULL, 0, &t, &e), -1);
	assert_int_equal(e.kind, ERR_LIMIT);
	assert_rows(d, "SELECT 1", "1");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(a_query_returns_values_of_every_type),
		scratch_test(the_middle_of_integers_is_found),
		scratch_test(a_query_that_finds_nothing_still_has_columns),
		scratch_test(what_only_reads_may_run),
		scratch_test(what_would_write_may_not),
		scratch_test(what_is_wrong_is_said_with_its_place),
		scratch_test(values_are_bound_and_never_spliced),
		scratch_test(an_answer_has_bounds),
	};
	return cmocka_run_group_tests_name("db_query", tests, NULL, NULL);
}
