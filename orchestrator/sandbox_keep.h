/* A --keep of `assay sandbox`: the directory is an overlay's upper. Its work directory is a
 * sibling, ".NAME.assay", which goes when the box has ended, or, where that was not to be, with the
 * next one that is given this directory. Main thread; blocking. */
#pragma once
#include "sandbox/sandbox.h"

struct sandbox_keep {
	int upper_fd, work_fd, parent_fd;
	char *work; /* its name in parent_fd; NULL: there is none */
	char *path; /* of a mere look */
};

/* sandbox_keep_open(k, dir, m, e): m, borrowed, gets dir as its upper, made where it is missing and
 * locked until k is closed. ERR_BUSY: another box that runs has it.
 * ERR_USAGE: no work directory can be beside it, or what is there under its name is no box's.
 * sandbox_keep_look: for box_describe; nothing is made, locked or removed. Close it in both cases.
 */
int sandbox_keep_open(struct sandbox_keep *k, const char *dir, struct box_mount *m, struct err *e)
	must_check;
int sandbox_keep_look(struct sandbox_keep *k, const char *dir, struct box_mount *m, struct err *e)
	must_check;
/* sandbox_keep_close(k): removes the work directory; what of it stays is told on stderr. */
void sandbox_keep_close(struct sandbox_keep *k);
