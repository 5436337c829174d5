/* JOB_HOLD: both compared sides of a package have their results, and what differs is repeated, from
 * the layers that its failing phase saw, until confirm_next says that it is enough. The sides keep
 * their directories that long; then both are removed. */
#include "orchestrator/job.h"

#include "orchestrator/rows.h"

#include <string.h>

enum { BASE, NEXT };

/* What is being found out about a package. Lives from its first side's JOB_HOLD to the run's end.
 */
struct repeat_pair {
	struct job *held[2]; /* in JOB_HOLD, or under way for a repeat; NULL: not yet, or no more */
	bool gone[2];        /* a side that will not come, or is not there any more */
	bool decided;        /* whether there is something to repeat */
	int bad;             /* BASE or NEXT: which side did not pass */
	struct job *running; /* the one that is repeated now */
	size_t phase;        /* that is repeated */
	struct confirm_seen seen;
};

static int side_of(const struct job *j)
{
	const struct suite *s = j->engine->suite;
	if (!s->has_compare || job_is_trunk(j))
		return -1;
	return j->unit->variant == s->compare[BASE]   ? BASE
	       : j->unit->variant == s->compare[NEXT] ? NEXT
						      : -1;
}

static bool planned(const struct engine *g, size_t package, int side)
{
	const struct plan *p = g->conf->plan;
	for (size_t i = g->first[package]; i < p->n_units && p->units[i].package == package; i++)
		if (p->units[i].variant == g->suite->compare[side])
			return true;
	return false;
}

static struct repeat_pair *pair_of(struct job *j)
{
	struct engine *g = j->engine;
	size_t package = j->unit->package;
	if (!g->pairs)
		g->pairs = own_calloc(g->suite->n_packages, sizeof(struct repeat_pair *));
	if (!g->pairs[package]) {
		struct repeat_pair *p = g->pairs[package] = own_calloc(1, sizeof(*p));
		p->gone[BASE] = !planned(g, package, BASE);
		p->gone[NEXT] = !planned(g, package, NEXT);
	}
	return g->pairs[package];
}

void repeat_forget(struct engine *g)
{
	for (size_t i = 0; g->pairs && i < g->suite->n_packages; i++)
		free(g->pairs[i]);
	free(g->pairs);
	g->pairs = NULL;
	db_table_free(g->flakes);
	g->flakes = NULL;
}

bool repeat_may(const struct job *j)
{
	const struct engine *g = j->engine;
	/* what the sides share is the same on both */
	return g->conf->confirm.most && side_of(j) >= 0 && j->has_result && !g->stopping &&
	       !job_cancelled(j) && !(j->trunk && j->trunk->has_result);
}

static struct compare_side own_result(const struct job *j)
{
	return (struct compare_side){PRESENCE_DONE, j->own.status, j->own.reason, j->own.phase};
}

/* ---- what is known of it ---- */

int repeat_open(struct engine *g, struct err *e)
{
	const char *suite[] = {g->suite->name};
	return g->conf->confirm.most ? db_named(g->state->db, "flakes", suite, 1, &g->flakes, e)
				     : 0;
}

static double real(const struct db_table *t, size_t row, const char *column)
{
	const struct db_cell *c = rows_cell(t, row, column);
	return c && c->type == DB_REAL ? c->r : 0;
}

static struct flake known_of(const struct job *j)
{
	const struct engine *g = j->engine;
	const struct db_table *t = g->flakes;
	for (size_t i = 0; t && i < t->n_rows; i++)
		if (!strcmp(rows_str(t, i, "package"), g->suite->packages[j->unit->package].id) &&
		    !strcmp(rows_str(t, i, "variant"), g->suite->variants[j->unit->variant].name) &&
		    !strcmp(rows_str(t, i, "phase"), j->own.phase))
			return (struct flake){.failed = real(t, i, "failed"),
					      .passed = real(t, i, "passed")};
	return (struct flake){0};
}

/* ---- whether, and which ---- */

/* The share of fixes that is repeated: by chance, but the same for the same run and package. */
static bool fix_chosen(const struct engine *g, size_t package)
{
	uint64_t x = ((uint64_t)g->conf->run << 32 | package) * 0x9e3779b97f4a7c15u;
	return (x >> 33) % 100 < g->conf->repeat_fixes;
}

static void pair_decide(struct repeat_pair *p)
{
	struct job *base = p->held[BASE], *next = p->held[NEXT];
	struct compare_side was = own_result(base), is = own_result(next);
	enum verdict v = compare_sides(&was, &is);
	p->decided = v == VERDICT_REGRESSED ||
		     (v == VERDICT_FIXED && fix_chosen(base->engine, base->unit->package));
	if (!p->decided)
		return;
	p->bad = v == VERDICT_REGRESSED ? NEXT : BASE;
	const struct job *bad = p->held[p->bad], *good = p->held[!p->bad];
	p->phase = bad->phase;
	p->seen.known = known_of(bad);
	p->seen.near_limit =
		bad->own.reason == REASON_WALL_TIME && good->phase == bad->phase &&
		confirm_near(good->facts.wall_ns / 1000000, job_phase(bad)->limits.time_ms);
}

static void pair_release(struct repeat_pair *p)
{
	struct job *leave[] = {p->held[BASE], p->held[NEXT]};
	p->held[BASE] = p->held[NEXT] = NULL;
	p->gone[BASE] = p->gone[NEXT] = true;
	for (int k = BASE; k <= NEXT; k++)
		if (leave[k])
			job_go(leave[k], job_leave(leave[k]));
}

static void pair_repeat(struct repeat_pair *p, struct job *j, const struct confirm_step *step)
{
	p->running = j;
	evidence_fini(&j->evidence);
	j->repeat++;
	j->alone = step->alone;
	j->by_cpu = step->by_cpu;
	j->phase = p->phase;
	j->again = 0;
	j->offline_tried = false;
	job_go(j, JOB_QUEUE);
}

/* A side that was spared is run after all: what it was judged once is not what it does now, beside
 * the other. Whether one was. */
static bool pair_wake(struct repeat_pair *p)
{
	bool woken = false;
	for (int k = BASE; k <= NEXT; k++) {
		struct job *j = p->held[k];
		if (!j->unit->spared || j->awake)
			continue;
		struct engine *g = j->engine;
		p->held[k] = NULL;
		j->awake = woken = true;
		j->has_result = false;
		g->woken++;
		if (g->conf->on_woken)
			g->conf->on_woken(g->conf->owner);
		job_go(j, JOB_BEGIN);
	}
	return woken;
}

/* What the repeat that has just ended brought. */
static void pair_learn(struct repeat_pair *p, const struct job *j)
{
	struct compare_side is = {PRESENCE_DONE, j->result.status, j->result.reason,
				  j->result.phase};
	struct confirm_tally *t = j == p->held[p->bad] ? &p->seen.bad : &p->seen.good;
	p->running = NULL;
	if (!compare_tells(&is)) {
		p->seen.lost++;
		return;
	}
	t->n++;
	t->passes += is.status == STATUS_PASS;
}

void repeat_look(struct job *j)
{
	struct repeat_pair *p = pair_of(j);
	struct engine *g = j->engine;
	if (p->running == j)
		pair_learn(p, j);
	else
		p->held[side_of(j)] = j;
	if (p->gone[BASE] || p->gone[NEXT] || job_cancelled(j)) {
		pair_release(p);
		return;
	}
	if (!p->held[BASE] || !p->held[NEXT])
		return;
	if (!p->seen.good.n && !p->seen.bad.n && !p->seen.lost)
		pair_decide(p);
	if (p->decided && pair_wake(p))
		return;
	struct confirm_step step = confirm_next(&g->conf->confirm, &p->seen);
	if (p->decided && step.move != CONFIRM_STOP)
		pair_repeat(p, p->held[step.move == CONFIRM_BAD ? p->bad : !p->bad], &step);
	else
		pair_release(p);
}

void repeat_gone(struct job *j)
{
	int side = side_of(j);
	if (side < 0 || !j->engine->conf->confirm.most)
		return;
	struct repeat_pair *p = pair_of(j);
	struct job *other = p->held[!side];
	p->gone[side] = true;
	p->held[side] = NULL;
	if (p->running == j)
		p->running = NULL;
	if (other && p->running != other && other->state == JOB_HOLD)
		engine_push(&j->engine->holds, other);
}
