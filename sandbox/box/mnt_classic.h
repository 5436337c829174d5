/* Flags of mounts on kernels before mount_setattr(2), Linux 5.12. */
#pragma once
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

/* mnt_set_classic(fd, attr, recursive, e): mnt_set (mnt.h) by mount(2), which only knows mounts
 * that are somewhere: the copy that fd is, nowhere yet, is put over the root of this mount
 * namespace for as long as that takes (paths from the root don't see it: their walk begins below
 * it), and then copied as it is by then. fd is the new copy. One thread only: the working directory
 * changes for the time. attr: MOUNT_ATTR_RDONLY, _NOSUID, _NODEV, _NOEXEC, or 0. */
int mnt_set_classic(int fd, uint64_t attr, bool recursive, struct err *e) must_check;

/* mnt_set_classic_apart(fd, attr, recursive, e): the same in a child with a mount namespace of its
 * own, where this one is shared: somebody else's copy at the root would be in the way, and a root
 * that is covered makes no user namespaces (user_namespaces(7): EPERM in a chroot). */
int mnt_set_classic_apart(int fd, uint64_t attr, bool recursive, struct err *e) must_check;
