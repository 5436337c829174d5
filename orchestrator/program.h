/* Programs of a suite's rules (do: program), run for cache_publish(): one box for all files of a
 * rule and a harvest, as any box of the suite but with nothing to write but its results, no network
 * and limits of its own.
 *
 * In the box (assay-suite(5), PROGRAMS OF RULES):
 *   /program/in/new/K   the file the harvest found, K from 1 on; read-only, as old/K: the store's
 *   /program/in/old/K   file of the same path, where it has one
 *   /program/run        what calls the program for each K, and writes to
 *   /program/out/       K (the program does), K.status (its exit status), K.says (what it said)
 * Status 0: K is what the store gets; PROGRAM_KEEP: the store stays as it is; else, and for all
 * that has no status because a limit ended the box: refused, with the reason. */
#pragma once
#include "orchestrator/aside.h"
#include "orchestrator/state.h"
#include "orchestrator/suite.h"

#define PROGRAM_KEEP 77

struct programs;

struct programs_conf {
	struct state *state;
	const struct suite *suite;
	const char *executor, *helper; /* as sandbox_conf has them */
	bool best_effort, verbose;
};

/* programs_open(out, conf, e): 0 and those of the suite's stores, NULL where no rule has one. Opens
 * the layers that the boxes see, by the database: the thread that has it. conf's pointers are
 * borrowed until programs_close. */
int programs_open(struct programs **out, const struct programs_conf *conf, struct err *e)
	must_check;
void programs_close(struct programs *p);
/* programs_keep(p, sb, e): can boxes with their limits be had (sandbox_keeps)? */
int programs_keep(const struct programs *p, const struct sandbox *sb, struct err *e) must_check;
/* programs_end(p): any thread: the one that runs is ended, and those to come at once; what they
 * were asked about is refused. */
void programs_end(struct programs *p);

/* One publish into a store: what its runner needs; the caller's, in place. */
struct program_run {
	struct programs *programs;
	const struct suite_store *store;
	struct aside aside;
};
/* program_runner(r, p, store): for cache_harvest.runner. It blocks until the box is gone; whichever
 * thread publishes, one at a time. */
struct cache_runner program_runner(struct program_run *r, struct programs *p,
				   const struct suite_store *store);
