#include "orchestrator/outlet.h"

#include "base/text.h"

#include <errno.h>
#include <poll.h>

#define OUTLET_ENOUGH ((size_t)256 << 10)

struct outlet {
	int fd;
	const struct outlet_events *ev;
	void *owner;
	uv_loop_t *loop;
	struct text next; /* comes after what is being written */
	bool busy, full;
	int broken;
	/* the pool's while busy */
	uv_work_t work;
	struct text now;
	int error;
};

struct outlet *outlet_new(uv_loop_t *loop, int fd, const struct outlet_events *ev, void *owner)
{
	struct outlet *o = own_calloc(1, sizeof(*o));
	*o = (struct outlet){.fd = fd, .ev = ev, .owner = owner, .loop = loop};
	o->work.data = o;
	return o;
}

/* Whoever we share the descriptor with may have made it non-blocking. */
static void outlet_write(uv_work_t *work)
{
	struct outlet *o = work->data;
	for (size_t at = 0; at < o->now.n;) {
		ssize_t n = write(o->fd, o->now.p + at, o->now.n - at);
		if (n >= 0) {
			at += (size_t)n;
		} else if (errno == EAGAIN) {
			struct pollfd p = {.fd = o->fd, .events = POLLOUT};
			poll(&p, 1, -1);
		} else if (errno != EINTR) {
			o->error = errno;
			return;
		}
	}
}

static void outlet_go(struct outlet *o);

static void outlet_wrote(uv_work_t *work, int status)
{
	struct outlet *o = work->data;
	(void)status;
	o->busy = false;
	text_fini(&o->now);
	if (o->error && !o->broken) {
		o->broken = o->error;
		text_fini(&o->next);
		o->ev->on_broken(o->owner, o->broken);
	}
	if (o->next.n) {
		outlet_go(o);
		return;
	}
	o->full = false;
	o->ev->on_idle(o->owner);
}

static void outlet_go(struct outlet *o)
{
	o->now = o->next;
	o->next = (struct text)TEXT_INIT;
	o->busy = !uv_queue_work(o->loop, &o->work, outlet_write, outlet_wrote);
}

bool outlet_put(struct outlet *o, const void *bytes, size_t n)
{
	if (o->broken)
		return true;
	text_put(&o->next, bytes, n);
	if (!o->busy && o->next.n)
		outlet_go(o);
	o->full |= o->next.n > OUTLET_ENOUGH;
	return !o->full;
}

bool outlet_idle(const struct outlet *o)
{
	return !o->busy && !o->next.n;
}

void outlet_free(struct outlet *o)
{
	if (!o)
		return;
	text_fini(&o->next);
	text_fini(&o->now);
	free(o);
}
