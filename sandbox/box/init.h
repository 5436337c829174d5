/* A box's pid 1: builds the root, starts the command, reaps, and ends everything when the command
 * has ended. It is cloned from the helper into the box's namespaces and never returns.
 *
 * It has one descriptor, a SOCK_SEQPACKET socket to the helper, whose messages are structs
 * init_message. The helper says INIT_MAPPED, and INIT_SIGNAL at any time after that; pid 1 says
 * INIT_RUNS, then INIT_OVER, or INIT_FAILED. Where a terminal is wanted, pid 1 says INIT_TERMINAL
 * first, with the master's end, and waits for INIT_GO. What is found out about uppers (upper.h) it
 * says by INIT_UPPER; the tmpfs that a limit of disk is about by INIT_ROOM with a directory of it;
 * what is to be moved when it is over by INIT_CARRIED with the directory, after INIT_USERNS with
 * the user namespace in which that is to be done. So is INIT_FUSE, with the descriptor of a fuse
 * file system, after INIT_MOUNTNS with the mount namespace and an INIT_FUSE_DIR for each directory
 * (fuse.h). With PLAN_NET_NAT it says INIT_NETWORK with its network namespace, and waits for
 * INIT_ONLINE before the command. With PLAN_LOOSEN_FUSE it says INIT_BUILT, and the process that
 * becomes the command INIT_NESTED, which waits for INIT_GO (guard.h). When the box has too many
 * processes it says INIT_CROWD (crowd.h), also after INIT_OVER. If the helper is gone, so is pid 1.
 *
 * A pid 1 may be made ahead of its plan: it builds what no plan changes and waits for INIT_PLAN,
 * once, with struct init_plan in one message with the text of its layers (layers_put) and these
 * descriptors: the plan's text, the output, what start.stdio names, the doors, the layers' mounts.
 *
 * Where an engine makes the container (sandbox/oci/), the process that the helper clones is no pid
 * 1 but who runs the engine; it says INIT_MOVED with the descriptor of the socket that leads to pid
 * 1 from then on. */
#pragma once
#include "sandbox/box/layer.h"
#include "sandbox/box/overlay.h"
#include "sandbox/box/spec.h"
#include "sandbox/box/upper.h"

#include <sys/resource.h>

enum init_kind {
	INIT_MAPPED = 1,
	INIT_SIGNAL,
	INIT_RUNS,
	INIT_OVER,
	INIT_FAILED,
	INIT_TERMINAL,
	INIT_GO,
	INIT_MOVED,
	INIT_UPPER,
	INIT_USERNS,
	INIT_CARRIED,
	INIT_ROOM,
	INIT_PLAN,
	INIT_USED,
	INIT_MOUNTNS,
	INIT_FUSE_DIR,
	INIT_FUSE,
	INIT_NETWORK,
	INIT_ONLINE,
	INIT_BUILT,
	INIT_NESTED,
	INIT_CROWD,
};

struct init_message {
	uint32_t kind;
	int32_t status;   /* INIT_OVER: as of wait(2); INIT_SIGNAL: the number; INIT_CARRIED: index
			     of the layer; INIT_UPPER, INIT_RUNS, INIT_ROOM: enum plan_uppers */
	uint32_t way;     /* INIT_RUNS: the enum overlay_way that this kernel takes; INIT_UPPER,
			     INIT_CARRIED: enum upper_marks */
	uint64_t exec_ns; /* INIT_RUNS */
	uint64_t disk_bytes, disk_inodes; /* INIT_ROOM: taken by now */
	uint64_t processes;               /* INIT_CROWD */
	uint64_t dev;           /* INIT_UPPER; INIT_CARRIED: 1: its marks are fuse-overlayfs's */
	char error[PLAN_ERROR]; /* INIT_FAILED; INIT_FUSE_DIR: its path */
	struct rusage used; /* INIT_USED: what the box used, where the helper can't wait for it */
};

struct init_plan {
	uint32_t kind, way, only_way, n_fds;
	struct plan_start start;
	struct uppers uppers;
};
#define INIT_PLAN_TEXT (64u << 10) /* bytes of the layers, at most */

struct init {
	const struct spec *spec; /* NULL: the plan is still to come */
	struct layers *layers;
	enum overlay_way way;
	bool only_way;
	bool ranged, by_path; /* its ids are several; it finds its layers by path */
	struct uppers uppers; /* as the helper knows them */
	enum plan_uppers by;  /* once it is built: what carries them */
	const struct ids *ids;
	const struct kernelfs *lately; /* stage.h; NULL: it looks itself */
	int socket, output_fd;
	int stdio[3];     /* the command's, -1: /dev/null, the output, the output */
	int null_fd;      /* the box's /dev/null, once it is built */
	int devices_fd;   /* of device.h, or -1 */
	int terminal_fd;  /* the master's end of the box's terminal, or -1 */
	const int *doors; /* plan_start.n_doors */
	size_t n_doors;
	const struct plan_start *start; /* as it came, with the descriptors before the layers' */
	const int *fds;
	size_t n_fds;
	int oom_fd;   /* inside: its own oom_score_adj, else -1 */
	char oom[16]; /* what it was */
};

void init_run(struct init *in) __attribute__((noreturn));

/* The same in an engine's container: the root was raised outside (stage.h) and is at `root`,
 * in->null_fd is given, and the engine's namespaces are the box's. */
void init_run_inside(struct init *in, const char *root) __attribute__((noreturn));

/* init_stdio_take(in, start, fds): in->stdio, from what came with the plan. */
void init_stdio_take(struct init *in, const struct plan_start *start, const int *fds);

/* For who runs an engine. init_await(in, kind): until the helper says it. init_become(in,
 * e): root of the new user namespace, tied to the helper. init_give_up(in, e): say INIT_FAILED, or,
 * of ERR_HOSTILE, the command's refusal; and end. init_say(socket, m, fd): fd -1: none. */
void init_await(const struct init *in, enum init_kind kind);
int init_become(const struct init *in, struct err *e) must_check;
void init_give_up(const struct init *in, const struct err *e) __attribute__((noreturn));
void init_say(int socket, const struct init_message *m, int fd);
