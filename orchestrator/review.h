/* What a comparison says, read from the database and put side by side: the jobs of two variants of
 * a run, or of two runs, paired by package, each pair with its verdict, what the differences have
 * in common, and whether the runs can be believed. The command `compare` prints it, the reports are
 * made of it. One owner; read-only once loaded. */
#pragma once
#include "db/db.h"
#include "orchestrator/compare.h"
#include "orchestrator/suite.h"

#include <jansson.h>

/* One job's result, borrowed from its run's rows. */
struct review_side {
	struct compare_side is;
	struct compare_side *seen; /* it, and what repeats brought; owned */
	size_t n_seen;             /* 0 where absent */
	size_t agreeing; /* further judgements of the same inputs in earlier runs, all as `is` */
	const struct db_table *jobs; /* named query "jobs" of its run */
	size_t row;                  /* of jobs; meaningless where absent */
	const char *state;           /* "waiting" "running" "done" "abandoned"; NULL: absent */
	const char *evidence;        /* NULL: none */
	const char *log;   /* of the deciding phase, below the state directory; NULL: none */
	const char *cause; /* id of what it has in common with others; NULL: none */
	int64_t exit_code, signal, wall_ms;
	int64_t evidence_offset, evidence_length;
};

/* What was known of a package beforehand, and whether it is so. */
enum known_is {
	KNOWN_HOLDS,
	KNOWN_PASSES, /* it was to fail, and passes */
	KNOWN_UNSEEN, /* nothing came that it is about: it did not fail, or has no result */
	KNOWN_ABSENT, /* there is no such package */
};
struct review_known {
	const char *package, *variant; /* variant NULL: any */
	enum suite_expect expect;
	const char *reason, *link; /* link NULL: none */
	enum known_is is;
};

struct review_pair {
	const char *package, *version; /* "" where a version is not known */
	struct review_side base, next;
	enum verdict verdict;
	struct comparison how;
	bool attributed; /* it differs for the worse: */
	enum attribution attribution;
	const char *inherited_from;       /* the package it begins with, where INHERITED */
	const struct review_known *known; /* says that it would be so; NULL: nothing does */
	double flake_rate; /* of the side that did not pass, in the phase where it did not;
			      negative: it never failed by itself, as far as is known */
};

/* What made several packages differ for the worse, the most frequent first. */
struct review_cause {
	const char *id;
	const char *line;  /* that decided, as it was first seen; NULL: the result alone did */
	int64_t first_run; /* where it was first seen, in all that is kept; 0: in none that is */
	size_t *pairs, n;  /* indexes of review.pairs */
};

/* The rows of a run: named queries by their names. */
struct review_source {
	int64_t run;
	struct db_table *row, *variants, *jobs, *repeats, *causes, *expectations, *depends,
		*canaries;
};

struct review {
	int64_t run, base_run; /* next's and base's; base_run 0 where nothing is compared */
	struct review_source source[2]; /* base's, where it is another run, and next's; owned */
	const struct db_table *row, *variants, *jobs; /* next's */
	char *base, *next; /* what the sides are called: a variant's name; of two runs that and
			      which run. base NULL: a run of one variant, nothing is compared, pairs
			      hold next only */
	const char *base_variant, *next_variant;
	char *kept[2];             /* what they may be borrowed from; owned */
	struct review_pair *pairs; /* by verdict_rank, then package */
	size_t n_pairs;
	size_t n_not_asked; /* packages of one of two runs that the other was not to run (--only):
			       no pairs */
	struct review_cause *causes;
	size_t n_causes;
	struct review_known *known; /* of next's run */
	size_t n_known;
	struct db_table *flakes; /* of next's suite */
	size_t verdicts[VERDICT_COUNT];
	size_t n_confirmed, n_expected; /* of what regressed */
	size_t n_seen_once; /* of it, too: no repeat bore it out, and nothing said it would be so */
	size_t n_jobs, n_done, n_passed, n_lost,
		n_pending;      /* of all variants of next's run; lost as compare_lost
				   says it of jobs that should be over */
	enum validity validity; /* the worse of both runs' */
	bool running;           /* a run is going on: nothing here is final */
	char *why;              /* one sentence on validity, for people; "" where valid and over */
};

/* One side of a comparison, by name. */
struct review_pick {
	int64_t run;
	const char
		*variant; /* NULL: the run's own: of its comparison the next one, or the only one */
};

/* review_run(d, word, e): the run that a command's argument names: a number, or NULL for the
 * newest. Its id, or -1: ERR_USAGE for what is no number or names no run, ERR_ABSENT where nothing
 * was run yet. */
int64_t review_run(struct db *d, const char *word, struct err *e) must_check;
/* review_pick(d, word, p, e): what a command's argument says: "RUN", "RUN:VARIANT", or "@NAME" of a
 * baseline. p->variant is the word's or *kept's, which the caller frees. ERR_USAGE as review_run;
 * ERR_ABSENT where there is no such baseline. */
int review_pick(struct db *d, const char *word, struct review_pick *p, char **kept, struct err *e)
	must_check;
/* review_load(d, run, base, next, e): base and next name variants of the run; NULL: those the suite
 * compares. NULL with e: ERR_USAGE for no such run, no such variant or one without the other. */
struct review *review_load(struct db *d, int64_t run, const char *base, const char *next,
			   struct err *e) must_check;
/* review_load_picks(d, base, next, e): any two sides; of one run both variants must be named. */
struct review *review_load_picks(struct db *d, const struct review_pick *base,
				 const struct review_pick *next, struct err *e) must_check;
/* review_ask(d, first, second, base, next, e): what a command line asks for: one run (or none: the
 * newest) with --base and --next or without, or two sides as review_pick takes them. */
struct review *review_ask(struct db *d, const char *first, const char *second, const char *base,
			  const char *next, struct err *e) must_check;
void review_free(struct review *r);

/* What is known of one package, variant and phase: a row of r->flakes. */
struct flake review_flake(const struct review *r, size_t row);

/* The first of r->flakes' rows that is of that package, or stands behind where it would be. */
size_t review_flakes_of(const struct review *r, const char *package);

/* Exit status of compare and run: EXIT_OURS where void or not over, EXIT_REGRESSED where something
 * did that was not known to, with that confidence or more, EXIT_OK. REVIEW_FAIL_ON: where nobody
 * says which; then a difference that was seen once and not repeated, or that repeats did not bear
 * out, is told and no alarm. */
#define REVIEW_FAIL_ON CONFIDENCE_LIKELY
int review_exit(const struct review *r, enum confidence least);
/* "3 regressed, 1 fixed of 18 packages: node-22 → node-24", for a run of one variant "15 pass, 3
 * fail of 18 packages: node-22". */
char *review_headline(const struct review *r) must_check;
/* "fail/missing-dep in test", "pass", "waiting", "-". */
char *review_outcome(const struct review_side *s) must_check;
/* "5/5 → 0/5, p 0.014, confirmed; flaky (12 %)": how sure the verdict is; "" where nothing was
 * repeated and nothing is known. */
char *review_certainty(const struct review_pair *p) must_check;
/* "skip, 'browserify': there is no such package (too old)": an entry that does not hold; NULL: it
 * does. */
char *review_stale(const struct review_known *k) must_check;
/* "exit 1", "signal 11 (SEGV)", "time limit": the fact behind the outcome; "" where it adds
 * nothing. */
char *review_fact(const struct review_side *s) must_check;
/* The deciding line alone, plain, at most `max` characters; "" where there is none. */
char *review_line(const struct review_side *s, size_t max) must_check;
/* The deciding line of a cause's first package; where there is none the result's own words, with
 * the phase if it is the same for all. */
char *review_cause_line(const struct review *r, const struct review_cause *c, size_t max)
	must_check;
/* Which line of the evidence (counted from 0) decided; the evidence begins up to two lines before
 * it. */
size_t review_deciding(const struct review_side *s);
/* The side that a reader wants to see first: next where it does not pass, else base. */
const struct review_side *review_telling(const struct review_pair *p);
/* The shell command that runs the pair again, whatever earlier runs said of it. `state`: NULL where
 * the default state directory is meant. */
char *review_repeat(const struct review *r, const struct review_pair *p, const char *state)
	must_check;
/* All of it: validity first, then counts, causes, what was known, packages. */
json_t *review_json(const struct review *r) must_check;
