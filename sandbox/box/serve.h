/* The helper's life: box after box for one caller, and nothing kept from one to the next
 * but what this kernel can. */
#pragma once
#include "sandbox/box/birth.h"
#include "sandbox/box/ids.h"
#include "sandbox/box/overlay.h"

struct serve {
	const struct birth_kind *kind;
	struct ids ids;
	enum overlay_way way;
	bool only_way;
	enum plan_uppers uppers; /* what is tried first */
};

/* serve_force(s, word): for tests, what else would be tried: "fd", "names", "classic" (overlay.h),
 * "tmpfs", "fuse" (upper.h). 1 or 0. */
int serve_force(struct serve *s, const char *word) must_check;

/* serve_run(s): until the caller's socket (PLAN_SOCKET) ends: 0, or -1 where the caller breaks the
 * rules. */
int serve_run(const struct serve *s, struct err *e) must_check;
