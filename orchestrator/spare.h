/* Which jobs of a run need not run, because earlier runs judged what they would see. Called by
 * cmd_run and cmd_resume, before the engine. */
#pragma once
#include "orchestrator/candidate.h"
#include "orchestrator/how.h"
#include "orchestrator/plan.h"
#include "orchestrator/result.h"
#include "orchestrator/state.h"

struct spare {
	size_t spared, rechecked;
	struct candidate_side *was; /* by unit: what one that stays in the plan was judged, spared
				       or run to check; NULL: none stays. The caller frees it. */
};

/* spare_jobs(p, st, run, h, ids, out, e): where h says so, the jobs of a run that just began whose
 * inputs were judged before are done (skip/unchanged), but for those of h->recheck percent of their
 * packages (sample.h), which run afresh. They leave the plan, and ids follows; but one whose other
 * side is run stays, as `spared`, where repeats may be wanted: should the sides differ, it is run
 * after all, for a regression is confirmed by both. It counts for none of p->n_jobs. 0 or -1. */
int spare_jobs(struct plan *p, struct state *st, int64_t run, const struct how *h, int64_t *ids,
	       struct spare *out, struct err *e) must_check;
