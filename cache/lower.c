#include "cache/lower.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define LOWER_SHORT 4000 /* less than PATH_MAX */

/* A character device 0:0 says that nothing below it is there (overlayfs(5), whiteouts). */
static bool lower_is_whiteout(const struct stat *st)
{
	return S_ISCHR(st->st_mode) && st->st_rdev == 0;
}

static bool lower_is_absence(int error)
{
	return error == ENOENT || error == ENOTDIR || error == ELOOP;
}

/* 1: layer i has something there. 0: nothing. -1. One call for one entry: what leads to it was seen
 * to be directories of this very layer, and a layer does not change. */
static int lower_probe(struct harvest *h, size_t i, const char *path, struct lower *l,
		       struct err *e)
{
	l->name = path;
	l->dirfd = strlen(path) < LOWER_SHORT ? h->how->lower_fds[i]
					      : tree_at(&h->lower_at[i], path, &l->name);
	if (l->dirfd >= 0 && !fstatat(l->dirfd, l->name, &l->st, AT_SYMLINK_NOFOLLOW))
		return 1;
	return lower_is_absence(errno) ? 0 : err_sys(e, "look up %s in the store", path);
}

int lower_find(struct harvest *h, const unsigned short *lowers, size_t n, const char *path,
	       struct lower *l, struct err *e)
{
	*l = (struct lower){.dirfd = -1};
	for (size_t i = 0; i < n; i++) {
		int got = lower_probe(h, lowers[i], path, l, e);
		if (got < 0)
			return -1;
		if (!got)
			continue;
		l->found = !lower_is_whiteout(&l->st);
		return 0;
	}
	return 0;
}

int lower_read(const struct lower *l, struct err *e)
{
	int fd = tree_open(l->dirfd, l->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
	return fd < 0 ? err_sys(e, "open the store's file") : fd;
}

int lower_dirs(struct harvest *h, const unsigned short *lowers, size_t n, const char *path,
	       struct harvest_item *item, struct err *e)
{
	item->n_lowers = 0;
	item->lowers = n ? own_calloc(n, sizeof(*item->lowers)) : NULL;
	for (size_t i = 0; i < n; i++) {
		struct lower l;
		int got = lower_probe(h, lowers[i], path, &l, e);
		if (got < 0)
			return -1;
		if (!got)
			continue;
		if (!S_ISDIR(l.st.st_mode)) {
			item->hidden = !item->n_lowers && !lower_is_whiteout(&l.st);
			break;
		}
		item->lowers[item->n_lowers++] = lowers[i];
	}
	return 0;
}
