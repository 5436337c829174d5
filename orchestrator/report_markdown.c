/* The Markdown summary, for a comment or a mail: validity, headline, what changed, each with its
 * deciding line; details folded. What jobs wrote stands in code only, where nothing means anything
 * and nobody is mentioned. */
#include "orchestrator/report_page.h"

#include "base/unit.h"
#include "orchestrator/plain.h"
#include "orchestrator/rows.h"
#include "orchestrator/table.h"

#include <string.h>

enum {
	MD_LINE = 200,
	MD_CODE = 4000,
	MD_LINES = 10,
	MD_RESERVE = 400,
	MD_CAUSES = 20,
	MD_CAUSE_PACKAGES = 8
};

static size_t longest_ticks(const char *s)
{
	size_t longest = 0;
	for (; *s; s += strcspn(s, "`")) {
		size_t n = strspn(s, "`");
		longest = n > longest ? n : longest;
		s += n;
	}
	return longest;
}

static void md_ticks(struct text *t, size_t n)
{
	while (n--)
		text_addc(t, '`');
}

/* A code span (CommonMark 6.1), its fence longer than any within. */
static void md_code(struct text *t, const char *s)
{
	auto_free char *plain = plain_line(s, MD_CODE);
	size_t ticks = longest_ticks(plain) + 1;
	if (!*plain)
		return;
	md_ticks(t, ticks);
	text_add(t, ticks > 1 ? " " : "");
	text_add(t, plain);
	text_add(t, ticks > 1 ? " " : "");
	md_ticks(t, ticks);
}

static void md_block(struct text *t, const char *s)
{
	auto_text struct text plain = TEXT_INIT;
	plain_add(&plain, s, strlen(s), &(struct plain_bounds){MD_LINE, MD_LINES});
	size_t ticks = longest_ticks(text_str(&plain)) + 1;
	ticks = ticks < 3 ? 3 : ticks;
	md_ticks(t, ticks);
	text_addf(t, "text\n%s\n", text_str(&plain));
	md_ticks(t, ticks);
	text_add(t, "\n");
}

static void md_pair(struct text *t, const struct report *r, const struct review_pair *p)
{
	const struct review_side *s = review_telling(p);
	auto_free char *base = review_outcome(&p->base), *next = review_outcome(&p->next);
	auto_free char *repeat = review_repeat(r->review, p, r->say_state), *log = report_log(r, s);
	text_add(t, "- ");
	md_code(t, p->package);
	text_addf(t, "%s", *p->version ? " " : "");
	md_code(t, p->version);
	text_add(t, ": ");
	md_code(t, base);
	text_add(t, " → ");
	md_code(t, next);
	auto_free char *sure = review_certainty(p);
	if (*sure)
		text_addf(t, " (%s)", sure);
	/* a line of its own, where no block stands between */
	text_add(t, s->evidence ? "\n" : "  \n");
	if (s->evidence) {
		auto_text struct text block = TEXT_INIT;
		md_block(&block, s->evidence);
		for (const char *l = text_str(&block);
		     *l;) { /* within the item: two blanks in front */
			size_t n = strcspn(l, "\n");
			text_addf(t, "  %.*s\n", (int)n, l);
			l += n + (l[n] != '\0');
		}
	}
	text_add(t, "  repeat: ");
	md_code(t, repeat);
	if (log) {
		text_add(t, "  \n  log: ");
		md_code(t, log);
	}
	text_add(t, "\n");
}

static void md_header(struct text *t, const struct report *r)
{
	const struct review *v = r->review;
	char took[UNIT_TEXT];
	auto_free char *raw = review_headline(v), *headline = plain_line(raw, MD_LINE),
		       *when = report_time(rows_int(v->row, 0, "started_ms", 0));
	int64_t wall = rows_int(v->row, 0, "wall_ms", -1);
	if (v->running)
		text_addf(t, "> **Not over:** %s.\n\n", v->why);
	else if (v->validity != VALIDITY_VALID)
		text_addf(t, "> **This run is %s:** %s.\n\n", validity_name(v->validity), v->why);
	text_add(t, "## ");
	markdown_add(t, headline);
	text_add(t, "\n\nSuite ");
	md_code(t, rows_str(v->row, 0, "suite"));
	text_addf(t, ", run %lld (%s): %zu job%s%s%s, began %s.%s%s\n\n", (long long)v->run,
		  validity_name(v->validity), v->n_jobs, v->n_jobs == 1 ? "" : "s",
		  wall >= 0 ? " in " : "", wall >= 0 ? unit_duration((uint64_t)wall, took) : "",
		  when, v->validity == VALIDITY_VALID && *v->why ? " Valid; " : "",
		  v->validity == VALIDITY_VALID ? v->why : "");
}

static void md_counts(struct text *t, const struct review *v)
{
	text_add(t, "| verdict | packages |\n| --- | ---: |\n");
	for (int rank = 0; rank < VERDICT_COUNT; rank++)
		for (unsigned x = 0; x < VERDICT_COUNT; x++)
			if (verdict_rank((enum verdict)x) == rank && v->verdicts[x])
				text_addf(t, "| %s | %zu |\n", verdict_name((enum verdict)x),
					  v->verdicts[x]);
	text_add(t, "\n");
}

/* Causes before packages. */
static void md_causes(struct text *t, const struct review *v)
{
	if (!v->base || !v->n_causes)
		return;
	text_add(t, "### Causes\n\n");
	for (size_t i = 0; i < v->n_causes && i < MD_CAUSES; i++) {
		const struct review_cause *c = &v->causes[i];
		auto_free char *line = review_cause_line(v, c, MD_LINE);
		text_addf(t, "- %zu package%s: ", c->n, c->n == 1 ? "" : "s");
		md_code(t, line);
		text_add(t, " (");
		for (size_t k = 0; k < c->n && k < MD_CAUSE_PACKAGES; k++) {
			text_add(t, k ? ", " : "");
			md_code(t, v->pairs[c->pairs[k]].package);
		}
		if (c->n > MD_CAUSE_PACKAGES)
			text_addf(t, " and %zu more", c->n - MD_CAUSE_PACKAGES);
		if (c->first_run && c->first_run != v->run)
			text_addf(t, "; first seen in run %lld", (long long)c->first_run);
		text_add(t, ")\n");
	}
	if (v->n_causes > MD_CAUSES)
		text_addf(t, "- and %zu causes more\n", v->n_causes - MD_CAUSES);
	text_add(t, "\n");
}

/* Whole pairs only, as many as fit. */
static size_t md_pairs(struct text *t, const struct report *r)
{
	const struct review *v = r->review;
	enum verdict open = VERDICT_SAME;
	size_t i = 0;
	for (; i < v->n_pairs && v->pairs[i].verdict != VERDICT_SAME; i++) {
		auto_text struct text one = TEXT_INIT;
		if (v->pairs[i].verdict != open)
			text_addf(&one, "\n### %c%s\n\n",
				  verdict_name(v->pairs[i].verdict)[0] - 'a' + 'A',
				  verdict_name(v->pairs[i].verdict) + 1);
		open = v->pairs[i].verdict;
		md_pair(&one, r, &v->pairs[i]);
		if (t->n + one.n > REPORT_COMMENT - MD_RESERVE)
			break;
		text_put(t, text_str(&one), one.n);
	}
	return i;
}

static void md_stale(struct text *t, const struct review *v)
{
	bool any = false;
	for (size_t i = 0; i < v->n_known && t->n < REPORT_COMMENT - 2 * MD_RESERVE; i++) {
		auto_free char *stale = review_stale(&v->known[i]);
		auto_free char *line = stale ? plain_line(stale, MD_LINE) : NULL;
		if (!line)
			continue;
		text_add(t, any ? "- " : "\n### Known, and not so\n\n- ");
		md_code(t, line);
		text_add(t, "\n");
		any = true;
	}
}

static void md_groups(struct text *t, const struct report *r)
{
	struct report_group *groups;
	size_t n = report_groups(r, &groups);
	bool any = false;
	for (size_t g = 0; g < n; g++) {
		auto_text struct text one = TEXT_INIT;
		text_addf(&one, "- %zu × ", groups[g].n);
		md_code(&one, groups[g].outcome);
		text_add(&one, ":");
		for (size_t i = 0; i < groups[g].n && i < 50; i++) {
			text_add(&one, " ");
			md_code(&one, r->review->pairs[groups[g].pairs[i]].package);
		}
		if (groups[g].n > 50)
			text_addf(&one, " and %zu more", groups[g].n - 50);
		text_add(&one, "\n");
		if (t->n + one.n > REPORT_COMMENT - MD_RESERVE)
			break;
		if (!any)
			text_addf(t, "\n### %s\n\n",
				  r->review->base ? "Failing on both sides" : "Not passing");
		text_put(t, text_str(&one), one.n);
		any = true;
	}
	report_groups_free(groups, n);
}

void report_markdown(const struct report *r, struct text *t)
{
	const struct review *v = r->review;
	size_t changes = v->n_pairs - v->verdicts[VERDICT_SAME];
	md_header(t, r);
	markdown_spent(t, r);
	if (v->base)
		md_counts(t, v);
	md_causes(t, v);
	size_t told = md_pairs(t, r);
	if (told < changes)
		text_addf(t, "\n%zu more changes did not fit: `assay compare %lld` lists all.\n",
			  changes - told, (long long)v->run);
	md_stale(t, v);
	md_groups(t, r);
}
