/* orchestrator/judge.c: the evidence as it is kept, and facts as the database takes them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/text.h"
#include "orchestrator/judge.h"
#include "orchestrator/suite.h"

#include <string.h>

static struct suite_phase phases[] = {{.name = (char[]){"test"}, .goal = true}};
static struct suite_log_rule rules[] = {
	{(char[]){"r"}, (char[]){"DECIDED"}, NULL, (char[]){"fail"}, (char[]){"test-failed"}},
};
static const struct suite suite = {.phases = phases,
				   .n_phases = 1,
				   .log_rules = rules,
				   .n_log_rules = 1};
static const struct box_facts failed = {.end = BOX_EXITED, .exit_code = 1, .cgroup = "v2"};

/* A log that is kept whole, the judgement's text being all of it. */
static void judge(const char *log, size_t n, struct result *r, struct evidence *ev)
{
	struct judged j = {.facts = &failed, .log = log, .log_n = n};
	struct capture_log kept = {.kept = n, .text_n = n, .tail_at = n, .tail_offset = n};
	judge_job(&suite, &j, &kept, r, ev);
}

static void the_evidence_is_the_line_with_two_before_and_twelve_after(void **state)
{
	(void)state;
	struct result r;
	struct evidence ev;
	auto_text struct text log = TEXT_INIT;
	for (int i = 0; i < 40; i++) {
		if (i == 20)
			text_add(&log, "DECIDED\n");
		else
			text_addf(&log, "line %d\n", i);
	}
	judge(log.p, log.n, &r, &ev);
	assert_int_equal(r.reason, REASON_TEST_FAILED);
	assert_memory_equal(log.p + ev.offset, "DECIDED", 7);
	assert_int_equal(ev.length, 7);
	assert_memory_equal(ev.text, "line 18\nline 19\nDECIDED\nline 21\n", 32);
	assert_non_null(strstr(ev.text, "line 32"));
	assert_null(strstr(ev.text, "line 33"));
	assert_null(strstr(ev.text, "line 17"));
	evidence_fini(&ev);
}

static void the_deciding_line_is_in_however_long_its_neighbours_are(void **state)
{
	(void)state;
	struct result r;
	struct evidence ev;
	auto_text struct text log = TEXT_INIT;
	for (int i = 0; i < 100000; i++)
		text_add(&log, "\r50 %");
	text_add(&log, "\nDECIDED ");
	for (int i = 0; i < 100000; i++)
		text_add(&log, "xy");
	judge(log.p, log.n, &r, &ev);
	assert_non_null(strstr(ev.text, "DECIDED xy"));
	assert_true(strlen(ev.text) <= RESULT_EVIDENCE);
	evidence_fini(&ev);
}

static void progress_bars_before_it_do_not_push_the_line_out(void **state)
{
	(void)state;
	struct result r;
	struct evidence ev;
	auto_text struct text log = TEXT_INIT;
	for (int i = 0; i < 100; i++)
		text_add(&log, "\r50 %");
	text_add(&log, "\nDECIDED\n");
	judge(log.p, log.n, &r, &ev);
	assert_non_null(strstr(ev.text, "DECIDED"));
	evidence_fini(&ev);
}

static void what_a_job_wrote_moves_no_terminal(void **state)
{
	(void)state;
	struct result r;
	struct evidence ev;
	static const char log[] = "\x1b]0;title\aone\n\0\x1b[31mDECIDED\x1b[0m\x07\xc2\x9b"
				  "2J \xff\n";
	judge(log, sizeof(log) - 1, &r, &ev);
	assert_non_null(strstr(ev.text, "DECIDED"));
	for (const char *p = ev.text; *p; p++)
		assert_true(*p == '\n' || (unsigned char)*p >= 32);
	assert_null(strstr(ev.text, "\xc2\x9b"));
	evidence_fini(&ev);
}

static void evidence_ends_with_a_whole_character(void **state)
{
	(void)state;
	for (int shift = 0; shift < 3; shift++) {
		struct result r;
		struct evidence ev;
		auto_text struct text log = TEXT_INIT;
		text_add(&log, "DECIDED\n");
		for (int line = 0; line < 12; line++) {
			for (int i = 0; i < shift; i++)
				text_addc(&log, 'x');
			for (int i = 0; i < 150; i++)
				text_add(&log, "\xe2\x82\xac"); /* three bytes */
			text_addc(&log, '\n');
		}
		judge(log.p, log.n, &r, &ev);
		size_t n = strlen(ev.text);
		assert_true(n > RESULT_EVIDENCE - 8 && n <= RESULT_EVIDENCE);
		assert_true(!memcmp(ev.text + n - 3, "\xe2\x82\xac", 3) || ev.text[n - 1] == '\n' ||
			    ev.text[n - 1] == 'x');
		evidence_fini(&ev);
	}
}

/* Head and tail of a long log stand side by side in the text; offsets are the log's own. */
static void a_line_in_the_tail_has_its_place_in_the_log(void **state)
{
	(void)state;
	static const char text[] = "head\nDECIDED\n";
	struct result r;
	struct evidence ev;
	struct judged j = {.facts = &failed, .log = text, .log_n = strlen(text)};
	struct capture_log log = {.kept = 1000008,
				  .tail_at = 5,
				  .tail_offset = 1000000,
				  .text_n = strlen(text)};
	judge_job(&suite, &j, &log, &r, &ev);
	assert_int_equal(ev.offset, 1000000);
	assert_int_equal(ev.length, 7);
	evidence_fini(&ev);
}

static void a_line_cut_by_the_gap_ends_at_the_gap(void **state)
{
	(void)state;
	static const char text[] = "head\nDECIDED and more\n";
	struct result r;
	struct evidence ev;
	struct judged j = {.facts = &failed, .log = text, .log_n = strlen(text)};
	struct capture_log log = {.kept = 1000010,
				  .tail_at = 12,
				  .tail_offset = 1000000,
				  .text_n = strlen(text)};
	judge_job(&suite, &j, &log, &r, &ev);
	assert_int_equal(ev.offset, 5);
	assert_int_equal(ev.length, 7);
	evidence_fini(&ev);
}

static void a_pass_has_no_evidence(void **state)
{
	(void)state;
	struct result r;
	struct evidence ev;
	struct box_facts passed = {.end = BOX_EXITED};
	struct judged j = {.facts = &passed, .log = "DECIDED\n", .log_n = 8};
	struct capture_log log = {.tail_at = 8};
	judge_job(&suite, &j, &log, &r, &ev);
	assert_int_equal(r.status, STATUS_PASS);
	assert_int_equal(ev.offset, -1);
	assert_null(ev.text);
}

static void facts_become_a_row_in_its_units(void **state)
{
	(void)state;
	struct box_facts f = {
		.end = BOX_LIMITED,
		.exit_code = -1,
		.signal = 9,
		.core = true,
		.limit = BOX_LIMIT_MEMORY,
		.limit_bound = 5,
		.limit_value = 6,
		.setup_ns = 1999,
		.wall_ns = 2000000,
		.cpu_user_ns = 3000,
		.cpu_system_ns = 4000,
		.peak_memory = 7,
		.output_bytes = 8,
		.oom_kills = 1,
		.processes_refused = 2,
		.processes_peak = 3,
		.io_read_bytes = 4,
		.io_write_bytes = 5,
		.disk_bytes = 6,
		.disk_inodes = 7,
		.throttled = 8,
		.throttled_ns = 9000,
		.stalled_memory_ns = 10000,
		.stalled_cpu_ns = 11000,
		.stalled_io_ns = 12000,
		.executor = "native",
		.profile = "default",
		.uppers = "as given",
		.processes = "2 1 S 0 4 sh\n",
		.cgroup = "v1",
	};
	struct capture_log log = {.kept = 10, .stored = 11, .sha256 = "ab"};
	struct db_facts row;
	judge_facts(&f, &log, &row);
	assert_string_equal(row.end, "limited");
	assert_string_equal(row.limit, "memory");
	assert_int_equal(row.setup_us, 1);
	assert_int_equal(row.wall_us, 2000);
	assert_int_equal(row.cpu_user_us, 3);
	assert_int_equal(row.cpu_system_us, 4);
	assert_int_equal(row.signal, 9);
	assert_int_equal(row.exit_code, -1);
	assert_true(row.core);
	assert_null(row.error);
	assert_int_equal(row.log_bytes, 10);
	assert_int_equal(row.processes_peak, 3);
	assert_int_equal(row.io_read_bytes, 4);
	assert_int_equal(row.io_write_bytes, 5);
	assert_int_equal(row.disk_bytes, 6);
	assert_int_equal(row.disk_inodes, 7);
	assert_int_equal(row.throttled, 8);
	assert_int_equal(row.throttled_us, 9);
	assert_int_equal(row.stalled_memory_us, 10);
	assert_int_equal(row.stalled_cpu_us, 11);
	assert_int_equal(row.stalled_io_us, 12);
	assert_string_equal(row.executor, "native");
	assert_string_equal(row.profile, "default");
	assert_string_equal(row.uppers, "as given");
	assert_string_equal(row.processes, "2 1 S 0 4 sh\n");
	assert_int_equal(row.log_stored, 11);
	assert_string_equal(row.log_sha256, "ab");
	f.network_lost = true;
	judge_facts(&f, &log, &row);
	assert_true(row.network_lost);
	assert_non_null(strstr(row.error, "its network (pasta)"));
	snprintf(f.error, sizeof(f.error), "mount");
	judge_facts(&f, &log, &row);
	assert_string_equal(row.error, "mount");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_evidence_is_the_line_with_two_before_and_twelve_after),
		cmocka_unit_test(the_deciding_line_is_in_however_long_its_neighbours_are),
		cmocka_unit_test(progress_bars_before_it_do_not_push_the_line_out),
		cmocka_unit_test(what_a_job_wrote_moves_no_terminal),
		cmocka_unit_test(evidence_ends_with_a_whole_character),
		cmocka_unit_test(a_line_in_the_tail_has_its_place_in_the_log),
		cmocka_unit_test(a_line_cut_by_the_gap_ends_at_the_gap),
		cmocka_unit_test(a_pass_has_no_evidence),
		cmocka_unit_test(facts_become_a_row_in_its_units),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
