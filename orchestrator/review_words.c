/* The words of a review: what commands and reports say about a pair, in one place so that they all
 * say the same. */
#include "orchestrator/plain.h"

#include "base/text.h"
#include "orchestrator/review.h"
#include "orchestrator/rows.h"

#include <signal.h>
#include <string.h>

/* " (1 of them known, 2 not confirmed)" */
static void words_regressed(struct text *t, const struct review *r)
{
	const char *of = " of them";
	if (!r->n_expected && !r->n_seen_once)
		return;
	text_add(t, " (");
	if (r->n_expected) {
		text_addf(t, "%zu%s known%s", r->n_expected, of, r->n_seen_once ? ", " : "");
		of = "";
	}
	if (r->n_seen_once)
		text_addf(t, "%zu%s not confirmed", r->n_seen_once, of);
	text_add(t, ")");
}

/* "3 regressed, 1 fixed", without what there is none of; `none` where there is nothing at all. */
static void words_verdicts(struct text *t, const struct review *r)
{
	bool any = false;
	for (int rank = 0; rank < VERDICT_COUNT; rank++)
		for (unsigned v = 0; v < VERDICT_COUNT; v++) {
			bool say = r->verdicts[v] && v != VERDICT_SAME;
			if (verdict_rank((enum verdict)v) != rank || !say)
				continue;
			text_addf(t, "%s%zu %s", any ? ", " : "", r->verdicts[v],
				  verdict_name((enum verdict)v));
			if (v == VERDICT_REGRESSED)
				words_regressed(t, r);
			any = true;
		}
	if (!any)
		text_add(t, r->n_pairs ? "No change in any" : "Nothing");
}

static void words_statuses(struct text *t, const struct review *r)
{
	size_t n[STATUS_COUNT] = {0}, pending = 0;
	const char *comma = "";
	for (size_t i = 0; i < r->n_pairs; i++) {
		const struct compare_side *s = &r->pairs[i].next.is;
		if (s->presence == PRESENCE_DONE)
			n[s->status]++;
		else
			pending++;
	}
	for (unsigned s = 0; s < STATUS_COUNT; s++)
		if (n[s]) {
			text_addf(t, "%s%zu %s", comma, n[s], status_name((enum status)s));
			comma = ", ";
		}
	if (pending || !*comma)
		text_addf(t, "%s%zu without a result", comma, pending);
}

char *review_headline(const struct review *r)
{
	struct text t = TEXT_INIT;
	if (r->base)
		words_verdicts(&t, r);
	else
		words_statuses(&t, r);
	text_addf(&t, " of %zu package%s", r->n_pairs, r->n_pairs == 1 ? "" : "s");
	if (r->n_not_asked)
		text_addf(&t, ", without %zu that only one of the runs was asked for",
			  r->n_not_asked);
	text_add(&t, ": ");
	if (r->base)
		text_addf(&t, "%s → ", r->base);
	text_add(&t, r->next);
	return text_take(&t);
}

char *review_outcome(const struct review_side *s)
{
	switch (s->is.presence) {
	case PRESENCE_ABSENT:
		return own_dup("-");
	case PRESENCE_PENDING:
		return own_dup(s->state && strcmp(s->state, "done") ? s->state : "no result");
	case PRESENCE_DONE:
		break;
	}
	if (s->is.status == STATUS_PASS)
		return own_dup("pass");
	return own_fmt("%s/%s%s%s", status_name(s->is.status), reason_name(s->is.reason),
		       s->is.phase ? " in " : "", s->is.phase ? s->is.phase : "");
}

char *review_certainty(const struct review_pair *p)
{
	const struct comparison *c = &p->how;
	struct text t = TEXT_INIT;
	text_add(&t, "");
	if (c->base.n > 1 || c->next.n > 1)
		text_addf(&t, "%u/%u → %u/%u", c->base.passes, c->base.n, c->next.passes,
			  c->next.n);
	if (c->p >= 0)
		text_addf(&t, ", p %.2g", c->p);
	if (t.n && (p->verdict == VERDICT_REGRESSED || p->verdict == VERDICT_FIXED))
		text_addf(&t, ", %s", confidence_name(c->confidence));
	if (p->flake_rate >= 0)
		text_addf(&t, "%sflaky (%.0f %%)", t.n ? "; " : "", p->flake_rate * 100);
	if (p->inherited_from)
		text_addf(&t, "%sinherited from %s", t.n ? "; " : "", p->inherited_from);
	if (p->known)
		text_addf(&t, "%sknown to %s: %s", t.n ? "; " : "",
			  p->known->expect == SUITE_EXPECT_FLAKY
				  ? "be flaky"
				  : suite_expect_name(p->known->expect),
			  p->known->reason);
	return text_take(&t);
}

char *review_stale(const struct review_known *k)
{
	static const char *const words[] = {
		[KNOWN_HOLDS] = NULL,
		[KNOWN_PASSES] = "it passes now",
		[KNOWN_UNSEEN] = "nothing of it was seen",
		[KNOWN_ABSENT] = "there is no such package",
	};
	if (k->is == KNOWN_HOLDS)
		return NULL;
	return own_fmt("%s, %s%s%s: %s (%s)", suite_expect_name(k->expect), k->package,
		       k->variant ? " under " : "", k->variant ? k->variant : "", words[k->is],
		       k->reason);
}

char *review_fact(const struct review_side *s)
{
	const char *limit = rows_str(s->jobs, s->row, "limit_hit");
	if (s->is.presence != PRESENCE_DONE || s->is.status == STATUS_PASS)
		return own_dup("");
	if (*limit && strcmp(limit, "none"))
		return own_fmt("limit: %s", limit);
	if (s->signal > 0) {
		const char *name = s->signal < 128 ? sigabbrev_np((int)s->signal) : NULL;
		return own_fmt("signal %lld%s%s", (long long)s->signal, name ? " SIG" : "",
			       name ? name : "");
	}
	return s->exit_code >= 0 ? own_fmt("exit status %lld", (long long)s->exit_code)
				 : own_dup("");
}

/* Line n of the text (from 0), NULL behind its end. */
static const char *line_at(const char *p, size_t n)
{
	for (; p && n; n--) {
		p = strchr(p, '\n');
		p = p ? p + 1 : NULL;
	}
	return p;
}

/* The deciding line is the third of the evidence, unless the log begins later or the lines before
 * it were too long to keep; its length tells which. The database may have replaced bytes, so the
 * length need not be found: then it is the third, or the last there is. */
size_t review_deciding(const struct review_side *s)
{
	size_t last = 0, found = SIZE_MAX;
	if (!s->evidence || s->evidence_offset == 0)
		return 0;
	for (size_t i = 0; i < 3; i++) {
		const char *line = line_at(s->evidence, i);
		if (!line)
			break;
		last = i;
		if ((int64_t)strcspn(line, "\n") == s->evidence_length)
			found = i;
	}
	return found != SIZE_MAX ? found : last;
}

char *review_line(const struct review_side *s, size_t max)
{
	const char *line = s->evidence ? line_at(s->evidence, review_deciding(s)) : NULL;
	return line ? plain_line(line, max) : own_dup("");
}

/* "fail/exit in test", of all packages of the cause: where they ended in several phases, in none.
 */
static char *cause_outcome(const struct review *r, const struct review_cause *c)
{
	struct review_side s = r->pairs[c->pairs[0]].next;
	for (size_t i = 1; s.is.phase && i < c->n; i++) {
		const char *phase = r->pairs[c->pairs[i]].next.is.phase;
		if (!phase || strcmp(phase, s.is.phase) != 0)
			s.is.phase = NULL;
	}
	return review_outcome(&s);
}

char *review_cause_line(const struct review *r, const struct review_cause *c, size_t max)
{
	const struct review_side *s = &r->pairs[c->pairs[0]].next;
	bool by_line = s->is.status == STATUS_FAIL || s->is.status == STATUS_CRASH;
	char *line = by_line ? review_line(s, max) : own_dup("");
	if (*line)
		return line;
	free(line);
	auto_free char *outcome = cause_outcome(r, c);
	return own_fmt("%s%s", outcome, s->is.status == STATUS_FAIL ? ", without a word" : "");
}

const struct review_side *review_telling(const struct review_pair *p)
{
	bool passes = p->next.is.presence == PRESENCE_DONE && p->next.is.status == STATUS_PASS;
	return p->next.state && !passes ? &p->next : p->base.state ? &p->base : &p->next;
}

char *review_repeat(const struct review *r, const struct review_pair *p, const char *state)
{
	auto_free char *package = text_shell_word(p->package);
	auto_free char *dir = state ? text_shell_word(state) : NULL;
	return own_fmt("assay rerun %lld %s%s%s", (long long)(p->next.state ? r->run : r->base_run),
		       package, dir ? " --state " : "", dir ? dir : "");
}
