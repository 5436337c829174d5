/* Bytes on their way to a descriptor that may be slow: a terminal that somebody stopped, a pipe
 * nobody reads. libuv's pool writes them, one piece at a time, so that the loop never waits. Loop
 * thread. */
#pragma once
#include "base/own.h"

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

struct outlet;

struct outlet_events {
	/* all that was put is written */
	void (*on_idle)(void *owner);
	/* it takes no more (error: an errno); what is put from now on is dropped */
	void (*on_broken)(void *owner, int error);
};

/* outlet_new(loop, fd, ev, owner): fd is borrowed. Free it when it is idle. */
struct outlet *outlet_new(uv_loop_t *loop, int fd, const struct outlet_events *ev, void *owner)
	must_check;
/* outlet_put(o, bytes, n): true: go on; false: it is enough until on_idle. */
bool outlet_put(struct outlet *o, const void *bytes, size_t n);
/* outlet_idle(o): nothing is to be written any more. */
bool outlet_idle(const struct outlet *o);
void outlet_free(struct outlet *o);
