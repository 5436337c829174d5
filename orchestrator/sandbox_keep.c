#include "orchestrator/sandbox_keep.h"

#include "base/dir.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>

static int keep_lock(int fd, const char *dir, struct err *e)
{
	/* The box holds copies of the descriptor: the lock ends with the last of both. */
	if (!flock(fd, LOCK_EX | LOCK_NB))
		return 0;
	if (errno != EWOULDBLOCK)
		return err_sys(e, "lock %s", dir);
	return err_set(e, ERR_BUSY, "%s is kept for another box that runs", dir);
}

static int keep_work(struct sandbox_keep *k, const char *dir, struct err *e)
{
	struct stat here, above;
	auto_free char *whole = realpath(dir, NULL);
	if (!whole)
		return err_sys(e, "%s", dir);
	k->parent_fd = openat(k->upper_fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (k->parent_fd < 0 || fstat(k->upper_fd, &here) || fstat(k->parent_fd, &above))
		return err_sys(e, "the directory that %s is in", dir);
	if (here.st_dev != above.st_dev || here.st_ino == above.st_ino)
		return err_set(e, ERR_USAGE,
			       "%s is where a file system is mounted: the overlay needs a work "
			       "directory beside it; give a directory in it",
			       dir);
	auto_free char *work = own_fmt(".%s.assay", strrchr(whole, '/') + 1);
	if (sandbox_work_check(k->parent_fd, work, e))
		return err_add(e, "the work directory beside %s would be in the place of", dir);
	if (sandbox_remove(NULL, k->parent_fd, work, e))
		return -1;
	if (mkdirat(k->parent_fd, work, 0700))
		return err_sys(e, "work directory beside %s: make %s", dir, work);
	k->work = give(work);
	k->work_fd = dir_make(k->parent_fd, k->work, 0700, e);
	return k->work_fd < 0 ? err_add(e, "work directory beside %s", dir) : 0;
}

/* Of a directory that may not be there yet. */
static char *keep_path(const char *dir, struct err *e)
{
	auto_free char *copy = own_dup(dir), *above = realpath(dir, NULL);
	if (above)
		return give(above);
	size_t n = strlen(copy);
	while (n > 1 && copy[n - 1] == '/')
		copy[--n] = 0;
	char *slash = strrchr(copy, '/');
	if (slash)
		*slash = 0;
	above = realpath(!slash ? "." : slash == copy ? "/" : copy, NULL);
	if (!above) {
		err_sys(e, "make %s", dir);
		return NULL;
	}
	return own_fmt("%s/%s", above[1] ? above : "", slash ? slash + 1 : copy);
}

int sandbox_keep_look(struct sandbox_keep *k, const char *dir, struct box_mount *m, struct err *e)
{
	*k = (struct sandbox_keep){-1, -1, -1, NULL, keep_path(dir, e)};
	if (!k->path)
		return -1;
	k->upper_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (k->upper_fd < 0 && errno != ENOENT)
		return err_sys(e, "%s", dir);
	m->to_be = k->path;
	m->upper_fd = k->upper_fd;
	return 0;
}

int sandbox_keep_open(struct sandbox_keep *k, const char *dir, struct box_mount *m, struct err *e)
{
	*k = (struct sandbox_keep){-1, -1, -1, NULL, NULL};
	if (mkdir(dir, 0755) && errno != EEXIST)
		return err_sys(e, "make %s", dir);
	k->upper_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (k->upper_fd < 0)
		return err_sys(e, "%s", dir);
	if (keep_lock(k->upper_fd, dir, e) || keep_work(k, dir, e))
		return -1;
	m->upper_fd = k->upper_fd;
	m->work_fd = k->work_fd;
	return 0;
}

void sandbox_keep_close(struct sandbox_keep *k)
{
	struct err e = ERR_INIT;
	own_close(&k->work_fd);
	if (k->work && sandbox_remove(NULL, k->parent_fd, k->work, &e))
		fprintf(stderr, "assay: %s\n", e.text);
	own_close(&k->parent_fd);
	own_close(&k->upper_fd);
	free(k->work);
	free(k->path);
}
