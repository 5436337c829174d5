/* The report for programs: CSV for tables, JUnit XML for what shows tests, JSON. */
#include "orchestrator/report_page.h"

#include "orchestrator/html.h"
#include "orchestrator/rows.h"

#include <string.h>

enum { LINE_KEPT = 500 };

/* ---- CSV (RFC 4180, but lines end in \n) ---- */

static void csv_cell(struct text *t, const char *s, bool last)
{
	/* what a spreadsheet would take for a formula is text: the names are other people's */
	const char *guard = *s && strchr("=+-@\t", *s) ? "'" : "";
	if (!strpbrk(s, ",\"\r\n")) {
		text_addf(t, "%s%s%c", guard, s, last ? '\n' : ',');
		return;
	}
	text_addf(t, "\"%s", guard);
	for (; *s; s++) {
		if (*s == '"')
			text_addc(t, '"');
		text_addc(t, *s);
	}
	text_addf(t, "\"%c", last ? '\n' : ',');
}

static void csv_side(struct text *t, const struct review_side *s)
{
	bool done = s->is.presence == PRESENCE_DONE;
	auto_free char *wall =
		s->state && s->wall_ms >= 0 ? own_fmt("%lld", (long long)s->wall_ms) : own_dup("");
	csv_cell(t, done ? status_name(s->is.status) : s->state ? s->state : "", false);
	csv_cell(t, done ? reason_name(s->is.reason) : "", false);
	csv_cell(t, done && s->is.phase ? s->is.phase : "", false);
	csv_cell(t, wall, false);
}

void report_csv(const struct report *r, struct text *t)
{
	const struct review *v = r->review;
	text_add(t, "package,version,verdict,confidence,p,known,flake_rate,base_status,base_reason,"
		    "base_phase,"
		    "base_wall_ms,next_status,next_reason,next_phase,next_wall_ms,cause,line\n");
	for (size_t i = 0; i < v->n_pairs; i++) {
		const struct review_pair *p = &v->pairs[i];
		auto_free char *line = review_line(review_telling(p), LINE_KEPT);
		auto_free char *chance = p->how.p >= 0 ? own_fmt("%.4g", p->how.p) : own_dup(""),
			       *rate = p->flake_rate >= 0 ? own_fmt("%.3f", p->flake_rate)
							  : own_dup("");
		csv_cell(t, p->package, false);
		csv_cell(t, p->version, false);
		csv_cell(t, v->base ? verdict_name(p->verdict) : "", false);
		csv_cell(t, v->base ? confidence_name(p->how.confidence) : "", false);
		csv_cell(t, chance, false);
		csv_cell(t, p->known ? suite_expect_name(p->known->expect) : "", false);
		csv_cell(t, rate, false);
		csv_side(t, &p->base);
		csv_side(t, &p->next);
		csv_cell(t, p->next.cause ? p->next.cause : "", false);
		csv_cell(t, line, true);
	}
}

/* ---- JUnit XML (the schema of Ant's junit task, as Jenkins and GitLab read it) ---- */

enum junit { JUNIT_PASS, JUNIT_FAILURE, JUNIT_ERROR, JUNIT_SKIPPED };

static enum junit junit_single(const struct compare_side *s)
{
	if (s->presence != PRESENCE_DONE || s->status == STATUS_INFRA)
		return JUNIT_ERROR;
	if (s->status == STATUS_PASS)
		return JUNIT_PASS;
	return s->status == STATUS_SKIP || s->status == STATUS_BLOCK ? JUNIT_SKIPPED
								     : JUNIT_FAILURE;
}

/* A test fails where something is news. */
static enum junit junit_of(const struct review *v, const struct review_pair *p)
{
	if (!v->base)
		return junit_single(&p->next.is);
	if (p->known)
		return JUNIT_SKIPPED;
	switch (p->verdict) {
	case VERDICT_REGRESSED:
	case VERDICT_WORSE:
		return JUNIT_FAILURE;
	case VERDICT_INCOMPARABLE:
		return compare_lost(&p->base.is) || compare_lost(&p->next.is) ? JUNIT_ERROR
									      : JUNIT_SKIPPED;
	case VERDICT_UNSTABLE:
		return JUNIT_SKIPPED;
	case VERDICT_SAME:
	case VERDICT_FIXED:
	case VERDICT_BETTER:
	case VERDICT_CHANGED:
	case VERDICT_NEW:
	case VERDICT_GONE:
		return JUNIT_PASS;
	}
	return JUNIT_PASS;
}

static void junit_case(struct text *t, const struct review *v, const struct review_pair *p)
{
	static const char *const elements[] = {NULL, "failure", "error", "skipped"};
	const char *element = elements[junit_of(v, p)];
	const struct review_side *s = review_telling(p);
	auto_free char *base = review_outcome(&p->base), *next = review_outcome(&p->next),
		       *sure = review_certainty(p), *line = review_line(s, LINE_KEPT);
	int64_t ms = p->next.state && p->next.wall_ms > 0 ? p->next.wall_ms : 0;
	auto_free char *took = own_fmt("%lld.%03d", (long long)(ms / 1000), (int)(ms % 1000));
	html_addf(t, "  <testcase classname=\"%s\" name=\"%s\" time=\"%s\"%s>",
		  rows_str(v->row, 0, "suite"), p->package, took, element ? "" : "/");
	if (!element) {
		text_add(t, "\n");
		return;
	}
	html_addf(t, "\n    <%s message=\"%s%s%s%s%s%s%s\"", element,
		  v->base ? verdict_name(p->verdict) : "", v->base ? ": " : "", v->base ? base : "",
		  v->base ? " → " : "", next, *sure ? "; " : "", sure);
	if (*line)
		html_addf(t, ">%s</%s>\n", line, element);
	else
		text_add(t, "/>\n");
	text_add(t, "  </testcase>\n");
}

void report_junit(const struct report *r, struct text *t)
{
	const struct review *v = r->review;
	size_t n[JUNIT_SKIPPED + 1] = {0};
	auto_free char *headline = review_headline(v);
	int64_t wall = rows_int(v->row, 0, "wall_ms", 0);
	for (size_t i = 0; i < v->n_pairs; i++)
		n[junit_of(v, &v->pairs[i])]++;
	text_add(t, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
	html_addf(t,
		  "<testsuite name=\"%s\" tests=\"%zu\" failures=\"%zu\" errors=\"%zu\" "
		  "skipped=\"%zu\" "
		  "time=\"%lld\">\n  <properties>\n    <property name=\"validity\" value=\"%s\"/>\n"
		  "    <property name=\"why\" value=\"%s\"/>\n    <property name=\"headline\" "
		  "value=\"%s\"/>\n"
		  "    <property name=\"run\" value=\"%lld\"/>\n  </properties>\n",
		  rows_str(v->row, 0, "suite"), v->n_pairs, n[JUNIT_FAILURE], n[JUNIT_ERROR],
		  n[JUNIT_SKIPPED], (long long)(wall > 0 ? wall / 1000 : 0),
		  validity_name(v->validity), v->why, headline, (long long)v->run);
	for (size_t i = 0; i < v->n_pairs; i++)
		junit_case(t, v, &v->pairs[i]);
	text_add(t, "</testsuite>\n");
}

/* ---- JSON ---- */

void report_json(const struct report *r, struct text *t)
{
	json_t *j = review_json(r->review);
	json_object_set_new(j, "time", spent_json(r));
	json_object_set_new(j, "unchanged", saved_json(r));
	auto_free char *text = json_dumps(j, JSON_INDENT(2));
	text_add(t, text ? text : "null");
	text_addc(t, '\n');
	json_decref(j);
}
