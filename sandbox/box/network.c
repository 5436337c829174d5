#include "sandbox/box/network.h"

#include "sandbox/box/device.h"
#include "sandbox/box/fence.h"
#include "sandbox/box/mnt.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/nsfs.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define REPORT_UP "+"

static const char *const pasta_paths[] = PLAN_PASTA;

/* No port of this machine leads in, none of the box's out by itself; no address of the box's
 * network means this machine. Names are asked for at PLAN_NAMESERVER, and pasta asks who this
 * machine asks, also where that is a resolver on its own loopback. */
static const char *const pasta_argv[] = {
	"pasta",
	"--quiet",
	"--config-net",
	"--no-map-gw",
	"-t",
	"none",
	"-u",
	"none",
	"-T",
	"none",
	"-U",
	"none",
	"--dns-forward",
	PLAN_NAMESERVER,
	"--netns-only",
	"--no-netns-quit",
	"--netns",
	"/proc/self/fd/0",
	NULL,
};

#define PASTA_MS 20000         /* to be ready in; it takes some ten */
#define NOISE "Failed to send" /* of a pasta that finds no syslog, on each of its lines */

static void report(int fd, const char *text)
{
	if (write(fd, text, strlen(text)) < 0)
		_exit(1); /* nobody listens any more */
}

static void give_up(int fd, const struct err *e) __attribute__((noreturn));
static void give_up(int fd, const struct err *e)
{
	report(fd, e->text);
	_exit(1);
}

/* Root of the box's user namespace, which is nobody on this machine where root started us. */
static int keeper_become(int userns_fd, const struct ids *ids, struct err *e)
{
	if (setns(userns_fd, CLONE_NEWUSER))
		return err_sys(e, "enter the box's user namespace");
	if (ids->above && (setgroups(0, NULL) || setresgid(0, 0, 0) || setresuid(0, 0, 0)))
		return err_sys(e, "become the box's root");
	return 0;
}

/* In a mount namespace of its own, where /dev/net/tun is one that pasta may open. */
static int keeper_device(int devices_fd, struct err *e)
{
	if (devices_fd < 0)
		return 0;
	if (unshare(CLONE_NEWNS))
		return err_sys(e, "new mount namespace");
	return mnt_put(devices_fd, AT_FDCWD, "/dev/net", e);
}

/* The box's one id may look like any other than root's; then capabilities outlive an execution only
 * where they are ambient (capabilities(7)). */
static int keeper_capabilities(struct err *e)
{
	static const unsigned needed[] = {CAP_SYS_ADMIN, CAP_NET_ADMIN};
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];
	if (!geteuid())
		return 0;
	if (syscall(SYS_capget, &header, data))
		return err_sys(e, "capabilities for pasta");
	for (size_t i = 0; i < countof(needed); i++)
		data[needed[i] / 32].inheritable |= 1u << needed[i] % 32;
	if (syscall(SYS_capset, &header, data))
		return err_sys(e, "capabilities for pasta");
	for (size_t i = 0; i < countof(needed); i++)
		if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, needed[i], 0, 0))
			return err_sys(e, "capabilities for pasta");
	return 0;
}

/* In a child, because it enters the box's network for good. */
static int keeper_fence(int netns_fd, int report_fd, struct err *e)
{
	struct fence f;
	int status = 1;
	if (fence_look(&f, e))
		return -1;
	pid_t pid = fork();
	if (!pid) {
		struct err own = ERR_INIT;
		if (setns(netns_fd, CLONE_NEWNET))
			err_sys(&own, "enter the box's network namespace");
		else if (!fence_raise(&f, &own))
			_exit(0);
		give_up(report_fd, &own);
	}
	fence_fini(&f);
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (pid < 0)
		return err_sys(e, "fork");
	if (status)
		_exit(1); /* it has told why */
	return 0;
}

static void pasta_run(int netns_fd, int error_fd) __attribute__((noreturn));
static void pasta_run(int netns_fd, int error_fd)
{
	char *env[] = {NULL};
	sigset_t none;
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	signal(SIGINT, SIG_DFL);
	signal(SIGTERM, SIG_DFL);
	/* Younger versions close what is above these three before they look at their arguments. */
	if (dup2(error_fd, 2) == 2 && dup2(null, 1) == 1 && dup2(netns_fd, 0) == 0 &&
	    !close_range(3, ~0u, 0))
		for (size_t i = 0; i < countof(pasta_paths); i++)
			execve(pasta_paths[i], (char *const *)(uintptr_t)pasta_argv, env);
	dprintf(2, "start pasta: %s", strerror(errno));
	_exit(127);
}

/* What it said before it gave up: the last line. */
static void pasta_complaint(int fd, struct err *e)
{
	char text[4096], *rest = text;
	const char *said = "not ready in time";
	ssize_t n = read(fd, text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = 0;
	for (char *line; (line = strsep(&rest, "\n"));)
		if (*line && strncmp(line, NOISE, strlen(NOISE)) != 0)
			said = line;
	err_set(e, ERR_BOX, "network nat: pasta: %.300s", said);
}

/* Its first process ends when it is ready. 0, or how it ended. */
static int pasta_await(pid_t pid)
{
	int status = 1;
	auto_fd int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd p = {.fd = pidfd, .events = POLLIN};
	if (pidfd < 0 || poll(&p, 1, PASTA_MS) != 1)
		kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

/* First process of pasta's pid namespace. pasta goes into the background when it is ready. */
static void first_run(int netns_fd, int report_fd) __attribute__((noreturn));
static void first_run(int netns_fd, int report_fd)
{
	struct err e = ERR_INIT;
	int error[2];
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) || pipe2(error, O_CLOEXEC | O_NONBLOCK))
		_exit(1);
	pid_t pid = fork();
	if (!pid)
		pasta_run(netns_fd, error[1]);
	close(error[1]);
	close(netns_fd);
	if (pid < 0 || pasta_await(pid)) {
		pasta_complaint(error[0], &e);
		give_up(report_fd, &e);
	}
	close(error[0]);
	report(report_fd, REPORT_UP);
	while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
		;
	_exit(0);
}

#define KEEPER_LOST 3 /* exit status: pasta had ended before it was to */
#define EXITING 0x4u  /* of proc_pid_stat(5)'s flags: PF_EXITING */

/* Has pid, whose child is pasta, none that lives? It may not have come to notice. false: it is not
 * known (proc_pid_task(5): not every kernel tells children). */
static bool first_is_alone(pid_t pid)
{
	char path[64], line[512];
	int child, n = 0;
	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid, (int)pid);
	auto_file FILE *children = fopen(path, "re");
	if (!children)
		return false;
	while (fscanf(children, "%d", &child) == 1) {
		unsigned flags = 0;
		snprintf(path, sizeof(path), "/proc/%d/stat", child);
		auto_file FILE *stat = fopen(path, "re");
		const char *rest =
			stat && fgets(line, sizeof(line), stat) ? strrchr(line, ')') : NULL;
		n += rest && sscanf(rest, ") %*c %*d %*d %*d %*d %*d %u", &flags) == 1 &&
		     !(flags & EXITING);
	}
	return !n;
}

/* What the keeper has: nothing else of the helper's stays open. */
struct keeper {
	int netns_fd, userns_fd, devices_fd, report_fd; /* devices_fd: or -1 */
};

static int by_number(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

static void keeper_close_others(const struct keeper *k)
{
	int mine[] = {2, k->netns_fd, k->userns_fd, k->devices_fd, k->report_fd};
	qsort(mine, countof(mine), sizeof(mine[0]), by_number);
	for (size_t i = 0; i < countof(mine); i++) {
		unsigned first = (unsigned)(mine[i] + 1);
		unsigned last = i + 1 < countof(mine) ? (unsigned)mine[i + 1] - 1 : ~0u;
		if (mine[i] >= 2 && first <= last && close_range(first, last, 0))
			_exit(1);
	}
}

static void keeper_run(const struct keeper *k, const struct ids *ids, const sigset_t *words)
	__attribute__((noreturn));
static void keeper_run(const struct keeper *k, const struct ids *ids, const sigset_t *words)
{
	struct err e = ERR_INIT;
	pid_t helper = getppid();
	keeper_close_others(k);
	setsid();
	prctl(PR_SET_NAME, "assay-network");
	if (keeper_become(k->userns_fd, ids, &e))
		give_up(k->report_fd, &e);
	/* Undone by a change of ids, hence after it: prctl(2). */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != helper)
		_exit(1);
	if (keeper_device(k->devices_fd, &e) || keeper_fence(k->netns_fd, k->report_fd, &e) ||
	    keeper_capabilities(&e))
		give_up(k->report_fd, &e);
	if (unshare(CLONE_NEWPID)) {
		err_sys(&e, "new pid namespace");
		give_up(k->report_fd, &e);
	}
	pid_t first = fork();
	if (!first)
		first_run(k->netns_fd, k->report_fd);
	close(k->report_fd);
	close(k->netns_fd);
	/* The end of the first process, or the helper's word. */
	bool lost = true;
	while (first > 0 && !waitpid(first, NULL, WNOHANG))
		if (sigwaitinfo(words, NULL) == SIGTERM) {
			lost = first_is_alone(first);
			kill(first, SIGKILL);
		}
	_exit(lost ? KEEPER_LOST : 0);
}

int network_begin(struct network *n, int netns_fd, const struct ids *ids, struct err *e)
{
	int pipe_fds[2];
	sigset_t words, before;
	*n = (struct network){.report_fd = -1};
	auto_fd int userns = ioctl(netns_fd, NS_GET_USERNS);
	struct stat its, mine;
	if (userns < 0 || fstat(userns, &its) || stat("/proc/self/ns/user", &mine))
		return err_sys(e, "whose the box's network is");
	if (its.st_ino == mine.st_ino && its.st_dev == mine.st_dev)
		return err_set(e, ERR_BOX,
			       "network nat: the box's network is this machine's root's; not with "
			       "this executor");
	auto_fd int devices = ids->above ? devices_make(DEVICE_TUN, ids, e) : -1;
	if (ids->above && devices < 0)
		return -1;
	if (pipe2(pipe_fds, O_CLOEXEC))
		return err_sys(e, "pipe");
	sigemptyset(&words);
	sigaddset(&words, SIGTERM);
	sigaddset(&words, SIGCHLD);
	sigprocmask(SIG_BLOCK, &words, &before);
	n->pid = fork();
	if (!n->pid) {
		struct keeper k = {netns_fd, userns, devices, pipe_fds[1]};
		keeper_run(&k, ids, &words);
	}
	sigprocmask(SIG_SETMASK, &before, NULL);
	close(pipe_fds[1]);
	n->report_fd = pipe_fds[0];
	if (n->pid > 0)
		return 0;
	n->pid = 0;
	own_close(&n->report_fd);
	return err_sys(e, "fork");
}

int network_hear(struct network *n, struct err *e)
{
	char text[PLAN_ERROR];
	ssize_t got;
	while ((got = read(n->report_fd, text, sizeof(text) - 1)) < 0 && errno == EINTR)
		;
	text[got > 0 ? got : 0] = 0;
	if (!n->up && !strcmp(text, REPORT_UP)) {
		n->up = true;
		return 1;
	}
	own_close(&n->report_fd);
	if (n->up)
		return 0;
	return err_set(e, ERR_BOX, "%s", text[0] ? text : "network nat: its keeper was lost");
}

bool network_end(struct network *n)
{
	int status = 0;
	if (n->pid) {
		kill(n->pid, SIGTERM);
		while (waitpid(n->pid, &status, 0) < 0 && errno == EINTR)
			;
	}
	bool lost = n->up && WIFEXITED(status) && WEXITSTATUS(status) == KEEPER_LOST;
	own_close(&n->report_fd);
	*n = (struct network){.report_fd = -1};
	return lost;
}
