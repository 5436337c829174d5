/* Which ids of the host a box's ids are. The caller chooses (sandbox/ranges.h) and says it in one
 * word:
 *
 *   one      one id: 0 inside is who started the helper
 *   all      what the helper's user namespace has, number for number, up to IDS_RANGE of them: of a
 *            user namespace that is not the host's
 *   enter    the same, once the user namespace of descriptor PLAN_USERNS is entered
 *   UID:GID  0..65535 inside are the host's from UID and from GID on. Root's; layers are cloned by
 *            the helper, and their owners shown to these ids (owners.h)
 *   UID:GID:alone  nobody else on this machine has them
 */
#pragma once
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define IDS_RANGE 65536u
#define IDS_MAP 4096 /* bytes of a map's text: the kernel takes less than a page */

struct ids {
	bool ranged;             /* more than one: 0 has others beside it, and may drop groups */
	bool alone;              /* UID:GID:alone */
	bool above;              /* UID:GID: the helper may do what boxes may not */
	uint32_t uid, gid;       /* of the host, for 0 inside; not where ids are `all` */
	uint32_t in_uid, in_gid; /* not ranged: what the one id is inside */
	char uid_map[IDS_MAP], gid_map[IDS_MAP]; /* ranged: as they are written */
	int *userns_fd;        /* above: owned, shared by copies: ids_userns; else NULL */
	struct owners *owners; /* above; borrowed: how layers are shown to them (owners.h) */
};

/* ids_enters(word): is descriptor PLAN_USERNS there for it? */
bool ids_enters(const char *word);

/* ids_open(ids, word, e): once per helper. */
int ids_open(struct ids *ids, const char *word, struct err *e) must_check;

/* ids_userns(ids, e): above: a user namespace with the mapping, for MOUNT_ATTR_IDMAP; made when it
 * is asked for first, and ids's. -1 with e. */
int ids_userns(const struct ids *ids, struct err *e) must_check;

/* ids_map(ids, pid, e): write the maps of a new user namespace whose first process is pid. */
int ids_map(const struct ids *ids, pid_t pid, struct err *e) must_check;

/* ids_namespace(map, arg, e): a user namespace that nobody is in: its first process waits until map
 * has mapped it and it is opened, and goes; with its parent, too, whenever that is killed. A
 * descriptor, or -1. */
int ids_namespace(int (*map)(const void *arg, pid_t pid, struct err *e), const void *arg,
		  struct err *e) must_check;

/* ids_wait(pipe): in a child that is there only to be looked at: until it is killed, or its parent
 * is gone, whenever that happens. pipe: from pipe(2); its writing end stays with the parent alone.
 */
void ids_wait(const int pipe[2]) __attribute__((noreturn));
