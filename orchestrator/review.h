/* What a run says, read from the database and put side by side: the jobs of two of its variants
 * paired by package, each pair with its verdict, and whether the run can be believed. The command
 * `compare` prints it, the reports are made of it. One owner; read-only once loaded. */
#pragma once
#include "db/db.h"
#include "orchestrator/compare.h"

/* One job's result, borrowed from review.jobs. */
struct review_side {
	struct compare_side is;
	size_t row;           /* of review.jobs; meaningless where absent */
	const char *state;    /* "waiting" "running" "done" "abandoned"; NULL: absent */
	const char *evidence; /* NULL: none */
	const char *log;      /* of the deciding phase, below the state directory; NULL: none */
	int64_t exit_code, signal, wall_ms;
	int64_t evidence_offset, evidence_length;
};

struct review_pair {
	const char *package, *version; /* "" where a version is not known */
	struct review_side base, next;
	enum verdict verdict;
};

struct review {
	int64_t run;
	struct db_table *row;      /* named query "run": one row */
	struct db_table *variants; /* named query "variants" */
	struct db_table *jobs;     /* named query "jobs" */
	const char *base, *next; /* variants; base NULL: a run of one variant, nothing is compared,
				    pairs hold next only */
	struct review_pair *pairs; /* by verdict_rank, then package */
	size_t n_pairs;
	size_t verdicts[VERDICT_COUNT];
	size_t n_jobs, n_done, n_passed, n_lost,
		n_pending; /* of all variants; lost as compare_lost
			      says it of jobs that should be over */
	enum validity validity;
	bool running; /* the run is going on: nothing here is final */
	char *why;    /* one sentence on validity, for people; "" where the run is valid and over */
};

/* review_run(d, word, e): the run that a command's argument names: a number, or NULL for the
 * newest. Its id, or -1: ERR_USAGE for what is no number or names no run, ERR_ABSENT where nothing
 * was run yet. */
int64_t review_run(struct db *d, const char *word, struct err *e) must_check;
/* review_load(d, run, base, next, e): base and next name variants of the run; NULL: those the suite
 * compares. NULL with e: ERR_USAGE for no such run, no such variant or one without the other. */
struct review *review_load(struct db *d, int64_t run, const char *base, const char *next,
			   struct err *e) must_check;
void review_free(struct review *r);

/* Exit status of compare and run: EXIT_OURS where void or not over, EXIT_REGRESSED, EXIT_OK. */
int review_exit(const struct review *r);
/* "3 regressed, 1 fixed of 18 packages: node-22 → node-24", for a run of one variant "15 pass, 3
 * fail of 18 packages: node-22". */
char *review_headline(const struct review *r) must_check;
/* "fail/missing-dep in test", "pass", "waiting", "-". */
char *review_outcome(const struct review_side *s) must_check;
/* "exit 1", "signal 11 (SEGV)", "time limit": the fact behind the outcome; "" where it adds
 * nothing. */
char *review_fact(const struct review *r, const struct review_side *s) must_check;
/* The deciding line alone, plain, at most `max` characters; "" where there is none. */
char *review_line(const struct review_side *s, size_t max) must_check;
/* Which line of the evidence (counted from 0) decided; the evidence begins up to two lines before
 * it. */
size_t review_deciding(const struct review_side *s);
/* The side that a reader wants to see first: next where it does not pass, else base. */
const struct review_side *review_telling(const struct review_pair *p);
/* The shell command that repeats the pair. `state`: NULL where the default state directory is
 * meant. */
char *review_repeat(const struct review *r, const struct review_pair *p, const char *state)
	must_check;
/* s as one word of a POSIX shell, quoted only where it has to be. */
char *shell_word(const char *s) must_check;
