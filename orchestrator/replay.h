/* Where a simulation's jobs come from: a recorded run, or a file. */
#pragma once
#include "base/err.h"
#include "db/db.h"
#include "orchestrator/sim.h"

/* How a run spent its time. "Processor time" is wall time of phases times the processors they held;
 * spread over the run's slots it is time of the whole run. */
struct spent {
	uint64_t makespan_ms; /* first box's start to last box's end, but for paused_ms */
	uint64_t paused_ms;   /* in between it was interrupted, and not yet gone on with */
	uint64_t slots; /* processors that boxes held at once: as it was told last, or more, if
			   it once was told so */
	struct sim_outcome least; /* bounds, never above the makespan; makespan 0 */
	/* What of the makespan no box filled, spread over the slots: after the last box began (the
	 * end, when slots have nothing left to do), and all before. */
	uint64_t tail_ms, between_ms;
	uint64_t held_ms; /* nothing was started because of the machine's pressure or disk */
};

/* replay_run(d, run, s, spent, e): the phases of a run that were boxes. Expected is what they took.
 * Which package depends on which is not recorded. ERR_ABSENT where there is no such run. */
int replay_run(struct db *d, int64_t run, struct sim *s, struct spent *spent, struct err *e)
	must_check;

/* replay_file(path, s, e): a JSON object per line: name; seconds; and, where wanted, expect
 * (seconds), cpus (1), memory ("1G"), fetch (seconds of a phase before it that waits for a
 * network), depends (names). ERR_INPUT's text begins with path:line. */
int replay_file(const char *path, struct sim *s, struct err *e) must_check;

/* spent_text(s): "makespan …, N of its lower bound …": one line for people; the caller frees it. */
char *spent_text(const struct spent *s) must_check;
