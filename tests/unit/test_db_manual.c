/* assay-db(7) is the promise: each view and column is in it, nothing else is, and its examples run.
 */
#include "db_scratch.h"

#include "db/handle.h"

static struct text manual(void)
{
	struct err e = ERR_INIT;
	struct text t = TEXT_INIT;
	auto_fd int fd = open(ASSAY_SOURCE "/deploy/man/assay-db.7", O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	must(dir_read_fd(fd, 1 << 20, &t, &e));
	return t;
}

static void put_columns(sqlite3 *h, const char *view, char *names)
{
	char *at;
	for (char *name = strtok_r(names, " ", &at); name; name = strtok_r(NULL, " ", &at)) {
		sqlite3_stmt *s;
		assert_int_equal(sqlite3_prepare_v2(h, "INSERT INTO told VALUES (?1, ?2)", -1, &s,
						    NULL),
				 SQLITE_OK);
		sqlite3_bind_text(s, 1, view, -1, SQLITE_STATIC);
		sqlite3_bind_text(s, 2, name, -1, SQLITE_STATIC);
		if (sqlite3_step(s) != SQLITE_DONE)
			fail_msg("%s.%s is described twice", view, name);
		sqlite3_finalize(s);
	}
}

/* What the page describes, as rows of told(view, name): ".SS view", then ".TP" with ".B column ..."
 */
static void read_manual(sqlite3 *h, char *page)
{
	char view[64] = "", *at;
	bool item = false;
	for (char *line = strtok_r(page, "\n", &at); line; line = strtok_r(NULL, "\n", &at)) {
		if (!strncmp(line, ".S", 2))
			snprintf(view, sizeof(view), "%s",
				 !strncmp(line, ".SS v_", 6) ? line + 4 : "");
		else if (item && *view && !strncmp(line, ".B ", 3))
			put_columns(h, view, line + 3);
		item = !strcmp(line, ".TP");
	}
}

static void the_manual_describes_each_column_and_no_other(void **state)
{
	struct db *d = ((struct scratch *)*state)->db;
	auto_text struct text page = manual();
	assert_int_equal(
		sqlite3_exec(
			d->h,
			"CREATE TEMP TABLE told (view TEXT, name TEXT, PRIMARY KEY (view, name))",
			NULL, NULL, NULL),
		SQLITE_OK);
	read_manual(d->h, page.p);
	assert_rows(d,
		    "WITH is_there AS (SELECT v.name AS view, c.name FROM sqlite_schema v, "
		    "pragma_table_info(v.name) c WHERE v.type = 'view')"
		    " SELECT 'not in the manual', * FROM (SELECT * FROM is_there EXCEPT SELECT * "
		    "FROM told)"
		    " UNION ALL SELECT 'not in the database', * FROM (SELECT * FROM told EXCEPT "
		    "SELECT * FROM is_there)",
		    "");
	assert_true(number(d, "SELECT count(*) FROM told") > 100);
}

static void the_manual_names_the_schema_as_it_is(void **state)
{
	auto_text struct text page = manual();
	auto_free char *version = own_fmt("this page describes\nversion %d.", schema_current),
		       *same_line = own_fmt("this page describes version %d.", schema_current);
	(void)state;
	assert_true(strstr(page.p, version) || strstr(page.p, same_line));
}

static void the_manual_names_every_reason(void **state)
{
	struct db *d = ((struct scratch *)*state)->db;
	auto_text struct text page = manual();
	const char *results = strstr(page.p, ".SH RESULTS"), *end = strstr(page.p, ".SH EXAMPLES");
	assert_true(results && end > results);
	auto_free char *section = own_dup_n(results, (size_t)(end - results));
	struct db_table *t = ask(d, "SELECT name FROM reason UNION SELECT status FROM reason");
	for (size_t i = 0; i < t->n_rows; i++)
		if (!strstr(section, t->cells[i].s))
			fail_msg("%s is not in the manual", t->cells[i].s);
	db_table_free(t);
}

/* The troff of an example as SQL. */
static char *example_sql(const char *from, const char *end)
{
	struct text t = TEXT_INIT;
	for (const char *p = from; p < end; p++)
		if (!strncmp(p, "\\(aq", 4)) {
			text_addc(&t, '\'');
			p += 3;
		} else if (!strncmp(p, "\\-", 2)) {
			text_addc(&t, '-');
			p += 1;
		} else {
			text_addc(&t, *p);
		}
	return text_take(&t);
}

static void the_examples_of_the_manual_run(void **state)
{
	struct db *d = ((struct scratch *)*state)->db;
	auto_text struct text page = manual();
	size_t n = 0;
	for (const char *p = page.p; (p = strstr(p, "\n.nf\nSELECT")); n++) {
		const char *end = strstr(p, "\n.fi");
		assert_non_null(end);
		auto_free char *sql = example_sql(p + 5, end);
		db_table_free(ask(d, sql));
		p = end;
	}
	assert_int_equal(n, 6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(the_manual_describes_each_column_and_no_other),
		scratch_test(the_manual_names_the_schema_as_it_is),
		scratch_test(the_manual_names_every_reason),
		scratch_test(the_examples_of_the_manual_run),
	};
	return cmocka_run_group_tests_name("db_manual", tests, NULL, NULL);
}
