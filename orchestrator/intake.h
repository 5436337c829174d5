/* What assay export wrote, taken in: as hostile as anything a job wrote. Its layers become layers
 * under names of their own, what its stores held goes through the rules into stores of its own, its
 * recipe becomes a suite in the state directory that reaches nothing of this machine, and what came
 * of it there becomes a run. All of that counts once the run is there; what was made before goes or
 * is used by the next try. Main thread; blocking. */
#pragma once
#include "orchestrator/how.h"
#include "orchestrator/state.h"
#include "orchestrator/suite.h"

#include <jansson.h>

struct intake_asked {
	const char *file;
	const char *sha256;   /* of the file; NULL: any */
	const json_t *mounts; /* as recipe_suite takes them */
	const struct how *how;
};

struct intake {
	int64_t run;
	char *suite;     /* path of the suite made of it */
	json_t *all;     /* the manifest; checked as far as it was used */
	json_t *layers;  /* object: name there -> name here */
	json_t *differs; /* labels of inputs that are not what they were there */
};

/* intake(in, st, asked, e): 0, or -1: ERR_HOSTILE, ERR_INPUT: what is wrong with it; ERR_USAGE:
 * what it needs besides. The caller calls intake_fini in both cases. */
int intake(struct intake *in, struct state *st, const struct intake_asked *asked, struct err *e)
	must_check;
void intake_fini(struct intake *in);

/* intake_record(all, s, st, how, e): intake's last step: a run of suite s that is over, with the
 * results that the manifest has. Its number, or -1. */
int64_t intake_record(const json_t *all, struct suite *s, struct state *st, const struct how *how,
		      struct err *e) must_check;
