/* Repeats that a run which is gone on with had not brought to an end: jobs that have their result,
 * and are in the plan once more (plan_unit.judged) because something of them is, or may come to be,
 * repeated. Called by record.c (`assay resume`), before the engine. */
#pragma once
#include "orchestrator/candidate.h"
#include "orchestrator/plan.h"

struct takeup {
	struct candidate_of of; /* package: of no meaning; flakes: its own */
	struct confirm_conf confirm;
	struct db_table *rows;        /* jobs of the run with results, by package and variant */
	struct candidate_side *sides; /* by row */
	size_t packages;              /* whose repeats are to be taken up, for certain */
};

/* takeup_load(t, d, s, run, confirm, fixes, e): what is recorded; borrows the suite. Where nothing
 * is to be repeated it is empty. takeup_fini(t) in each case. */
int takeup_load(struct takeup *t, struct db *d, const struct suite *s, int64_t run,
		const struct confirm_conf *confirm, unsigned fixes, struct err *e) must_check;
void takeup_fini(struct takeup *t);

/* takeup_mark(t, p, left, ctx): in the plan of all: which branches are `judged`: both sides of a
 * package of which not enough is known, and the side that has its result where the other one is
 * left to run, as left(ctx, branch) says. */
void takeup_mark(struct takeup *t, struct plan *p,
		 bool (*left)(void *ctx, const struct plan_unit *branch), void *ctx);

/* takeup_find(t, u): the branch's result and repeats, NULL: it has none. takeup_job(t, u): its id
 * in the database, 0. */
const struct candidate_side *takeup_find(const struct takeup *t, const struct plan_unit *u);
int64_t takeup_job(const struct takeup *t, const struct plan_unit *u);

/* takeup_was(t, p, was): what the plan's judged units were, by unit; *was is made where it is NULL
 * and there are some. The caller's. */
void takeup_was(const struct takeup *t, const struct plan *p, struct candidate_side **was);
