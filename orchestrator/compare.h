/* What a comparison says about a package: the verdict on one result per side. Pure and total: no
 * pair of sides is undefined. The enum is closed and append-only: its texts leave this program.
 * Several results per side, as repeats will bring them, are weighed elsewhere and end in the same
 * verdicts; VERDICT_UNSTABLE is theirs alone. */
#pragma once
#include "orchestrator/result.h"

enum verdict {
	VERDICT_SAME,
	VERDICT_REGRESSED,    /* pass → fail, crash or kill */
	VERDICT_FIXED,        /* the other way round */
	VERDICT_WORSE,        /* neither passes; fail < kill < crash went up */
	VERDICT_BETTER,       /* … or down */
	VERDICT_CHANGED,      /* same status, another reason or phase */
	VERDICT_UNSTABLE,     /* a mixture within one side explains the difference; never from one
				 result per side */
	VERDICT_INCOMPARABLE, /* a side without a result that is about the package: infra, skip,
				 block, cancelled, not done */
	VERDICT_NEW,          /* not on the base side */
	VERDICT_GONE,         /* not on the next side */
};
#define VERDICT_COUNT (VERDICT_GONE + 1)

const char *verdict_name(enum verdict v);
/* Where verdicts stand in what people read: what wants attention first, `same` last. A total order:
 * 0 … VERDICT_COUNT - 1. */
int verdict_rank(enum verdict v);

enum presence {
	PRESENCE_ABSENT,  /* the package is not on this side */
	PRESENCE_PENDING, /* it is, but there is no result: waiting, running, abandoned */
	PRESENCE_DONE,
};

struct compare_side {
	enum presence presence;
	enum status status; /* this and what follows only where DONE */
	enum reason reason;
	const char *phase; /* the furthest one entered; NULL is a phase of its own */
};

/* compare_sides(base, next): swapping them swaps regressed with fixed, worse with better, new with
 * gone, and changes nothing else. */
enum verdict compare_sides(const struct compare_side *base, const struct compare_side *next);

/* Whether a run's answers can be believed, from the share of jobs that say nothing about their
 * packages: infra results, cancelled ones, jobs without a result. */
enum validity {
	VALIDITY_VALID,
	VALIDITY_DEGRADED, /* 1 % or more of them; of a review also where not one job passed */
	VALIDITY_VOID, /* 10 % or more, or not one result that counts: never a baseline, exit status
			  2 */
};
#define VALIDITY_COUNT (VALIDITY_VOID + 1)

const char *validity_name(enum validity v);
/* compare_validity(jobs, lost): `lost` of `jobs` say nothing. No job at all is void. */
enum validity compare_validity(size_t jobs, size_t lost);
/* compare_lost(side): the job says nothing about its package, and no policy of ours explains it. */
bool compare_lost(const struct compare_side *side);
