/* What may be asked of a run that goes on: to end packages, to pause, to use more or fewer
 * processors; and what it does just now. */
#include "orchestrator/job.h"

#include "base/clock.h"
#include "base/text.h"

#include <string.h>

bool job_cancelled(const struct job *j)
{
	const struct engine *g = j->engine;
	return g->cancelled && g->cancelled[j->unit->package];
}

/* ---- cancel ---- */

static void cancel_package(struct engine *g, size_t package)
{
	const struct plan *p = g->conf->plan;
	if (!g->cancelled)
		g->cancelled = own_calloc(g->suite->n_packages, sizeof(*g->cancelled));
	g->cancelled[package] = true;
	for (size_t i = g->first[package]; i < p->n_units && p->units[i].package == package; i++)
		if (g->jobs[i] && g->jobs[i]->box)
			box_cancel(g->jobs[i]->box, true);
}

static size_t cancel_named(struct engine *g, const char *name)
{
	const struct suite *s = g->suite;
	size_t n = 0;
	for (size_t i = 0; i < s->n_packages; i++)
		if (g->left[i] &&
		    (!strcmp(s->packages[i].id, name) || !strcmp(s->packages[i].name, name))) {
			cancel_package(g, i);
			n++;
		}
	return n;
}

static bool ask_cancel(struct engine *g, const json_t *packages, char **says)
{
	size_t i, n = 0;
	const json_t *name;
	if (!json_array_size(packages)) {
		g->stopping = g->cancelled_all = true;
		engine_cancel_boxes(g, true);
		*says = own_fmt("the run ends; go on with: assay resume %lld",
				(long long)g->conf->run);
		return true;
	}
	json_array_foreach(packages, i, name)
	{
		const char *id = json_string_value(name);
		size_t found = id ? cancel_named(g, id) : 0;
		if (!found) {
			*says = own_fmt("no package %s is left in run %lld", id ? id : "?",
					(long long)g->conf->run);
			return false;
		}
		n += found;
	}
	*says = own_fmt("%zu package%s cancelled", n, n == 1 ? "" : "s");
	return true;
}

/* ---- pause, set ---- */

static bool ask_pause(struct engine *g, bool paused, char **says)
{
	if (g->conf->on_held && paused != g->paused)
		g->conf->on_held(g->conf->owner, paused ? "paused" : NULL);
	g->paused = paused;
	*says = own_fmt(paused ? "nothing more is started; phases that run: %zu"
			       : "it goes on; phases that run: %zu",
			g->boxes);
	return true;
}

static bool ask_number(const json_t *request, const char *key, size_t *n, char **says)
{
	const json_t *v = json_object_get(request, key);
	if (!v)
		return true;
	json_int_t i = json_integer_value(v);
	if (!json_is_integer(v) || i < 1 || i > ENGINE_AT_ONCE) {
		*says = own_fmt("%s: a number from 1 to %d", key, ENGINE_AT_ONCE);
		return false;
	}
	*n = (size_t)i;
	return true;
}

static bool ask_set(struct engine *g, const json_t *request, char **says)
{
	size_t jobs = g->at_once, fetches = g->fetches;
	if (!ask_number(request, "jobs", &jobs, says) ||
	    !ask_number(request, "fetches", &fetches, says))
		return false;
	g->at_once = jobs;
	g->fetches = fetches;
	sched_have(g->sched, SCHED_CPU, jobs);
	sched_have(g->sched, SCHED_FETCH, fetches);
	*says = own_fmt("jobs=%zu fetches=%zu", jobs, fetches);
	return true;
}

bool engine_ask(void *engine, const json_t *request, char **says)
{
	struct engine *g = engine;
	const char *what = json_string_value(json_object_get(request, "do"));
	const json_t *run = json_object_get(request, "run");
	bool ok = false;
	if (run && json_integer_value(run) != g->conf->run)
		*says = own_fmt("run %lld goes on, not run %lld", (long long)g->conf->run,
				(long long)json_integer_value(run));
	else if (!strcmp(what, "cancel"))
		ok = ask_cancel(g, json_object_get(request, "packages"), says);
	else if (!strcmp(what, "pause") || !strcmp(what, "unpause"))
		ok = ask_pause(g, *what == 'p', says);
	else if (!strcmp(what, "set"))
		ok = ask_set(g, request, says);
	else
		*says = own_fmt("'%.32s' is nothing that can be done", what);
	engine_kick(g);
	return ok;
}

/* ---- what it does ---- */

static const char *variant_of(const struct job *j)
{
	return job_is_trunk(j) ? NULL : j->engine->suite->variants[j->unit->variant].name;
}

static json_t *snapshot_running(const struct engine *g)
{
	json_t *list = json_array();
	int64_t now = clock_mono_ns();
	for (size_t i = 0; i < g->conf->plan->n_units; i++) {
		const struct job *j = g->jobs[i];
		if (!j || !j->box)
			continue;
		json_array_append_new(
			list, json_pack("{s:s, s:s?, s:s, s:I, s:I, s:b}", "package",
					g->suite->packages[j->unit->package].id, "variant",
					variant_of(j), "phase", job_phase(j)->name, "since_ms",
					(json_int_t)((now - j->began_ns) / 1000000), "expect_ms",
					(json_int_t)expect_phase(g->expect, i, j->phase).ms,
					"networked", j->networked));
	}
	return list;
}

static json_t *snapshot_recent(const struct engine *g)
{
	json_t *list = json_array();
	size_t n = g->n_recent < ENGINE_RECENT ? g->n_recent : ENGINE_RECENT;
	for (size_t i = 1; i <= n; i++) {
		const struct engine_recent *r = &g->recent[(g->n_recent - i) % ENGINE_RECENT];
		json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s, s:s, s:I}", "package",
						      g->suite->packages[r->package].id, "variant",
						      g->suite->variants[r->variant].name, "status",
						      status_name(r->status), "reason",
						      reason_name(r->reason), "phase", r->phase,
						      "wall_ms", (json_int_t)r->wall_ms));
	}
	return list;
}

static json_t *snapshot_counts(const struct engine *g)
{
	json_t *o = json_object();
	for (unsigned s = 0; s < STATUS_COUNT; s++)
		if (g->counts[s])
			json_object_set_new(o, status_name(s),
					    json_integer((json_int_t)g->counts[s]));
	return o;
}

static const char *snapshot_state(const struct engine *g)
{
	if (g->failed)
		return "ending: trouble of our own";
	if (g->stopping)
		return "draining";
	if (g->paused)
		return "paused";
	return g->admit == ADMIT_YES ? "running" : admit_name(g->admit);
}

void engine_eta(const struct engine *g, uint64_t *likely_ms, uint64_t *late_ms)
{
	uint64_t left = g->left_ms / g->at_once;
	*late_ms = left;
	*likely_ms = g->past_expected_ms ? (uint64_t)((double)left * (double)g->past_ms /
						      (double)g->past_expected_ms)
					 : left;
	if (*likely_ms > *late_ms) {
		*late_ms = *likely_ms;
		*likely_ms = left;
	}
}

json_t *engine_snapshot(void *engine)
{
	const struct engine *g = engine;
	struct sched_state look;
	uint64_t likely, late;
	sched_look(g->sched, &look);
	engine_eta(g, &likely, &late);
	json_t *j = json_pack("{s:I, s:s, s:I, s:I, s:I, s:s}", "run", (json_int_t)g->conf->run,
			      "suite", g->suite->name, "jobs", (json_int_t)engine_jobs(g), "done",
			      (json_int_t)g->done, "wall_ms",
			      (json_int_t)((clock_mono_ns() - g->began_ns) / 1000000), "state",
			      snapshot_state(g));
	json_object_set_new(j, "slots",
			    json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "jobs",
				      (json_int_t)g->at_once, "jobs_used",
				      (json_int_t)look.used.of[SCHED_CPU], "fetches",
				      (json_int_t)g->fetches, "fetches_used",
				      (json_int_t)look.used.of[SCHED_FETCH], "waiting",
				      (json_int_t)look.waiting, "offered",
				      (json_int_t)look.offered));
	json_object_set_new(j, "left_ms",
			    json_pack("[I, I]", (json_int_t)likely, (json_int_t)late));
	json_object_set_new(j, "pressure",
			    json_pack("{s:i, s:i, s:I}", "memory", g->readings.memory_some, "io",
				      g->readings.io_full, "disk_free",
				      (json_int_t)(g->readings.disk_free < INT64_MAX
							   ? g->readings.disk_free
							   : 0)));
	json_object_set_new(j, "counts", snapshot_counts(g));
	json_object_set_new(j, "running", snapshot_running(g));
	json_object_set_new(j, "recent", snapshot_recent(g));
	return j;
}

void engine_remember(struct job *j)
{
	struct engine *g = j->engine;
	g->counts[j->result.status]++;
	g->recent[g->n_recent++ % ENGINE_RECENT] = (struct engine_recent){
		.package = (uint32_t)j->unit->package,
		.variant = (uint32_t)j->unit->variant,
		.status = j->result.status,
		.reason = j->result.reason,
		.phase = j->result.phase,
		.wall_ms = j->wall_ms,
	};
}

/* What is left is less by what a phase was expected to take; how far off that was tells of the
 * others. */
void engine_past(struct job *j)
{
	struct engine *g = j->engine;
	uint64_t expected = expect_phase(g->expect, j->number, j->phase).ms;
	g->past_expected_ms += expected;
	g->past_ms += j->facts.wall_ns / 1000000;
	g->left_ms -= expected < g->left_ms ? expected : g->left_ms;
}
