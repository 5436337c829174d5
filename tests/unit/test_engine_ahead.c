/* orchestrator/engine*.c, job*.c: phases that are opened ahead of their turn: a processor that is
 * free has its next box at once, and what was asked of the run meanwhile holds all the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "orchestrator/control.h"
#include "tests/unit/engine_world.h"

#include <string.h>
#include <sys/socket.h>

static struct fake_act one_second(const struct fake_seen *b)
{
	(void)b;
	return (struct fake_act){.takes_ms = 1000};
}

static size_t at_once_after_another(void)
{
	size_t n = 0;
	for (size_t i = 0; i < fake.n_seen; i++)
		n += fake.seen[i].follows;
	return n;
}

/* One processor, ten boxes of ten units: but for the first box each begins while the one before is
 * still being told over, so that no row or directory was waited for in between. */
static void a_box_follows_another_at_once(void **state)
{
	struct world *w = *state;
	w->suite.phases[WORLD_FETCH].network = BOX_NET_NONE;
	w->suite.phases[WORLD_FETCH].goal = true;
	world_packages(w, 5, false);
	fake.play = one_second;
	assert_int_equal(world_run(w, 1), 0);
	assert_int_equal(fake.most, 1);
	assert_int_equal(fake.n_seen, 10);
	assert_int_equal(at_once_after_another(), 9);
	assert_int_equal(world_number(w, "SELECT count(*) FROM phase WHERE cpus = 1"), 10);
}

/* Whether a phase has a network is not known before its turn. */
static void what_may_have_a_network_is_opened_in_its_turn(void **state)
{
	struct world *w = *state;
	w->suite.phases[WORLD_FETCH].goal = true;
	world_packages(w, 5, false);
	fake.play = one_second;
	assert_int_equal(world_run(w, 1), 0);
	assert_int_equal(fake.n_seen, 10);
	assert_int_equal(at_once_after_another(), 0);
}

/* ---- asked of a run, while nothing else is under way ---- */

static struct {
	const char *state;
	int fd;
	const char *asks[3];
	size_t n;        /* of them that were sent */
	size_t after[3]; /* each once so many boxes began */
	size_t seen;     /* boxes, when the last was sent */
} door;

/* One after the other; the clock waits for the answers. */
static bool door_asks(void)
{
	struct err e = ERR_INIT;
	char says[256];
	if (door.fd >= 0) {
		if (recv(door.fd, says, sizeof(says), MSG_DONTWAIT) <= 0)
			return true;
		own_close(&door.fd);
	}
	const char *ask = door.n < countof(door.asks) ? door.asks[door.n] : NULL;
	if (!ask || fake.n_seen < door.after[door.n] || (!strcmp(ask, "unpause") && fake.running))
		return false;
	json_t *request = !strcmp(ask, "cancel") ? json_pack("{s:s, s:[sss]}", "do", ask,
							     "packages", "p0", "p1", "p2")
						 : json_pack("{s:s}", "do", ask);
	door.n++;
	door.seen = fake.n_seen;
	door.fd = control_connect(door.state, &e);
	if (door.fd < 0 || control_send(door.fd, request, &e))
		fail_msg("%s", e.text);
	json_decref(request);
	return true;
}

static void door_open(struct world *w, const char *ask, const char *then)
{
	memset(&door, 0, sizeof(door));
	door.state = w->path;
	door.fd = -1;
	door.asks[0] = ask;
	door.asks[1] = then;
	door.after[0] = door.after[1] = 1;
	fake.holds = door_asks;
	fake.play = one_second;
	w->suite.phases[WORLD_FETCH].network = BOX_NET_NONE;
	w->suite.phases[WORLD_FETCH].goal = true;
}

/* Three of six run, the others are ready. */
static void what_is_ready_and_then_cancelled_has_no_box(void **state)
{
	struct world *w = *state;
	door_open(w, "cancel", NULL);
	door.after[0] = 3;
	world_packages(w, 3, false);
	assert_int_equal(world_run(w, 3), 0);
	assert_int_equal(fake.n_seen, 3);
	assert_int_equal(w->outcome.done, 6);
	for (size_t i = 0; i < w->n_news; i++)
		assert_int_equal(w->news[i].reason, REASON_CANCELLED);
	/* Those that had been opened have rows, which say that nothing ran. */
	assert_int_equal(world_number(w, "SELECT count(*) FROM phase WHERE ended_as = 'cancelled' "
					 "AND wall_us"),
			 3);
	assert_int_equal(world_number(w, "SELECT count(*) FROM phase WHERE ended_as = 'cancelled' "
					 "AND NOT coalesce(wall_us, 0)"),
			 3);
	assert_int_equal(world_number(w, "SELECT count(*) FROM phase WHERE ended_as IS NULL"), 0);
}

static void what_is_ready_waits_while_a_run_is_paused(void **state)
{
	struct world *w = *state;
	door_open(w, "pause", "unpause");
	world_packages(w, 3, false);
	assert_int_equal(world_run(w, 1), 0);
	assert_int_equal(door.n, 2);
	assert_int_equal(door.seen, 1); /* none began between the two */
	assert_int_equal(w->outcome.done, 6);
	assert_int_equal(world_number(w, "SELECT count(*) FROM phase WHERE ended_as = 'exited'"),
			 6);
}

static void what_is_ready_when_a_run_is_ended_gets_no_result(void **state)
{
	struct world *w = *state;
	door_open(w, NULL, NULL);
	world_packages(w, 4, false);
	fake.signals[0].at_ms = 500;
	fake.signals[0].number = SIGTERM;
	assert_int_equal(world_run(w, 2), 0);
	assert_true(w->outcome.interrupted);
	assert_int_equal(w->outcome.done, 2);
	assert_int_equal(fake.n_seen, 2);
	assert_int_equal(world_number(w, "SELECT count(*) FROM phase WHERE ended_as IS NULL"), 0);
	assert_int_equal(world_number(w, "SELECT count(*) FROM phase WHERE ended_as = 'cancelled'"),
			 6);
	memset(fake.signals, 0, sizeof(fake.signals));
	assert_int_equal(world_resume(w, 2), 0);
	assert_int_equal(w->outcome.done, 6);
	assert_int_equal(world_number(w, "SELECT count(*) FROM result"), 8);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, world_set_up, world_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(a_box_follows_another_at_once),
		STORY(what_may_have_a_network_is_opened_in_its_turn),
		STORY(what_is_ready_and_then_cancelled_has_no_box),
		STORY(what_is_ready_waits_while_a_run_is_paused),
		STORY(what_is_ready_when_a_run_is_ended_gets_no_result),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
