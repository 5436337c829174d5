/* What each phase of a plan's units is expected to take, from earlier runs of the suite. Where
 * there are none of a phase: what it took under other variants; then the package's weight; then as
 * much as nine of ten that are known. Made once per run, then read only. */
#pragma once
#include "db/db.h"
#include "orchestrator/plan.h"
#include "orchestrator/rank.h"

struct expect;

struct expected {
	uint64_t ms;
	uint64_t memory, disk; /* bytes, with a margin; 0: not known */
	bool known;            /* from runs of this phase */
};

#define EXPECT_RUNS 10 /* so many of the last ones count */

/* expect_load(p, d, e): NULL with e. p is borrowed for as long as it lives. */
struct expect *expect_load(const struct plan *p, struct db *d, struct err *e) must_check;
void expect_free(struct expect *x);
/* expect_phase(x, unit, phase): phase is one of the unit's, as an index into the suite's. */
struct expected expect_phase(const struct expect *x, size_t unit, size_t phase);
/* expect_left(x, unit, phase): ms of the unit's phases from that one on. */
uint64_t expect_left(const struct expect *x, size_t unit, size_t phase);
