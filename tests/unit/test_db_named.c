/* db/queries.c: the named queries say what db/ask.h promises, and find it through indexes. */
#include "db_scratch.h"

#include "db/handle.h"

/* A run in which a/base passes, a/next fails, b/base is killed and b/next was never begun; both of
 * a share a fetch. */
static struct life story(struct db *d)
{
	struct err e = ERR_INIT;
	struct life l = life_begin(d, 100);
	int64_t fetch = life_phase(d, &l, 0, true, "fetch", 110);
	life_phase_end(d, fetch, 0, 1000000, 120);
	static const struct {
		const char *status, *reason, *evidence;
		int64_t exit_code, wall_us;
	} ends[] = {{"pass", "ok", NULL, 0, 2000000},
		    {"fail", "exit", "boom", 3, 4000000},
		    {"kill", "wall-time", NULL, -1, 8000000}};
	for (size_t i = 0; i < 3; i++) {
		int64_t attempt = db_attempt_begin(d, l.jobs[i].id, 130, &e);
		int64_t test = life_phase(d, &l, i, false, "test", 140);
		struct db_facts f = life_facts(ends[i].exit_code, ends[i].wall_us, 150);
		f.setup_us = 1000 * (int64_t)(i + 1);
		f.limit_bound = i == 2 ? 8000 : 0;
		f.limit_value = i == 2 ? 8001 : 0;
		must(db_phase_end(d, test, &f, &e));
		const int64_t ids[] = {fetch, test};
		const struct db_result r = {
			.status = ends[i].status,
			.phase = "test",
			.reason = ends[i].reason,
			.exit_code = ends[i].exit_code,
			.limit = i == 2 ? "time" : "none",
			.signal = i == 2 ? 9 : 0,
			.evidence = ends[i].evidence,
			.evidence_offset = ends[i].evidence ? 7 : -1,
			.evidence_length = 4,
			.signature = {i == 1 ? "boom-id" : NULL, "boom <n>", "boom 7"},
			.phases = i < 2 ? ids : ids + 1,
			.n_phases = i < 2 ? 2 : 1,
			.ended_ms = 160,
		};
		must(db_result(d, l.jobs[i].id, attempt, &r, &e));
	}
	static struct db_entry entries[8];
	static char names[8][64];
	struct db_publish p = life_publish(fetch, 0, 1, 0, entries, names, 8, "x");
	must(db_publish(d, &p, &e));
	must(db_run_end(d, l.run, "interrupted", 300, &e));
	return l;
}

static void runs_come_newest_first(void **state)
{
	struct db *d = ((struct scratch *)*state)->db;
	story(d);
	life_begin(d, 400);
	static const char
		first[] =
			"1|s|npm|test|interrupted|base|next|100|300|200|4|3|h|0.1|native|2|-|0|-|0",
		second[] = "2|s|npm|test|running|base|next|400|-|-|4|0|h|0.1|native|2|-|0|-|0";
	auto_free char *both = own_fmt("%s\n%s", second, first);
	assert_named(d, "runs", NULL, 0, both);
	assert_named(d, "last-run", NULL, 0, second);
	assert_named(d, "run", (const char *[]){"1"}, 1, first);
	assert_named(d, "run", (const char *[]){"3"}, 1, "");
	assert_named(d, "run", (const char *[]){"1 OR 1"}, 1, "");
	assert_named(d, "variants", (const char *[]){"1"}, 1,
		     "0|base|node-20=1|\n1|next|node-22=2|K=V");
}

static void jobs_tell_everything_of_a_result(void **state)
{
	struct db *d = ((struct scratch *)*state)->db;
	story(d);
	assert_named(d, "jobs", (const char *[]){"1"}, 1,
		     "a|1.0|base|done|pass|test|ok|0|-|-|-|-|-|-|3000|2250|1048576|runs/1/"
		     "a-base-test.zst|1|-|-|-|-|0\n"
		     "a|1.0|next|done|fail|test|exit|3|-|-|-|boom|7|4|5000|3750|1048576|runs/1/"
		     "a-next-test.zst|2|-|-|boom-id|-|0\n"
		     "b|2.0|base|done|kill|test|wall-time|-|9|time|-|-|-|-|8000|6000|1048576|runs/"
		     "1/b-base-test.zst|3|8000|8001|-|-|0\n"
		     "b|2.0|next|abandoned|-|-|-|-|-|-|-|-|-|-|-|-|-|-|4|-|-|-|-|0");
	assert_named(d, "counts", (const char *[]){"1"}, 1,
		     "base|kill|1\nbase|pass|1\nnext|-|1\nnext|fail|1");
}

static void a_cause_is_counted_and_remembers_when_it_was_first_seen(void **state)
{
	struct db *d = ((struct scratch *)*state)->db;
	struct err e = ERR_INIT;
	story(d);
	assert_named(d, "causes", (const char *[]){"1"}, 1,
		     "next|boom-id|1|boom 7|boom <n>|1|160|a");
	/* later, and in more packages; then an earlier one */
	struct life l = life_begin(d, 400);
	for (size_t i = 0; i < 4; i++) {
		const struct db_result r = {
			.status = "fail",
			.phase = "test",
			.reason = "exit",
			.evidence_offset = -1,
			.signature = {"boom-id", "boom <n>", "boom 9"},
			.ended_ms = i == 3 ? 50 : 500,
		};
		int64_t attempt = db_attempt_begin(d, l.jobs[i].id, 40, &e);
		must(db_result(d, l.jobs[i].id, attempt, &r, &e));
		if (i == 2)
			assert_named(d, "causes", (const char *[]){"2"}, 1,
				     "base|boom-id|2|boom 7|boom <n>|1|160|a\n"
				     "next|boom-id|1|boom 7|boom <n>|1|160|a");
	}
	assert_named(
		d, "causes", (const char *[]){"2"}, 1,
		"base|boom-id|2|boom 7|boom <n>|2|50|a\nnext|boom-id|2|boom 7|boom <n>|2|50|a");
	assert_sound(d);
}

static void phases_are_summed_and_listed(void **state)
{
	struct db *d = ((struct scratch *)*state)->db;
	story(d);
	assert_named(
		d, "phases", (const char *[]){"1"}, 1,
		"fetch|1|1000|750|1900|1048576|0|0|1|0|0|-\ntest|3|14000|10500|2000|1048576|0|0|"
		"0|0|0|-");
	assert_named(
		d, "phases-of-job", (const char *[]){"2"}, 1,
		"fetch|host|exited|0|-|-|1000|750|1048576|runs/1/a-all-fetch.zst|-|-|-|-|-|-|-\n"
		"test|none|exited|3|-|-|4000|3000|1048576|runs/1/"
		"a-next-test.zst|-|-|-|-|-|-|node-22=2");
	assert_named(d, "phases-of-job", (const char *[]){"4"}, 1, "");
	assert_named(d, "retrace", (const char *[]){"1", "a"}, 2,
		     "base|fetch|host|-|110|exited|0|-|-|runs/1/a-all-fetch.zst|1|1\n"
		     "base|test|none|-|140|exited|0|-|-|runs/1/a-base-test.zst|0|2\n"
		     "next|fetch|host|-|110|exited|0|-|-|runs/1/a-all-fetch.zst|1|1\n"
		     "next|test|none|-|140|exited|3|-|-|runs/1/a-next-test.zst|0|3");
	assert_named(d, "jobs-of-package", (const char *[]){"1", "a"}, 2,
		     "base|1.0|done|pass|test|ok|0|-|-|-\nnext|1.0|done|fail|test|exit|3|-|-|-");
}

static void boxes_come_package_by_package(void **state)
{
	struct db *d = ((struct scratch *)*state)->db;
	story(d);
	assert_named(d, "boxes", (const char *[]){"1"}, 1,
		     "1|a|-|fetch|1|0|110|120|1000|1048576|-\n"
		     "1|a|0|test|0|1|140|150|2000|1048576|-\n"
		     "1|a|1|test|0|1|140|150|4000|1048576|-\n"
		     "3|b|0|test|0|1|140|150|8000|1048576|-");
}

struct learned_lines {
	struct text text;
};

static void on_learned(void *ctx, const struct db_learned *l)
{
	struct learned_lines *x = ctx;
	text_addf(&x->text, "%s %s %s n=%lld p90=%lld%s\n", l->package, l->phase,
		  l->variant ? l->variant : "-", (long long)l->n, (long long)l->p90_ms,
		  l->censored ? " at least" : "");
}

/* Ten boxes of 1 to 10 s: nine of ten took no longer than 9 s. What a limit ended counts as what it
 * took, and says so where it is what is told. */
static void nine_of_ten_took_no_longer(void **state)
{
	struct db *d = ((struct scratch *)*state)->db;
	struct err e = ERR_INIT;
	struct learned_lines x = {TEXT_INIT};
	for (int i = 1; i <= 10; i++) {
		struct life l = life_begin(d, 100 * i);
		life_phase_end(d, life_phase(d, &l, 0, false, "test", 100 * i), i % 2,
			       1000000 * ((i * 7) % 11), 100 * i + 50);
		int64_t phase = life_phase(d, &l, 2, false, "test", 100 * i);
		struct db_facts f = life_facts(-1, 3000000, 100 * i + 50);
		f.end = "limited";
		f.limit = "time";
		must(db_phase_end(d, phase, &f, &e));
		phase = life_phase(d, &l, 3, false, "test", 100 * i);
		f.end = "cancelled";
		must(db_phase_end(d, phase, &f, &e));
		must(db_run_end(d, l.run, "done", 100 * i + 60, &e));
	}
	must(db_learned(d, "s", 10, on_learned, &x, &e));
	assert_string_equal(text_str(&x.text), "a test base n=10 p90=9000\n"
					       "b test base n=10 p90=3000 at least\n");
	text_fini(&x.text);
	must(db_learned(d, "s", 1, on_learned, &x, &e));
	assert_string_equal(text_str(&x.text), "a test base n=1 p90=4000\n"
					       "b test base n=1 p90=3000 at least\n");
	text_fini(&x.text);
	must(db_learned(d, "other", 10, on_learned, &x, &e));
	assert_int_equal(x.text.n, 0);
}

static void stores_and_totals_are_counted(void **state)
{
	struct db *d = ((struct scratch *)*state)->db;
	assert_named(d, "totals", NULL, 0, "0|0|0|0|0|0");
	assert_named(d, "stores", NULL, 0, "");
	story(d);
	assert_named(d, "totals", NULL, 0, "1|4|3|1|8|100");
	assert_named(d, "stores", NULL, 0, "npm/cache|1|1|8|24|500|0");
	assert_named(d, "segments", NULL, 0, "1|100|1");
	assert_named(d, "harvests", (const char *[]){"1"}, 1,
		     "npm/cache|a|fetch|8|0|0|0|0|0|0|0|24|0");
	assert_named(d, "harvests", (const char *[]){"2"}, 1, "");
}

/* What people ask most; a value that may be left out means the newest run, or ever. */
static void people_s_questions_have_answers(void **state)
{
	struct db *d = ((struct scratch *)*state)->db;
	struct err e = ERR_INIT;
	struct db_table *t;
	story(d);
	static const char failures[] =
		"a|next|fail|exit|test|boom-id|boom\nb|base|kill|wall-time|test|-|-";
	assert_named(d, "failures", NULL, 0, failures);
	assert_named(d, "failures", (const char *[]){"1"}, 1, failures);
	assert_named(d, "failures", (const char *[]){"2"}, 1, "");
	assert_named(d, "slowest", NULL, 0,
		     "b|base|8000|6000|1048576|kill\na|next|5000|3750|1048576|fail\n"
		     "a|base|3000|2250|1048576|pass\nb|next|-|-|-|-");
	assert_named(d, "cost", NULL, 0, "b|1|8000|6000|1048576|20|0\na|3|7000|5250|1048576|60|0");
	assert_named(d, "history", (const char *[]){"a"}, 1,
		     "1|1970-01-01|s|base|1.0|pass|ok|test|3000|-|-\n"
		     "1|1970-01-01|s|next|1.0|fail|exit|test|5000|-|boom-id");
	assert_named(d, "logs", (const char *[]){"1", "b"}, 2,
		     "b|base|test|runs/1/b-base-test.zst|exited|4|1|-|-|-|0");
	must(db_named(d, "logs", (const char *[]){"1"}, 1, &t, &e));
	assert_int_equal(t->n_rows, 4);
	db_table_free(t);
	const struct db_verdict v = {.package = "a",
				     .verdict = "regressed",
				     .confidence = "single",
				     .base_runs = 1,
				     .base_passes = 1,
				     .next_runs = 1,
				     .p = -1,
				     .attribution = "root",
				     .signature = "boom-id",
				     .flake_rate = -1};
	const struct db_flake f = {"a", "next", "test", 9, 3, 0, 0.25, 0, true, "1.0", "x"};
	const struct db_judgement j = {"valid", "", &v, 1, &f, 1};
	must(db_judge(d, 1, &j, &e));
	assert_named(d, "regressions", NULL, 0, "1|1970-01-01|s|a|single|-|-|root|boom-id|boom 7");
	assert_named(d, "regressions", (const char *[]){"1970-01-01"}, 1,
		     "1|1970-01-01|s|a|single|-|-|root|boom-id|boom 7");
	assert_named(d, "regressions", (const char *[]){"1970-01-02"}, 1, "");
	assert_named(d, "flaky", NULL, 0, "s|a|next|test|0.25|9|3|1|1");
	assert_named(d, "flakes", (const char *[]){"s"}, 1, "a|next|test|9|3|0|0|1.0|x|0.25|1");
	assert_named(d, "verdicts", (const char *[]){"1"}, 1,
		     "a|regressed|single|1|1|1|0|-|root|-|boom-id|-|-");
}

struct one_by_one {
	size_t n, stop_at;
	struct text seen;
};

static int on_one(void *owner, const struct db_table *t, struct err *e)
{
	struct one_by_one *x = owner;
	assert_int_equal(t->n_rows, 1);
	text_addf(&x->seen, "%s\n", t->cells[0].s);
	return ++x->n == x->stop_at ? err_set(e, ERR_LIMIT, "enough") : 0;
}

static void rows_come_one_by_one_as_they_come_together(void **state)
{
	struct db *d = ((struct scratch *)*state)->db;
	struct err e = ERR_INIT;
	struct db_table *t;
	struct one_by_one all = {.seen = TEXT_INIT}, some = {.stop_at = 2, .seen = TEXT_INIT};
	auto_text struct text want = TEXT_INIT;
	story(d);
	must(db_named(d, "jobs", (const char *[]){"1"}, 1, &t, &e));
	for (size_t i = 0; i < t->n_rows; i++)
		text_addf(&want, "%s\n", t->cells[i * t->n_columns].s);
	db_table_free(t);
	must(db_named_each(d, "jobs", (const char *[]){"1"}, 1, on_one, &all, &e));
	assert_string_equal(text_str(&all.seen), text_str(&want));
	assert_int_equal(db_named_each(d, "jobs", (const char *[]){"1"}, 1, on_one, &some, &e), -1);
	assert_string_equal(e.text, "query 'jobs': enough");
	assert_int_equal(some.n, 2);
	text_fini(&all.seen);
	text_fini(&some.seen);
}

static void an_unknown_name_is_answered_with_the_known_ones(void **state)
{
	struct db *d = ((struct scratch *)*state)->db;
	struct err e = ERR_INIT;
	struct db_table *t;
	assert_int_equal(db_named(d, "jbos", NULL, 0, &t, &e), -1);
	assert_int_equal(e.kind, ERR_USAGE);
	assert_non_null(strstr(e.text, "there is no query named 'jbos'; there are: runs, run, "));
	assert_int_equal(db_named(d, "jobs", NULL, 0, &t, &e), -1);
	assert_int_equal(e.kind, ERR_USAGE);
}

/* ---- how ---- */

/* "SCAN x" of a table that grows with the number of runs; the alias is what follows. CTEs and
 * variants (a handful a run) are not. All of some tiers is all of the entries. */
static bool grows(const char *detail, const char *aliases)
{
	if (strstr(detail, "(tier=?)"))
		return true;
	if (strncmp(detail, "SCAN ", 5))
		return false;
	char word[32] = "";
	sscanf(detail + 5, "%31s", word);
	auto_free char *quoted = own_fmt(" %s ", word);
	return strstr(aliases, quoted) != NULL;
}

/* The first step of the plan that does, for the caller to free; NULL where none does. */
static char *plan_grows(struct db *d, const char *sql, const char *const *args, size_t n)
{
	struct err e = ERR_INIT;
	struct db_table *t;
	auto_free char *plan = own_fmt("EXPLAIN QUERY PLAN %s", sql);
	char *found = NULL;
	must(db_query(d, plan, args, n, &t, &e));
	for (size_t i = 0; i < t->n_rows && !found; i++) {
		const char *detail = t->cells[i * t->n_columns + 3].s;
		if (grows(detail, " j a x s f ap e h n nh gl job attempt result phase "
				  "attempt_phase entry harvest harvest_note frame w word "))
			found = own_dup(detail);
	}
	db_table_free(t);
	return found;
}

static void assert_plan(struct db *d, const char *name, const char *sql, const char *const *args,
			size_t n)
{
	auto_free char *found = plan_grows(d, sql, args, n);
	if (found)
		fail_msg("%s: %s", name, found);
}

static void a_plan_that_reads_everything_is_noticed(void **state)
{
	struct db *d = ((struct scratch *)*state)->db;
	auto_free char *entries = plan_grows(d, "SELECT * FROM v_entry WHERE type = 'f'", NULL, 0),
		       *phases = plan_grows(d, "SELECT * FROM phase WHERE name = 'x'", NULL, 0);
	assert_non_null(entries);
	assert_non_null(phases);
}

static void queries_about_one_run_read_only_that_run(void **state)
{
	struct db *d = ((struct scratch *)*state)->db;
	const char *name, *args[] = {"1", "base", "next"};
	struct db_named_query q;
	size_t seen = 0;
	story(d);
	for (size_t i = 0; (name = db_named_at(i, &q)); i++) {
		if (!q.n_args)
			continue;
		assert_plan(d, name, db_named_sql(i), args, q.n_args);
		seen++;
	}
	assert_null(db_named_sql(1000));
	assert_true(seen >= 8);
}

static void a_view_asked_for_one_run_or_path_reads_only_that(void **state)
{
	struct db *d = ((struct scratch *)*state)->db;
	static const char *const questions[] = {
		"SELECT * FROM v_job WHERE run = 1",
		"SELECT * FROM v_job WHERE package = 'a'",
		"SELECT * FROM v_job WHERE job = 1",
		"SELECT * FROM v_result WHERE run = 1",
		"SELECT * FROM v_result WHERE package = 'a'",
		"SELECT * FROM v_cause WHERE run = 1",
		"SELECT * FROM v_cost WHERE run = 1",
		"SELECT * FROM v_verdict WHERE run = 1",
		"SELECT * FROM v_verdict WHERE package = 'a'",
		"SELECT * FROM v_known WHERE run = 1",
		"SELECT * FROM v_phase WHERE run = 1",
		"SELECT * FROM v_entry WHERE path = 'x'",
		"SELECT * FROM v_entry WHERE sha256 = 'x' AND path = 'x'",
		"SELECT * FROM v_harvest WHERE run = 1",
		"SELECT * FROM v_note WHERE run = 1",
		"SELECT * FROM v_entry WHERE run = 1",
	};
	story(d);
	for (size_t i = 0; i < countof(questions); i++)
		assert_plan(d, questions[i], questions[i], NULL, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(runs_come_newest_first),
		scratch_test(jobs_tell_everything_of_a_result),
		scratch_test(a_cause_is_counted_and_remembers_when_it_was_first_seen),
		scratch_test(phases_are_summed_and_listed),
		scratch_test(boxes_come_package_by_package),
		scratch_test(nine_of_ten_took_no_longer),
		scratch_test(stores_and_totals_are_counted),
		scratch_test(people_s_questions_have_answers),
		scratch_test(rows_come_one_by_one_as_they_come_together),
		scratch_test(an_unknown_name_is_answered_with_the_known_ones),
		scratch_test(a_plan_that_reads_everything_is_noticed),
		scratch_test(queries_about_one_run_read_only_that_run),
		scratch_test(a_view_asked_for_one_run_or_path_reads_only_that),
	};
	return cmocka_run_group_tests_name("db_named", tests, NULL, NULL);
}
