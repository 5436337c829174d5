#include "sandbox/box/mnt.h"

#include "sandbox/box/mnt_classic.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

int mnt_say(int fs_fd, struct err *e, const char *what)
{
	int sys = errno;
	char log[256], last[264] = "";
	ssize_t n;
	while ((n = read(fs_fd, log, sizeof(log) - 1)) > 0) {
		log[n] = 0;
		log[strcspn(log, "\n")] = 0;
		if (log[0] == 'e' && n > 2)
			snprintf(last, sizeof(last), " (%s)", log + 2);
	}
	errno = sys;
	return err_sys(e, "%s%s", what, last);
}

static int mnt_option(int fs, const char *option)
{
	char key[32];
	const char *eq = strchr(option, '=');
	if (!eq)
		return fsconfig(fs, FSCONFIG_SET_FLAG, option, NULL, 0);
	snprintf(key, sizeof(key), "%.*s", (int)(eq - option), option);
	return fsconfig(fs, FSCONFIG_SET_STRING, key, eq + 1, 0);
}

int mnt_make(const char *type, const char *const *options, uint64_t attr, struct err *e)
{
	auto_fd int fs = fsopen(type, FSOPEN_CLOEXEC);
	if (fs < 0)
		return err_sys(e, "new %s", type);
	for (; options && *options; options++)
		if (mnt_option(fs, *options)) {
			mnt_say(fs, e, *options);
			return err_add(e, "new %s", type);
		}
	if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0)) {
		mnt_say(fs, e, "create");
		return err_add(e, "new %s", type);
	}
	int fd = fsmount(fs, FSMOUNT_CLOEXEC, (unsigned)attr);
	return fd < 0 ? err_sys(e, "mount of a new %s", type) : fd;
}

int mnt_tmpfs(uint64_t size, unsigned mode, uint64_t attr, struct err *e)
{
	char size_option[40], mode_option[24];
	const char *options[] = {size_option, mode_option, NULL};
	snprintf(size_option, sizeof(size_option), "size=%llu", (unsigned long long)size);
	snprintf(mode_option, sizeof(mode_option), "mode=%o", mode);
	return mnt_make("tmpfs", options, attr, e);
}

int mnt_clone(int dirfd, const char *path, bool recursive, struct err *e)
{
	unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (*path ? 0 : AT_EMPTY_PATH) |
			 (recursive ? AT_RECURSIVE : 0);
	int fd = open_tree(dirfd, path, flags);
	return fd < 0 ? err_sys(e, "clone the mount of %s", *path ? path : "a layer") : fd;
}

static int set(int fd, uint64_t attr, bool recursive,
	       int (*classic)(int fd, uint64_t attr, bool recursive, struct err *e), struct err *e)
{
	struct mount_attr a = {.attr_set = attr, .propagation = MS_PRIVATE};
	if (!mount_setattr(fd, "", AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0), &a, sizeof(a)))
		return 0;
	if (errno == ENOSYS)
		return classic(fd, attr, recursive, e);
	return err_sys(e, "mount_setattr%s", attr & MOUNT_ATTR_RDONLY ? " read-only" : "");
}

int mnt_set(int fd, uint64_t attr, bool recursive, struct err *e)
{
	return set(fd, attr, recursive, mnt_set_classic, e);
}

int mnt_set_outside(int fd, uint64_t attr, bool recursive, struct err *e)
{
	return set(fd, attr, recursive, mnt_set_classic_apart, e);
}

int mnt_idmap(int fd, int userns_fd, uint64_t attr, bool recursive, struct err *e)
{
	struct mount_attr a = {.attr_set = MOUNT_ATTR_IDMAP | attr,
			       .propagation = MS_PRIVATE,
			       .userns_fd = (unsigned)userns_fd};
	if (mount_setattr(fd, "", AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0), &a, sizeof(a)))
		return err_sys(e, "idmapped mount (needs Linux 5.12 and a file system that can: "
				  "not an overlay, not NFS)");
	return 0;
}

int mnt_put(int fd, int dirfd, const char *path, struct err *e)
{
	unsigned flags = MOVE_MOUNT_F_EMPTY_PATH | (*path ? 0 : MOVE_MOUNT_T_EMPTY_PATH);
	if (move_mount(fd, "", dirfd, path, flags))
		return err_sys(e, "attach a mount%s%s", *path ? " at " : "", path);
	return 0;
}

int mnt_new(const char *type, const char *at, unsigned long flags, const char *options,
	    struct err *e)
{
	return mount(type, at, type, flags, options) ? err_sys(e, "mount a new %s at %s", type, at)
						     : 0;
}

int mnt_bind(const char *from, const char *at, struct err *e)
{
	return mount(from, at, NULL, MS_BIND, NULL) ? err_sys(e, "bind %s to %s", from, at) : 0;
}

int mnt_bind_as(const char *from, const char *at, unsigned long flags, struct err *e)
{
	if (mnt_bind(from, at, e))
		return -1;
	if (mount(NULL, at, NULL, MS_BIND | MS_REMOUNT | flags, NULL))
		return err_sys(e, "flags %#lx of the mount at %s", flags, at);
	return 0;
}

int mnt_move(const char *from, int place_fd, struct err *e)
{
	if (move_mount(AT_FDCWD, from, place_fd, "", MOVE_MOUNT_T_EMPTY_PATH))
		return err_sys(e, "move the mount at %s", from);
	return 0;
}
