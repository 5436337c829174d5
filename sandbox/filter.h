/* Inside sandbox/ only: the seccomp filter of the profile `default` (seccomp(2)), compiled once
 * (libseccomp, and rows of ours for arguments) and sent to boxes as bytes. */
#pragma once
#include "base/err.h"

#include <linux/filter.h>
#include <stddef.h>

struct filter {
	struct sock_filter *code; /* malloc'ed */
	unsigned short n;         /* instructions */
};

/* filter_default(f, e): an allow list, native architecture only (others: killed), unknown calls
 * ENOSYS, clone3 ENOSYS, refused calls of known names EPERM or as each needs (refused sockets
 * EAFNOSUPPORT or EPROTONOSUPPORT). The caller frees it with filter_fini. */
int filter_default(struct filter *f, struct err *e) must_check;
void filter_fini(struct filter *f);
