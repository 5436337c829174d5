/* Capabilities, ids, and what an execve or a limit could give. */
#include "tests/probes/probe.h"

#include <limits.h>
#include <linux/capability.h>
#include <linux/ioprio.h>
#include <linux/securebits.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/xattr.h>

/* The nine that installing needs. */
#define NINE                                                                                       \
	(1ull << CAP_CHOWN | 1ull << CAP_DAC_OVERRIDE | 1ull << CAP_FSETID | 1ull << CAP_FOWNER |  \
	 1ull << CAP_SETGID | 1ull << CAP_SETUID | 1ull << CAP_SETFCAP | 1ull << CAP_SYS_CHROOT |  \
	 1ull << CAP_KILL)

static void cap_set(const struct probe *p)
{
	unsigned long long has = status_number(p->what, 16);
	if (has & ~(p->a ? 0 : NINE))
		open_to("%s %016llx", p->what, has);
	contained("%s %016llx", p->what, has);
}

static void cap_one(const struct probe *p)
{
	unsigned long long bounding = status_number("CapBnd", 16),
			   permitted = status_number("CapPrm", 16);
	if (permitted >> p->a & 1)
		open_to("it is permitted");
	if (bounding >> p->a & 1)
		open_to("it is in the bounding set");
	contained("neither permitted nor in the bounding set");
}

/* A job that were the host's root could write where that may, capabilities or not. Whose the host's
 * sysctls are is an id that the box knows, or nobody: where namespaces are nested uid_map says only
 * what the next one calls it. */
static void id_map(const struct probe *p)
{
	struct stat st;
	if (stat("/proc/sys/vm/overcommit_memory", &st))
		contained("no sysctl is seen: %s", error_name(errno));
	unsigned root = p->a ? st.st_gid : st.st_uid, self = p->a ? getegid() : geteuid();
	if (root == self)
		open_to("%u here is the host's root", self);
	if (root != 65534 /* overflowuid: none of the box's */ &&
	    !(p->a ? setresgid(root, root, root) : setresuid(root, root, root)))
		open_to("who is %u here may become %u, the host's root", self, root);
	contained("the host's root is %u here", root);
}

static void no_new_privs(const struct probe *p)
{
	(void)p;
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1)
		contained("set");
	open_to("not set");
}

static void seccomp_on(const struct probe *p)
{
	(void)p;
	unsigned long long mode = status_number("Seccomp", 10);
	if (mode == 2)
		contained("a filter");
	open_to("mode %llu", mode);
}

static void securebits(const struct probe *p)
{
	(void)p;
	if (prctl(PR_SET_SECUREBITS, SECBIT_KEEP_CAPS_LOCKED | SECBIT_NO_SETUID_FIXUP, 0, 0, 0))
		contained("%s", error_name(errno));
	open_to("may be set: CAP_SETPCAP");
}

static void cap_raise(const struct probe *p)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {{0}, {0}};
	(void)p;
	if (syscall(SYS_capget, &header, data))
		contained("capget: %s", error_name(errno));
	data[0].effective = data[0].permitted = ~0u;
	if (syscall(SYS_capset, &header, data))
		contained("%s", error_name(errno));
	open_to("all capabilities");
}

static void cap_ambient_raise(const struct probe *p)
{
	(void)p;
	for (unsigned long c = 0; c < 41; c++)
		if (!(NINE >> c & 1) && !prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, c, 0, 0))
			open_to("capability %lu", c);
	contained("%s", error_name(errno));
}

/* What `gained` says of itself in a pipe. */
struct gained {
	unsigned euid, egid;
	unsigned long long effective, permitted;
	bool ran;
};

int gained_main(void)
{
	char text[8192];
	unsigned long long effective = 0, permitted = 0;
	if (file_get("/proc/self/status", text, sizeof(text)) > 0) {
		char *e = strstr(text, "\nCapEff:"), *q = strstr(text, "\nCapPrm:");
		effective = e ? strtoull(e + 8, NULL, 16) : 0;
		permitted = q ? strtoull(q + 8, NULL, 16) : 0;
	}
	printf("%u %u %llx %llx\n", geteuid(), getegid(), effective, permitted);
	return 0;
}

static struct gained run_gained(const char *program)
{
	struct gained g = {0};
	char text[256] = "";
	int pipes[2];
	if (pipe(pipes))
		verdict(VERDICT_BAD, "pipe: %s", error_name(errno));
	pid_t pid = fork();
	if (!pid) {
		dup2(pipes[1], 1);
		execl(program, program, "gained", (char *)NULL);
		_exit(127);
	}
	close(pipes[1]);
	ssize_t n = read(pipes[0], text, sizeof(text) - 1);
	wait_for(pid);
	g.ran = n > 0 &&
		sscanf(text, "%u %u %llx %llx", &g.euid, &g.egid, &g.effective, &g.permitted) == 4;
	return g;
}

/* To be somebody who owns nothing, where there is somebody. */
static void become_other(void)
{
	if (setresgid(42, 42, 42) || setresuid(42, 42, 42))
		absent("there is one id only, and nobody else to become: %s", error_name(errno));
}

/* The runner's file is of its own (root's, where it is root) and set-user-id. */
static const char *share_path(const char *name)
{
	static char path[PATH_MAX];
	snprintf(path, sizeof(path), "%s/%s", probe_share, name);
	return path;
}

static void suid_host(const struct probe *p)
{
	(void)p;
	uid_t before = geteuid();
	unsigned long long permitted = status_number("CapPrm", 16);
	struct gained g = run_gained(share_path("suid"));
	if (!g.ran)
		contained("it does not run");
	if (g.euid != before || g.permitted & ~permitted)
		open_to("uid %u, permitted %llx", g.euid, g.permitted);
	contained("it runs as who started it, uid %u", g.euid);
}

static void suid_host_other(const struct probe *p)
{
	become_other();
	suid_host(p);
}

static void copy_self(const char *to, mode_t mode)
{
	char buffer[1 << 16];
	int from = open(probe_exe, O_RDONLY | O_CLOEXEC),
	    fd = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0700);
	if (from < 0 || fd < 0)
		verdict(VERDICT_BAD, "copy %s to %s: %s", probe_exe, to, error_name(errno));
	for (ssize_t n; (n = read(from, buffer, sizeof(buffer))) > 0;)
		if (write(fd, buffer, (size_t)n) != n)
			verdict(VERDICT_BAD, "write %s: %s", to, error_name(errno));
	fchmod(fd, mode);
	close(fd);
	close(from);
}

static void suid_own(const struct probe *p)
{
	char path[PATH_MAX];
	(void)p;
	snprintf(path, sizeof(path), "%s/suid", probe_work);
	chmod(probe_work, 0755);
	copy_self(path, 04755);
	become_other();
	struct gained g = run_gained(path);
	if (!g.ran)
		contained("it does not run");
	if (g.euid != 42 || g.permitted)
		open_to("uid %u, permitted %llx", g.euid, g.permitted);
	contained("it runs as who started it");
}

static void file_caps(const struct probe *p)
{
	char path[PATH_MAX];
	struct vfs_cap_data caps = {.magic_etc = VFS_CAP_REVISION_2 | VFS_CAP_FLAGS_EFFECTIVE,
				    .data = {{~0u, 0}, {0x1ff, 0}}};
	snprintf(path, sizeof(path), "%s/caps", probe_work);
	chmod(probe_work, 0755);
	copy_self(path, 0755);
	if (setxattr(path, "security.capability", &caps, sizeof(caps), 0))
		contained("they can't be given: %s", error_name(errno));
	if (p->a)
		become_other();
	struct gained g = run_gained(path);
	if (!g.ran)
		contained("it does not run");
	if (g.permitted & ~(p->a ? 0 : NINE))
		open_to("permitted %llx", g.permitted);
	contained("permitted %llx", g.permitted);
}

/* The caller's own copy of file capabilities; where none could be given it has no such file. */
static void caps_host(const struct probe *p)
{
	unsigned long long permitted = status_number("CapPrm", 16);
	(void)p;
	fact("filecap");
	struct gained g = run_gained(share_path("filecap"));
	if (!g.ran)
		contained("it does not run");
	if (g.permitted & ~permitted)
		open_to("permitted %llx", g.permitted);
	contained("permitted %llx", g.permitted);
}

static void rlimit_raise(const struct probe *p)
{
	struct rlimit l;
	if (getrlimit((__rlimit_resource_t)p->a, &l))
		contained("%s", error_name(errno));
	if (l.rlim_max == RLIM_INFINITY)
		contained("it is without end already");
	l.rlim_max++;
	refused(setrlimit((__rlimit_resource_t)p->a, &l), p->what);
}

static void nice_raise(const struct probe *p)
{
	(void)p;
	errno = 0;
	int now = getpriority(PRIO_PROCESS, 0);
	refused(setpriority(PRIO_PROCESS, 0, now - 1), "a higher priority");
}

static void real_time(const struct probe *p)
{
	struct sched_param one = {.sched_priority = 1};
	refused(sched_setscheduler(0, (int)p->a, &one), p->name);
}

static void deadline(const struct probe *p)
{
	struct {
		uint32_t size, policy;
		uint64_t flags;
		int32_t nice;
		uint32_t priority;
		uint64_t runtime, deadline, period;
	} attr = {48, 6 /* SCHED_DEADLINE */, 0, 0, 0, 1000000, 10000000, 10000000};
	(void)p;
	refused(syscall(SYS_sched_setattr, 0, &attr, 0), "SCHED_DEADLINE");
}

static void io_priority(const struct probe *p)
{
	(void)p;
	refused(syscall(SYS_ioprio_set, 1 /* IOPRIO_WHO_PROCESS */, 0, IOPRIO_PRIO_VALUE(p->a, 0)),
		"real-time input and output");
}

static void oom_lower(const struct probe *p)
{
	(void)p;
	if (file_put("/proc/self/oom_score_adj", "-1"))
		contained("%s", error_name(errno));
	open_to("others are ended first");
}

static void locked_memory(const struct probe *p)
{
	size_t n = 16 << 20;
	(void)p;
	void *at = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (at == MAP_FAILED || mlock(at, n))
		contained("%s", error_name(errno));
	open_to("16 MiB can't be swapped");
}

static void locked_shm(const struct probe *p)
{
	(void)p;
	void *at = mmap(NULL, 2 << 20, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
	if (at == MAP_FAILED)
		contained("%s", error_name(errno));
	open_to("a huge page of the host's pool");
}

static void immutable(const struct probe *p)
{
	char path[PATH_MAX];
	(void)p;
	snprintf(path, sizeof(path), "%s/immutable", probe_work);
	int fd = file_make(path, "x", 0644), flags = 0;
	if (fd < 0 || syscall(SYS_ioctl, fd, 0x80086601 /* FS_IOC_GETFLAGS */, &flags))
		contained("%s", error_name(errno));
	flags |= 0x10; /* FS_IMMUTABLE_FL: nobody could remove what the job left */
	long rc = syscall(SYS_ioctl, fd, 0x40086602 /* FS_IOC_SETFLAGS */, &flags);
	int error = errno;
	flags &= ~0x10;
	if (!rc)
		syscall(SYS_ioctl, fd, 0x40086602, &flags);
	errno = error;
	if (rc && (error == EOPNOTSUPP || error == ENOTTY))
		contained("%s", error_name(error));
	refused(rc, "an immutable file");
}

static void trusted_xattr(const struct probe *p)
{
	char path[PATH_MAX];
	snprintf(path, sizeof(path), "%s/x", probe_work);
	close(file_make(path, "x", 0644));
	int rc = setxattr(path, p->what, "y", 1, 0);
	if (rc && errno == EOPNOTSUPP)
		contained("EOPNOTSUPP");
	refused(rc, p->what);
}

static void dumpable_core(const struct probe *p)
{
	struct rlimit l;
	char text[256] = "";
	(void)p;
	getrlimit(RLIMIT_CORE, &l);
	file_get("/proc/sys/kernel/core_pattern", text, sizeof(text));
	/* core(5): with a limit of 0 a handler at the end of a pipe still gets it */
	if (l.rlim_cur > 1 || l.rlim_max > 1 || (text[0] == '|' && l.rlim_cur != 1))
		open_to("a dump of %llu bytes to %.*s", (unsigned long long)l.rlim_max,
			(int)strcspn(text, "\n"), text);
	contained("%llu byte", (unsigned long long)l.rlim_cur);
}

#define CAP(name)                                                                                  \
	{                                                                                          \
		"cap_" #name, PROBE_ATTACK, "capabilities", cap_one, CAP_##name, 0, 0, NULL        \
	}

/* clang-format off */
const struct probe attack_powers[] = {
	{"cap_effective", PROBE_ATTACK, "capabilities", cap_set, 0, 0, 0, "CapEff"},
	{"cap_permitted", PROBE_ATTACK, "capabilities", cap_set, 0, 0, 0, "CapPrm"},
	{"cap_bounding", PROBE_ATTACK, "capabilities", cap_set, 0, 0, 0, "CapBnd"},
	{"cap_inherit", PROBE_ATTACK, "capabilities; CVE-2022-29162", cap_set, 1, 0, 0, "CapInh"},
	{"cap_ambient", PROBE_ATTACK, "capabilities; CVE-2022-27650", cap_set, 1, 0, 0, "CapAmb"},
	CAP(SYS_ADMIN), CAP(NET_ADMIN), CAP(NET_RAW), CAP(SYS_PTRACE), CAP(SYS_MODULE), CAP(SYS_RAWIO), CAP(SYS_BOOT), CAP(SYS_TIME),
	CAP(SYS_NICE), CAP(SYS_RESOURCE), CAP(MKNOD), CAP(DAC_READ_SEARCH), CAP(AUDIT_WRITE), CAP(AUDIT_CONTROL), CAP(SETPCAP), CAP(LINUX_IMMUTABLE),
	CAP(IPC_LOCK), CAP(IPC_OWNER), CAP(LEASE), CAP(NET_BIND_SERVICE), CAP(NET_BROADCAST), CAP(SYS_PACCT), CAP(SYS_TTY_CONFIG), CAP(MAC_ADMIN),
	CAP(MAC_OVERRIDE), CAP(SYSLOG), CAP(WAKE_ALARM), CAP(BLOCK_SUSPEND), CAP(AUDIT_READ), CAP(PERFMON), CAP(BPF), CAP(CHECKPOINT_RESTORE),
	{"cap_raise", PROBE_ATTACK, "capabilities", cap_raise, 0, 0, 0, NULL},
	{"cap_ambient_raise", PROBE_ATTACK, "capabilities", cap_ambient_raise, 0, 0, 0, NULL},
	{"securebits", PROBE_ATTACK, "capabilities", securebits, 0, 0, 0, NULL},
	{"id_host_root", PROBE_ATTACK, "ids", id_map, 0, 0, 0, NULL},
	{"gid_host_root", PROBE_ATTACK, "ids", id_map, 1, 0, 0, NULL},
	{"no_new_privs", PROBE_ATTACK, "no_new_privs", no_new_privs, 0, 0, 0, NULL},
	{"seccomp_on", PROBE_ATTACK, "seccomp", seccomp_on, 0, 0, 0, NULL},
	{"suid_exec", PROBE_ATTACK, "no_new_privs; CVE-2021-3493", suid_host, 0, 0, 0, NULL},
	{"suid_exec_other", PROBE_ATTACK, "no_new_privs; CVE-2021-3493", suid_host_other, 0, 0, 0, NULL},
	{"suid_exec_own", PROBE_ATTACK, "no_new_privs; CVE-2023-0386", suid_own, 0, 0, 0, NULL},
	{"filecap_exec", PROBE_ATTACK, "no_new_privs", caps_host, 0, 0, 0, NULL},
	{"filecap_exec_own", PROBE_ATTACK, "no_new_privs", file_caps, 0, 0, 0, NULL},
	{"filecap_exec_other", PROBE_ATTACK, "no_new_privs", file_caps, 1, 0, 0, NULL},
	{"rlimit_raise_files", PROBE_ATTACK, "limits", rlimit_raise, RLIMIT_NOFILE, 0, 0, "RLIMIT_NOFILE"},
	{"rlimit_raise_lock", PROBE_ATTACK, "limits", rlimit_raise, RLIMIT_MEMLOCK, 0, 0, "RLIMIT_MEMLOCK"},
	{"rlimit_raise_core", PROBE_ATTACK, "limits", rlimit_raise, RLIMIT_CORE, 0, 0, "RLIMIT_CORE"},
	{"rlimit_raise_rt", PROBE_ATTACK, "limits", rlimit_raise, RLIMIT_RTPRIO, 0, 0, "RLIMIT_RTPRIO"},
	{"nice_raise", PROBE_ATTACK, "capabilities", nice_raise, 0, 0, 0, NULL},
	{"rt_fifo", PROBE_ATTACK, "capabilities", real_time, SCHED_FIFO, 0, 0, NULL},
	{"rt_rr", PROBE_ATTACK, "capabilities", real_time, SCHED_RR, 0, 0, NULL},
	{"rt_deadline", PROBE_ATTACK, "capabilities", deadline, 0, 0, 0, NULL},
	{"ioprio_rt", PROBE_ATTACK, "seccomp", io_priority, IOPRIO_CLASS_RT, 0, 0, NULL},
	{"oom_lower", PROBE_ATTACK, "inherited", oom_lower, 0, 0, 0, NULL},
	{"mlock_limit", PROBE_ATTACK, "limits", locked_memory, 0, 0, 0, NULL},
	{"huge_pages", PROBE_ATTACK, "limits", locked_shm, 0, 0, 0, NULL},
	{"immutable", PROBE_ATTACK, "capabilities", immutable, 0, 0, 0, NULL},
	{"xattr_trusted", PROBE_ATTACK, "capabilities", trusted_xattr, 0, 0, 0, "trusted.overlay.opaque"},
	{"xattr_security", PROBE_ATTACK, "capabilities", trusted_xattr, 0, 0, 0, "security.probe"},
	{"core_dump", PROBE_ATTACK, "inherited", dumpable_core, 0, 0, 0, NULL},
	{NULL, 0, NULL, NULL, 0, 0, 0, NULL},
};
