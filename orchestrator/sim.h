/* A run on a fake clock: units with durations, carried out by the scheduler the engine uses. Pure;
 * `assay simulate` and the reports' makespans. */
#pragma once
#include "orchestrator/rank.h"
#include "orchestrator/sched.h"

struct sim_phase {
	uint64_t ms;        /* what it takes */
	uint64_t expect_ms; /* what the scheduler thinks */
	struct sched_need need;
};

struct sim_unit {
	uint32_t package;
	uint32_t trunk;    /* index of a unit before it, RANK_NONE */
	uint32_t first, n; /* its phases, which run one after another: [first, first + n) */
};

struct sim {
	struct sim_unit *units;
	struct sim_phase *phases;
	size_t n_units, n_phases, n_packages;
	struct graph *graph; /* of packages; NULL: none depends on another */
};

struct sim_conf {
	uint64_t slots, fetches;
	enum sched_policy policy;
	uint64_t seed;
};

struct sim_outcome {
	uint64_t makespan_ms;
	/* No schedule is shorter than any of these: the chain of work that takes longest, and what
	 * all phases take of a token by how much of it there is. */
	uint64_t chain_ms, share_ms;
	uint64_t bound_ms; /* the larger of both */
	uint64_t work_ms;  /* processors times time that phases held */
};

/* sim_bound(s, slots, fetches, out): the bounds alone (makespan 0). */
void sim_bound(const struct sim *s, uint64_t slots, uint64_t fetches, struct sim_outcome *out);
/* sim_run(s, conf, out): O((units + phases) log units). */
void sim_run(const struct sim *s, const struct sim_conf *conf, struct sim_outcome *out);
/* sim_blur(s, sigma, seed): each expectation is its duration times a log-normal factor of median 1.
 */
void sim_blur(struct sim *s, double sigma, uint64_t seed);
/* sim_random(seed): the next number of a sequence (splitmix64); uniform in (0, 1). */
double sim_random(uint64_t *seed);
void sim_fini(struct sim *s);
