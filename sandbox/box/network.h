/* A way out of a box's own network namespace: pasta(1) of the package passt, on this machine's
 * network, as who the box's root is on this machine and with no capability but in the box's
 * namespaces; it lets nothing in, and fence.h keeps it from what listens here. It is in none of the
 * box's cgroups.
 *
 * Who dies takes what is below along: helper, keeper (a child of the helper's), first process of a
 * pid namespace (dies with the keeper), pasta in that namespace. In the helper. */
#pragma once
#include "base/err.h"
#include "sandbox/box/ids.h"
#include "sandbox/box/plan.h"

#include <stdbool.h>
#include <sys/types.h>

struct network {
	pid_t pid;     /* of the keeper, 0: none */
	int report_fd; /* says that it is up or why not, and by its end that it is not any more */
	bool up;
};

/* network_begin(n, netns_fd, ids, e): start it. The caller ends it with network_end. */
int network_begin(struct network *n, int netns_fd, const struct ids *ids, struct err *e) must_check;

/* network_hear(n, e): what came on report_fd: 1: the box has its way out, 0: not any more, -1: it
 * never will. report_fd is closed after the last two. */
int network_hear(struct network *n, struct err *e) must_check;

/* network_end(n): waited for: nothing of it is left. true: it was lost before that, also where
 * nobody has said so yet. */
bool network_end(struct network *n);
