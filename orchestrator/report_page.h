/* Inside the report: the parts of the page that its files share. */
#pragma once
#include "orchestrator/report.h"

/* "1.2 s", "3.4 MiB"; nothing for a negative number. */
void page_duration(struct text *t, int64_t ms);
void page_size(struct text *t, int64_t bytes);
/* Opens a section with its heading; the caller closes it. says: NULL for none. */
void page_section(struct text *t, const char *id, const char *title, const char *says);

/* A verdict, its shape beside its colour; shape and class of it for the script. */
void page_verdict(struct text *t, enum verdict v);
json_t *page_face(enum verdict v) must_check;
/* Whether a pair has an article of its own, #pN. */
bool page_tells(const struct review *v, size_t pair);

/* The table of all packages, to search (report_table.c); pictures (report_charts.c). */
void page_table(struct text *t, const struct report *r);
void page_charts(struct text *t, const struct report *r);

/* Logs and layers of a told pair's phases that did not pass (report_logs.c): read once when the
 * report is, at most 4 MiB of markup for all; what is not there is said where it would stand. Shown
 * in an element #lN, which the script copies into a row that is opened. */
void report_logs_load(struct report *r);
void page_logs(struct text *t, const struct report *r, size_t pair);

/* How well the time was used (report_spent.c). As JSON: null where there was no box. */
void page_spent(struct text *t, const struct report *r);
void markdown_spent(struct text *t, const struct report *r);
json_t *spent_json(const struct report *r) must_check;
json_t *saved_json(const struct report *r) must_check;

/* What stands below the packages: results by side, where the time went, stores, conflicts, the
 * sides and the host. */
void page_annex(struct text *t, const struct report *r);
