/* The rows a run begins with, and what it takes to go on with one. */
#pragma once
#include "orchestrator/how.h"
#include "orchestrator/plan.h"
#include "orchestrator/state.h"
#include "orchestrator/takeup.h"

/* record_layer_known(db, name, e): for plan_make. */
int record_layer_known(void *db, const char *name, struct err *e);

/* record_begin(p, st, h, ids, e): the run with its variants and jobs; ids gets the database's id of
 * each branch, by unit. The run's id, or -1. */
int64_t record_begin(const struct plan *p, struct state *st, const struct how *h, int64_t *ids,
		     struct err *e) must_check;

/* A run that will be gone on with. */
struct record_again {
	int64_t run;
	struct suite *suite;
	struct plan *plan; /* of what has no result, or one that is infra; and what is repeated
			      further, as `judged` */
	struct takeup takeup;
	int64_t *ids;     /* by unit */
	int64_t *skips;   /* by skip of the plan: its job, which has no result yet; 0: it has */
	size_t jobs;      /* of the whole run */
	unsigned resumed; /* with this time */
};
/* record_again(a, st, run, h, e): run 0: the newest that can be. h gets what it was not given.
 * Nothing is written: ERR_ABSENT, ERR_USAGE where there is nothing to go on with, ERR_INPUT where
 * suite or layers are not what they were: the rest would mean something else. */
int record_again(struct record_again *a, struct state *st, int64_t run, struct how *h,
		 struct err *e) must_check;
/* record_same(a, st, run, h, e): suite and options of any run, to be run anew; no plan, no ids. As
 * record_again refuses. */
int record_same(struct record_again *a, struct state *st, int64_t run, struct how *h, struct err *e)
	must_check;
/* record_resume(a, st, h, e): it is running again, and what it was killed before it could say of
 * its listed packages is recorded. */
int record_resume(struct record_again *a, struct state *st, const struct how *h, struct err *e)
	must_check;
void record_again_fini(struct record_again *a);
