/* orchestrator/result.c: facts in, (status, phase, reason) out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "orchestrator/result.h"
#include "orchestrator/suite.h"

#include <signal.h>
#include <string.h>

static struct suite_phase phases[] = {
	{.name = (char[]){"fetch"}, .network = BOX_NET_HOST},
	{.name = (char[]){"build"}},
	{.name = (char[]){"test"}, .goal = true},
};

static struct suite_log_rule rules[] = {
	{(char[]){"r/1"}, (char[]){"Cannot find module '[^.]"}, NULL, (char[]){"fail"},
	 (char[]){"missing-dep"}},
	{(char[]){"r/2"}, (char[]){"^AssertionError"}, (char[]){"test"}, (char[]){"fail"},
	 (char[]){"test-failed"}},
	{(char[]){"r/3"}, (char[]){"FATAL ERROR: .* out of memory$"}, NULL, (char[]){"crash"},
	 (char[]){"abrt"}},
	{(char[]){"r/4"}, (char[]){"no space"}, NULL, (char[]){"infra"}, (char[]){"enospc"}},
	{(char[]){"r/5"}, (char[]){"sly"}, NULL, (char[]){"fail"}, (char[]){"enospc"}},
	{(char[]){"r/6"}, (char[]){"^E404"}, (char[]){"fetch"}, (char[]){"block"},
	 (char[]){"source-gone"}},
	/* that no suite may have: not of a phase that fetches, of the goal, of any, to infra */
	{(char[]){"r/7"}, (char[]){"^E404"}, (char[]){"build"}, (char[]){"block"},
	 (char[]){"source-gone"}},
	{(char[]){"r/8"}, (char[]){"^E404"}, (char[]){"test"}, (char[]){"block"},
	 (char[]){"source-gone"}},
	{(char[]){"r/9"}, (char[]){"^E4"}, NULL, (char[]){"block"}, (char[]){"source-gone"}},
	{(char[]){"r/10"}, (char[]){"^E5"}, (char[]){"fetch"}, (char[]){"block"},
	 (char[]){"fetch"}},
};

static const struct suite suite = {
	.phases = phases,
	.n_phases = countof(phases),
	.log_rules = rules,
	.n_log_rules = countof(rules),
};

enum { FETCH, BUILD, TEST };

static struct result judge(size_t phase, const struct box_facts *f, const char *log,
			   struct evidence *ev)
{
	struct judged j = {.facts = f, .phase = phase, .log = log, .log_n = strlen(log)};
	return result_of(&suite, &j, ev);
}

static void expect(struct result r, enum status s, enum reason reason)
{
	assert_string_equal(status_name(r.status), status_name(s));
	assert_string_equal(reason_name(r.reason), reason_name(reason));
}

static void the_goal_exiting_with_0_is_a_pass(void **state)
{
	(void)state;
	struct evidence ev;
	struct box_facts f = {.end = BOX_EXITED};
	struct result r = judge(TEST, &f, "Error: all of this is fine\n", &ev);
	expect(r, STATUS_PASS, REASON_OK);
	assert_string_equal(r.phase, "test");
	assert_int_equal(ev.offset, -1);
}

static void a_status_is_what_the_harness_saw(void **state)
{
	(void)state;
	static const struct {
		struct box_facts f;
		enum status s;
		enum reason r;
	} cases[] = {
		{{.end = BOX_EXITED, .exit_code = 1}, STATUS_FAIL, REASON_EXIT},
		{{.end = BOX_EXITED, .exit_code = 137}, STATUS_FAIL, REASON_EXIT},
		{{.end = BOX_EXITED, .exit_code = 255}, STATUS_FAIL, REASON_EXIT},
		{{.end = BOX_SIGNALLED, .signal = SIGSEGV}, STATUS_CRASH, REASON_SEGV},
		{{.end = BOX_SIGNALLED, .signal = SIGKILL}, STATUS_CRASH, REASON_OTHER_SIGNAL},
		{{.end = BOX_LIMITED, .limit = BOX_LIMIT_WALL, .signal = SIGKILL},
		 STATUS_KILL,
		 REASON_WALL_TIME},
		{{.end = BOX_LIMITED, .limit = BOX_LIMIT_FILE_SIZE, .signal = SIGXFSZ},
		 STATUS_KILL,
		 REASON_FILE_SIZE},
		{{.end = BOX_LIMITED, .limit = BOX_LIMIT_IDLE}, STATUS_KILL, REASON_IDLE},
		{{.end = BOX_LIMITED, .limit = BOX_LIMIT_OUTPUT}, STATUS_KILL, REASON_LOG_SIZE},
		{{.end = BOX_LIMITED, .limit = BOX_LIMIT_INODES, .exit_code = 0},
		 STATUS_KILL,
		 REASON_INODES},
		{{.end = BOX_CANCELLED}, STATUS_KILL, REASON_CANCELLED},
		{{.end = BOX_FAILED, .exit_code = -1}, STATUS_INFRA, REASON_BOX_START},
	};
	for (size_t i = 0; i < countof(cases); i++) {
		struct evidence ev;
		expect(judge(TEST, &cases[i].f, "", &ev), cases[i].s, cases[i].r);
		assert_int_equal(ev.offset, -1);
	}
}

/* A program says no in whatever way it likes when what it was promised is gone. */
static void a_network_that_was_lost_is_our_trouble_where_the_phase_failed(void **state)
{
	(void)state;
	static const struct box_facts cases[] = {
		{.end = BOX_EXITED, .exit_code = 1},
		{.end = BOX_SIGNALLED, .signal = SIGABRT},
		{.end = BOX_LIMITED, .limit = BOX_LIMIT_WALL},
		{.end = BOX_LIMITED, .limit = BOX_LIMIT_SILENCE},
		{.end = BOX_LIMITED, .limit = BOX_LIMIT_IDLE},
	};
	static const struct {
		struct box_facts f;
		enum status s;
		enum reason r;
	} others[] = {
		{{.end = BOX_EXITED}, STATUS_PASS, REASON_OK},
		{{.end = BOX_EXITED, .exit_code = 1, .oom_kills = 1}, STATUS_KILL, REASON_MEMORY},
		{{.end = BOX_LIMITED, .limit = BOX_LIMIT_DISK}, STATUS_KILL, REASON_DISK},
		{{.end = BOX_LIMITED, .limit = BOX_LIMIT_CPU}, STATUS_KILL, REASON_CPU_TIME},
		{{.end = BOX_CANCELLED}, STATUS_KILL, REASON_CANCELLED},
		{{.end = BOX_FAILED, .exit_code = -1}, STATUS_INFRA, REASON_BOX_START},
	};
	struct evidence ev;
	for (size_t i = 0; i < countof(cases); i++) {
		struct box_facts f = cases[i];
		assert_int_not_equal(judge(TEST, &f, "", &ev).status, STATUS_INFRA);
		f.network_lost = true;
		for (size_t phase = FETCH; phase <= TEST; phase++)
			expect(judge(phase, &f, "Cannot find module 'x'\n", &ev), STATUS_INFRA,
			       REASON_NETWORK_LOST);
	}
	for (size_t i = 0; i < countof(others); i++) {
		struct box_facts f = others[i].f;
		f.network_lost = true;
		expect(judge(TEST, &f, "", &ev), others[i].s, others[i].r);
	}
}

static void an_oom_kill_is_kill_memory_whatever_the_exit(void **state)
{
	(void)state;
	static const struct box_facts cases[] = {
		{.end = BOX_EXITED, .exit_code = 0, .oom_kills = 1},
		{.end = BOX_EXITED, .exit_code = 1, .oom_kills = 2},
		{.end = BOX_SIGNALLED, .signal = SIGKILL, .oom_kills = 1},
		{.end = BOX_LIMITED, .limit = BOX_LIMIT_MEMORY, .oom_kills = 1},
	};
	for (size_t i = 0; i < countof(cases); i++) {
		struct evidence ev;
		expect(judge(TEST, &cases[i], "Cannot find module 'x'\n", &ev), STATUS_KILL,
		       REASON_MEMORY);
	}
}

static void a_kill_for_the_host_s_need_is_host_oom_whatever_the_exit(void **state)
{
	(void)state;
	static const struct box_facts cases[] = {
		{.end = BOX_EXITED, .exit_code = 0},
		{.end = BOX_EXITED, .exit_code = 137},
		{.end = BOX_SIGNALLED, .signal = SIGKILL},
		{.end = BOX_LIMITED, .limit = BOX_LIMIT_WALL},
		{.end = BOX_FAILED, .exit_code = -1},
	};
	struct evidence ev;
	for (size_t i = 0; i < countof(cases); i++) {
		struct box_facts f = cases[i];
		f.host_oom_kills = 1;
		for (size_t phase = FETCH; phase <= TEST; phase++)
			expect(judge(phase, &f, "E404\nCannot find module 'x'\n", &ev),
			       STATUS_INFRA, REASON_HOST_OOM);
		/* what its own limit did it did, too */
		f.oom_kills = 1;
		if (f.end == BOX_EXITED)
			expect(judge(TEST, &f, "", &ev), STATUS_KILL, REASON_MEMORY);
	}
	/* nothing but a count says so: no log, no exit status */
	struct box_facts f = {.end = BOX_SIGNALLED, .signal = SIGKILL};
	expect(judge(TEST, &f, "Out of memory: Killed process\n", &ev), STATUS_CRASH,
	       REASON_OTHER_SIGNAL);
	f = (struct box_facts){.end = BOX_CANCELLED, .host_oom_kills = 1};
	expect(judge(TEST, &f, "", &ev), STATUS_KILL, REASON_CANCELLED);
}

static void a_package_that_can_t_be_fetched_may_be_blocked_by_a_rule(void **state)
{
	(void)state;
	struct evidence ev;
	struct box_facts failed = {.end = BOX_EXITED, .exit_code = 1},
			 crashed = {.end = BOX_SIGNALLED, .signal = SIGSEGV};
	struct result r = judge(FETCH, &failed, "one\nE404 no such thing\n", &ev);
	expect(r, STATUS_BLOCK, REASON_SOURCE_GONE);
	assert_string_equal(r.rule, "r/6");
	assert_string_equal(r.phase, "fetch");
	assert_int_equal(ev.offset, 4);
	/* where what is judged runs, nothing it prints does that */
	expect(judge(BUILD, &failed, "E404\n", &ev), STATUS_FAIL, REASON_EXIT);
	expect(judge(TEST, &failed, "E404\n", &ev), STATUS_FAIL, REASON_EXIT);
	expect(judge(FETCH, &failed, "E499\n", &ev), STATUS_FAIL, REASON_EXIT);
	expect(judge(FETCH, &failed, "E500\n", &ev), STATUS_FAIL, REASON_EXIT);
	/* only where it said no by itself */
	expect(judge(FETCH, &crashed, "E404\n", &ev), STATUS_CRASH, REASON_SEGV);
	failed.host_oom_kills = 1;
	expect(judge(FETCH, &failed, "E404\n", &ev), STATUS_INFRA, REASON_HOST_OOM);
}

static void no_exit_status_means_more_than_that_it_is_not_0(void **state)
{
	/* what timeout(1), shells and docker make of limits, signals and commands that are not
	 * there */
	static const int codes[] = {124, 125, 126, 127, 134, 137, 139, 143, 255};
	(void)state;
	for (size_t i = 0; i < countof(codes); i++) {
		struct evidence ev;
		struct box_facts f = {.end = BOX_EXITED, .exit_code = codes[i]};
		expect(judge(TEST, &f, "Killed\n", &ev), STATUS_FAIL, REASON_EXIT);
		expect(judge(FETCH, &f, "", &ev), STATUS_FAIL, REASON_EXIT);
	}
}

static void a_full_host_is_infra_whatever_the_log_says(void **state)
{
	(void)state;
	struct evidence ev;
	struct box_facts f = {.end = BOX_EXITED, .exit_code = 1};
	struct judged j = {.facts = &f,
			   .host_full = true,
			   .phase = TEST,
			   .log = "Cannot find module 'x'\n",
			   .log_n = 23};
	expect(result_of(&suite, &j, &ev), STATUS_INFRA, REASON_ENOSPC);
	f = (struct box_facts){.end = BOX_SIGNALLED, .signal = SIGBUS};
	expect(result_of(&suite, &j, &ev), STATUS_INFRA, REASON_ENOSPC);
	f = (struct box_facts){.end = BOX_FAILED, .exit_code = -1};
	expect(result_of(&suite, &j, &ev), STATUS_INFRA, REASON_ENOSPC);
	/* … but what passed, passed; and what our own limit or the cgroup says is not the host's */
	f = (struct box_facts){.end = BOX_EXITED};
	expect(result_of(&suite, &j, &ev), STATUS_PASS, REASON_OK);
	f = (struct box_facts){.end = BOX_LIMITED, .limit = BOX_LIMIT_DISK};
	expect(result_of(&suite, &j, &ev), STATUS_KILL, REASON_DISK);
}

static void nothing_a_log_says_leads_to_infra(void **state)
{
	(void)state;
	struct evidence ev;
	struct box_facts exited = {.end = BOX_EXITED, .exit_code = 1};
	struct box_facts crashed = {.end = BOX_SIGNALLED, .signal = SIGABRT};
	expect(judge(TEST, &exited, "no space left on device\nENOSPC\n", &ev), STATUS_FAIL,
	       REASON_EXIT);
	expect(judge(TEST, &exited, "sly\n", &ev), STATUS_FAIL, REASON_EXIT);
	expect(judge(TEST, &crashed, "sly no space\n", &ev), STATUS_CRASH, REASON_ABRT);
}

/* Whatever a rule asks for and a log says: status and, of all but fail and crash, reason are what
 * the facts made them without a log. */
static void rules_refine_within_fail_and_crash_alone(void **state)
{
	static const char *const logs[] = {"",
					   "sly\n",
					   "no space\n",
					   "Cannot find module 'x'\nAssertionError: y\n",
					   "FATAL ERROR: heap out of memory\n",
					   "[assay: infra/enospc]\nkill/memory\n"};
	(void)state;
	for (int end = BOX_EXITED; end <= BOX_FAILED; end++)
		for (int limit = BOX_LIMIT_NONE; limit <= BOX_LIMIT_FILE_SIZE; limit++)
			for (int bits = 0; bits < 16; bits++) {
				struct box_facts f = {.end = (enum box_end)end,
						      .exit_code = bits & 1,
						      .signal = end == BOX_SIGNALLED ? SIGABRT : 0,
						      .limit = (enum box_limit)limit,
						      .oom_kills = (bits & 2) != 0,
						      .network_lost = (bits & 4) != 0};
				struct judged j = {.facts = &f,
						   .phase = TEST,
						   .host_full = bits & 8};
				struct evidence ev;
				struct result bare = result_of(&suite, &j, &ev);
				bool may =
					bare.status == STATUS_FAIL || bare.status == STATUS_CRASH;
				for (size_t i = 0; i < countof(logs); i++) {
					j.log = logs[i];
					j.log_n = strlen(logs[i]);
					struct result r = result_of(&suite, &j, &ev);
					assert_int_equal(r.status, bare.status);
					assert_int_equal(reason_status(r.reason), r.status);
					assert_true(may || r.reason == bare.reason);
					assert_true(may || !r.rule);
				}
			}
}

static void the_first_rule_of_the_suite_that_matches_refines(void **state)
{
	(void)state;
	struct evidence ev;
	struct box_facts f = {.end = BOX_EXITED, .exit_code = 1};
	const char *log = "AssertionError: 1 == 2\nError: Cannot find module 'left-pad'\n";
	struct result r = judge(TEST, &f, log, &ev);
	expect(r, STATUS_FAIL, REASON_MISSING_DEP);
	assert_string_equal(r.rule, "r/1");
	assert_memory_equal(log + ev.offset, "Error: Cannot find module 'left-pad'",
			    (size_t)ev.length);
	assert_int_equal(ev.length, 36);
}

static void a_rule_of_another_phase_or_status_says_nothing(void **state)
{
	(void)state;
	struct evidence ev;
	struct box_facts f = {.end = BOX_EXITED, .exit_code = 1};
	struct result r = judge(FETCH, &f, "AssertionError: x\n", &ev);
	expect(r, STATUS_FAIL, REASON_EXIT);
	assert_null(r.rule);
	assert_string_equal(r.phase, "fetch");
	f = (struct box_facts){.end = BOX_LIMITED, .limit = BOX_LIMIT_SILENCE};
	r = judge(TEST, &f, "AssertionError: x\n", &ev);
	expect(r, STATUS_KILL, REASON_SILENCE);
	assert_null(r.rule);
}

/* A line ends where it ends, not where the log does, and a NUL is a byte like others. */
static void rules_match_line_by_line(void **state)
{
	(void)state;
	struct evidence ev;
	struct box_facts f = {.end = BOX_SIGNALLED, .signal = SIGTRAP};
	static const char log[] = "a\0b\nFATAL ERROR: heap\nFATAL ERROR: heap out of memory\nbye\n";
	struct judged j = {.facts = &f, .phase = TEST, .log = log, .log_n = sizeof(log) - 1};
	struct result r = result_of(&suite, &j, &ev);
	expect(r, STATUS_CRASH, REASON_ABRT);
	assert_int_equal(ev.offset, 22);
	assert_int_equal(ev.length, 31);
}

static void without_a_rule_the_first_line_that_tells_is_the_evidence_else_the_last(void **state)
{
	(void)state;
	struct evidence ev;
	struct box_facts f = {.end = BOX_EXITED, .exit_code = 2};
	const char *tells = "warm up\nTypeError: x is not a function\n    at y\n",
		   *silent = "one\ntwo\n \t\n\n";
	judge(TEST, &f, tells, &ev);
	assert_int_equal(ev.offset, 8);
	assert_int_equal(ev.length, (int64_t)strlen("TypeError: x is not a function"));
	judge(TEST, &f, silent, &ev);
	assert_int_equal(ev.offset, 4);
	assert_int_equal(ev.length, 3);
	judge(TEST, &f, "\n\n  \n", &ev);
	assert_int_equal(ev.offset, -1);
}

static void every_status_and_reason_goes_to_text_and_back(void **state)
{
	(void)state;
	for (unsigned i = 0; i < STATUS_COUNT; i++) {
		enum status s;
		assert_int_equal(status_parse(status_name((enum status)i), &s), 0);
		assert_int_equal(s, i);
	}
	for (unsigned i = 0; i < REASON_COUNT; i++) {
		enum reason r;
		assert_non_null(reason_name((enum reason)i));
		assert_int_equal(reason_parse(reason_name((enum reason)i), &r), 0);
		assert_int_equal(r, i);
		assert_true(reason_status(r) < STATUS_COUNT);
	}
	enum status s;
	enum reason r;
	assert_int_equal(status_parse("passed", &s), -1);
	assert_int_equal(reason_parse("", &r), -1);
}

/* What databases hold: a word that is here once is here for ever, with its status. Append. */
static void no_word_that_was_ever_written_is_forgotten(void **state)
{
	static const char *const words[] = {
		"pass/ok",
		"fail/exit",
		"fail/test-failed",
		"fail/compile-error",
		"fail/missing-file",
		"fail/missing-dep",
		"fail/net-denied",
		"fail/unknown",
		"crash/segv",
		"crash/abrt",
		"crash/bus",
		"crash/ill",
		"crash/fpe",
		"crash/sys",
		"crash/other-signal",
		"kill/wall-time",
		"kill/cpu-time",
		"kill/silence",
		"kill/idle",
		"kill/memory",
		"kill/processes",
		"kill/disk",
		"kill/inodes",
		"kill/log-size",
		"kill/cancelled",
		"block/dep-failed",
		"block/unresolvable",
		"block/bad-manifest",
		"block/source-gone",
		"block/unsupported",
		"skip/listed",
		"skip/filtered",
		"skip/unchanged",
		"skip/nothing-to-do",
		"skip/budget",
		"infra/enospc",
		"infra/host-oom",
		"infra/box-start",
		"infra/store",
		"infra/fetch",
		"infra/host-lost",
		"infra/harness",
		"kill/file-size",
		"infra/network-lost",
	};
	(void)state;
	assert_int_equal(countof(words), REASON_COUNT);
	for (size_t i = 0; i < countof(words); i++) {
		char status[16];
		enum status s;
		enum reason r;
		const char *slash = strchr(words[i], '/');
		snprintf(status, sizeof(status), "%.*s", (int)(slash - words[i]), words[i]);
		assert_int_equal(status_parse(status, &s), 0);
		assert_int_equal(reason_parse(slash + 1, &r), 0);
		assert_int_equal(reason_status(r), s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_goal_exiting_with_0_is_a_pass),
		cmocka_unit_test(a_status_is_what_the_harness_saw),
		cmocka_unit_test(an_oom_kill_is_kill_memory_whatever_the_exit),
		cmocka_unit_test(a_network_that_was_lost_is_our_trouble_where_the_phase_failed),
		cmocka_unit_test(a_kill_for_the_host_s_need_is_host_oom_whatever_the_exit),
		cmocka_unit_test(a_package_that_can_t_be_fetched_may_be_blocked_by_a_rule),
		cmocka_unit_test(no_exit_status_means_more_than_that_it_is_not_0),
		cmocka_unit_test(a_full_host_is_infra_whatever_the_log_says),
		cmocka_unit_test(nothing_a_log_says_leads_to_infra),
		cmocka_unit_test(rules_refine_within_fail_and_crash_alone),
		cmocka_unit_test(the_first_rule_of_the_suite_that_matches_refines),
		cmocka_unit_test(a_rule_of_another_phase_or_status_says_nothing),
		cmocka_unit_test(rules_match_line_by_line),
		cmocka_unit_test(
			without_a_rule_the_first_line_that_tells_is_the_evidence_else_the_last),
		cmocka_unit_test(every_status_and_reason_goes_to_text_and_back),
		cmocka_unit_test(no_word_that_was_ever_written_is_forgotten),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
