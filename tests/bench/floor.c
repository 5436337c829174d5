/* The least that a box takes of this kernel, for tests/bench/box-start: what none can do without
 * that is to have what assay's boxes have, in one small static program, each step one call after
 * the other, without a plan, a helper, a caller, a pid 1 of its own, a mask, a check or a message.
 *
 *     bench_floor BOXES AT-ONCE DIR [STEPS]
 *
 * STEPS: only so many of the steps below, from the first on. One line of JSON as bench_spawns
 * prints it; with STEPS "names" their names, a line each. Needs root. */
#include "tests/bench/bench.h"

#include "sandbox/cgroup.h"
#include "sandbox/filter.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum step { EXEC, NAMESPACES, NETWORK, IDS, OVERLAYS, MOUNTS, GROUPS, FILTER, STEPS };
static const char *const step_names[STEPS] = {
	[EXEC] = "a process that executes true",
	[NAMESPACES] = "user, mount, pid, ipc, uts, cgroup and time namespaces",
	[NETWORK] = "a network namespace, loopback up",
	[IDS] = "65536 ids",
	[OVERLAYS] = "overlays for / and /store, pivot",
	[MOUNTS] = "/proc, /dev, /tmp, /run",
	[GROUPS] = "cgroup, limits of memory and processes",
	[FILTER] = "capabilities, system call filter",
};
#define IDS_MAP "0 1879048192 65536" /* as assay's own */

/* Only these are done. */
static unsigned steps = STEPS;
static struct filter filter;
static struct cgroup_host *groups;
static int ids_fd, rootfs_fd, store_fd; /* a user namespace with the ids; what is below overlays */

struct floor {
	int at_fd; /* where the uppers are made */
	size_t k;
};

static void die(const char *what)
{
	fprintf(stderr, "bench_floor: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void die_of(const struct err *e)
{
	fprintf(stderr, "bench_floor: %s\n", e->text);
	exit(1);
}

/* ---- in the box ---- */

static void box_network(void)
{
	struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &lo))
		die("loopback");
	close(fd);
}

static void box_put(int fd, const char *at)
{
	if (move_mount(fd, "", AT_FDCWD, at, MOVE_MOUNT_F_EMPTY_PATH))
		die(at);
	close(fd);
}

static void box_overlay(const char *lower, const char *upper, const char *work, const char *at)
{
	int fs = fsopen("overlay", FSOPEN_CLOEXEC);
	if (fs < 0 || fsconfig(fs, FSCONFIG_SET_FLAG, "userxattr", NULL, 0) ||
	    fsconfig(fs, FSCONFIG_SET_STRING, "lowerdir", lower, 0) ||
	    fsconfig(fs, FSCONFIG_SET_STRING, "upperdir", upper, 0) ||
	    fsconfig(fs, FSCONFIG_SET_STRING, "workdir", work, 0) ||
	    fsconfig(fs, FSCONFIG_SET_FLAG, "volatile", NULL, 0) ||
	    fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		die("overlay");
	int fd = fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NODEV);
	if (fd < 0)
		die("fsmount");
	close(fs);
	box_put(fd, at);
}

static void box_dir(const char *path)
{
	if (mkdir(path, 0755))
		die(path);
}

static void box_mount(const char *type, const char *at, const char *options)
{
	if (mount(type, at, type, MS_NOSUID | MS_NOEXEC, options))
		die(at);
}

static void box_bind(const char *from, const char *at, unsigned long flags)
{
	if (mount(from, at, NULL, MS_BIND | flags, NULL))
		die(at);
}

static void box_mounts(void)
{
	static const char *const nodes[] = {"null", "zero", "full", "random", "urandom", "tty"};
	char host[32], here[32];
	box_mount("proc", "r/proc", NULL);
	box_dir("d");
	for (size_t i = 0; i < countof(nodes); i++) {
		snprintf(host, sizeof(host), "/dev/%s", nodes[i]);
		snprintf(here, sizeof(here), "d/%s", nodes[i]);
		if (mknod(here, S_IFREG | 0666, 0))
			die(here);
		box_bind(host, here, 0);
	}
	box_dir("d/pts");
	box_mount("devpts", "d/pts", "newinstance,ptmxmode=0666,mode=0620");
	box_dir("d/mqueue");
	box_mount("mqueue", "d/mqueue", NULL);
	box_bind("d", "r/dev", MS_REC);
	box_dir("t");
	box_bind("t", "r/tmp", 0);
	box_dir("u");
	box_bind("u", "r/run", 0);
}

/* layers: rootfs, store, and the directory of the uppers. */
static void box_root(const int layers[3])
{
	static const char *const names[] = {"l", "s", "b"};
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		die("private mounts");
	box_mount("tmpfs", "/sys", "mode=755");
	if (chdir("/sys"))
		die("chdir");
	box_dir("r");
	for (size_t i = 0; i < countof(names); i++) {
		box_dir(names[i]);
		box_put(layers[i], names[i]);
	}
	box_overlay("l", "b/r.u", "b/r.w", "r");
	box_overlay("s", "b/s.u", "b/s.w", "r/store");
	if (steps > MOUNTS)
		box_mounts();
	if (chdir("r") || syscall(SYS_pivot_root, ".", ".") || umount2(".", MNT_DETACH) ||
	    chdir("/"))
		die("pivot_root");
}

static void box_confine(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {
		{.effective = 1 << CAP_CHOWN, .permitted = 1 << CAP_CHOWN}};
	struct sock_fprog program = {.len = filter.n, .filter = filter.code};
	for (unsigned long c = CAP_CHOWN + 1; c <= CAP_LAST_CAP; c++)
		prctl(PR_CAPBSET_DROP, c, 0, 0, 0);
	if (syscall(SYS_capset, &header, data) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program))
		die("capabilities and filter");
}

static void box_run(int go_fd, const int layers[3], const int *doors, int n_doors)
{
	char go, *argv[] = {(char[]){"true"}, NULL}, *env[] = {NULL};
	if (read(go_fd, &go, 1) != 1)
		exit(1);
	if (steps > NAMESPACES && unshare(CLONE_NEWTIME))
		die("time namespace");
	if (steps > IDS && (setresgid(0, 0, 0) || setresuid(0, 0, 0)))
		die("become the box's root");
	if (steps > NETWORK)
		box_network();
	if (steps > OVERLAYS)
		box_root(layers);
	for (int i = 0; i < n_doors; i++)
		if (write(doors[i], "0", 1) != 1)
			die("enter a cgroup");
	if (steps > NAMESPACES && unshare(CLONE_NEWCGROUP))
		die("cgroup namespace");
	if (steps > FILTER)
		box_confine();
	if (steps > OVERLAYS)
		execve("/true", argv, env);
	else if (!fchdir(rootfs_fd))
		execve("true", argv, env);
	die("execute true");
}

/* ---- outside ---- */

static void ids_write(pid_t pid)
{
	static const char *const names[] = {"uid_map", "gid_map"};
	char path[40];
	for (size_t i = 0; i < countof(names); i++) {
		snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, names[i]);
		auto_fd int fd = open(path, O_WRONLY | O_CLOEXEC);
		if (fd < 0 || write(fd, IDS_MAP, strlen(IDS_MAP)) < 0)
			die(path);
	}
}

static pid_t floor_clone(uint64_t flags, int cgroup_fd)
{
	struct clone_args args = {.flags = flags, .exit_signal = SIGCHLD};
	if (cgroup_fd >= 0) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (unsigned)cgroup_fd;
	}
	pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	if (pid < 0)
		die("clone");
	return pid;
}

static int ids_namespace(void)
{
	char path[40];
	int stays[2], fd;
	if (pipe2(stays, O_CLOEXEC))
		die("pipe");
	pid_t pid = floor_clone(CLONE_NEWUSER, -1);
	if (!pid) {
		close(stays[1]);
		_exit(read(stays[0], path, 1) < 0);
	}
	ids_write(pid);
	snprintf(path, sizeof(path), "/proc/%d/ns/user", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	close(stays[0]);
	close(stays[1]);
	if (fd < 0 || waitpid(pid, NULL, 0) != pid)
		die("a user namespace");
	return fd;
}

static int layer_shown(int dir_fd)
{
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (unsigned)ids_fd};
	int fd = open_tree(dir_fd, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
	if (fd < 0 || mount_setattr(fd, "", AT_EMPTY_PATH, &attr, sizeof(attr)))
		die("idmapped mount");
	return fd;
}

static void floor_box(const struct floor *f, int upper_fd)
{
	static const struct cgroup_limits limits = {.memory = 1 << 30, .processes = 100};
	struct err e = ERR_INIT;
	struct cgroup *c = NULL;
	int layers[3] = {-1, -1, -1}, doors[CGROUP_DOORS], n_doors = 0, go[2], status;
	if (steps > OVERLAYS) {
		auto_fd int above = openat(upper_fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
		layers[0] = layer_shown(rootfs_fd);
		layers[1] = layer_shown(store_fd);
		layers[2] = layer_shown(above);
	}
	if (steps > GROUPS) {
		auto_free char *name = own_fmt("floor.%zu", f->k);
		c = cgroup_make(groups, name, &limits, &e);
		n_doors = c ? cgroup_doors(c, doors, &e) : -1;
		if (n_doors < 0)
			die_of(&e);
	}
	if (pipe2(go, O_CLOEXEC))
		die("pipe");
	uint64_t flags = 0;
	if (steps > NAMESPACES)
		flags = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS;
	if (steps > NETWORK)
		flags |= CLONE_NEWNET;
	pid_t pid = floor_clone(flags, c ? cgroup_clone_fd(c) : -1);
	if (!pid) {
		close(go[1]);
		box_run(go[0], layers, doors, n_doors);
	}
	for (size_t i = 0; i < countof(layers); i++)
		own_close(&layers[i]);
	for (int i = 0; i < n_doors; i++)
		close(doors[i]);
	if (steps > IDS)
		ids_write(pid);
	if (write(go[1], "", 1) != 1)
		die("begin");
	close(go[0]);
	close(go[1]);
	if (waitpid(pid, &status, 0) != pid || status)
		die("the box");
	if (cgroup_remove(c, &e))
		die_of(&e);
}

struct took {
	int64_t life, dirs, dirs_cpu;
};

static void worker(struct floor *f, size_t boxes, int to)
{
	struct err e = ERR_INIT;
	auto_free char *name = own_fmt("floor.%zu", f->k);
	for (size_t i = 0; i < boxes; i++) {
		struct dirs_cost dirs = {.wall = 0};
		struct uppers u;
		if (uppers_make(&u, f->at_fd, name, &dirs, &e))
			die_of(&e);
		int64_t began = clock_mono_ns();
		floor_box(f, u.fd[0]);
		int64_t life = clock_mono_ns() - began;
		uppers_close(&u);
		if (uppers_remove(f->at_fd, name, &dirs, &e))
			die_of(&e);
		struct took t = {life, dirs.wall, dirs.cpu};
		if (dir_write_all(to, &t, sizeof(t)))
			die("write");
	}
}

static int dir_at(int dirfd, const char *name)
{
	int fd = openat(dirfd, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		die(name);
	return fd;
}

static bool floor_measure(size_t boxes, size_t at_once, int dir_fd)
{
	int pipes[2];
	if (pipe2(pipes, O_CLOEXEC))
		die("pipe");
	int64_t usage = usage_all_ns(), busy = machine_busy_ns(), began = clock_mono_ns();
	for (size_t k = 0; k < at_once; k++) {
		struct floor f = {dir_fd, k};
		pid_t pid = fork();
		if (pid < 0)
			die("fork");
		if (!pid) {
			worker(&f, boxes / at_once + (k < boxes % at_once), pipes[1]);
			_exit(0);
		}
	}
	close(pipes[1]);
	struct series life = {.name = "life"}, dirs = {.name = "dirs"};
	int64_t dirs_cpu = 0;
	struct took t;
	while (read(pipes[0], &t, sizeof(t)) == (ssize_t)sizeof(t)) {
		series_add(&life, t.life);
		series_add(&dirs, t.dirs);
		dirs_cpu += t.dirs_cpu;
	}
	int64_t wall = clock_mono_ns() - began;
	bool whole = life.n == boxes;
	for (int status; wait(&status) > 0 || errno == EINTR;)
		whole &= !status;
	printf("{");
	series_print(&life);
	series_print(&dirs);
	printf("\"boxes\": %zu, \"wall\": %" PRId64 ", \"cpu\": %" PRId64 ", \"dirs_cpu\": %" PRId64
	       ", \"busy\": %" PRId64 "}\n",
	       boxes, wall, usage_all_ns() - usage, dirs_cpu, machine_busy_ns() - busy);
	return whole;
}

int main(int argc, char **argv)
{
	struct err e = ERR_INIT;
	if (argc == 5 && !strcmp(argv[4], "names")) {
		for (size_t i = 0; i < STEPS; i++)
			puts(step_names[i]);
		return 0;
	}
	size_t boxes = argc > 3 ? strtoul(argv[1], NULL, 10) : 0,
	       at_once = argc > 3 ? strtoul(argv[2], NULL, 10) : 0;
	if (!boxes || !at_once) {
		fprintf(stderr, "bench_floor: started by tests/bench/box-start\n");
		return 1;
	}
	if (argc == 5)
		steps = (unsigned)strtoul(argv[4], NULL, 10);
	auto_fd int dir_fd = dir_at(AT_FDCWD, argv[3]);
	rootfs_fd = dir_at(dir_fd, "rootfs");
	store_fd = dir_at(dir_fd, "store");
	ids_fd = ids_namespace();
	groups = cgroup_host_open("bench-floor", &e);
	if (!groups || filter_make(&filter, 0, &e))
		die_of(&e);
	bool whole = floor_measure(boxes, at_once, dir_fd);
	cgroup_host_close(groups);
	filter_fini(&filter);
	return whole ? 0 : 1;
}
