/* bwrap with what assay's boxes have besides, for tests/bench/run:
 *
 *     bench_guarded open DIR SLOTS COMMAND...
 *     bench_guarded box DIR BWRAP ARG...
 *
 * `open` makes ready once what all boxes share: a mount namespace, the group of their control
 * groups, the system call filter, DIR/skeleton and SLOTS directories; its COMMAND (xargs) then
 * calls `box` for each, with SLOT, from 0, in its environment. That does for its one box what
 * bwrap does not, each step one call after the other: control groups with the two limits, an upper
 * on disk and the overlay for /, rlimits, an id that is nobody's, a time limit; waits until all of
 * it is gone, and removes it. ARGs: what follows on `--bind ROOT /`. Needs root. */
#include "base/dir.h"
#include "base/own.h"

#include "sandbox/cgroup.h"
#include "sandbox/cgroup_inside.h"
#include "sandbox/filter.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/sched.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* Descriptors that `box` inherits, above all others; the groups' directories follow. */
#define FILTER_FD 200
#define FILTER_PATH "/proc/self/fd/200"
enum { TOLD_FD = FILTER_FD + 1, GROUPS_FD };
#define FIRST_ID 1879048192u /* assay's own boxes have such, too */
#define TIME_LIMIT_S 600
#define MEMORY ((uint64_t)1 << 30)
#define PROCESSES 64

static void die(const char *what)
{
	fprintf(stderr, "bench_guarded: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void die_of(const struct err *e)
{
	fprintf(stderr, "bench_guarded: %s\n", e->text);
	exit(1);
}

/* ---- once ---- */

static void keep_at(int fd, int at)
{
	if (fd < 0 || dup2(fd, at) != at)
		die("dup2");
}

static void keep_bytes(const void *bytes, size_t n, int at)
{
	auto_fd int fd = memfd_create("guarded", MFD_CLOEXEC);
	if (fd < 0 || dir_write_all(fd, bytes, n))
		die("memfd");
	keep_at(fd, at);
}

/* What only counts protects from nothing. */
static size_t groups_that_limit(struct cgroup_told *told, int *fds)
{
	size_t n = 0;
	for (size_t i = 0; i < told->n; i++) {
		if (told->version == 1 && !(told->controllers[i] & ~(uint32_t)CGROUP_CPUACCT))
			continue;
		told->controllers[n] = told->controllers[i];
		fds[n++] = fds[i];
	}
	return told->n = (uint32_t)n;
}

static void keep_groups(const struct cgroup_host *groups)
{
	struct err e = ERR_INIT;
	struct cgroup_told told = {0};
	int fds[CGROUP_HIERARCHIES];
	if (cgroup_host_tell(groups, &told, fds, &e))
		die_of(&e);
	size_t n = groups_that_limit(&told, fds);
	keep_bytes(&told, sizeof(told), TOLD_FD);
	for (size_t i = 0; i < n; i++)
		keep_at(fds[i], GROUPS_FD + (int)i);
}

static void make(int dirfd, const char *name)
{
	struct err e = ERR_INIT;
	auto_fd int fd = dir_make(dirfd, name, 0755, &e);
	if (fd < 0)
		die_of(&e);
}

/* Mount points, so that bwrap need not make any, and the host's links. */
static void skeleton_make(int dirfd)
{
	static const char *const dirs[] = {"usr", "etc", "proc", "dev", "tmp", "run"};
	static const char *const links[] = {"bin", "sbin", "lib", "lib32", "lib64", "libx32"};
	char path[16], to[64];
	for (size_t i = 0; i < countof(dirs); i++)
		make(dirfd, dirs[i]);
	for (size_t i = 0; i < countof(links); i++) {
		snprintf(path, sizeof(path), "/%s", links[i]);
		ssize_t n = readlink(path, to, sizeof(to) - 1);
		to[n > 0 ? n : 0] = 0;
		if (n > 0 && symlinkat(to, dirfd, links[i]))
			die(links[i]);
	}
}

static int run(char **argv)
{
	int status = 0;
	pid_t pid = fork();
	if (!pid) {
		execvp(argv[0], argv);
		die(argv[0]);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		die(argv[0]);
	return !WIFEXITED(status) || WEXITSTATUS(status);
}

static int open_all(const char *dir, size_t slots, char **argv)
{
	struct err e = ERR_INIT;
	struct filter filter;
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		die("mount namespace");
	auto_fd int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir_fd < 0)
		die(dir);
	auto_fd int skeleton = dir_make(dir_fd, "skeleton", 0755, &e);
	if (skeleton < 0)
		die_of(&e);
	skeleton_make(skeleton);
	for (size_t k = 0; k < slots; k++) {
		auto_free char *root = own_fmt("%zu/root", k);
		make(dir_fd, root);
	}
	struct cgroup_host *groups = cgroup_host_open("bench-guarded", &e);
	if (!groups || filter_make(&filter, 0, &e))
		die_of(&e);
	keep_bytes(filter.code, filter.n * sizeof(*filter.code), FILTER_FD);
	filter_fini(&filter);
	keep_groups(groups);
	int rc = run(argv);
	cgroup_host_close(groups);
	return rc;
}

/* ---- each ---- */

static struct cgroup *group_make(const char *name)
{
	static const struct cgroup_limits limits = {.memory = MEMORY, .processes = PROCESSES};
	struct err e = ERR_INIT;
	struct cgroup_told told;
	int fds[CGROUP_HIERARCHIES];
	if (pread(TOLD_FD, &told, sizeof(told), 0) != (ssize_t)sizeof(told))
		die("the groups");
	for (int i = 0; i < (int)told.n; i++) {
		fds[i] = GROUPS_FD + i;
		fcntl(fds[i], F_SETFD, FD_CLOEXEC);
	}
	struct cgroup_host *h = cgroup_host_told(&told, fds);
	struct cgroup *c = h ? cgroup_make(h, name, &limits, &e) : NULL;
	if (!c)
		die_of(&e);
	return c;
}

static void limit(__rlimit_resource_t which, rlim_t most)
{
	struct rlimit l;
	if (getrlimit(which, &l))
		die("getrlimit");
	l.rlim_cur = l.rlim_max = most < l.rlim_max ? most : l.rlim_max;
	if (setrlimit(which, &l))
		die("setrlimit");
}

static void become(unsigned id, const int *doors, int n_doors)
{
	for (int i = 0; i < n_doors; i++)
		if (write(doors[i], "0", 1) != 1)
			die("enter a control group");
	limit(RLIMIT_CORE, 1);
	limit(RLIMIT_NOFILE, 4096);
	limit(RLIMIT_RTPRIO, 0);
	limit(RLIMIT_NICE, 0);
	limit(RLIMIT_MEMLOCK, 64 << 10);
	if (setgroups(0, NULL) || setresgid(id, id, id) || setresuid(id, id, id))
		die("become nobody");
}

static int box_run(struct cgroup *c, unsigned id, char **argv)
{
	struct err e = ERR_INIT;
	int doors[CGROUP_DOORS], n_doors = cgroup_doors(c, doors, &e), status = 0, first = 0;
	struct clone_args args = {.exit_signal = SIGCHLD};
	if (n_doors < 0)
		die_of(&e);
	if (cgroup_clone_fd(c) >= 0) {
		args.flags = CLONE_INTO_CGROUP;
		args.cgroup = (unsigned)cgroup_clone_fd(c);
	}
	if (prctl(PR_SET_CHILD_SUBREAPER, 1))
		die("become a subreaper");
	pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	if (!pid) {
		become(id, doors, n_doors);
		execv(argv[0], argv);
		die(argv[0]);
	}
	if (pid < 0 || waitpid(pid, &first, 0) != pid)
		die("the box");
	/* bwrap ends before the box's pid 1 has, which is then our child. */
	while (wait(&status) > 0 || errno == EINTR)
		;
	return !WIFEXITED(first) || WEXITSTATUS(first);
}

static int box(const char *dir, const char *slot, char **argv)
{
	struct err e = ERR_INIT;
	size_t n = 0;
	unsigned id = FIRST_ID + (unsigned)strtoul(slot, NULL, 10);
	auto_free char *at = own_fmt("%s/%s", dir, slot), *root = own_fmt("%s/root", at);
	auto_fd int at_fd = open(at, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	/* Each reads it from its beginning. */
	int filter_fd = open(FILTER_PATH, O_RDONLY);
	fcntl(FILTER_FD, F_SETFD, FD_CLOEXEC);
	fcntl(TOLD_FD, F_SETFD, FD_CLOEXEC);
	if (at_fd < 0 || filter_fd < 0)
		die(at);
	alarm(TIME_LIMIT_S); /* bwrap --die-with-parent goes with us */
	struct cgroup *c = group_make(slot);
	if (mkdirat(at_fd, "u", 0755) || mkdirat(at_fd, "w", 0755) ||
	    fchownat(at_fd, "u", id, id, AT_SYMLINK_NOFOLLOW))
		die("an upper");
	auto_free char *options =
		own_fmt("lowerdir=%s/skeleton,upperdir=%s/u,workdir=%s/w,volatile", dir, at, at);
	if (mount("overlay", root, "overlay", MS_NODEV, options))
		die(root);
	while (argv[n])
		n++;
	auto_free char **all = own_calloc(n + 6, sizeof(*all)), *fd = own_fmt("%d", filter_fd);
	all[0] = argv[0];
	all[1] = (char[]){"--seccomp"};
	all[2] = fd;
	all[3] = (char[]){"--bind"};
	all[4] = root;
	all[5] = (char[]){"/"};
	memcpy(all + 6, argv + 1, (n - 1) * sizeof(*all));
	int rc = box_run(c, id, all);
	if (umount2(root, 0))
		die(root);
	if (dir_remove(at_fd, "u", &e) || dir_remove(at_fd, "w", &e) || cgroup_remove(c, &e))
		die_of(&e);
	return rc;
}

int main(int argc, char **argv)
{
	const char *slot = getenv("SLOT");
	size_t slots = argc > 4 ? strtoul(argv[3], NULL, 10) : 0;
	if (slots && !strcmp(argv[1], "open"))
		return open_all(argv[2], slots, argv + 4);
	if (argc > 3 && slot && !strcmp(argv[1], "box"))
		return box(argv[2], slot, argv + 3);
	fprintf(stderr, "bench_guarded: started by tests/bench/run\n");
	return 1;
}
