/* How much work hangs on each unit of a plan: what a unit leads to, and how the variants of a
 * package stay together. Pure; the engine and the simulation rank alike. */
#pragma once
#include "orchestrator/graph.h"

#define RANK_NONE UINT32_MAX

struct rank_unit {
	uint32_t package;
	uint32_t trunk;    /* index of the unit it waits for, RANK_NONE */
	uint64_t total_ms; /* expected, of all its phases */
};

/* rank_units(u, n, g, n_packages, after): after[i] is what is added to the expected time that unit
 * i still takes to have what is left: for a trunk its longest branch, for a branch as much as its
 * longest sibling takes more, and for both what depends on the package (g, NULL: nothing does). A
 * trunk stands before its branches. Returns the longest chain there is, in ms. */
uint64_t rank_units(const struct rank_unit *u, size_t n, const struct graph *g, size_t n_packages,
		    uint64_t *after);
