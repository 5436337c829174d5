#include "orchestrator/compact.h"

#include "base/clock.h"
#include "orchestrator/job.h"
#include "orchestrator/stack.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>

/* ---- the layer, beside everything else ---- */

/* Threads have priorities of their own on Linux (setpriority(2), ioprio_set(2)); who may not lower
 * one compacts at that of the rest. */
static void compact_humble(void)
{
	enum { WHO_PROCESS = 1, BEST_EFFORT = 2, LAST = 7 };
	(void)!setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), 19);
	(void)!syscall(SYS_ioprio_set, WHO_PROCESS, 0, BEST_EFFORT << 13 | LAST);
	pthread_setname_np(pthread_self(), "compact");
}

static int compact_make(struct compact *c)
{
	struct cache *cache = c->engine->state->cache;
	const struct shelf *sh = &c->was;
	auto_free const char **ids = own_calloc(sh->n_layers + 1, sizeof(*ids));
	for (size_t i = 0; i < sh->n_layers; i++)
		ids[i] = sh->layers[i];
	c->n = stack_height(sh->entries, sh->n_layers);
	if (cache_flatten_height(cache, ids, c->n, sh->n_layers, &c->n, &c->err) ||
	    cache_flatten(cache, ids, c->n, &c->flat, &c->err))
		return err_add(&c->err, "store %s", sh->key);
	return 0;
}

static void *compact_thread(void *arg)
{
	struct compact *c = arg;
	compact_humble();
	c->rc = compact_make(c);
	return NULL;
}

/* A pool's thread does other work afterwards, and an ordinary user's priority does not come back:
 * so one of its own. */
static void compact_work(struct lane_task *t)
{
	struct compact *c = (struct compact *)((char *)t - offsetof(struct compact, task));
	pthread_t thread;
	int error = pthread_create(&thread, NULL, compact_thread, c);
	if (!error)
		error = pthread_join(thread, NULL);
	if (!error)
		return;
	errno = error;
	c->rc = err_sys(&c->err, "start a thread that compacts store %s", c->was.key);
}

static void compact_end(struct compact *c)
{
	shelf_fini(&c->was);
	shelf_fini(&c->after);
	c->busy = c->made = c->told = false;
	if (c->rc)
		engine_fail(c->engine, &c->err);
}

static void compact_done(struct lane_task *t)
{
	struct compact *c = (struct compact *)((char *)t - offsetof(struct compact, task));
	c->made = !c->rc;
	if (c->rc)
		compact_end(c);
	engine_kick(c->engine);
}

static void compact_begin(struct compact *c, size_t store)
{
	c->busy = true;
	c->store = store;
	c->was = shelf_copy(&c->engine->shelves[store]);
	c->flat = (struct cache_layer){0};
	c->rc = 0;
	c->err = (struct err)ERR_INIT;
	c->task = (struct lane_task){.work = compact_work, .done = compact_done};
	lane_push(&c->lane, &c->task);
}

/* ---- its generation ---- */

static void record_work(struct lane_task *t)
{
	struct compact *c = (struct compact *)((char *)t - offsetof(struct compact, task));
	const struct shelf *now = &c->engine->shelves[c->store]; /* nobody publishes meanwhile */
	int64_t id = db_store_flatten(c->engine->state->db, now->key, now->generation, c->above,
				      c->n, c->flat.id, (int64_t)c->flat.entries,
				      (int64_t)c->flat.bytes, clock_real_ms(), &c->err);
	c->after.generation = id;
	c->rc = id < 0 ? err_add(&c->err, "store %s", now->key) : 0;
}

static void record_lost(struct lane_task *t, const struct err *e)
{
	struct compact *c = (struct compact *)((char *)t - offsetof(struct compact, task));
	if (c->rc)
		return; /* it has told its own trouble */
	c->rc = -1;
	c->err = *e;
}

static void record_done(struct lane_task *t)
{
	struct compact *c = (struct compact *)((char *)t - offsetof(struct compact, task));
	struct engine *g = c->engine;
	g->publishing = false;
	if (!c->rc) {
		shelf_fini(&g->shelves[c->store]);
		g->shelves[c->store] = c->after;
		c->after = (struct shelf){0};
	}
	compact_end(c);
	engine_kick(g);
}

/* What was published meanwhile lies above. Where the stack is another one in any other way the
 * layer is for nothing, and the next look begins anew. */
static void compact_record(struct compact *c)
{
	struct engine *g = c->engine;
	if (g->failed || !shelf_compacted(&g->shelves[c->store], &c->was, &c->flat, c->n, &c->after,
					  &c->above)) {
		compact_end(c);
		return;
	}
	c->made = false;
	g->publishing = true;
	c->task = (struct lane_task){.work = record_work, .lost = record_lost, .done = record_done};
	lane_push(&g->records, &c->task);
}

void compact_init(struct compact *c, struct engine *g)
{
	*c = (struct compact){.engine = g};
	lane_init(&c->lane, &g->loop);
}

void compact_look(struct compact *c)
{
	struct engine *g = c->engine;
	size_t highest = 0;
	if (c->made && !g->publishing)
		compact_record(c);
	if (c->busy || g->stopping || g->closing || !g->shelves)
		return;
	for (size_t i = 1; i < g->suite->n_stores; i++)
		if (g->shelves[i].n_layers > g->shelves[highest].n_layers)
			highest = i;
	if (g->suite->n_stores && g->shelves[highest].n_layers > CACHE_MAX_LAYERS)
		compact_begin(c, highest);
}

bool compact_holds(struct compact *c)
{
	const struct engine *g = c->engine;
	size_t i = 0;
	while (c->busy && i < g->suite->n_stores && g->shelves[i].n_layers < CACHE_MOST_LAYERS)
		i++;
	if (!c->busy || i == g->suite->n_stores)
		return false;
	if (!c->told && g->conf->on_full)
		g->conf->on_full(g->conf->owner, g->shelves[i].key);
	c->told = true;
	return true;
}
