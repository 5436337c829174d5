#include "sandbox/box/fusectl.h"

#include "base/own.h"
#include "base/unit.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#define FUSECTL_PLACE "/sys/fs/fuse/connections"
#define FUSECTL_MAGIC 0x65735543 /* fs/fuse/control.c */

static int fusectl_mounted(void)
{
	struct statfs fs;
	auto_fd int fd = open(FUSECTL_PLACE, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 || fstatfs(fd, &fs) || fs.f_type != FUSECTL_MAGIC ? -1 : give_fd(&fd);
}

int fusectl_open(void)
{
	int found = fusectl_mounted();
	if (found >= 0)
		return found;
	auto_fd int fs = fsopen("fusectl", FSOPEN_CLOEXEC);
	if (fs < 0 || fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		return -1;
	auto_fd int mount = fsmount(fs, FSMOUNT_CLOEXEC, 0);
	return mount < 0 ? -1 : openat(mount, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* What is opened is one connection's: when that has ended, writing does nothing. */
static bool connection_open_of(struct connection *c, int ctl, uint32_t minor, struct stat *st)
{
	char path[32];
	snprintf(path, sizeof(path), "%u/abort", minor);
	auto_fd int fd = openat(ctl, path, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, st))
		return false;
	*c = (struct connection){minor, st->st_ino, give_fd(&fd)};
	return true;
}

bool connection_open(struct connection *c, int ctl, uint32_t minor)
{
	struct stat st;
	return connection_open_of(c, ctl, minor, &st);
}

bool connection_is_there(const struct connection *c, int ctl)
{
	char path[32];
	struct stat st;
	snprintf(path, sizeof(path), "%u/abort", c->minor);
	return !fstatat(ctl, path, &st, AT_SYMLINK_NOFOLLOW) && st.st_ino == c->ino;
}

void connection_abort(const struct connection *c)
{
	if (write(c->abort_fd, "1", 1) < 0)
		return; /* it has ended */
}

void fusectl_each_of(int ctl, uint32_t uid, uint32_t n,
		     void (*fn)(void *arg, const struct connection *c), void *arg)
{
	struct connection c;
	struct stat st;
	uint64_t minor;
	int fd = openat(ctl, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir)
		own_close(&fd);
	for (struct dirent *d; dir && (d = readdir(dir));) {
		if (unit_parse_count(d->d_name, &minor) || minor > UINT32_MAX ||
		    !connection_open_of(&c, ctl, (uint32_t)minor, &st))
			continue;
		if (st.st_uid >= uid && st.st_uid - uid < n)
			fn(arg, &c);
		close(c.abort_fd);
	}
	if (dir)
		closedir(dir);
}
