/* The root mount itself: an overlay, a bind, or a tmpfs with nothing but the skeleton. */
#include "sandbox/box/stage.h"

#include "base/dir.h"
#include "sandbox/box/mnt.h"
#include "sandbox/box/place.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

struct skeleton_dir {
	const char *path;
	mode_t mode;
};

/* clang-format off */
static const struct skeleton_dir skeleton_dirs[] = {
	{"root", 0700},    {"home", 0755},  {"opt", 0755},     {"srv", 0755},
	{"mnt", 0755},     {"media", 0755}, {"var", 0755},     {"var/tmp", 01777},
	{"var/lib", 0755}, {"var/log", 0755}, {"var/cache", 0755},
};
/* clang-format on */

static const char *const skeleton_links[] = {"bin", "sbin", "lib", "lib32", "lib64", "libx32"};

/* Links at the host's root into /usr, as they are there. */
static int skeleton_link(int dirfd, const char *name, struct err *e)
{
	char path[16], target[PATH_MAX];
	snprintf(path, sizeof(path), "/%s", name);
	ssize_t n = readlink(path, target, sizeof(target) - 1);
	if (n < 0)
		return 0;
	target[n] = 0;
	return symlinkat(target, dirfd, name) ? err_sys(e, "link %s", path) : 0;
}

static int skeleton_host(int dirfd, struct err *e)
{
	for (size_t i = 0; i < countof(skeleton_dirs); i++)
		if (mkdirat(dirfd, skeleton_dirs[i].path, skeleton_dirs[i].mode) ||
		    fchmodat(dirfd, skeleton_dirs[i].path, skeleton_dirs[i].mode, 0))
			return err_sys(e, "mkdir /%s", skeleton_dirs[i].path);
	for (size_t i = 0; i < countof(skeleton_links); i++)
		if (skeleton_link(dirfd, skeleton_links[i], e))
			return -1;
	return symlinkat("/run", dirfd, "var/run") ? err_sys(e, "link /var/run") : 0;
}

/* What every root has. Of layers it is the lowest, where it hides nothing; those of a root of the
 * plan's have most of it themselves, and the rest is wanted like anything else (wants.c). */
static int skeleton_fill(struct stage *st, int dirfd, struct err *e)
{
	static const char *const always[] = {"proc", "sys", "dev", "tmp", "run"};
	if (st->spec->flags & PLAN_ROOT_HOST && skeleton_host(dirfd, e))
		return -1;
	for (size_t i = 0; i < countof(always); i++)
		if (mkdirat(dirfd, always[i], 0755))
			return err_sys(e, "mkdir /%s", always[i]);
	return 0;
}

static int skeleton_layer(struct stage *st, struct err *e)
{
	if (mkdir("k", 0755))
		return err_sys(e, "mkdir k");
	auto_fd int fd = open("k", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? err_sys(e, "open the skeleton") : skeleton_fill(st, fd, e);
}

static const struct spec_mount *root_mount(const struct stage *st)
{
	for (size_t i = 0; i < st->spec->n_mounts; i++)
		if (!strcmp(st->spec->mounts[i].path, "/"))
			return &st->spec->mounts[i];
	return NULL;
}

static int root_open(struct stage *st, const struct spec_mount *m, struct err *e)
{
	if (!m || m->mode == PLAN_MOUNT_TMPFS) {
		auto_fd int fd =
			mnt_tmpfs(m && m->size ? m->size : st->tmpfs, 0755, MOUNT_ATTR_NODEV, e);
		return fd < 0 || skeleton_fill(st, fd, e) ? -1 : give_fd(&fd);
	}
	bool host = st->spec->flags & PLAN_ROOT_HOST;
	if (spec_mount_is_live(m) && !host) {
		struct layer *l = &st->layers->all[m->first];
		auto_fd int fd = layer_take(l, e);
		if (fd < 0)
			return -1;
		if (m->mode == PLAN_MOUNT_RW || !wants_missing(st, NULL, fd))
			return give_fd(&fd);
		l->fd = give_fd(&fd); /* an overlay then */
	}
	return host && skeleton_layer(st, e) ? -1 : mount_overlay(st, NULL, m, e);
}

int root_make(struct stage *st, struct err *e)
{
	const struct spec_mount *m = root_mount(st);
	if (!m && !(st->spec->flags & PLAN_ROOT_HOST))
		return err_set(e, ERR_USAGE, "nothing is mounted at /");
	spec_say(st->spec, "root: %s",
		 !m                            ? "a skeleton in memory"
		 : spec_mount_is_live(m)       ? "a directory of the host"
		 : m->mode == PLAN_MOUNT_TMPFS ? "in memory"
					       : "an overlay");
	return stage_root(st, root_open(st, m, e), e) ? err_add(e, "mount /") : 0;
}
