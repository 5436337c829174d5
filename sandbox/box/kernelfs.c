/* /dev, /proc and /sys: fresh, with no more in them than programs need. Each is finished in the
 * stage, where nothing of the job's can stand in the way, and moved to its place whole. What is in
 * the box read-only or small lies on the stage's own tmpfs: a file system less is quicker to make
 * and to end. */
#include "sandbox/box/stage.h"

#include "base/clock.h"
#include "base/dir.h"
#include "sandbox/box/ids.h"
#include "sandbox/box/mnt.h"
#include "sandbox/box/place.h"
#include "sandbox/box/share.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define PROC_FLAGS (MS_NOSUID | MS_NODEV | MS_NOEXEC)
#define OVERFLOW_ID 65534u /* who is not mapped: /proc/sys/kernel/overflowuid */
#define LATELY_NS INT64_C(1000000000)

static const struct kernelfs *kernelfs_of(const struct stage *st)
{
	return st->lately ? st->lately : &st->kernelfs;
}

static int put_at(struct stage *st, const char *from, const char *path, struct err *e)
{
	auto_fd int place = stage_dir(st, path, e);
	if (place >= 0 && stage_is_root(st, place))
		return 0;
	return place < 0 || mnt_move(from, place, e) ? err_add(e, "mount %s", path) : 0;
}

static const char *const dev_nodes[] = {"null", "zero", "full", "random", "urandom", "tty"};

static const char *const dev_links[][2] = {
	{"d/fd", "/proc/self/fd"},       {"d/stdin", "/proc/self/fd/0"},
	{"d/stdout", "/proc/self/fd/1"}, {"d/stderr", "/proc/self/fd/2"},
	{"d/ptmx", "pts/ptmx"},
};

static int dev_node(const char *name, struct err *e)
{
	char host[32], here[32];
	snprintf(host, sizeof(host), "/dev/%s", name);
	snprintf(here, sizeof(here), "d/%s", name);
	if (mknod(here, S_IFREG | 0666, 0))
		return err_sys(e, "make %s", host);
	return mnt_bind(host, here, e);
}

/* POSIX message queues lie on a file system of their own, one per IPC namespace; mq_overview(7). It
 * needs a place, because a Landlock rule allows what is below a place (landlock.c). */
static int dev_queues(struct err *e)
{
	if (mkdir("d/mqueue", 0755))
		return err_sys(e, "mkdir d/mqueue");
	if (!mnt_new("mqueue", "d/mqueue", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL, e))
		return 0;
	/* A kernel without; or (EPERM) the box's IPC namespace is still to be made. */
	if ((e->sys != ENODEV && e->sys != EPERM) || (e->sys == ENODEV && rmdir("d/mqueue")))
		return err_add(e, "/dev/mqueue");
	*e = (struct err)ERR_INIT;
	return 0;
}

int kernelfs_queues(int place, struct err *e)
{
	if (mnt_new("mqueue", "d", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL, e) ||
	    mnt_move("d", place, e))
		return err_add(e, "/dev/mqueue");
	return 0;
}

static int dev_make(struct err *e)
{
	char options[64];
	if (mnt_bind_as("d", "d", MS_NOSUID | MS_NOEXEC, e))
		return -1;
	for (size_t i = 0; i < countof(dev_nodes); i++)
		if (dev_node(dev_nodes[i], e))
			return err_add(e, "/dev/%s", dev_nodes[i]);
	for (size_t i = 0; i < countof(dev_links); i++)
		if (symlink(dev_links[i][1], dev_links[i][0]))
			return err_sys(e, "link /dev/%s", dev_links[i][0] + 2);
	snprintf(options, sizeof(options), "newinstance,ptmxmode=0666,mode=0620,max=%d",
		 SHARE_PTYS);
	if (mkdir("d/pts", 0755) || mnt_new("devpts", "d/pts", MS_NOSUID | MS_NOEXEC, options, e))
		return e->kind ? err_add(e, "/dev/pts") : err_sys(e, "mkdir d/pts");
	if (mkdir("d/shm", 0755) || mkdir("w/shm", 01777))
		return err_sys(e, "mkdir d/shm");
	if (mnt_bind("w/shm", "d/shm", e))
		return err_add(e, "/dev/shm");
	return dev_queues(e);
}

/* From what the helper made for the box's ids, or as the host has it. */
static int dev_loosened(const struct stage *st, uint32_t flag, const char *name, struct err *e)
{
	char from[32], here[32];
	if (!(st->spec->flags & flag))
		return 0;
	snprintf(from, sizeof(from), "%s/%s", st->devices >= 0 ? "v" : "/dev", name);
	snprintf(here, sizeof(here), "d/%s", name);
	if (mknod(here, S_IFREG | 0666, 0))
		return err_sys(e, "make /dev/%s", name);
	return mnt_bind(from, here, e);
}

static int dev_more(const struct stage *st, struct err *e)
{
	if (st->devices >= 0 && mkdir("v", 0755))
		return err_sys(e, "mkdir v");
	return (st->devices >= 0 && mnt_put(st->devices, AT_FDCWD, "v", e)) ||
			       dev_loosened(st, PLAN_LOOSEN_FUSE, "fuse", e) ||
			       dev_loosened(st, PLAN_LOOSEN_KVM, "kvm", e)
		       ? -1
		       : 0;
}

int kernelfs_dev(struct stage *st, struct err *e)
{
	if (dev_more(st, e))
		return -1;
	/* Opened here, because a mount of the plan's may cover the place: an earlier box may have
	 * made its mount point a link to it. */
	st->null = open("d/null", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (st->null < 0)
		return err_sys(e, "open /dev/null in the box");
	if (st->spec->flags & PLAN_TERMINAL_WANTED &&
	    (st->terminal = open("d/pts/ptmx", O_RDWR | O_NOCTTY | O_NOFOLLOW | O_CLOEXEC)) < 0)
		return err_sys(e, "open /dev/pts/ptmx in the box");
	return put_at(st, "d", "/dev", e);
}

/* Superset of what Docker masks, and what it has read-only of the host's devices and file systems.
 */
static const char *const proc_masked[] = {
	"acpi",         "asound",      "bus",           "config.gz", "driver",   "dma",
	"fb",           "fs",          "interrupts",    "iomem",     "ioports",  "irq",
	"kallsyms",     "kcore",       "key-users",     "keys",      "kmsg",     "kpagecgroup",
	"kpagecount",   "kpageflags",  "latency_stats", "mdstat",    "modules",  "mtrr",
	"pagetypeinfo", "pressure",    "sched_debug",   "scsi",      "slabinfo", "softirqs",
	"timer_list",   "timer_stats", "vmallocinfo",   "zoneinfo",
};

static const char *const proc_read_only[] = {"sys", "sysrq-trigger"};

static_assert(countof(proc_masked) + countof(proc_read_only) <= KERNELFS_PROC, "room for all");

/* May uid, as who looks sees it, have an id in the box? */
static bool is_mapped(const struct ids *ids, uid_t uid)
{
	if (!ids || (ids->ranged && !ids->above))
		return uid != OVERFLOW_ID;
	return ids->ranged ? uid - ids->uid < IDS_RANGE : uid == ids->uid || uid == OVERFLOW_ID;
}

/* Is it there, and may the box's ids do anything with it? A file of which only its owner has
 * something, and the owner has no id in the box, is closed to everybody there, whatever the
 * capabilities (user_namespaces(7)), and needs no mount: a third of them. */
static enum kernelfs_is proc_look(const char *name, const struct ids *ids)
{
	char path[32];
	struct stat s;
	snprintf(path, sizeof(path), "/proc/%s", name);
	if (lstat(path, &s) || S_ISLNK(s.st_mode))
		return KERNELFS_CLOSED;
	if (S_ISDIR(s.st_mode))
		return KERNELFS_DIR;
	return s.st_mode & 077 || is_mapped(ids, s.st_uid) ? KERNELFS_FILE : KERNELFS_CLOSED;
}

static int proc_mask(const char *name, enum kernelfs_is is, struct err *e)
{
	char path[32];
	snprintf(path, sizeof(path), "p/%s", name);
	if (is == KERNELFS_CLOSED || !mnt_bind(is == KERNELFS_DIR ? "n" : "/dev/null", path, e))
		return 0;
	return err_add(e, "mask /proc/%s", name);
}

static int proc_protect(const char *name, enum kernelfs_is is, struct err *e)
{
	char path[32];
	snprintf(path, sizeof(path), "p/%s", name);
	if (is == KERNELFS_CLOSED || !mnt_bind_as(path, path, MS_RDONLY | PROC_FLAGS, e))
		return 0;
	return err_add(e, "/proc/%s read-only", name);
}

int kernelfs_make_proc(struct stage *st, struct err *e)
{
	const enum kernelfs_is *is = kernelfs_of(st)->proc;
	if (mnt_new("proc", "p", PROC_FLAGS, NULL, e) ||
	    mnt_bind_as("n", "n", MS_RDONLY | PROC_FLAGS, e))
		return -1;
	for (size_t i = 0; i < countof(proc_masked); i++)
		if (proc_mask(proc_masked[i], *is++, e))
			return -1;
	for (size_t i = 0; i < countof(proc_read_only); i++)
		if (proc_protect(proc_read_only[i], *is++, e))
			return -1;
	return 0;
}

/* Who looks into the box, its pid 1 among them, asks for /proc. A link of that name the command
 * could remove, and put something of its own there; a mount it can't. */
int kernelfs_proc(struct stage *st, struct err *e)
{
	spec_say(st->spec, "mount /proc: the box's own, masked");
	if (put_at(st, "p", "/proc", e))
		return -1;
	auto_fd int proc = dir_open_beneath(st->root, "proc", O_PATH | O_DIRECTORY, 0);
	if (proc < 0)
		return stage_blame(st, err_sys(e, "/proc of the root is no directory"), e);
	return 0;
}

static const char *const sys_dirs[] = {
	"s/devices", "s/devices/system", "s/devices/system/cpu", "s/fs", "s/fs/cgroup",
};

/* What libc and runtimes read to count processors; copied, so that nothing of sysfs is in the box.
 */
static const struct {
	const char *host, *here;
} sys_files[] = {
	{"/sys/devices/system/cpu/online", "s/devices/system/cpu/online"},
	{"/sys/devices/system/cpu/possible", "s/devices/system/cpu/possible"},
	{"/sys/devices/system/cpu/present", "s/devices/system/cpu/present"},
};
static_assert(countof(sys_files) == KERNELFS_SYS, "each has its place");

static void sys_look(struct kernelfs *k, size_t i)
{
	auto_fd int fd = open(sys_files[i].host, O_RDONLY | O_CLOEXEC);
	k->sys_bytes[i] = fd < 0 ? -1 : read(fd, k->sys[i], sizeof(k->sys[i]));
}

void kernelfs_look(struct kernelfs *k, const struct ids *ids)
{
	for (size_t i = 0; i < countof(proc_masked); i++)
		k->proc[i] = proc_look(proc_masked[i], ids);
	for (size_t i = 0; i < countof(proc_read_only); i++)
		k->proc[countof(proc_masked) + i] = proc_look(proc_read_only[i], ids);
	for (size_t i = 0; i < countof(sys_files); i++)
		sys_look(k, i);
}

const struct kernelfs *kernelfs_lately(const struct ids *ids)
{
	static struct kernelfs seen;
	static int64_t seen_ns;
	static uint32_t seen_for;
	int64_t now = clock_mono_ns();
	if (!seen_ns || now - seen_ns > LATELY_NS || ids->uid != seen_for) {
		kernelfs_look(&seen, ids);
		seen_ns = now;
		seen_for = ids->uid;
	}
	return &seen;
}

static int sys_make(const struct kernelfs *k, struct err *e)
{
	for (size_t i = 0; i < countof(sys_dirs); i++)
		if (mkdir(sys_dirs[i], 0755))
			return err_sys(e, "mkdir %s", sys_dirs[i]);
	for (size_t i = 0; i < countof(sys_files); i++)
		if (k->sys_bytes[i] >= 0 && place_write(AT_FDCWD, sys_files[i].here, k->sys[i],
							(size_t)k->sys_bytes[i], 0444, e))
			return -1;
	return mnt_bind_as("s", "s", MS_RDONLY | PROC_FLAGS, e);
}

int kernelfs_make(struct stage *st, struct err *e)
{
	return dev_make(e) || sys_make(kernelfs_of(st), e) ? -1 : 0;
}

int kernelfs_sys(struct stage *st, struct err *e)
{
	spec_say(st->spec, "mount /sys: the processors, nothing else");
	return put_at(st, "s", "/sys", e);
}

/* What covers it can't be taken away: in the box for want of CAP_SYS_ADMIN, in a namespace below it
 * because it is locked. */
int kernelfs_whole_proc(const struct stage *st, struct err *e)
{
	auto_fd int under = stage_dir(st, "/sys/fs/cgroup", e);
	auto_fd int above = under < 0 ? -1 : stage_dir(st, "/sys/fs", e);
	if (above < 0)
		return -1;
	auto_fd int whole =
		mnt_make("proc", NULL, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, e);
	if (whole < 0 || mnt_put(whole, under, "", e))
		return -1;
	if (mkdir("c", 0755) || mkdir("c/cgroup", 0755))
		return err_sys(e, "mkdir c/cgroup");
	return mnt_bind_as("c", "c", MS_RDONLY | PROC_FLAGS, e) || mnt_move("c", above, e) ? -1 : 0;
}
