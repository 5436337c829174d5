/* What a comparison says about a package: the verdict on one result per side (compare_sides), and
 * on all that were seen of both (compare_seen). Pure and total: no pair of sides is undefined. The
 * enums are closed and append-only: their texts leave this program. */
#pragma once
#include "orchestrator/confirm.h"
#include "orchestrator/result.h"

enum verdict {
	VERDICT_SAME,
	VERDICT_REGRESSED,    /* pass → fail, crash or kill */
	VERDICT_FIXED,        /* the other way round */
	VERDICT_WORSE,        /* neither passes; fail < kill < crash went up */
	VERDICT_BETTER,       /* … or down */
	VERDICT_CHANGED,      /* same status, another reason or phase; a review also looks at causes
			       */
	VERDICT_UNSTABLE,     /* a mixture within one side explains the difference; never from one
				 result per side */
	VERDICT_INCOMPARABLE, /* a side without a result that is about the package: infra, skip,
				 block, cancelled, not done */
	VERDICT_NEW,          /* not on the base side */
	VERDICT_GONE,         /* not on the next side */
};
#define VERDICT_COUNT (VERDICT_GONE + 1)

const char *verdict_name(enum verdict v);
int verdict_parse(const char *name, enum verdict *v);
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

/* compare_tells(side): the result is about the package: a pass, fail, crash, or a limit that fired.
 */
bool compare_tells(const struct compare_side *s);

/* Everything seen of one side of a package: its own result and those of repeats, in any order. */
struct compare_all {
	const struct compare_side *seen;
	size_t n; /* 0: absent */
};

struct comparison {
	enum verdict verdict;
	enum confidence confidence;
	double p;                        /* negative: nothing was repeated that could tell */
	struct confirm_tally base, next; /* results that are about the package */
};

/* compare_seen(base, next, base_known, next_known): of one result a side what compare_sides says.
 * Of more, a side that always passes against one that never does is regressed or fixed; sides that
 * differ from themselves are so only where confirm_next says it is enough, else unstable; among
 * failures alone the commonest of each side are compared, and what both sides have is unstable. A
 * result that says nothing about the package counts only where there is no other. The order in
 * which results came means nothing. known: flake rates, or NULL. */
struct comparison compare_seen(const struct compare_all *base, const struct compare_all *next,
			       const struct flake *base_known, const struct flake *next_known);

/* Whose doing a difference is. */
enum attribution {
	ATTRIBUTION_ROOT,      /* its own */
	ATTRIBUTION_INHERITED, /* a package it depends on has the same trouble */
	ATTRIBUTION_SHARED,    /* others have it too, by the same signature */
};
#define ATTRIBUTION_COUNT (ATTRIBUTION_SHARED + 1)
const char *attribution_name(enum attribution a);

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
