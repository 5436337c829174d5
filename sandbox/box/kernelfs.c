/* /dev, /proc and /sys: fresh, with no more in them than programs need. Each is finished in the
 * stage, where nothing of the job's can stand in the way, and moved to its place whole. */
#include "sandbox/box/stage.h"

#include "sandbox/box/mnt.h"
#include "sandbox/box/place.h"

#include "base/dir.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define DEV_SIZE (1ull << 20)

static int put_at(struct stage *st, int fd, const char *path, struct err *e)
{
	auto_fd int place = stage_dir(st, path, e);
	return place < 0 || mnt_put(fd, place, "", e) ? err_add(e, "mount %s", path) : 0;
}

static const char *const dev_nodes[] = {"null", "zero", "full", "random", "urandom", "tty"};

static const char *const dev_links[][2] = {
	{"fd", "/proc/self/fd"},       {"stdin", "/proc/self/fd/0"}, {"stdout", "/proc/self/fd/1"},
	{"stderr", "/proc/self/fd/2"}, {"ptmx", "pts/ptmx"},
};

static int dev_node(const char *name, struct err *e)
{
	char host[32], here[32];
	snprintf(host, sizeof(host), "/dev/%s", name);
	snprintf(here, sizeof(here), "d/%s", name);
	if (mknod(here, S_IFREG | 0666, 0))
		return err_sys(e, "make %s", host);
	auto_fd int fd = mnt_clone(AT_FDCWD, host, false, e);
	return fd < 0 ? -1 : mnt_put(fd, AT_FDCWD, here, e);
}

static int dev_put(const char *at, mode_t mode, int fd, struct err *e)
{
	if (fd < 0)
		return -1;
	if (mkdir(at, 0755) || chmod(at, mode))
		return err_sys(e, "mkdir %s", at);
	return mnt_put(fd, AT_FDCWD, at, e);
}

int kernelfs_dev(struct stage *st, struct err *e)
{
	static const char *const pts_options[] = {"newinstance", "ptmxmode=0666", "mode=0620",
						  NULL};
	auto_fd int dev = mnt_tmpfs(DEV_SIZE, 0755, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, e);
	if (dev < 0 || mnt_put(dev, AT_FDCWD, "d", e))
		return -1;
	for (size_t i = 0; i < countof(dev_nodes); i++)
		if (dev_node(dev_nodes[i], e))
			return err_add(e, "/dev/%s", dev_nodes[i]);
	for (size_t i = 0; i < countof(dev_links); i++)
		if (symlinkat(dev_links[i][1], dev, dev_links[i][0]))
			return err_sys(e, "link /dev/%s", dev_links[i][0]);
	/* Opened here, because a mount of the plan's may cover the place: an earlier box may have
	 * made its mount point a link to it. */
	st->null = open("d/null", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (st->null < 0)
		return err_sys(e, "open /dev/null in the box");
	auto_fd int pts = mnt_make("devpts", pts_options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, e);
	if (dev_put("d/pts", 0755, pts, e))
		return err_add(e, "/dev/pts");
	auto_fd int shm = mnt_tmpfs(st->tmpfs, 01777, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, e);
	if (dev_put("d/shm", 01777, shm, e))
		return err_add(e, "/dev/shm");
	return put_at(st, dev, "/dev", e);
}

/* Superset of what Docker masks; most of them are closed to a box's ids anyway. */
static const char *const proc_masked[] = {
	"acpi",       "asound",   "config.gz",   "driver",       "dma",         "fb",
	"interrupts", "iomem",    "ioports",     "kallsyms",     "kcore",       "key-users",
	"keys",       "kmsg",     "kpagecgroup", "kpagecount",   "kpageflags",  "latency_stats",
	"mdstat",     "modules",  "mtrr",        "pagetypeinfo", "pressure",    "sched_debug",
	"scsi",       "slabinfo", "softirqs",    "timer_list",   "timer_stats", "vmallocinfo",
	"zoneinfo",
};

static const char *const proc_read_only[] = {"bus", "fs", "irq", "sys", "sysrq-trigger"};

static int proc_mask(int proc, const char *name, int nothing, int null, struct err *e)
{
	struct stat s;
	if (fstatat(proc, name, &s, AT_SYMLINK_NOFOLLOW) || S_ISLNK(s.st_mode))
		return 0; /* this kernel has none */
	auto_fd int fd = S_ISDIR(s.st_mode) ? mnt_clone(nothing, "", false, e)
					    : mnt_clone(null, "", false, e);
	return fd < 0 || mnt_put(fd, proc, name, e) ? err_add(e, "mask /proc/%s", name) : 0;
}

static int proc_protect(int proc, const char *name, struct err *e)
{
	struct stat s;
	if (fstatat(proc, name, &s, AT_SYMLINK_NOFOLLOW))
		return 0;
	auto_fd int fd = mnt_clone(proc, name, true, e);
	if (fd < 0 || mnt_set(fd, MOUNT_ATTR_RDONLY, true, e) || mnt_put(fd, proc, name, e))
		return err_add(e, "/proc/%s read-only", name);
	return 0;
}

int kernelfs_proc(struct stage *st, struct err *e)
{
	auto_fd int proc =
		mnt_make("proc", NULL, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, e);
	if (proc < 0 || mnt_put(proc, AT_FDCWD, "p", e))
		return -1;
	auto_fd int nothing = mnt_make("tmpfs", (const char *const[]){"mode=555", "size=4k", NULL},
				       MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV, e);
	if (nothing < 0 || mnt_put(nothing, AT_FDCWD, "n", e))
		return -1;
	auto_fd int null = open("/dev/null", O_PATH | O_CLOEXEC);
	if (null < 0)
		return err_sys(e, "open /dev/null");
	for (size_t i = 0; i < countof(proc_masked); i++)
		if (proc_mask(proc, proc_masked[i], nothing, null, e))
			return -1;
	for (size_t i = 0; i < countof(proc_read_only); i++)
		if (proc_protect(proc, proc_read_only[i], e))
			return -1;
	spec_say(st->spec, "mount /proc");
	return put_at(st, proc, "/proc", e);
}

/* What libc and runtimes read to count processors; copied, so that nothing of sysfs is in the box.
 */
static const char *const sys_files[] = {
	"devices/system/cpu/online",
	"devices/system/cpu/possible",
	"devices/system/cpu/present",
};

static int sys_file(int sys, const char *rel, struct err *e)
{
	auto_free char *host = own_fmt("/sys/%s", rel);
	auto_text struct text t = TEXT_INIT;
	struct err ignored = ERR_INIT;
	auto_fd int fd = open(host, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || dir_read_fd(fd, 4096, &t, &ignored))
		return 0;
	if (place_parents(sys, rel, 0755, e))
		return -1;
	return place_write(sys, rel, text_str(&t), t.n, 0444, e);
}

int kernelfs_sys(struct stage *st, struct err *e)
{
	auto_fd int sys = mnt_tmpfs(DEV_SIZE, 0755,
				    MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, e);
	if (sys < 0 || mnt_put(sys, AT_FDCWD, "s", e))
		return -1;
	for (size_t i = 0; i < countof(sys_files); i++)
		if (sys_file(sys, sys_files[i], e))
			return err_add(e, "/sys");
	if (mkdirat(sys, "fs", 0755) || mkdirat(sys, "fs/cgroup", 0755))
		return err_sys(e, "mkdir /sys/fs/cgroup");
	if (mnt_set(sys, MOUNT_ATTR_RDONLY, false, e))
		return -1;
	return put_at(st, sys, "/sys", e);
}
