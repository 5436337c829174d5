/* When a box is looked at, and what an answer means: on a helper of this program's that only notes
 * what it was asked. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include "base/clock.h"
#include "sandbox/cgroup_inside.h"
#include "sandbox/inside.h"

#include <fcntl.h>
#include <string.h>

#define MS INT64_C(1000000)
#define S (1000 * MS)

/* --- a helper, and a box that can't be ended ----------------------------------------------------
 */

static struct {
	unsigned look;
	size_t n_fds;
} asked[64];
static size_t n_asked;
static enum box_limit fired;

void helper_look(struct helper *h, const struct plan_start *m, int *fds, size_t n)
{
	(void)h;
	(void)fds;
	assert_int_equal(m->kind, PLAN_LOOK);
	assert_true(n_asked < countof(asked));
	asked[n_asked].look = m->look;
	asked[n_asked++].n_fds = n;
}

void box_fire(struct box *b, enum box_limit l, uint64_t bound, uint64_t value)
{
	(void)b;
	(void)bound;
	(void)value;
	fired = l;
}

void box_trouble(struct box *b, const char *fmt, ...)
{
	(void)b;
	fail_msg("%s", fmt);
}

static struct slot slot;
static struct box box;
static int64_t now;

/* It runs, nothing counts but the watch, and it has one upper. */
static void begin(struct box_limits limits)
{
	static char no_helper;
	slot = (struct slot){.helper = (struct helper *)&no_helper, .box = &box};
	box = (struct box){.slot = &slot, .pid = 2, .state = BOX_RUNS, .limits = limits};
	int upper = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct box_mount m = {.path = "/", .mode = BOX_COW, .upper_fd = upper, .work_fd = upper};
	/* of disk there is some limit: tests say later which */
	struct box_spec spec = {.mounts = &m, .n_mounts = 1, .limits = {.disk = 1}};
	struct err e = ERR_INIT;
	assert_int_equal(watch_open(&box.watch, &spec, &e), 0);
	close(upper);
	n_asked = 0;
	fired = BOX_LIMIT_NONE;
	now = clock_mono_ns();
	watch_begin(&box, now);
}

static bool answer(unsigned look, unsigned has)
{
	struct plan_reply r = {.kind = PLAN_LOOKED, .look = look, .seen = {.has = has}};
	return watch_heard(&box, &r, -1);
}

static int n_open(void)
{
	int n = 0;
	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* --- tests ------------------------------------------------------------------------------------ */

static void the_answer_of_an_earlier_look_is_not_the_table(void **state)
{
	(void)state;
	begin((struct box_limits){.memory = 1 << 20});
	watch_look(&box, now + S);
	assert_int_equal(n_asked, 1);
	assert_int_equal(asked[0].look, PLAN_LOOK_PROCESSES | PLAN_LOOK_MEMORY);
	assert_true(watch_table(&box));
	assert_int_equal(n_asked, 2);
	assert_false(answer(asked[0].look, asked[0].look));
	assert_true(answer(asked[1].look, asked[1].look));
	watch_close(&box.watch);
}

static void uppers_are_held_only_where_disk_is_limited(void **state)
{
	auto_fd int upper = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct box_mount m = {.path = "/", .mode = BOX_COW, .upper_fd = upper, .work_fd = upper};
	struct box_spec spec = {.mounts = &m, .n_mounts = 1};
	struct watch w = {.n_uppers = 0};
	struct err e = ERR_INIT;
	int before = n_open();
	(void)state;
	assert_int_equal(watch_open(&w, &spec, &e), 0);
	assert_int_equal(n_open(), before);
	watch_close(&w);
	w = (struct watch){.n_uppers = 0};
	spec.limits.disk_inodes = 1;
	assert_int_equal(watch_open(&w, &spec, &e), 0);
	assert_int_equal(n_open(), before + 1);
	watch_let_go(&w);
	assert_int_equal(n_open(), before);
	watch_close(&w);
}

/* What a walk costs is not known before it has ended, and it may take very long. */
static void memory_is_looked_at_while_a_walk_goes_on(void **state)
{
	(void)state;
	begin((struct box_limits){.memory = 1 << 20, .disk = 1 << 20});
	watch_look(&box, now + 2 * S);
	assert_int_equal(n_asked, 2);
	assert_int_equal(asked[0].look, PLAN_LOOK_DISK);
	assert_int_equal(asked[0].n_fds, 1);
	assert_int_equal(asked[1].look, PLAN_LOOK_PROCESSES | PLAN_LOOK_MEMORY);
	assert_int_equal(asked[1].n_fds, 0);
	for (int64_t later = 3 * S; later < 50 * S; later += S) {
		answer(PLAN_LOOK_PROCESSES | PLAN_LOOK_MEMORY, 0);
		size_t before = n_asked;
		watch_look(&box, now + later);
		assert_int_equal(n_asked, before + 1);
		assert_int_equal(asked[before].look, PLAN_LOOK_PROCESSES | PLAN_LOOK_MEMORY);
	}
	watch_close(&box.watch);
}

/* A look that does not come back is begun anew, each after a longer time; nothing is done in
 * between. */
static void lost(struct box_limits limits, unsigned look)
{
	int64_t waited = 0, at;
	begin(limits);
	at = now + 2 * S;
	watch_look(&box, at);
	for (size_t n = 1; n < 12; n++) {
		assert_int_equal(n_asked, n);
		assert_int_equal(asked[n - 1].look, look);
		int64_t next = watch_next(&box);
		assert_true(next - at >= 60 * S);
		assert_true(next - at >= waited);
		waited = next - at;
		watch_look(&box, next - MS);
		assert_int_equal(n_asked, n);
		at = next;
		watch_look(&box, at);
	}
	assert_true(waited <= 2 * 3600 * S);
	/* and one that came back in the end counts */
	struct plan_reply r = {.kind = PLAN_LOOKED,
			       .look = look,
			       .seen = {.has = look, .disk_bytes = 5 << 20, .memory = 5 << 20}};
	watch_heard(&box, &r, -1);
	assert_int_equal(fired, look & PLAN_LOOK_DISK ? BOX_LIMIT_DISK : BOX_LIMIT_MEMORY);
	assert_true(watch_next(&box) <= clock_mono_ns() + S);
	watch_close(&box.watch);
}

static void a_walk_that_is_lost_is_begun_anew(void **state)
{
	(void)state;
	lost((struct box_limits){.disk = 1 << 20}, PLAN_LOOK_DISK);
}

static void a_look_that_is_lost_is_begun_anew(void **state)
{
	(void)state;
	lost((struct box_limits){.memory = 1 << 20}, PLAN_LOOK_PROCESSES | PLAN_LOOK_MEMORY);
}

/* The file system of /usr stands for the tmpfs; what is taken there. Others may write to it
 * meanwhile: as much again is far. */
static struct plan_seen room(bool all)
{
	struct plan_seen own = {.has = 0}, taken = {.has = 0};
	int fd = open("/usr", O_PATH | O_DIRECTORY | O_CLOEXEC);
	plan_room_used(fd, &taken);
	watch_room(&box.watch, fd, &own, all);
	return taken;
}

static void what_is_in_memory_is_counted_without_a_walk(void **state)
{
	enum box_limit limit;
	uint64_t bound, value;
	(void)state;
	begin((struct box_limits){.disk = 1});
	box.limits.disk = 2 * room(true).disk_bytes;
	watch_begin(&box, now);
	for (int64_t later = S; later < 9 * S; later += S)
		watch_look(&box, now + later);
	assert_int_equal(n_asked, 0);
	assert_int_equal(fired, BOX_LIMIT_NONE);
	watch_last(&box);
	assert_false(watch_over(&box, &limit, &bound, &value));
	box.limits.disk /= 4;
	watch_look(&box, now + 20 * S);
	assert_int_equal(n_asked, 0);
	assert_int_equal(fired, BOX_LIMIT_DISK);
	watch_close(&box.watch);
}

/* Its end came before there was a look. */
static void what_is_in_memory_is_known_at_the_end(void **state)
{
	enum box_limit limit;
	uint64_t bound, value;
	(void)state;
	begin((struct box_limits){.disk_inodes = 1});
	uint64_t inodes = room(true).disk_inodes;
	box.limits.disk_inodes = inodes / 2;
	watch_last(&box);
	bool over = watch_over(&box, &limit, &bound, &value);
	watch_close(&box.watch);
	if (inodes < 2)
		skip(); /* a file system that counts none */
	assert_true(over);
	assert_int_equal(limit, BOX_LIMIT_INODES);
	assert_int_equal(bound, inodes / 2);
	assert_true(value > inodes / 2);
}

/* Some of it is on disk: that is walked, and counts with what is in memory. */
static void what_is_on_disk_and_what_is_in_memory_count_together(void **state)
{
	(void)state;
	begin((struct box_limits){.disk = 1});
	uint64_t taken = room(false).disk_bytes;
	box.limits.disk = 2 * taken;
	watch_begin(&box, now);
	watch_look(&box, now + 2 * S);
	assert_int_equal(fired, BOX_LIMIT_NONE);
	assert_int_equal(n_asked, 1);
	assert_int_equal(asked[0].look, PLAN_LOOK_DISK);
	assert_int_equal(asked[0].n_fds, 1);
	struct plan_reply r = {.kind = PLAN_LOOKED,
			       .look = PLAN_LOOK_DISK,
			       .seen = {.has = PLAN_LOOK_DISK, .disk_bytes = taken * 3 / 2}};
	watch_heard(&box, &r, -1);
	assert_int_equal(fired, BOX_LIMIT_DISK);
	watch_close(&box.watch);
}

/* One look hangs in what the job has made, and can't be killed: nobody sees any more. */
static void hidden(struct box_limits limits, unsigned look, enum box_limit limit)
{
	struct plan_reply r = {.kind = PLAN_LOOKED, .look = look, .seen = {.stuck = 1}};
	begin(limits);
	watch_look(&box, now + 2 * S);
	watch_heard(&box, &r, -1);
	assert_int_equal(fired, BOX_LIMIT_NONE); /* it may just take a moment */
	struct watch_asked *a = look & PLAN_LOOK_DISK ? &box.watch.walk : &box.watch.look;
	a->stuck_ns -= 11 * S;
	answer(look, look);
	watch_heard(&box, &r, -1);
	assert_int_equal(fired, BOX_LIMIT_NONE); /* it has gone meanwhile */
	a->stuck_ns -= 11 * S;
	watch_heard(&box, &r, -1);
	assert_int_equal(fired, limit);
	watch_close(&box.watch);
}

static void who_can_t_be_looked_at_has_passed_the_limit(void **state)
{
	(void)state;
	hidden((struct box_limits){.disk = 1 << 20}, PLAN_LOOK_DISK, BOX_LIMIT_DISK);
	hidden((struct box_limits){.disk_inodes = 9}, PLAN_LOOK_DISK, BOX_LIMIT_INODES);
	hidden((struct box_limits){.memory = 1 << 20}, PLAN_LOOK_PROCESSES | PLAN_LOOK_MEMORY,
	       BOX_LIMIT_MEMORY);
	hidden((struct box_limits){.processes = 9}, PLAN_LOOK_PROCESSES, BOX_LIMIT_PROCESSES);
	hidden((struct box_limits){.cpu_ms = 9}, PLAN_LOOK_PROCESSES, BOX_LIMIT_CPU);
	hidden((struct box_limits){.idle_ms = 100}, PLAN_LOOK_PROCESSES | PLAN_LOOK_IO,
	       BOX_LIMIT_NONE);
}

static enum box_limit after_quiet_windows(uint32_t ready)
{
	struct plan_reply r = {.kind = PLAN_LOOKED,
			       .look = PLAN_LOOK_PROCESSES | PLAN_LOOK_IO,
			       .seen = {.has = PLAN_LOOK_PROCESSES | PLAN_LOOK_IO, .ready = ready}};
	begin((struct box_limits){.idle_ms = 100});
	for (int i = 0; i < 3; i++) {
		box.watch.idle.at_ns -= S;
		box.watch.idle.since_ns -= S;
		watch_heard(&box, &r, -1);
	}
	watch_close(&box.watch);
	return fired;
}

static void who_waits_for_a_processor_is_not_idle(void **state)
{
	(void)state;
	assert_int_equal(after_quiet_windows(0), BOX_LIMIT_IDLE);
	assert_int_equal(after_quiet_windows(1), BOX_LIMIT_NONE);
}

/* What is in file systems that it mounts itself a look does not see. */
static void memory_of_who_may_mount_takes_a_cgroup(void **state)
{
	static const unsigned mounts[] = {BOX_LOOSEN_USERNS, BOX_LOOSEN_FUSE | BOX_LOOSEN_KVM};
	const struct box_limits none = {.wall_ms = 9}, memory = {.memory = 1 << 20};
	struct cgroup_host host = {.kind = NULL};
	struct sandbox sb = {.cgroups = &host};
	(void)state;
	for (size_t i = 0; i < countof(mounts); i++) {
		struct err e = ERR_INIT;
		sb.best_effort = false;
		host.n = 0;
		assert_int_equal(sandbox_keeps(&sb, &none, mounts[i], &e), 0);
		assert_int_equal(sandbox_keeps(&sb, &memory, BOX_LOOSEN_KVM, &e), 0);
		assert_int_equal(sandbox_keeps(&sb, &memory, mounts[i], &e), -1);
		assert_int_equal(e.kind, ERR_LIMIT);
		assert_non_null(strstr(e.text, "memory controller"));
		host.n = 1;
		host.base[0].controllers = CGROUP_PIDS;
		assert_int_equal(sandbox_keeps(&sb, &memory, mounts[i], &e), -1);
		host.base[0].controllers |= CGROUP_MEMORY;
		assert_int_equal(sandbox_keeps(&sb, &memory, mounts[i], &e), 0);
		host.n = 0;
		sb.best_effort = true;
		assert_int_equal(sandbox_keeps(&sb, &memory, mounts[i], &e), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_answer_of_an_earlier_look_is_not_the_table),
		cmocka_unit_test(uppers_are_held_only_where_disk_is_limited),
		cmocka_unit_test(memory_is_looked_at_while_a_walk_goes_on),
		cmocka_unit_test(a_walk_that_is_lost_is_begun_anew),
		cmocka_unit_test(a_look_that_is_lost_is_begun_anew),
		cmocka_unit_test(what_is_in_memory_is_counted_without_a_walk),
		cmocka_unit_test(what_is_in_memory_is_known_at_the_end),
		cmocka_unit_test(what_is_on_disk_and_what_is_in_memory_count_together),
		cmocka_unit_test(who_can_t_be_looked_at_has_passed_the_limit),
		cmocka_unit_test(who_waits_for_a_processor_is_not_idle),
		cmocka_unit_test(memory_of_who_may_mount_takes_a_cgroup),
	};
	return cmocka_run_group_tests_name("sandbox: watch", tests, NULL, NULL);
}
