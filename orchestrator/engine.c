#include "orchestrator/engine.h"

#include "base/clock.h"
#include "base/dir.h"
#include "orchestrator/job.h"
#include "orchestrator/phase_box.h"

#include <signal.h>
#include <string.h>
#include <sys/resource.h>

/* More than any number of slots needs. */
#define ENGINE_DESCRIPTORS 65536

void engine_push(struct job_queue *q, struct job *j)
{
	j->next = NULL;
	if (q->tail)
		q->tail->next = j;
	else
		q->head = j;
	q->tail = j;
	q->n++;
}

struct job *engine_pop(struct job_queue *q)
{
	struct job *j = q->head;
	if (!j)
		return NULL;
	q->head = j->next;
	if (!q->head)
		q->tail = NULL;
	j->next = NULL;
	q->n--;
	return j;
}

void engine_cancel_boxes(struct engine *g, bool gently)
{
	for (size_t i = 0; i < g->conf->plan->n_units; i++)
		if (g->jobs[i] && g->jobs[i]->box)
			box_cancel(g->jobs[i]->box, gently);
}

void engine_fail(struct engine *g, const struct err *e)
{
	if (g->failed)
		return;
	g->failed = g->stopping = true;
	g->err = *e;
	engine_cancel_boxes(g, false);
}

void engine_give_back(struct job *j)
{
	struct engine *g = j->engine;
	sched_give(g->sched, &j->taken);
	g->boxes--;
	g->alone &= !j->alone;
	j->taken = (struct sched_need){0};
}

void engine_note(struct job *j, bool passed)
{
	struct engine *g = j->engine;
	struct err e = ERR_INIT;
	bool ours = !passed && j->result.status == STATUS_INFRA;
	/* A try that is repeated tells nothing yet, unless there never was another. */
	if (j->retry && g->breaker.n != g->breaker.trouble)
		return;
	if (!breaker_note(&g->breaker, ours) || !ours)
		return;
	err_set(&e, ERR_BOX, "%u of the last %u phases ended because of our own trouble: %s: %s",
		g->breaker.trouble,
		g->breaker.n < BREAKER_WINDOW ? (unsigned)g->breaker.n : BREAKER_WINDOW,
		reason_name(j->result.reason),
		j->facts.error[0] ? j->facts.error : "see its facts");
	engine_fail(g, &e);
}

/* A tree that nobody needs any more. */
struct engine_trash {
	struct lane_task task; /* first */
	struct engine *engine;
	int dirfd; /* borrowed */
	char *rel;
};

static void engine_trash_work(struct lane_task *t)
{
	struct engine_trash *x = (struct engine_trash *)t;
	struct err e;
	if (sandbox_remove(x->engine->sandbox, x->dirfd, x->rel, &e))
		fprintf(stderr, "assay: %s\n", e.text);
}

static void engine_trash_done(struct lane_task *t)
{
	struct engine_trash *x = (struct engine_trash *)t;
	struct engine *g = x->engine;
	free(x->rel);
	free(x);
	g->leaving--;
	engine_kick(g);
}

void engine_discard(struct engine *g, int dirfd, const char *rel)
{
	struct engine_trash *x = own_calloc(1, sizeof(*x));
	*x = (struct engine_trash){.task = {.work = engine_trash_work, .done = engine_trash_done},
				   .engine = g,
				   .dirfd = dirfd,
				   .rel = own_dup(rel)};
	g->leaving++;
	lane_push(&g->trash, &x->task);
}

struct job *engine_job(struct engine *g, size_t unit)
{
	if (!g->jobs[unit])
		g->jobs[unit] = job_new(g, unit);
	return g->jobs[unit];
}

static void engine_sandbox_closed(void *owner)
{
	struct engine *g = owner;
	g->sandbox = NULL;
}

static void engine_close(struct engine *g)
{
	uv_handle_t *handles[] = {(uv_handle_t *)&g->sigint, (uv_handle_t *)&g->sigterm,
				  (uv_handle_t *)&g->tick};
	if (g->closing)
		return;
	g->closing = true;
	for (size_t i = 0; i < countof(handles); i++)
		if (handles[i]->data)
			uv_close(handles[i], NULL);
	control_close(g->control, g->failed ? "aborted"
				  : g->done < engine_jobs(g) || g->units_left || g->unrepeated
					  ? "interrupted"
					  : "done");
	if (g->sandbox)
		sandbox_close(g->sandbox, engine_sandbox_closed, g);
}

void engine_kick(struct engine *g)
{
	struct job *j;
	while (g->failed && (j = engine_pop(&g->publishers)))
		job_go(j, JOB_CLOSE);
	compact_look(&g->compact);
	if (!g->publishing && g->publishers.head && !compact_holds(&g->compact)) {
		g->publishing = true;
		job_go(engine_pop(&g->publishers), JOB_PUBLISH);
	}
	if (g->stopping && g->ahead)
		engine_end_ahead(g);
	/* what begins may be held at once */
	for (bool first = true; !g->stopping && (first || g->holds.n); first = false) {
		while ((j = engine_pop(&g->holds)))
			repeat_look(j);
		engine_start_some(g);
	}
	/* What is held leaves; whether there was more to find out is noted. */
	while (g->stopping && !g->failed && (j = engine_pop(&g->holds)))
		repeat_look(j);
	/* What rests in a queue calls nobody back, once nothing is started any more. */
	bool over = g->stopping ? !g->moving : !g->units_left;
	/* What leaves still needs the sandbox. */
	if (over && !g->leaving && !g->compact.busy)
		engine_close(g);
}

static void engine_on_signal(uv_signal_t *h, int number)
{
	struct engine *g = h->data;
	g->stopping = true;
	if (++g->signals == 1)
		fprintf(stderr,
			"\nassay: %s: nothing more is started; what runs may end (phases: %zu). "
			"Once more ends it.\n",
			number == SIGINT ? "interrupted" : "asked to stop", g->boxes);
	else
		engine_cancel_boxes(g, g->signals == 2);
	if (g->signals > 1)
		programs_end(g->programs);
	engine_kick(g);
}

/* Who reads a log while it is written sees what was said half a second ago. */
static void engine_flush(struct engine *g)
{
	for (size_t i = 0; i < g->conf->plan->n_units; i++)
		if (g->jobs[i] && g->jobs[i]->box && g->jobs[i]->capture)
			capture_flush(g->jobs[i]->capture);
}

static void engine_on_tick(uv_timer_t *h)
{
	struct engine *g = h->data;
	engine_flush(g);
	engine_look(g);
	engine_again(g);
	struct engine_now now = {.running = g->boxes};
	engine_eta(g, &now.likely_ms, &now.late_ms);
	if (g->conf->on_tick)
		g->conf->on_tick(g->conf->owner, &now);
	if (g->control)
		control_tick(g->control);
	engine_kick(g);
}

/* Where publishing looks up words: by a connection of its own, for it has a thread of its own. What
 * it asks about one store was committed before the store was its turn. */
static int engine_words(struct engine *g, struct err *e)
{
	bool any = false;
	for (size_t i = 0; i < g->suite->n_stores; i++)
		any |= g->suite->stores[i].trust > 1;
	auto_free char *file = any ? own_fmt("%s/assay.db", g->state->path) : NULL;
	g->words = any ? db_open(file, DB_READ, e) : NULL;
	return any && !g->words ? -1 : 0;
}

static int engine_stores(struct engine *g, struct err *e)
{
	if (engine_words(g, e))
		return -1;
	g->shelves = own_calloc(g->suite->n_stores, sizeof(*g->shelves));
	for (size_t i = 0; i < g->suite->n_stores; i++)
		if (shelf_load(&g->shelves[i], g->suite, i, g->state->db, e))
			return -1;
	const struct programs_conf conf = {
		.state = g->state,
		.suite = g->suite,
		.executor = g->conf->executor,
		.helper = g->conf->helper,
		.best_effort = g->conf->best_effort,
		.verbose = g->conf->verbose,
	};
	return programs_open(&g->programs, &conf, e);
}

/* Before anything runs: what can't be kept or given is said once. */
static int engine_limits(const struct engine *g, struct err *e)
{
	const struct suite *s = g->suite;
	for (size_t i = 0; i < s->n_phases; i++) {
		struct box_limits limits = phase_limits(&s->phases[i].limits);
		if (box_net_check(s->phases[i].network, e) ||
		    box_loosen_check(s->phases[i].loosen, e))
			return err_add(e, "phase %s", s->phases[i].name);
		if (sandbox_keeps(g->sandbox, &limits, s->phases[i].loosen, e))
			return err_add(e, "phase %s (--best-effort does without)",
				       s->phases[i].name);
	}
	return 0;
}

static int engine_open(struct engine *g, struct err *e)
{
	char name[24];
	auto_free char *runs = own_fmt("runs/%lld", (long long)g->conf->run);
	auto_free char *jobs = own_fmt("jobs/%lld", (long long)g->conf->run);
	/* where the next start sweeps what a killed one tried there */
	auto_free char *uppers = own_fmt("%s/jobs", g->state->path);
	state_box_name(g->state, name);
	struct sandbox_conf conf = {
		.helper = g->conf->helper,
		.executor = g->conf->executor,
		.ids = g->conf->ids,
		.best_effort = g->conf->best_effort,
		.slots = 2 * (size_t)ENGINE_AT_ONCE,
		.name = name,
		.verbose = g->conf->verbose,
		.uppers = uppers,
		.given = g->state->path,
	};
	if (state_can_box(g->state, e))
		return -1;
	/* Run numbers are given once: logs and uppers that are there already belong to a database
	 * that is gone. */
	if ((!g->conf->resumed && dir_remove(g->state->fd, runs, e)) ||
	    sandbox_remove(NULL, g->state->fd, jobs, e))
		return -1;
	g->runs_fd = dir_make(g->state->fd, runs, 0700, e);
	g->jobs_fd = g->runs_fd < 0 ? -1 : dir_make(g->state->fd, jobs, 0700, e);
	if (g->jobs_fd < 0 || boxing_place_open(&g->place, g->jobs_fd, e))
		return -1;
	capture_disk_init(&g->logs, &g->loop, g->runs_fd);
	if (engine_stores(g, e) || repeat_open(g, e) || keep_open(g, e) || engine_schedule(g, e) ||
	    needs_open(g, e))
		return -1;
	g->sandbox = sandbox_open(&g->loop, &conf, e);
	return !g->sandbox || engine_limits(g, e) ? -1 : programs_keep(g->programs, g->sandbox, e);
}

static int engine_signal(struct engine *g, uv_signal_t *h, int number, struct err *e)
{
	int rc = uv_signal_init(&g->loop, h);
	if (rc)
		return err_set(e, ERR_SYS, "watch for signal %d: %s", number, uv_strerror(rc));
	h->data = g;
	rc = uv_signal_start(h, engine_on_signal, number);
	return rc ? err_set(e, ERR_SYS, "watch for signal %d: %s", number, uv_strerror(rc)) : 0;
}

static int engine_handles(struct engine *g, struct err *e)
{
	static const struct control_calls calls = {engine_ask, engine_snapshot};
	g->control = control_open(&g->loop, g->state->fd, &calls, g, e);
	if (!g->control)
		return -1;
	uv_timer_init(&g->loop, &g->tick);
	g->tick.data = g;
	uv_timer_start(&g->tick, engine_on_tick, 500, 500);
	return engine_signal(g, &g->sigint, SIGINT, e) || engine_signal(g, &g->sigterm, SIGTERM, e)
		       ? -1
		       : 0;
}

/* A box that runs, and one that is made ready even more, holds descriptors; 1024, the usual limit,
 * exists for the sake of select(2). Boxes get a limit of their own. How many there may be. */
static size_t engine_descriptors(void)
{
	struct rlimit files;
	if (getrlimit(RLIMIT_NOFILE, &files))
		return 0;
	if (files.rlim_cur >= ENGINE_DESCRIPTORS)
		return ENGINE_DESCRIPTORS;
	rlim_t had = files.rlim_cur;
	files.rlim_cur = files.rlim_max < ENGINE_DESCRIPTORS ? files.rlim_max : ENGINE_DESCRIPTORS;
	return setrlimit(RLIMIT_NOFILE, &files) ? had : files.rlim_cur;
}

static void engine_free(struct engine *g)
{
	auto_free char *dir = own_fmt("jobs/%lld", (long long)g->conf->run);
	struct err ignored; /* the next start sweeps what stays */
	for (size_t i = 0; i < g->conf->plan->n_units; i++)
		job_free(g->jobs[i]);
	repeat_forget(g);
	for (size_t i = 0; g->shelves && i < g->suite->n_stores; i++)
		shelf_fini(&g->shelves[i]);
	free(g->shelves);
	programs_close(g->programs);
	db_close(g->words);
	free(g->jobs);
	free(g->cancelled);
	free(g->unmade);
	engine_unschedule(g);
	own_close(&g->runs_fd);
	own_close(&g->jobs_fd);
	boxing_place_close(&g->place);
	capture_disk_fini(&g->logs);
	if (sandbox_remove(NULL, g->state->fd, dir, &ignored))
		fprintf(stderr, "assay: %s\n", ignored.text);
}

static int records_begin(void *db, struct err *e)
{
	return db_together(db, e);
}

static int records_end(void *db, struct err *e)
{
	return db_together_end(db, e);
}

/* Rows that wait are made durable together: a disk is waited for once. */
static const struct lane_group records_group = {records_begin, records_end, 256};
/* Small ones are not worth a way to the loop and back each; but who waits for room is not to wait
 * for more than a part of what may be leaving. */
static struct lane_group trash_group(const struct engine *g)
{
	size_t most = g->at_once < 8 ? 8 : g->at_once > 64 ? 64 : g->at_once;
	return (struct lane_group){NULL, NULL, most};
}

/* Once nothing is alive any more nothing is held either. */
static void engine_left(struct engine *g)
{
	struct err left = ERR_INIT;
	struct sched_state st = {0};
	if (uv_loop_close(&g->loop))
		err_set(&left, ERR_CORRUPT, "the event loop ended with something still open on it");
	if (g->sched)
		sched_look(g->sched, &st);
	for (unsigned i = 0; i < SCHED_TOKENS; i++)
		if (st.used.of[i])
			err_set(&left, ERR_CORRUPT, "the run ended with token %u still taken", i);
	if (g->boxes)
		err_set(&left, ERR_CORRUPT, "the run ended with a box still counted");
	if (left.kind)
		engine_fail(g, &left);
}

int engine_run(const struct engine_conf *conf, struct engine_outcome *out, struct err *e)
{
	struct engine g = {
		.conf = conf,
		.suite = conf->plan->suite,
		.state = conf->state,
		.at_once = conf->at_once,
		.fetches = conf->fetches,
		.began_ns = clock_mono_ns(),
		.units_left = conf->plan->n_units,
		.runs_fd = -1,
		.jobs_fd = -1,
		.place = {.empty_fd = -1},
	};
	*out = (struct engine_outcome){0};
	setenv("UV_THREADPOOL_SIZE", "8",
	       0); /* six lanes, and room for the sandbox's own watching */
	int rc = uv_loop_init(&g.loop);
	if (rc)
		return err_set(e, ERR_SYS, "event loop: %s", uv_strerror(rc));
	lane_init(&g.records, &g.loop);
	lane_group(&g.records, &records_group, conf->state->db);
	lane_init(&g.stores, &g.loop);
	lane_init(&g.keep, &g.loop);
	compact_init(&g.compact, &g);
	lane_init(&g.trash, &g.loop);
	const struct lane_group trash = trash_group(&g);
	lane_group(&g.trash, &trash, NULL);
	g.descriptors = engine_descriptors();
	own_return_large(); /* what logs need for a while */
	g.jobs = own_calloc(conf->plan->n_units, sizeof(struct job *));
	if (engine_open(&g, &g.err) || engine_handles(&g, &g.err)) {
		g.failed = g.stopping = true;
		engine_close(&g);
	} else {
		engine_kick(&g);
	}
	uv_run(&g.loop, UV_RUN_DEFAULT);
	engine_left(&g);
	out->done = g.done;
	out->reused = g.reused;
	out->woken = g.woken;
	out->interrupted = (g.signals || g.cancelled_all) &&
			   (g.done < engine_jobs(&g) || g.units_left || g.unrepeated);
	if (g.failed)
		*e = g.err;
	engine_free(&g);
	out->held_ms = g.held_ms; /* until now, where it still was */
	return g.failed ? -1 : 0;
}
