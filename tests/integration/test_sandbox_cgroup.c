/* sandbox/cgroup*.c and sweep.c on this machine's own groups, v1 or v2. Skips where this process
 * may make none; what an ordinary user gets is tried as well, from root, in a child. Every group
 * made here is removed here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "sandbox/cgroup_inside.h"
#include "sandbox/sandbox.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define NAME "assay-test-cgroup"
#define NOBODY 65534
#define MIB (1024 * 1024)
#define MINUTES_NS INT64_C(240000000000) /* for what is over at once where there is time */

static struct cgroup_host *host;

static struct cgroup *make(const char *name, uint64_t memory, uint64_t processes)
{
	struct err e = ERR_INIT;
	struct cgroup *c =
		cgroup_make(host, name,
			    &(struct cgroup_limits){.memory = memory, .processes = processes}, &e);
	assert_string_equal(e.text, "");
	assert_non_null(c);
	return c;
}

/* Moves a process, the slow way: 0 or -1. A box begins in its group. */
static int put_into(const struct cgroup *c, pid_t pid)
{
	for (size_t i = 0; i < c->host->n; i++) {
		if (c->dir[i] < 0)
			continue;
		int fd = openat(c->dir[i], "cgroup.procs", O_WRONLY | O_CLOEXEC);
		bool done = fd >= 0 && dprintf(fd, "%d", (int)pid) > 0;
		if (fd >= 0)
			close(fd);
		if (!done)
			return -1;
	}
	return 0;
}

static bool found(void *arg, pid_t pid)
{
	(void)arg, (void)pid;
	return false;
}

static bool is_empty(const struct cgroup *c)
{
	return !c->host->kind || !cgroup_each(cgroup_list(c), found, NULL);
}

/* A child in the group that runs fn once it is there. */
static pid_t start(struct cgroup *c, int (*fn)(int arg), int arg)
{
	int go[2];
	char byte;
	assert_int_equal(pipe2(go, O_CLOEXEC), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		close(go[1]);
		_exit(read(go[0], &byte, 1) == 1 ? fn(arg) : 99);
	}
	close(go[0]);
	assert_int_equal(put_into(c, pid), 0);
	assert_int_equal(write(go[1], "x", 1), 1);
	close(go[1]);
	return pid;
}

static int status_of(pid_t pid)
{
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

/* Kills until nothing is left, waiting for each to die rather than for time to pass. */
static void end(struct cgroup *c)
{
	struct err e = ERR_INIT;
	int64_t until = clock_mono_ns() + MINUTES_NS;
	do {
		cgroup_kill(c);
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
		poll(NULL, 0, 1);
	} while (!is_empty(c) && clock_mono_ns() < until);
	assert_true(is_empty(c));
	assert_int_equal(cgroup_remove(c, &e), 0);
}

static int eat_memory(int mib)
{
	char *p = mmap(NULL, (size_t)mib * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		       -1, 0);
	if (p == MAP_FAILED)
		return 1;
	for (size_t i = 0; i < (size_t)mib * MIB; i += 4096)
		p[i] = 1;
	return 0;
}

static void memory_over_the_limit_is_killed_and_counted(void **state)
{
	(void)state;
	struct cgroup_counts n;
	struct cgroup *c = make("memory", 48 * MIB, 0);
	cgroup_read(c, &n);
	if (!n.has_memory) {
		end(c);
		skip();
	}
	int status = status_of(start(c, eat_memory, 256));
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGKILL);
	cgroup_read(c, &n);
	assert_true(n.oom_kills >= 1);
	assert_true(n.peak_memory > 40 * MIB && n.peak_memory <= 48 * MIB);
	end(c);
}

/* Writes a limit of the group around a box's; false: it has none to be written. */
static bool limit_around(const struct cgroup *c, const char *v1, const char *v2)
{
	bool is_v2 = !strcmp(cgroup_host_kind(host), "v2");
	int dir = is_v2 ? c->dir[0] : cgroup_in(c, CGROUP_MEMORY);
	const char *to = is_v2 ? v2 : v1;
	int fd = openat(dir, is_v2 ? "../memory.max" : "../memory.limit_in_bytes",
			O_WRONLY | O_CLOEXEC);
	bool done = fd >= 0 && write(fd, to, strlen(to)) == (ssize_t)strlen(to);
	if (fd >= 0)
		close(fd);
	return done;
}

/* The machine's want of memory, with a machine of 64 MiB: a group around the box's. */
static void memory_that_others_lack_is_not_the_box_s_own_limit(void **state)
{
	(void)state;
	struct cgroup_counts n;
	struct cgroup *c = make("host-memory", 512 * MIB, 0);
	cgroup_read(c, &n);
	if (!n.has_memory || !limit_around(c, "67108864", "67108864")) {
		end(c);
		skip();
	}
	int status = status_of(start(c, eat_memory, 256));
	bool reset = limit_around(c, "-1", "max");
	cgroup_read(c, &n);
	end(c);
	assert_true(reset);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGKILL);
	assert_int_equal(n.oom_kills, 0);
	assert_true(n.host_oom_kills >= 1);
}

static void memory_below_the_limit_is_counted_and_lives(void **state)
{
	(void)state;
	struct cgroup_counts n;
	struct cgroup *c = make("memory", 512 * MIB, 0);
	int status = status_of(start(c, eat_memory, 64));
	assert_int_equal(status, 0);
	cgroup_read(c, &n);
	assert_int_equal(n.oom_kills, 0);
	if (n.has_memory)
		assert_true(n.peak_memory >= 64 * MIB && n.peak_memory < 512 * MIB);
	end(c);
}

static int fork_many(int n)
{
	for (int i = 0; i < n; i++) {
		pid_t pid = fork();
		if (pid < 0)
			return errno == EAGAIN ? i : 98;
		if (!pid)
			for (;;)
				pause();
	}
	return 97;
}

static void forks_over_the_limit_are_refused_and_counted(void **state)
{
	(void)state;
	struct cgroup_counts n;
	struct cgroup *c = make("processes", 0, 5);
	cgroup_read(c, &n);
	if (!n.has_processes) {
		end(c);
		skip();
	}
	int status = status_of(start(c, fork_many, 20));
	assert_true(WIFEXITED(status));
	assert_in_range(WEXITSTATUS(status), 1, 4); /* a sanitizer's threads are tasks as well */
	cgroup_read(c, &n);
	assert_true(n.processes_refused >= 1);
	assert_false(is_empty(c));
	end(c);
}

static int burn_cpu(int ms)
{
	struct timespec t;
	do
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	while (t.tv_sec * 1000 + t.tv_nsec / 1000000 < ms);
	return 0;
}

static void time_of_the_processors_is_counted(void **state)
{
	(void)state;
	struct cgroup_counts n;
	struct cgroup *c = make("cpu", 0, 0);
	assert_int_equal(status_of(start(c, burn_cpu, 60)), 0);
	cgroup_read(c, &n);
	if (n.has_cpu)
		assert_in_range(n.cpu_user_ns + n.cpu_system_ns, 50000000, 5000000000);
	end(c);
}

/* Sessions of their own, orphans, one that stopped itself; each holds the pipe open for as long as
 * it lives. */
static int scatter(int out)
{
	for (int i = 0; i < 3; i++) {
		if (fork())
			continue;
		setsid();
		if (fork())
			_exit(0);
		signal(SIGTERM, SIG_IGN);
		if (write(out, "x", 1) == 1 && i == 1)
			raise(SIGSTOP);
		for (;;)
			pause();
	}
	for (;;)
		pause();
}

/* Reads n bytes of the scattered, then waits for the end of the pipe: all of them are gone. */
static void wait_for(int fd, int n)
{
	char byte;
	for (int i = 0; i < n; i++)
		assert_int_equal(read(fd, &byte, 1), 1);
}

static void kill_scattered(bool frozen)
{
	int ends[2];
	char byte;
	struct err e = ERR_INIT;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	struct cgroup *c = make("scattered", 0, 0);
	pid_t pid = start(c, scatter, ends[1]);
	close(ends[1]);
	wait_for(ends[0], 3);
	assert_int_equal(cgroup_remove(c, &e), -1);
	assert_int_equal(e.sys, EBUSY);
	if (frozen)
		assert_int_equal(host->world->write(c->dir[0], "cgroup.freeze", "1"), 0);
	cgroup_kill(c);
	struct pollfd p = {.fd = ends[0], .events = POLLIN};
	assert_int_equal(poll(&p, 1, (int)(MINUTES_NS / 1000000)), 1);
	assert_int_equal(read(ends[0], &byte, 1), 0);
	close(ends[0]);
	assert_int_equal(WTERMSIG(status_of(pid)), SIGKILL);
	end(c);
}

static void nothing_of_a_box_survives_a_kill(void **state)
{
	(void)state;
	kill_scattered(false);
}

static void what_is_frozen_dies_too(void **state)
{
	(void)state;
	if (strcmp(cgroup_host_kind(host), "v2"))
		skip(); /* of v1 no box is in the freezer */
	kill_scattered(true);
}

static void a_process_can_be_born_in_the_group(void **state)
{
	(void)state;
	struct cgroup *c = make("clone", 0, 0);
	if (cgroup_clone_fd(c) < 0) {
		end(c);
		skip();
	}
	struct clone_args args = {
		.flags = CLONE_INTO_CGROUP,
		.exit_signal = SIGCHLD,
		.cgroup = (unsigned)cgroup_clone_fd(c),
	};
	pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	if (!pid)
		for (;;)
			pause();
	assert_true(pid > 0);
	assert_false(is_empty(c));
	cgroup_kill(c);
	assert_int_equal(WTERMSIG(status_of(pid)), SIGKILL);
	end(c);
}

static int burn_cpu_for_ever(int processes)
{
	while (--processes > 0 && fork() > 0)
		;
	while (!burn_cpu(0))
		;
	return 1;
}

/* Eight that want all they can get have a hundredth of a processor: less than this machine gives
 * them however much else it does, so they are cut in every period. Waited for is that, not a time.
 */
static void a_quota_slows_and_says_so(void **state)
{
	(void)state;
	struct err e = ERR_INIT;
	struct cgroup_counts n;
	struct cgroup *c = cgroup_make(host, "quota", &(struct cgroup_limits){.cpu_milli = 10}, &e);
	assert_string_equal(e.text, "");
	cgroup_read(c, &n);
	if (!n.has_quota) {
		end(c);
		skip();
	}
	int64_t from = clock_mono_ns();
	start(c, burn_cpu_for_ever, 8);
	do {
		poll(NULL, 0, 10);
		cgroup_read_all(c, &n);
	} while (n.throttled < 8 || !n.throttled_ns);
	uint64_t used = n.cpu_user_ns + n.cpu_system_ns;
	assert_true(used < (uint64_t)(clock_mono_ns() - from) / 2);
	end(c);
}

static void groups_come_and_go_a_hundred_times(void **state)
{
	(void)state;
	struct err e = ERR_INIT;
	for (int i = 0; i < 100; i++)
		assert_int_equal(cgroup_remove(make("again", 64 * MIB, 8), &e), 0);
}

static void be_killed_with_a_box(int fd)
{
	struct err e;
	char byte;
	struct cgroup_host *h = cgroup_host_open(NAME "-dead", &e);
	struct cgroup *c = h ? cgroup_make(h, "left", &(struct cgroup_limits){0}, &e) : NULL;
	int told[2];
	if (!c || !h->kind || pipe2(told, O_CLOEXEC))
		_exit(1);
	pid_t job = fork();
	if (!job) {
		for (size_t i = 0; i < h->n; i++)
			close(h->dir[i]); /* as being executed would */
		_exit(write(told[1], "x", 1) != 1 || read(fd, &byte, 1) == 1);
	}
	if (put_into(c, job) || read(told[0], &byte, 1) != 1)
		_exit(2);
	raise(SIGKILL);
}

/* A caller that was killed left a box with a process in it, which ends only with the pipe, and that
 * is open. */
static void the_sweep_ends_what_a_dead_caller_left(void **state)
{
	(void)state;
	int ends[2];
	struct err e = ERR_INIT;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	pid_t caller = fork();
	if (!caller) {
		close(ends[0]);
		int held[2];
		be_killed_with_a_box(pipe2(held, O_CLOEXEC) ? -1 : held[0]);
	}
	close(ends[1]);
	assert_int_equal(WTERMSIG(status_of(caller)), SIGKILL);
	/* what was killed may take its time to be gone */
	for (int64_t until = clock_mono_ns() + MINUTES_NS;
	     sandbox_sweep(NAME "-dead", &e) && clock_mono_ns() < until; e = (struct err)ERR_INIT)
		poll(NULL, 0, 20);
	assert_string_equal(e.text, "");
	struct pollfd p = {.fd = ends[0], .events = POLLIN};
	assert_int_equal(poll(&p, 1, (int)(MINUTES_NS / 1000000)),
			 1); /* nobody holds its other end any more */
	assert_true(p.revents & POLLHUP);
	close(ends[0]);
}

static void the_sweep_leaves_the_living_alone(void **state)
{
	(void)state;
	struct err e = ERR_INIT;
	struct cgroup *c = make("living", 0, 0);
	assert_int_equal(sandbox_sweep(NAME, &e), 0);
	pid_t pid = fork();
	if (!pid)
		_exit(sandbox_sweep(NAME, &e) ? 1 : 0);
	assert_int_equal(status_of(pid), 0);
	assert_int_equal(status_of(start(c, burn_cpu, 1)), 0);
	end(c);
}

/* fn in a child without privileges: what it returns. */
static int as_nobody(int (*fn)(void))
{
	pid_t pid = fork();
	if (!pid) {
		if (setgroups(0, NULL) || setresgid(NOBODY, NOBODY, NOBODY) ||
		    setresuid(NOBODY, NOBODY, NOBODY))
			_exit(99);
		_exit(fn());
	}
	int status = status_of(pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 98;
}

static int open_without_rights(void)
{
	struct err e;
	struct cgroup_host *h = cgroup_host_open(NAME, &e);
	if (!h || strcmp(cgroup_host_kind(h), "none"))
		return 1;
	struct cgroup *c =
		cgroup_make(h, "x", &(struct cgroup_limits){.memory = MIB, .processes = 1}, &e);
	if (!c || put_into(c, getpid()) || cgroup_remove(c, &e))
		return 2;
	cgroup_host_close(h);
	return 0;
}

static void an_ordinary_user_gets_none(void **state)
{
	(void)state;
	if (geteuid())
		skip();
	assert_int_equal(as_nobody(open_without_rights), 0);
}

/* What systemd's Delegate= gives a user's service: a group of his own with nobody else in it. */
static int use_delegated(void)
{
	struct err e;
	host = cgroup_host_open(NAME "-user", &e);
	if (!host || strcmp(cgroup_host_kind(host), "v2"))
		return 1;
	struct cgroup *c =
		cgroup_make(host, "x", &(struct cgroup_limits){.memory = 48 * MIB, .processes = 8},
			    &e);
	if (!c)
		return 2;
	struct cgroup_counts n;
	int status = status_of(start(c, eat_memory, 256));
	cgroup_read(c, &n);
	if (!WIFSIGNALED(status) || !n.has_memory || !n.has_processes || !n.has_cpu || !n.oom_kills)
		return 3;
	if (cgroup_remove(c, &e))
		return 4;
	cgroup_host_close(host);
	return 0;
}

static void give_away(int dirfd, const char *file)
{
	assert_int_equal(fchownat(dirfd, file, NOBODY, NOBODY, AT_SYMLINK_NOFOLLOW), 0);
}

static void a_delegated_group_serves_an_ordinary_user(void **state)
{
	(void)state;
	if (geteuid() || strcmp(cgroup_host_kind(host), "v2"))
		skip();
	struct cgroup *c = make("user", 0, 0);
	give_away(c->dir[0], ".");
	give_away(c->dir[0], "cgroup.procs");
	give_away(c->dir[0], "cgroup.subtree_control");
	pid_t pid = fork();
	if (!pid) {
		if (setgroups(0, NULL) || put_into(c, getpid()) ||
		    setresgid(NOBODY, NOBODY, NOBODY) || setresuid(NOBODY, NOBODY, NOBODY))
			_exit(99);
		_exit(use_delegated());
	}
	assert_int_equal(status_of(pid), 0);
	end(c);
}

static int set_up(void **state)
{
	(void)state;
	struct err e;
	host = cgroup_host_open(NAME, &e);
	return host ? 0 : -1;
}

/* NAME.<pid> and the like: this process's, or a dead one's; not that of the same program, run by
 * somebody else at the same time. */
static bool is_ours(const char *name)
{
	const char *pid = strrchr(name, '.');
	pid_t owner = pid ? (pid_t)strtol(pid + 1, NULL, 10) : 0;
	return !strncmp(name, NAME, strlen(NAME)) &&
	       (owner <= 0 || owner == getpid() || (kill(owner, 0) && errno == ESRCH));
}

/* Nothing of ours is left in any place this process can see; what a failed test left goes now. */
static int tear_down(void **state)
{
	(void)state;
	struct err e;
	struct cgroup_places p;
	int left = 0;
	cgroup_host_close(host);
	if (cgroup_find(&cgroup_world_real, &p, &e))
		return -1;
	for (size_t i = 0; i <= CGROUP_HIERARCHIES; i++) {
		int fd = i < CGROUP_HIERARCHIES ? p.v1[i].fd : p.v2.fd;
		DIR *dir = fd < 0 ? NULL : fdopendir(dup(fd));
		for (struct dirent *d; dir && (d = readdir(dir));)
			if (is_ours(d->d_name)) {
				print_error("%s is left\n", d->d_name);
				left++;
			}
		if (dir)
			closedir(dir);
	}
	cgroup_places_close(&p);
	return sandbox_sweep(NAME, &e) || sandbox_sweep(NAME "-dead", &e) || left;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_over_the_limit_is_killed_and_counted),
		cmocka_unit_test(memory_that_others_lack_is_not_the_box_s_own_limit),
		cmocka_unit_test(memory_below_the_limit_is_counted_and_lives),
		cmocka_unit_test(forks_over_the_limit_are_refused_and_counted),
		cmocka_unit_test(time_of_the_processors_is_counted),
		cmocka_unit_test(nothing_of_a_box_survives_a_kill),
		cmocka_unit_test(what_is_frozen_dies_too),
		cmocka_unit_test(a_process_can_be_born_in_the_group),
		cmocka_unit_test(a_quota_slows_and_says_so),
		cmocka_unit_test(groups_come_and_go_a_hundred_times),
		cmocka_unit_test(the_sweep_ends_what_a_dead_caller_left),
		cmocka_unit_test(the_sweep_leaves_the_living_alone),
		cmocka_unit_test(a_delegated_group_serves_an_ordinary_user),
		cmocka_unit_test(an_ordinary_user_gets_none),
	};
	struct err e;
	struct cgroup_host *h = cgroup_host_open(NAME, &e);
	bool none = h && !strcmp(cgroup_host_kind(h), "none");
	printf("control groups: %s\n", h ? cgroup_host_kind(h) : e.text);
	cgroup_host_close(h);
	if (none) {
		printf("skipped: this process may make control groups in no hierarchy\n");
		return 77;
	}
	return cmocka_run_group_tests_name("sandbox/cgroup", tests, set_up, tear_down);
}
