/* One run of an engine's program: what is told to it, and what it has to say. */
#pragma once
#include "sandbox/oci/engine.h"

#include <signal.h>
#include <stdint.h>
#include <sys/types.h>

#define ORDER_TEXT 400
#define ORDER_MS 60000     /* for what takes a second on a machine with little to do */
#define ORDER_TOLD_MS 3000 /* once nobody wants it any more */

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
/* order_hear(o): read what it says, or much of it; o->output is -1 at its end. Doesn't wait. */
void order_hear(struct order *o);
/* order_ended(o, status): it was waited for. */
void order_ended(struct order *o, int status);
/* It has ended, and not well. */
bool order_failed(const struct order *o);
/* order_complain(o, e): -1: what it said. */
int order_complain(struct order *o, struct err *e);
/* order_run(o, w, ms, told, e): start and wait for its end, not for the end of what it leaves
 * behind, `ms` at the most; and ORDER_TOLD_MS at the most from when a signal has set *told (NULL:
 * none does): not at once, because what was ordered may still come to be when who ordered it is
 * gone. Blocked signals are heard meanwhile. ERR_LIMIT: it had not ended by then, and was killed;
 * whether what it was to do was done is not known. */
int order_run(struct order *o, const struct words *w, int64_t ms, const volatile sig_atomic_t *told,
	      struct err *e) must_check;
