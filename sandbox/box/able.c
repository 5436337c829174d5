#include "sandbox/box/able.h"

#include "sandbox/box/ids.h"
#include "sandbox/box/mnt.h"
#include "sandbox/box/overlay.h"
#include "sandbox/box/owners.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/stat.h>

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080 /* Linux 5.6 */
#endif

static const struct {
	const char *name;
	int flag;
} spaces[] = {
	{"user", 0},
	{"mount", CLONE_NEWNS},
	{"pid", CLONE_NEWPID},
	{"net", CLONE_NEWNET},
	{"ipc", CLONE_NEWIPC},
	{"uts", CLONE_NEWUTS},
	{"cgroup", CLONE_NEWCGROUP},
	{"time", CLONE_NEWTIME},
};

/* As a box of one id has it. */
static int able_user(struct err *e)
{
	struct ids ids;
	if (ids_open(&ids, "one", e))
		return -1;
	if (unshare(CLONE_NEWUSER))
		return err_sys(e, "a user namespace");
	return ids_map(&ids, getpid(), e);
}

int able_namespace(const char *name, struct err *e)
{
	for (size_t i = 0; i < countof(spaces); i++) {
		if (strcmp(spaces[i].name, name))
			continue;
		if (able_user(e))
			return -1;
		return spaces[i].flag && unshare(spaces[i].flag)
			       ? err_sys(e, "a %s namespace", name)
			       : 0;
	}
	return err_set(e, ERR_USAGE, "%s is no namespace", name);
}

/* l with two files, u, w, and m for the overlay. */
static int able_dirs(struct err *e)
{
	static const char *const dirs[] = {"l", "u", "w", "m"};
	for (size_t i = 0; i < countof(dirs); i++)
		if (mkdir(dirs[i], 0755))
			return err_sys(e, "mkdir");
	for (size_t i = 0; i < 2; i++) {
		auto_fd int fd =
			open(i ? "l/gone" : "l/changed", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
		if (fd < 0)
			return err_sys(e, "make a file");
	}
	return 0;
}

/* A file is changed and one removed in the overlay, which its upper must show. */
static int able_use(int overlay_fd, const char *upper, struct err *e)
{
	struct stat st;
	auto_fd int fd = openat(overlay_fd, "changed", O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "x", 1) != 1)
		return err_sys(e, "change a file in an overlay");
	if (unlinkat(overlay_fd, "gone", 0))
		return err_sys(e, "remove a file in an overlay");
	auto_fd int up = open(upper, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (up < 0 || fstatat(up, "changed", &st, 0) || st.st_size != 1)
		return err_set(e, ERR_BOX, "the overlay's upper has not what was written");
	return 0;
}

static int able_layers(const struct overlay *o, const char *way_name, struct err *e)
{
	enum overlay_way way = OVERLAY_FD;
	bool any = !strcmp(way_name, "any");
	if (!any && !overlay_way_of(way_name, &way))
		return err_set(e, ERR_USAGE, "%s is no way to make an overlay", way_name);
	auto_fd int fd = overlay_mount(o, &way, !any, e);
	return fd < 0 ? -1 : able_use(fd, o->upper, e);
}

/* What is below for the overlay in question: an overlay itself, at m. */
static int able_below(struct err *e)
{
	static const char *const lowers[] = {"l"};
	struct overlay below = {"tmpfs", lowers, 1, "u", "w"};
	enum overlay_way found = OVERLAY_FD;
	auto_fd int fd = overlay_mount(&below, &found, false, e);
	/* the last way has mounted it there already */
	return fd < 0 ? -1 : found == OVERLAY_CLASSIC ? 0 : mnt_put(fd, AT_FDCWD, "m", e);
}

int able_overlay(const char *way, const char *place, struct err *e)
{
	static const char *const plain[] = {"l"}, *const stacked[] = {"m"};
	struct overlay o = {place, plain, 1, "u", "w"};
	bool on_upper = !strcmp(place, "overlay"), on_lower = !strcmp(place, "stack");
	bool memory = on_upper || on_lower || !strcmp(place, "tmpfs");
	if (able_user(e))
		return -1;
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return err_sys(e, "a mount namespace");
	if (memory && mnt_new("tmpfs", "/tmp", 0, "mode=755", e))
		return -1;
	if (chdir(memory ? "/tmp" : place))
		return err_sys(e, "chdir to %s", place);
	if (able_dirs(e) || ((on_upper || on_lower) && able_below(e)))
		return -1;
	if (on_lower) {
		if (mkdir("u2", 0755) || mkdir("w2", 0755))
			return err_sys(e, "mkdir");
		o = (struct overlay){place, stacked, 1, "u2", "w2"};
	}
	if (on_upper && (chdir("m") || able_dirs(e)))
		return e->kind ? -1 : err_sys(e, "chdir to an overlay");
	return able_layers(&o, way, e);
}

int able_idmap(const char *word, const char *place, struct err *e)
{
	struct ids ids;
	struct owners owners = {.off = false};
	struct stat st;
	if (ids_open(&ids, word, e))
		return -1;
	auto_fd int fd = open(place, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st))
		return err_sys(e, "open %s", place);
	if (!ids.above)
		return err_set(e, ERR_BOX, "root's alone");
	return owners_can(&owners, fd, st.st_dev, &ids)
		       ? 0
		       : err_set(e, ERR_BOX, "its file system has none that an overlay takes");
}
