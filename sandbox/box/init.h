/* A box's pid 1: builds the root, starts the command, reaps, and ends everything when the command
 * has ended. It is cloned from the helper into the box's namespaces and never returns.
 *
 * It has one descriptor, a SOCK_SEQPACKET socket to the helper, whose messages are structs
 * init_message. The helper says INIT_MAPPED, and INIT_SIGNAL at any time after that; pid 1 says
 * INIT_RUNS, then INIT_OVER, or INIT_FAILED. Where a terminal is wanted, pid 1 says INIT_TERMINAL
 * first, with the master's end, and waits for INIT_GO. If the helper is gone, so is pid 1. */
#pragma once
#include "sandbox/box/layer.h"
#include "sandbox/box/overlay.h"
#include "sandbox/box/spec.h"

enum init_kind {
	INIT_MAPPED = 1,
	INIT_SIGNAL,
	INIT_RUNS,
	INIT_OVER,
	INIT_FAILED,
	INIT_TERMINAL,
	INIT_GO,
};

struct init_message {
	uint32_t kind;
	int32_t status;   /* INIT_OVER: as of wait(2); INIT_SIGNAL: the number */
	uint32_t way;     /* INIT_RUNS: the enum overlay_way that this kernel takes */
	uint64_t exec_ns; /* INIT_RUNS */
	char error[PLAN_ERROR];
};

struct init {
	const struct spec *spec;
	struct layers *layers;
	enum overlay_way way;
	bool only_way, ranged;
	int socket, output_fd;
	int stdio[3];     /* the command's, -1: /dev/null, the output, the output */
	int null_fd;      /* the box's /dev/null, once it is built */
	int terminal_fd;  /* the master's end of the box's terminal, or -1 */
	const int *doors; /* plan_start.n_doors */
	size_t n_doors;
};

void init_run(struct init *in) __attribute__((noreturn));
