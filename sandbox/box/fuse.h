/* Overlays by fuse-overlayfs(1), where this kernel's own can't be written. The box mounts the file
 * system, so that it is in its user namespace; the helper runs the program: outside the box's pid
 * namespace, so that no job sees or ends it, in its user namespace, and in a copy of its mounts as
 * they are while the box is built. It ends with the mount, or with the helper. */
#pragma once
#include "base/err.h"
#include "sandbox/box/overlay.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct stage;

/* fuse_is_there(e): in the box, while the host's root is still there. 0, or what is missing. */
int fuse_is_there(struct err *e) must_check;

/* fuse_mount(st, o, e): in the box: as overlay_mount. It serves once the helper has heard of it. */
int fuse_mount(struct stage *st, const struct overlay *o, struct err *e) must_check;

/* One program, in the helper. */
struct fuse {
	pid_t pid;
	int said; /* a memfd: its stderr */
};

/* What it needs to know: what the box has told. */
struct fuse_task {
	char **dirs; /* owned; absolute paths among the box's mounts: the lowers, uppermost first,
			then upper and work directory */
	size_t n;
	int mounts_fd; /* the box's mount namespace */
	bool ranged;
};

/* fuse_serve(f, task, fuse_fd, userns_fd, e): descriptors are the caller's. */
int fuse_serve(struct fuse *f, const struct fuse_task *task, int fuse_fd, int userns_fd,
	       struct err *e) must_check;
void fuse_task_fini(struct fuse_task *task);

/* fuse_end(f, text, size): its mounts are gone: what is written is where it belongs once it has
 * ended, or is made to. text: what it complained of. */
void fuse_end(struct fuse *f, char *text, size_t size);
