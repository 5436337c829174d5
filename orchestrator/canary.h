/* The canary: a job whose answer is known, tried before the jobs of a run, on the machine they will
 * run on and by the same executor. Boxes, their limits' watch, output, ends, harvest, archive and
 * layers are used as jobs use them, so that what breaks those is seen before it is believed of
 * packages. Called by carry.c, with nothing else running. */
#pragma once
#include "orchestrator/result.h"
#include "orchestrator/state.h"

#include <stdint.h>

struct canary_conf {
	struct state *state;
	const char *executor, *helper; /* as in struct sandbox_conf */
	enum box_ids ids;
	bool best_effort, verbose;
};

struct canary {
	char *why; /* how the answer was wrong, in one line; NULL: it was right. The caller's */
	uint64_t wall_ms;
};

/* One box of it, and the answer. */
struct canary_step {
	const char *name;
	const char *run; /* for /bin/sh; $CANARY is a word nobody else knows */
	enum status status;
	enum reason reason;
	int exit_code, signal; /* as facts have them */
	bool says;             /* that word and a newline, and nothing else; false: nothing */
	bool reads;            /* it sees what the step before it left, as a layer of a store */
};
extern const struct canary_step canary_steps[];
#define CANARY_STEPS 3

/* canary_wrong(step, word, facts, said, n): in words what is not as it has to be; NULL: all is. The
 * caller's. Pure. said: the box's n bytes of output. */
char *canary_wrong(const struct canary_step *step, const char *word, const struct box_facts *facts,
		   const char *said, size_t n) must_check;

/* canary_run(c, out, e): 0 where there was an answer, right or wrong. -1: none could be had, which
 * is our own trouble: no box could be made, the disk is full. Blocking: some boxes' time, and what
 * a publish waits for the disk. Leaves nothing below the state directory. */
int canary_run(const struct canary_conf *c, struct canary *out, struct err *e) must_check;
