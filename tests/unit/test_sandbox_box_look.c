/* A look's life, seen from the helper: it never waits for one that does not end. What a look looks
 * at is this program's; so are poll(2) and waitpid(2), which say of one child that it is there
 * still. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include "base/clock.h"
#include "base/own.h"
#include "sandbox/box/look.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* --- a child that hangs in the kernel -----------------------------------------------------------
 */

static pid_t hanging;
static int hanging_fd = -1;

pid_t waitpid(pid_t pid, int *status, int options)
{
	if (hanging && pid == hanging) {
		if (options & WNOHANG)
			return 0;
		fprintf(stderr, "somebody waits for what does not end\n");
		abort();
	}
	return (pid_t)syscall(SYS_wait4, pid, status, options, NULL);
}

/* glibc's declaration says that p is only written to. */
int poll_here(struct pollfd *p, nfds_t n, int timeout) __asm__("poll");
int poll_here(struct pollfd *p, nfds_t n, int timeout)
{
	struct timespec t = {timeout / 1000, timeout % 1000 * 1000000};
	if (hanging && n == 1 && p->fd == hanging_fd)
		return 0;
	return (int)syscall(SYS_ppoll, p, n, timeout < 0 ? NULL : &t, NULL, 0);
}

static void hang(const struct look *l)
{
	hanging = l->pid;
	hanging_fd = l->pidfd;
}

/* --- what a look looks at -----------------------------------------------------------------------
 */

static bool takes_long;

void look_disk(const struct look_disk_at *d, struct plan_seen *s)
{
	(void)d;
	s->disk_bytes = 42;
	while (takes_long)
		pause();
}

struct look_unnamed look_unnamed(bool own_mounts, uint64_t room)
{
	(void)own_mounts;
	(void)room;
	return (struct look_unnamed){0, 0};
}

void look_processes(bool io, struct look_processes *p)
{
	(void)io;
	(void)p;
}

struct look_tmpfs *look_tmpfs_outside(void)
{
	return NULL;
}

uint64_t look_memory(const struct look_processes *p, struct look_tmpfs *outside, uint64_t unnamed,
		     uint64_t bound)
{
	(void)p;
	(void)outside;
	(void)unnamed;
	(void)bound;
	return 0;
}

void look_table(int fd)
{
	(void)fd;
}

static int begin(struct look *l, unsigned what)
{
	const struct plan_start m = {.kind = PLAN_LOOK, .look = what};
	const struct look_at at = {.pid = getpid(), .ns = LOOK_NS_INIT};
	return look_begin(l, &m, &at);
}

static void end(struct look *l, struct plan_seen *seen)
{
	int table_fd;
	look_end(l, seen, &table_fd);
	own_close(&table_fd);
}

static void fini(struct look *l)
{
	look_leave(l);
	assert_int_equal(l->n_going, 0);
	free(l->going);
}

/* --- tests ------------------------------------------------------------------------------------ */

static void what_was_found_is_told(void **state)
{
	struct look l = LOOK_INIT;
	struct plan_seen seen;
	(void)state;
	takes_long = false;
	assert_int_equal(begin(&l, PLAN_LOOK_DISK), 0);
	struct pollfd p = {.fd = l.pidfd, .events = POLLIN};
	assert_int_equal(poll(&p, 1, 60000), 1);
	end(&l, &seen);
	assert_int_equal(seen.has & PLAN_LOOK_DISK, PLAN_LOOK_DISK);
	assert_int_equal(seen.disk_bytes, 42);
	assert_int_equal(l.pid, 0);
	fini(&l);
}

static void a_later_look_ends_an_earlier_one(void **state)
{
	struct look l = LOOK_INIT;
	struct plan_seen seen;
	(void)state;
	takes_long = true;
	assert_int_equal(begin(&l, PLAN_LOOK_DISK), 0);
	pid_t first = l.pid;
	takes_long = false;
	/* it may take a moment */
	int64_t until = clock_mono_ns() + INT64_C(60000000000);
	while (begin(&l, PLAN_LOOK_DISK)) {
		end(&l, &seen);
		assert_int_equal(seen.stuck, 1);
		assert_true(clock_mono_ns() < until);
	}
	assert_int_not_equal(l.pid, first);
	struct pollfd p = {.fd = l.pidfd, .events = POLLIN};
	assert_int_equal(poll(&p, 1, 60000), 1);
	end(&l, &seen);
	assert_int_equal(seen.stuck, 0);
	assert_int_equal(seen.disk_bytes, 42);
	fini(&l);
}

static void who_hangs_is_not_waited_for(void **state)
{
	struct look l = LOOK_INIT;
	struct plan_seen seen;
	(void)state;
	takes_long = true;
	assert_int_equal(begin(&l, PLAN_LOOK_DISK), 0);
	hang(&l);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(begin(&l, PLAN_LOOK_DISK), -1);
		end(&l, &seen);
		assert_int_equal(seen.has, 0);
		assert_int_equal(seen.stuck, 1);
	}
	/* the table is asked for once, when all is over */
	assert_int_equal(begin(&l, PLAN_LOOK_TABLE), 0);
	end(&l, &seen);
	assert_int_equal(seen.stuck, 0);
	/* and the next box is looked at as if nothing had been */
	look_leave(&l);
	assert_int_equal(l.n_going, 1);
	takes_long = false;
	assert_int_equal(begin(&l, PLAN_LOOK_DISK), 0);
	end(&l, &seen);
	assert_int_equal(seen.stuck, 0);
	look_leave(&l);
	assert_int_equal(l.n_going, 1);
	hanging = 0;
	struct pollfd p = {.fd = l.going[0].pidfd, .events = POLLIN};
	assert_int_equal(poll(&p, 1, 60000), 1);
	fini(&l);
}

static void who_hangs_when_the_box_is_over_is_left_behind(void **state)
{
	struct look l = LOOK_INIT;
	struct plan_seen seen;
	(void)state;
	takes_long = true;
	assert_int_equal(begin(&l, PLAN_LOOK_DISK), 0);
	hang(&l);
	end(&l, &seen);
	assert_int_equal(seen.has, 0);
	look_leave(&l);
	assert_int_equal(l.n_going, 1);
	hanging = 0;
	struct pollfd p = {.fd = l.going[0].pidfd, .events = POLLIN};
	assert_int_equal(poll(&p, 1, 60000), 1);
	fini(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_found_is_told),
		cmocka_unit_test(a_later_look_ends_an_earlier_one),
		cmocka_unit_test(who_hangs_is_not_waited_for),
		cmocka_unit_test(who_hangs_when_the_box_is_over_is_left_behind),
	};
	return cmocka_run_group_tests_name("sandbox: looks", tests, NULL, NULL);
}
