#include "orchestrator/aside.h"

#include "base/dir.h"
#include "sandbox/sandbox.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>

/* Is its owner dead? */
static bool aside_left(int state_fd, const char *rel)
{
	auto_fd int fd = dir_open_beneath(state_fd, rel, O_RDONLY | O_DIRECTORY, 0);
	return fd >= 0 && !flock(fd, LOCK_EX | LOCK_NB);
}

void aside_sweep(int state_fd)
{
	int fd = dir_open_beneath(state_fd, "aside", O_RDONLY | O_DIRECTORY, 0);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	if (!d)
		own_close(&fd);
	for (struct dirent *it; d && (it = readdir(d));) {
		struct err stays = ERR_INIT;
		auto_free char *rel = own_fmt("aside/%s", it->d_name);
		if (it->d_name[0] != '.' && aside_left(state_fd, rel) &&
		    sandbox_remove(NULL, state_fd, rel, &stays))
			fprintf(stderr, "assay: sweep %s: %s\n", rel, stays.text);
	}
	if (d)
		closedir(d);
}

/* 0; 1: somebody has that name, or took the directory for a dead one's in between; -1. */
static int aside_try(int state_fd, struct aside *a, struct err *e)
{
	struct stat st;
	if (mkdirat(state_fd, a->name, 0700))
		return errno == EEXIST ? 1 : err_sys(e, "make %s", a->name);
	a->fd = dir_open_beneath(state_fd, a->name, O_RDONLY | O_DIRECTORY, 0);
	if (a->fd < 0 && errno == ENOENT)
		return 1;
	if (a->fd < 0 || flock(a->fd, LOCK_SH) || fstat(a->fd, &st))
		return err_sys(e, "lock %s", a->name);
	return st.st_nlink ? 0 : 1;
}

int aside_take(int state_fd, struct aside *a, struct err *e)
{
	static unsigned serial;
	*a = (struct aside){.fd = -1};
	auto_fd int all = dir_make(state_fd, "aside", 0700, e);
	if (all < 0)
		return -1;
	aside_sweep(state_fd);
	for (;;) {
		snprintf(a->name, sizeof(a->name), "aside/%d.%u", (int)getpid(), serial++);
		int rc = aside_try(state_fd, a, e);
		if (rc < 0)
			aside_drop(state_fd, a);
		if (rc <= 0)
			return rc;
		own_close(&a->fd);
	}
}

void aside_drop(int state_fd, struct aside *a)
{
	struct err stays = ERR_INIT;
	if (a->fd >= 0 && sandbox_remove(NULL, state_fd, a->name, &stays))
		fprintf(stderr, "assay: remove %s: %s\n", a->name, stays.text);
	own_close(&a->fd);
}
