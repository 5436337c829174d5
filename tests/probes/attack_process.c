/* Other processes: the box's pid 1, the host's, and those of other boxes. */
#include "tests/probes/probe.h"

#include <dirent.h>
#include <linux/ioprio.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>

/* Who supervises the job. Where the job itself is pid 1 (OCI runtimes) nobody does in the box, and
 * there is nothing to reach. */
static void supervised(void)
{
	char one[PATH_MAX], self[PATH_MAX];
	if (getppid() == 1) {
		ssize_t a = readlink("/proc/1/exe", one, sizeof(one)),
			b = readlink("/proc/self/exe", self, sizeof(self));
		if (a > 0 && a == b && !memcmp(one, self, (size_t)a))
			contained("pid 1 is the job itself");
	}
	if (access("/proc/1", F_OK))
		contained("no pid 1 is seen");
}

static void pid1_read(const struct probe *p)
{
	char path[64], text[4096];
	supervised();
	snprintf(path, sizeof(path), "/proc/1/%s", p->what);
	ssize_t n = file_get(path, text, sizeof(text));
	if (n > 0)
		open_to("%zd bytes of %s", n, path);
	contained("%s", n ? error_name(errno) : "it is empty");
}

static void pid1_link(const struct probe *p)
{
	char path[64], link[PATH_MAX];
	supervised();
	snprintf(path, sizeof(path), "/proc/1/%s", p->what);
	ssize_t n = readlink(path, link, sizeof(link) - 1);
	if (n < 0)
		contained("%s", error_name(errno));
	open_to("%s is %.*s", path, (int)n, link);
}

static void pid1_list(const struct probe *p)
{
	char path[64];
	supervised();
	snprintf(path, sizeof(path), "/proc/1/%s", p->what);
	DIR *d = opendir(path);
	if (!d)
		contained("%s", error_name(errno));
	for (struct dirent *e; (e = readdir(d));)
		if (e->d_name[0] != '.')
			open_to("%s/%s", path, e->d_name);
	contained("it is empty");
}

static void pid1_open(const struct probe *p)
{
	char path[64];
	supervised();
	snprintf(path, sizeof(path), "/proc/1/%s", p->what);
	int fd = open(path, (int)p->a | O_CLOEXEC);
	if (fd < 0 && errno != ETXTBSY)
		contained("%s", error_name(errno));
	open_to("%s: %s", path, fd < 0 ? "may be written when it does not run" : "opens");
}

/* Every program that runs here and is not this one: what CVE-2019-5736 wrote to. */
static void exe_foreign(const struct probe *p)
{
	char path[64];
	struct stat mine, other;
	(void)p;
	stat("/proc/self/exe", &mine);
	DIR *d = opendir("/proc");
	if (!d)
		contained("no /proc: %s", error_name(errno));
	for (struct dirent *e; (e = readdir(d));) {
		if (e->d_name[0] < '0' || e->d_name[0] > '9')
			continue;
		snprintf(path, sizeof(path), "/proc/%.20s/exe", e->d_name);
		if (!stat(path, &other) && other.st_dev == mine.st_dev &&
		    other.st_ino == mine.st_ino)
			continue;
		int fd = open(path, O_WRONLY | O_CLOEXEC);
		if (fd >= 0 || errno == ETXTBSY)
			open_to("%s: %s", path, fd < 0 ? "ETXTBSY" : "opens for writing");
	}
	contained("none opens for writing");
}

static void pid1_ptrace(const struct probe *p)
{
	supervised();
	if (is_bare() && !geteuid())
		open_to("root, with no namespace of its own: not tried");
	long rc = ptrace((enum __ptrace_request)p->a, 1, NULL, NULL);
	if (rc)
		refused(rc, p->name);
	if (p->a == PTRACE_ATTACH)
		waitpid(1, NULL, __WALL);
	ptrace(PTRACE_DETACH, 1, NULL, NULL);
	open_to("pid 1 is traced, and could be stopped for good");
}

static void pid1_readv(const struct probe *p)
{
	static char here[8];
	struct iovec local = {here, sizeof(here)}, remote = {(void *)0x400000, sizeof(here)};
	(void)p;
	supervised();
	/* EFAULT: it may, there just is nothing */
	refused(process_vm_readv(1, &local, 1, &remote, 1, 0), "process_vm_readv");
}

static void pid1_kill(const struct probe *p)
{
	char text[256];
	supervised();
	if (is_bare()) {
		if (kill(1, 0))
			contained("%s", error_name(errno));
		open_to("the host's own: not tried");
	}
	kill(1, (int)p->a);
	/* it would have ended by then, or be stopped */
	nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
	if (kill(1, 0) && errno == ESRCH)
		open_to("pid 1 is gone");
	if (file_get("/proc/1/stat", text, sizeof(text)) > 0) {
		char *state = strrchr(text, ')');
		if (state && strchr("TtZX", state[2]))
			open_to("pid 1 is in state %c", state[2]);
	}
	contained("pid 1 goes on");
}

/* The kernel sends what F_SETSIG names to whom F_SETOWN names. */
static void pid1_sigio(const struct probe *p)
{
	int pair[2];
	(void)p;
	supervised();
	if (is_bare())
		open_to("the host's own: not tried");
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) || fcntl(pair[0], F_SETOWN, 1) ||
	    fcntl(pair[0], F_SETSIG, SIGKILL) || fcntl(pair[0], F_SETFL, O_ASYNC) ||
	    write(pair[1], "x", 1) != 1)
		contained("%s", error_name(errno));
	nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
	if (kill(1, 0) && errno == ESRCH)
		open_to("pid 1 is gone");
	contained("pid 1 goes on");
}

/* A child that pid 1 inherits, and that asks for SIGKILL to its parent when it ends (clone(2)). */
static void pid1_exit_signal(const struct probe *p)
{
	(void)p;
	supervised();
	if (is_bare())
		open_to("the host's own: not tried");
	if (!fork()) {
		if (!fork()) {
			while (getppid() != 1 && getppid() == getpgrp())
				nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
			long pid = syscall(SYS_clone, 0x8000ul /* CLONE_PARENT */ | SIGKILL, NULL,
					   NULL, NULL, NULL);
			_exit(pid < 0);
		}
		nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
		_exit(0);
	}
	nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
	if (kill(1, 0) && errno == ESRCH)
		open_to("pid 1 is gone");
	contained("pid 1 goes on");
}

/* Who looks into a box from outside must not be somebody in it: for a second, with work to look at.
 */
static void visitors(const struct probe *p)
{
	char path[64], text[512];
	int parent;
	(void)p;
	for (int i = 0; i < 200; i++) {
		DIR *d = opendir("/proc");
		for (struct dirent *e; d && (e = readdir(d));) {
			snprintf(path, sizeof(path), "/proc/%.20s/stat", e->d_name);
			if (e->d_name[0] < '1' || e->d_name[0] > '9' || !strcmp(e->d_name, "1") ||
			    file_get(path, text, sizeof(text)) <= 0)
				continue;
			char *at = strrchr(text, ')');
			if (at && sscanf(at + 2, "%*c %d", &parent) == 1 && !parent)
				open_to("process %s has its parent outside", e->d_name);
		}
		if (d)
			closedir(d);
		nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
	}
	if (is_bare())
		open_to("the host's tree of processes");
	contained("nobody was seen for a second");
}

static void pid1_prlimit(const struct probe *p)
{
	struct rlimit l = {0, 0};
	supervised();
	if (prlimit(1, (enum __rlimit_resource)p->a, NULL, &l))
		contained("%s", error_name(errno));
	if (is_bare())
		open_to("the host's own: read, not written");
	refused(prlimit(1, (enum __rlimit_resource)p->a, &l, NULL), "prlimit");
}

static void pid1_schedule(const struct probe *p)
{
	cpu_set_t set;
	struct sched_param none = {0};
	supervised();
	if (is_bare())
		open_to("the host's own: not tried");
	switch (p->a) {
	case 0:
		refused(setpriority(PRIO_PROCESS, 1, 19), "setpriority");
	case 1:
		refused(sched_setscheduler(1, SCHED_IDLE, &none), "SCHED_IDLE");
	case 2:
		CPU_ZERO(&set);
		CPU_SET(0, &set);
		refused(sched_setaffinity(1, sizeof(set), &set), "sched_setaffinity");
	case 3:
		refused(syscall(SYS_ioprio_set, 1 /* IOPRIO_WHO_PROCESS */, 1,
				IOPRIO_PRIO_VALUE(IOPRIO_CLASS_IDLE, 0)),
			"ioprio_set");
	case 4:
		refused(setpriority(PRIO_USER, geteuid(), 19) ? -1
			: getpriority(PRIO_PROCESS, 1) == 19  ? 0
							      : -1,
			"setpriority for the user");
	case 5:
		refused(setpriority(PRIO_PGRP, (id_t)getpgid(1), 19), "setpriority for its group");
	}
	contained("nothing");
}

static void pid1_oom(const struct probe *p)
{
	(void)p;
	supervised();
	int fd = open("/proc/1/oom_score_adj", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		contained("%s", error_name(errno));
	if (is_bare())
		open_to("the host's own: open for writing, not written");
	if (write(fd, "1000", 4) < 0)
		contained("%s", error_name(errno));
	open_to("the kernel will end pid 1 first");
}

static void host_seen(const struct probe *p)
{
	const char *name = fact("comm");
	char path[64], text[64];
	(void)p;
	DIR *d = opendir("/proc");
	if (!d)
		contained("no /proc: %s", error_name(errno));
	for (struct dirent *e; (e = readdir(d));) {
		snprintf(path, sizeof(path), "/proc/%.20s/comm", e->d_name);
		if (e->d_name[0] > '0' && e->d_name[0] <= '9' &&
		    file_get(path, text, sizeof(text)) > 0 && !strncmp(text, name, strlen(name)))
			open_to("%s is a process of the host", e->d_name);
	}
	contained("no process of the host");
}

/* By the number it has there: here it is nobody's, or one of ours. */
static bool is_host_process(pid_t pid)
{
	char path[64], text[64];
	const char *name = fact("comm");
	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	return file_get(path, text, sizeof(text)) > 0 && !strncmp(text, name, strlen(name));
}

static void host_signal(const struct probe *p)
{
	pid_t pid = (pid_t)fact_number("pid");
	(void)p;
	if (kill(pid, 0))
		contained("%s", error_name(errno));
	if (is_host_process(pid))
		open_to("a process of the host takes signals");
	contained("that number is one of the box's own");
}

static void host_ptrace(const struct probe *p)
{
	pid_t pid = (pid_t)fact_number("pid");
	(void)p;
	if (kill(pid, 0) && errno == ESRCH)
		contained("ESRCH");
	if (!is_host_process(pid))
		contained("that number is one of the box's own");
	if (ptrace(PTRACE_SEIZE, pid, NULL, NULL))
		contained("%s", error_name(errno));
	ptrace(PTRACE_DETACH, pid, NULL, NULL);
	open_to("a process of the host is traced");
}

static void host_memory(const struct probe *p)
{
	char path[64];
	pid_t pid = (pid_t)fact_number("pid");
	(void)p;
	if (!is_host_process(pid))
		contained("no process of the host has that number");
	snprintf(path, sizeof(path), "/proc/%d/mem", (int)pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0)
		open_to("the memory of a process of the host");
	contained("%s", error_name(errno));
}

static void host_pidfd(const struct probe *p)
{
	pid_t pid = (pid_t)fact_number("pid");
	(void)p;
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (fd < 0)
		contained("%s", error_name(errno));
	if (is_host_process(pid))
		open_to("a pidfd of a process of the host");
	contained("that number is one of the box's own");
}

static void on_usr(int signal)
{
	(void)signal;
}

/* To all: who is in the box only. */
static void kill_all(const struct probe *p)
{
	(void)p;
	if (is_bare()) {
		if (kill(-1, 0))
			contained("%s", error_name(errno));
		open_to("all processes of the host: not tried");
	}
	signal(SIGURG, on_usr);
	kill(-1, SIGURG /* ignored by who does not wait for it */);
	contained("a namespace of pids of its own");
}

static void session(const struct probe *p)
{
	(void)p;
	pid_t sid = getsid(0), pgrp = getpgid(getppid());
	if (!sid || !pgrp)
		open_to("the session or the group is of somebody outside");
	if (is_bare())
		open_to("the host's session %d", (int)sid);
	contained("session %d, group %d", (int)sid, (int)pgrp);
}

/* The parent death signal of who supervises can't be sent from here: nobody outside is our parent.
 */
static void parent_outside(const struct probe *p)
{
	char text[4096];
	(void)p;
	if (file_get("/proc/self/stat", text, sizeof(text)) < 0)
		contained("%s", error_name(errno));
	for (pid_t pid = getppid(); pid > 1;) {
		char path[64];
		int parent;
		snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
		if (file_get(path, text, sizeof(text)) < 0)
			open_to("the parent %d is not to be seen", (int)pid);
		char *at = strrchr(text, ')');
		if (!at || sscanf(at + 2, "%*c %d", &parent) != 1)
			break;
		if (is_host_process(pid))
			open_to("the parent %d is a process of the host", (int)pid);
		pid = parent;
	}
	if (is_bare())
		open_to("the host's tree of processes");
	contained("the tree of processes ends in the box");
}

#define READ1(file)                                                                                \
	{                                                                                          \
		"pid1_" file, PROBE_ATTACK, "pid 1", pid1_read, 0, 0, 0, file                      \
	}
#define KILL1(name, number)                                                                        \
	{                                                                                          \
		"pid1_kill_" name, PROBE_ATTACK, "pid 1", pid1_kill, number, 0, 0, NULL            \
	}

/* clang-format off */
const struct probe attack_process[] = {
	{"pid1_exe", PROBE_ATTACK, "pid 1; CVE-2019-5736", pid1_link, 0, 0, 0, "exe"},
	{"pid1_exe_read", PROBE_ATTACK, "pid 1; CVE-2019-5736", pid1_open, O_RDONLY, 0, 0, "exe"},
	{"pid1_exe_write", PROBE_ATTACK, "pid 1; CVE-2019-5736", pid1_open, O_WRONLY, 0, 0, "exe"},
	{"pid1_exe_foreign", PROBE_ATTACK, "pid 1; CVE-2019-5736", exe_foreign, 0, 0, 0, NULL},
	{"pid1_mem", PROBE_ATTACK, "pid 1", pid1_open, O_RDWR, 0, 0, "mem"},
	{"pid1_root", PROBE_ATTACK, "pid 1", pid1_open, O_PATH | O_DIRECTORY, 0, 0, "root"},
	{"pid1_cwd", PROBE_ATTACK, "pid 1", pid1_link, 0, 0, 0, "cwd"},
	{"pid1_ns", PROBE_ATTACK, "pid 1", pid1_link, 0, 0, 0, "ns/mnt"},
	{"pid1_fd", PROBE_ATTACK, "pid 1; CVE-2024-21626", pid1_list, 0, 0, 0, "fd"},
	{"pid1_map_files", PROBE_ATTACK, "pid 1", pid1_list, 0, 0, 0, "map_files"},
	READ1("environ"), READ1("maps"), READ1("auxv"), READ1("stack"), READ1("syscall"), READ1("io"), READ1("personality"), READ1("pagemap"),
	{"pid1_ptrace", PROBE_ATTACK, "pid 1", pid1_ptrace, PTRACE_ATTACH, 0, 0, NULL},
	{"pid1_seize", PROBE_ATTACK, "pid 1", pid1_ptrace, PTRACE_SEIZE, 0, 0, NULL},
	{"pid1_readv", PROBE_ATTACK, "pid 1", pid1_readv, 0, 0, 0, NULL},
	KILL1("kill", SIGKILL), KILL1("term", SIGTERM), KILL1("stop", SIGSTOP), KILL1("segv", SIGSEGV), KILL1("chld", SIGCHLD), KILL1("rt", 63),
	{"pid1_sigio", PROBE_ATTACK, "pid 1", pid1_sigio, 0, 0, 0, NULL},
	{"pid1_exit_signal", PROBE_ATTACK, "pid 1", pid1_exit_signal, 0, 0, 0, NULL},
	{"visitors", PROBE_ATTACK, "pid 1; CVE-2019-5736", visitors, 0, 0, 0, NULL},
	{"pid1_prlimit_cpu", PROBE_ATTACK, "pid 1", pid1_prlimit, RLIMIT_CPU, 0, 0, NULL},
	{"pid1_prlimit_files", PROBE_ATTACK, "pid 1", pid1_prlimit, RLIMIT_NOFILE, 0, 0, NULL},
	{"pid1_nice", PROBE_ATTACK, "pid 1", pid1_schedule, 0, 0, 0, NULL},
	{"pid1_sched", PROBE_ATTACK, "pid 1", pid1_schedule, 1, 0, 0, NULL},
	{"pid1_affinity", PROBE_ATTACK, "pid 1", pid1_schedule, 2, 0, 0, NULL},
	{"pid1_ioprio", PROBE_ATTACK, "pid 1", pid1_schedule, 3, 0, 0, NULL},
	{"pid1_nice_group", PROBE_ATTACK, "pid 1", pid1_schedule, 5, 0, 0, NULL},
	{"pid1_oom", PROBE_ATTACK, "pid 1", pid1_oom, 0, 0, 0, NULL},
	{"host_pid_seen", PROBE_ATTACK, "namespaces", host_seen, 0, 0, 0, NULL},
	{"host_signal", PROBE_ATTACK, "namespaces", host_signal, 0, 0, 0, NULL},
	{"host_ptrace", PROBE_ATTACK, "namespaces", host_ptrace, 0, 0, 0, NULL},
	{"host_memory", PROBE_ATTACK, "namespaces", host_memory, 0, 0, 0, NULL},
	{"host_pidfd", PROBE_ATTACK, "namespaces", host_pidfd, 0, 0, 0, NULL},
	{"kill_all", PROBE_ATTACK, "namespaces", kill_all, 0, 0, 0, NULL},
	{"session", PROBE_ATTACK, "inherited", session, 0, 0, 0, NULL},
	{"parent_outside", PROBE_ATTACK, "inherited", parent_outside, 0, 0, 0, NULL},
	/* the last: it slows down all that come after */
	{"pid1_nice_user", PROBE_ATTACK, "pid 1", pid1_schedule, 4, 0, 0, NULL},
	{NULL, 0, NULL, NULL, 0, 0, 0, NULL},
};
