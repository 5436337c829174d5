/* orchestrator/admit.c, pressure.c: when a machine has enough to do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/own.h"
#include "orchestrator/pressure.h"

#include <fcntl.h>

static const struct readings calm = {0, 0, 0, UINT64_MAX, UINT64_MAX};

static void a_calm_machine_takes_more(void **state)
{
	static const struct readings unknown = {-1, -1, -1, UINT64_MAX, UINT64_MAX};
	(void)state;
	assert_int_equal(admit(&calm, 5, ADMIT_YES), ADMIT_YES);
	assert_int_equal(admit(&unknown, 5, ADMIT_YES), ADMIT_YES);
}

static void pressure_is_told_by_its_name_and_does_not_flap(void **state)
{
	struct readings r = calm;
	(void)state;
	r.memory_full = 1100;
	assert_int_equal(admit(&r, 5, ADMIT_YES), ADMIT_MEMORY);
	r.memory_full = 900;
	assert_int_equal(admit(&r, 5, ADMIT_YES), ADMIT_YES);
	assert_int_equal(admit(&r, 5, ADMIT_MEMORY), ADMIT_MEMORY);
	r.memory_full = 400;
	assert_int_equal(admit(&r, 5, ADMIT_MEMORY), ADMIT_YES);
	r.io_full = 6000;
	assert_int_equal(admit(&r, 5, ADMIT_YES), ADMIT_IO);
	r.disk_free = ADMIT_DISK_MIN - 1;
	assert_int_equal(admit(&r, 5, ADMIT_IO), ADMIT_DISK);
	r = calm;
	r.disk_inodes = ADMIT_INODES_MIN + 1;
	assert_int_equal(admit(&r, 5, ADMIT_YES), ADMIT_YES);
	assert_int_equal(admit(&r, 5, ADMIT_DISK), ADMIT_DISK);
	for (enum admit a = ADMIT_YES; a <= ADMIT_DISK; a++)
		assert_true(admit_name(a)[0] != '\0');
}

static void where_nothing_runs_only_the_disk_counts(void **state)
{
	struct readings r = {9000, 9000, 9000, UINT64_MAX, UINT64_MAX};
	(void)state;
	assert_int_equal(admit(&r, 0, ADMIT_MEMORY), ADMIT_YES);
	r.disk_free = 0;
	assert_int_equal(admit(&r, 0, ADMIT_YES), ADMIT_DISK);
}

static void the_kernels_lines_are_read(void **state)
{
	static const char text[] = "some avg10=12.34 avg60=1.00 avg300=0.06 total=11587246\n"
				   "full avg10=0.07 avg60=0.00 avg300=0.00 total=2289293\n";
	int n = 0;
	(void)state;
	assert_int_equal(pressure_parse(text, "some", &n), 0);
	assert_int_equal(n, 1234);
	assert_int_equal(pressure_parse(text, "full", &n), 0);
	assert_int_equal(n, 7);
	assert_int_equal(pressure_parse("full avg10=x", "full", &n), -1);
	assert_int_equal(pressure_parse("", "some", &n), -1);
	assert_int_equal(pressure_parse("some", "some", &n), -1);
}

static void this_machine_is_read(void **state)
{
	struct readings r;
	auto_fd int fd = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	(void)state;
	pressure_read(fd, &r);
	assert_true(r.disk_free != UINT64_MAX);
	assert_true(r.memory_some >= -1 && r.memory_some <= 10000);
	assert_true(pressure_memory() > 1 << 20);
	assert_int_equal(setenv("ASSAY_PRESSURE", "off", 1), 0);
	pressure_read(fd, &r);
	assert_true(r.disk_free != UINT64_MAX);
	assert_true(r.memory_some == -1 && r.memory_full == -1 && r.io_full == -1);
	assert_int_equal(unsetenv("ASSAY_PRESSURE"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_calm_machine_takes_more),
		cmocka_unit_test(pressure_is_told_by_its_name_and_does_not_flap),
		cmocka_unit_test(where_nothing_runs_only_the_disk_counts),
		cmocka_unit_test(the_kernels_lines_are_read),
		cmocka_unit_test(this_machine_is_read),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
