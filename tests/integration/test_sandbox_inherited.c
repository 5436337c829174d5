/* Nothing of its caller's gets into a box: the caller here is a process of its own, with everything
 * spoiled that processes hand on; the command is this program again, which tells what it has. */
#include "test_sandbox.h"

#include <grp.h>
#include <linux/ioprio.h>
#include <sched.h>
#include <spawn.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

extern char **environ;

#define LEAK_FD 1500

/* Also the two signals that libc keeps for itself, which its own sigaction refuses. */
struct disposition {
	void (*handler)(int);
	unsigned long flags;
	void (*restorer)(void);
	uint64_t mask;
};

static void look_signals(void)
{
	struct disposition d;
	uint64_t mask = 0;
	for (int i = 1; i <= 64; i++)
		if (!syscall(SYS_rt_sigaction, i, NULL, &d, sizeof(d.mask)) && d.handler == SIG_IGN)
			printf("signal %d is ignored\n", i);
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, NULL, &mask, sizeof(mask));
	printf("mask %llx\n", (unsigned long long)mask);
}

static void look_limits(void)
{
	/* Not those that follow this machine's memory, nor what a sanitizer changes. */
	static const int all[] = {RLIMIT_AS,   RLIMIT_CPU,    RLIMIT_DATA,  RLIMIT_LOCKS,
				  RLIMIT_RSS,  RLIMIT_RTTIME, RLIMIT_FSIZE, RLIMIT_MEMLOCK,
				  RLIMIT_NICE, RLIMIT_RTPRIO};
	struct rlimit l;
	for (size_t i = 0; i < countof(all); i++)
		if (!getrlimit((__rlimit_resource_t)all[i], &l))
			printf("limit %d %lld\n", all[i],
			       l.rlim_cur == RLIM_INFINITY ? -1ll : (long long)l.rlim_cur);
	getrlimit(RLIMIT_STACK, &l);
	printf("stack %llu\n", (unsigned long long)l.rlim_cur);
	getrlimit(RLIMIT_NOFILE, &l);
	printf("files 4096, or as many as may be: %d\n",
	       l.rlim_cur == (l.rlim_max < 4096 ? l.rlim_max : 4096));
	getrlimit(RLIMIT_SIGPENDING, &l);
	printf("pending signals as many as may be: %d\n", l.rlim_cur == l.rlim_max);
	getrlimit(RLIMIT_MSGQUEUE, &l);
	printf("queues as large as may be: %d\n", l.rlim_cur == l.rlim_max);
}

static void look_file(const char *path)
{
	struct err e = ERR_INIT;
	auto_text struct text t = TEXT_INIT;
	auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || dir_read_fd(fd, 4096, &t, &e))
		printf("%s: %s\n", path, strerror(errno));
	else
		printf("%s %.*s\n", strrchr(path, '/') + 1, (int)strcspn(text_str(&t), "\n"),
		       text_str(&t));
}

static void look_open(void)
{
	for (int fd = 0; fd < 4096; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			printf("%d ", fd);
	int tty = open("/dev/tty", O_RDWR | O_CLOEXEC);
	printf("open, terminal %s\n", tty < 0 ? strerror(errno) : "there");
}

/* Its own is one of them. An ordinary user's others stay, with no name in the box. */
static int look_groups(bool user)
{
	gid_t all[64];
	int more = 0, n = getgroups(64, all);
	for (int i = 0; i < n; i++)
		more += all[i] != getgid() && !(user && all[i] == 65534);
	return more;
}

static int look(bool user)
{
	char cwd[100];
	int signal = -1;
	printf("nice %d, policy %d, i/o %ld, slack %d, umask %o\n", getpriority(PRIO_PROCESS, 0),
	       sched_getscheduler(0), syscall(SYS_ioprio_get, IOPRIO_WHO_PROCESS, 0),
	       prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0), umask(0));
	prctl(PR_GET_PDEATHSIG, &signal);
	printf("personality %x, securebits %x, parent's death %d, dumpable %d, huge pages off %d\n",
	       personality(0xffffffff), prctl(PR_GET_SECUREBITS), signal, prctl(PR_GET_DUMPABLE),
	       prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0));
	look_signals();
	look_limits();
	look_open();
	look_file("/proc/self/oom_score_adj");
	printf("leads session %d and group %d, %d more groups, in %s\n", getsid(0) == getpid(),
	       getpgrp() == getpid(), look_groups(user), getcwd(cwd, sizeof(cwd)));
	for (char **v = environ; *v; v++)
		printf("%s\n", *v);
	return 0;
}

static void spoil_terminal(void)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY);
	setsid();
	if (grantpt(master) || unlockpt(master) || open(ptsname(master), O_RDWR) < 0)
		printf("no terminal\n");
}

static void spoil_limits(void)
{
	static const struct {
		__rlimit_resource_t which;
		rlim_t soft;
	} all[] = {{RLIMIT_CPU, 1000},       {RLIMIT_FSIZE, 1 << 30},  {RLIMIT_STACK, 1 << 20},
		   {RLIMIT_LOCKS, 10},       {RLIMIT_SIGPENDING, 100}, {RLIMIT_MSGQUEUE, 1000},
		   {RLIMIT_RTTIME, 1 << 20}, {RLIMIT_CORE, 1 << 20},   {RLIMIT_RSS, 1 << 30},
		   {RLIMIT_NOFILE, 300}};
	for (size_t i = 0; i < countof(all); i++) {
		struct rlimit l;
		getrlimit(all[i].which, &l);
		l.rlim_cur = all[i].soft < l.rlim_max ? all[i].soft : l.rlim_max;
		setrlimit(all[i].which, &l);
	}
}

static void spoil_signals(void)
{
	struct disposition ignore = {.handler = SIG_IGN};
	uint64_t all = ~UINT64_C(0);
	for (int i = 1; i <= 64; i++)
		if (i != SIGABRT)
			syscall(SYS_rt_sigaction, i, &ignore, NULL, sizeof(ignore.mask));
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, NULL, sizeof(all));
}

static void spoil(void)
{
	static const struct sched_param zero = {.sched_priority = 0};
	static const gid_t groups[] = {4, 24, 27};
	auto_fd int oom = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	if (write(oom, "300", 3) != 3)
		printf("no oom score\n");
	/* before the number of files is small: a directory, inherited by whoever is executed */
	int fd = open("/etc", O_RDONLY | O_DIRECTORY);
	dup2(fd, LEAK_FD);
	spoil_terminal();
	spoil_limits();
	spoil_signals();
	if (!geteuid()) {
		setgroups(countof(groups), groups);
		setpriority(PRIO_PROCESS, 0, 5); /* an ordinary user could not take it back */
	}
	sched_setscheduler(0, SCHED_BATCH, &zero);
	syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_PRIO_VALUE(IOPRIO_CLASS_IDLE, 7));
	prctl(PR_SET_TIMERSLACK, 7, 0, 0, 0);
	prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	prctl(PR_SET_PDEATHSIG, SIGUSR1);
	prctl(PR_SET_DUMPABLE, 0);
	umask(077);
	personality(ADDR_NO_RANDOMIZE | UNAME26);
	setenv("SPOILED", "yes", 1);
	setenv("LD_PRELOAD", "", 1);
	if (chdir("/var/tmp"))
		printf("no directory\n");
}

static void try_this(struct try *t, const char *word, const char *self, size_t n)
{
	static char program[] = "/box/program";
	try_init(t, word);
	t->files[t->spec.n_files++] = (struct box_file){program, self, n, 0755};
	t->argv[0] = program;
	t->argv[1] = t->argv[2];
	t->argv[2] = NULL;
}

/* The caller: spoiled, then it opens a sandbox, and tells what a command in a box tells. */
static int caller(void)
{
	struct err e = ERR_INIT;
	void *state = NULL;
	struct try t;
	auto_text struct text self = TEXT_INIT;
	auto_fd int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	if (fd < 0 || dir_read_fd(fd, 64 << 20, &self, &e))
		return 3;
	spoil();
	if (try_setup(&state))
		return 3;
	try_this(&t, geteuid() ? "look-user" : "look", text_str(&self), self.n);
	char *word = t.argv[1];
	try_run(&t);
	fwrite(text_str(&t.out), 1, t.out.n, stdout);
	printf("%d %d %s\n", t.facts.end, t.facts.exit_code, t.facts.error);
	try_fini(&t);
	free(word);
	fflush(stdout);
	return try_teardown(&state) ? 3 : 0;
}

static void nothing_of_the_caller_s_is_inherited(void **state)
{
	static const char expected[] =
		"nice 0, policy 0, i/o 0, slack 50000, umask 22\n"
		"personality 0, securebits 0, parent's death 0, dumpable 1, huge pages off 0\n"
		"mask 0\n"
		"limit 9 -1\nlimit 0 -1\nlimit 2 -1\nlimit 10 -1\nlimit 5 -1\nlimit 15 -1\n"
		"limit 1 -1\nlimit 8 65536\nlimit 13 0\nlimit 14 0\n"
		"stack 8388608\nfiles 4096, or as many as may be: 1\n"
		"pending signals as many as may be: 1\nqueues as large as may be: 1\n"
		"0 1 2 open, terminal No such device or address\n"
		"oom_score_adj 500\n"
		"leads session 1 and group 1, 0 more groups, in /\n"
		"PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin\nHOME=/root\n"
		"0 0 \n";
	struct err e = ERR_INIT;
	auto_text struct text told = TEXT_INIT;
	int out[2], status;
	pid_t pid;
	char self[] = "/proc/self/exe", word[] = "caller", *argv[] = {self, word, NULL};
	posix_spawn_file_actions_t files;
	(void)state;
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_adddup2(&files, out[1], STDOUT_FILENO);
	assert_int_equal(posix_spawn(&pid, self, &files, NULL, argv, environ), 0);
	posix_spawn_file_actions_destroy(&files);
	close(out[1]);
	auto_fd int from = out[0];
	assert_int_equal(dir_read_fd(from, 1 << 20, &told, &e), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		skip();
	assert_string_equal(text_str(&told), expected);
	assert_int_equal(status, 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_of_the_caller_s_is_inherited),
	};
	if (argc == 2 && !strcmp(argv[1], "look"))
		return look(false);
	if (argc == 2 && !strcmp(argv[1], "look-user"))
		return look(true);
	if (argc == 2 && !strcmp(argv[1], "caller"))
		return caller();
	return cmocka_run_group_tests_name("sandbox: inherited", tests, NULL, NULL);
}
