#include "orchestrator/carry.h"

#include "base/clock.h"
#include "base/unit.h"
#include "orchestrator/canary.h"
#include "orchestrator/commands.h"
#include "orchestrator/engine.h"
#include "orchestrator/notify.h"
#include "orchestrator/porcelain.h"
#include "orchestrator/progress.h"
#include "orchestrator/record.h"
#include "orchestrator/replay.h"
#include "orchestrator/review.h"
#include "orchestrator/rows.h"
#include "orchestrator/verdicts.h"

#include <string.h>
#include <unistd.h>

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

/* Whom a run is told: people or a program, and systemd. */
struct teller {
	bool to_program;
	union {
		struct progress progress;
		struct porcelain porcelain;
	};
	int64_t run;
	size_t jobs, done;
	int64_t told_ns; /* systemd, the last time */
	bool watchdog;
};

static void on_news(void *owner, const struct engine_news *n)
{
	struct teller *t = owner;
	t->done++;
	if (t->to_program)
		porcelain_news(&t->porcelain, n);
	else
		progress_news(&t->progress, n);
}

static void on_woken(void *owner)
{
	struct teller *t = owner;
	t->jobs++;
	if (t->to_program)
		t->porcelain.jobs++;
	else
		t->progress.total++;
}

static void on_phase(void *owner, const struct engine_phase *p)
{
	struct teller *t = owner;
	if (t->to_program)
		porcelain_phase(&t->porcelain, p);
}

static void on_held(void *owner, const char *why)
{
	struct teller *t = owner;
	if (t->to_program)
		porcelain_held(&t->porcelain, why);
	else
		progress_held(&t->progress, why);
}

static void on_full(void *owner, const char *store)
{
	struct teller *t = owner;
	if (t->to_program)
		porcelain_full(&t->porcelain, store);
	else
		progress_full(&t->progress, store);
}

static void on_tick(void *owner, const struct engine_now *now)
{
	struct teller *t = owner;
	char lines[200];
	if (!t->to_program)
		progress_tick(&t->progress, now);
	if (t->watchdog)
		notify_send("WATCHDOG=1");
	if (clock_mono_ns() - t->told_ns < 5000000000)
		return;
	t->told_ns = clock_mono_ns();
	snprintf(lines, sizeof(lines), "STATUS=run %lld: %zu of %zu jobs done, %zu phases running",
		 (long long)t->run, t->done, t->jobs, now->running);
	notify_send(lines);
}

static void teller_init(struct teller *t, const struct carry *c)
{
	*t = (struct teller){.to_program = c->how->porcelain,
			     .run = c->run,
			     .jobs = c->plan->n_jobs,
			     .watchdog = notify_watchdog()};
	if (t->to_program)
		porcelain_init(&t->porcelain, c->run, c->plan->n_jobs);
	else
		progress_init(&t->progress, c->run, c->plan->suite, c->plan->n_jobs);
	notify_send("READY=1");
}

static void teller_fini(struct teller *t)
{
	if (!t->to_program)
		progress_fini(&t->progress);
	notify_send("STOPPING=1");
}

/* The row of a named query about the run; NULL: there is none, or its number `some` is 0. The
 * caller's. One that can't be asked is told: the run is over, and nothing else depends on it. */
static struct db_table *carry_row(struct db *d, int64_t run, const char *query, const char *some)
{
	char id[24];
	const char *arg = id;
	struct db_table *t = NULL;
	struct err e = ERR_INIT;
	snprintf(id, sizeof(id), "%lld", (long long)run);
	if (db_named(d, query, &arg, 1, &t, &e))
		fprintf(stderr, "run %s: %s: %s\n", id, query, e.text);
	else if (rows_int(t, 0, some, 0))
		return t;
	db_table_free(t);
	return NULL;
}

/* What of earlier runs was used. */
static void carry_reused(struct db *d, int64_t run)
{
	char text[UNIT_TEXT];
	struct db_table *t = carry_row(d, run, "reused", "phases");
	if (t)
		fprintf(stderr,
			"run %lld: what earlier runs left of %lld phases was used; they took %s "
			"then\n",
			(long long)run, (long long)rows_int(t, 0, "phases", 0),
			unit_duration((uint64_t)rows_int(t, 0, "saved_ms", 0), text));
	db_table_free(t);
}

/* Were those that were run all the same what they had been? */
static void carry_stale(struct db *d, int64_t run)
{
	struct db_table *t = carry_row(d, run, "spared", "rechecked");
	if (t)
		fprintf(stderr,
			"run %lld: of %lld unchanged jobs that were run to check, %lld ended "
			"otherwise\n",
			(long long)run, (long long)rows_int(t, 0, "rechecked", 0),
			(long long)rows_int(t, 0, "stale", 0));
	db_table_free(t);
}

/* The comparison of what was just recorded, as the command of that name prints it. */
static int carry_compare(const struct carry *c)
{
	char id[24], name[] = "assay compare", state[] = "--state", json[] = "--json";
	auto_free char *fail_on = own_fmt("--fail-on=%s", confidence_name(c->how->fail_on.least));
	char *argv[7] = {name, state, c->state->path, id, fail_on, NULL, NULL};
	snprintf(id, sizeof(id), "%lld", (long long)c->run);
	if (c->how->json)
		argv[5] = json;
	return cmd_compare(c->how->json ? 6 : 5, argv);
}

/* A program is told by the exit status alone. */
static int carry_status(const struct carry *c, struct err *e)
{
	struct review *r = review_load(c->state->db, c->run, NULL, NULL, e);
	if (!r)
		return e->kind == ERR_USAGE ? EXIT_OK : -1; /* nothing to compare */
	int status = review_exit(r, c->how->fail_on.least);
	review_free(r);
	return status;
}

static int carry_run(const struct carry *c, struct teller *teller, struct engine_outcome *outcome,
		     struct err *e)
{
	struct inputs inputs;
	struct engine_conf conf = {
		.plan = c->plan,
		.state = c->state,
		.run = c->run,
		.jobs = c->ids,
		.was = c->was,
		.at_once = c->how->jobs,
		.fetches = c->how->fetches,
		.helper = c->how->helper,
		.executor = c->how->executor,
		.ids = c->how->ids.ids,
		.best_effort = c->how->best_effort,
		.verbose = c->how->verbose,
		.resumed = c->resumed,
		.confirm = how_confirm(c->how),
		.repeat_fixes = (unsigned)c->how->repeat_fixes,
		.inputs = &inputs,
		.reuse = c->how->reuse,
		.keep_bytes = c->how->keep_bytes,
		.on_news = on_news,
		.on_woken = on_woken,
		.on_phase = on_phase,
		.on_tick = on_tick,
		.on_held = on_held,
		.on_full = on_full,
		.owner = teller,
	};
	int rc = inputs_load(&inputs, c->plan->suite, c->how, c->state->db, e);
	if (rc)
		return rc;
	rc = engine_run(&conf, outcome, e);
	inputs_fini(&inputs);
	return rc;
}

/* What became of it, as a row; -1: that could not be recorded either. */
static int carry_end(const struct carry *c, const struct engine_outcome *outcome, const char *end,
		     struct err *e)
{
	struct db *d = c->state->db;
	if (db_run_held(d, c->run, (int64_t)outcome->held_ms, e) ||
	    db_run_end(d, c->run, end, clock_real_ms(), e))
		return -1;
	/* what was cut short may be gone on with: nothing is said of it yet */
	return strcmp(end, "done") || c->fetches_only ? 0 : verdicts_record(d, c->run, e);
}

/* Before anything is believed of packages. */
static int carry_canary(const struct carry *c, struct err *e)
{
	const struct canary_conf conf = {.state = c->state,
					 .executor = c->how->executor,
					 .helper = c->how->helper,
					 .ids = c->how->ids.ids,
					 .best_effort = c->how->best_effort,
					 .verbose = c->how->verbose};
	struct canary canary;
	char host[256] = "";
	gethostname(host, sizeof(host) - 1);
	db_host(c->state->db, host);
	if (c->fetches_only || state_can_box(c->state, e))
		return c->fetches_only ? 0 : -1;
	int rc = canary_run(&conf, &canary, e);
	auto_free char *why = canary.why;
	if (why)
		fprintf(stderr,
			"assay: run %lld: the canary, a job whose answer is known, was wrong: %s\n"
			"assay: nothing that runs on this machine is to be believed before that is "
			"mended\n",
			(long long)c->run, why);
	const struct db_canary row = {host, why, (int64_t)canary.wall_ms, clock_real_ms()};
	return rc ? -1 : db_canary(c->state->db, c->run, &row, e);
}

int carry_out(const struct carry *c, struct err *e)
{
	struct engine_outcome outcome = {0};
	struct teller teller;
	struct err late = ERR_INIT; /* the first trouble is the one to tell */
	teller_init(&teller, c);
	int rc = carry_canary(c, e) || carry_run(c, &teller, &outcome, e) ? -1 : 0;
	teller_fini(&teller);
	const char *end = rc ? "aborted" : outcome.interrupted ? "interrupted" : "done";
	if (carry_end(c, &outcome, end, rc ? &late : e))
		rc = -1;
	if (teller.to_program)
		porcelain_fini(&teller.porcelain, end);
	if (rc || outcome.interrupted)
		fprintf(stderr,
			"assay: run %lld was %s with %zu of %zu jobs done; go on with: assay "
			"resume %lld\n",
			(long long)c->run, rc ? "ended by trouble of our own" : "interrupted",
			outcome.done, c->plan->n_jobs + outcome.woken, (long long)c->run);
	if (rc)
		return -1;
	if (!teller.to_program) {
		carry_spent(c->state->db, c->run);
		carry_reused(c->state->db, c->run);
		carry_stale(c->state->db, c->run);
	}
	if (outcome.interrupted)
		return EXIT_OURS;
	if (c->fetches_only)
		return EXIT_OK;
	return teller.to_program ? carry_status(c, e) : carry_compare(c);
}

int carry_anew(struct suite *s, const char *const *packages, size_t n, const struct how *how,
	       struct state *st, int64_t *run, struct err *e)
{
	struct plan *plan = plan_make(s, packages, n, record_layer_known, st->db, e);
	if (!plan)
		return -1;
	auto_free int64_t *ids = own_calloc(plan->n_units + 1, sizeof(*ids));
	*run = record_begin(plan, st, how, ids, e);
	struct carry c = {.how = how, .plan = plan, .state = st, .run = *run, .ids = ids};
	int status = *run > 0 ? carry_out(&c, e) : -1;
	plan_free(plan);
	return status;
}
