#include "orchestrator/pin.h"

#include "base/dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>

int pin_take(int state_fd, int64_t generation, struct pin *p, struct err *e)
{
	static unsigned serial;
	struct stat st;
	*p = (struct pin){.dirfd = dir_make(state_fd, "pins", 0700, e), .fd = -1};
	if (p->dirfd < 0)
		return -1;
	for (;;) {
		snprintf(p->name, sizeof(p->name), "%" PRId64 ".%d.%u", generation, (int)getpid(),
			 serial++);
		p->fd = openat(p->dirfd, p->name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (p->fd < 0 && errno == EEXIST)
			continue;
		if (p->fd < 0 || flock(p->fd, LOCK_SH) || fstat(p->fd, &st)) {
			err_sys(e, "pin generation %" PRId64, generation);
			pin_drop(p);
			return -1;
		}
		/* Somebody may have taken it for a dead one's in between. */
		if (st.st_nlink)
			return 0;
		own_close(&p->fd);
	}
}

void pin_drop(struct pin *p)
{
	if (p->fd >= 0)
		unlinkat(p->dirfd, p->name, 0);
	own_close(&p->fd);
	own_close(&p->dirfd);
}

/* 1: a living process holds it, 0: it is gone now, -1. */
static int pin_look(int dirfd, const char *name, struct err *e)
{
	auto_fd int fd = dir_open_beneath(dirfd, name, O_RDWR | O_NONBLOCK, 0);
	if (fd < 0)
		return errno == ENOENT ? 0 : err_sys(e, "open pins/%s", name);
	if (flock(fd, LOCK_EX | LOCK_NB))
		return errno == EWOULDBLOCK ? 1 : err_sys(e, "look at pins/%s", name);
	return unlinkat(dirfd, name, 0) && errno != ENOENT ? err_sys(e, "remove pins/%s", name) : 0;
}

int pin_list(int state_fd, int64_t **out, size_t *n, struct err *e)
{
	*out = NULL;
	*n = 0;
	auto_fd int dirfd = dir_make(state_fd, "pins", 0700, e);
	int scan = dirfd < 0 ? -1 : openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = scan < 0 ? NULL : fdopendir(scan);
	int rc = 0;
	if (!d) {
		own_close(&scan);
		return dirfd < 0 ? -1 : err_sys(e, "read pins");
	}
	for (struct dirent *it; rc >= 0 && (errno = 0, it = readdir(d));) {
		char *end;
		long long generation = strtoll(it->d_name, &end, 10);
		if (end == it->d_name || *end != '.')
			continue;
		rc = pin_look(dirfd, it->d_name, e);
		if (rc <= 0)
			continue;
		*out = own_grow(*out, *n + 1, sizeof(**out));
		(*out)[(*n)++] = generation;
	}
	closedir(d);
	if (rc >= 0)
		return 0;
	free(*out);
	*out = NULL;
	return -1;
}
