/* The words of results are written down twice: in the program, and in the database that refuses
 * others. They are the same. */
#include "db_scratch.h"

#include "orchestrator/result.h"

static void the_program_and_the_database_know_the_same_reasons(void **state)
{
	struct db *d = ((struct scratch *)*state)->db;
	struct err e = ERR_INIT;
	assert_int_equal(number(d, "SELECT count(*) FROM reason"), REASON_COUNT);
	for (unsigned i = 0; i < REASON_COUNT; i++) {
		const char *pair[] = {status_name(reason_status((enum reason)i)),
				      reason_name((enum reason)i)};
		struct db_table *t;
		must(db_query(d, "SELECT count(*) FROM reason WHERE status = ?1 AND name = ?2",
			      pair, 2, &t, &e));
		if (t->cells[0].i != 1)
			fail_msg("the database does not know %s/%s", pair[0], pair[1]);
		db_table_free(t);
	}
}

static void every_reason_can_be_recorded(void **state)
{
	struct db *d = ((struct scratch *)*state)->db;
	struct err e = ERR_INIT;
	struct life l = life_begin(d, 100);
	for (unsigned i = 0; i < REASON_COUNT; i++) {
		const struct db_result r = {
			.status = status_name(reason_status((enum reason)i)),
			.phase = "test",
			.reason = reason_name((enum reason)i),
			.evidence_offset = -1,
			.ended_ms = 200,
		};
		int64_t attempt = db_attempt_begin(d, l.jobs[0].id, 100, &e);
		must(attempt);
		must(db_result(d, l.jobs[0].id, attempt, &r, &e));
	}
	assert_int_equal(number(d, "SELECT count(DISTINCT status || '/' || reason) FROM v_result"),
			 REASON_COUNT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(the_program_and_the_database_know_the_same_reasons),
		scratch_test(every_reason_can_be_recorded),
	};
	return cmocka_run_group_tests_name("reasons_agree", tests, NULL, NULL);
}
