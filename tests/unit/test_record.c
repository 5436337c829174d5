/* orchestrator/record.c: what a run that was killed while its first rows were written is gone on
 * with. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/dir.h"
#include "orchestrator/record.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <string.h>

static const char suite_text[] = "assay: 1\n"
				 "suite: record\n"
				 "root: host\n"
				 "phases: [{name: test, run: 'true'}]\n"
				 "packages: [one, two, three]\n"
				 "variants: [{name: a}, {name: b}]\n"
				 "compare: [a, b]\n"
				 "known:\n"
				 "  - {package: two, expect: skip, reason: 'takes a week'}\n"
				 "  - {package: three, variant: b, expect: skip, reason: 'no b'}\n";

struct place {
	char *path, *state_path, *suite_path;
	struct state *state;
	struct suite *suite;
	struct plan *plan;
	int64_t *ids, run;
	struct how how;
};

static int set_up(void **state)
{
	struct place *p = own_calloc(1, sizeof(*p));
	struct err e = ERR_INIT;
	const char *tmp = getenv("TMPDIR");
	p->path = own_fmt("%s/assay-record-XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(p->path))
		return -1;
	p->state_path = own_fmt("%s/state", p->path);
	p->suite_path = own_fmt("%s/suite.yaml", p->path);
	auto_fd int dir = open(p->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir_write_whole(dir, "suite.yaml", suite_text, strlen(suite_text), 0644, &e))
		fail_msg("%s", e.text);
	p->how.repeats = p->how.repeat_fixes = HOW_UNGIVEN;
	how_fill(&p->how);
	p->state = state_open(p->state_path, &e);
	p->suite = suite_load(p->suite_path, &e);
	p->plan = p->suite ? plan_make(p->suite, NULL, 0, NULL, NULL, &e) : NULL;
	if (!p->state || !p->plan)
		fail_msg("%s", e.text);
	p->ids = own_calloc(p->plan->n_units, sizeof(*p->ids));
	p->run = record_begin(p->plan, p->state, &p->how, p->ids, &e);
	if (p->run < 0)
		fail_msg("%s", e.text);
	*state = p;
	return 0;
}

static int tear_down(void **state)
{
	struct place *p = *state;
	struct err e = ERR_INIT;
	state_close(p->state);
	plan_free(p->plan);
	suite_free(p->suite);
	auto_fd int root = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir_remove(root, p->path + 1, &e))
		fail_msg("%s", e.text);
	free(p->ids);
	free(p->path);
	free(p->state_path);
	free(p->suite_path);
	free(p);
	return 0;
}

static void change(struct place *p, const char *sql)
{
	sqlite3 *d = NULL;
	auto_free char *file = own_fmt("%s/assay.db", p->state_path);
	if (sqlite3_open(file, &d) || sqlite3_exec(d, sql, NULL, NULL, NULL))
		fail_msg("%s: %s", sql, sqlite3_errmsg(d));
	sqlite3_close(d);
}

static int64_t number(struct place *p, const char *sql)
{
	auto_free char *file = own_fmt("%s/assay.db", p->state_path);
	sqlite3 *d = NULL;
	sqlite3_stmt *s = NULL;
	if (sqlite3_open(file, &d) || sqlite3_prepare_v2(d, sql, -1, &s, NULL) ||
	    sqlite3_step(s) != SQLITE_ROW)
		fail_msg("%s: %s", sql, sqlite3_errmsg(d));
	int64_t n = sqlite3_column_int64(s, 0);
	sqlite3_finalize(s);
	sqlite3_close(d);
	return n;
}

static void die_and_open(struct place *p)
{
	struct err e = ERR_INIT;
	state_close(p->state);
	p->state = state_open(p->state_path, &e);
	if (!p->state)
		fail_msg("%s", e.text);
}

/* Gone on with, to the end as far as rows tell. */
static void go_on(struct place *p)
{
	struct record_again again;
	struct err e = ERR_INIT;
	struct how how = {.repeats = HOW_UNGIVEN, .repeat_fixes = HOW_UNGIVEN};
	if (record_again(&again, p->state, p->run, &how, &e))
		fail_msg("%s", e.text);
	how_fill(&how);
	assert_int_equal(again.plan->n_jobs, 3);
	if (record_resume(&again, p->state, &how, &e))
		fail_msg("%s", e.text);
	record_again_fini(&again);
}

#define LISTED                                                                                     \
	"SELECT count(*) FROM v_job WHERE state = 'done' AND status = 'skip' AND reason = "        \
	"'listed'"

static void what_is_skipped_has_its_result_when_a_run_begins(void **state)
{
	struct place *p = *state;
	assert_int_equal(number(p, LISTED), 3);
}

/* As a kill between the transactions of the first rows leaves them. */
static void skips_that_a_kill_lost_are_recorded_when_it_is_gone_on_with(void **state)
{
	struct place *p = *state;
	change(p, "DELETE FROM result; DELETE FROM attempt; DELETE FROM expectation;"
		  "UPDATE job SET state = 'waiting'");
	die_and_open(p);
	assert_int_equal(number(p, "SELECT count(*) FROM job WHERE state = 'abandoned'"), 6);
	go_on(p);
	assert_int_equal(number(p, LISTED), 3);
	assert_int_equal(number(p, "SELECT count(*) FROM expectation"), 2);
}

static void one_that_was_lost_is_recorded_and_the_others_not_again(void **state)
{
	struct place *p = *state;
	change(p, "DELETE FROM attempt WHERE job = (SELECT max(job) FROM attempt);"
		  "DELETE FROM result WHERE attempt NOT IN (SELECT id FROM attempt);"
		  "UPDATE job SET state = 'waiting' WHERE id NOT IN (SELECT job FROM attempt)");
	die_and_open(p);
	go_on(p);
	assert_int_equal(number(p, LISTED), 3);
	assert_int_equal(number(p, "SELECT count(*) FROM attempt"), 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_is_skipped_has_its_result_when_a_run_begins,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			skips_that_a_kill_lost_are_recorded_when_it_is_gone_on_with, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(
			one_that_was_lost_is_recorded_and_the_others_not_again, set_up, tear_down),
	};
	return cmocka_run_group_tests_name("record", tests, NULL, NULL);
}
