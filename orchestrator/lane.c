#include "orchestrator/lane.h"

#include "base/err.h"

#include <stdlib.h>

void lane_init(struct lane *l, uv_loop_t *loop)
{
	*l = (struct lane){.loop = loop, .tail = &l->head};
	l->req.data = l;
}

void lane_group(struct lane *l, const struct lane_group *group, void *owner)
{
	l->group = group;
	l->owner = owner;
}

/* The last one's `next` is the loop's: somebody may be pushed behind it meanwhile. */
static void lane_work_all(struct lane *l)
{
	struct lane_task *t = l->head;
	for (size_t i = 1; i < l->together; i++, t = t->next)
		t->work(t);
	t->work(t);
}

static void lane_lose_all(struct lane *l, const struct err *e)
{
	struct lane_task *t = l->head;
	for (size_t i = 1; i < l->together; i++, t = t->next)
		t->lost(t, e);
	t->lost(t, e);
}

static void lane_work(uv_work_t *req)
{
	struct lane *l = req->data;
	struct err e = ERR_INIT;
	bool group = l->group && (l->together > 1 || !l->group->begin);
	if (group && l->group->begin && l->group->begin(l->owner, &e)) {
		lane_lose_all(l, &e);
		return;
	}
	lane_work_all(l);
	if (group && l->group->end && l->group->end(l->owner, &e))
		lane_lose_all(l, &e);
}

static void lane_next(struct lane *l);

static void lane_done(uv_work_t *req, int status)
{
	struct lane *l = req->data;
	struct lane_task *t = l->head;
	size_t n = l->together;
	(void)status; /* never cancelled: nobody calls uv_cancel on a lane */
	for (size_t i = 0; i < n; i++)
		l->head = l->head->next;
	if (!l->head)
		l->tail = &l->head;
	l->busy = false;
	lane_next(l);
	for (struct lane_task *next; n; n--, t = next) {
		next = n > 1 ? t->next : NULL;
		t->done(t);
	}
}

static void lane_next(struct lane *l)
{
	if (l->busy || !l->head)
		return;
	l->busy = true;
	l->together = 1;
	for (struct lane_task *t = l->head; l->group && t->next && l->together < l->group->most;
	     t = t->next)
		l->together++;
	if (uv_queue_work(l->loop, &l->req, lane_work, lane_done))
		abort(); /* only EINVAL, for a missing callback */
}

void lane_push(struct lane *l, struct lane_task *t)
{
	t->next = NULL;
	*l->tail = t;
	l->tail = &t->next;
	lane_next(l);
}
