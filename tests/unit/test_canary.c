/* orchestrator/canary.c: a job whose answer is known, and boxes that lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "orchestrator/canary.h"
#include "tests/unit/engine_world.h"

#include <signal.h>
#include <string.h>

static void is_wrong(const struct canary_step *s, struct box_facts f, const char *said,
		     const char *words)
{
	auto_free char *why = canary_wrong(s, "word", &f, said, strlen(said));
	assert_non_null(why);
	if (!strstr(why, words))
		fail_msg("'%s' is not in '%s'", words, why);
}

static void only_the_answer_is_right(void **state)
{
	(void)state;
	const struct canary_step *writes = &canary_steps[0], *reads = &canary_steps[1],
				 *crashes = &canary_steps[2];
	const struct box_facts pass = {.end = BOX_EXITED},
			       seven = {.end = BOX_EXITED, .exit_code = 7},
			       segv = {.end = BOX_SIGNALLED, .exit_code = -1, .signal = SIGSEGV};
	assert_null(canary_wrong(writes, "word", &pass, "word\n", 5));
	assert_null(canary_wrong(reads, "word", &seven, "word\n", 5));
	assert_null(canary_wrong(crashes, "word", &segv, "", 0));
	is_wrong(writes, pass, "", "writes: its output is not what it wrote");
	is_wrong(writes, pass, "Word\n", "its output");
	is_wrong(writes, pass, "word\nword\n", "its output");
	is_wrong(writes, seven, "word\n", "writes: fail/exit with exit status 7");
	is_wrong(reads, pass, "word\n", "reads: pass/ok with exit status 0");
	is_wrong(reads, (struct box_facts){.end = BOX_EXITED, .exit_code = 1}, "word\n",
		 "not fail/exit with 7");
	is_wrong(crashes, (struct box_facts){.end = BOX_EXITED, .exit_code = 139}, "",
		 "crashes: fail/exit with exit status 139");
	is_wrong(crashes,
		 (struct box_facts){.end = BOX_SIGNALLED, .exit_code = -1, .signal = SIGABRT}, "",
		 "crash/abrt");
	is_wrong(reads, (struct box_facts){.end = BOX_EXITED, .exit_code = 7, .oom_kills = 1},
		 "word\n", "kill/memory");
	is_wrong(reads, (struct box_facts){.end = BOX_EXITED, .exit_code = 7, .host_oom_kills = 1},
		 "word\n", "infra/host-oom");
}

static struct fake_act silent(const struct fake_seen *b)
{
	(void)b;
	return (struct fake_act){0};
}

static struct fake_act never(const struct fake_seen *b)
{
	(void)b;
	return (struct fake_act){.never = true};
}

static void a_box_that_lies_is_found_out_and_none_is_our_trouble(void **state)
{
	struct world *w = *state;
	const struct canary_conf conf = {.state = w->state};
	struct canary c;
	fake.play = silent;
	assert_int_equal(canary_run(&conf, &c, &w->err), 0);
	assert_non_null(strstr(c.why, "writes: its output"));
	free(c.why);
	assert_int_equal(fake.n_seen, 1);
	fake.play = never;
	assert_int_equal(canary_run(&conf, &c, &w->err), -1);
	assert_null(c.why);
	assert_non_null(strstr(w->err.text, "the canary writes: "));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_the_answer_is_right),
		cmocka_unit_test_setup_teardown(
			a_box_that_lies_is_found_out_and_none_is_our_trouble, world_set_up,
			world_tear_down),
	};
	return cmocka_run_group_tests_name("canary", tests, NULL, NULL);
}
