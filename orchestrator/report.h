/* A run's report: everything read from the database first, then written as one HTML page or one
 * Markdown text. */
#pragma once
#include "base/text.h"
#include "orchestrator/replay.h"
#include "orchestrator/review.h"

/* Packages told in full, one after the other; those beyond are in the tables only. */
enum { REPORT_TOLD = 200 };

struct report {
	struct review *review;
	/* named queries of the run, by their names */
	struct db_table *counts, *phases, *harvests, *conflicts, *spared;
	struct db_table *trend;                /* of the suite, up to this run */
	struct db_table *told[REPORT_TOLD][2]; /* "phases-of-job" of the first pairs' base and next;
						  NULL: absent side */
	struct spent spent;      /* how the run spent its time; means nothing without a box */
	size_t n_boxes;          /* that ended */
	char *logs[REPORT_TOLD]; /* markup of those pairs' logs; NULL: none to show */
	const char *state;       /* the state directory, absolute */
	const char *say_state;   /* what commands shown need as --state; NULL: nothing */
	int64_t made_ms;
};

/* report_load(d, review, r, e): takes nothing over; review, and the state strings the caller fills
 * in, must outlive r. Free what was loaded with report_fini, also after -1. */
int report_load(struct db *d, struct review *review, struct report *r, struct err *e) must_check;
void report_fini(struct report *r);

/* One self-contained page: no script or style from elsewhere, readable without scripts; searching
 * the table of all packages needs its own one. */
void report_html(const struct report *r, struct text *page);
/* GitHub's Markdown, fit for a comment: at most REPORT_COMMENT bytes; what did not fit is counted.
 */
enum { REPORT_COMMENT = 65000 /* of 65,536 */ };
void report_markdown(const struct report *r, struct text *out);

/* One row a package, and what shows tests: report_files.c. */
void report_csv(const struct report *r, struct text *out);
void report_junit(const struct report *r, struct text *out);
/* What `assay compare --json` prints, and how the run spent its time ("time"; null where it made no
 * box) and what it did not do twice ("unchanged"). */
void report_json(const struct report *r, struct text *out);

/* Parts both share. */
/* "2026-11-25 15:05 UTC"; "" for none. */
char *report_time(int64_t ms) must_check;
/* The command that shows the log of a side; NULL where it has none. */
char *report_log(const struct report *r, const struct review_side *s) must_check;
/* What the phase that ended a told pair's side said of its box's own trouble; NULL: nothing.
 * Borrowed. */
const char *report_trouble(const struct report *r, size_t pair, bool next);

/* Failures that are the same on both sides, by their result: groups of pairs, largest first. */
struct report_group {
	char *outcome;
	size_t *pairs, n;
};
size_t report_groups(const struct report *r, struct report_group **groups) must_check;
void report_groups_free(struct report_group *groups, size_t n);

/* The constants of the page: report_style.c, report_script.c. */
extern const char report_style[], report_script[];
