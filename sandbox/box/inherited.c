#include "sandbox/box/inherited.h"

#include <linux/ioprio.h>
#include <linux/keyctl.h>
#include <linux/mempolicy.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TIMER_SLACK_NS 50000ul /* prctl(2): what the first process has */
#ifndef PR_SET_MEMORY_MERGE
#define PR_SET_MEMORY_MERGE 67 /* Linux 6.4 */
#endif

/* Also the two that libc keeps for itself and its sigaction refuses: posix_spawn hands them down
 * ignored. KILL and STOP refuse. */
void inherited_signals(void)
{
	struct {
		void (*handler)(int);
		unsigned long flags;
		void (*restorer)(void);
		uint64_t mask;
	} standard = {.handler = SIG_DFL};
	sigset_t none;
	for (int i = 1; i <= 64; i++)
		syscall(SYS_rt_sigaction, i, &standard, NULL, sizeof(standard.mask));
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGINT, SIG_IGN); /* of the caller's terminal: the caller decides */
}

/* Up to the hard ones; the command's own are set when it starts. */
static void inherited_limits(void)
{
	struct rlimit l;
	for (int i = 0; i < RLIM_NLIMITS; i++)
		if (!getrlimit((__rlimit_resource_t)i, &l) && l.rlim_cur != l.rlim_max) {
			l.rlim_cur = l.rlim_max;
			setrlimit((__rlimit_resource_t)i, &l);
		}
}

static void inherited_turn(void)
{
	static const struct sched_param none = {.sched_priority = 0};
	sched_setscheduler(0, SCHED_OTHER, &none);
	setpriority(PRIO_PROCESS, 0, 0);
	syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, 0);
}

static void inherited_memory(void)
{
	syscall(SYS_set_mempolicy, MPOL_DEFAULT, NULL, 0);
	prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0);
	prctl(PR_MCE_KILL, PR_MCE_KILL_CLEAR, 0, 0, 0);
	prctl(PR_SET_MEMORY_MERGE, 0, 0, 0, 0);
}

void inherited_drop(void)
{
	inherited_signals();
	inherited_limits();
	inherited_turn();
	inherited_memory();
	umask(022);
	personality(PER_LINUX);
	prctl(PR_SET_TIMERSLACK, TIMER_SLACK_NS, 0, 0, 0);
	/* An empty one: no key of the caller's session is found by what the kernel looks up for a
	 * box (keyrings(7)). Where keys are not to be had there are none. */
	syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL);
}
