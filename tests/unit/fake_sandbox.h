/* A sandbox without a kernel, for tests of what uses one: it takes the place of sandbox/ when it is
 * linked first. Boxes do what the story says, on a clock that moves only when nothing else is left
 * to do: no sleep, no chance, any number of boxes. */
#pragma once
#include "sandbox/sandbox.h"

#include <stdatomic.h>

/* What one box does. All zero: exits with 0 at once, silently. */
struct fake_act {
	uint64_t takes_ms;
	enum box_end end;
	int exit_code, signal;
	enum box_limit limit;
	uint64_t oom_kills, host_oom_kills;
	bool never;       /* box_start says no */
	size_t output;    /* so many bytes of "x…\n" before `says` */
	const char *says; /* last words */
	const char *
		stores; /* NAME: a file of that name and content in the upper of the mount /store */
	const char *leaves; /* NAME: the same in the upper of "/" */
};

/* One box as it was asked for. */
struct fake_seen {
	char *name, *package, *variant, *phase;
	bool offline, networked;
	unsigned loosen;
	char **root, **store; /* NULL-terminated: paths of the lowers of "/" and /store, uppermost
				 first */
	size_t n_store;
	uint64_t began_ms, ended_ms;
	uint64_t wall_ms, cpu_ms; /* its limits */
	bool ended, cancelled, gently;
	bool follows; /* it began while another one's end was being told */
};

struct fake {
	/* the story */
	struct fake_act (*play)(const struct fake_seen *box);
	struct {
		uint64_t at_ms;
		int number;
	} signals[4];
	bool no_sandbox; /* sandbox_open says no */
	bool still;      /* the clock stands, and with it the boxes, until the story goes on */
	/* so much of the pool's work lets time go on: what waits for something to happen meanwhile
	 */
	atomic_uint beside;
	/* Asked when nothing blocks any more and the clock would move: true: it does not yet. Or
	 * NULL. */
	bool (*holds)(void);
	/* what was seen */
	struct fake_seen *seen;
	size_t n_seen;
	size_t running, most;
	uint64_t now_ms;
	unsigned opened, closed, pauses, left_running;
	bool ending; /* on_end is being called */
};

extern struct fake fake;

/* fake_reset(): forget what was seen and the story. */
void fake_reset(void);
