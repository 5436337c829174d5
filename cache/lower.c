#include "cache/lower.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

/* A character device 0:0 says that nothing below it is there (overlayfs(5), whiteouts). */
static bool lower_is_whiteout(const struct stat *st)
{
	return S_ISCHR(st->st_mode) && st->st_rdev == 0;
}

static bool lower_is_absence(int error)
{
	return error == ENOENT || error == ENOTDIR || error == ELOOP;
}

/* 1: *fd is what layer i has there. 0: nothing. -1. */
static int lower_probe(const struct cache_harvest *how, size_t i, const char *path, int *fd,
		       struct stat *st, struct err *e)
{
	*fd = tree_open(how->lower_fds[i], path, O_PATH | O_NOFOLLOW);
	if (*fd < 0)
		return lower_is_absence(errno) ? 0 : err_sys(e, "look up %s in the store", path);
	return fstat(*fd, st) ? err_sys(e, "stat %s in the store", path) : 1;
}

int lower_find(const struct cache_harvest *how, const unsigned short *lowers, size_t n,
	       const char *path, struct lower *l, struct err *e)
{
	*l = (struct lower){.fd = -1};
	for (size_t i = 0; i < n; i++) {
		auto_fd int fd = -1;
		int got = lower_probe(how, lowers[i], path, &fd, &l->st, e);
		if (got < 0)
			return -1;
		if (!got)
			continue;
		l->found = !lower_is_whiteout(&l->st);
		l->fd = l->found ? give_fd(&fd) : -1;
		return 0;
	}
	return 0;
}

int lower_read(const struct lower *l, struct err *e)
{
	char proc[32];
	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", l->fd);
	int fd = open(proc, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	return fd < 0 ? err_sys(e, "open the store's file") : fd;
}

int lower_dirs(const struct cache_harvest *how, const unsigned short *lowers, size_t n,
	       const char *path, struct harvest_item *item, struct err *e)
{
	item->n_lowers = 0;
	item->lowers = n ? own_calloc(n, sizeof(*item->lowers)) : NULL;
	for (size_t i = 0; i < n; i++) {
		struct stat st;
		auto_fd int fd = -1;
		int got = lower_probe(how, lowers[i], path, &fd, &st, e);
		if (got < 0)
			return -1;
		if (!got)
			continue;
		if (!S_ISDIR(st.st_mode)) {
			item->hidden = !item->n_lowers && !lower_is_whiteout(&st);
			break;
		}
		item->lowers[item->n_lowers++] = lowers[i];
	}
	return 0;
}
