#include "cache/adopt.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/xattr.h>

/* What a file system sets by itself, or by a mount option (ioctl_iflags(2)). Of the others a job
 * could have set some: to fold cases, which overlays refuse in a lower; to be written to disk at
 * once. And what belongs to a project has all that comes into it counted there. */
enum {
	ADOPT_FLAGS = FS_EXTENT_FL | FS_INDEX_FL | FS_INLINE_DATA_FL | FS_COMPR_FL | FS_NOCOMP_FL |
		      FS_NOCOW_FL
};

bool adopt_directory(const struct harvest *h, int fd, const struct stat *st)
{
	unsigned flags = 0;
	if (!h->how->spare_name) /* nobody will ask */
		return false;
	if (st->st_uid != h->euid)
		return false;
	if (ioctl(fd, FS_IOC_GETFLAGS, &flags))
		return errno == ENOTTY || errno == EOPNOTSUPP; /* it has none */
	return !(flags & ~(unsigned)ADOPT_FLAGS);
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

/* All attributes go but the label, which the host's policy gives. */
static int adopt_strip(int fd, const char *path, struct err *e)
{
	size_t room = 0;
	auto_free char *names = NULL;
	ssize_t n;
	while ((n = flistxattr(fd, names, room)) > (ssize_t)room || (n < 0 && errno == ERANGE)) {
		n = flistxattr(fd, NULL, 0);
		if (n < 0)
			break;
		room = (size_t)n + 1;
		free(names);
		names = own_alloc(room);
	}
	if (n < 0)
		return errno == ENOTSUP ? 0 : err_sys(e, "attributes of %s", path);
	for (const char *p = names; p && p < names + n; p += strlen(p) + 1)
		if (strcmp(p, "security.selinux") && fremovexattr(fd, p) && errno != ENODATA)
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
	if (!how->spare_name || h->mixed || fstat(how->upper_fd, &root) ||
	    !adopt_directory(h, how->upper_fd, &root) || !adopt_pays(h))
		return 0;
	int rc = build_begin_with(b, c, how->spare_dirfd, how->spare_name, how->upper_fd, e);
	if (rc <= 0)
		return rc;
	if (!adopt_directories(b, h, e) && !adopt_remove(b, h, e))
		return 1;
	build_drop(b);
	return -1;
}
