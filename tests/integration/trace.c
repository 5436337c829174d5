#include "trace.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef __x86_64__
/* <linux/ptrace.h> and <sys/ptrace.h> of Debian 12 can't be included together. */
typedef struct __ptrace_syscall_info trace_info;

/* No call is made: there is none of this number. */
static int trace_prevent(pid_t pid)
{
	return (int)ptrace(PTRACE_POKEUSER, pid, offsetof(struct user_regs_struct, orig_rax), -1L);
}

static int trace_answer(pid_t pid, long result)
{
	return (int)ptrace(PTRACE_POKEUSER, pid, offsetof(struct user_regs_struct, rax), result);
}
#endif

/* What has no result, or none that a kernel would give: a failing brk(2) is a heap that did not
 * grow and not an error, and what frees or asks is not refused. */
static bool trace_can_fail(uint64_t number)
{
	switch (number) {
	case SYS_exit:
	case SYS_exit_group:
	case SYS_rt_sigreturn:
	case SYS_rt_sigaction:
	case SYS_rt_sigprocmask:
	case SYS_brk:
	case SYS_munmap:
	case SYS_madvise:
	case SYS_futex:
	case SYS_gettid:
	case SYS_getpid:
	case SYS_getuid:
	case SYS_geteuid:
	case SYS_getgid:
	case SYS_getegid:
	case SYS_clock_gettime:
	case SYS_umask:
		return false;
#if TRACE_SANITIZED
	/* the sanitizer's own */
	case SYS_mmap:
	case SYS_mprotect:
		return false;
#endif
	default:
		return true;
	}
}

static void trace_child(int (*fn)(void *), void *arg)
{
	struct rlimit none;
	getrlimit(RLIMIT_CORE, &none);
	none.rlim_cur = 0;
	setrlimit(RLIMIT_CORE, &none);
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) || raise(SIGSTOP))
		_exit(77);
	int status = fn(arg);
	_exit(status);
}

#ifdef __x86_64__
/* At a call's entry: what is to be done at its end. */
static enum trace_do trace_enter(struct trace *t, pid_t pid, const trace_info *info)
{
	uint64_t number = info->entry.nr;
	if (!(t->counts ? t->counts(number) : trace_can_fail(number)))
		return TRACE_WATCH;
	if (t->calls++ != t->nth || t->what == TRACE_WATCH)
		return TRACE_WATCH;
	t->happened = true;
	t->hit = number;
	if (t->what == TRACE_KILL)
		kill(pid, SIGKILL);
	else if (t->what == TRACE_LIE || number != SYS_close)
		(void)trace_prevent(pid);
	return t->what;
}

static void trace_leave(struct trace *t, enum trace_do did, struct trace_call *c,
			const trace_info *info)
{
	c->result = info->exit.rval;
	if (did == TRACE_FAIL || did == TRACE_LIE)
		(void)trace_answer(c->pid, did == TRACE_FAIL ? -t->error : 0);
	else if (t->on_call)
		t->on_call(t->owner, c);
}

/* Until it is over. */
static int trace_follow(struct trace *t, pid_t pid)
{
	enum trace_do did = TRACE_WATCH;
	struct trace_call c = {.pid = pid};
	trace_info info;
	for (long signal = 0;; signal = 0) {
		if (ptrace(PTRACE_SYSCALL, pid, NULL, signal) && errno != ESRCH)
			return -1;
		while (waitpid(pid, &t->status, 0) < 0)
			if (errno != EINTR)
				return -1;
		if (!WIFSTOPPED(t->status))
			return 0;
		if (WSTOPSIG(t->status) != (SIGTRAP | 0x80)) {
			signal = WSTOPSIG(t->status);
			continue;
		}
		if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof(info), &info) < 0)
			continue;
		if (info.op == PTRACE_SYSCALL_INFO_ENTRY) {
			c.number = info.entry.nr;
			for (int i = 0; i < 6; i++)
				c.args[i] = info.entry.args[i];
			did = trace_enter(t, pid, &info);
		} else if (info.op == PTRACE_SYSCALL_INFO_EXIT) {
			trace_leave(t, did, &c, &info);
			did = TRACE_WATCH;
		}
	}
}

int trace_run(struct trace *t, int (*fn)(void *arg), void *arg)
{
	t->calls = 0;
	t->happened = false;
	fflush(NULL);
	pid_t pid = fork();
	if (!pid)
		trace_child(fn, arg);
	if (pid < 0 || waitpid(pid, &t->status, 0) != pid)
		return -1;
	if (!WIFSTOPPED(t->status)) {
		errno = EPERM;
		return -1;
	}
	if (!ptrace(PTRACE_SETOPTIONS, pid, NULL, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL) &&
	    !trace_follow(t, pid))
		return 0;
	int why = errno;
	kill(pid, SIGKILL);
	waitpid(pid, &t->status, 0);
	errno = why;
	return -1;
}
#else
int trace_run(struct trace *t, int (*fn)(void *arg), void *arg)
{
	(void)t;
	(void)fn;
	(void)arg;
	(void)trace_child;
	(void)trace_can_fail;
	errno = ENOSYS;
	return -1;
}
#endif

static int trace_nothing(void *arg)
{
	(void)arg;
	return 0;
}

bool trace_can(void)
{
	struct trace t = {.what = TRACE_WATCH};
	return !trace_run(&t, trace_nothing, NULL) && WIFEXITED(t.status) && !WEXITSTATUS(t.status);
}
