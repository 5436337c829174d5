/* Pictures: how long jobs took, what the last runs said, who is flaky. Each is a table to who can't
 * see it, and tells its sides apart by shape, not by colour alone. */
#include "orchestrator/report_page.h"

#include "orchestrator/html.h"
#include "orchestrator/rows.h"

#include <string.h>

enum { BINS = 14, BAR_W = 16, GAP = 12, HIGH = 120, FLAKY_SHOWN = 15 };

/* ---- durations: powers of two, from under 125 ms on ---- */

static size_t bin_of(int64_t ms)
{
	size_t bin = 0;
	for (int64_t edge = 125; ms >= edge && bin + 1 < BINS; edge *= 2)
		bin++;
	return bin;
}

static void count_side(const struct review_side *s, size_t bins[BINS])
{
	if (s->is.presence == PRESENCE_DONE && s->wall_ms >= 0)
		bins[bin_of(s->wall_ms)]++;
}

static void bar(struct text *t, size_t x, size_t n, size_t most, const char *kind)
{
	size_t h = most ? (n * HIGH + most - 1) / most : 0;
	html_addf(t, "<rect class=\"%s\" x=\"%zu\" y=\"%zu\" width=\"%zu\" height=\"%zu\"></rect>",
		  kind, x, (size_t)(HIGH - h + 10), (size_t)BAR_W, h);
}

static void bin_label(struct text *t, size_t bin)
{
	int64_t ms = (int64_t)125 << bin;
	if (bin + 1 == BINS)
		text_add(t, "more");
	else if (ms < 1000)
		html_addf(t, "%lld ms", (long long)ms);
	else
		html_addf(t, "%lld s", (long long)(ms / 1000));
}

static void chart_durations(struct text *t, const struct review *v)
{
	size_t bins[2][BINS] = {{0}}, most = 0, first = BINS, last = 0;
	for (size_t i = 0; i < v->n_pairs; i++) {
		count_side(&v->pairs[i].base, bins[0]);
		count_side(&v->pairs[i].next, bins[1]);
	}
	for (size_t b = 0; b < BINS; b++)
		for (size_t k = 0; k < 2; k++)
			if (bins[k][b]) {
				most = bins[k][b] > most ? bins[k][b] : most;
				first = b < first ? b : first;
				last = b;
			}
	if (!most)
		return;
	size_t step = 2 * BAR_W + GAP, width = (last - first + 1) * step + GAP;
	html_addf(
		t,
		"<figure><figcaption>How long jobs took: up to …</figcaption>\n<svg width=\"%zu\" "
		"viewBox=\"0 0 %zu %zu\" "
		"role=\"img\" aria-label=\"Histogram of job durations\">",
		width, width, (size_t)(HIGH + 30));
	for (size_t b = first; b <= last; b++) {
		size_t x = GAP + (b - first) * step;
		if (v->base)
			bar(t, x, bins[0][b], most, "one");
		bar(t, x + BAR_W, bins[1][b], most, "two");
		html_addf(t, "<text x=\"%zu\" y=\"%zu\">", x + BAR_W, (size_t)(HIGH + 25));
		bin_label(t, b);
		text_add(t, "</text>");
	}
	text_add(t, "</svg>\n<p class=\"key\">");
	if (v->base)
		html_addf(t, "<span class=\"one\">▨ %s</span> ", v->base);
	html_addf(t, "<span class=\"two\">■ %s</span></p></figure>\n", v->next);
}

/* ---- the last runs ---- */

static void chart_trend(struct text *t, const struct report *r)
{
	const struct db_table *runs = r->trend;
	int64_t most = 0;
	if (runs->n_rows < 2 || !r->review->base)
		return;
	for (size_t i = 0; i < runs->n_rows; i++) {
		int64_t n = rows_int(runs, i, "regressed", 0) + rows_int(runs, i, "fixed", 0);
		most = n > most ? n : most;
	}
	size_t step = BAR_W + 4, width = runs->n_rows * step + GAP;
	html_addf(t,
		  "<figure><figcaption>The last %zu runs: regressed above, fixed "
		  "below</figcaption>\n<svg width=\"%zu\" "
		  "viewBox=\"0 0 %zu %zu\" role=\"img\" aria-label=\"Regressed and fixed packages "
		  "of the "
		  "last runs\"><line x1=\"0\" x2=\"%zu\" y1=\"%zu\" y2=\"%zu\"></line>",
		  runs->n_rows, width, width, (size_t)(HIGH + 30), width, (size_t)(10 + HIGH / 2),
		  (size_t)(10 + HIGH / 2));
	for (size_t i = 0; i < runs->n_rows; i++) {
		/* newest at the right */
		size_t row = runs->n_rows - 1 - i, x = GAP + i * step, half = HIGH / 2;
		int64_t worse = rows_int(runs, row, "regressed", 0),
			better = rows_int(runs, row, "fixed", 0),
			run = rows_int(runs, row, "run", 0);
		size_t up = most ? (size_t)worse * half / (size_t)most : 0,
		       below = most ? (size_t)better * half / (size_t)most : 0;
		html_addf(t,
			  "<g><title>run %lld, %s: %lld regressed, %lld fixed</title><rect "
			  "class=\"bad\" "
			  "x=\"%zu\" y=\"%zu\" width=\"%zu\" height=\"%zu\"></rect>",
			  (long long)run, rows_str(runs, row, "day"), (long long)worse,
			  (long long)better, x, 10 + half - up, (size_t)BAR_W, up);
		html_addf(t,
			  "<rect class=\"good\" x=\"%zu\" y=\"%zu\" width=\"%zu\" "
			  "height=\"%zu\"></rect>",
			  x, 10 + half, (size_t)BAR_W, below);
		if (!(row % 5))
			html_addf(t, "<text x=\"%zu\" y=\"%zu\">%lld</text>", x + BAR_W / 2,
				  (size_t)(HIGH + 25), (long long)run);
		text_add(t, "</g>");
	}
	text_add(t, "</svg></figure>\n");
}

/* ---- flakes ---- */

static double rate_of(const struct db_table *t, size_t row)
{
	const struct db_cell *c = rows_cell(t, row, "rate");
	return c && c->type == DB_REAL ? c->r : 0;
}

/* Indexes of the flakiest that are known to be, the flakiest first. */
static size_t flakiest(const struct db_table *f, size_t top[FLAKY_SHOWN])
{
	size_t n = 0;
	for (size_t i = 0; i < f->n_rows; i++) {
		if (!rows_int(f, i, "known", 0))
			continue;
		if (n == FLAKY_SHOWN && rate_of(f, i) <= rate_of(f, top[n - 1]))
			continue;
		size_t at = n < FLAKY_SHOWN ? n++ : n - 1;
		top[at] = i;
		for (; at && rate_of(f, top[at]) > rate_of(f, top[at - 1]); at--) {
			size_t swap = top[at];
			top[at] = top[at - 1];
			top[at - 1] = swap;
		}
	}
	return n;
}

static void chart_flakes(struct text *t, const struct review *v)
{
	size_t top[FLAKY_SHOWN], n = flakiest(v->flakes, top);
	if (!n)
		return;
	text_add(t, "<figure><figcaption>Known to fail now and then</figcaption>\n<div "
		    "class=\"wide\"><table>\n"
		    "<thead><tr><th scope=\"col\">Package</th><th scope=\"col\">Under</th><th "
		    "scope=\"col\">In</th><th scope=\"col\">Fails</th></tr></thead>\n<tbody>\n");
	for (size_t i = 0; i < n; i++) {
		long long percent = (long long)(rate_of(v->flakes, top[i]) * 100 + 0.5);
		html_addf(t,
			  "<tr><th scope=\"row\">%s</th><td>%s</td><td>%s</td><td><span "
			  "class=\"share\"><i "
			  "style=\"width:%lld%%\"></i></span> %lld %%</td></tr>\n",
			  rows_str(v->flakes, top[i], "package"),
			  rows_str(v->flakes, top[i], "variant"),
			  rows_str(v->flakes, top[i], "phase"), percent, percent);
	}
	text_add(t, "</tbody>\n</table></div></figure>\n");
}

void page_charts(struct text *t, const struct report *r)
{
	page_section(t, "charts", "Pictures", NULL);
	text_add(t, "<div class=\"charts\">\n");
	chart_durations(t, r->review);
	chart_trend(t, r);
	chart_flakes(t, r->review);
	text_add(t, "</div>\n</section>\n");
}
