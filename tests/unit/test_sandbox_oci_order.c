/* sandbox/oci/order.c: an engine's program is waited for, but not for ever, and not for what it
 * leaves behind. The engine is a shell. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "sandbox/oci/order.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define MS_NS INT64_C(1000000)
#define LONG_MS 600000 /* nothing takes so long */

static volatile sig_atomic_t told;

/* Of engine.c, which has a table of all of them. */
char *engine_program(const char *file)
{
	return own_fmt("/bin/%s", file);
}

static int run(const char *script, int64_t ms, const volatile sig_atomic_t *by, struct order *o,
	       struct err *e)
{
	char *all[] = {(char[]){"sh"}, (char[]){"-c"}, own_dup(script), NULL};
	struct words w = {.n = 3};
	memcpy(w.all, all, sizeof(all));
	int rc = order_run(o, &w, ms, by, e);
	free(all[2]);
	return rc;
}

static int64_t since_ms(int64_t began)
{
	return (clock_mono_ns() - began) / MS_NS;
}

static bool gone(pid_t pid)
{
	return kill(pid, 0) && errno == ESRCH;
}

static void what_it_says_and_how_it_ended_is_known(void **state)
{
	struct err e = ERR_INIT;
	struct order o;
	(void)state;
	assert_int_equal(run("echo fine", LONG_MS, NULL, &o, &e), 0);
	assert_int_equal(run("echo warning; echo reason >&2; exit 3", LONG_MS, NULL, &o, &e), -1);
	assert_int_equal(e.kind, ERR_BOX);
	assert_non_null(strstr(e.text, "(exit status 3): warning reason"));
}

static void who_does_not_end_is_ended(void **state)
{
	struct err e = ERR_INIT;
	struct order o;
	int64_t began = clock_mono_ns();
	(void)state;
	assert_int_equal(run("echo begun; exec sleep 9700", 200, NULL, &o, &e), -1);
	assert_int_equal(e.kind, ERR_LIMIT);
	assert_non_null(strstr(e.text, "sh -c had not ended after"));
	assert_true(since_ms(began) < LONG_MS / 2);
	assert_true(gone(o.pid));
	assert_int_equal(o.output, -1);
}

/* A daemon that it started has its output, and is none of it. */
static void who_is_left_behind_is_not_waited_for(void **state)
{
	struct err e = ERR_INIT;
	struct order o;
	int64_t began = clock_mono_ns();
	(void)state;
	assert_int_equal(run("sleep 9700 & echo $!", LONG_MS, NULL, &o, &e), 0);
	assert_true(since_ms(began) < LONG_MS / 2);
	pid_t left = (pid_t)strtol(o.text, NULL, 10);
	assert_true(left > 0);
	kill(left, SIGKILL);
	assert_int_equal(waitpid(left, NULL, 0), left); /* this program is its subreaper */
}

static void a_flood_is_no_way_to_stay(void **state)
{
	struct err e = ERR_INIT;
	struct order o;
	int64_t began = clock_mono_ns();
	(void)state;
	assert_int_equal(run("exec yes", 200, NULL, &o, &e), -1);
	assert_int_equal(e.kind, ERR_LIMIT);
	assert_true(since_ms(began) < LONG_MS / 2);
	assert_true(gone(o.pid));
}

static void on_signal(int signal)
{
	(void)signal;
	told = 1;
}

/* As a keeper has it: blocked but for while it waits. One that is told goes on for a while. */
static void a_signal_that_is_blocked_ends_the_waiting(void **state)
{
	struct sigaction heard = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
	struct err e = ERR_INIT;
	struct order o;
	sigset_t term, old;
	(void)state;
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	assert_int_equal(sigprocmask(SIG_BLOCK, &term, &old), 0);
	assert_int_equal(sigaction(SIGTERM, &heard, NULL), 0);
	int64_t began = clock_mono_ns();
	assert_int_equal(run("kill -TERM $PPID; exec sleep 9700", LONG_MS, &told, &o, &e), -1);
	int64_t took = since_ms(began);
	assert_int_equal(e.kind, ERR_LIMIT);
	assert_true(took >= ORDER_TOLD_MS && took < LONG_MS / 2);
	assert_true(gone(o.pid));
	/* what ends in that time has ended as it says; where it is busy not each does */
	int rc = -1;
	for (int i = 0; rc && i < 20; i++)
		rc = run("sleep 0.1; exit 0", LONG_MS, &told, &o, &e);
	assert_int_equal(rc, 0);
	assert_int_equal(sigprocmask(SIG_SETMASK, &old, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_it_says_and_how_it_ended_is_known),
		cmocka_unit_test(who_does_not_end_is_ended),
		cmocka_unit_test(who_is_left_behind_is_not_waited_for),
		cmocka_unit_test(a_flood_is_no_way_to_stay),
		cmocka_unit_test(a_signal_that_is_blocked_ends_the_waiting),
	};
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	return cmocka_run_group_tests_name("sandbox: oci: order", tests, NULL, NULL);
}
