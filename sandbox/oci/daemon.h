/* The keeper for an engine whose containers are a daemon's: nothing of them is below this process.
 * So it is in the host's namespaces, as root; it has the box's root raised in namespaces with the
 * box's ids by a process that is there for that alone, puts it where the daemon sees it, and takes
 * it away again once the container's pid 1 has been heard, which has it then. It is ended by
 * SIGTERM, and ends the container first; so it is when the helper dies.
 *
 * Should it be killed itself, pid 1 sees that nobody is at the other end, and goes; what may be
 * left then is the directory below DAEMON_DIR, for daemon_sweep. */
#pragma once
#include "sandbox/box/birth.h"

#define DAEMON_DIR "/run/assay"

extern const struct birth_kind birth_daemon;

/* daemon_sweep(): what dead keepers left: containers, mounts, directories. As far as it goes. */
void daemon_sweep(void);
