/* What boxes left is removed. Files of an ordinary user's subordinate ids can't be by the user, but
 * by root of a user namespace that has these ids: assay-box does it there. */
#include "sandbox/inside.h"

#include "base/dir.h"
#include "sandbox/box/plan.h"
#include "sandbox/userns.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

static int remove_inside(int box_fd, int userns_fd, int dirfd, const char *name, struct err *e)
{
	char *words[] = {(char[]){"remove"}, (char[]){"enter"}, (char *)(uintptr_t)name, NULL};
	return helper_run(box_fd, words, dirfd, userns_fd, e);
}

static bool is_forbidden(const struct err *e)
{
	return e->sys == EACCES || e->sys == EPERM;
}

int sandbox_remove(struct sandbox *sb, int dirfd, const char *name, struct err *e)
{
	struct err why = ERR_INIT, more = ERR_INIT;
	if (!dir_remove(dirfd, name, &why))
		return 0;
	*e = why;
	if (!geteuid() || !is_forbidden(&why) || (sb && sb->ranges.kind != RANGES_USER))
		return -1;
	if (sb) {
		*e = (struct err)ERR_INIT;
		return remove_inside(sb->program.box_fd, sb->ranges.userns_fd, dirfd, name, e);
	}
	/* A predecessor's, who may have had a range. */
	struct helper_program p;
	auto_fd int userns_fd =
		helper_find(&p, NULL, NULL, &more) ? -1 : userns_open(p.box_fd, &more);
	int rc = -1;
	if (userns_fd < 0) {
		err_set(e, why.kind, "%.500s (%.400s)", why.text, more.text);
	} else {
		*e = (struct err)ERR_INIT;
		rc = remove_inside(p.box_fd, userns_fd, dirfd, name, e);
	}
	helper_program_close(&p);
	return rc;
}

/* The kernel makes "work" and "index" there, of mode 0 (fs/overlayfs/super.c, ovl_workdir_create),
 * the helper its trial of what carries uppers. */
static bool work_has(int fd, const char *name)
{
	static const struct {
		const char *name;
		mode_t mode;
	} ours[] = {{"work", 0}, {"index", 0}, {PLAN_TRIAL_UPPER, 0755}, {PLAN_TRIAL_WORK, 0755}};
	struct stat st;
	for (size_t i = 0; i < countof(ours); i++)
		if (!strcmp(name, ours[i].name))
			return !fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) &&
			       st.st_mode == (S_IFDIR | ours[i].mode);
	return false;
}

int sandbox_work_check(int dirfd, const char *name, struct err *e)
{
	int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : err_sys(e, "%s", name);
	DIR *dir = fdopendir(fd);
	const struct dirent *d;
	int rc = 0;
	if (!dir) {
		close(fd);
		return err_sys(e, "read %s", name);
	}
	while (!rc && (d = readdir(dir)))
		if (strcmp(d->d_name, ".") && strcmp(d->d_name, "..") && !work_has(fd, d->d_name))
			rc = err_set(e, ERR_USAGE,
				     "%s, which has %s and so was not left by a box: move it away, "
				     "or give another directory",
				     name, d->d_name);
	closedir(dir);
	return rc;
}
