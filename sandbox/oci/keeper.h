/* Who runs an engine that needs no daemon: the first process of a user, a mount and a pid namespace
 * of its own, per box. In them the box's root is raised (stage.h), and there the engine makes its
 * container, as root of a user namespace that has the box's ids. So
 *
 * - the engine's root is never the host's root, whoever the caller is, and needs no set-up by an
 *   administrator for ordinary users;
 * - its state is in this mount namespace's memory, its monitors in this pid namespace: with this
 *   process, which dies with the helper, all of it is gone, in no time and without its help;
 * - its pid 1 is told its plan, and reports, over a socket that no engine sees. */
#pragma once
#include "sandbox/box/birth.h"
#include "sandbox/box/inside.h"
#include "sandbox/oci/engine.h"
#include "sandbox/oci/order.h"

/* One box, from the engine's start until its pid 1 has ended. */
struct keeper {
	struct init *in;
	struct inside_hello hello; /* what pid 1 will be told about ids */
	struct order order;        /* the engine's process */
	int bell;
	int box;            /* the connection to pid 1, once it is there */
	int box_pid;        /* its pidfd */
	bool asked;         /* the box is to end, or the helper has */
	int64_t ring_by_ns; /* when pid 1 should have been heard; 0: nothing was started */
	void (*on_box)(struct keeper *k); /* NULL, or: pid 1 was told */
};

/* keeper_use(engine): a process of one helper has one engine. */
void keeper_use(const struct engine *engine);
const struct engine *keeper_uses(void);

/* keeper_stage(in, st, e): the box's root is raised in this process's namespaces: st->root; in
 * knows what came of it. */
struct stage;
int keeper_stage(struct init *in, struct stage *st, struct err *e) must_check;

/* keeper_signals(): from now on SIGCHLD and SIGTERM are heard by keeper_watch only, where none is
 * missed between looking and waiting. */
void keeper_signals(void);
extern volatile sig_atomic_t keeper_told; /* a SIGTERM came */
void keeper_init(struct keeper *k, struct init *in);
/* keeper_start(k, job, e): the engine is told to make the container; k->bell is listening. */
int keeper_start(struct keeper *k, const struct engine_job *job, struct err *e) must_check;
/* keeper_watch(k, e): until the box has ended, or k->asked. */
int keeper_watch(struct keeper *k, struct err *e) must_check;

extern const struct birth_kind birth_kept;
