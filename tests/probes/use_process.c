/* What debuggers, sanitizers, runtimes and package managers do with processes and memory. */
#include "tests/probes/probe.h"

#include <grp.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <locale.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/sysinfo.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <time.h>
#include <ucontext.h>

/* As strace does: the child asks for it, is stopped at its execve, goes on. */
static void trace_me(const struct probe *p)
{
	(void)p;
	int status;
	pid_t pid = fork();
	if (!pid) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		_exit(7);
	}
	need(waitpid(pid, &status, 0) == pid && WIFSTOPPED(status));
	need(!ptrace(PTRACE_SETOPTIONS, pid, NULL, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL));
	need(!ptrace(PTRACE_SYSCALL, pid, NULL, NULL));
	need(waitpid(pid, &status, 0) == pid && WIFSTOPPED(status) &&
	     WSTOPSIG(status) == (SIGTRAP | 0x80));
	need(!ptrace(PTRACE_CONT, pid, NULL, NULL));
	need(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 7);
	works("stopped at a system call");
}

/* As gdb does: attach, registers, memory read and written. */
static void trace_attach(const struct probe *p)
{
	static volatile long value = 1;
	struct iovec local, remote = {(void *)(uintptr_t)&value, sizeof(value)};
	struct user_regs_struct regs;
	struct iovec set = {&regs, sizeof(regs)};
	long copy = 0;
	int status;
	(void)p;
	pid_t pid = fork();
	if (!pid) {
		while (value != 42)
			nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
		_exit(9);
	}
	need(!ptrace(PTRACE_ATTACH, pid, NULL, NULL));
	need(waitpid(pid, &status, 0) == pid && WIFSTOPPED(status));
	need(!ptrace(PTRACE_GETREGSET, pid, 1 /* NT_PRSTATUS */, &set));
	need((copy = ptrace(PTRACE_PEEKDATA, pid, &value, NULL)) == 1);
	local = (struct iovec){&copy, sizeof(copy)};
	need(process_vm_readv(pid, &local, 1, &remote, 1, 0) == sizeof(copy) && copy == 1);
	need(!ptrace(PTRACE_POKEDATA, pid, (void *)(uintptr_t)&value, 42L));
	need(!ptrace(PTRACE_DETACH, pid, NULL, NULL));
	need(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 9);
	works("attached, read, written");
}

static char mem_value[] = "before";

static void trace_mem(const struct probe *p)
{
	char path[64];
	int status;
	(void)p;
	pid_t pid = fork();
	if (!pid) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		_exit(strcmp(mem_value, "behind") ? 1 : 3);
	}
	need(waitpid(pid, &status, 0) == pid && WIFSTOPPED(status));
	snprintf(path, sizeof(path), "/proc/%d/mem", (int)pid);
	int fd = open(path, O_RDWR | O_CLOEXEC);
	need(fd >= 0 && pwrite(fd, "behind", 6, (off_t)(uintptr_t)mem_value) == 6);
	need(!ptrace(PTRACE_DETACH, pid, NULL, NULL));
	need(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 3);
	works("/proc/PID/mem");
}

/* As LeakSanitizer does: a clone that shares memory stops its parent's threads. */
static int leak_status = -1;
static char leak_stack[65536];

static int leak_tracer(void *arg)
{
	pid_t parent = *(pid_t *)arg;
	int status;
	struct user_regs_struct regs;
	struct iovec set = {&regs, sizeof(regs)};
	leak_status = 1;
	if (ptrace(PTRACE_ATTACH, parent, NULL, NULL))
		return leak_status = errno + 100;
	if (waitpid(parent, &status, __WALL) != parent)
		return leak_status = errno + 200;
	if (ptrace(PTRACE_GETREGSET, parent, 1, &set))
		return leak_status = errno + 300;
	ptrace(PTRACE_DETACH, parent, NULL, NULL);
	return leak_status = 0;
}

static void trace_leak(const struct probe *p)
{
	pid_t self = getpid();
	(void)p;
	prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
	pid_t pid = clone(leak_tracer, leak_stack + sizeof(leak_stack),
			  CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_UNTRACED, &self);
	need(pid > 0);
	wait_for(pid);
	if (leak_status)
		broken("step %d: %s", leak_status / 100, error_name(leak_status % 100));
	works("a clone traces its parent");
}

static const unsigned char code_return[] = {
#ifdef __x86_64__
	0xb8, 42, 0, 0, 0, 0xc3,
#else
	0x40, 0x05, 0x80, 0x52, 0xc0, 0x03, 0x5f, 0xd6,
#endif
};

/* As compilers of running programs do. */
static void memory_code(const struct probe *p)
{
	int prot = PROT_READ | PROT_WRITE | (p->a ? 0 : PROT_EXEC);
	void *at = mmap(NULL, 4096, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	need(at != MAP_FAILED);
	memcpy(at, code_return, sizeof(code_return));
	if (p->a)
		need(!mprotect(at, 4096, PROT_READ | PROT_EXEC));
	__builtin___clear_cache(at, (char *)at + 64);
	int (*f)(void) = (int (*)(void))(uintptr_t)at;
	need(f() == 42);
	works("written, executed");
}

/* Twice mapped: once to write, once to execute. */
static void memory_twice(const struct probe *p)
{
	(void)p;
	int fd = (int)memfd_create("code", MFD_CLOEXEC);
	need(fd >= 0 && !ftruncate(fd, 4096));
	void *w = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0),
	     *x = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
	need(w != MAP_FAILED && x != MAP_FAILED);
	memcpy(w, code_return, sizeof(code_return));
	__builtin___clear_cache(x, (char *)x + 64);
	need(((int (*)(void))(uintptr_t)x)() == 42);
	works("two mappings of one memfd");
}

static void memfd_exec(const struct probe *p)
{
	char buffer[1 << 16];
	(void)p;
	int from = open(probe_exe, O_RDONLY | O_CLOEXEC),
	    fd = (int)memfd_create("program", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	need(from >= 0 && fd >= 0);
	for (ssize_t n; (n = read(from, buffer, sizeof(buffer))) > 0;)
		need(write(fd, buffer, (size_t)n) == n);
	need(!fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW));
	pid_t pid = fork();
	if (!pid) {
		dup2(open("/dev/null", O_WRONLY), 1);
		char *argv[] = {(char[]){"x"}, (char[]){"list"}, NULL};
		fexecve(fd, argv, argv + 2);
		_exit(127);
	}
	int status = wait_for(pid);
	need(WIFEXITED(status) && !WEXITSTATUS(status));
	works("a sealed memfd is executed");
}

static void own_filter(const struct probe *p)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getpgid, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EDOM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.len = 4, .filter = code};
	need(!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	if (p->a)
		need(!syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC,
			      &program));
	else
		need(!prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program));
	need(syscall(SYS_getpgid, 0) == -1 && errno == EDOM);
	works("a filter of its own");
}

static void own_landlock(const struct probe *p)
{
	struct landlock_ruleset_attr rules = {.handled_access_fs = LANDLOCK_ACCESS_FS_WRITE_FILE};
	(void)p;
	int fd = (int)syscall(SYS_landlock_create_ruleset, &rules, sizeof(rules), 0);
	if (fd < 0 && (errno == ENOSYS || errno == EOPNOTSUPP))
		absent("this kernel has none: %s", error_name(errno));
	need(fd >= 0 && !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	need(!syscall(SYS_landlock_restrict_self, fd, 0));
	need(open("/dev/null", O_WRONLY) < 0 && errno == EACCES);
	works("rules of its own");
}

static void no_aslr(const struct probe *p)
{
	(void)p;
	int now = personality(0xffffffff);
	need(now >= 0 && personality((unsigned long)now | ADDR_NO_RANDOMIZE) >= 0);
	need(personality(0xffffffff) & ADDR_NO_RANDOMIZE);
	works("ASLR off");
}

/* apt's way to its own user: groups, then all ids, and no way back. */
static void become_user(const struct probe *p)
{
	gid_t groups[] = {65534};
	uid_t r, e, s;
	(void)p;
	need(!setgroups(1, groups));
	need(!setresgid(65534, 65534, 65534) && !setresuid(42, 42, 42));
	need(!getresuid(&r, &e, &s) && r == 42 && e == 42 && s == 42);
	need(setuid(0) && errno == EPERM);
	works("user 42, group 65534");
}

/* As root of a box with one id only: what it is, it may become. */
static void become_self(const struct probe *p)
{
	(void)p;
	need(!setresgid(getegid(), getegid(), getegid()) &&
	     !setresuid(geteuid(), geteuid(), geteuid()));
	need(geteuid() == 0);
	works("root stays root");
}

static void go_chroot(const struct probe *p)
{
	char path[4200];
	(void)p;
	snprintf(path, sizeof(path), "%s/inside", probe_work);
	close(file_make(path, "x", 0644));
	need(!chroot(probe_work) && !chdir("/") && !access("/inside", F_OK) &&
	     access("/proc", F_OK));
	works("a root of its own");
}

static void scheduled(const struct probe *p)
{
	cpu_set_t set;
	(void)p;
	need(!sched_getaffinity(0, sizeof(set), &set) && CPU_COUNT(&set) > 0);
	need(!sched_setaffinity(0, sizeof(set), &set));
	need(sysconf(_SC_NPROCESSORS_ONLN) > 0 && sysconf(_SC_NPROCESSORS_CONF) > 0);
	need(!setpriority(PRIO_PROCESS, 0, 10) &&
	     !sched_setscheduler(0, SCHED_BATCH, &(struct sched_param){0}));
	works("%d processors", CPU_COUNT(&set));
}

static void *thread_ends(void *arg)
{
	return arg;
}

static void threads(const struct probe *p)
{
	enum { N = 500 };
	pthread_t all[N];
	pthread_attr_t attr;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 65536);
	(void)p;
	for (long i = 0; i < N; i++) {
		int rc = pthread_create(&all[i], &attr, thread_ends, (void *)i);
		if (rc)
			broken("thread %ld: %s", i, error_name(rc));
	}
	for (long i = 0; i < N; i++) {
		void *got;
		need(!pthread_join(all[i], &got) && got == (void *)i);
	}
	works("%d threads", N);
}

static volatile sig_atomic_t got_signal;

static void on_signal(int signal, siginfo_t *info, void *context)
{
	(void)context;
	got_signal = signal * 1000 + info->si_value.sival_int;
}

static void signals(const struct probe *p)
{
	struct sigaction a = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK};
	stack_t stack = {.ss_sp = malloc(65536), .ss_size = 65536};
	(void)p;
	need(!sigaltstack(&stack, NULL));
	for (int i = SIGRTMIN; i <= SIGRTMAX; i++) {
		need(!sigaction(i, &a, NULL));
		need(!sigqueue(getpid(), i, (union sigval){.sival_int = 7}) &&
		     got_signal == i * 1000 + 7);
	}
	pid_t pid = fork();
	if (!pid)
		for (;;)
			pause();
	int status;
	need(!kill(pid, SIGSTOP) && waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status));
	need(!kill(pid, SIGCONT) && waitpid(pid, &status, WCONTINUED) == pid &&
	     WIFCONTINUED(status));
	need(!kill(pid, SIGTERM) && waitpid(pid, &status, 0) == pid && WTERMSIG(status) == SIGTERM);
	works("real-time ones, stop and go");
}

static void waiting(const struct probe *p)
{
	sigset_t set;
	struct itimerspec at = {.it_value.tv_nsec = 1000000};
	uint64_t n;
	(void)p;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	int s = signalfd(-1, &set, SFD_CLOEXEC), t = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC),
	    e = eventfd(1, EFD_CLOEXEC);
	struct signalfd_siginfo info;
	need(s >= 0 && t >= 0 && e >= 0);
	need(!kill(getpid(), SIGUSR1) && read(s, &info, sizeof(info)) == sizeof(info));
	need(!timerfd_settime(t, 0, &at, NULL) && read(t, &n, sizeof(n)) == 8 && n == 1);
	need(read(e, &n, sizeof(n)) == 8 && n == 1);
	timer_t timer;
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
	need(!timer_create(CLOCK_REALTIME, &event, &timer) && !timer_settime(timer, 0, &at, NULL));
	need(read(s, &info, sizeof(info)) == sizeof(info));
	works("signalfd, timerfd, eventfd, timers");
}

static void pidfds(const struct probe *p)
{
	(void)p;
	pid_t pid = fork();
	if (!pid)
		for (;;)
			pause();
	int fd = (int)syscall(SYS_pidfd_open, pid, 0), status;
	need(fd >= 0 && !syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0));
	struct pollfd wait = {.fd = fd, .events = POLLIN};
	need(poll(&wait, 1, 100000) == 1 && waitpid(pid, &status, 0) == pid &&
	     WTERMSIG(status) == SIGKILL);
	works("opened, signalled, waited for");
}

static void spawned(const struct probe *p)
{
	char *argv[] = {probe_exe, (char[]){"list"}, NULL};
	posix_spawn_file_actions_t actions;
	pid_t pid;
	(void)p;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
	int rc = posix_spawn(&pid, probe_exe, &actions, NULL, argv, argv + 2);
	if (rc)
		broken("posix_spawn: %s", error_name(rc));
	need(!wait_for(pid));
	pid = vfork();
	if (!pid)
		_exit(5);
	need(WEXITSTATUS(wait_for(pid)) == 5);
	works("posix_spawn, vfork");
}

static void daemons(const struct probe *p)
{
	int pipes[2];
	char c;
	(void)p;
	need(!pipe(pipes));
	if (!fork()) {
		setsid();
		if (!fork()) {
			while (getppid() != 1 && getppid() == getpgrp())
				nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
			_exit(write(pipes[1], "d", 1) != 1);
		}
		_exit(0);
	}
	need(read(pipes[0], &c, 1) == 1);
	works("it goes on without its parent");
}

static void subreaper(const struct probe *p)
{
	int status, first, second;
	(void)p;
	need(!prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0));
	if (!fork()) {
		if (!fork()) {
			nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
			_exit(3);
		}
		_exit(2);
	}
	need(wait(&status) > 0);
	first = WEXITSTATUS(status);
	need(wait(&status) > 0);
	second = WEXITSTATUS(status);
	need((first == 2 && second == 3) || (first == 3 && second == 2));
	works("a service manager's way");
}

static void random_bytes(const struct probe *p)
{
	char a[32] = {0}, b[32] = {0};
	(void)p;
	need(getrandom(a, 32, 0) == 32 && getrandom(b, 32, GRND_NONBLOCK) == 32 &&
	     memcmp(a, b, 32));
	works("getrandom");
}

static void clocks(const struct probe *p)
{
	struct timespec a, b;
	(void)p;
	for (clockid_t c = CLOCK_REALTIME; c <= CLOCK_BOOTTIME; c++)
		if (c != 8 && c != CLOCK_THREAD_CPUTIME_ID)
			need(!clock_gettime(c, &a) && !clock_getres(c, &b) && a.tv_sec >= 0);
	need(!clock_gettime(CLOCK_MONOTONIC, &a));
	need(!clock_nanosleep(CLOCK_MONOTONIC, 0, &(struct timespec){.tv_nsec = 1000000}, NULL));
	need(!clock_gettime(CLOCK_MONOTONIC, &b));
	need(b.tv_sec > a.tv_sec || b.tv_nsec > a.tv_nsec);
	struct sysinfo s;
	need(!sysinfo(&s) && s.uptime >= 0 && s.totalram);
	works("all of them");
}

static void locales(const struct probe *p)
{
	(void)p;
	need(setlocale(LC_ALL, "C.UTF-8") || setlocale(LC_ALL, "C"));
	works("%s", setlocale(LC_ALL, NULL));
}

static void limits_own(const struct probe *p)
{
	struct rlimit l;
	struct rusage u;
	(void)p;
	need(!getrlimit(RLIMIT_NOFILE, &l) && l.rlim_cur >= 256);
	l.rlim_cur = l.rlim_max < 512 ? l.rlim_max : 512;
	need(!setrlimit(RLIMIT_NOFILE, &l));
	need(!prlimit(0, RLIMIT_STACK, NULL, &l) && l.rlim_cur >= 1 << 20);
	need(!getrusage(RUSAGE_SELF, &u));
	pid_t pid = fork();
	if (!pid)
		for (;;)
			pause();
	need(!prlimit(pid, RLIMIT_NOFILE, &(struct rlimit){64, 64}, NULL));
	works("its own and its child's");
}

static void huge_address(const struct probe *p)
{
	(void)p;
	/* sanitizers and Go reserve address space by the terabyte */
	void *at = mmap(NULL, 1ul << 44, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
			0);
	need(at != MAP_FAILED);
	need(!madvise(at, 1 << 20, MADV_DONTDUMP));
	works("16 TiB reserved");
}

static void userfault_falls_back(const struct probe *p)
{
	static const long calls[] = {SYS_io_uring_setup,  SYS_userfaultfd,
				     SYS_perf_event_open, SYS_bpf,
				     SYS_keyctl,          SYS_clone3};
	(void)p;
	for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++)
		if (syscall(calls[i], 0, 0, 0, 0, 0) == -1 && errno != ENOSYS && errno != EPERM &&
		    errno != EACCES && errno != EINVAL && errno != EFAULT)
			broken("call %ld: %s", calls[i], error_name(errno));
	works("what is refused is refused with ENOSYS or EPERM");
}

#define USE(name, f, a)                                                                            \
	{                                                                                          \
		"use_" name, PROBE_USE, "processes", f, a, 0, 0, NULL                              \
	}

/* clang-format off */
const struct probe use_process[] = {
	USE("trace_me", trace_me, 0), USE("trace_attach", trace_attach, 0), USE("trace_mem", trace_mem, 0), USE("trace_leak", trace_leak, 0),
	USE("code_written", memory_code, 0), USE("code_protected", memory_code, 1), USE("code_twice", memory_twice, 0), USE("memfd_exec", memfd_exec, 0),
	USE("own_seccomp", own_filter, 0), USE("own_seccomp_tsync", own_filter, 1), USE("own_landlock", own_landlock, 0), USE("no_aslr", no_aslr, 0),
	USE("become_apt", become_user, 0), USE("become_self", become_self, 0), USE("chroot", go_chroot, 0), USE("scheduled", scheduled, 0),
	USE("threads", threads, 0), USE("signals", signals, 0), USE("waiting", waiting, 0), USE("pidfd", pidfds, 0), USE("spawn", spawned, 0),
	USE("daemon", daemons, 0), USE("subreaper", subreaper, 0), USE("getrandom", random_bytes, 0), USE("clocks", clocks, 0),
	USE("locale", locales, 0), USE("rlimits", limits_own, 0), USE("address_space", huge_address, 0), USE("refusals", userfault_falls_back, 0),
	{NULL, 0, NULL, NULL, 0, 0, 0, NULL},
};
