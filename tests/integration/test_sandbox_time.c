/* The box's clocks are its own: how long the host has been up is not told, and everything that
 * counts time goes on counting. */
#include "test_sandbox.h"

#include <time.h>

static bool has_time_namespaces(void)
{
	return !access("/proc/self/ns/time", F_OK);
}

/* What the script said, as a number. */
static double try_number(const char *script)
{
	struct try t;
	try_init(&t, script);
	try_run(&t);
	assert_int_equal(t.facts.end, BOX_EXITED);
	assert_int_equal(t.facts.exit_code, 0);
	double n = strtod(text_str(&t.out), NULL);
	try_fini(&t);
	return n;
}

static void uptime_is_the_box_s_own(void **state)
{
	struct timespec host;
	(void)state;
	if (!has_time_namespaces())
		skip();
	clock_gettime(CLOCK_BOOTTIME, &host);
	double up = try_number("cut -d' ' -f1 /proc/uptime");
	assert_true(up >= 1 && up < 600);
	assert_true(host.tv_sec < 60 || up < (double)host.tv_sec);
	/* so do the boot's date, and the times at which processes began */
	double booted = try_number("sed -n 's/^btime //p' /proc/stat");
	assert_true(booted > (double)time(NULL) - 600 && booted <= (double)time(NULL));
	assert_true(try_number("sed 's/.*) //' /proc/self/stat | cut -d' ' -f20") < 600 * 100);
}

static void the_namespace_is_not_the_host_s(void **state)
{
	char host[64] = "";
	struct try t;
	(void)state;
	if (!has_time_namespaces())
		skip();
	assert_true(readlink("/proc/self/ns/time", host, sizeof(host) - 1) > 0);
	try_init(&t, "readlink /proc/self/ns/time; readlink /proc/self/ns/time_for_children");
	try_run(&t);
	assert_int_equal(strncmp(text_str(&t.out), "time:[", 6), 0);
	assert_null(strstr(text_str(&t.out), host));
	try_fini(&t);
}

static void monotonic_time_is_above_zero_and_goes_on(void **state)
{
	(void)state;
	try_script("before=$(cut -d' ' -f1 /proc/uptime); sleep 0.2; after=$(cut -d' ' -f1 "
		   "/proc/uptime); awk \"BEGIN {exit !($after - $before >= 0.19 && $after - "
		   "$before < 600)}\" && echo on",
		   0, "on\n");
}

static void sleeps_and_timeouts_work(void **state)
{
	struct try t;
	(void)state;
	int64_t began = clock_mono_ns();
	try_init(&t, "timeout 0.3 sleep 2000; echo $?");
	try_run(&t);
	try_expect(&t, 0, "124\n");
	/* on the host's clock, whatever the box's says */
	uint64_t took = (uint64_t)(t.ended_ns - began);
	assert_in_range(t.facts.wall_ns, 300000000u, took);
	assert_in_range(t.facts.setup_ns, 1, took);
	try_fini(&t);
}

static void what_counts_monotonic_time_agrees(void **state)
{
	(void)state;
	/* by the vdso, by the system call, and against uptime */
	if (access("/usr/bin/perl", X_OK))
		skip();
	try_script(
		"perl -MTime::HiRes=clock_gettime,CLOCK_MONOTONIC -e 'my $m = "
		"clock_gettime(CLOCK_MONOTONIC); my $t = \"\\0\" x 16; syscall(228, 1, $t); "
		"my ($s) = unpack(\"q\", $t); open my $f, \"<\", \"/proc/uptime\"; my ($u) = split "
		"/ /, <$f>; print $m > 0 && abs($m - $s) < 10 && abs($m - $u) < 10 ? \"agree\" : "
		"\"$m $s $u\", \"\\n\"'",
		0, "agree\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(uptime_is_the_box_s_own),
		cmocka_unit_test(the_namespace_is_not_the_host_s),
		cmocka_unit_test(monotonic_time_is_above_zero_and_goes_on),
		cmocka_unit_test(sleeps_and_timeouts_work),
		cmocka_unit_test(what_counts_monotonic_time_agrees),
	};
	return cmocka_run_group_tests(tests, try_setup, try_teardown);
}
