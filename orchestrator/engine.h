/* The run loop: carries a plan out. One libuv loop; it owns every live object; blocking work is on
 * six lanes (records: the database and the files of phases; stores: harvest and publish; compact:
 * high stacks of layers; logs; keep: digests of uppers that stay; trash). Called by cmd_run, on the
 * main thread. */
#pragma once
#include "orchestrator/admit.h"
#include "orchestrator/candidate.h"
#include "orchestrator/inputs.h"
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

#define ENGINE_AT_ONCE 512 /* most that at_once and fetches may be, each */

struct engine_now {
	size_t running; /* phases */
	uint64_t likely_ms,
		late_ms; /* how long it will still take, as far as can be told; 0: it can't */
};

/* A box was started, or is over. */
struct engine_phase {
	const struct suite_package *package;
	const struct suite_variant *variant; /* NULL: shared */
	const char *phase;
	const struct box_facts *facts; /* NULL: it was started */
};

struct engine_conf {
	const struct plan *plan;
	struct state *state;
	int64_t run;
	const int64_t *jobs; /* database ids of the plan's branches, in the order of units; those of
				trunks are 0 */
	const struct candidate_side *was; /* by unit, of those that rest (plan_rests) or run to
					     check what earlier runs judged; NULL: there are none */
	size_t at_once;                   /* processors that boxes hold at once, at least 1 */
	size_t fetches;     /* boxes at once that wait for a network: they hold none; at least 1 */
	const char *helper; /* assay-box, NULL: found by the sandbox */
	const char *executor; /* NULL: native */
	enum box_ids ids;
	unsigned resumed;   /* so many times was it gone on with: logs of earlier tries stay */
	bool at_once_again; /* what is tried again is so without a pause: a test's clock */
	bool best_effort;   /* a limit that can't be kept on this machine is no error */
	bool verbose;
	/* What phases see, for uppers of earlier runs (kept.h); NULL, or with no key: none are used
	 * and none stay. */
	const struct inputs *inputs;
	bool reuse;                  /* those of earlier runs are used */
	uint64_t keep_bytes;         /* so much stays for later ones at the most; 0: nothing */
	struct confirm_conf confirm; /* how what differs is repeated; most 0: it is not */
	unsigned repeat_fixes;       /* of what is fixed: this percentage, too */
	void (*on_news)(void *owner, const struct engine_news *n); /* or NULL */
	/* One that was spared is run after all: one job more. Or NULL. */
	void (*on_woken)(void *owner);
	/* twice a second while it runs; or NULL */
	void (*on_tick)(void *owner, const struct engine_now *now);
	void (*on_phase)(void *owner, const struct engine_phase *p); /* or NULL */
	/* Why nothing more is started for now ("memory pressure"); NULL: it goes on. Or NULL. */
	void (*on_held)(void *owner, const char *why);
	/* What jobs brought for this store waits: it has as many layers as it may have until they
	 * are compacted, which is under way. Once for each time that happens. Or NULL. */
	void (*on_full)(void *owner, const char *store);
	/* NULL: pressure_read; a test's machine. */
	void (*readings)(int statefd, struct readings *r);
	void *owner;
};

struct engine_outcome {
	size_t done;      /* jobs that have a result */
	size_t woken;     /* jobs that had been spared, and were run after all */
	size_t reused;    /* phases whose uppers earlier runs had left */
	uint64_t held_ms; /* so long nothing was started although something waited */
	bool interrupted; /* a signal ended it before all had, or before what differs was repeated
			   */
};

/* engine_run(conf, out, e): until every job has its result, or a signal: the first SIGINT or
 * SIGTERM lets running boxes end and starts nothing more, the second ends them. -1 with e for our
 * own trouble (then jobs without a result have none); boxes are gone in each case. */
int engine_run(const struct engine_conf *conf, struct engine_outcome *out, struct err *e)
	must_check;
