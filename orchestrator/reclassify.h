/* A run judged once more: the suite as it is now (its log rules, above all) over the facts and logs
 * that were kept. Nothing runs. Any thread; one owner. */
#pragma once
#include "db/db.h"
#include "orchestrator/result.h"

struct suite;

struct reclassify_change {
	size_t row; /* of rows: what was said before */
	struct result result;
	struct evidence evidence; /* owned */
	bool quiet;               /* only its signature was not known */
};

struct reclassify {
	struct db_table *rows; /* named query "judged" of the run */
	struct reclassify_change *changes;
	size_t n_changes, n_quiet;
	size_t n_judged; /* results that were judged again */
	size_t n_no_log; /* kept as they are: the log is gone, or is none any more */
	size_t n_other;  /* … policy's (skip, block), or of a phase that the suite has no more */
};

/* reclassify_run(d, state_fd, s, run, out, e): logs are below state_fd. Changed is what now has
 * another reason, rule, deciding line or signature. 0 or -1; free with reclassify_fini in both
 * cases. */
int reclassify_run(struct db *d, int state_fd, const struct suite *s, int64_t run,
		   struct reclassify *out, struct err *e) must_check;
/* reclassify_keep(d, r, now_ms, e): the changes are what the database says from now on. */
int reclassify_keep(struct db *d, const struct reclassify *r, int64_t now_ms, struct err *e)
	must_check;
void reclassify_fini(struct reclassify *r);
