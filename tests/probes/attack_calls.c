/* System calls that a job has no business with, each made by its number with arguments that the
 * kernel would take. */
#include "tests/probes/probe.h"

#include <linux/aio_abi.h>
#include <linux/bpf.h>
#include <linux/fs.h>
#include <linux/kcmp.h>
#include <linux/keyctl.h>
#include <linux/mempolicy.h>
#include <linux/mount.h>
#include <linux/perf_event.h>
#include <linux/quota.h>
#include <linux/reboot.h>
#include <linux/userfaultfd.h>
#include <sched.h>
#include <signal.h>
#include <sys/fanotify.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/timex.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/utsname.h>
#include <time.h>

/* Newer than some libc's headers. */
#define CALL_STATMOUNT 457
#define CALL_LISTMOUNT 458
#define CALL_LSM_GET 459
#define CALL_LSM_SET 460
#define CALL_LSM_LIST 461
#define CALL_OPEN_TREE_ATTR 467
#define CALL_UNKNOWN 999

#define P(x) ((unsigned long)(uintptr_t)(x))

static void call_bpf_map(const struct probe *p)
{
	union bpf_attr attr = {.map_type = BPF_MAP_TYPE_ARRAY,
			       .key_size = 4,
			       .value_size = 4,
			       .max_entries = 1};
	(void)p;
	refused(syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof(attr)), "bpf map");
}

static void call_bpf_prog(const struct probe *p)
{
	struct bpf_insn code[] = {{.code = BPF_ALU64 | BPF_MOV | BPF_K},
				  {.code = BPF_JMP | BPF_EXIT}};
	union bpf_attr attr = {.prog_type = BPF_PROG_TYPE_SOCKET_FILTER,
			       .insn_cnt = 2,
			       .insns = P(code),
			       .license = P("GPL")};
	(void)p;
	refused(syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr)), "bpf program");
}

/* The least that perf_event_paranoid=2 lets everybody have. */
static void call_perf(const struct probe *p)
{
	struct perf_event_attr attr = {.type = PERF_TYPE_SOFTWARE,
				       .size = sizeof(attr),
				       .config = PERF_COUNT_SW_TASK_CLOCK,
				       .exclude_kernel = 1,
				       .exclude_hv = 1};
	(void)p;
	refused(syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0), "perf_event_open");
}

static void call_userfaultfd(const struct probe *p)
{
	(void)p;
	refused(syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY), "userfaultfd");
}

static void call_uring(const struct probe *p)
{
	unsigned char params[120] = {0}; /* struct io_uring_params */
	(void)p;
	refused(syscall(SYS_io_uring_setup, 4, params), "io_uring_setup");
}

/* One of fs.aio-max-nr, which is the machine's: who gets one may get all of them. */
static void call_aio(const struct probe *p)
{
	aio_context_t context = 0;
	(void)p;
	refused(syscall(SYS_io_setup, 1, &context), "io_setup");
}

static void call_key_session(const struct probe *p)
{
	(void)p;
	refused(syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0),
		"keyctl session");
}

static void call_key_add(const struct probe *p)
{
	(void)p;
	refused(syscall(SYS_add_key, "user", "assay-probe", "x", 1, KEY_SPEC_PROCESS_KEYRING),
		"add_key");
}

static void call_key_request(const struct probe *p)
{
	(void)p;
	refused(syscall(SYS_request_key, "user", "assay-probe-none", NULL, 0), "request_key");
}

static void call_key_join(const struct probe *p)
{
	(void)p;
	refused(syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, "assay-probe"), "keyctl join");
}

static void call_fanotify(const struct probe *p)
{
	(void)p;
	refused(syscall(SYS_fanotify_init, FAN_CLASS_NOTIF | FAN_REPORT_FID, O_RDONLY),
		"fanotify_init");
}

static void sleeper(void *arg)
{
	(void)arg;
	pause();
}

static pid_t child_sleeps(void)
{
	pid_t pid = fork();
	if (!pid)
		sleeper(NULL);
	return pid;
}

static void call_vm_writev(const struct probe *p)
{
	static int here;
	int value = 1;
	struct iovec local = {&value, sizeof(value)}, remote = {&here, sizeof(here)};
	(void)p;
	refused(syscall(SYS_process_vm_writev, child_sleeps(), &local, 1, &remote, 1, 0),
		"process_vm_writev");
}

static void call_pidfd_getfd(const struct probe *p)
{
	(void)p;
	int pidfd = (int)syscall(SYS_pidfd_open, child_sleeps(), 0);
	if (pidfd < 0)
		absent("pidfd_open: %s", error_name(errno));
	refused(syscall(SYS_pidfd_getfd, pidfd, 0, 0), "pidfd_getfd");
}

static void call_kcmp(const struct probe *p)
{
	(void)p;
	refused(syscall(SYS_kcmp, getpid(), child_sleeps(), KCMP_FILE, 0, 0), "kcmp");
}

static void call_name_to_handle(const struct probe *p)
{
	struct {
		struct file_handle head;
		unsigned char room[MAX_HANDLE_SZ];
	} h = {.head.handle_bytes = MAX_HANDLE_SZ};
	int mount;
	(void)p;
	long rc = syscall(SYS_name_to_handle_at, AT_FDCWD, "/proc/self", &h, &mount, 0);
	if (rc == -1 && errno == EOPNOTSUPP)
		rc = syscall(SYS_name_to_handle_at, AT_FDCWD, probe_work, &h, &mount, 0);
	if (rc == -1 && errno == EOPNOTSUPP)
		contained("name_to_handle_at: EOPNOTSUPP");
	refused(rc, "name_to_handle_at");
}

static void call_mount(const struct probe *p)
{
	(void)p;
	int rc = mount("none", probe_work, "tmpfs", 0, "size=4k");
	int error = errno;
	if (!rc)
		umount2(probe_work, MNT_DETACH);
	errno = error;
	refused(rc, "mount tmpfs");
}

static void call_bind(const struct probe *p)
{
	(void)p;
	int rc = mount("/proc", probe_work, NULL, MS_BIND, NULL);
	int error = errno;
	if (!rc)
		umount2(probe_work, MNT_DETACH);
	errno = error;
	refused(rc, "bind /proc elsewhere");
}

static void call_umount(const struct probe *p)
{
	(void)p;
	/* not a mount point: EINVAL comes after the permission */
	refused(umount2(probe_work, MNT_DETACH), "umount2");
}

static void call_pivot(const struct probe *p)
{
	(void)p;
	refused(syscall(SYS_pivot_root, probe_work, probe_work), "pivot_root");
}

static void call_fsopen(const struct probe *p)
{
	(void)p;
	int fd = (int)syscall(SYS_fsopen, "tmpfs", 1 /* FSOPEN_CLOEXEC */);
	if (fd < 0)
		refused(fd, "fsopen");
	if (syscall(SYS_fsconfig, fd, 6 /* FSCONFIG_CMD_CREATE */, NULL, NULL, 0))
		refused(-1, "fsconfig");
	refused(syscall(SYS_fsmount, fd, 0, 0), "fsmount");
}

static void call_fspick(const struct probe *p)
{
	(void)p;
	refused(syscall(SYS_fspick, AT_FDCWD, "/proc", 0), "fspick");
}

static void call_open_tree(const struct probe *p)
{
	(void)p;
	refused(syscall(p->a, AT_FDCWD, "/", 1 /* OPEN_TREE_CLONE */ | AT_RECURSIVE, NULL, 0),
		p->name);
}

static void call_move_mount(const struct probe *p)
{
	(void)p;
	refused(syscall(SYS_move_mount, AT_FDCWD, probe_work, AT_FDCWD, probe_work, 0),
		"move_mount");
}

static void call_mount_setattr(const struct probe *p)
{
	struct mount_attr attr = {.attr_clr = MOUNT_ATTR_RDONLY};
	(void)p;
	/* no mount point: asked only who may */
	refused(syscall(SYS_mount_setattr, AT_FDCWD, probe_work, 0, &attr, sizeof(attr)),
		"mount_setattr");
}

static void call_statmount(const struct probe *p)
{
	uint64_t request[4] = {24, (uint64_t)-1 /* LSMT_ROOT */, 0, 0}, ids[64];
	(void)p;
	if (syscall(CALL_LISTMOUNT, request, ids, 64, 0) != -1)
		open_to("listmount tells");
	if (!is_refusal(errno))
		open_to("listmount: the kernel looked at it: %s", error_name(errno));
	refused(syscall(CALL_STATMOUNT, request, ids, sizeof(ids), 0), "statmount");
}

static void call_setns(const struct probe *p)
{
	int fd = open("/proc/self/ns/user", O_RDONLY | O_CLOEXEC);
	(void)p;
	if (fd < 0)
		contained("no /proc/self/ns/user: %s", error_name(errno));
	/* EINVAL: one's own; the kernel looked */
	refused(syscall(SYS_setns, fd, 0), "setns");
}

static void call_ldt(const struct probe *p)
{
#ifdef SYS_modify_ldt
	unsigned char entry[16];
	(void)p;
	refused(syscall(SYS_modify_ldt, 0, entry, sizeof(entry)), "modify_ldt");
#else
	absent("%s: not on this processor", p->name);
#endif
}

static void call_mlockall(const struct probe *p)
{
	(void)p;
	refused(syscall(SYS_mlockall, MCL_CURRENT | MCL_ONFAULT), "mlockall");
}

static void call_secret(const struct probe *p)
{
	(void)p;
	refused(syscall(447 /* memfd_secret */, 0), "memfd_secret");
}

static void call_vmsplice(const struct probe *p)
{
	int pipes[2];
	struct iovec one = {(char[]){"x"}, 1};
	(void)p;
	if (pipe(pipes))
		absent("pipe: %s", error_name(errno));
	refused(syscall(SYS_vmsplice, pipes[1], &one, 1, 0), "vmsplice");
}

static void call_numa(const struct probe *p)
{
	unsigned long nodes = 1;
	(void)p;
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (syscall(SYS_migrate_pages, 0, 8, &nodes, &nodes) != -1 || !is_refusal(errno))
		open_to("migrate_pages");
	if (syscall(SYS_mbind, page, 4096, MPOL_DEFAULT, NULL, 0, 0) != -1 || !is_refusal(errno))
		open_to("mbind");
	refused(syscall(SYS_move_pages, 0, 1, &page, NULL, &nodes, 0), "move_pages");
}

/* 0 nanoseconds are added: the clock stays as it is. */
static void call_adjtimex(const struct probe *p)
{
	struct timex t = {.modes = ADJ_SETOFFSET | ADJ_NANO};
	(void)p;
	refused(p->a == SYS_adjtimex ? syscall(p->a, &t) : syscall(p->a, CLOCK_REALTIME, &t),
		p->what);
}

static void call_settimeofday(const struct probe *p)
{
	struct timezone zone = {0};
	struct timeval now;
	gettimeofday(&now, &zone);
	(void)p;
	refused(syscall(SYS_settimeofday, NULL, &zone), "settimeofday");
}

static void call_clock_settime(const struct probe *p)
{
	struct timespec now;
	(void)p;
	if (is_bare() && !geteuid())
		open_to("root, with no namespace of its own: not tried");
	clock_gettime(CLOCK_REALTIME, &now);
	refused(syscall(SYS_clock_settime, CLOCK_REALTIME, &now), "clock_settime");
}

static void call_hostname(const struct probe *p)
{
	struct utsname u;
	uname(&u);
	const char *name = p->a == SYS_sethostname ? u.nodename : u.domainname;
	refused(syscall(p->a, name, strlen(name)), p->what);
}

static void call_reboot(const struct probe *p)
{
	(void)p;
	/* not a command: EINVAL comes after the permission */
	refused(syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, 0x77, NULL),
		"reboot");
}

static void call_syslog(const struct probe *p)
{
	char text[128];
	(void)p;
	refused(syscall(SYS_syslog, 3 /* read all */, text, sizeof(text)), "syslog");
}

static void call_quota(const struct probe *p)
{
	(void)p;
	refused(syscall(SYS_quotactl, QCMD(Q_GETINFO, 0), "/dev/null", 0, NULL), "quotactl");
}

static void call_quota_fd(const struct probe *p)
{
	int fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	(void)p;
	refused(syscall(443 /* quotactl_fd */, fd, QCMD(Q_GETINFO, 0), 0, NULL), "quotactl_fd");
}

static void call_clone3(const struct probe *p)
{
	uint64_t args[11] = {(uint64_t)p->a, 0, 0, 0, SIGCHLD};
	long pid = syscall(SYS_clone3, args, 64);
	if (!pid)
		_exit(0);
	if (pid < 0 && p->a == 0)
		verdict(errno == ENOSYS ? VERDICT_GOOD : VERDICT_BAD, "clone3: %s",
			error_name(errno));
	refused(pid, p->name);
}

/* Without a terminal, so that nobody's is hung up. */
static void call_vhangup(const struct probe *p)
{
	(void)p;
	pid_t pid = fork();
	if (pid) {
		wait_for(pid);
		_exit(0);
	}
	setsid();
	refused(syscall(SYS_vhangup), "vhangup");
}

/* By another entry, where a filter may see other numbers. A child tries: it may be killed. */
static void entry_x32(void *arg)
{
	(void)arg;
#ifdef __x86_64__
	if (syscall(0x40000000l | SYS_getppid) == getppid())
		_exit(42);
#endif
}

static void entry_int80(void *arg)
{
	(void)arg;
#ifdef __x86_64__
	long rc;
	__asm__ volatile("int $0x80"
			 : "=a"(rc)
			 : "a"(64 /* i386's getppid */)
			 : "r8", "r9", "r10", "r11", "memory");
	if (rc == getppid())
		_exit(42);
#endif
}

static void call_entry(const struct probe *p)
{
	int status = in_child(p->a ? entry_int80 : entry_x32, NULL);
	if (WIFSIGNALED(status))
		contained("killed by SIG%s", sigabbrev_np(WTERMSIG(status)));
	if (WEXITSTATUS(status) == 42)
		open_to("the call was made");
	contained("no such call");
}

/* A tracer changes the number of a call after the filter has let another one through: since
 * Linux 4.8 the filter looks again. The child's unshare makes a user namespace or not. */
static void call_traced(const struct probe *p)
{
#ifdef __x86_64__
	struct user_regs_struct regs;
	int status;
	(void)p;
	pid_t pid = fork();
	if (!pid) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		_exit(syscall(SYS_getpgid, CLONE_NEWUSER) == 0 ? 42 : 1);
	}
	if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status) ||
	    ptrace(PTRACE_SYSCALL, pid, NULL, NULL) || waitpid(pid, &status, 0) != pid ||
	    ptrace(PTRACE_GETREGS, pid, NULL, &regs))
		contained("no tracing: %s", error_name(errno));
	regs.orig_rax = SYS_unshare;
	if (ptrace(PTRACE_SETREGS, pid, NULL, &regs) || ptrace(PTRACE_DETACH, pid, NULL, NULL))
		contained("%s", error_name(errno));
	status = wait_for(pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 42)
		open_to("unshare was made instead of getpgid");
	contained("the filter looked again");
#else
	absent("%s: written for x86-64", p->name);
#endif
}

/* A number no kernel has: what a program falls back on. */
static void call_unknown(const struct probe *p)
{
	(void)p;
	long rc = syscall(CALL_UNKNOWN);
	verdict(rc == -1 && errno == ENOSYS ? VERDICT_GOOD : VERDICT_BAD, "%s", error_name(errno));
}

/* By number with p->b and p->c for arguments: whatever they mean, the permission comes first. */
static void call_plain(const struct probe *p)
{
	refused(syscall(p->a, p->b, p->c, 0, 0, 0, 0), p->what);
}

/* clang-format off */
const struct probe attack_calls[] = {
	{"bpf_map", PROBE_ATTACK, "seccomp", call_bpf_map, 0, 0, 0, NULL},
	{"bpf_prog", PROBE_ATTACK, "seccomp", call_bpf_prog, 0, 0, 0, NULL},
	{"perf", PROBE_ATTACK, "seccomp", call_perf, 0, 0, 0, NULL},
	{"userfaultfd", PROBE_ATTACK, "seccomp", call_userfaultfd, 0, 0, 0, NULL},
	{"iouring", PROBE_ATTACK, "seccomp; isolate 2.6", call_uring, 0, 0, 0, NULL},
	{"iouring_enter", PROBE_ATTACK, "seccomp", call_plain, SYS_io_uring_enter, -1, 0, "io_uring_enter"},
	{"iouring_register", PROBE_ATTACK, "seccomp", call_plain, SYS_io_uring_register, -1, 0, "io_uring_register"},
	{"aio", PROBE_ATTACK, "seccomp; neighbours", call_aio, 0, 0, 0, NULL},
	{"key_session", PROBE_ATTACK, "seccomp; isolate 2.4", call_key_session, 0, 0, 0, NULL},
	{"key_add", PROBE_ATTACK, "seccomp; isolate 2.4", call_key_add, 0, 0, 0, NULL},
	{"key_request", PROBE_ATTACK, "seccomp", call_key_request, 0, 0, 0, NULL},
	{"key_join", PROBE_ATTACK, "seccomp", call_key_join, 0, 0, 0, NULL},
	{"fanotify", PROBE_ATTACK, "seccomp", call_fanotify, 0, 0, 0, NULL},
	{"vm_writev", PROBE_ATTACK, "seccomp", call_vm_writev, 0, 0, 0, NULL},
	{"pidfd_getfd", PROBE_ATTACK, "seccomp", call_pidfd_getfd, 0, 0, 0, NULL},
	{"kcmp", PROBE_ATTACK, "seccomp", call_kcmp, 0, 0, 0, NULL},
	{"name_to_handle", PROBE_ATTACK, "seccomp", call_name_to_handle, 0, 0, 0, NULL},
	{"mount", PROBE_ATTACK, "mounts", call_mount, 0, 0, 0, NULL},
	{"mount_bind", PROBE_ATTACK, "mounts; CVE-2019-19921", call_bind, 0, 0, 0, NULL},
	{"umount", PROBE_ATTACK, "mounts", call_umount, 0, 0, 0, NULL},
	{"pivot_root", PROBE_ATTACK, "mounts", call_pivot, 0, 0, 0, NULL},
	{"newmount_api", PROBE_ATTACK, "mounts; CVE-2021-41133", call_fsopen, 0, 0, 0, NULL},
	{"newmount_pick", PROBE_ATTACK, "mounts; CVE-2021-41133", call_fspick, 0, 0, 0, NULL},
	{"newmount_tree", PROBE_ATTACK, "mounts; CVE-2021-41133", call_open_tree, SYS_open_tree, 0, 0, NULL},
	{"newmount_tree_attr", PROBE_ATTACK, "mounts", call_open_tree, CALL_OPEN_TREE_ATTR, 0, 0, NULL},
	{"newmount_move", PROBE_ATTACK, "mounts; CVE-2021-41133", call_move_mount, 0, 0, 0, NULL},
	{"newmount_setattr", PROBE_ATTACK, "mounts; CVE-2021-41133", call_mount_setattr, 0, 0, 0, NULL},
	{"mount_list", PROBE_ATTACK, "mounts", call_statmount, 0, 0, 0, NULL},
	{"setns", PROBE_ATTACK, "namespaces", call_setns, 0, 0, 0, NULL},
	{"modify_ldt", PROBE_ATTACK, "seccomp", call_ldt, 0, 0, 0, NULL},
	{"mlockall", PROBE_ATTACK, "seccomp", call_mlockall, 0, 0, 0, NULL},
	{"memfd_secret", PROBE_ATTACK, "seccomp", call_secret, 0, 0, 0, NULL},
	{"vmsplice", PROBE_ATTACK, "seccomp", call_vmsplice, 0, 0, 0, NULL},
	{"numa_pages", PROBE_ATTACK, "seccomp", call_numa, 0, 0, 0, NULL},
	{"adjtimex", PROBE_ATTACK, "seccomp, clocks", call_adjtimex, SYS_adjtimex, 0, 0, "adjtimex"},
	{"clock_adjtime", PROBE_ATTACK, "seccomp, clocks", call_adjtimex, SYS_clock_adjtime, 0, 0, "clock_adjtime"},
	{"settimeofday", PROBE_ATTACK, "seccomp, clocks", call_settimeofday, 0, 0, 0, NULL},
	{"clock_settime", PROBE_ATTACK, "seccomp, clocks", call_clock_settime, 0, 0, 0, NULL},
	{"sethostname", PROBE_ATTACK, "seccomp", call_hostname, SYS_sethostname, 0, 0, "sethostname"},
	{"setdomainname", PROBE_ATTACK, "seccomp", call_hostname, SYS_setdomainname, 0, 0, "setdomainname"},
	{"reboot", PROBE_ATTACK, "seccomp", call_reboot, 0, 0, 0, NULL},
	{"kernel_log", PROBE_ATTACK, "seccomp", call_syslog, 0, 0, 0, NULL},
	{"quotactl", PROBE_ATTACK, "seccomp", call_quota, 0, 0, 0, NULL},
	{"quotactl_fd", PROBE_ATTACK, "seccomp", call_quota_fd, 0, 0, 0, NULL},
	{"module_init", PROBE_ATTACK, "seccomp, modules", call_plain, SYS_init_module, 0, 0, "init_module"},
	{"module_file", PROBE_ATTACK, "seccomp, modules", call_plain, SYS_finit_module, -1, 0, "finit_module"},
	{"module_delete", PROBE_ATTACK, "seccomp, modules", call_plain, SYS_delete_module, 0, 0, "delete_module"},
	{"kexec", PROBE_ATTACK, "seccomp", call_plain, SYS_kexec_load, 0, 99, "kexec_load"},
	{"kexec_file", PROBE_ATTACK, "seccomp", call_plain, SYS_kexec_file_load, -1, -1, "kexec_file_load"},
	{"swapon", PROBE_ATTACK, "seccomp", call_plain, SYS_swapon, (long)"/nonexistent", 0, "swapon"},
	{"swapoff", PROBE_ATTACK, "seccomp", call_plain, SYS_swapoff, (long)"/nonexistent", 0, "swapoff"},
	{"acct", PROBE_ATTACK, "seccomp", call_plain, SYS_acct, (long)"/nonexistent", 0, "acct"},
#ifdef __x86_64__
	{"iopl", PROBE_ATTACK, "seccomp", call_plain, SYS_iopl, 3, 0, "iopl"},
	{"ioperm", PROBE_ATTACK, "seccomp", call_plain, SYS_ioperm, 0x80, 1, "ioperm"},
	{"sysfs_call", PROBE_ATTACK, "seccomp", call_plain, SYS_sysfs, 3, 0, "sysfs"},
#endif
	{"vhangup", PROBE_ATTACK, "seccomp", call_vhangup, 0, 0, 0, NULL},
	{"lookup_dcookie", PROBE_ATTACK, "seccomp", call_plain, SYS_lookup_dcookie, 0, 0, "lookup_dcookie"},
	{"mempolicy", PROBE_ATTACK, "seccomp", call_plain, SYS_set_mempolicy, 0, 0, "set_mempolicy"},
	{"process_madvise", PROBE_ATTACK, "seccomp", call_plain, SYS_process_madvise, -1, 0, "process_madvise"},
	{"lsm_attr", PROBE_ATTACK, "seccomp", call_plain, CALL_LSM_GET, 100, 0, "lsm_get_self_attr"},
	{"lsm_set", PROBE_ATTACK, "seccomp", call_plain, CALL_LSM_SET, 100, 0, "lsm_set_self_attr"},
	{"lsm_list", PROBE_ATTACK, "seccomp", call_plain, CALL_LSM_LIST, 0, 0, "lsm_list_modules"},
	{"clone3", PROBE_ATTACK, "seccomp; CVE-2021-41133", call_clone3, 0, 0, 0, NULL},
	{"userns_clone3", PROBE_ATTACK, "namespaces; CVE-2021-41133", call_clone3, CLONE_NEWUSER, 0, 0, NULL},
	{"entry_x32", PROBE_ATTACK, "seccomp, native architecture", call_entry, 0, 0, 0, NULL},
	{"entry_int80", PROBE_ATTACK, "seccomp, native architecture", call_entry, 1, 0, 0, NULL},
	{"call_traced", PROBE_ATTACK, "seccomp", call_traced, 0, 0, 0, NULL},
	{"call_unknown", PROBE_ATTACK, "seccomp, unknown calls", call_unknown, 0, 0, 0, NULL},
	{NULL, 0, NULL, NULL, 0, 0, 0, NULL},
};
