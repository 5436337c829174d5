#include "orchestrator/report_page.h"

#include "orchestrator/html.h"
#include "orchestrator/rows.h"

#include <string.h>

enum { CONFLICTS_SHOWN = 200 };

static int64_t count_of(const struct report *r, const char *variant, const char *status)
{
	int64_t n = 0;
	for (size_t i = 0; i < r->counts->n_rows; i++) {
		const char *s = rows_text(r->counts, i, "status");
		bool same = status ? s && !strcmp(s, status) : !s;
		if (same && !strcmp(rows_str(r->counts, i, "variant"), variant))
			n += rows_int(r->counts, i, "n", 0);
	}
	return n;
}

static void annex_counts(struct text *t, const struct report *r)
{
	const struct db_table *variants = r->review->variants;
	page_section(t, "counts", "Results", "Jobs of each side by who ended them.");
	text_add(t, "<div class=\"wide\"><table>\n<thead><tr><th scope=\"col\">Side</th>");
	for (unsigned s = 0; s < STATUS_COUNT; s++)
		html_addf(t, "<th scope=\"col\" class=\"n\">%s</th>", status_name((enum status)s));
	text_add(t, "<th scope=\"col\" class=\"n\">no result</th></tr></thead>\n<tbody>\n");
	for (size_t i = 0; i < variants->n_rows; i++) {
		const char *name = rows_str(variants, i, "name");
		html_addf(t, "<tr><th scope=\"row\">%s</th>", name);
		for (unsigned s = 0; s <= STATUS_COUNT; s++) {
			int64_t n = count_of(r, name,
					     s < STATUS_COUNT ? status_name((enum status)s) : NULL);
			html_addf(t, "<td class=\"%s\">%lld</td>", n ? "n" : "n zero",
				  (long long)n);
		}
		text_add(t, "</tr>\n");
	}
	text_add(t, "</tbody>\n</table></div>\n</section>\n");
}

static void annex_phases(struct text *t, const struct report *r)
{
	const struct db_table *p = r->phases;
	int64_t all = 0;
	for (size_t i = 0; i < p->n_rows; i++)
		all += rows_int(p, i, "wall_ms", 0);
	if (!p->n_rows)
		return;
	page_section(t, "time", "Where the time went",
		     "Summed over all boxes; several run at once.");
	text_add(t,
		 "<div class=\"wide\"><table>\n<thead><tr><th scope=\"col\">Phase</th><th "
		 "scope=\"col\">Network</th><th scope=\"col\" class=\"n\">Boxes</th>"
		 "<th scope=\"col\" class=\"n\">Wall</th><th scope=\"col\">Share</th><th "
		 "scope=\"col\" class=\"n\">CPU</th>"
		 "<th scope=\"col\" class=\"n\">Set-up of a box (median)</th><th scope=\"col\" "
		 "class=\"n\">Peak memory</th>"
		 "<th scope=\"col\" class=\"n\">Brought into stores</th></tr></thead>\n<tbody>\n");
	for (size_t i = 0; i < p->n_rows; i++) {
		int64_t wall = rows_int(p, i, "wall_ms", 0), setup = rows_int(p, i, "setup_us", -1);
		int64_t boxes = rows_int(p, i, "boxes", 0),
			networked = rows_int(p, i, "networked", 0);
		int64_t lost = rows_int(p, i, "networks_lost", 0);
		auto_free char *gone = lost ? own_fmt(", %lld lost", (long long)lost) : own_dup("");
		const char *profiles = rows_str(p, i, "profiles");
		html_addf(t,
			  "<tr><th scope=\"row\">%s%s%s</th><td>%s%s%s</td><td "
			  "class=\"n\">%lld</td><td "
			  "class=\"n\">",
			  rows_str(p, i, "phase"), *profiles ? ", profile " : "", profiles,
			  !networked           ? "off"
			  : networked == boxes ? "on"
					       : "some",
			  rows_int(p, i, "behind_nat", 0) ? ", nat" : "", gone, (long long)boxes);
		page_duration(t, wall);
		html_addf(t,
			  "</td><td class=\"v\"><span class=\"share\"><i "
			  "style=\"width:%lld%%\"></i></span> "
			  "%lld %%</td><td class=\"n\">",
			  (long long)(all ? wall * 100 / all : 0),
			  (long long)(all ? (wall * 100 + all / 2) / all : 0));
		page_duration(t, rows_int(p, i, "cpu_ms", -1));
		auto_free char *ms =
			setup < 0 ? own_dup("") : own_fmt("%.1f ms", (double)setup / 1000);
		html_addf(t, "</td><td class=\"n\">%s</td><td class=\"n\">", ms);
		page_size(t, rows_int(p, i, "peak_memory_bytes", -1));
		text_add(t, "</td><td class=\"n\">");
		page_size(t, rows_int(p, i, "store_bytes", -1));
		html_addf(t, " in %lld files</td></tr>\n",
			  (long long)rows_int(p, i, "store_files", 0));
	}
	text_add(t, "</tbody>\n</table></div>\n</section>\n");
}

/* clang-format off */
static const struct {
	const char *column, *title;
} harvested[] = {
	{"added", "Added"}, {"merged", "Merged"}, {"replaced", "Replaced"}, {"identical", "Known already"}, {"dropped", "Dropped"},
	{"conflicts", "Conflicts"}, {"deleted", "Deletions"}, {"refused", "Refused"},
};
/* clang-format on */

static bool store_first(const struct db_table *h, size_t row)
{
	for (size_t i = 0; i < row; i++)
		if (!strcmp(rows_str(h, i, "store"), rows_str(h, row, "store")))
			return false;
	return true;
}

static int64_t store_sum(const struct db_table *h, const char *store, const char *column)
{
	int64_t sum = 0;
	for (size_t i = 0; i < h->n_rows; i++)
		if (!strcmp(rows_str(h, i, "store"), store))
			sum += rows_int(h, i, column, 0);
	return sum;
}

static void harvest_numbers(struct text *t, const int64_t numbers[], int64_t bytes)
{
	for (size_t k = 0; k < countof(harvested); k++)
		html_addf(t, "<td class=\"%s\">%lld</td>", numbers[k] ? "n" : "n zero",
			  (long long)numbers[k]);
	text_add(t, "<td class=\"n\">");
	page_size(t, bytes);
	text_add(t, "</td></tr>\n");
}

static void harvest_head(struct text *t, const char *first)
{
	html_addf(t, "<div class=\"wide\"><table>\n<thead><tr><th scope=\"col\">%s</th>", first);
	for (size_t k = 0; k < countof(harvested); k++)
		html_addf(t, "<th scope=\"col\" class=\"n\">%s</th>", harvested[k].title);
	text_add(t, "<th scope=\"col\" class=\"n\">New bytes</th></tr></thead>\n<tbody>\n");
}

static void annex_stores(struct text *t, const struct report *r)
{
	const struct db_table *h = r->harvests;
	int64_t numbers[countof(harvested)];
	page_section(t, "stores", "What the stores took in",
		     h->n_rows ? "Entries that phases with a harvest left, by what became of them."
			       : "No phase of this run harvested anything.");
	if (h->n_rows) {
		harvest_head(t, "Store");
		for (size_t i = 0; i < h->n_rows; i++) {
			const char *store = rows_str(h, i, "store");
			if (!store_first(h, i))
				continue;
			for (size_t k = 0; k < countof(harvested); k++)
				numbers[k] = store_sum(h, store, harvested[k].column);
			html_addf(t, "<tr><th scope=\"row\">%s</th>", store);
			harvest_numbers(t, numbers, store_sum(h, store, "new_bytes"));
		}
		text_add(t, "</tbody>\n</table></div>\n<details><summary>By package</summary>\n");
		harvest_head(t, "Package");
		for (size_t i = 0; i < h->n_rows; i++) {
			for (size_t k = 0; k < countof(harvested); k++)
				numbers[k] = rows_int(h, i, harvested[k].column, 0);
			html_addf(t, "<tr><th scope=\"row\">%s</th>", rows_str(h, i, "package"));
			harvest_numbers(t, numbers, rows_int(h, i, "new_bytes", 0));
		}
		text_add(t, "</tbody>\n</table></div></details>\n");
	}
	text_add(t, "</section>\n");
}

static void annex_conflicts(struct text *t, const struct report *r)
{
	const struct db_table *c = r->conflicts;
	if (!c->n_rows)
		return;
	page_section(t, "conflicts", "Conflicts and refusals",
		     "Brought, and not let into the store.");
	text_add(t, "<div class=\"wide\"><table>\n<thead><tr><th scope=\"col\">Store</th><th "
		    "scope=\"col\">Package</th><th scope=\"col\">Phase</th>"
		    "<th scope=\"col\">What</th><th scope=\"col\">Path</th><th "
		    "scope=\"col\">Why</th></tr></thead>\n<tbody>\n");
	for (size_t i = 0; i < c->n_rows && i < CONFLICTS_SHOWN; i++)
		html_addf(t,
			  "<tr><td>%s</td><th scope=\"row\">%s</th><td>%s</td><td>%s</td><td "
			  "class=\"line\">%s</td><td>%s</td></tr>\n",
			  rows_str(c, i, "store"), rows_str(c, i, "package"),
			  rows_str(c, i, "phase"), rows_str(c, i, "change"), rows_str(c, i, "path"),
			  rows_str(c, i, "reason"));
	text_add(t, "</tbody>\n</table></div>\n");
	if (c->n_rows > CONFLICTS_SHOWN)
		html_addf(
			t,
			"<p class=\"says\">%zu more: <code>assay query conflicts %lld</code></p>\n",
			c->n_rows - CONFLICTS_SHOWN, (long long)r->review->run);
	text_add(t, "</section>\n");
}

static void annex_lines(struct text *t, const char *s)
{
	text_add(t, "<td class=\"line\">");
	html_lines(t, s, 100, SIZE_MAX);
	text_add(t, "</td>");
}

static void annex_sides(struct text *t, const struct report *r)
{
	const struct db_table *v = r->review->variants, *run = r->review->row;
	static const struct {
		const char *column, *title;
	} facts[] = {
		{"host", "Host"},       {"engine", "Sandbox"},        {"assay_version", "assay"},
		{"goal", "Goal phase"}, {"suite_path", "Suite file"}, {"ecosystem", "Ecosystem"}};
	page_section(t, "sides", "Sides, and where they ran", NULL);
	text_add(t, "<div class=\"wide\"><table>\n<thead><tr><th scope=\"col\">Side</th><th "
		    "scope=\"col\">Layers</th><th scope=\"col\">Environment</th>"
		    "</tr></thead>\n<tbody>\n");
	for (size_t i = 0; i < v->n_rows; i++) {
		auto_free char *layers = own_dup(rows_str(v, i, "layers"));
		for (char *p = layers; *p; p++)
			if (*p == ' ')
				*p = '\n';
		html_addf(t, "<tr><th scope=\"row\">%s</th>", rows_str(v, i, "name"));
		annex_lines(t, layers);
		annex_lines(t, rows_str(v, i, "env"));
		text_add(t, "</tr>\n");
	}
	text_add(t, "</tbody>\n</table></div>\n<dl class=\"facts\">\n");
	for (size_t i = 0; i < countof(facts); i++)
		if (*rows_str(run, 0, facts[i].column))
			html_addf(t, "<dt>%s</dt><dd>%s</dd>\n", facts[i].title,
				  rows_str(run, 0, facts[i].column));
	html_addf(t, "<dt>Boxes at once</dt><dd>%lld</dd>\n</dl>\n</section>\n",
		  (long long)rows_int(run, 0, "jobs_at_once", 0));
}

void page_annex(struct text *t, const struct report *r)
{
	annex_counts(t, r);
	page_spent(t, r);
	annex_phases(t, r);
	annex_stores(t, r);
	annex_conflicts(t, r);
	annex_sides(t, r);
}
