/* What a package depends on ended before its goal: nothing was made for it to use, so that it has
 * no chance. Its jobs are block/dep-failed, without a box. Packages of a cycle don't wait for one
 * another, and so do not block one another. */
#include "orchestrator/job.h"

#include "orchestrator/rows.h"

#include <string.h>

static size_t place(const struct engine *g, size_t package, size_t variant)
{
	return package * g->suite->n_variants + variant;
}

/* By the package's own doing, or that of what it depends on itself; trouble of ours, and what a
 * person or policy ended, says nothing. */
static bool ended_early(const struct suite *s, enum status status, enum reason reason,
			const char *phase)
{
	bool own = status == STATUS_FAIL || status == STATUS_CRASH || status == STATUS_BLOCK ||
		   (status == STATUS_KILL && reason != REASON_CANCELLED);
	for (size_t i = 0; own && i < s->n_phases; i++)
		if (s->phases[i].goal)
			return strcmp(s->phases[i].name, phase) != 0;
	return false;
}

static size_t variant_named(const struct suite *s, const char *name)
{
	for (size_t i = 0; i < s->n_variants; i++)
		if (!strcmp(s->variants[i].name, name))
			return i;
	return PLAN_NONE;
}

static void row_note(struct engine *g, const struct db_table *t, size_t row, size_t package)
{
	enum status status;
	enum reason reason;
	size_t variant = variant_named(g->suite, rows_str(t, row, "variant"));
	if (variant != PLAN_NONE && !status_parse(rows_str(t, row, "status"), &status) &&
	    !reason_parse(rows_str(t, row, "reason"), &reason))
		g->unmade[place(g, package, variant)] =
			ended_early(g->suite, status, reason, rows_str(t, row, "phase"));
}

struct named {
	const char *id;
	size_t package;
};

static int by_id(const void *a, const void *b)
{
	const struct named *x = a, *y = b;
	return strcmp(x->id, y->id);
}

/* Of a run that is gone on with: what it had found before; and what jobs that need not run were
 * judged. */
static int needs_recall(struct engine *g, struct err *e)
{
	char id[24];
	const char *arg = id;
	struct db_table *t = NULL;
	size_t n = g->suite->n_packages;
	snprintf(id, sizeof(id), "%lld", (long long)g->conf->run);
	if (db_named(g->state->db, "jobs", &arg, 1, &t, e))
		return -1;
	auto_free struct named *names = own_calloc(n + 1, sizeof(*names));
	for (size_t i = 0; i < n; i++)
		names[i] = (struct named){g->suite->packages[i].id, i};
	if (n)
		qsort(names, n, sizeof(*names), by_id);
	for (size_t i = 0; i < t->n_rows; i++) {
		struct named key = {.id = rows_str(t, i, "package")};
		const struct named *x = n ? bsearch(&key, names, n, sizeof(*names), by_id) : NULL;
		if (x)
			row_note(g, t, i, x->package);
	}
	db_table_free(t);
	return 0;
}

int needs_open(struct engine *g, struct err *e)
{
	bool any = false;
	for (size_t i = 0; i < g->suite->n_packages; i++)
		any |= g->suite->packages[i].n_depends != 0;
	if (!any)
		return 0;
	g->unmade = own_calloc(g->suite->n_packages * g->suite->n_variants + 1, 1);
	return g->conf->resumed || g->conf->reuse ? needs_recall(g, e) : 0;
}

void needs_note(const struct job *j)
{
	struct engine *g = j->engine;
	if (g->unmade && !job_is_trunk(j))
		g->unmade[place(g, j->unit->package, j->unit->variant)] =
			ended_early(g->suite, j->result.status, j->result.reason, j->result.phase);
}

/* What the variants share is of use where it is to one of them. */
static bool unmade(const struct engine *g, size_t package, size_t variant)
{
	if (variant != PLAN_NONE)
		return g->unmade[place(g, package, variant)];
	for (size_t v = 0; v < g->suite->n_variants; v++)
		if (!g->unmade[place(g, package, v)])
			return false;
	return true;
}

static bool same_cycle(const struct engine *g, size_t a, size_t b)
{
	return a == b || (g->graph && graph_component(g->graph, (uint32_t)a) ==
					      graph_component(g->graph, (uint32_t)b));
}

bool needs_block(struct job *j)
{
	struct engine *g = j->engine;
	const struct suite_package *p = &g->suite->packages[j->unit->package];
	for (size_t i = 0; g->unmade && i < p->n_depends; i++) {
		size_t on = p->depends[i];
		if (same_cycle(g, j->unit->package, on) || !unmade(g, on, j->unit->variant))
			continue;
		j->facts =
			(struct box_facts){.end = BOX_CANCELLED, .exit_code = -1, .cgroup = "none"};
		j->result =
			(struct result){STATUS_BLOCK, REASON_DEP_FAILED, job_phase(j)->name, NULL};
		j->evidence.text = own_fmt("it depends on %s, which did not come to its goal",
					   g->suite->packages[on].id);
		j->has_result = true;
		return true;
	}
	return false;
}
