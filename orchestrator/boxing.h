/* From a plan's symbols to a box's descriptors: makes the directories of a phase and opens
 * everything its mounts are made of. On a lane; what it returns is used by the loop for box_start
 * and then closed. */
#pragma once
#include "orchestrator/plan.h"
#include "orchestrator/shelf.h"
#include "orchestrator/state.h"

struct boxing {
	struct box_mount *mounts;
	size_t n_mounts;
	int *fds; /* all that must be closed */
	size_t n_fds;
};

/* boxing_layer(st, name, e): a descriptor of the layer `name` (by the database) or of the absolute
 * directory `name`. Or -1. */
int boxing_layer(struct state *st, const char *name, struct err *e) must_check;

#define BOXING_INPUT "input"

/* boxing_input(dirfd, rel, package, e): the directory rel with copies of the package's files (16
 * MiB each at most). */
int boxing_input(int dirfd, const char *rel, const struct suite_package *package, struct err *e)
	must_check;

/* What all phases whose directories are made below one directory share. */
struct boxing_place {
	int empty_fd; /* the input of packages without files */
	bool plain;   /* a directory that is made there with mode 0755 has it: neither umask nor
			 ACLs nor a group that is handed down say otherwise */
};

/* boxing_place_open(p, dirfd, e): of dirfd, in which BOXING_INPUT is made. 0, or -1 with nothing
 * open. */
int boxing_place_open(struct boxing_place *p, int dirfd, struct err *e) must_check;
void boxing_place_close(struct boxing_place *p);

/* Uppers whose name begins so came from an earlier run, and lie below the state directory (kept.h).
 */
#define BOXING_KEPT "kept/"

struct boxing_from {
	int dirfd; /* the run's directory, where the following names lie; nobody
		      else writes there */
	const struct boxing_place *place; /* of dirfd, or NULL */
	const char *dir;                  /* of this phase, to be made: gets uSLOT and wSLOT */
	const char *input;         /* the directory that boxing_input filled, NULL: the place's
				      empty one */
	const char *const *uppers; /* by phase of the suite: the directory of that phase's frozen
				      uppers, NULL: did not run */
	const struct shelf *shelves;
};

/* boxing_open(b, st, m, from, e): 0, or -1 with nothing left open. Layers are looked up in the
 * database: run it on its lane. */
int boxing_open(struct boxing *b, struct state *st, const struct plan_mounts *m,
		const struct boxing_from *from, struct err *e) must_check;
void boxing_close(struct boxing *b);

/* boxing_upper(dirfd, dir, slot, e): the upper of a slot of a phase that is over, for the harvest.
 * A descriptor or -1; ERR_HOSTILE where the job took away the right to read it. */
int boxing_upper(int dirfd, const char *dir, size_t slot, struct err *e) must_check;
/* boxing_upper_name(dir, slot): where that is, below the same dirfd; the caller frees it. */
char *boxing_upper_name(const char *dir, size_t slot) must_check;
