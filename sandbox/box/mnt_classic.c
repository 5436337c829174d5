#include "sandbox/box/mnt_classic.h"

#include "sandbox/box/mnt.h"

#include "base/child.h"
#include "base/mountinfo.h"
#include "base/text.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>

/* A file that is everywhere, to put the copy of a file over for a moment. */
#define FILE_PLACE "/proc/version"

/* What each flag is called by statvfs(3), mount(2) and mount_setattr(2). */
static const struct {
	unsigned long st, ms, attr;
} flags[] = {
	{ST_RDONLY, MS_RDONLY, MOUNT_ATTR_RDONLY},
	{ST_NOSUID, MS_NOSUID, MOUNT_ATTR_NOSUID},
	{ST_NODEV, MS_NODEV, MOUNT_ATTR_NODEV},
	{ST_NOEXEC, MS_NOEXEC, MOUNT_ATTR_NOEXEC},
	{ST_NOATIME, MS_NOATIME, 0},
	{ST_NODIRATIME, MS_NODIRATIME, 0},
	{ST_RELATIME, MS_RELATIME, 0},
};

/* A remount takes away what it does not name, and another user namespace's flags may not be. */
static int remount(const char *path, uint64_t attr, struct err *e)
{
	struct statvfs fs;
	unsigned long ms = 0;
	if (statvfs(path, &fs))
		return err_sys(e, "flags of the mount at %s", path);
	for (size_t i = 0; i < countof(flags); i++)
		if (fs.f_flag & flags[i].st || attr & flags[i].attr)
			ms |= flags[i].ms;
	return mount(NULL, path, NULL, MS_REMOUNT | MS_BIND | ms, NULL)
		       ? err_sys(e, "flags of the mount at %s", path)
		       : 0;
}

/* Mounts that were found to be below, by their number; a parent is listed before its children. */
struct below {
	int *id;
	size_t n;
	uint64_t attr;
};

static bool is_below(const struct below *b, int parent)
{
	for (size_t i = 0; i < b->n; i++)
		if (b->id[i] == parent)
			return true;
	return false;
}

static int one_below(struct below *b, const struct mountinfo *m, struct err *e)
{
	b->id = own_grow(b->id, b->n + 1, sizeof(*b->id));
	b->id[b->n++] = m->id;
	auto_free char *path = own_fmt(".%s", m->point);
	return remount(path, b->attr, e);
}

/* Mount points as the list has them begin at the root, where the tree is, too: from the working
 * directory, its top, they lead into it. */
static int all_below(int top_id, uint64_t attr, struct err *e)
{
	auto_file FILE *f = fopen("/proc/self/mountinfo", "re");
	auto_free char *line = NULL;
	auto_free int *first = own_alloc(sizeof(*first));
	size_t room = 0;
	struct below b = {.id = give(first), .n = 1, .attr = attr};
	struct mountinfo m;
	int bad = f ? 0 : err_sys(e, "/proc/self/mountinfo");
	b.id[0] = top_id;
	while (!bad && getline(&line, &room, f) > 0)
		if (mountinfo_parse(line, &m) && is_below(&b, m.parent))
			bad = one_below(&b, &m, e);
	free(b.id);
	return bad;
}

/* top: a path of the tree's top, the working directory where it is a directory. */
static int set_attached(int fd, const char *top, uint64_t attr, bool recursive, struct err *e)
{
	struct statx sx;
	if (mount(NULL, top, NULL, MS_PRIVATE | (recursive ? MS_REC : 0), NULL))
		return err_sys(e, "make a copy of a mount private");
	if (!attr)
		return 0;
	if (remount(top, attr, e))
		return -1;
	if (!recursive)
		return 0;
	if (statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &sx) || !(sx.stx_mask & STATX_MNT_ID))
		return err_sys(e, "the number of a mount");
	return all_below((int)sx.stx_mnt_id, attr, e);
}

/* top: as above, after it is attached at `place`. */
static int set_at(const char *place, const char *top, int fd, uint64_t attr, bool recursive,
		  struct err *e)
{
	if (mnt_put(fd, AT_FDCWD, place, e))
		return -1;
	int bad = set_attached(fd, top, attr, recursive, e);
	auto_fd int copy = bad ? -1 : mnt_clone(fd, "", recursive, e);
	if (umount2(top, MNT_DETACH))
		return bad ? bad : err_sys(e, "detach a copy of a mount");
	if (copy < 0)
		return -1;
	return dup3(copy, fd, O_CLOEXEC) < 0 ? err_sys(e, "dup3") : 0;
}

int mnt_set_classic(int fd, uint64_t attr, bool recursive, struct err *e)
{
	struct stat st;
	if (fstat(fd, &st))
		return err_sys(e, "stat a copy of a mount");
	if (!S_ISDIR(st.st_mode))
		return set_at(FILE_PLACE, FILE_PLACE, fd, attr, false, e);
	auto_fd int was = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (was < 0)
		return err_sys(e, "the working directory");
	int bad = fchdir(fd) ? err_sys(e, "enter a copy of a mount")
			     : set_at("/", ".", fd, attr, recursive, e);
	if (fchdir(was) && !bad)
		bad = err_sys(e, "back to the working directory");
	return bad;
}

static int in_private(int fd, uint64_t attr, bool recursive, struct err *e)
{
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return err_sys(e, "a mount namespace of its own");
	return mnt_set_classic(fd, attr, recursive, e);
}

int mnt_set_classic_apart(int fd, uint64_t attr, bool recursive, struct err *e)
{
	struct clone_args args = {.flags = CLONE_NEWNS | CLONE_FILES, .exit_signal = SIGCHLD};
	struct err *why =
		mmap(NULL, sizeof(*why), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (why == MAP_FAILED)
		return err_sys(e, "mmap");
	pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	if (!pid)
		_exit(in_private(fd, attr, recursive, why) ? 1 : 0);
	int status = pid < 0 ? err_sys(e, "clone a mount namespace") : child_end(pid);
	if (pid >= 0 && status && why->kind)
		*e = *why;
	else if (pid >= 0 && status)
		err_set(e, ERR_BOX, "who sets a mount's flags was ended (status %d)", status);
	munmap(why, sizeof(*why));
	return status ? -1 : 0;
}
