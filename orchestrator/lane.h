/* Lanes: blocking work, one task after another per lane, on libuv's pool. The loop's thread pushes;
 * `work` runs on a pool thread and touches nothing but its task; `done` runs on the loop's thread,
 * after work, in the order of pushing. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

struct lane_task {
	void (*work)(struct lane_task *t);
	void (*done)(struct lane_task *t); /* may free t */
	struct lane_task *next;
};

struct lane {
	uv_work_t req;
	uv_loop_t *loop;
	struct lane_task *head, **tail; /* waiting; the head is the one that works while busy */
	bool busy;
};

void lane_init(struct lane *l, uv_loop_t *loop);
/* lane_push(l, t): t is the lane's until its done is called. done is never called inside lane_push.
 */
void lane_push(struct lane *l, struct lane_task *t);
