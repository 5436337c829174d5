/* A box's pid 1 where an engine (crun, runc, podman, docker) made the container: `assay-box inside`
 * is the container's command, found at INSIDE_PROGRAM in a root of ours that holds nothing else but
 * the box's raised root (stage.h) at INSIDE_ROOT and a listening SOCK_SEQPACKET socket at
 * INSIDE_BELL. It connects there, is told what it is to do by one struct inside_hello with
 * descriptors, and goes on as every box's pid 1 (init.h) over the same connection. So nothing of a
 * plan passes through the engine, and an engine sees no place that a job could have prepared.
 *
 * Descriptors of the hello: those of plan_start, in its order, then the box's /dev/null. */
#pragma once
#include "sandbox/box/ids.h"
#include "sandbox/box/plan.h"

#define INSIDE_PROGRAM "/init"
#define INSIDE_ROOT "/box"
#define INSIDE_BELL "/bell"
#define INSIDE_FDS (7 + PLAN_DOORS_MAX)

struct inside_hello {
	uint32_t version; /* PLAN_VERSION */
	uint32_t ranged;  /* the box has a range of ids */
	uint32_t nested;  /* the engine's namespaces are not the box's, which is made in them */
	struct ids ids;   /* nested: the box's, as the engine's user namespace has them */
	struct plan_start start;
	char oom[16]; /* the helper's oom_score_adj */
};

/* inside_run(): the program; returns its exit status. */
int inside_run(void);
