/* What is tried again, and when a run has seen enough of its own trouble. Pure. */
#pragma once
#include "orchestrator/result.h"

#include <stdint.h>

/* retry_after(r, networked, tries, ms): a phase that ended as r, with a network or without, was
 * tried `tries` times (1: once). true: it is tried again after ms, and what was found does not
 * count. Nothing else is ever repeated. */
bool retry_after(const struct result *r, bool networked, unsigned tries, uint64_t *ms);

/* The last phases of a run: how many of them ended because of our own trouble. */
#define BREAKER_WINDOW 20
struct breaker {
	bool ours[BREAKER_WINDOW];
	unsigned long long n; /* phases seen */
	unsigned trouble;     /* of the last BREAKER_WINDOW */
};
/* breaker_note(b, ours): one more. true: half of the last BREAKER_WINDOW, or the first eight of
 * all, were our own trouble: nothing that comes after them is worth its time. */
bool breaker_note(struct breaker *b, bool ours);
