/* A user and a mount namespace below the box's, for a command that may mount (the loosening
 * "fuse"): its root has CAP_SYS_ADMIN there, and every mount that the box made is locked
 * (mount_namespaces(7)): none can be taken away or made writable. */
#pragma once
#include "base/err.h"

/* nest_enter(e): the calling process, which has memory of its own, with the same ids as before. */
int nest_enter(struct err *e) must_check;
