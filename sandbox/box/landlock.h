/* A second layer below the system call filter and the mounts (landlock(7), Linux 5.19 for
 * files, 6.12 for signals and sockets; older kernels have less of it or none): should the first
 * break, what the box's root does not hold is still out of reach. In the box, by the command before
 * it is executed. */
#pragma once
#include "base/err.h"
#include "sandbox/box/spec.h"

/* landlock_enter(spec, e): from here on, and for all children,
 * - files are to be had below "/" only (and by name what stdin, stdout and stderr are): not through
 * a directory's descriptor, a link of /proc or a mount that is not attached there;
 * - nothing is mounted, unmounted or pivoted, whatever capabilities there are;
 * - only the box's own processes but pid 1 can be traced or sent signals;
 * - no abstract UNIX socket of anybody else's: they belong to a network, not to a file system, so
 * that with the host's network the desktop's, the bus's and container engines' would be there. Not
 * with loosenings that need mounts: then only the last two. TCP ports are not looked at: a rule has
 * a port and no address, so that none would take loopback away, too. no_new_privs must be set. 0,
 * also where the kernel has no Landlock; -1 with e. */
int landlock_enter(const struct spec *spec, struct err *e) must_check;
