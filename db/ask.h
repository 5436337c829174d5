/* Asking the results database: tables of cells that a query answers with, any that only reads, and
 * the fixed ones by name. Part of the door db/db.h, which includes it. */
#pragma once
#include "base/err.h"
#include "base/pool.h"

#include <stddef.h>
#include <stdint.h>

struct db;

enum db_type { DB_NULL, DB_INT, DB_REAL, DB_TEXT };
struct db_cell {
	enum db_type type;
	union {
		int64_t i;
		double r;
		const char *s; /* DB_TEXT: NUL-terminated, valid UTF-8 (other bytes were replaced).
				  DB_NULL: NULL */
	};
};
struct db_table {
	char **columns;
	size_t n_columns;
	struct db_cell *cells; /* row by row */
	size_t n_rows;
	struct pool texts; /* what its cells point to */
};
void db_table_free(struct db_table *t);

/* One row of an answer: t has that row alone, and is read during the call. 0, or -1 to stop. */
typedef int (*db_row_fn)(void *owner, const struct db_table *t, struct err *e);

/* db_query(d, sql, args, n_args, out, e): one read-only SELECT (or WITH, EXPLAIN, PRAGMA that only
 * reads); anything that would write, a second statement, ATTACH: ERR_USAGE with the place,
 * "query:LINE:COLUMN: …". args are bound as text to ?1, ?2 …, as many as the query has. At most
 * 1,000,000 rows and 1 GiB of text, 64 MiB a value: ERR_LIMIT. Any struct db will do, also the
 * writer's. */
int db_query(struct db *d, const char *sql, const char *const *args, size_t n_args,
	     struct db_table **out, struct err *e) must_check;

/* clang-format off */
/* db_named(d, name, args, n_args, out, e): a query of db/queries.c by its name: the only way in which other folders ask for something
 * fixed. Columns and their order are promised here. ERR_USAGE with the known names where there is none, or another number of args.
 * [args] may be left out: the newest run, ever, all.
 *
 *   name          args               rows, columns
 *   kept          -                  the least valuable last: phase run package variant name bytes entries saves_ms uses chances made_ms
 *                                    used_ms upon; variant NULL: shared
 *   runs          -                  newest first: run suite ecosystem goal state compare_base compare_next started_ms ended_ms wall_ms jobs
 *                                    jobs_done host assay_version engine jobs_at_once suite_path held_ms validity
 *   run           run                one or none; the same
 *   last-run      -                  the newest or none; the same
 *   again         run                one or none: state suite_path suite_sha256 options resumed jobs jobs_done; what resuming it takes
 *   spared        run                one row: spared rechecked stale; jobs that were not run for what an earlier run found, those that ran all
 *                                    the same, and of them those that ended otherwise
 *   inputs        run package        by variant as the suite lists them, then the run itself and the newest runs before it, at most two:
 *                                    variant run suite_inputs variant_inputs package_inputs input_key judged_in status phase reason
 *   reused        run                one row: phases saved_ms; of earlier runs whose frozen uppers its jobs used, and what those took
 *   reused-by     run package        by variant, as they came: variant phase run; the same of one package
 *   unfinished    run                as the plan listed them: job package variant; without a result, or with one that is infra
 *   resumable     -                  newest first: run; interrupted or aborted
 *   variants      run                as the suite lists them: number name layers env
 *   jobs          run                by package, then variant: package version variant state status phase reason exit_code signal limit_hit rule
 *                                    evidence evidence_offset evidence_length wall_ms cpu_ms peak_memory_bytes log job limit_bound limit_value
 *                                    cause host agreeing; host NULL: not known, or another run's job spared it; agreeing: further
 *                                    judgements of the same inputs by earlier runs, all alike
 *   judged        run                by job, then attempt: attempt package variant status reason phase rule evidence_offset evidence_length
 *                                    evidence ended_as exit_code signal limit_hit oom_kills host_oom_kills network_lost host_full network log
 *                                    cause; what its phase was judged by and came of it; attempts without a phase that ran are not there
 *   causes        run                of each variant as the suite lists them the commonest first: variant cause packages line text first_run
 *                                    first_seen_ms example; example is one of the packages
 *   repeats       run                by package, variant, then as they came: package variant status reason phase
 *   settled       run                by package, variant: job package variant status reason phase unchanged agreeing phase_ms; of jobs that are
 *                                    done, infra ones apart; phase_ms: of the phase that decided
 *   flakes        suite              by package: package variant phase passed failed pending streak version layers rate known
 *   verdicts      run                by package: package verdict confidence base_runs base_passes next_runs next_passes p attribution
 *                                    inherited_from cause flake_rate known
 *   depends       run                by package: package needs
 *   expectations  run                by package, variant (NULL: any): package variant expect reason link until
 *   trend         suite, run         the last 30 judged runs of it up to that one, newest first: run day packages regressed fixed validity
 *   baselines     -                  by name: name run variant made_ms suite validity
 *   baseline      name               one or none; the same
 *   canaries      run                by host, then as they were made: host answer why wall_ms made_ms
 *   counts        run                by variant as the suite lists them: variant status n; status NULL: jobs without a result
 *   phases        run                in order of first start: phase boxes wall_ms cpu_ms setup_us peak_memory_bytes store_bytes store_files
 *                                    networked behind_nat profiles; setup_us is the median, peak_memory_bytes the maximum, networked counts
 *                                    boxes, behind_nat those whose network is nat, profiles are all but default
 *   phases-of-job job                of its last attempt, as they ran: phase network ended_as exit_code signal limit_hit wall_ms cpu_ms
 *                                    peak_memory_bytes log error processes network_lost generation store store_layers layers; of the first store
 *                                    the generation it saw and the digests of that, the uppermost first, and the variant's layers, a line each
 *   retrace       run package        by variant as the suite lists them, then as they ran: variant phase network generation started_ms
 *                                    ended_as exit_code signal limit_hit log shared; the phases that counted for the job's own result, those
 *                                    all variants share with each of them; generation is the first store's, NULL: it was empty, or is no longer kept
 *   jobs-of-package run package      by variant as the suite lists them: variant version state status phase reason exit_code signal
 *                                    limit_hit judged_in
 *   boxes         run                the phases that a box ran to its end, package by package as the plan lists them, shared ones first: place
 *                                    package variant phase networked cpus started_ms ended_ms wall_ms peak_memory_bytes disk_bytes; variant
 *                                    is its number, NULL for a shared phase; place tells packages apart
 *   stores        -                  by name: store generation layers entries bytes made_ms pending, of the current generation; pending:
 *                                    entries that too few packages brought; generation NULL: there are only such
 *   pending       store              those, by path: path type size sha256 packages demanded harvest job; of the first that brought it
 *   harvests      run                as they came: store package phase added merged replaced identical dropped conflicts deleted refused new_bytes
 *                                    pending
 *   conflicts     run                as they came: store package phase change path reason; change is conflict or refused
 *   who           path               as they came: store generation current change layer run package phase sha256 size harvest job
 *                                    packages revoked_ms; packages: how many brought the same bytes. Where their words count also those
 *                                    that are in no layer: change is pending or identical
 *   generations   store              newest first: generation current made_by made_ms layers entries bytes harvest job package added replaced
 *                                    merged conflicts refused new_bytes parent chain
 *   generation    generation         one or none: store generation current made_by made_ms layers entries bytes harvest job parent chain
 *   generation-layers generation     uppermost first: position layer entries bytes made_ms harvests
 *   generation-entries generation    files and links it shows, by path: path type size sha256 mtime_ns job harvest
 *   generation-diff generation generation  what the second shows otherwise than the first, by path: path change old_size new_size old_sha256
 *                                    new_sha256 job harvest; change is added, changed or gone
 *   archived      -                  what was published, oldest first, a row for each frame: harvest store job layer segment offset bytes
 *                                    digest record; segment NULL: the archive has lost it
 *   frames-of     harvest            segment offset bytes digest record, as in struct db_frame
 *   harvest-of-layer store layer     newest first: harvest
 *   who-saw       harvest            the phases that saw a generation with it: run package variant phase generation
 *   layer-parts   layer              the publishes that are in it, newest first: harvest store job layer entries
 *   segments      -                  number bytes frames
 *   layers        -                  named ones by name, then the others: name layer entries bytes made_ms source generations
 *   failures      [run]              by package, then variant: package variant status reason phase cause evidence
 *   regressions   [day]              of runs begun since then, newest first: run day suite package confidence p known attribution cause line
 *   slowest       [run]              at most 50: package variant wall_ms cpu_ms peak_memory_bytes status
 *   flaky         -                  the flakiest first: suite package variant phase rate passed failed nights last_run
 *   history       package            newest first: run day suite variant version status reason phase wall_ms verdict cause
 *   cost          [run]              the costliest first: package boxes wall_ms cpu_ms peak_memory_bytes log_stored_bytes store_bytes
 *   logs          run [package]      as phases began: package variant phase log ended_as phase_id run exit_code signal limit_hit repeat;
 *                                    variant NULL: shared; also what earlier runs left of a job's phases, and those that spared it
 *   open-jobs     run, package       one row: n, that have no result yet and may come to one
 *   flakes-of-package package        known ones: suite variant phase rate nights
 *   totals        -                  one row: runs jobs results layers entries segment_bytes
 *
 * wall_ms, cpu_ms and peak_memory_bytes of a job are over all its phases, those shared with other variants too; log is the path,
 * below the state directory, of the log of the phase that decided. */
/* clang-format on */
int db_named(struct db *d, const char *name, const char *const *args, size_t n_args,
	     struct db_table **out, struct err *e) must_check;
/* db_named_each(d, name, args, n_args, row, owner, e): the same, one row after the other: as many
 * as there are, in memory for one. */
int db_named_each(struct db *d, const char *name, const char *const *args, size_t n_args,
		  db_row_fn row, void *owner, struct err *e) must_check;
struct db_named_query {
	size_t n_args,
		n_may; /* values it takes; that many of them, from the last on, may be left out */
	const char *first; /* what the first is: "run", "day", "package"; NULL: nobody says */
	const char *says;  /* one line for people; NULL: it is for other folders */
};
/* db_named_at(i, q): the name of the query at place i, and what it is; NULL behind the last. */
const char *db_named_at(size_t i, struct db_named_query *q);
