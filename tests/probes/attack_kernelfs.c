/* /proc, /sys and /dev: what is readable there, what can be written, what is a device. */
#include "tests/probes/probe.h"

#include <dirent.h>
#include <limits.h>
#include <linux/magic.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

static void proc_masked(const struct probe *p)
{
	char path[128], text[4096];
	snprintf(path, sizeof(path), "/proc/%s", p->what);
	struct stat st;
	if (stat(path, &st))
		contained("%s", error_name(errno));
	if (S_ISDIR(st.st_mode)) {
		DIR *d = opendir(path);
		for (struct dirent *e; d && (e = readdir(d));)
			if (e->d_name[0] != '.')
				open_to("%s/%s is there", path, e->d_name);
		contained("it is empty");
	}
	ssize_t n = file_get(path, text, sizeof(text));
	if (n < 0 || !n)
		contained("%s", n ? error_name(errno) : "it is empty");
	open_to("%zd bytes can be read", n);
}

/* Symbols of the kernel with their addresses. */
static void proc_kallsyms(const struct probe *p)
{
	char text[4096];
	(void)p;
	ssize_t n = file_get("/proc/kallsyms", text, sizeof(text));
	if (n <= 0)
		contained("%s", n ? error_name(errno) : "it is empty");
	for (char *line = text; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
		if (strtoull(line, NULL, 16))
			open_to("addresses: %.40s", line);
	open_to("names without addresses");
}

/* The value that is there is written again. */
static void path_written(const struct probe *p)
{
	char text[4096];
	ssize_t n = file_get(p->what, text, sizeof(text));
	int fd = open(p->what, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		contained("%s", error_name(errno));
	if (p->a) /* a value that the kernel would take is no use: opening it is enough */
		open_to("open for writing");
	if (n <= 0 || write(fd, text, (size_t)n) < 0) {
		if (is_refusal(errno))
			contained("write: %s", error_name(errno));
		open_to("open for writing; write: %s", error_name(errno));
	}
	open_to("written");
}

static void write_first(const char *path, unsigned depth)
{
	char below[PATH_MAX];
	DIR *d = depth < 6 ? opendir(path) : NULL;
	for (struct dirent *e; d && (e = readdir(d));) {
		struct stat st;
		if (e->d_name[0] == '.' ||
		    snprintf(below, sizeof(below), "%s/%s", path, e->d_name) >=
			    (int)sizeof(below) ||
		    lstat(below, &st))
			continue;
		if (S_ISDIR(st.st_mode))
			write_first(below, depth + 1);
		if (!S_ISREG(st.st_mode))
			continue;
		int fd = open(below, O_WRONLY | O_CLOEXEC | O_NONBLOCK);
		if (fd >= 0)
			open_to("%s: open for writing", below);
	}
	if (d)
		closedir(d);
}

/* Nothing below opens for writing. */
static void tree_written(const struct probe *p)
{
	if (access(p->what, F_OK))
		contained("%s is not there", p->what);
	write_first(p->what, 0);
	contained("none of its files opens for writing");
}

static void entries(const struct probe *p)
{
	DIR *d = opendir(p->what);
	if (!d)
		contained("%s", error_name(errno));
	for (struct dirent *e; (e = readdir(d));)
		if (e->d_name[0] != '.')
			open_to("%s/%s is there", p->what, e->d_name);
	contained("it is empty");
}

static void proc_remount(const struct probe *p)
{
	if (is_bare())
		open_to("the host's own mounts: not tried");
	int rc = mount(NULL, p->what, NULL, MS_REMOUNT | MS_BIND | MS_NOSUID | MS_NODEV | MS_NOEXEC,
		       NULL);
	refused(rc, p->what);
}

static void proc_new(const struct probe *p)
{
	int rc = mount("proc", probe_work, "proc", 0, NULL);
	int error = errno;
	(void)p;
	if (!rc)
		umount2(probe_work, MNT_DETACH);
	errno = error;
	refused(rc, "a /proc without masks");
}

static void umount_mask(const struct probe *p)
{
	static const char *const masks[] = {"/proc/kcore", "/proc/keys", "/proc/acpi", "/proc/sys"};
	char text[4];
	(void)p;
	if (is_bare() && !geteuid())
		open_to("root, with no namespace of its own: not tried");
	for (size_t i = 0; i < sizeof(masks) / sizeof(*masks); i++) {
		if (!umount2(masks[i], MNT_DETACH))
			open_to("%s: a mask is gone", masks[i]);
		if (!is_refusal(errno) && errno != ENOENT && errno != EINVAL)
			open_to("%s: %s", masks[i], error_name(errno));
	}
	if (file_get("/proc/kcore", text, sizeof(text)) > 0)
		open_to("/proc/kcore can be read");
	contained("%s", error_name(errno));
}

/* Masks and links of /dev that a later run of the engine would trust (CVE-2025-31133): a job may
 * have its own view, but never one that another process of the host has. */
static void mask_renamed(const struct probe *p)
{
	(void)p;
	if (!rename("/proc/keys", "/proc/keys2") || !rename("/proc/sys", "/proc/sys2"))
		open_to("/proc's entries move");
	if (!symlink("/etc", "/proc/probe"))
		open_to("/proc takes new entries");
	contained("%s", error_name(errno));
}

static void dev_content(const struct probe *p)
{
	static const char known[] =
		" null zero full random urandom tty pts ptmx shm fd stdin stdout stderr "
		"console core mqueue ";
	(void)p;
	DIR *d = opendir("/dev");
	if (!d)
		contained("%s", error_name(errno));
	for (struct dirent *e; (e = readdir(d));) {
		char name[300];
		snprintf(name, sizeof(name), " %s ", e->d_name);
		if (e->d_name[0] != '.' && !strstr(known, name))
			open_to("/dev/%s", e->d_name);
	}
	contained("nothing but what programs need");
}

/* The host's terminals, by the number of its oldest: what is open there is not ours. */
static void dev_pts(const struct probe *p)
{
	const char *host = fact("pty");
	struct stat st;
	(void)p;
	if (stat(host, &st))
		contained("%s: %s", host, error_name(errno));
	int fd = open(host, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		contained("%s: %s", host, error_name(errno));
	open_to("%s of the host opens", host);
}

static void dev_console(const struct probe *p)
{
	int fd = open(p->what, O_WRONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		contained("%s", error_name(errno));
	open_to("%s opens for writing", p->what);
}

static void dev_node(const struct probe *p)
{
	static const char *const places[] = {".", "/tmp", "/dev", "/dev/shm"};
	dev_t dev = p->a ? makedev((unsigned)p->a, (unsigned)p->b) : (dev_t)fact_number("root_dev");
	mode_t type = p->a ? S_IFCHR : S_IFBLK;
	char path[PATH_MAX];
	int error = EPERM;
	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
		snprintf(path, sizeof(path), "%s/probe-node", i ? places[i] : probe_work);
		if (mknod(path, type | 0600, dev)) {
			error = errno;
			continue;
		}
		int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
		error = errno;
		unlink(path);
		if (fd >= 0)
			open_to("%s: made, and opens", path);
	}
	contained("%s", error_name(error));
}

static void dev_disk(const struct probe *p)
{
	char path[64];
	static const char *const names[] = {
		"vda",   "sda",           "nvme0n1",        "mem",
		"kmsg",  "port",          "loop0",          "loop-control",
		"fuse",  "kvm",           "net/tun",        "vhost-net",
		"hwrng", "btrfs-control", "mapper/control", "cpu_dma_latency",
		"tty0",  "tty1",          "input/event0"};
	(void)p;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		snprintf(path, sizeof(path), "/dev/%s", names[i]);
		int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
		if (fd >= 0)
			open_to("%s opens", path);
	}
	contained("none of the host's devices opens");
}

static void cgroup_path(const struct probe *p)
{
	char text[4096];
	(void)p;
	ssize_t n = file_get("/proc/self/cgroup", text, sizeof(text));
	if (n < 0)
		contained("%s", error_name(errno));
	char *rest = text;
	for (char *line; (line = strsep(&rest, "\n"));) {
		char *path = strchr(line, ':') ? strchr(strchr(line, ':') + 1, ':') : NULL;
		if (path && strcmp(path + 1, "/") && strncmp(path + 1, "/..", 3))
			open_to("%s", line);
	}
	contained("all groups look like the root");
}

static void cgroup_make(const struct probe *p)
{
	static const char *const places[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/memory",
					     "/sys/fs/cgroup/pids", "/sys/fs/cgroup/unified",
					     "/sys/fs/cgroup/systemd"};
	char path[128];
	(void)p;
	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
		struct statfs fs;
		snprintf(path, sizeof(path), "%s/assay-probe", places[i]);
		if (statfs(places[i], &fs) ||
		    (fs.f_type != CGROUP_SUPER_MAGIC && fs.f_type != CGROUP2_SUPER_MAGIC))
			continue;
		if (mkdir(path, 0755) && errno != EEXIST)
			continue;
		rmdir(path);
		open_to("%s: made", path);
	}
	contained("no group can be made");
}

static void cgroup_write(const struct probe *p)
{
	static const char *const files[] = {
		"cgroup.procs",        "memory/cgroup.procs",  "memory/memory.limit_in_bytes",
		"pids/cgroup.procs",   "memory/release_agent", "unified/cgroup.procs",
		"systemd/cgroup.procs"};
	char path[128];
	(void)p;
	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
		snprintf(path, sizeof(path), "/sys/fs/cgroup/%s", files[i]);
		int fd = open(path, O_WRONLY | O_CLOEXEC);
		if (fd >= 0)
			open_to("%s: open for writing", path);
	}
	contained("%s", error_name(errno));
}

/* Directly, and in namespaces of its own. */
static void mounted(const struct probe *p)
{
	const char *data = strcmp(p->what, "overlay") ? NULL : "lowerdir=/usr:/etc";
	int rc = mount("x", probe_work, p->what, MS_RDONLY, data), error = errno;
	if (!rc)
		umount2(probe_work, MNT_DETACH);
	if (rc && is_refusal(error) && !unshare(CLONE_NEWUSER | CLONE_NEWNS)) {
		rc = mount("x", probe_work, p->what, MS_RDONLY, data);
		error = errno;
	}
	errno = error;
	refused(rc, p->what);
}

#define MASKED(file)                                                                               \
	{                                                                                          \
		"masked_" file, PROBE_ATTACK, "/proc masks; CVE-2025-31133", proc_masked, 0, 0, 0, \
			file                                                                       \
	}
#define WRITTEN(name, path)                                                                        \
	{                                                                                          \
		"proc_sys_" name, PROBE_ATTACK, "/proc/sys", path_written, 0, 0, 0, path           \
	}

/* clang-format off */
const struct probe attack_kernelfs[] = {
	MASKED("kcore"), MASKED("keys"), MASKED("key-users"), MASKED("interrupts"), MASKED("timer_list"), MASKED("iomem"), MASKED("ioports"),
	MASKED("slabinfo"), MASKED("vmallocinfo"), MASKED("pagetypeinfo"), MASKED("zoneinfo"), MASKED("softirqs"), MASKED("kpageflags"),
	MASKED("kpagecount"), MASKED("acpi"), MASKED("dma"), MASKED("mtrr"), MASKED("driver"), MASKED("config.gz"), MASKED("kmsg"),
	MASKED("modules"), MASKED("scsi"), MASKED("pressure"), MASKED("asound"), MASKED("sched_debug"), MASKED("latency_stats"),
	{"masked_kallsyms", PROBE_ATTACK, "/proc masks", proc_kallsyms, 0, 0, 0, NULL},
	WRITTEN("core_pattern", "/proc/sys/kernel/core_pattern"), WRITTEN("modprobe", "/proc/sys/kernel/modprobe"),
	WRITTEN("hostname", "/proc/sys/kernel/hostname"), WRITTEN("ip_forward", "/proc/sys/net/ipv4/ip_forward"),
	WRITTEN("userns", "/proc/sys/user/max_user_namespaces"), WRITTEN("overcommit", "/proc/sys/vm/overcommit_memory"),
	WRITTEN("shmmax", "/proc/sys/kernel/shmmax"), WRITTEN("msgmax", "/proc/sys/kernel/msgmax"), WRITTEN("pid_max", "/proc/sys/kernel/pid_max"),
	WRITTEN("randomize", "/proc/sys/kernel/randomize_va_space"), WRITTEN("ping", "/proc/sys/net/ipv4/ping_group_range"),
	WRITTEN("mqueue", "/proc/sys/fs/mqueue/queues_max"), WRITTEN("hotplug", "/proc/sys/kernel/hotplug"),
	{"proc_sys_tree", PROBE_ATTACK, "/proc/sys", tree_written, 0, 0, 0, "/proc/sys"},
	{"proc_ns_last_pid", PROBE_ATTACK, "/proc/sys", path_written, 1, 0, 0, "/proc/sys/kernel/ns_last_pid"},
	{"sysrq", PROBE_ATTACK, "/proc", path_written, 1, 0, 0, "/proc/sysrq-trigger"},
	{"proc_irq", PROBE_ATTACK, "/proc", tree_written, 0, 0, 0, "/proc/irq"},
	{"proc_bus", PROBE_ATTACK, "/proc", tree_written, 0, 0, 0, "/proc/bus"},
	{"proc_fs", PROBE_ATTACK, "/proc", tree_written, 0, 0, 0, "/proc/fs"},
	{"binfmt_misc", PROBE_ATTACK, "/proc/sys", path_written, 1, 0, 0, "/proc/sys/fs/binfmt_misc/register"},
	{"proc_new", PROBE_ATTACK, "/proc masks; CVE-2019-19921", proc_new, 0, 0, 0, NULL},
	{"proc_remount", PROBE_ATTACK, "/proc masks; CVE-2023-27561", proc_remount, 0, 0, 0, "/proc"},
	{"proc_sys_remount", PROBE_ATTACK, "/proc/sys", proc_remount, 0, 0, 0, "/proc/sys"},
	{"umount_mask", PROBE_ATTACK, "/proc masks; CVE-2025-31133", umount_mask, 0, 0, 0, NULL},
	{"mask_renamed", PROBE_ATTACK, "/proc masks; CVE-2025-31133", mask_renamed, 0, 0, 0, NULL},
	{"sys_written", PROBE_ATTACK, "/sys", tree_written, 0, 0, 0, "/sys"},
	{"sys_remount", PROBE_ATTACK, "/sys", proc_remount, 0, 0, 0, "/sys"},
	{"sys_uevent_helper", PROBE_ATTACK, "/sys", path_written, 1, 0, 0, "/sys/kernel/uevent_helper"},
	{"sys_firmware", PROBE_ATTACK, "/sys", entries, 0, 0, 0, "/sys/firmware"},
	{"sys_block", PROBE_ATTACK, "/sys", entries, 0, 0, 0, "/sys/block"},
	{"sys_modules", PROBE_ATTACK, "/sys", entries, 0, 0, 0, "/sys/module"},
	{"sys_powercap", PROBE_ATTACK, "/sys", entries, 0, 0, 0, "/sys/devices/virtual/powercap"},
	{"sys_debug", PROBE_ATTACK, "/sys", entries, 0, 0, 0, "/sys/kernel/debug"},
	{"sys_security", PROBE_ATTACK, "/sys", entries, 0, 0, 0, "/sys/kernel/security"},
	{"cgroup_path", PROBE_ATTACK, "cgroup namespace; CVE-2023-25809", cgroup_path, 0, 0, 0, NULL},
	{"cgroup_mkdir", PROBE_ATTACK, "cgroup; CVE-2023-25809", cgroup_make, 0, 0, 0, NULL},
	{"cgroup_write", PROBE_ATTACK, "cgroup; CVE-2023-25809", cgroup_write, 0, 0, 0, NULL},
	{"cgroup_mount", PROBE_ATTACK, "cgroup v1 release_agent", mounted, 0, 0, 0, "cgroup"},
	{"cgroup2_mount", PROBE_ATTACK, "cgroup", mounted, 0, 0, 0, "cgroup2"},
	{"overlay_nested", PROBE_ATTACK, "mounts; CVE-2021-3493", mounted, 0, 0, 0, "overlay"},
	{"sysfs_mount", PROBE_ATTACK, "mounts", mounted, 0, 0, 0, "sysfs"},
	{"dev_content", PROBE_ATTACK, "/dev", dev_content, 0, 0, 0, NULL},
	{"dev_pts_host", PROBE_ATTACK, "/dev; CVE-2025-52565", dev_pts, 0, 0, 0, NULL},
	{"dev_console", PROBE_ATTACK, "/dev", dev_console, 0, 0, 0, "/dev/console"},
	{"dev_kmsg", PROBE_ATTACK, "/dev", dev_console, 0, 0, 0, "/dev/kmsg"},
	{"dev_host", PROBE_ATTACK, "/dev", dev_disk, 0, 0, 0, NULL},
	{"mknod_disk", PROBE_ATTACK, "/dev", dev_node, 0, 0, 0, NULL},
	{"mknod_mem", PROBE_ATTACK, "/dev", dev_node, 1, 1, 0, NULL},
	{"mknod_kmsg", PROBE_ATTACK, "/dev", dev_node, 1, 11, 0, NULL},
	{"mknod_fuse", PROBE_ATTACK, "/dev", dev_node, 10, 229, 0, NULL},
	{NULL, 0, NULL, NULL, 0, 0, 0, NULL},
};
