/* All packages: the first rows as they are read without scripts, and all of them as data for the
 * script that makes the table one to search. */
#include "orchestrator/report_page.h"

#include "base/text.h"

#include "orchestrator/html.h"
#include "orchestrator/plain.h"
#include "orchestrator/rows.h"

#include <jansson.h>
#include <string.h>

enum { ROWS_PLAIN = 200, LINE_KEPT = 160 };

static void all_side(struct text *t, const struct review_side *s)
{
	auto_free char *outcome = review_outcome(s);
	bool pass = s->is.presence == PRESENCE_DONE && s->is.status == STATUS_PASS;
	html_addf(t, "<td class=\"%s\">%s</td>", pass ? "good" : "not", outcome);
}

static void all_time(struct text *t, const struct review_side *s)
{
	text_add(t, "<td class=\"n\">");
	page_duration(t, s->state ? s->wall_ms : -1);
	text_add(t, "</td>");
}

static void all_row(struct text *t, const struct review *v, size_t i)
{
	const struct review_pair *p = &v->pairs[i];
	auto_free char *line = review_line(review_telling(p), LINE_KEPT);
	text_add(t, "<tr>");
	if (v->base) {
		text_add(t, "<td>");
		page_verdict(t, p->verdict);
		text_add(t, "</td>");
	}
	text_add(t, "<th scope=\"row\">");
	if (page_tells(v, i))
		html_addf(t, "<a href=\"#p%zu\">%s</a>", i, p->package);
	else
		html_addf(t, "%s", p->package);
	html_addf(t, " <span class=\"version\">%s</span></th>", p->version);
	if (v->base)
		all_side(t, &p->base);
	all_side(t, &p->next);
	if (v->base)
		all_time(t, &p->base);
	all_time(t, &p->next);
	html_addf(t, "<td class=\"line\">%s</td></tr>\n", line);
}

/* ---- as data ---- */

static json_t *text_json(const char *s)
{
	auto_free char *plain = plain_line(s, HTML_TEXT);
	json_t *j = json_string(plain);
	return j ? j : json_string("");
}

static json_t *row_json(const struct review *v, size_t i)
{
	const struct review_pair *p = &v->pairs[i];
	const struct compare_side *is = &p->next.is;
	auto_free char *base = review_outcome(&p->base), *next = review_outcome(&p->next),
		       *line = review_line(review_telling(p), LINE_KEPT),
		       *sure = review_certainty(p),
		       *base_fact = p->base.state ? review_fact(&p->base) : own_dup(""),
		       *next_fact = p->next.state ? review_fact(&p->next) : own_dup("");
	return json_pack(
		"{s:o, s:o, s:s, s:i, s:o, s:o, s:I, s:I, s:o, s:s, s:o, s:o, s:o, s:i, s:I}", "p",
		text_json(p->package), "v", text_json(p->version), "d",
		v->base ? verdict_name(p->verdict) : "", "k", verdict_rank(p->verdict), "b",
		text_json(base), "n", text_json(next), "bt",
		(json_int_t)(p->base.state ? p->base.wall_ms : -1), "nt",
		(json_int_t)(p->next.state ? p->next.wall_ms : -1), "l", text_json(line), "s",
		is->presence == PRESENCE_DONE ? status_name(is->status) : "", "c", text_json(sure),
		"bf", text_json(base_fact), "nf", text_json(next_fact), "a",
		page_tells(v, i) ? (int)i : -1, "r",
		(json_int_t)(p->next.state ? v->run : v->base_run));
}

/* JSON within a script element: nothing in it may look like the end of that, or like markup. */
static void data_put(struct text *t, const json_t *j)
{
	auto_free char *text = json_dumps(j, JSON_COMPACT);
	for (const char *p = text ? text : "null"; *p; p++)
		switch (*p) {
		case '<':
			text_add(t, "\\u003c");
			break;
		case '>':
			text_add(t, "\\u003e");
			break;
		case '&':
			text_add(t, "\\u0026");
			break;
		default:
			text_addc(t, *p);
		}
}

static void all_data(struct text *t, const struct report *r)
{
	const struct review *v = r->review;
	json_t *rows = json_array(), *faces = json_object();
	auto_free char *dir = r->say_state ? text_shell_word(r->say_state) : NULL;
	auto_free char *state = dir ? own_fmt("--state %s", dir) : own_dup("");
	for (unsigned x = 0; v->base && x < VERDICT_COUNT; x++)
		json_object_set_new(faces, verdict_name((enum verdict)x),
				    page_face((enum verdict)x));
	for (size_t i = 0; i < v->n_pairs; i++)
		json_array_append_new(rows, row_json(v, i));
	json_t *j =
		json_pack("{s:o, s:o, s:o, s:o, s:o}", "base",
			  v->base ? text_json(v->base) : json_null(), "next", text_json(v->next),
			  "state", text_json(state), "faces", faces, "rows", rows);
	text_add(t, "<script type=\"application/json\" id=\"data\">");
	data_put(t, j);
	text_add(t, "</script>\n");
	json_decref(j);
}

static void all_tools(struct text *t, const struct review *v)
{
	text_add(t, "<div id=\"tools\" class=\"tools\" hidden><label>Find <input id=\"find\" "
		    "type=\"search\" autocomplete=\"off\"></label>\n");
	if (v->base) {
		text_add(t, "<label>Verdict <select id=\"only\"><option value=\"\">all</option>");
		for (int rank = 0; rank < VERDICT_COUNT; rank++)
			for (unsigned x = 0; x < VERDICT_COUNT; x++)
				if (verdict_rank((enum verdict)x) == rank && v->verdicts[x])
					html_addf(t, "<option>%s</option>",
						  verdict_name((enum verdict)x));
		text_add(t, "</select></label>\n");
	}
	html_addf(t, "<label>%s <select id=\"status\"><option value=\"\">all</option>", v->next);
	for (unsigned s = 0; s < STATUS_COUNT; s++)
		html_addf(t, "<option>%s</option>", status_name((enum status)s));
	text_add(t,
		 "</select></label>\n<output id=\"shown\" aria-live=\"polite\"></output></div>\n");
}

void page_table(struct text *t, const struct report *r)
{
	const struct review *v = r->review;
	page_section(t, "all", "All packages", NULL);
	all_tools(t, v);
	text_add(t, "<div class=\"wide\" tabindex=\"0\" role=\"region\" "
		    "aria-labelledby=\"h-all\"><table id=\"packages\">\n<thead><tr>");
	if (v->base)
		text_add(t, "<th scope=\"col\">Verdict</th>");
	text_add(t, "<th scope=\"col\">Package</th>");
	if (v->base)
		html_addf(t, "<th scope=\"col\">%s</th>", v->base);
	html_addf(t, "<th scope=\"col\">%s</th>", v->next);
	if (v->base)
		html_addf(t, "<th scope=\"col\" class=\"n\">Time, %s</th>", v->base);
	html_addf(t,
		  "<th scope=\"col\" class=\"n\">Time, %s</th><th scope=\"col\">Deciding "
		  "line</th></tr></thead>\n<tbody>\n",
		  v->next);
	for (size_t i = 0; i < v->n_pairs && i < ROWS_PLAIN; i++)
		all_row(t, v, i);
	text_add(t, "</tbody>\n</table></div>\n<p id=\"rest\" class=\"says\">");
	if (v->n_pairs > ROWS_PLAIN)
		html_addf(t,
			  "%zu packages more: a browser with scripts shows them, and so do "
			  "<code>assay compare %lld --all</code> and the CSV beside this page.",
			  v->n_pairs - ROWS_PLAIN, (long long)v->run);
	text_add(t, "</p>\n<button type=\"button\" id=\"more\" class=\"more\" hidden>Show "
		    "more</button>\n");
	all_data(t, r);
	text_add(t, "</section>\n");
}
