#include "cache/adopt.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/vfs.h>
#include <sys/xattr.h>

#define ADOPT_LABEL "security.selinux"

/* What a file system sets by itself, or by a mount option (ioctl_iflags(2)). Of the others a job
 * could have set some: to fold cases, which overlays refuse in a lower; to be written to disk at
 * once. And what belongs to a project has all that comes into it counted there. */
enum {
	ADOPT_FLAGS = FS_EXTENT_FL | FS_INDEX_FL | FS_INLINE_DATA_FL | FS_COMPR_FL | FS_NOCOMP_FL |
		      FS_NOCOW_FL
};

/* A directory keeps the room of all the names it ever had, and who lists it pays for that. */
#define ADOPT_SIZE ((off_t)1 << 20)

/* The names of attributes that are looked at, all together. */
#define ADOPT_NAMES 4096

static bool adopt_owned(const struct harvest *h, const struct stat *st)
{
	return st->st_uid == h->euid && st->st_gid == h->egid;
}

void adopt_ask(struct harvest *h)
{
	struct statfs fs;
	h->xfs = !fstatfs(h->how->upper_fd, &fs) && fs.f_type == XFS_SUPER_MAGIC;
}

/* XFS has marks that the other call does not tell (ioctl_xfs_fsgetxattr(2)): no links in it, sizes
 * of extents. */
static bool adopt_unmarked(const struct harvest *h, int fd)
{
	unsigned flags = 0;
	struct fsxattr x;
	if (ioctl(fd, FS_IOC_GETFLAGS, &flags))
		return errno == ENOTTY || errno == EOPNOTSUPP; /* it has none */
	if (flags & ~(unsigned)ADOPT_FLAGS)
		return false;
	return !h->xfs || (!ioctl(fd, FS_IOC_FSGETXATTR, &x) &&
			   !(x.fsx_xflags & ~(unsigned)FS_XFLAG_HASATTR) && !x.fsx_extsize &&
			   !x.fsx_cowextsize && !x.fsx_projid);
}

/* Its owner can take it off again: a capability, or what a security module or a network file system
 * keeps there, can't be. The label is the host's policy's, and stays. */
static bool adopt_may_strip(const char *name)
{
	static const char *const whole[] = {"system.posix_acl_access", "system.posix_acl_default",
					    "btrfs.compression", ADOPT_LABEL};
	for (size_t i = 0; i < countof(whole); i++)
		if (!strcmp(name, whole[i]))
			return true;
	return !strncmp(name, "user.", 5) || !strncmp(name, "trusted.", 8);
}

/* Its owner can take all of its attributes off again. */
static bool adopt_strips(int fd)
{
	char names[ADOPT_NAMES];
	ssize_t n = flistxattr(fd, names, sizeof(names));
	if (n < 0)
		return errno == ENOTSUP;
	for (const char *p = names; p < names + n; p += strlen(p) + 1)
		if (!adopt_may_strip(p))
			return false;
	return true;
}

bool adopt_directory(const struct harvest *h, int fd, const struct stat *st, bool plain,
		     bool *as_is)
{
	*as_is = plain && (st->st_mode & 07777) == 0755;
	if (!h->how->spare_name) /* nobody will ask */
		return false;
	return adopt_owned(h, st) && st->st_size <= ADOPT_SIZE && adopt_unmarked(h, fd) &&
	       (plain || adopt_strips(fd));
}

bool adopt_link(const struct harvest *h, int dirfd, const char *name, const struct stat *st)
{
	if (!h->how->spare_name || !adopt_owned(h, st) || (st->st_mode & 0777) != 0777)
		return false;
	auto_free char *path = own_fmt("/proc/self/fd/%d/%s", dirfd, name);
	ssize_t n = llistxattr(path, NULL, 0);
	return !n || (n < 0 && errno == ENOTSUP);
}

/* Does it pay: is less to be removed or made anew than there would be to make? */
static bool adopt_pays(const struct harvest *h)
{
	size_t stays = 0, other = 0;
	for (size_t i = 0; i < h->n; i++)
		if (h->v[i].wanted && (h->v[i].as_is || h->v[i].may_link || h->v[i].x.type == 'd'))
			stays++;
		else
			other++;
	return stays >= other;
}

/* All attributes go but the label. */
static int adopt_strip(int fd, const char *path, struct err *e)
{
	char names[ADOPT_NAMES];
	ssize_t n = flistxattr(fd, names, sizeof(names));
	if (n < 0)
		return errno == ENOTSUP ? 0 : err_sys(e, "attributes of %s", path);
	for (const char *p = names; p < names + n; p += strlen(p) + 1)
		if (strcmp(p, ADOPT_LABEL) && fremovexattr(fd, p) && errno != ENODATA)
			return err_sys(e, "remove attribute %s of %s", p, path);
	return 0;
}

static int adopt_dress(int fd, const char *path, struct err *e)
{
	if (fchmod(fd, 0755))
		return err_sys(e, "set the mode of %s", path);
	return adopt_strip(fd, path, e);
}

static int adopt_directories(const struct build *b, const struct harvest *h, struct err *e)
{
	if (adopt_dress(b->root, "its root", e))
		return -1;
	for (size_t i = 0; i < h->n; i++) {
		const struct harvest_item *x = &h->v[i];
		if (x->x.type != 'd' || x->as_is)
			continue;
		auto_fd int fd = tree_open(b->root, x->x.path, O_RDONLY | O_DIRECTORY);
		if (fd < 0)
			return err_sys(e, "open %s", x->x.path);
		if (adopt_dress(fd, x->x.path, e))
			return -1;
	}
	return 0;
}

/* Backwards: what lies in a directory goes before it. */
static int adopt_remove(struct build *b, const struct harvest *h, struct err *e)
{
	for (size_t i = h->n; i--;) {
		const struct harvest_item *x = &h->v[i];
		if (!x->wanted && build_remove(b, x->x.path, x->x.type == 'd', e))
			return -1;
	}
	return 0;
}

int adopt_begin(struct build *b, struct cache *c, const struct harvest *h, struct err *e)
{
	const struct cache_harvest *how = h->how;
	struct stat root;
	bool as_is;
	if (!how->spare_name || h->mixed || fstat(how->upper_fd, &root) ||
	    !adopt_directory(h, how->upper_fd, &root, false, &as_is) || !adopt_pays(h))
		return 0;
	int rc = build_begin_with(b, c, how->spare_dirfd, how->spare_name, how->upper_fd, e);
	if (rc <= 0)
		return rc;
	if (!adopt_directories(b, h, e) && !adopt_remove(b, h, e))
		return 1;
	build_drop(b);
	return -1;
}
