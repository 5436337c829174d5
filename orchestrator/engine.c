#include "orchestrator/engine.h"

#include "base/clock.h"
#include "base/dir.h"
#include "orchestrator/job.h"

#include <signal.h>
#include <string.h>

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

static void engine_cancel_boxes(struct engine *g, bool gently)
{
	for (size_t i = 0; i < g->conf->plan->n_units; i++)
		if (g->jobs[i].box)
			box_cancel(g->jobs[i].box, gently);
}

void engine_fail(struct engine *g, const struct err *e)
{
	if (g->failed)
		return;
	g->failed = g->stopping = true;
	g->err = *e;
	engine_cancel_boxes(g, false);
}

/* Is anything under way that will call back? What waits in a queue does not, once nothing is started any more. */
static bool engine_moving(const struct engine *g)
{
	for (size_t i = 0; i < g->conf->plan->n_units; i++) {
		enum job_state s = g->jobs[i].state;
		if (s != JOB_WAIT && s != JOB_QUEUE && s != JOB_KEEP && s != JOB_DONE)
			return true;
	}
	return false;
}

static void engine_sandbox_closed(void *owner)
{
	struct engine *g = owner;
	g->sandbox = NULL;
}

static void engine_close(struct engine *g)
{
	if (g->closing)
		return;
	g->closing = true;
	uv_close((uv_handle_t *)&g->sigint, NULL);
	uv_close((uv_handle_t *)&g->sigterm, NULL);
	uv_close((uv_handle_t *)&g->tick, NULL);
	sandbox_close(g->sandbox, engine_sandbox_closed, g);
}

/* A trunk is begun while slots are free and nothing begun waits for one; its input is made meanwhile. */
static struct job *engine_next_new(struct engine *g)
{
	const struct plan *p = g->conf->plan;
	while (g->next_unit < p->n_units && p->units[g->next_unit].trunk != PLAN_NONE)
		g->next_unit++; /* branches come from their trunk */
	return g->next_unit < p->n_units ? &g->jobs[g->next_unit++] : NULL;
}

static void engine_start_some(struct engine *g)
{
	struct job *j;
	while ((j = engine_pop(&g->branches)))
		job_go(j, JOB_BEGIN);
	while (g->used_slots < g->n_slots && (j = engine_pop(&g->ready))) {
		g->used_slots++;
		job_go(j, JOB_OPEN);
	}
	/* Begin new packages only as far as the slots need: their directories cost disk. */
	for (size_t ahead = g->used_slots + g->ready.n + g->beginning; ahead <= g->n_slots; ahead++) {
		j = engine_next_new(g);
		if (!j)
			break;
		job_go(j, JOB_BEGIN);
	}
}

void engine_kick(struct engine *g)
{
	struct job *j;
	if (!g->publishing && (j = engine_pop(&g->publishers))) {
		g->publishing = true;
		job_go(j, JOB_PUBLISH);
	}
	if (!g->stopping)
		engine_start_some(g);
	bool over = g->stopping ? !engine_moving(g) && lane_idle(&g->trash)
				: !g->active && g->next_unit >= g->conf->plan->n_units;
	if (over)
		engine_close(g);
}

static void engine_on_signal(uv_signal_t *h, int number)
{
	struct engine *g = h->data;
	g->stopping = true;
	if (++g->signals == 1)
		fprintf(stderr, "\nassay: %s: nothing more is started; %zu running phases may end. Once more ends them.\n",
			number == SIGINT ? "interrupted" : "asked to stop", g->used_slots);
	else
		engine_cancel_boxes(g, g->signals == 2);
	engine_kick(g);
}

static void engine_on_tick(uv_timer_t *h)
{
	struct engine *g = h->data;
	g->conf->on_tick(g->conf->owner, g->used_slots);
}

static int engine_stores(struct engine *g, struct err *e)
{
	g->shelves = own_calloc(g->suite->n_stores, sizeof(*g->shelves));
	for (size_t i = 0; i < g->suite->n_stores; i++)
		if (shelf_load(&g->shelves[i], g->suite, i, g->state->db, e))
			return -1;
	return 0;
}

static int engine_open(struct engine *g, struct err *e)
{
	char name[24];
	auto_free char *runs = own_fmt("runs/%lld", (long long)g->conf->run);
	state_box_name(g->state, name);
	struct sandbox_conf conf = {
		.helper = g->conf->helper,
		.slots = g->conf->at_once,
		.name = name,
		.verbose = g->conf->verbose,
	};
	g->runs_fd = dir_make(g->state->fd, runs, 0700, e);
	if (g->runs_fd < 0 || engine_stores(g, e))
		return -1;
	g->sandbox = sandbox_open(&g->loop, &conf, e);
	return g->sandbox ? 0 : -1;
}

static void engine_handles(struct engine *g)
{
	uv_signal_init(&g->loop, &g->sigint);
	uv_signal_init(&g->loop, &g->sigterm);
	uv_timer_init(&g->loop, &g->tick);
	g->sigint.data = g->sigterm.data = g->tick.data = g;
	uv_signal_start(&g->sigint, engine_on_signal, SIGINT);
	uv_signal_start(&g->sigterm, engine_on_signal, SIGTERM);
	uv_timer_start(&g->tick, engine_on_tick, 500, 500);
}

static void engine_free(struct engine *g)
{
	auto_free char *dir = own_fmt("jobs/%lld", (long long)g->conf->run);
	struct err ignored; /* the next start sweeps what stays */
	for (size_t i = 0; g->jobs && i < g->conf->plan->n_units; i++)
		job_fini(&g->jobs[i]);
	for (size_t i = 0; g->shelves && i < g->suite->n_stores; i++)
		shelf_fini(&g->shelves[i]);
	free(g->shelves);
	free(g->jobs);
	own_close(&g->runs_fd);
	if (dir_remove(g->state->fd, dir, &ignored))
		fprintf(stderr, "assay: %s\n", ignored.text);
}

int engine_run(const struct engine_conf *conf, struct engine_outcome *out, struct err *e)
{
	struct engine g = {
		.conf = conf,
		.suite = conf->plan->suite,
		.state = conf->state,
		.n_slots = conf->at_once,
		.runs_fd = -1,
	};
	*out = (struct engine_outcome){0};
	if (uv_loop_init(&g.loop))
		return err_set(e, ERR_SYS, "event loop");
	lane_init(&g.records, &g.loop);
	lane_init(&g.stores, &g.loop);
	lane_init(&g.logs, &g.loop);
	lane_init(&g.trash, &g.loop);
	int rc = engine_open(&g, e);
	if (!rc) {
		g.jobs = own_calloc(conf->plan->n_units, sizeof(*g.jobs));
		for (size_t i = 0; i < conf->plan->n_units; i++)
			job_init(&g.jobs[i], &g, i);
		engine_handles(&g);
		engine_kick(&g);
		uv_run(&g.loop, UV_RUN_DEFAULT);
	}
	uv_loop_close(&g.loop);
	out->done = g.done;
	out->interrupted = g.signals && g.done < conf->plan->n_jobs;
	if (g.failed) {
		*e = g.err;
		rc = -1;
	}
	engine_free(&g);
	return rc;
}
