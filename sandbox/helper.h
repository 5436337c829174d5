/* Inside sandbox/ only: one `assay-box` process and the socket to it (protocol:
 * sandbox/box/plan.h). Loop thread. */
#pragma once
#include "base/err.h"
#include "sandbox/box/plan.h"
#include "sandbox/cgroup.h"
#include "sandbox/pack.h"

#include <uv.h>

struct helper;

struct helper_events {
	/* fd: what came with it, the callee's now, else -1 */
	void (*on_reply)(void *owner, const struct plan_reply *r, int fd);
	/* it has ended, whyever, and is not to be used any more */
	void (*on_death)(void *owner, const char *how);
	/* later: nothing of it is on the loop any more */
	void (*on_freed)(void *owner);
};

/* What helpers are. */
struct helper_program {
	int box_fd;           /* assay-box */
	int oci_fd;           /* assay-oci, or -1: assay-box itself is the helper */
	const char *executor; /* of assay-oci */
};

/* Which ids their boxes get: sandbox/box/ids.h. */
struct helper_ids {
	const char *word;
	int userns_fd;     /* to be entered, not below 10; or -1 */
	const char *given; /* what may be given to them, sandbox/box/owners.h; "": nothing */
};

/* helper_start(loop, p, ids, ev, owner, e): one posix_spawn. NULL with e. */
struct helper *helper_start(uv_loop_t *loop, const struct helper_program *p,
			    const struct helper_ids *ids, const struct helper_events *ev,
			    void *owner, struct err *e) must_check;
/* helper_groups(h, groups, e): once, before the first plan: where boxes' groups are made. */
int helper_groups(struct helper *h, const struct cgroup_host *groups, struct err *e) must_check;
/* helper_plan(h, p, output_fd, stdio, c, e): PLAN_START and what belongs to it. stdio: NULL or
 * box_spec.stdio. */
int helper_plan(struct helper *h, const struct pack *p, int output_fd, const int *stdio,
		const struct cgroup *c, struct err *e) must_check;
/* helper_say(h, kind, signal): PLAN_SIGNAL; PLAN_KILL, PLAN_GO, PLAN_AHEAD (signal 0). If it can't
 * be said, the helper is dead: on_death comes. */
void helper_say(struct helper *h, enum plan_kind kind, int signal);
/* helper_look(h, m, fds, n): PLAN_LOOK with its descriptors, borrowed; on_reply brings what was
 * seen.
 */
void helper_look(struct helper *h, const struct plan_start *m, int *fds, size_t n);
/* helper_stop(h): the end of its socket; it ends, and its box with it. on_death still comes. May be
 * said again. */
void helper_stop(struct helper *h);

/* helper_leave(h): helper_stop, and its owner hears nothing more of it. NULL is fine. */
void helper_leave(struct helper *h);

/* helper_kill(h): the same as helper_stop for one that does not listen. */
void helper_kill(struct helper *h);

/* helper_run(box_fd, words, fd, userns_fd, e): another of assay-box's verbs and at most
 * HELPER_WORDS of its words, NULL-terminated; fd (or -1) is its descriptor PLAN_SOCKET, userns_fd
 * (or -1) its PLAN_USERNS. Waits for its end; any thread. What it says is the error. */
#define HELPER_WORDS 8
int helper_run(int box_fd, char *const *words, int fd, int userns_fd, struct err *e) must_check;
/* helper_try(p, ids, e): could it make boxes? Waits for a few milliseconds. */
int helper_try(const struct helper_program *p, const struct helper_ids *ids, struct err *e)
	must_check;
/* helper_find(p, path, executor, e): open the programs: assay-box at path, or NULL: beside the
 * running program, in ../libexec/assay, or where it was installed; assay-oci, where the executor is
 * another than "native" or NULL, beside it or in the same places. An ordinary user's own file is
 * copied to a sealed memfd first: a box of that user, who is root in it, could write to the file
 * itself by way of /proc/self/exe (CVE-2019-5736). */
int helper_find(struct helper_program *p, const char *path, const char *executor, struct err *e)
	must_check;
void helper_program_close(struct helper_program *p);
