/* Of a package with results on both compared sides: is it to be repeated, which phase, and what is
 * known of it? Values in, values out: the engine asks with what it has just seen (job_repeat.c), a
 * run that is gone on with with what is recorded (takeup.c), and both get the same answer. */
#pragma once
#include "db/db.h"
#include "orchestrator/compare.h"
#include "orchestrator/confirm.h"
#include "orchestrator/suite.h"

/* What is known of one side. */
struct candidate_side {
	struct result result;         /* the job's own */
	uint64_t wall_ms;             /* of the phase that decided it; 0: not known */
	struct confirm_tally repeats; /* made so far */
	unsigned lost;                /* more of them, that said nothing */
	unsigned agreeing;            /* further judgements of the same inputs in earlier runs, all
				       * alike */
	bool unchanged;               /* an earlier run's result: nothing ran in this one */
};

struct candidate {
	bool is;
	int bad;      /* 0 or 1: which side did not pass */
	size_t phase; /* of the suite: that is repeated */
	bool earlier; /* both sides' inputs were judged in earlier runs as now: that is in seen */
	struct confirm_seen seen;
};

struct candidate_of {
	const struct suite *suite; /* has_compare */
	size_t package;            /* its index */
	int64_t run;
	unsigned repeat_fixes;         /* of what is fixed: this percentage, too */
	const struct db_table *flakes; /* named query, of the suite; NULL: nothing is known */
};

/* candidate_look(of, base, next, out): the same for the same run and package. */
void candidate_look(const struct candidate_of *of, const struct candidate_side *base,
		    const struct candidate_side *next, struct candidate *out);

/* candidate_side_of(s, variant): 0 or 1, or -1: it is not compared. */
int candidate_side_of(const struct suite *s, size_t variant);
