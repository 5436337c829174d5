/* How well a run used its time and what it did not do twice: on the page, as Markdown, for
 * programs. */
#include "orchestrator/report_page.h"

#include "base/unit.h"
#include "orchestrator/html.h"
#include "orchestrator/rows.h"

/* ---- the numbers ---- */

struct saved {
	int64_t skipped, rechecked, differed; /* jobs */
};

static struct saved saved_of(const struct report *r)
{
	return (struct saved){rows_int(r->spared, 0, "spared", 0),
			      rows_int(r->spared, 0, "rechecked", 0),
			      rows_int(r->spared, 0, "stale", 0)};
}

/* What boxes filled of the makespan, spread over the slots. */
static uint64_t filled_ms(const struct spent *s)
{
	uint64_t idle = s->tail_ms + s->between_ms;
	return s->makespan_ms > idle ? s->makespan_ms - idle : 0;
}

static double ratio_of(const struct spent *s)
{
	return s->least.bound_ms ? (double)s->makespan_ms / (double)s->least.bound_ms : 1;
}

/* "3 jobs were skipped as unchanged; …": NULL where nothing was. */
static char *saved_text(const struct saved *s)
{
	auto_text struct text t = TEXT_INIT;
	if (!s->skipped && !s->rechecked)
		return NULL;
	text_addf(&t, "%lld job%s skipped as unchanged; ", (long long)s->skipped,
		  s->skipped == 1 ? " was" : "s were");
	if (s->rechecked)
		text_addf(&t,
			  "of %lld unchanged that %s run to check, %lld ended otherwise (%.1f %%)",
			  (long long)s->rechecked, s->rechecked == 1 ? "was" : "were",
			  (long long)s->differed, 100 * (double)s->differed / (double)s->rechecked);
	else
		text_add(&t, "none was run to check");
	return text_take(&t);
}

/* ---- the page ---- */

static void spent_row(struct text *t, const char *what, uint64_t ms, uint64_t of)
{
	long long percent = of ? (long long)((ms * 100 + of / 2) / of) : 0;
	html_addf(t, "<tr><th scope=\"row\">%s</th><td class=\"n\">", what);
	page_duration(t, (int64_t)ms);
	html_addf(t,
		  "</td><td class=\"v\"><span class=\"share\"><i "
		  "style=\"width:%lld%%\"></i></span> %lld "
		  "%%</td></tr>\n",
		  percent, percent);
}

static void page_schedule(struct text *t, const struct spent *s)
{
	char chain[UNIT_TEXT], share[UNIT_TEXT];
	auto_free char *ratio = own_fmt("%.2f", ratio_of(s));
	text_add(t, "<dl class=\"facts\">\n<dt>Makespan</dt><dd>");
	page_duration(t, (int64_t)s->makespan_ms);
	if (s->least.bound_ms)
		html_addf(t, ", %s times the lower bound", ratio);
	text_add(t, "</dd>\n<dt>Lower bound</dt><dd>");
	page_duration(t, (int64_t)s->least.bound_ms);
	html_addf(t, " (longest chain %s, work by %zu slot%s %s)</dd>\n",
		  unit_duration(s->least.chain_ms, chain), (size_t)s->slots,
		  s->slots == 1 ? "" : "s", unit_duration(s->least.share_ms, share));
	if (s->paused_ms) {
		text_add(t, "<dt>Interrupted</dt><dd>");
		page_duration(t, (int64_t)s->paused_ms);
		text_add(t, ", which do not count</dd>\n");
	}
	if (s->held_ms) {
		text_add(t, "<dt>Held back</dt><dd>");
		page_duration(t, (int64_t)s->held_ms);
		text_add(t, " nothing was started for want of memory, i/o or disk</dd>\n");
	}
	text_add(t, "</dl>\n<div class=\"wide\"><table>\n<thead><tr><th scope=\"col\">The "
		    "slots were</th><th scope=\"col\" class=\"n\">For</th><th "
		    "scope=\"col\">Share</th></tr></thead>\n<tbody>\n");
	spent_row(t, "filled by boxes", filled_ms(s), s->makespan_ms);
	spent_row(t, "free between boxes", s->between_ms, s->makespan_ms);
	spent_row(t, "free at the end, all begun", s->tail_ms, s->makespan_ms);
	text_add(t, "</tbody>\n</table></div>\n");
}

void page_spent(struct text *t, const struct report *r)
{
	const struct saved saved = saved_of(r);
	auto_free char *text = saved_text(&saved);
	if (!r->n_boxes && !text)
		return;
	page_section(t, "spent", "How well the time was used",
		     r->n_boxes ? "From the first box's start to the last one's end; no order of "
				  "the same boxes takes less than the lower bound."
				: NULL);
	if (text)
		html_addf(t, "<p>%s.</p>\n", text);
	if (r->n_boxes)
		page_schedule(t, &r->spent);
	text_add(t, "</section>\n");
}

/* ---- Markdown; JSON ---- */

void markdown_spent(struct text *t, const struct report *r)
{
	const struct saved saved = saved_of(r);
	auto_free char *text = saved_text(&saved), *spent = spent_text(&r->spent);
	if (r->n_boxes)
		text_addf(t, "Time: %s.%s", spent, text ? "  \n" : "\n\n");
	if (text)
		text_addf(t, "Unchanged: %s.\n\n", text);
}

static json_t *whole(uint64_t n)
{
	return json_integer((json_int_t)n);
}

json_t *spent_json(const struct report *r)
{
	const struct spent *s = &r->spent;
	if (!r->n_boxes)
		return json_null();
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "boxes",
			 whole(r->n_boxes), "slots", whole(s->slots), "makespan_ms",
			 whole(s->makespan_ms), "bound_ms", whole(s->least.bound_ms), "chain_ms",
			 whole(s->least.chain_ms), "share_ms", whole(s->least.share_ms),
			 "filled_ms", whole(filled_ms(s)), "free_between_ms", whole(s->between_ms),
			 "free_at_end_ms", whole(s->tail_ms), "held_ms", whole(s->held_ms),
			 "interrupted_ms", whole(s->paused_ms));
}

json_t *saved_json(const struct report *r)
{
	const struct saved s = saved_of(r);
	return json_pack("{s:I, s:I, s:I}", "skipped", (json_int_t)s.skipped, "rechecked",
			 (json_int_t)s.rechecked, "differed", (json_int_t)s.differed);
}
