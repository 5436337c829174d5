/* Inside sandbox/ only: the user namespace that an ordinary user's boxes with a range of ids are
 * made in. */
#pragma once
#include "base/err.h"

/* userns_open(box_fd, e): a descriptor (not below 10) of a new user namespace in which 0 is the
 * caller, and 1 and what follows are all subordinate ids the caller has by /etc/subuid and
 * /etc/subgid, mapped by newuidmap(1) and newgidmap(1), which assay-box (box_fd) starts. Blocking,
 * a few milliseconds; any thread. -1 with e, which says how to get what is missing. */
int userns_open(int box_fd, struct err *e) must_check;
