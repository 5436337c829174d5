/* sandbox/ooms.c: whose kills count for a box of which no cgroup of its own counts memory. */
#include "tests/unit/fake_cgroup.h"

#include "sandbox/ooms.h"

#define S INT64_C(1000000000)

static void kills_in_the_caller_s_group_count(const char *file)
{
	struct ooms o = OOMS_INIT;
	put(file, "oom_kill_disable 0\nunder_oom 0\noom_kill 4\n");
	ooms_find(&o, &world);
	assert_true(o.group_fd >= 0);
	assert_int_equal(ooms_before(&o, S), 4);
	assert_int_equal(ooms_since(&o, 4), 0);
	put(file, "oom_kill_disable 0\nunder_oom 0\noom_kill 6\n");
	assert_int_equal(ooms_since(&o, 4), 2);
	assert_int_equal(ooms_before(&o, S + 1), 4); /* so young is young enough */
	assert_int_equal(ooms_before(&o, 3 * S), 6);
	ooms_close(&o);
}

static void of_v1_it_is_told_beside_the_limit(void **state)
{
	(void)state;
	a_v1_host();
	kills_in_the_caller_s_group_count("cg/my memory/memory.oom_control");
}

static void of_v2_it_is_the_group_s_own(void **state)
{
	(void)state;
	a_v2_host();
	put("cg2/svc/memory.events", "oom_kill 99\n"); /* others' below it, too */
	kills_in_the_caller_s_group_count("cg2/svc/memory.events.local");
}

static void without_such_a_group_the_machine_s_count(void **state)
{
	struct ooms o = OOMS_INIT;
	(void)state;
	a_v2_host(); /* of a kernel that has no count of a group alone */
	ooms_find(&o, &world);
	assert_int_equal(o.group_fd, -1);
	uint64_t before = ooms_before(&o, S);
	assert_true(ooms_since(&o, 0) >= before);
	ooms_close(&o);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(of_v1_it_is_told_beside_the_limit),
		TEST(of_v2_it_is_the_group_s_own),
		TEST(without_such_a_group_the_machine_s_count),
	};
	return cmocka_run_group_tests_name("sandbox: ooms", tests, NULL, NULL);
}
