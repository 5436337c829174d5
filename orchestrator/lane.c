#include "orchestrator/lane.h"

#include <stdlib.h>

void lane_init(struct lane *l, uv_loop_t *loop)
{
	*l = (struct lane){.loop = loop, .tail = &l->head};
	l->req.data = l;
}

static void lane_work(uv_work_t *req)
{
	struct lane *l = req->data;
	l->head->work(l->head);
}

static void lane_next(struct lane *l);

static void lane_done(uv_work_t *req, int status)
{
	struct lane *l = req->data;
	struct lane_task *t = l->head;
	(void)status; /* never cancelled: nobody calls uv_cancel on a lane */
	l->head = t->next;
	if (!l->head)
		l->tail = &l->head;
	l->busy = false;
	lane_next(l);
	t->done(t);
}

static void lane_next(struct lane *l)
{
	if (l->busy || !l->head)
		return;
	l->busy = true;
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
