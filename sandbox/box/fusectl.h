/* Connections of FUSE file systems, each of which can be aborted: whatever waits for its answers
 * goes on, with an error. The kernel's control file system has a directory for each, named by the
 * minor number of its device, which belongs to the user_id it was mounted with (Linux,
 * Documentation/filesystems/fuse.rst, "Control filesystem"). */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* fusectl_open(): the directory with all connections: where it is mounted, or, as root of the
 * host, where nobody sees it. A descriptor, or -1. */
int fusectl_open(void);

/* A connection and no other one, also when its number is another one's later. */
struct connection {
	uint32_t minor;
	ino_t ino;
	int abort_fd; /* owned */
};

/* connection_open(c, ctl, minor): false: there is none, or it is not for us. */
bool connection_open(struct connection *c, int ctl, uint32_t minor);
/* connection_is_there(c, ctl): has it not ended yet? */
bool connection_is_there(const struct connection *c, int ctl);
void connection_abort(const struct connection *c);

/* fusectl_each_of(ctl, uid, n, fn, arg): fn for each connection that belongs to one of n ids from
 * uid on, as this process sees ids; closed afterwards. */
void fusectl_each_of(int ctl, uint32_t uid, uint32_t n,
		     void (*fn)(void *arg, const struct connection *c), void *arg);
