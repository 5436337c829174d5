/* Whether a run can be believed, and in one sentence why not.
 *
 * A job says nothing about its package where it is lost (compare_lost), and where the canary of the
 * machine it ran on gave a wrong answer there. The share of such jobs makes a run degraded or void
 * (compare_validity); of one that several machines worked on also that of each: where one alone
 * would be void the run is degraded at least. */
#include "orchestrator/review_parts.h"

#include "base/text.h"
#include "orchestrator/rows.h"

#include <string.h>

/* A machine that worked on a run. */
struct standing_host {
	const char *name;
	size_t jobs, lost; /* that are to count */
	const char *wrong; /* what its canary said instead of the answer; NULL: it was right */
};

/* What a run's jobs come to. */
struct standing {
	size_t jobs, done, passed, pending, lost;
	bool running;
	enum validity validity;
	struct standing_host *hosts;
	size_t n_hosts;
};

static struct standing_host *host_of(struct standing *n, const char *name)
{
	for (size_t i = 0; i < n->n_hosts; i++)
		if (!strcmp(n->hosts[i].name, name))
			return &n->hosts[i];
	n->hosts = own_grow(n->hosts, n->n_hosts + 1, sizeof(*n->hosts));
	n->hosts[n->n_hosts] = (struct standing_host){.name = name};
	return &n->hosts[n->n_hosts++];
}

static void count_job(struct standing *n, const struct db_table *jobs, size_t row)
{
	struct compare_side s = review_result(jobs, row);
	const char *name = rows_text(jobs, row, "host");
	struct standing_host *h = name ? host_of(n, name) : NULL;
	bool open = n->running && s.presence == PRESENCE_PENDING;
	bool lost = !open && (compare_lost(&s) || (h && h->wrong));
	n->done += s.presence == PRESENCE_DONE;
	n->passed += s.presence == PRESENCE_DONE && s.status == STATUS_PASS;
	n->pending += s.presence == PRESENCE_PENDING;
	n->lost += lost;
	if (h && !open) {
		h->jobs++;
		h->lost += lost;
	}
}

/* A machine that alone would make a run void; NULL: none, or it is the only one. */
static const struct standing_host *bad_host(const struct standing *n)
{
	for (size_t i = 0; n->n_hosts > 1 && i < n->n_hosts; i++)
		if (n->hosts[i].jobs &&
		    compare_validity(n->hosts[i].jobs, n->hosts[i].lost) == VALIDITY_VOID)
			return &n->hosts[i];
	return NULL;
}

static enum validity standing_validity(const struct standing *n)
{
	if (n->running && !n->done)
		return VALIDITY_DEGRADED;
	enum validity v = compare_validity(n->running ? n->done : n->jobs, n->lost);
	if (v == VALIDITY_VALID && bad_host(n))
		return VALIDITY_DEGRADED;
	/* that nothing changed is true, but no good news */
	return v == VALIDITY_VALID && !n->running && !n->passed ? VALIDITY_DEGRADED : v;
}

static struct standing source_standing(const struct review_source *from)
{
	struct standing n = {.jobs = from->jobs->n_rows,
			     .running = !strcmp(rows_str(from->row, 0, "state"), "running")};
	for (size_t i = 0; i < from->canaries->n_rows; i++)
		if (!strcmp(rows_str(from->canaries, i, "answer"), "wrong"))
			host_of(&n, rows_str(from->canaries, i, "host"))->wrong =
				rows_str(from->canaries, i, "why");
	for (size_t i = 0; i < n.jobs; i++)
		count_job(&n, from->jobs, i);
	n.validity = standing_validity(&n);
	return n;
}

/* ---- in words ---- */

static void say_share(struct text *t, size_t part, size_t whole)
{
	size_t share = whole ? part * 1000 / whole : 0;
	text_addf(t, "%zu of %zu jobs (%zu.%zu %%)", part, whole, share / 10, share % 10);
}

static void say_canaries(struct text *t, const struct standing *n)
{
	for (size_t i = 0; i < n->n_hosts; i++)
		if (n->hosts[i].wrong)
			text_addf(
				t,
				"%sthe canary, a job whose answer is known, was wrong on %s (%s), "
				"so that nothing counts that ran there",
				t->n ? "; " : "", n->hosts[i].name, n->hosts[i].wrong);
}

static void say_lost(struct text *t, const struct standing *n, const char *state)
{
	const struct standing_host *bad = bad_host(n);
	say_share(t, n->lost, n->jobs);
	text_add(t, " say nothing about their package");
	if (bad) {
		text_addf(t, ", of those on %s ", bad->name);
		say_share(t, bad->lost, bad->jobs);
	}
	if (strcmp(state, "done"))
		text_addf(t, ": the run was %s", state);
}

static void say_rest(struct text *t, const struct standing *n, const char *state)
{
	if (!n->jobs)
		text_add(t, "the run has no jobs");
	else if (n->running)
		text_addf(t,
			  "the run is going on: %zu of %zu jobs are done, and nothing here is "
			  "final",
			  n->done, n->jobs);
	else if (n->lost)
		say_lost(t, n, state);
	else if (!n->passed)
		text_addf(t,
			  "not one of %zu jobs passed; is something wrong with what all of them "
			  "use?",
			  n->jobs);
}

static char *standing_reason(const struct standing *n, const char *state)
{
	auto_text struct text first = TEXT_INIT, rest = TEXT_INIT;
	say_canaries(&first, n);
	say_rest(&rest, n, state);
	return own_fmt("%s%s%s", text_str(&first), first.n && rest.n ? "; " : "", text_str(&rest));
}

void review_judge(struct review *r)
{
	const struct review_source *other = r->source[0].run ? &r->source[0] : NULL;
	struct standing n = source_standing(&r->source[1]);
	r->running = n.running;
	r->n_jobs = n.jobs;
	r->n_done = n.done;
	r->n_passed = n.passed;
	r->n_pending = n.pending;
	r->n_lost = n.lost;
	r->validity = n.validity;
	r->why = standing_reason(&n, rows_str(r->row, 0, "state"));
	free(n.hosts);
	if (!other)
		return;
	struct standing b = source_standing(other);
	auto_free char *base = standing_reason(&b, rows_str(other->row, 0, "state")),
		       *next = r->why;
	free(b.hosts);
	r->running |= b.running;
	r->validity = b.validity > r->validity ? b.validity : r->validity;
	r->why = own_fmt("%s%s%s%s%s", *base ? "of the base run, " : "", base,
			 *base && *next ? "; " : "", *base && *next ? "of the next one, " : "",
			 next);
}
