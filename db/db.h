/* The door of db/: the results database (SQLite, WAL, STRICT tables; schema and layout in
 * db/schema.c). SQL text lives in this folder only. One writer: the process that holds the state
 * directory's lock, on one thread (the database lane). Any number of readers, each with its own
 * struct db opened DB_READ. Every function that writes is one transaction, durable when it returns
 * (synchronous=FULL). Strings are borrowed. Times are ms since 1970 UTC. Ids are rowids > 0. NULL
 * strings become SQL NULL. */
#pragma once
#include "base/err.h"
#include "db/ask.h"
#include "db/catalog.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct db;

enum db_mode {
	DB_READ,  /* read-only; ERR_ABSENT where there is no database; an older schema is ERR_INPUT
		     saying what to run */
	DB_WRITE, /* created where it is missing, migrated where it is older; a newer one is refused
		   */
};

/* db_open(path, mode, e): path is the database file. NULL with e. */
struct db *db_open(const char *path, enum db_mode mode, struct err *e) must_check;
void db_close(struct db *d);

/* db_together(d, e): what is written from now on is one transaction, durable when db_together_end
 * returns 0, and undone where that is -1. What fails alone in between is undone alone; where the
 * whole had to be (a full disk), everything after it fails, too. */
int db_together(struct db *d, struct err *e) must_check;
int db_together_end(struct db *d, struct err *e) must_check;

/* ---- a run's life ---- */

struct db_variant {
	const char *name;
	const char *layers; /* "node-22=<id> npm=<id>", for people */
	const char *env;    /* "K=V\nK=V", for people */
	const char *inputs; /* NULL: not known */
};

struct db_job {
	int64_t id;          /* filled by db_run_begin */
	const char *package; /* unique within the run's packages: the suite's id of it ("semver",
				"des.js+mocha5") */
	const char *version;
	const char *variant;
	const char *inputs, *input_key; /* orchestrator/inputs.h; NULL: not known */
};

struct db_run {
	const char *suite, *suite_path, *suite_sha256;
	const char *ecosystem; /* NULL: none */
	const char *goal;      /* name of the goal phase */
	const char *compare_base,
		*compare_next; /* variant names, NULL with fewer than two variants */
	const char *host;      /* this machine's name */
	const char *version;   /* of assay */
	const char *engine;    /* what the boxes could use, for people: "native, root, cgroup v1" */
	int64_t pid, started_ms;
	uint64_t jobs_at_once;
	bool partial;        /* only some of the suite's packages were asked for */
	const char *inputs;  /* what all its jobs have in common of what they see; NULL */
	const char *options; /* what else a run that is gone on with must be given again; NULL */
	/* fill(ctx, i, job, e), where it is not NULL: completes a copy of jobs[i] just before its
	 * row is written; what it points to need only last until the next call. So what is long and
	 * has a row of its own need not be in memory for all jobs at once. 0, or -1: no run. */
	int (*fill)(void *ctx, size_t i, struct db_job *job, struct err *e);
	void *ctx;
};

/* db_run_begin(d, run, variants, n, jobs, n, e): the run, its variants and its jobs (state
 * "waiting"), all or nothing. Run id or -1. */
int64_t db_run_begin(struct db *d, const struct db_run *run, const struct db_variant *variants,
		     size_t n_variants, struct db_job *jobs, size_t n_jobs, struct err *e)
	must_check;
/* db_run_end(d, run, state, e): state "done" | "interrupted" | "aborted"; jobs that still wait or
 * run become "abandoned". */
int db_run_end(struct db *d, int64_t run, const char *state, int64_t ended_ms, struct err *e)
	must_check;
/* A job whose inputs were judged before. */
struct db_unchanged {
	int64_t job, attempt,
		run;    /* of the run; the newest attempt that judged them, and its run */
	int64_t agreed; /* so many attempts judged them, that one included */
	int64_t own_us, shared_us; /* processor time that one's phases took, its own and those it
				      shared with other variants */
};
/* db_unchanged(d, run, each, ctx, e): `each` for the jobs of a run that wait and need not be run:
 * those with the key of earlier ones whose results agree, all of them, and are pass, or are two at
 * least; and what that is. What was skipped, blocked, cancelled or ended by our own trouble says
 * nothing. Texts are the call's. */
int db_unchanged(struct db *d, int64_t run,
		 void (*each)(void *ctx, const struct db_unchanged *u, const char *status,
			      const char *phase, const char *reason),
		 void *ctx, struct err *e) must_check;
/* db_wake(d, job, e): it is run after all: it is no longer spared, and that it was is forgotten. */
int db_wake(struct db *d, int64_t job, struct err *e) must_check;
/* db_spare(d, list, n, now_ms, e): these jobs are done: skip/unchanged, and v_job tells the result
 * that spared them. db_recheck(d, list, n, e): these run all the same, to see whether that is true.
 * All or nothing. */
int db_spare(struct db *d, const struct db_unchanged *list, size_t n, int64_t now_ms, struct err *e)
	must_check;
int db_recheck(struct db *d, const struct db_unchanged *list, size_t n, struct err *e) must_check;

/* ---- frozen uppers that are kept for later runs ---- */

struct db_kept {
	int64_t phase; /* whose uppers; names their directory */
	int64_t upon;  /* the phase whose kept uppers lay below it, 0: none did */
	char digest[65];
	int64_t bytes, entries, saves_ms; /* what is saved by using them: what the phase took */
	int64_t uses, chances; /* runs of its suite since, and of them those that used it */
	bool in_use;
};
/* db_kept_take(d, key, upon, run, out, e): those with that key (64 hex digits) upon those of that
 * phase, that a phase of that run left (0: of any); from now on they are in use. 1 found, 0 absent,
 * -1. */
int db_kept_take(struct db *d, const char *key, int64_t upon, int64_t run, struct db_kept *out,
		 struct err *e) must_check;
/* db_kept_add(d, k, key, now_ms, e): they are there now. Those with the same key and upon are
 * replaced, with all that lies upon them (*replaced gets their phases; the caller frees it), but
 * not where they are in use: 0 then, and nothing is done; else 1; or -1. */
int db_kept_add(struct db *d, const struct db_kept *k, const char *key, int64_t now_ms,
		int64_t **replaced, size_t *n, struct err *e) must_check;
/* db_kept_give(d, phase, used, now_ms, e): no longer in use; used: and they were of use. */
int db_kept_give(struct db *d, int64_t phase, bool used, int64_t now_ms, struct err *e) must_check;
/* db_kept_drop(d, phase, gone, n, e): these and all that lies upon them are there no more; their
 * phases are added to *gone, which the caller frees. */
int db_kept_drop(struct db *d, int64_t phase, int64_t **gone, size_t *n, struct err *e) must_check;
/* db_kept_list(d, list, n, e): all, in no order; the caller frees the list. */
int db_kept_list(struct db *d, struct db_kept **list, size_t *n, struct err *e) must_check;
/* db_kept_forget(d, phases, n, e): these are there no more. All or nothing. */
int db_kept_forget(struct db *d, const int64_t *phases, size_t n, struct err *e) must_check;
/* db_kept_rest(d, e): nothing is in use: whoever used any is dead. */
int db_kept_rest(struct db *d, struct err *e) must_check;

/* db_run_held(d, run, ms, e): so long, more than what is noted, it started nothing although
 * something waited. */
int db_run_held(struct db *d, int64_t run, int64_t ms, struct err *e) must_check;
/* db_run_resume(d, run, pid, jobs_at_once, now_ms, e): an interrupted or aborted run is running
 * again: its jobs without a result, and those whose result is infra, wait; attempts that came to no
 * result are forgotten; from its end to now_ms it paused. How many times that was done to it, or
 * -1: ERR_USAGE where there is none such. */
int db_run_resume(struct db *d, int64_t run, int64_t pid, int64_t jobs_at_once, int64_t now_ms,
		  struct err *e) must_check;
/* db_runs_abandon(d, e): runs still "running" (their process is dead: the caller holds the lock)
 * become "aborted", their unfinished jobs "abandoned"; their end is the last moment anything of
 * them was recorded. Number of runs, or -1. */
int db_runs_abandon(struct db *d, struct err *e) must_check;

int db_job_state(struct db *d, int64_t job, const char *state, struct err *e) must_check;
/* db_host(d, host): where attempts that begin from now on are made; NULL: not known. */
void db_host(struct db *d, const char *host);
/* The job's next attempt: id or -1. */
int64_t db_attempt_begin(struct db *d, int64_t job, int64_t started_ms, struct err *e) must_check;
/* The same of a repeat: of a job that has its result, to see whether that is so again. It leaves
 * the job's own result alone. */
int64_t db_repeat_begin(struct db *d, int64_t job, int64_t started_ms, struct err *e) must_check;

struct db_phase {
	int64_t run;
	const char *package, *version;
	const char *variant; /* NULL: shared by all variants (once-per: package) */
	const char *name;
	const char *network; /* "none" | "host" | "nat" */
	int64_t generation;  /* of the first store it saw, 0 for none */
	const char *log; /* path of its log below the state directory; once it is over NULL where
			    it said nothing */
	int64_t started_ms;
	int64_t cpus; /* processors it holds; 0: it waits for a network */
};
/* Phase id or -1. */
int64_t db_phase_begin(struct db *d, const struct db_phase *p, struct err *e) must_check;

struct db_facts {
	const char *end;   /* "exited" "signalled" "limited" "cancelled" "failed" */
	int64_t exit_code; /* -1: none */
	int64_t signal;    /* 0: none */
	bool core;
	const char *limit; /* "none" or the limit's name */
	int64_t limit_bound, limit_value;
	int64_t setup_us, wall_us, cpu_user_us, cpu_system_us;
	int64_t peak_memory, output_bytes, oom_kills, host_oom_kills, processes_refused;
	/* of these 0 is not known, or none */
	int64_t processes_peak, io_read_bytes, io_write_bytes, disk_bytes, disk_inodes;
	int64_t throttled, throttled_us, stalled_memory_us, stalled_cpu_us, stalled_io_us;
	const char *executor, *profile, *uppers; /* NULL: not known */
	bool network_lost;                       /* its network ended before it did */
	bool host_full;        /* the state directory's file system had no room left then */
	const char *processes; /* a line for each that was ended by us; NULL or "": none */
	const char *cgroup;
	const char *error;                /* NULL: none */
	int64_t log_bytes, log_stored;    /* uncompressed bytes kept; file size, 0: there is
					    none */
	const char *log_sha256;           /* of the file */
	int64_t store_bytes, store_files; /* what the phase brought into stores (published content),
					     0: nothing fetched */
	int64_t upper_bytes;              /* what it left in its uppers, 0 unknown */
	int64_t started_ms, ended_ms;     /* started_ms 0: as db_phase_begin was told */
};
int db_phase_end(struct db *d, int64_t phase, const struct db_facts *f, struct err *e) must_check;

struct db_signature { /* name NULL: none */
	const char *name, *text;
	const char *line; /* the deciding line itself; NULL: none */
};

struct db_result {
	const char *status, *phase, *reason;
	int64_t exit_code, signal;
	const char *limit;
	int64_t evidence_offset,
		evidence_length; /* in the deciding phase's log, uncompressed; -1: none */
	const char *evidence; /* the deciding line and a few around it, at most 4 KiB; NULL: none */
	const char *rule;     /* id of the log rule that refined it, NULL: none */
	struct db_signature signature;
	const int64_t *phases; /* ids, in the order they ran; shared ones too */
	size_t n_phases;
	int64_t ended_ms;
};
/* db_result(d, job, attempt, r, e): the attempt's result and phases; the job's state becomes
 * "done". Exactly once per attempt. */
int db_result(struct db *d, int64_t job, int64_t attempt, const struct db_result *r, struct err *e)
	must_check;

/* A result judged anew. */
struct db_revision {
	int64_t attempt;
	const char *status, *reason; /* the phase stays */
	int64_t evidence_offset, evidence_length;
	const char *evidence, *rule;
	struct db_signature signature;
};
/* db_revise(d, r, n, revised_ms, e): these results say this from now on; all or nothing. */
int db_revise(struct db *d, const struct db_revision *r, size_t n, int64_t revised_ms,
	      struct err *e) must_check;

/* ---- what earlier runs tell of the next ---- */

/* One phase of one package under one variant (NULL: shared), over the last runs of a suite. */
struct db_learned {
	const char *package, *variant, *phase; /* borrowed for the call */
	int64_t n;                             /* boxes seen */
	int64_t p90_ms;                        /* nine of ten took no longer (nearest rank) */
	bool censored; /* that one was ended by a limit: it takes at least so long */
	int64_t peak_memory, disk_bytes; /* the largest; 0 not known */
};
/* db_learned(d, suite, runs, each, ctx, e): `each` for every phase that had a box in the suite's
 * last so many runs, in no order. What was cancelled, or never had a box, tells nothing. */
int db_learned(struct db *d, const char *suite, int64_t runs,
	       void (*each)(void *ctx, const struct db_learned *l), void *ctx, struct err *e)
	must_check;

/* ---- what is known beforehand ---- */

struct db_expectation {
	const char *package;
	const char *variant;               /* NULL: any */
	const char *expect;                /* "fail" "flaky" "skip" */
	const char *reason, *link, *until; /* link, until: NULL none */
};
/* db_expect(d, run, x, n, e): of a run that has just begun. */
int db_expect(struct db *d, int64_t run, const struct db_expectation *x, size_t n, struct err *e)
	must_check;

struct db_need {
	const char *package, *needs; /* ids of two packages of the run */
};
/* db_depends(d, run, x, n, e): which of a run that has just begun depend on which. */
int db_depends(struct db *d, int64_t run, const struct db_need *x, size_t n, struct err *e)
	must_check;

/* ---- what a run says, once it is over ---- */

struct db_verdict {
	const char *package, *verdict, *confidence;
	int64_t base_runs, base_passes, next_runs, next_passes;
	double p;                   /* negative: none */
	const char *attribution;    /* NULL: nothing to attribute */
	const char *inherited_from; /* a package, NULL */
	const char *signature;      /* name of one that results have; NULL */
	double flake_rate;          /* negative: nothing is known */
	const char *known;          /* "fail" "flaky" "skip": expected, and so it was; NULL */
};

struct db_flake {
	const char *package, *variant, *phase;
	double passed, failed, pending, rate;
	int64_t streak;
	bool known;
	const char *version, *layers;
};

struct db_judgement {
	const char *validity, *why; /* "valid" "degraded" "void"; a sentence or "" */
	const struct db_verdict *verdicts;
	size_t n_verdicts;
	const struct db_flake *flakes; /* what they are from now on */
	size_t n_flakes;
};
/* db_judge(d, run, j, e): all of it in the place of what was said of the run before, but for
 * flakes, which learn from a run only once: those of a run that was judged already are not taken.
 */
int db_judge(struct db *d, int64_t run, const struct db_judgement *j, struct err *e) must_check;

/* What the job whose answer is known came to on a machine. */
struct db_canary {
	const char *host;
	const char *why; /* in words how it was wrong; NULL: it was right */
	int64_t wall_ms, made_ms;
};
int db_canary(struct db *d, int64_t run, const struct db_canary *c, struct err *e) must_check;

/* db_baseline_save(d, name, run, variant, made_ms, e): a side of a run by a name, which no longer
 * means what it meant before. ERR_ABSENT where the run has no such variant. */
int db_baseline_save(struct db *d, const char *name, int64_t run, const char *variant,
		     int64_t made_ms, struct err *e) must_check;
/* 1 removed, 0 there was none, -1. */
int db_baseline_remove(struct db *d, const char *name, struct err *e) must_check;
