/* Inside sandbox/ only: the seccomp filter of a profile (seccomp(2)), made once and sent to boxes
 * as bytes. libseccomp knows the calls' numbers; the code is ours. */
#pragma once
#include "base/err.h"

#include <linux/filter.h>
#include <stddef.h>

struct filter {
	struct sock_filter *code; /* malloc'ed */
	unsigned short n;         /* instructions */
};

/* filter_make(f, loosen, e): an allow list, native architecture only (others, x32 too: killed),
 * unknown calls ENOSYS, clone3 ENOSYS, refused calls of known names EPERM or as each needs (refused
 * sockets EAFNOSUPPORT or EPROTONOSUPPORT). loosen: enum box_loosen, those of FILTER_LOOSEN change
 * something; ERR_BOX where this machine has no such thing. The caller frees it with filter_fini.
 */
#define FILTER_LOOSEN                                                                              \
	(BOX_LOOSEN_USERNS | BOX_LOOSEN_I386 | BOX_LOOSEN_IO_URING | BOX_LOOSEN_FUSE |             \
	 BOX_LOOSEN_PERF | BOX_LOOSEN_AIO)
/* Beside userns: but for the cgroup namespace, whose owner may mount cgroupfs. */
#define FILTER_NO_CGROUPS (BOX_LOOSEN_ALL + 1u)
int filter_make(struct filter *f, unsigned loosen, struct err *e) must_check;
void filter_fini(struct filter *f);
