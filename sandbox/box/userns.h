/* An ordinary user's user namespace with subordinate ids: made once for all boxes of a sandbox,
 * because the two set-uid programs that may map it cost milliseconds. Whoever holds its descriptor
 * enters it and makes boxes in it, whose maps root of this namespace may write itself. */
#pragma once
#include "base/err.h"

/* userns_make(uids, gids, e): extents as subids_map writes them. The namespace's descriptor, or -1
 * with what newuidmap(1) or newgidmap(1) said. */
int userns_make(const char *uids, const char *gids, struct err *e) must_check;
/* userns_send(fd, e): through PLAN_SOCKET. */
int userns_send(int fd, struct err *e) must_check;
