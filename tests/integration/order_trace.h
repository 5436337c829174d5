/* What a traced function does to a state directory, as order_check() wants it. */
#pragma once
#include "order.h"
#include "trace.h"

struct order_trace {
	char *state; /* the state directory's path, borrowed */
	struct order_event *v;
	size_t n;
	uint64_t *known; /* inodes that were there and durable, or were made since */
	size_t n_known;
};

/* order_trace_begin(o, state): what is in layers/ and seg/ and the database is taken for synced. */
void order_trace_begin(struct order_trace *o, char *state);
/* For trace.on_call; owner is the order_trace. */
void order_trace_call(void *owner, const struct trace_call *c);
/* order_trace_said(o): it ended with success. */
void order_trace_said(struct order_trace *o);
void order_trace_fini(struct order_trace *o);
