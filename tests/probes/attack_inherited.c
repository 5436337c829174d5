/* What the caller had when it started the engine, and left on purpose (dirty_main in host.c): none
 * of it may be here. */
#include "tests/probes/probe.h"

#include <grp.h>
#include <linux/ioprio.h>
#include <sched.h>
#include <signal.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>

static void env_clean(const struct probe *p)
{
	extern char **environ;
	(void)p;
	for (char **e = environ; *e; e++)
		if (!strncmp(*e, "PROBE_SECRET", 12))
			open_to("%s", *e);
	contained("the caller's variables are not here");
}

static void signals_clean(const struct probe *p)
{
	unsigned long long set = status_number(p->what, 16);
	if (set)
		open_to("%s %016llx", p->what, set);
	contained("%s: none", p->what);
}

static void sigchld_clean(const struct probe *p)
{
	(void)p;
	if (status_number("SigIgn", 16) >> (SIGCHLD - 1) & 1)
		open_to("SIGCHLD is ignored");
	contained("SIGCHLD is as it should");
}

static void umask_clean(const struct probe *p)
{
	mode_t mask = umask(0);
	(void)p;
	if ((mask & 022) != 022)
		open_to("%03o", mask);
	contained("%03o", mask);
}

static void nice_clean(const struct probe *p)
{
	errno = 0;
	int nice = getpriority(PRIO_PROCESS, 0);
	(void)p;
	if (nice)
		open_to("the caller's %d", nice);
	contained("%d", nice);
}

static void scheduler_clean(const struct probe *p)
{
	int policy = sched_getscheduler(0);
	(void)p;
	if (policy == SCHED_BATCH)
		open_to("the caller's SCHED_BATCH");
	contained("policy %d", policy);
}

static void ioprio_clean(const struct probe *p)
{
	long value = syscall(SYS_ioprio_get, 1 /* IOPRIO_WHO_PROCESS */, 0);
	(void)p;
	if (value == IOPRIO_PRIO_VALUE(IOPRIO_CLASS_BE, 7))
		open_to("the caller's: best effort 7");
	contained("%ld", value);
}

static void personality_clean(const struct probe *p)
{
	int now = personality(0xffffffff);
	(void)p;
	if (now & ADDR_NO_RANDOMIZE)
		open_to("the caller's: addresses are not random");
	contained("%x", (unsigned)now);
}

static void groups_clean(const struct probe *p)
{
	gid_t groups[64];
	int n = getgroups(64, groups);
	(void)p;
	for (int i = 0; i < n; i++)
		if (groups[i] != getegid())
			open_to("group %u", groups[i]);
	contained("none");
}

static void rlimit_clean(const struct probe *p)
{
	struct rlimit l;
	getrlimit((__rlimit_resource_t)p->a, &l);
	if (l.rlim_cur == (rlim_t)p->b)
		open_to("the caller's %ld", p->b);
	contained("%lld", (long long)l.rlim_cur);
}

static void slack_clean(const struct probe *p)
{
	int slack = prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0);
	(void)p;
	if (slack == 777777)
		open_to("the caller's: timers are late by %d ns", slack);
	contained("%d ns", slack);
}

static void thp_clean(const struct probe *p)
{
	(void)p;
	if (prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0) == 1)
		open_to("the caller's: no huge pages");
	contained("huge pages as the kernel likes");
}

static void cwd_clean(const struct probe *p)
{
	char cwd[4096];
	(void)p;
	if (syscall(SYS_getcwd, cwd, sizeof(cwd)) > 0 && strstr(cwd, fact("place")))
		open_to("the caller's: %s", cwd);
	contained("%s", cwd);
}

/* What was given to be read is opened for writing, and the other way about. Who shares a pipe with
 * the caller reads what is written there: a shell its script. The runner gives pipes, or files. */
static void stdio_reopened(const struct probe *p)
{
	char path[64];
	struct stat st;
	if (fstat((int)p->a, &st))
		contained("it is closed");
	if (S_ISFIFO(st.st_mode) != !p->c || S_ISREG(st.st_mode) != !!p->c)
		contained("it is not what the caller had: mode %o", st.st_mode);
	snprintf(path, sizeof(path), "/proc/self/fd/%ld", p->a);
	int fd = open(path, (int)p->b | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		contained("%s", error_name(errno));
	if (S_ISFIFO(st.st_mode) && st.st_ino != fact_number(p->a ? "stdout" : "stdin"))
		contained("a pipe of the box's own");
	open_to("%s opens", path);
}

/* clang-format off */
const struct probe attack_inherited[] = {
	{"env_clean", PROBE_ATTACK, "inherited", env_clean, 0, 0, 0, NULL},
	{"sigign_clean", PROBE_ATTACK, "inherited; bwrap 0.11.1", signals_clean, 0, 0, 0, "SigIgn"},
	{"sigmask_clean", PROBE_ATTACK, "inherited", signals_clean, 0, 0, 0, "SigBlk"},
	{"sigchld_clean", PROBE_ATTACK, "inherited; bwrap 0.11.1", sigchld_clean, 0, 0, 0, NULL},
	{"umask_clean", PROBE_ATTACK, "inherited", umask_clean, 0, 0, 0, NULL},
	{"nice_clean", PROBE_ATTACK, "inherited", nice_clean, 0, 0, 0, NULL},
	{"scheduler_clean", PROBE_ATTACK, "inherited", scheduler_clean, 0, 0, 0, NULL},
	{"ioprio_clean", PROBE_ATTACK, "inherited", ioprio_clean, 0, 0, 0, NULL},
	{"personality_clean", PROBE_ATTACK, "inherited", personality_clean, 0, 0, 0, NULL},
	{"groups_clean", PROBE_ATTACK, "inherited", groups_clean, 0, 0, 0, NULL},
	{"rlimit_stack_clean", PROBE_ATTACK, "inherited", rlimit_clean, RLIMIT_STACK, 3 << 20, 0, NULL},
	{"rlimit_data_clean", PROBE_ATTACK, "inherited", rlimit_clean, RLIMIT_DATA, 1l << 50, 0, NULL},
	{"rlimit_cpu_clean", PROBE_ATTACK, "inherited", rlimit_clean, RLIMIT_CPU, 77777, 0, NULL},
	{"rlimit_signals_clean", PROBE_ATTACK, "inherited", rlimit_clean, RLIMIT_SIGPENDING, 777, 0, NULL},
	{"rlimit_files_clean", PROBE_ATTACK, "inherited", rlimit_clean, RLIMIT_NOFILE, 777, 0, NULL},
	{"timer_slack_clean", PROBE_ATTACK, "inherited", slack_clean, 0, 0, 0, NULL},
	{"huge_pages_clean", PROBE_ATTACK, "inherited", thp_clean, 0, 0, 0, NULL},
	{"cwd_clean", PROBE_ATTACK, "inherited", cwd_clean, 0, 0, 0, NULL},
	{"stdin_write", PROBE_ATTACK, "inherited", stdio_reopened, 0, O_WRONLY, 0, NULL},
	{"stdout_read", PROBE_ATTACK, "inherited", stdio_reopened, 1, O_RDONLY, 0, NULL},
	{"stdin_file_write", PROBE_ATTACK, "inherited", stdio_reopened, 0, O_WRONLY, 1, NULL},
	{"stdout_file_read", PROBE_ATTACK, "inherited", stdio_reopened, 1, O_RDONLY, 1, NULL},
	{NULL, 0, NULL, NULL, 0, 0, 0, NULL},
};
