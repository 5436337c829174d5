/* A box's output: one pipe, read when the caller takes it. */
#include "sandbox/inside.h"

#include "base/clock.h"

#include <errno.h>
#include <limits.h>
#include <sys/ioctl.h>

#define OUTPUT_READ (64 << 10)
#define OUTPUT_READS 16 /* in one go, so that a flood does not keep the loop from others */

/* The bytes are counted all; what a box said above its bound while it was being ended is nobody's.
 */
static void output_deliver(struct box *b, const void *bytes, size_t n)
{
	uint64_t before = b->facts.output_bytes, bound = b->limits.output_bytes;
	b->facts.output_bytes += n;
	b->said_ns = clock_mono_ns();
	if (bound && before + n > bound) {
		box_fire(b, BOX_LIMIT_OUTPUT, bound, b->facts.output_bytes);
		n = before < bound ? (size_t)(bound - before) : 0;
	}
	if (n && b->ev.on_output)
		b->ev.on_output(b->owner, bytes, n);
}

/* At most so often and so many bytes. false: nothing more will come. */
static bool output_read(struct box *b, unsigned times, size_t *most)
{
	char buf[OUTPUT_READ];
	for (unsigned i = 0; i < times && *most && !b->paused; i++) {
		ssize_t n = read(b->output_fd, buf, *most < sizeof(buf) ? *most : sizeof(buf));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 && errno == EAGAIN;
		*most -= (size_t)n;
		output_deliver(b, buf, (size_t)n);
	}
	return true;
}

static void on_output(uv_poll_t *poll, int status, int events)
{
	struct box *b = poll->data;
	size_t most = SIZE_MAX;
	(void)events;
	if (!status && output_read(b, OUTPUT_READS, &most))
		return;
	uv_poll_stop(&b->output);
	b->drained = true;
	box_settle(b);
}

void output_start(struct box *b)
{
	if (!b->drained && !b->paused)
		uv_poll_start(&b->output, UV_READABLE, on_output);
}

/* Why what the job left is not kept, behind what it said itself. */
static void output_refused(struct box *b)
{
	char line[PLAN_ERROR + 16];
	int n = snprintf(line, sizeof(line), "assay: %.*s\n", PLAN_ERROR - 1, b->end.error);
	output_deliver(b, line, (size_t)n);
}

/* Nobody of the box is left to say more: what the pipe holds now is the rest, even if somebody
 * elsewhere got hold of its other end and goes on writing. */
static void output_rest(struct box *b)
{
	int rest = 0;
	if (b->rest_known)
		return;
	b->rest_known = true;
	b->rest = ioctl(b->output_fd, FIONREAD, &rest) || rest < 0 ? 0 : (size_t)rest;
}

void output_drain(struct box *b)
{
	if (b->drained || b->paused)
		return;
	output_rest(b);
	if (output_read(b, UINT_MAX, &b->rest) && b->paused)
		return;
	uv_poll_stop(&b->output);
	b->drained = true;
	if (b->end.refused)
		output_refused(b);
}

void box_pause_output(struct box *b, bool paused)
{
	if (b->paused == paused || !b->slot)
		return;
	b->paused = paused;
	b->watch.idle.stirred = true;
	b->said_ns = clock_mono_ns();
	if (paused)
		uv_poll_stop(&b->output);
	else if (b->state != BOX_GONE)
		output_start(b);
	box_schedule(b);
}
