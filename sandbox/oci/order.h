/* One run of an engine's program: what is told to it, and what it has to say. */
#pragma once
#include "sandbox/oci/engine.h"

#include <sys/types.h>

#define ORDER_TEXT 400

struct order {
	pid_t pid;  /* 0: none */
	int output; /* its stdout and stderr, or -1 */
	bool ended;
	int status; /* of wait(2) */
	char program[32];
	char text[ORDER_TEXT]; /* its last words */
	size_t n;
};

/* order_start(o, w, e): a child with the caller's environment. */
int order_start(struct order *o, const struct words *w, struct err *e) must_check;
/* order_hear(o): read what it says; o->output is -1 at its end. Doesn't wait. */
void order_hear(struct order *o);
/* order_ended(o, status): it was waited for. */
void order_ended(struct order *o, int status);
/* It has ended, and not well. */
bool order_failed(const struct order *o);
/* order_complain(o, e): -1: what it said. */
int order_complain(struct order *o, struct err *e);
/* order_run(o, w, e): start and wait. */
int order_run(struct order *o, const struct words *w, struct err *e) must_check;
