#include "orchestrator/report_page.h"

#include "base/clock.h"
#include "base/text.h"
#include "orchestrator/rows.h"

#include <string.h>
#include <time.h>

static int report_told(struct db *d, struct report *r, struct err *e)
{
	const struct review *v = r->review;
	for (size_t i = 0; i < v->n_pairs && i < REPORT_TOLD; i++) {
		const struct review_side *sides[] = {&v->pairs[i].base, &v->pairs[i].next};
		for (size_t k = 0; k < 2; k++) {
			char job[24];
			const char *args[] = {job};
			snprintf(job, sizeof(job), "%lld",
				 (long long)rows_int(sides[k]->jobs, sides[k]->row, "job", 0));
			if (sides[k]->state &&
			    db_named(d, "phases-of-job", args, 1, &r->told[i][k], e))
				return -1;
		}
	}
	return 0;
}

static int report_spent(struct db *d, struct report *r, struct err *e)
{
	struct sim s;
	int rc = replay_run(d, r->review->run, &s, &r->spent, e);
	r->n_boxes = s.n_phases;
	sim_fini(&s);
	return rc;
}

int report_load(struct db *d, struct review *review, struct report *r, struct err *e)
{
	char run[24];
	const char *args[] = {run};
	const struct {
		const char *name;
		struct db_table **to;
	} wanted[] = {{"counts", &r->counts},
		      {"phases", &r->phases},
		      {"harvests", &r->harvests},
		      {"conflicts", &r->conflicts},
		      {"spared", &r->spared}};
	r->review = review;
	r->made_ms = clock_real_ms();
	snprintf(run, sizeof(run), "%lld", (long long)review->run);
	for (size_t i = 0; i < countof(wanted); i++)
		if (db_named(d, wanted[i].name, args, 1, wanted[i].to, e))
			return -1;
	const char *upto[] = {rows_str(review->row, 0, "suite"), run};
	if (db_named(d, "trend", upto, 2, &r->trend, e))
		return -1;
	if (report_spent(d, r, e) || report_told(d, r, e))
		return -1;
	report_logs_load(r);
	return 0;
}

void report_fini(struct report *r)
{
	db_table_free(r->counts);
	db_table_free(r->phases);
	db_table_free(r->harvests);
	db_table_free(r->conflicts);
	db_table_free(r->spared);
	db_table_free(r->trend);
	for (size_t i = 0; i < REPORT_TOLD; i++) {
		free(r->logs[i]);
		for (size_t k = 0; k < 2; k++)
			db_table_free(r->told[i][k]);
	}
}

char *report_time(int64_t ms)
{
	char when[32];
	struct tm tm;
	time_t t = (time_t)(ms / 1000);
	if (ms <= 0 || !gmtime_r(&t, &tm))
		return own_dup("");
	strftime(when, sizeof(when), "%Y-%m-%d %H:%M UTC", &tm);
	return own_dup(when);
}

char *report_log(const struct report *r, const struct review_side *s)
{
	if (!s->log)
		return NULL;
	auto_free char *path = own_fmt("%s/%s", r->state, s->log);
	auto_free char *word = text_shell_word(path);
	return own_fmt("zstdcat %s", word);
}

const char *report_trouble(const struct report *r, size_t pair, bool next)
{
	const struct db_table *t = pair < REPORT_TOLD ? r->told[pair][next] : NULL;
	return t && t->n_rows ? rows_text(t, t->n_rows - 1, "error") : NULL;
}

static bool fails(const struct review_side *s)
{
	return s->is.presence == PRESENCE_DONE && s->is.status != STATUS_PASS;
}

static int by_size(const void *a, const void *b)
{
	const struct report_group *x = a, *y = b;
	return x->n != y->n ? (x->n < y->n) - (x->n > y->n) : strcmp(x->outcome, y->outcome);
}

/* Few outcomes are possible, so a list is searched. */
static struct report_group *group_find(struct report_group **groups, size_t *n, char *outcome)
{
	for (size_t i = 0; i < *n; i++)
		if (!strcmp((*groups)[i].outcome, outcome)) {
			free(outcome);
			return &(*groups)[i];
		}
	*groups = own_grow(*groups, *n + 1, sizeof(**groups));
	(*groups)[*n] = (struct report_group){.outcome = outcome};
	return &(*groups)[(*n)++];
}

size_t report_groups(const struct report *r, struct report_group **groups)
{
	const struct review *v = r->review;
	size_t n = 0;
	*groups = NULL;
	for (size_t i = 0; i < v->n_pairs; i++) {
		const struct review_pair *p = &v->pairs[i];
		if (p->verdict != VERDICT_SAME || !fails(&p->next))
			continue;
		struct report_group *g = group_find(groups, &n, review_outcome(&p->next));
		g->pairs = own_grow(g->pairs, g->n + 1, sizeof(*g->pairs));
		g->pairs[g->n++] = i;
	}
	if (n)
		qsort(*groups, n, sizeof(**groups), by_size);
	return n;
}

void report_groups_free(struct report_group *groups, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(groups[i].outcome);
		free(groups[i].pairs);
	}
	free(groups);
}
