/* The page: validity and headline, what changed with its evidence, what fails on both sides, then
 * all packages. report_annex.c writes what stands below it: time, stores, sides. */
#include "orchestrator/report_page.h"

#include "base/unit.h"
#include "cache/cache.h"
#include "orchestrator/html.h"
#include "orchestrator/rows.h"

#include <string.h>

/* A shape beside each colour: verdicts must be told apart without seeing colours. */
/* clang-format off */
static const struct {
	const char *shape, *tone, *title, *says;
} faces[VERDICT_COUNT] = {
	[VERDICT_REGRESSED]    = {"▼", "bad",  "Regressed",    "Passed, and does not any more."},
	[VERDICT_WORSE]        = {"▽", "bad",  "Worse",        "Did not pass before either, and now fails harder (fail, kill, crash)."},
	[VERDICT_UNSTABLE]     = {"≈", "warn", "Unstable",     "Repeats on one side disagree, which explains the difference."},
	[VERDICT_INCOMPARABLE] = {"?", "warn", "Incomparable", "One side says nothing about the package: our own trouble, policy, or no result."},
	[VERDICT_FIXED]        = {"▲", "good", "Fixed",        "Did not pass, and does now."},
	[VERDICT_BETTER]       = {"△", "good", "Better",       "Still does not pass, but fails less hard."},
	[VERDICT_CHANGED]      = {"◆", "info", "Changed",      "Fails in another way, in another phase, or for another cause."},
	[VERDICT_NEW]          = {"+", "info", "New",          "Only on the new side."},
	[VERDICT_GONE]         = {"−", "info", "Gone",         "Only on the old side."},
	[VERDICT_SAME]         = {"=", "dim",  "Same",         "No difference."},
};
/* clang-format on */

static enum verdict verdict_at(int rank)
{
	for (unsigned v = 0; v < VERDICT_COUNT; v++)
		if (verdict_rank((enum verdict)v) == rank)
			return (enum verdict)v;
	return VERDICT_SAME;
}

void page_verdict(struct text *t, enum verdict v)
{
	html_addf(t, "<span class=\"v %s\"><span aria-hidden=\"true\">%s</span> %s</span>",
		  faces[v].tone, faces[v].shape, verdict_name(v));
}

json_t *page_face(enum verdict v)
{
	return json_pack("[ss]", faces[v].shape, faces[v].tone);
}

bool page_tells(const struct review *v, size_t pair)
{
	return pair < REPORT_TOLD && v->pairs[pair].verdict != VERDICT_SAME;
}

void page_duration(struct text *t, int64_t ms)
{
	char text[UNIT_TEXT];
	html_addf(t, "%s", ms >= 0 ? unit_duration((uint64_t)ms, text) : "");
}

void page_size(struct text *t, int64_t bytes)
{
	char text[UNIT_TEXT];
	html_addf(t, "%s", bytes >= 0 ? unit_size((uint64_t)bytes, text) : "");
}

void page_section(struct text *t, const char *id, const char *title, const char *says)
{
	html_addf(t, "<section id=\"%s\" aria-labelledby=\"h-%s\">\n<h2 id=\"h-%s\">%s</h2>\n", id,
		  id, id, title);
	if (says)
		html_addf(t, "<p class=\"says\">%s</p>\n", says);
}

/* A script that got into the page all the same must not run: only ours, by its digest (CSP level 2,
 * script hashes). */
static void page_policy(struct text *t)
{
	static const char letters[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char hex[CACHE_ID];
	unsigned char sum[33] = {0};
	cache_digest(report_script, strlen(report_script), hex);
	for (size_t i = 0; i < 32; i++) {
		const char digits[] = {hex[2 * i], hex[2 * i + 1], '\0'};
		sum[i] = (unsigned char)strtoul(digits, NULL, 16);
	}
	text_add(t, "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
		    "style-src 'unsafe-inline'; base-uri 'none'; "
		    "form-action 'none'; script-src 'sha256-");
	for (size_t i = 0; i < 33; i += 3) {
		unsigned v = (unsigned)sum[i] << 16 | (unsigned)sum[i + 1] << 8 | sum[i + 2];
		for (int shift = 18; shift >= 0; shift -= 6)
			text_addc(t, i == 30 && !shift ? '=' : letters[v >> shift & 63]);
	}
	text_add(t, "'\">\n");
}

static void page_head(struct text *t, const struct review *v, const char *headline)
{
	text_add(t, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
	page_policy(t);
	text_add(t, "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
		    "<meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"robots\" "
		    "content=\"noindex\">\n");
	html_addf(t, "<title>%s (%s, run %lld)</title>\n<style>", headline,
		  rows_str(v->row, 0, "suite"), (long long)v->run);
	text_add(t, report_style);
	text_add(t, "</style>\n</head>\n<body>\n");
}

/* "3 regressed, 1 fixed of 18 packages", the sides taken off: they have a line of their own. */
static char *headline_alone(const struct review *v)
{
	char *s = review_headline(v), *colon = strstr(s, ": ");
	if (colon)
		*colon = '\0';
	return s;
}

static void page_chips(struct text *t, const struct review *v)
{
	text_add(t, "<div class=\"bar\" aria-hidden=\"true\">");
	for (int rank = 0; rank < VERDICT_COUNT; rank++) {
		enum verdict x = verdict_at(rank);
		if (v->verdicts[x])
			html_addf(t, "<i class=\"%s\" style=\"flex-grow:%zu\"></i>", faces[x].tone,
				  v->verdicts[x]);
	}
	text_add(t, "</div>\n<ul class=\"chips\">\n");
	for (int rank = 0; rank < VERDICT_COUNT; rank++) {
		enum verdict x = verdict_at(rank);
		if (v->verdicts[x])
			html_addf(t,
				  "<li><a class=\"%s\" href=\"#%s\"><b>%zu</b> <span "
				  "aria-hidden=\"true\">%s</span> %s</a></li>\n",
				  faces[x].tone, x == VERDICT_SAME ? "all" : verdict_name(x),
				  v->verdicts[x], faces[x].shape, verdict_name(x));
	}
	text_add(t, "</ul>\n");
}

static void page_header(struct text *t, const struct report *r)
{
	const struct review *v = r->review;
	auto_free char *headline = headline_alone(v),
		       *when = report_time(rows_int(v->row, 0, "started_ms", 0));
	const char *host = rows_text(v->row, 0, "host"),
		   *ecosystem = rows_text(v->row, 0, "ecosystem");
	int64_t wall = rows_int(v->row, 0, "wall_ms", -1);
	html_addf(t, "<header>\n<p class=\"over\">assay · suite <b>%s</b>%s%s · run %lld</p>\n",
		  rows_str(v->row, 0, "suite"), ecosystem ? " · " : "", ecosystem,
		  (long long)v->run);
	if (v->validity != VALIDITY_VALID || *v->why)
		html_addf(t, "<p class=\"validity %s\" role=\"note\"><b>%s%s:</b> %s.</p>\n",
			  validity_name(v->validity), v->running ? "Not over" : "This run is ",
			  v->running ? "" : validity_name(v->validity), v->why);
	html_addf(t, "<h1>%s</h1>\n<p class=\"sides\">", headline);
	if (v->base)
		html_addf(t, "<b>%s</b> <span aria-label=\"compared with\">→</span> ", v->base);
	html_addf(t, "<b>%s</b></p>\n<p class=\"meta\">", v->next);
	if (v->validity == VALIDITY_VALID && !v->running)
		text_add(t, "<span class=\"good\">✓ valid run</span> · ");
	html_addf(t, "%zu job%s", v->n_jobs, v->n_jobs == 1 ? "" : "s");
	if (wall >= 0) {
		text_add(t, " in ");
		page_duration(t, wall);
	}
	html_addf(t, "%s%s · began %s</p>\n", host ? " on " : "", host, when);
	if (v->base)
		page_chips(t, v);
	text_add(t, "</header>\n<main>\n");
}

static void told_evidence(struct text *t, const struct report *r, size_t pair,
			  const struct review_side *s)
{
	const char *trouble = report_trouble(r, pair, s == &r->review->pairs[pair].next);
	if (trouble && s->is.presence == PRESENCE_DONE && s->is.status == STATUS_INFRA)
		html_addf(t, "<p class=\"trouble\">assay itself: %s</p>\n", trouble);
	if (!s->evidence)
		return;
	text_add(t, "<pre tabindex=\"0\" aria-label=\"Deciding lines of the log\">");
	html_lines(t, s->evidence, 16, review_deciding(s));
	text_add(t, "</pre>\n");
}

static void told_phases(struct text *t, const struct report *r, size_t pair)
{
	const char *sides[] = {r->review->base, r->review->next};
	text_add(t, "<details><summary>Phases</summary><div class=\"wide\"><table>\n<thead><tr><th "
		    "scope=\"col\">Side</th>"
		    "<th scope=\"col\">Phase</th><th scope=\"col\">Ended</th><th "
		    "scope=\"col\">Limit</th><th scope=\"col\" class=\"n\">Wall</th>"
		    "<th scope=\"col\" class=\"n\">CPU</th><th scope=\"col\" class=\"n\">Peak "
		    "memory</th></tr></thead>\n<tbody>\n");
	for (size_t k = 0; k < 2; k++) {
		const struct db_table *p = r->told[pair][k];
		for (size_t i = 0; p && i < p->n_rows; i++) {
			int64_t code = rows_int(p, i, "exit_code", -1),
				signal = rows_int(p, i, "signal", 0);
			const char *limit = rows_str(p, i, "limit_hit");
			html_addf(t, "<tr><td>%s</td><td>%s</td><td>%s", sides[k],
				  rows_str(p, i, "phase"), rows_str(p, i, "ended_as"));
			if (signal > 0 || code >= 0)
				html_addf(t, " %lld", (long long)(signal > 0 ? signal : code));
			if (rows_int(p, i, "network_lost", 0))
				text_add(t, ", its network lost");
			html_addf(t, "</td><td>%s</td><td class=\"n\">",
				  strcmp(limit, "none") ? limit : "");
			page_duration(t, rows_int(p, i, "wall_ms", -1));
			text_add(t, "</td><td class=\"n\">");
			page_duration(t, rows_int(p, i, "cpu_ms", -1));
			text_add(t, "</td><td class=\"n\">");
			page_size(t, rows_int(p, i, "peak_memory_bytes", -1));
			text_add(t, "</td></tr>\n");
		}
	}
	text_add(t, "</tbody>\n</table></div></details>\n");
}

enum { PROCESSES_SHOWN = 40 };

/* What ran in a box that we ended: a test that hangs is told by who waits for whom. */
static void told_processes(struct text *t, const struct report *r, size_t pair)
{
	const char *sides[] = {r->review->base, r->review->next};
	for (size_t k = 0; k < 2; k++) {
		const struct db_table *p = r->told[pair][k];
		for (size_t i = 0; p && i < p->n_rows; i++) {
			const char *list = rows_text(p, i, "processes");
			if (!list)
				continue;
			html_addf(t,
				  "<details><summary>Processes when %s was ended (%s)</summary>\n"
				  "<pre tabindex=\"0\">pid ppid state cpu-ms rss-KiB command\n",
				  rows_str(p, i, "phase"), sides[k]);
			html_lines(t, list, PROCESSES_SHOWN, SIZE_MAX);
			text_add(t, "</pre></details>\n");
		}
	}
}

static void told_side(struct text *t, const char *name, const struct review_side *s)
{
	auto_free char *outcome = review_outcome(s), *fact = review_fact(s);
	bool pass = s->is.presence == PRESENCE_DONE && s->is.status == STATUS_PASS;
	html_addf(t, "<span class=\"side\">%s</span> <span class=\"%s\">%s</span>", name,
		  pass ? "good" : "not", outcome);
	if (*fact)
		html_addf(t, " <span class=\"fact\">%s</span>", fact);
}

/* Where a person wrote more about what is known: a link only where a browser would go, not run. */
static void page_link(struct text *t, const char *link)
{
	bool web = link && (!strncmp(link, "https://", 8) || !strncmp(link, "http://", 7));
	if (web)
		html_addf(t, " <a href=\"%s\" rel=\"noreferrer\">%s</a>", link, link);
	else if (link)
		html_addf(t, " <span class=\"fact\">%s</span>", link);
}

/* What nobody has to look into is folded. */
static bool good_news(enum verdict v)
{
	return v == VERDICT_FIXED || v == VERDICT_BETTER;
}

static void told_pair(struct text *t, const struct report *r, size_t i)
{
	const struct review *v = r->review;
	const struct review_pair *p = &v->pairs[i];
	const struct review_side *s = review_telling(p);
	auto_free char *repeat = review_repeat(v, p, r->say_state), *log = report_log(r, s);
	html_addf(t,
		  "<article id=\"p%zu\" class=\"%s\">\n<h3>%s <span "
		  "class=\"version\">%s</span></h3>\n<p class=\"outcome\">",
		  i, faces[p->verdict].tone, p->package, p->version);
	if (v->base) {
		told_side(t, v->base, &p->base);
		text_add(t, " <span class=\"arrow\" aria-hidden=\"true\">→</span> ");
	}
	told_side(t, v->next, &p->next);
	auto_free char *sure = review_certainty(p);
	if (*sure)
		html_addf(t, " <span class=\"fact\">· %s</span>", sure);
	page_link(t, p->known ? p->known->link : NULL);
	text_add(t, "</p>\n");
	bool fold = good_news(p->verdict) && s->evidence;
	text_add(t, fold ? "<details><summary>How it failed before</summary>\n" : "");
	told_evidence(t, r, i, s);
	text_add(t, fold ? "</details>\n" : "");
	html_addf(t, "<dl>\n<dt>Repeat</dt><dd><code>%s</code></dd>\n", repeat);
	if (log)
		html_addf(t, "<dt>Log</dt><dd><code>%s</code></dd>\n", log);
	text_add(t, "</dl>\n");
	page_logs(t, r, i);
	told_processes(t, r, i);
	told_phases(t, r, i);
	text_add(t, "</article>\n");
}

enum { CAUSE_PACKAGES = 12, CAUSES_OPEN = 12 };

/* What differs for the worse, by what makes it so: before the packages. */
static void page_causes(struct text *t, const struct report *r)
{
	const struct review *v = r->review;
	if (!v->base || !v->n_causes)
		return;
	page_section(t, "causes", "Causes",
		     "What differs for the worse, by deciding lines that say the same.");
	text_add(t, "<ol class=\"causes\">\n");
	for (size_t i = 0; i < v->n_causes; i++) {
		const struct review_cause *c = &v->causes[i];
		auto_free char *line = review_cause_line(v, c, 300);
		if (i == CAUSES_OPEN)
			html_addf(t,
				  "</ol>\n<details><summary>%zu more</summary>\n<ol "
				  "class=\"causes\" start=\"%zu\">\n",
				  v->n_causes - i, i + 1);
		html_addf(t, "<li><b>%zu</b> package%s: <span class=\"line\">%s</span> ", c->n,
			  c->n == 1 ? "" : "s", line);
		if (c->first_run && c->first_run != v->run)
			html_addf(t, "<span class=\"fact\">first seen in run %lld</span><br>",
				  (long long)c->first_run);
		else
			text_add(t, "<span class=\"fact\">new</span><br>");
		for (size_t k = 0; k < c->n && k < CAUSE_PACKAGES; k++) {
			text_add(t, k ? ", " : "");
			if (c->pairs[k] < REPORT_TOLD)
				html_addf(t, "<a href=\"#p%zu\">%s</a>", c->pairs[k],
					  v->pairs[c->pairs[k]].package);
			else
				html_addf(t, "%s", v->pairs[c->pairs[k]].package);
		}
		if (c->n > CAUSE_PACKAGES)
			html_addf(t, " and %zu more", c->n - CAUSE_PACKAGES);
		text_add(t, "</li>\n");
	}
	text_add(t, v->n_causes > CAUSES_OPEN ? "</ol></details>\n</section>\n"
					      : "</ol>\n</section>\n");
}

static void page_told(struct text *t, const struct report *r)
{
	const struct review *v = r->review;
	enum verdict open = VERDICT_SAME;
	for (size_t i = 0; i < v->n_pairs && v->pairs[i].verdict != VERDICT_SAME; i++) {
		enum verdict x = v->pairs[i].verdict;
		if (x != open) {
			text_add(t, open != VERDICT_SAME ? "</section>\n" : "");
			page_section(t, verdict_name(x), faces[x].title, faces[x].says);
		}
		open = x;
		if (i < REPORT_TOLD)
			told_pair(t, r, i);
		else if (i == REPORT_TOLD)
			text_add(t, "<p class=\"says\">There are more than are told one by one "
				    "here; the table of all packages has them.</p>\n");
	}
	text_add(t, open != VERDICT_SAME ? "</section>\n" : "");
	if (v->base && !v->verdicts[VERDICT_REGRESSED] && v->validity == VALIDITY_VALID &&
	    !v->running)
		text_add(t, "<p class=\"calm good\">Nothing regressed.</p>\n");
}

/* The suite's list of what is known, where it no longer holds. */
static void page_stale(struct text *t, const struct review *v)
{
	bool any = false;
	for (size_t i = 0; i < v->n_known; i++) {
		auto_free char *stale = review_stale(&v->known[i]);
		if (!stale)
			continue;
		if (!any) {
			page_section(t, "stale", "Known, and not so",
				     "Entries of the suite's list that no longer hold.");
			text_add(t, "<ul class=\"causes\">\n");
		}
		html_addf(t, "<li>%s", stale);
		page_link(t, v->known[i].link);
		text_add(t, "</li>\n");
		any = true;
	}
	text_add(t, any ? "</ul>\n</section>\n" : "");
}

/* An element of its own: the pair has no article. */
static void groups_logs(struct text *t, const struct report *r, size_t pair)
{
	if (pair >= REPORT_TOLD || !r->logs[pair])
		return;
	html_addf(t, "<details><summary>Logs of %s</summary>\n", r->review->pairs[pair].package);
	page_logs(t, r, pair);
	text_add(t, "</details>\n");
}

static void page_groups(struct text *t, const struct report *r)
{
	struct report_group *groups;
	const struct review *v = r->review;
	size_t n = report_groups(r, &groups);
	if (n)
		page_section(t, "both", v->base ? "Failing on both sides" : "Not passing",
			     v->base ? "Not this change's doing: the same result before and after."
				     : NULL);
	for (size_t g = 0; g < n; g++) {
		html_addf(t,
			  "<details><summary><b>%zu</b> %s</summary>\n<div "
			  "class=\"wide\"><table>\n<thead><tr><th scope=\"col\">Package</th>"
			  "<th scope=\"col\">Version</th><th scope=\"col\">Deciding "
			  "line</th></tr></thead>\n<tbody>\n",
			  groups[g].n, groups[g].outcome);
		for (size_t i = 0; i < groups[g].n; i++) {
			const struct review_pair *p = &v->pairs[groups[g].pairs[i]];
			auto_free char *line = review_line(&p->next, 200);
			html_addf(t,
				  "<tr><th scope=\"row\">%s</th><td>%s</td><td "
				  "class=\"line\">%s</td></tr>\n",
				  p->package, p->version, line);
		}
		text_add(t, "</tbody>\n</table></div>\n");
		for (size_t i = 0; i < groups[g].n; i++)
			groups_logs(t, r, groups[g].pairs[i]);
		text_add(t, "</details>\n");
	}
	text_add(t, n ? "</section>\n" : "");
	report_groups_free(groups, n);
}

void report_html(const struct report *r, struct text *t)
{
	auto_free char *headline = review_headline(r->review), *made = report_time(r->made_ms);
	page_head(t, r->review, headline);
	page_header(t, r);
	page_causes(t, r);
	page_told(t, r);
	page_stale(t, r->review);
	page_groups(t, r);
	page_table(t, r);
	page_charts(t, r);
	page_annex(t, r);
	html_addf(t,
		  "</main>\n<footer><p>Written by assay %s on %s from run %lld of %s. Times are "
		  "wall time, in boxes; a shared phase counts for each "
		  "side.</p></footer>\n<script>",
		  ASSAY_VERSION, made, (long long)r->review->run, r->state);
	text_add(t, report_script);
	text_add(t, "</script>\n</body>\n</html>\n");
}
