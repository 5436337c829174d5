/* Which ids of the host a box's ids are. Started by an ordinary user: one, 0 inside is the user.
 * Started by root: never host uid 0; 0..65535 are a range of the host's: one of those root has in
 * /etc/subuid and /etc/subgid (subuid(5)), else, per slot, one of IDS_HIGH + slot * 65536, above
 * what systemd-nspawn takes and below its foreign range (systemd's UIDS-GIDS:
 * 1879048192..2147352575 unused). */
#pragma once
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define IDS_RANGE 65536u
#define IDS_HIGH 1879048192u
#define IDS_SLOTS 4090u

struct ids {
	bool ranged;       /* started as root: owners of layers are shown by idmapped mounts */
	uint32_t uid, gid; /* of the host, for 0 inside */
	uint32_t in_uid, in_gid; /* not ranged: what the one id is inside */
	int userns_fd; /* ranged: a user namespace with the mapping, for MOUNT_ATTR_IDMAP; else -1
			*/
};

/* ids_open(ids, slot, e): once per helper. */
int ids_open(struct ids *ids, unsigned slot, struct err *e) must_check;

/* ids_map(ids, pid, e): write the maps of a new user namespace whose first process is pid. */
int ids_map(const struct ids *ids, pid_t pid, struct err *e) must_check;

/* ids_wait(pipe): in a child that is there only to be looked at: until it is killed, or its parent
 * is gone, whenever that happens. pipe: from pipe(2); its writing end stays with the parent alone.
 */
void ids_wait(const int pipe[2]) __attribute__((noreturn));
