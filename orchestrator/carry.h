/* A run carried out, told, ended and compared: what `run`, `resume` and `rerun` have in common. */
#pragma once
#include "orchestrator/candidate.h"
#include "orchestrator/how.h"
#include "orchestrator/plan.h"
#include "orchestrator/result.h"
#include "orchestrator/state.h"

struct carry {
	const struct how *how; /* filled */
	const struct plan *plan;
	struct state *state;
	int64_t run;
	const int64_t *ids;               /* the database's, by unit */
	const struct candidate_side *was; /* by unit, of those that rest (spare.h, takeup.h); NULL:
					     there are none */
	unsigned resumed;
	bool fetches_only; /* there is nothing to compare */
};

/* carry_out(c, e): the command's exit status, or -1: our own trouble ended it. */
int carry_out(const struct carry *c, struct err *e) must_check;
/* carry_anew(s, packages, n, how, st, run, e): a new run of these packages of a suite, begun and
 * carried out; run gets its number. The same. */
int carry_anew(struct suite *s, const char *const *packages, size_t n, const struct how *how,
	       struct state *st, int64_t *run, struct err *e) must_check;
