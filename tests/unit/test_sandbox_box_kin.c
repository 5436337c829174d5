/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include "sandbox/box/kin.h"

#include "base/own.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

/* kin.c's only way into another room (look.h). */
ssize_t look_read(int dirfd, const char *file, char *buf, size_t size);
ssize_t look_read(int dirfd, const char *file, char *buf, size_t size)
{
	auto_fd int fd = openat(dirfd, file, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, size - 1);
	buf[n < 0 ? 0 : n] = 0;
	return n;
}

/* A child with a child, whose name would fit another line; both wait. */
static pid_t family(pid_t *grandchild)
{
	int say[2];
	assert_int_equal(pipe2(say, O_CLOEXEC), 0);
	pid_t pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		pid_t own = fork();
		if (!own) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			prctl(PR_SET_NAME, "x) S 1 1 (");
			own = getpid();
			if (write(say[1], &own, sizeof(own)) < 0)
				_exit(1);
		}
		for (;;)
			pause();
	}
	assert_int_equal(read(say[0], grandchild, sizeof(*grandchild)), sizeof(*grandchild));
	close(say[0]);
	close(say[1]);
	return pid;
}

struct seen {
	pid_t child, grandchild;
	bool child_is, grandchild_is, self_is, self_seen;
	unsigned others;
};

static void see(void *arg, int process, bool kin)
{
	struct seen *s = arg;
	char buf[64];
	pid_t pid = look_read(process, "stat", buf, sizeof(buf)) > 0 ? atoi(buf) : 0;
	if (pid == s->child)
		s->child_is = kin;
	else if (pid == s->grandchild)
		s->grandchild_is = kin;
	else if (pid == getpid()) {
		s->self_is = kin;
		s->self_seen = true;
	} else
		s->others += kin;
}

static void what_descends_from_one_is_its_kin_and_nobody_else(void **state)
{
	struct seen s = {.child = 0}, below = {.child = 0}, none = {.child = 0};
	(void)state;
	s.child = below.child = none.child = family(&s.grandchild);
	below.grandchild = none.grandchild = s.grandchild;
	kin_each(s.child, see, &s);
	kin_each(s.grandchild, see, &below);
	kin_each(0, see, &none);
	kill(s.grandchild, SIGKILL);
	kill(s.child, SIGKILL);
	waitpid(s.child, NULL, 0);
	assert_true(s.child_is && s.grandchild_is && s.self_seen && !s.self_is);
	assert_int_equal(s.others, 0);
	assert_true(below.grandchild_is && !below.child_is && !below.self_is);
	assert_int_equal(below.others, 0);
	assert_true(!none.child_is && !none.grandchild_is && none.self_seen && !none.self_is);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_descends_from_one_is_its_kin_and_nobody_else),
	};
	return cmocka_run_group_tests_name("sandbox: kin", tests, NULL, NULL);
}
