/* A function run in a child of which each system call is seen, and one may be its last or fail. For
 * the programs test_state_*.c; ptrace(2), PTRACE_GET_SYSCALL_INFO (Linux 5.3). */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define TRACE_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define TRACE_SANITIZED 1
#endif
#endif
#ifndef TRACE_SANITIZED
#define TRACE_SANITIZED 0
#endif

enum trace_do {
	TRACE_WATCH, /* nothing happens to it */
	TRACE_KILL,  /* the call is not made: SIGKILL in its place */
	TRACE_FAIL,  /* the call is not made and fails (of close(2): is made, and fails) */
	TRACE_LIE,   /* the call is not made and says 0 */
};

struct trace_call {
	pid_t pid; /* stopped behind the call */
	uint64_t number, args[6];
	int64_t result;
};

struct trace {
	enum trace_do what;
	long nth;  /* of the calls that count, from 0 */
	int error; /* TRACE_FAIL */
	/* Which calls count; NULL: all that can fail. */
	bool (*counts)(uint64_t number);
	/* Each call that was made, or NULL. */
	void (*on_call)(void *owner, const struct trace_call *c);
	void *owner;
	/* Out: */
	long calls; /* that counted */
	bool happened;
	uint64_t hit; /* the call's number */
	int status;   /* as of wait(2) */
};

/* trace_run(t, fn, arg): fn's result becomes the child's exit status; it never returns to the
 * caller's code. The child is waited for; should it hang it dies with the caller's alarm(2). 0, or
 * -1 where nothing can be traced (errno says why). */
int trace_run(struct trace *t, int (*fn)(void *arg), void *arg);

/* trace_can(): whether this machine and process can. */
bool trace_can(void);
