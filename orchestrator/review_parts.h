/* Between review.c, which loads, and review_pair.c, which compares. */
#pragma once
#include "orchestrator/review.h"

/* The rows base's jobs are in: next's, where both are of one run. */
const struct review_source *review_base_source(const struct review *r);
/* The result of a row of "jobs" or "repeats". A word of a newer assay's database is no result this
 * one could judge: the job counts as not done. */
struct compare_side review_result(const struct db_table *jobs, size_t row);
/* In this order, once sources, variants and flakes are there. */
void review_pair_up(struct review *r);
void review_verdicts(struct review *r); /* calls the next, while pairs stand by package */
void review_expectations(struct review *r);
void review_inherit(struct review *r); /* called by it, too: whose doing what differs is */
/* The pair of that package, while pairs stand by package; NULL: none. */
struct review_pair *review_find(struct review *r, const char *package);
void review_causes(struct review *r);
void review_judge(struct review *r); /* whether it can be believed */
