/* dir_remove: a tree that is somebody else's, of any depth and whatever its modes. Each directory
 * is first taken for an empty one, which most are, and again as soon as all that was seen in it is
 * gone; down to DEPTH levels each is emptied from within its parent; what is deeper is moved up to
 * the top of the tree under a fresh name and emptied from there, so that descriptors and stack are
 * bounded. */
#include "base/dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#define REMOVE_DEPTH 12
#define REMOVE_BUFFER 8192

/* getdents64(2). */
struct remove_entry {
	uint64_t ino;
	int64_t off;
	unsigned short size;
	unsigned char type;
	char name[];
};

struct remove {
	const char *rel; /* for messages */
	int up;          /* where the tree is; not of it */
	int top;         /* where deep directories are moved to */
	unsigned long moved;
};

static int remove_open(int dirfd, const char *name)
{
	struct open_how how = {
		.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_NOATIME,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_XDEV,
	};
	int fd = (int)syscall(SYS_openat2, dirfd, name, &how, sizeof(how));
	if (fd >= 0 || errno != EPERM)
		return fd;
	how.flags &= ~(unsigned long long)O_NOATIME; /* not ours: open(2) */
	return (int)syscall(SYS_openat2, dirfd, name, &how, sizeof(how));
}

/* The directory `name` in dirfd, made readable and writable where only its mode is in the way. */
static int remove_open_closed(int dirfd, const char *name)
{
	int fd = remove_open(dirfd, name);
	if (fd >= 0 || errno != EACCES)
		return fd;
	auto_fd int path = openat(dirfd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	char proc[32];
	if (path < 0)
		return -1;
	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", path);
	return chmod(proc, 0700) ? -1 : remove_open(dirfd, name);
}

/* One name that is no directory, or an empty one. dirfd's own mode may be what forbids it, and is
 * changed where dirfd is of the tree. */
static int remove_name(const struct remove *r, int dirfd, const char *name, int flags)
{
	if (!unlinkat(dirfd, name, flags) || errno == ENOENT)
		return 0;
	if (errno != EACCES || dirfd == r->up || fchmod(dirfd, 0700))
		return -1;
	return unlinkat(dirfd, name, flags) && errno != ENOENT ? -1 : 0;
}

/* Too deep. Renaming a directory rewrites its "..": it must be writable itself. */
static int remove_lift(struct remove *r, int dirfd, const char *name)
{
	char lift[64];
	auto_fd int deep = remove_open_closed(dirfd, name);
	if (deep < 0)
		return -1;
	do
		snprintf(lift, sizeof(lift), ".assay-rm-%lu", r->moved++);
	while (!faccessat(r->top, lift, F_OK, AT_SYMLINK_NOFOLLOW));
	if (!renameat(dirfd, name, r->top, lift))
		return 0;
	return errno != EACCES || fchmod(deep, 0700) || fchmod(dirfd, 0700) ||
			       renameat(dirfd, name, r->top, lift)
		       ? -1
		       : 0;
}

static int remove_dir(struct remove *r, int dirfd, const char *name, int fd, unsigned depth,
		      struct err *e);

static int remove_entry(struct remove *r, int dirfd, const struct remove_entry *it, unsigned depth,
			struct err *e)
{
	if (it->type != DT_DIR && !remove_name(r, dirfd, it->name, 0))
		return 0;
	/* EPERM is what POSIX wants said of a directory. */
	if (it->type != DT_DIR && (it->type != DT_UNKNOWN || (errno != EISDIR && errno != EPERM)))
		return err_sys(e, "remove %s/…/%s", r->rel, it->name);
	if (!remove_name(r, dirfd, it->name, AT_REMOVEDIR))
		return 0;
	if (errno != ENOTEMPTY && errno != EEXIST)
		return err_sys(e, "remove %s/…/%s", r->rel, it->name);
	if (depth == REMOVE_DEPTH)
		return remove_lift(r, dirfd, it->name)
			       ? err_sys(e, "remove %s/…/%s", r->rel, it->name)
			       : 0;
	auto_fd int sub = remove_open_closed(dirfd, it->name);
	if (sub < 0)
		return err_sys(e, "open %s/…/%s", r->rel, it->name);
	return remove_dir(r, dirfd, it->name, sub, depth + 1, e);
}

/* What is in one buffer. 1: there was something, 0: nothing, -1. */
static int remove_entries(struct remove *r, int fd, const char *buf, long n, unsigned depth,
			  struct err *e)
{
	int some = 0;
	for (long at = 0; at < n;) {
		const struct remove_entry *it = (const void *)(buf + at);
		at += it->size;
		if (!strcmp(it->name, ".") || !strcmp(it->name, ".."))
			continue;
		some = 1;
		if (remove_entry(r, fd, it, depth, e))
			return -1;
	}
	return some;
}

/* The directory `name` of dirfd, open as fd, with everything in it. What a file system passed over
 * while entries went, and what was moved up meanwhile, is found by reading again until there is
 * nothing. Where a buffer had room for one more there seldom is: then it goes without being asked.
 */
static int remove_dir(struct remove *r, int dirfd, const char *name, int fd, unsigned depth,
		      struct err *e)
{
	_Alignas(struct remove_entry) char buf[REMOVE_BUFFER];
	const long one = (long)sizeof(struct remove_entry) + NAME_MAX + 1;
	for (int some = 1; some;) {
		some = 0;
		long n;
		while ((n = syscall(SYS_getdents64, fd, buf, sizeof(buf))) > 0) {
			int here = remove_entries(r, fd, buf, n, depth, e);
			if (here < 0)
				return -1;
			some |= here;
			if (n + one <= REMOVE_BUFFER && !remove_name(r, dirfd, name, AT_REMOVEDIR))
				return 0;
		}
		if (n < 0 || (some && lseek(fd, 0, SEEK_SET)))
			return err_sys(e, "remove %s: read what is in it", r->rel);
	}
	return remove_name(r, dirfd, name, AT_REMOVEDIR)
		       ? err_sys(e, "remove %s%s%s", r->rel, depth ? "/…/" : "", depth ? name : "")
		       : 0;
}

int dir_remove(int dirfd, const char *rel, struct err *e)
{
	const char *slash = strrchr(rel, '/');
	const char *name = slash ? slash + 1 : rel;
	auto_free char *parent = slash ? own_dup_n(rel, (size_t)(slash - rel)) : NULL;
	auto_fd int above = slash ? dir_open_beneath(dirfd, parent, O_RDONLY | O_DIRECTORY, 0) : -1;
	int up = slash ? above : dirfd;
	if (slash && above < 0)
		return errno == ENOENT ? 0 : err_sys(e, "open the directory of %s", rel);
	auto_fd int top = remove_open_closed(up, name);
	if (top < 0 && errno == ENOENT)
		return 0;
	if (top < 0 && (errno == ENOTDIR || errno == ELOOP))
		return unlinkat(up, name, 0) && errno != ENOENT ? err_sys(e, "remove %s", rel) : 0;
	if (top < 0)
		return err_sys(e, "open %s", rel);
	struct remove r = {.rel = rel, .up = up, .top = top};
	return remove_dir(&r, up, name, top, 0, e);
}
