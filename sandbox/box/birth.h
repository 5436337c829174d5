/* How a box comes into the world: its plan is read, its layers are opened, its pid 1 is cloned into
 * fresh namespaces and mapped. */
#pragma once
#include "base/err.h"
#include "sandbox/box/ids.h"
#include "sandbox/box/init.h"
#include "sandbox/box/layer.h"
#include "sandbox/box/look.h"
#include "sandbox/box/overlay.h"
#include "sandbox/box/spec.h"

struct birth {
	struct spec spec;
	struct layers layers;
	pid_t pid; /* 0: none */
	int pidfd;
	int socket; /* to pid 1, or before it is there to who makes it (init.h) */
	bool socket_open;
	struct look_ns ns; /* its namespaces */
	int oom_fd;   /* pid 1's oom_score_adj: it can't be opened later (prctl(2), PR_SET_DUMPABLE)
		       */
	char oom[16]; /* what it was before */
};

#define BIRTH_INIT                                                                                 \
	{                                                                                          \
		.pidfd = -1, .socket = -1, .oom_fd = -1, .ns = LOOK_NS_INIT                        \
	}

/* Who the first process is. */
struct birth_kind {
	uint64_t namespaces;            /* CLONE_NEW*; but for the network's */
	void (*first)(struct init *in); /* never returns */
	bool outside;  /* it stays out of the box's cgroups and network: who enters them comes
			  later */
	bool unmapped; /* its user namespace is the helper's */
	int end;       /* the signal that ends it, and the box; 0: SIGKILL */
};
extern const struct birth_kind birth_native; /* the box's pid 1 itself: init.h */

/* birth_ahead(b, ids, e): a pid 1 that waits for a plan. Whoever makes none of it frees b with
 * birth_fini. */
int birth_ahead(struct birth *b, const struct ids *ids, struct err *e) must_check;

/* birth_make(b, kind, ahead, start, fds, n, ids, way, only, uppers, e): fds are the plan's text,
 * the output, what start->stdio names, with start->in_cgroup a cgroup, start->n_doors doors, then
 * the layers; all the caller's, though the cgroup may be another descriptor afterwards. The caller
 * frees b with birth_fini, in both cases. ahead: a birth_ahead, which is taken if it is there and
 * this plan can do with it. */
int birth_make(struct birth *b, const struct birth_kind *kind, struct birth *ahead,
	       const struct plan_start *start, int *fds, size_t n, const struct ids *ids,
	       enum overlay_way way, bool only, const struct uppers *uppers, struct err *e)
	must_check;
void birth_fini(struct birth *b);

/* birth_spare(b): the command runs: of the box's processes pid 1 is now the last to be killed for
 * want of memory. */
void birth_spare(const struct birth *b);

/* birth_try(e): can this process make a box's namespaces at all? */
int birth_try(const struct ids *ids, struct err *e) must_check;
