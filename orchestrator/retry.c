#include "orchestrator/retry.h"

#include "base/own.h"

/* Trouble of ours is worth another try where it may pass by itself. A phase that has a network and
 * found it wanting, as a log rule says, is tried again too; what it then says counts. */
static const struct retry {
	enum reason reason;
	bool networked;    /* only phases that have a network */
	unsigned tries;    /* in all */
	uint64_t after_ms; /* the first; each one waits twice as long as the one before */
} retries[] = {
	{REASON_BOX_START, false, 3, 1000},   {REASON_HOST_LOST, false, 3, 1000},
	{REASON_NETWORK_LOST, true, 3, 2000}, {REASON_FETCH, true, 3, 5000},
	{REASON_HOST_OOM, false, 3, 10000},   {REASON_ENOSPC, false, 3, 10000},
	{REASON_NET_DENIED, true, 3, 5000},
};

enum { BREAKER_HALF = BREAKER_WINDOW / 2, BREAKER_FIRST = 8 };

bool retry_after(const struct result *r, bool networked, unsigned tries, uint64_t *ms)
{
	for (size_t i = 0; i < countof(retries); i++) {
		const struct retry *t = &retries[i];
		if (t->reason != r->reason || (t->networked && !networked) || tries >= t->tries)
			continue;
		*ms = t->after_ms << (tries - 1);
		return true;
	}
	return false;
}

bool breaker_note(struct breaker *b, bool ours)
{
	size_t at = (size_t)(b->n++ % BREAKER_WINDOW);
	b->trouble -= b->ours[at];
	b->ours[at] = ours;
	b->trouble += ours;
	return b->trouble >= BREAKER_HALF || (b->n == b->trouble && b->n >= BREAKER_FIRST);
}
