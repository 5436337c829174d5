/* What the box's processes may do: capabilities of its own user namespace, no_new_privs, the system
 * call filter. */
#pragma once
#include "base/err.h"

#include <stdbool.h>

#include <linux/filter.h>

/* privilege_drop(mounts, e): the nine capabilities of the profile `default`, bounding, permitted
 * and effective; inheritable and ambient empty; no_new_privs. They are what root of a box needs to
 * install packages: chown, drop ids, chroot, kill its children. mounts: CAP_SYS_ADMIN too, of the
 * namespace that nest_enter has made. */
int privilege_drop(bool mounts, struct err *e) must_check;
/* privilege_keep_kill(e): for pid 1: CAP_KILL and no more. */
int privilege_keep_kill(struct err *e) must_check;
/* privilege_filter(code, n, e): last of all. n 0: none. */
int privilege_filter(const struct sock_filter *code, unsigned short n, struct err *e) must_check;
