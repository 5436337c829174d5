/* What the tests of the filter share: it is put on a child that then makes the calls; what it got
 * comes back through a pipe. */
#pragma once
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "base/own.h"
#include "sandbox/filter.h"
#include "sandbox/filter_table.h"
#include "sandbox/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>

#define HIGH (1l << 32)

static inline void put_on(const struct filter *f)
{
	struct sock_fprog prog = {.len = f->n, .filter = f->code};
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog))
		_exit(99);
}

/* The wait status of a child that runs fn, under the filter if there is one, and ends with what it
 * returns. */
static inline int run(const struct filter *f, int (*fn)(void *arg), void *arg)
{
	int status;
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		setpgid(0, 0); /* what is asked for its group is for it alone */
		if (f)
			put_on(f);
		_exit(fn(arg));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

struct call {
	const char *what;
	long number;
	long args[6];
	int error; /* expected; 0: what the kernel answers without a filter */
};

#define MAX_CALLS 64

struct answers {
	const struct call *calls;
	size_t n;
	int out;
};

static inline int make_calls(void *arg)
{
	const struct answers *a = arg;
	int errors[MAX_CALLS];
	for (size_t i = 0; i < a->n; i++) {
		const long *x = a->calls[i].args;
		errno = 0;
		errors[i] = syscall(a->calls[i].number, x[0], x[1], x[2], x[3], x[4], x[5]) == -1
				    ? errno
				    : 0;
	}
	return write(a->out, errors, sizeof(errors)) == sizeof(errors) ? 0 : 98;
}

static inline void get_answers(const struct filter *f, const struct call *calls, size_t n,
			       int *errors)
{
	int ends[2];
	struct answers a = {calls, n, -1};
	assert_return_code(pipe2(ends, O_CLOEXEC), errno);
	a.out = ends[1];
	assert_int_equal(run(f, make_calls, &a), 0);
	assert_int_equal(read(ends[0], errors, MAX_CALLS * sizeof(*errors)),
			 MAX_CALLS * sizeof(*errors));
	close(ends[0]);
	close(ends[1]);
}

static inline void check_calls_with(const struct filter *f, const struct call *calls, size_t n)
{
	int errors[MAX_CALLS], plain[MAX_CALLS], wrong = 0;
	struct call harmless[MAX_CALLS];
	assert_true(n <= MAX_CALLS);
	for (size_t i = 0; i < n; i++)
		harmless[i] =
			calls[i].error ? (struct call){"getpid", SYS_getpid, {0}, 0} : calls[i];
	get_answers(NULL, harmless, n, plain);
	get_answers(f, calls, n, errors);
	for (size_t i = 0; i < n; i++) {
		int expected = calls[i].error ? calls[i].error : plain[i];
		if (errors[i] != expected)
			print_error("%s: error %d, expected %d\n", calls[i].what, errors[i],
				    expected);
		wrong += errors[i] != expected;
	}
	assert_int_equal(wrong, 0);
}

/* clang-format off */
#define CALL(error, name, ...) {#name " " #__VA_ARGS__, SYS_##name, {__VA_ARGS__}, error}
/* clang-format on */
