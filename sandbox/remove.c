/* What boxes left is removed. Files of an ordinary user's subordinate ids can't be by the user, but
 * by root of a user namespace that has these ids: assay-box does it there. */
#include "sandbox/inside.h"

#include "base/dir.h"
#include "sandbox/userns.h"

#include <errno.h>

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
