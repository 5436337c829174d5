/* orchestrator/engine_sched.c: a machine that has enough to do is given nothing more, which is
 * told, and the run goes on once it has less. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/engine_world.h"

#include <signal.h>
#include <string.h>

enum { PACKAGES = 4, AT_ONCE = 2 };

static const struct readings calm = {0, 0, 0, UINT64_MAX, UINT64_MAX};
static struct readings pressed;
static unsigned looks;    /* since boxes run */
static size_t boxes_then; /* when pressure came */

/* From the first box on the clock stands until a look lets it go on. */
static struct fake_act stands(const struct fake_seen *b)
{
	(void)b;
	if (!looks)
		fake.still = true;
	return (struct fake_act){.takes_ms = 100};
}

static void run(struct world *w, void (*look)(struct readings *r))
{
	looks = 0;
	fake.play = stands;
	world_look = look;
	world_packages(w, PACKAGES, false);
	int rc = world_run(w, AT_ONCE);
	world_look = NULL;
	if (rc)
		fail_msg("%s", w->err.text);
}

static void all_is_done(struct world *w)
{
	assert_int_equal(w->outcome.done, 2 * PACKAGES);
	assert_false(w->outcome.interrupted);
	assert_int_equal(world_number(w, "SELECT count(*) FROM v_result WHERE status = 'pass'"),
			 2 * PACKAGES);
}

/* Both slots are taken when it comes; their boxes end, and no other takes their place before the
 * next look finds that nothing runs here, so that the pressure is none of ours. */
static void look_pressed(struct readings *r)
{
	if (!fake.still && !looks)
		return;
	switch (++looks) {
	case 1:
		boxes_then = fake.n_seen;
		*r = pressed;
		return;
	case 2:
		assert_int_equal(fake.n_seen, boxes_then);
		assert_int_equal(fake.running, AT_ONCE);
		*r = pressed;
		fake.still = false;
		return;
	case 3:
		assert_int_equal(fake.n_seen, boxes_then);
		assert_int_equal(fake.running, 0);
		*r = pressed;
		return;
	default:
		*r = calm;
	}
}

static void nothing_starts_under_pressure(struct world *w, const char *why)
{
	run(w, look_pressed);
	assert_true(looks >= 3);
	all_is_done(w);
	assert_true(w->outcome.held_ms > 0);
	assert_int_equal(w->n_told, 2);
	assert_string_equal(w->told[0], why);
	assert_null(w->told[1]);
}

static void under_memory_pressure_nothing_starts_and_then_it_goes_on(void **state)
{
	pressed = calm;
	pressed.memory_full = 9000;
	nothing_starts_under_pressure(*state, "memory pressure");
}

static void nor_where_disks_are_waited_for(void **state)
{
	pressed = calm;
	pressed.io_full = 9000;
	nothing_starts_under_pressure(*state, "i/o pressure");
}

/* Room for a box is made while others run. */
static void look_full(struct readings *r)
{
	if (!fake.still && !looks)
		return;
	switch (++looks) {
	case 1:
		boxes_then = fake.n_seen;
		*r = pressed;
		return;
	case 2: /* a little is not enough: it would not last */
		assert_int_equal(fake.n_seen, boxes_then);
		*r = pressed;
		r->disk_free = ADMIT_DISK_MIN * 3 / 2;
		return;
	case 3:
		assert_int_equal(fake.n_seen, boxes_then);
		fake.still = false;
		return;
	}
}

static void on_a_full_disk_it_waits_for_room(void **state)
{
	struct world *w = *state;
	pressed = calm;
	pressed.disk_free = ADMIT_DISK_MIN - 1;
	run(w, look_full);
	all_is_done(w);
	assert_int_equal(w->n_told, 2);
	assert_string_equal(w->told[0], "little free disk space");
	assert_null(w->told[1]);
}

static void look_and_stop(struct readings *r)
{
	if (!fake.still && !looks)
		return;
	*r = pressed;
	if (++looks == 2) {
		raise(SIGTERM);
		fake.still = false;
	}
}

static void what_is_held_can_be_stopped_and_gone_on_with(void **state)
{
	struct world *w = *state;
	pressed = calm;
	pressed.memory_some = 9000;
	run(w, look_and_stop);
	assert_true(w->outcome.interrupted);
	assert_int_equal(w->n_told, 2);
	assert_null(w->told[1]);
	assert_true(w->outcome.held_ms > 0);
	assert_int_equal(world_resume(w, AT_ONCE), 0);
	assert_int_equal(world_number(w, "SELECT count(*) FROM v_result WHERE status = 'pass'"),
			 2 * PACKAGES);
}

#define pressure_test(f) cmocka_unit_test_setup_teardown(f, world_set_up, world_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		pressure_test(under_memory_pressure_nothing_starts_and_then_it_goes_on),
		pressure_test(nor_where_disks_are_waited_for),
		pressure_test(on_a_full_disk_it_waits_for_room),
		pressure_test(what_is_held_can_be_stopped_and_gone_on_with),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
