/* What a box's processes have open and has no name any more: it has blocks all the same.
 *
 * A file system of the job's own (PLAN_LOOSEN_FUSE, PLAN_LOOSEN_USERNS) may never answer, and who
 * waits for it can't be killed. So it is not asked: statx(2) takes what the kernel knows already,
 * and what is known of a file's mount (proc_pid_mountinfo(5)) says which file systems may be asked
 * for more. */
#include "sandbox/box/look.h"

#include "base/mountinfo.h"
#include "base/own.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#define UNNAMED_FILES 1024
#define UNNAMED_DESCRIPTORS 65536 /* of all its processes: a look has an end */
#define UNNAMED_MOUNTS 65536      /* likewise */

enum mount_is { MOUNT_UNKNOWN, MOUNT_OVERLAY, MOUNT_TMPFS, MOUNT_OTHER };

struct mount {
	uint64_t id;
	enum mount_is is;
};

/* Those of one namespace. */
struct mounts {
	uint64_t ns; /* its number, 0: none */
	struct mount *all;
	size_t n, room;
};

struct unnamed {
	struct {
		uint64_t dev, ino;
	} all[UNNAMED_FILES]; /* seen already: descriptors are inherited */
	size_t n, looked, mounts_read;
	struct mounts box, other; /* of its pid 1; of the process that was looked at last */
	bool own_mounts;
	uint64_t room;
	uint64_t memfds; /* the device of all memfds */
	struct look_unnamed sum;
};

static uint64_t device_of(const struct statx *x)
{
	return (uint64_t)x->stx_dev_major << 32 | x->stx_dev_minor;
}

/* ---- mounts ---- */

static enum mount_is mount_of_type(const char *type)
{
	return !strcmp(type, "overlay") ? MOUNT_OVERLAY
	       : !strcmp(type, "tmpfs") ? MOUNT_TMPFS
					: MOUNT_OTHER;
}

static int by_id(const void *a, const void *b)
{
	const struct mount *x = a, *y = b;
	return x->id < y->id ? -1 : x->id > y->id;
}

static void mounts_line(struct mounts *m, char *line)
{
	struct mountinfo info;
	if (!mountinfo_parse(line, &info))
		return;
	if (m->n == m->room) {
		m->room = m->room ? m->room * 2 : 64;
		m->all = own_grow(m->all, m->room, sizeof(*m->all));
	}
	m->all[m->n++] = (struct mount){(uint64_t)info.id, mount_of_type(info.type)};
}

static uint64_t ns_of(int process)
{
	struct stat st;
	return fstatat(process, "ns/mnt", &st, 0) ? 0 : st.st_ino;
}

static void mounts_read(struct unnamed *u, struct mounts *m, int process)
{
	uint64_t ns = ns_of(process);
	if (!ns || ns == m->ns)
		return;
	int fd = openat(process, "mountinfo", O_RDONLY | O_CLOEXEC);
	auto_file FILE *f = fd < 0 ? NULL : fdopen(fd, "re");
	auto_free char *line = NULL;
	size_t room = 0;
	if (!f)
		own_close(&fd);
	m->ns = ns;
	m->n = 0;
	for (; f && u->mounts_read < UNNAMED_MOUNTS && getline(&line, &room, f) > 0;
	     u->mounts_read++)
		mounts_line(m, line);
	if (m->n)
		qsort(m->all, m->n, sizeof(*m->all), by_id);
}

static enum mount_is mount_find(const struct mounts *m, uint64_t id)
{
	const struct mount key = {.id = id};
	const struct mount *found = m->n ? bsearch(&key, m->all, m->n, sizeof(key), by_id) : NULL;
	return found ? found->is : MOUNT_UNKNOWN;
}

static enum mount_is mount_of(struct unnamed *u, int process, uint64_t id)
{
	if (!u->box.ns) {
		auto_fd int first = open("/proc/1", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (first >= 0)
			mounts_read(u, &u->box, first);
	}
	enum mount_is is = mount_find(&u->box, id);
	if (is != MOUNT_UNKNOWN || ns_of(process) == u->box.ns)
		return is;
	mounts_read(u, &u->other, process);
	return mount_find(&u->other, id);
}

/* ---- files ---- */

static bool unnamed_is_new(struct unnamed *u, const struct statx *x)
{
	uint64_t dev = device_of(x);
	for (size_t i = 0; i < u->n; i++)
		if (u->all[i].ino == x->stx_ino && u->all[i].dev == dev)
			return false;
	if (u->n == UNNAMED_FILES)
		return false;
	u->all[u->n].dev = dev;
	u->all[u->n++].ino = x->stx_ino;
	return true;
}

static bool unnamed_stat(int dirfd, const char *name, int flags, struct statx *x)
{
	unsigned want = STATX_TYPE | STATX_NLINK | STATX_INO | STATX_BLOCKS | STATX_MNT_ID;
	return !statx(dirfd, name, flags | AT_STATX_DONT_SYNC, want, x) && !x->stx_nlink &&
	       S_ISREG(x->stx_mode);
}

/* The kernel's own mount, where memfds are, has no limit; of the box's statfs(2) knows
 * (look_memory.c), files without a name too. */
static bool is_unlimited(int fd)
{
	struct statfs fs;
	return !fstatfs(fd, &fs) && !fs.f_blocks;
}

/* An overlay's numbers are those of what its upper is on; the room's size nothing else has. */
static bool is_in_room(const struct unnamed *u, int fd)
{
	struct statfs fs;
	return u->room && !fstatfs(fd, &fs) && fs.f_blocks == u->room;
}

/* On an overlay it is in an upper. What lies in a mount that is in neither list, somebody else's or
 * nobody's any more, counts as an overlay's where the job can make mounts and its device is no real
 * one; else it is a file that was handed in. */
static uint64_t *unnamed_sum(struct unnamed *u, int process, int fd, const struct statx *x)
{
	if (device_of(x) == u->memfds)
		return &u->sum.memory;
	switch (mount_of(u, process, x->stx_mnt_id)) {
	case MOUNT_OVERLAY:
		return is_in_room(u, fd) ? NULL : &u->sum.disk;
	case MOUNT_TMPFS:
		return is_unlimited(fd) ? &u->sum.memory : NULL;
	case MOUNT_OTHER:
		return NULL;
	case MOUNT_UNKNOWN:
		break;
	}
	return u->own_mounts && !x->stx_dev_major ? &u->sum.disk : NULL;
}

/* The descriptor may be another file's from one moment to the next: what is asked is what was
 * looked at. */
static void unnamed_add(struct unnamed *u, int process, int dirfd, const char *name)
{
	struct statx x;
	if (!unnamed_stat(dirfd, name, 0, &x))
		return;
	auto_fd int fd = openat(dirfd, name, O_PATH | O_CLOEXEC);
	if (fd < 0 || !unnamed_stat(fd, "", AT_EMPTY_PATH, &x))
		return;
	uint64_t *sum = unnamed_sum(u, process, fd, &x);
	if (sum && unnamed_is_new(u, &x))
		*sum += x.stx_blocks * 512;
}

static bool unnamed_look(void *arg, int process, pid_t pid)
{
	struct unnamed *u = arg;
	(void)pid;
	int fd = openat(process, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir)
		own_close(&fd);
	for (struct dirent *d; dir && u->looked < UNNAMED_DESCRIPTORS && (d = readdir(dir));) {
		u->looked++;
		if (d->d_name[0] != '.')
			unnamed_add(u, process, fd, d->d_name);
	}
	if (dir)
		closedir(dir);
	return u->looked < UNNAMED_DESCRIPTORS;
}

static uint64_t memfds_device(void)
{
	struct statx x;
	auto_fd int fd = memfd_create("device", MFD_CLOEXEC);
	return fd < 0 || statx(fd, "", AT_EMPTY_PATH, STATX_TYPE, &x) ? UINT64_MAX : device_of(&x);
}

struct look_unnamed look_unnamed(bool own_mounts, uint64_t room)
{
	auto_free struct unnamed *u = own_calloc(1, sizeof(*u));
	u->own_mounts = own_mounts;
	u->room = room;
	u->memfds = memfds_device();
	look_each(unnamed_look, u);
	free(u->box.all);
	free(u->other.all);
	return u->sum;
}
