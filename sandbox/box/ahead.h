/* Where box follows box, or the caller says that one comes soon, a pid 1 that is made before saves
 * the second's start up to half of its time: namespaces, loopback, /dev, /proc and /sys, which no
 * plan changes. It would be nothing for boxes that come rarely, who would not notice, and does not
 * stay: it keeps the host's mounts busy, and sees only those that were there when it was made. */
#pragma once
#include "sandbox/box/birth.h"

struct ahead {
	struct birth birth; /* birth.pid 0: none */
	bool again;         /* likely soon another box like the last one */
	int64_t ended_ns;   /* the last box, monotonic; 0: none yet */
	int64_t made_ns;    /* what waits */
	int mounts_fd;      /* says whether the host's mounts are what they were, or -1 */
};

void ahead_open(struct ahead *a);
void ahead_close(struct ahead *a);

/* ahead_look(a): before it is used: it goes where the host's mounts have changed. */
void ahead_look(struct ahead *a);
/* ahead_began(a, kind, start, flags): a box began, of a plan with these enum plan_flag. */
void ahead_began(struct ahead *a, const struct birth_kind *kind, const struct plan_start *start,
		 uint32_t flags);
/* ahead_ended(a): a box ended. ahead_make(a, ids): after it, where that is worth while. */
void ahead_ended(struct ahead *a);
void ahead_make(struct ahead *a, const struct ids *ids);
/* ahead_soon(a, ids): before a first one. */
void ahead_soon(struct ahead *a, const struct ids *ids);
/* ahead_patience(a): milliseconds until it is to go, for poll(2). ahead_expire(a): if it is time.
 */
int ahead_patience(const struct ahead *a);
void ahead_expire(struct ahead *a);
