/* Lanes: blocking work, one task after another per lane, on libuv's pool. The loop's thread pushes;
 * `work` runs on a pool thread and touches nothing but its task; `done` runs on the loop's thread,
 * after work, in the order of pushing.
 *
 * A lane may take what waits together: one beginning and one end, which costs (a disk that must be
 * waited for), around the work of several tasks. Where the end fails, what they did did not happen:
 * each is told, before its `done`. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

struct err;

struct lane_task {
	void (*work)(struct lane_task *t);
	/* what work did together with others is undone; NULL in lanes without groups */
	void (*lost)(struct lane_task *t, const struct err *e);
	void (*done)(struct lane_task *t); /* may free t */
	struct lane_task *next;
};

struct lane_group { /* on the pool's thread; 0 or -1 with e */
	/* NULL: there is nothing to begin, and the end comes after one task alone, too; else a task
	 * alone has neither */
	int (*begin)(void *owner, struct err *e);
	int (*end)(void *owner, struct err *e); /* NULL: nor to end */
	size_t most;                            /* tasks */
};

struct lane {
	uv_work_t req;
	uv_loop_t *loop;
	struct lane_task *head, **tail; /* waiting; the head is the one that works while busy */
	bool busy;
	size_t together; /* so many of them work now */
	const struct lane_group *group;
	void *owner;
};

void lane_init(struct lane *l, uv_loop_t *loop);
/* lane_group(l, group, owner): from now on it takes together what waits. */
void lane_group(struct lane *l, const struct lane_group *group, void *owner);
/* lane_push(l, t): t is the lane's until its done is called. done is never called inside lane_push.
 */
void lane_push(struct lane *l, struct lane_task *t);
