/* The run loop: carries a plan out. One libuv loop; it owns every live object; blocking work is on
 * four lanes (records: the database and the files of phases; stores: harvest and publish; logs;
 * trash). Called by cmd_run, on the main thread. */
#pragma once
#include "orchestrator/plan.h"
#include "orchestrator/result.h"
#include "orchestrator/state.h"

struct engine_news { /* one job has its result */
	const struct suite_package *package;
	const struct suite_variant *variant;
	struct result result;
	uint64_t wall_ms; /* of its own phases, shared ones not counted */
	const char *note; /* something a person should know ("harvest refused: …"), NULL */
};

struct engine_conf {
	const struct plan *plan;
	struct state *state;
	int64_t run;
	const int64_t *jobs; /* database ids of the plan's branches, in the order of units; those of
				trunks are 0 */
	size_t at_once;      /* boxes at once, at least 1 */
	const char *helper;  /* assay-box, NULL: found by the sandbox */
	const char *executor; /* NULL: native */
	enum box_ids ids;
	bool best_effort; /* a limit that can't be kept on this machine is no error */
	bool verbose;
	void (*on_news)(void *owner, const struct engine_news *n); /* or NULL */
	void (*on_tick)(void *owner, size_t running); /* twice a second while it runs; or NULL */
	void *owner;
};

struct engine_outcome {
	size_t done;      /* jobs that have a result */
	bool interrupted; /* a signal ended it before all had */
};

/* engine_run(conf, out, e): until every job has its result, or a signal: the first SIGINT or
 * SIGTERM lets running boxes end and starts nothing more, the second ends them. -1 with e for our
 * own trouble (then jobs without a result have none); boxes are gone in each case. */
int engine_run(const struct engine_conf *conf, struct engine_outcome *out, struct err *e)
	must_check;
