/* The box's root, built in the box's own namespaces by its pid 1 before any byte of the job's runs
 * there.
 *
 * A tmpfs of ours is put over "/sys", whose host's content nobody needs any more; there every name
 * is ours:
 *
 *     lN   layers             k  skeleton             fN   layers of files
 *     bN   files to be bound  n  nothing              t    a tmpfs, for uppers
 *     w    a tmpfs, for /tmp, /run and /dev/shm       m    where mount(2) mounts first
 *     d p s  /dev, /proc, /sys while they are made     r    the new root
 *     o    an engine's own (sandbox/oci/)             y    a lower layer to try uppers with
 *
 * Everything is attached there, then moved to its place below r. The pivot into r leaves all of it
 * behind. */
#pragma once
#include "base/err.h"
#include "sandbox/box/layer.h"
#include "sandbox/box/overlay.h"
#include "sandbox/box/spec.h"
#include "sandbox/box/upper.h"

#include <sys/stat.h>

enum step_kind {
	STEP_HOST,  /* the host's directory, read-only */
	STEP_TMPFS, /* ours, with the mode */
	STEP_DEV,
	STEP_MOUNT, /* the plan's */
};

/* One mount of the box, "/" apart. */
struct step {
	const char *path;
	enum step_kind kind;
	unsigned mode;
	const struct spec_mount *mount; /* STEP_MOUNT */
	bool in_layer; /* a single file that is in an overlay's layer: nothing is to be mounted */
};

/* A place that the box needs: a mount point, home, working directory, a file of the plan. */
struct want {
	char *at;                     /* owned; links that were met on the way are followed in it */
	const struct spec_file *file; /* of the plan, or NULL */
	struct step *step;            /* whose mount point it is, or NULL */
	bool done;
};

enum kernelfs_is { KERNELFS_CLOSED, KERNELFS_FILE, KERNELFS_DIR };
#define KERNELFS_PROC 40
#define KERNELFS_SYS 3
#define KERNELFS_SYS_BYTES 1024
/* What the host's /proc and /sys say about what is masked or copied, in the order of kernelfs.c's
 * lists. */
struct kernelfs {
	enum kernelfs_is proc[KERNELFS_PROC];
	char sys[KERNELFS_SYS][KERNELFS_SYS_BYTES];
	ssize_t sys_bytes[KERNELFS_SYS]; /* -1: not there */
};

struct ids;

struct stage {
	const struct spec *spec;
	struct layers *layers;
	enum overlay_way way;
	bool only_way;
	struct uppers uppers; /* what is known */
	enum plan_uppers by;  /* what carries the uppers of this box */
	bool room, userns;    /* the tmpfs for uppers is there; the helper knows the namespace */
	const char *at;       /* where the stage is */
	int helper;           /* the socket to it (init.h), -1: nobody is told */
	uint64_t tmpfs;       /* bytes of a tmpfs */
	int root;             /* descriptor */
	struct statx root_is; /* which directory on which mount that is */
	int null;             /* the box's /dev/null */
	int devices;          /* a file system of device.h, or -1 */
	int terminal;         /* where one is wanted: its master's end */
	struct kernelfs kernelfs;      /* seen by itself */
	const struct kernelfs *lately; /* seen by the helper, else NULL */
	struct step *steps; /* in the order they are mounted: the host's and ours, then the plan's
			       by path */
	size_t n_steps;
	struct want *wants;
	size_t n_wants;
	unsigned n_made; /* names used up of b, f and those in t and w */
};

/* stage_ahead(st, e): what no plan changes. */
int stage_ahead(struct stage *st, struct err *e) must_check;
/* stage_build(st, e): after it, from the plan to a pivoted root. st->spec, layers, way, only_way
 * are given. It frees nothing: pid 1 execs or ends. ERR_HOSTILE: not our trouble, but what the
 * job's own layers hold. */
int stage_build(struct stage *st, struct err *e) must_check;

/* The same in two halves, for boxes whose namespaces somebody else makes in between.
 * stage_raise(st, at, e): the root with all but /proc, at "r" of a stage that is put over the
 * directory `at`. stage_resume(st, root, e): from a root that was raised, found at `root` by now.
 * st->spec is given, for the latter st->null, too; and nothing else. */
int stage_raise(struct stage *st, const char *at, struct err *e) must_check;
int stage_resume(struct stage *st, const char *root, struct err *e) must_check;

/* stage_dir(st, path, e), stage_file(st, path, e): place_dir and place_file below the root. What an
 * earlier box of the job may have put in the way is ERR_HOSTILE. */
int stage_dir(const struct stage *st, const char *path, struct err *e) must_check;
int stage_file(const struct stage *st, const char *path, struct err *e) must_check;
/* stage_blame(st, fd, e): fd; where it is -1 and an earlier box may have been the reason, e says
 * so. */
int stage_blame(const struct stage *st, int fd, struct err *e);
/* stage_root(st, fd, e): fd, a mount or -1, is the root from now on, at "r". It is st's. */
int stage_root(struct stage *st, int fd, struct err *e) must_check;
/* stage_is_root(st, place): a link of the job's may lead to the root itself: what is put over that,
 * nobody in the box could come to see. */
bool stage_is_root(const struct stage *st, int place);

/* In root.c. root_make(st, e): the root mount, put at "r"; st->root is set. */
int root_make(struct stage *st, struct err *e) must_check;

/* In wants.c. wants_list(st): st->wants, once st->steps is there. */
void wants_list(struct stage *st);
/* The step whose mount holds path, or NULL: the root. */
const struct step *wants_owner(const struct stage *st, const char *path);
/* wants_missing(st, owner, fd): is something wanted in owner that its directory fd has no entry
 * for? */
bool wants_missing(const struct stage *st, const struct step *owner, int fd);
/* wants_layers(st, owner, lowers, n, out, e): make what is wanted in owner's overlay and its lowers
 * don't show. out names the layers for that; where one is "" it is made when something needs it,
 * and stays "" if nothing does. What earlier boxes have led to one place is ERR_HOSTILE. */
struct wants_layers {
	size_t past;                          /* that many of the lowers earlier boxes wrote */
	bool writable;                        /* it is the place for copies of files */
	char top[16], middle[16], bottom[16]; /* above all, below those of the past, below all */
};
int wants_layers(struct stage *st, const struct step *owner, const char *const *lowers, size_t n,
		 struct wants_layers *out, struct err *e) must_check;

/* In files.c. files_bind(st, e): the files that are in no overlay's layer, over what is at their
 * place. */
int files_bind(struct stage *st, struct err *e) must_check;
/* files_copy(st, m, to, e): the single file of m, as a file of the name `to`. */
int files_copy(struct stage *st, const struct spec_mount *m, const char *to, struct err *e)
	must_check;
/* files_mount(st, m, e): the single file of m, as a mount. */
int files_mount(struct stage *st, const struct spec_mount *m, struct err *e) must_check;

/* In mounts.c. mount_overlay(st, owner, m, at_root, e): a detached overlay of the plan's mount m.
 */
int mount_overlay(struct stage *st, const struct step *owner, const struct spec_mount *m,
		  struct err *e) must_check;
/* mount_layer(st, index, e): attach a layer of the plan at l/INDEX. */
int mount_layer(struct stage *st, uint32_t index, struct err *e) must_check;
/* mount_lone(st, m, lower, e): an overlay of this one directory, for the mode of m. */
int mount_lone(struct stage *st, const struct spec_mount *m, const char *lower, struct err *e)
	must_check;
/* mount_step(st, s, e): made and put at its place. */
int mount_step(struct stage *st, const struct step *s, struct err *e) must_check;

/* In kernelfs.c. kernelfs_look(k, ids): while the host's /sys is still to be seen. ids: of the box,
 * where who looks is not in it; else NULL. */
void kernelfs_look(struct kernelfs *k, const struct ids *ids);
/* kernelfs_lately(ids): the helper's: looked at anew when it is a second old or of other ids. What
 * comes up on the host within that second is masked in boxes that start later, as it is in none
 * that run. */
const struct kernelfs *kernelfs_lately(const struct ids *ids);
/* kernelfs_make(st, e): /dev and /sys, in the stage; kernelfs_make_proc(st, e): /proc. No plan is
 * needed for it. */
int kernelfs_make(struct stage *st, struct err *e) must_check;
int kernelfs_make_proc(struct stage *st, struct err *e) must_check;
/* Each put at its place below the root. */
int kernelfs_dev(struct stage *st, struct err *e) must_check;
int kernelfs_proc(struct stage *st, struct err *e) must_check;
int kernelfs_sys(struct stage *st, struct err *e) must_check;
/* kernelfs_whole_proc(st, e): with PLAN_LOOSEN_USERNS: whoever makes a pid namespace in the box
 * wants a /proc of it, and the kernel gives one only where a whole one is already
 * (mount_too_revealing(), fs/namespace.c). It is, out of everybody's reach below /sys. */
int kernelfs_whole_proc(const struct stage *st, struct err *e) must_check;
/* kernelfs_queues(place, e): the message queues of an IPC namespace that is made by now. */
int kernelfs_queues(int place, struct err *e) must_check;
