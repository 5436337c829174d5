#include "orchestrator/carry.h"

#include "base/clock.h"
#include "orchestrator/commands.h"
#include "orchestrator/engine.h"
#include "orchestrator/progress.h"
#include "orchestrator/replay.h"
#include "orchestrator/verdicts.h"

/* How long it took, and how short it could have been. */
static void carry_spent(struct db *d, int64_t run)
{
	struct sim s = {0};
	struct spent spent;
	struct err e = ERR_INIT;
	if (!replay_run(d, run, &s, &spent, &e) && s.n_phases) {
		auto_free char *text = spent_text(&spent);
		fprintf(stderr, "run %lld: %s\n", (long long)run, text);
	}
	sim_fini(&s);
}

/* The comparison of what was just recorded, as the command of that name prints it. */
static int carry_compare(const struct carry *c)
{
	char id[24], name[] = "assay compare", state[] = "--state", json[] = "--json";
	char *argv[6] = {name, state, c->state->path, id, c->how->json ? json : NULL, NULL};
	snprintf(id, sizeof(id), "%lld", (long long)c->run);
	return cmd_compare(c->how->json ? 5 : 4, argv);
}

static int carry_run(const struct carry *c, struct progress *progress,
		     struct engine_outcome *outcome, struct err *e)
{
	struct engine_conf conf = {
		.plan = c->plan,
		.state = c->state,
		.run = c->run,
		.jobs = c->ids,
		.at_once = c->how->jobs,
		.fetches = c->how->fetches,
		.helper = c->how->helper,
		.executor = c->how->executor,
		.ids = c->how->ids.ids,
		.best_effort = c->how->best_effort,
		.verbose = c->how->verbose,
		.resumed = c->resumed,
		.on_news = progress_news,
		.on_tick = progress_tick,
		.on_held = progress_held,
		.owner = progress,
	};
	progress_init(progress, c->run, c->plan->suite, c->plan->n_jobs);
	int rc = engine_run(&conf, outcome, e);
	progress_fini(progress);
	return rc;
}

int carry_out(const struct carry *c, struct err *e)
{
	struct engine_outcome outcome;
	struct progress progress;
	struct db *d = c->state->db;
	int rc = carry_run(c, &progress, &outcome, e);
	struct err late = ERR_INIT; /* the first trouble is the one to tell */
	const char *end = rc ? "aborted" : outcome.interrupted ? "interrupted" : "done";
	if (db_run_held(d, c->run, (int64_t)outcome.held_ms, rc ? &late : e) ||
	    db_run_end(d, c->run, end, clock_real_ms(), rc ? &late : e))
		rc = -1;
	/* what was cut short may be gone on with: nothing is said of it yet */
	if (!rc && !outcome.interrupted)
		rc = verdicts_record(d, c->run, e);
	if (rc || outcome.interrupted)
		fprintf(stderr,
			"assay: run %lld was %s with %zu of %zu jobs done; go on with: assay "
			"resume "
			"%lld\n",
			(long long)c->run, rc ? "ended by trouble of our own" : "interrupted",
			outcome.done, c->plan->n_jobs, (long long)c->run);
	if (rc)
		return -1;
	carry_spent(d, c->run);
	return outcome.interrupted ? EXIT_OURS : carry_compare(c);
}
