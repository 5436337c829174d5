/* Inside sandbox/ only: what `assay doctor` asks of this machine. Each ability is a function that
 * tries it and says what came of it; doctor.c has the table of them and the order they are told in.
 */
#pragma once
#include "sandbox/sandbox.h"

#include "sandbox/helper.h"

struct doctor {
	const struct sandbox_conf *conf;
	struct helper_program program; /* native */
	int dir_fd;                    /* of conf->uppers, or -1 */
	char *dir;                     /* in it: an empty directory of ours, its path; NULL: none */
	char name[40];                 /* its name */
	unsigned n_dirs;               /* made in it */
};

/* has, follows and get are filled for what is there; what is not is said by `ability_no` and
 * `ability_partly`. All three cut what is too long. */
void ability_yes(struct box_ability *a, const char *fmt, ...) printf_like(2, 3);
void ability_partly(struct box_ability *a, const char *fmt, ...) printf_like(2, 3);
void ability_no(struct box_ability *a, const char *fmt, ...) printf_like(2, 3);
void ability_follows(struct box_ability *a, const char *fmt, ...) printf_like(2, 3);
void ability_get(struct box_ability *a, const char *fmt, ...) printf_like(2, 3);

/* One box as boxes are made here, with one thing in it that is to be seen. */
struct doctor_box {
	const char *executor;
	enum box_ids ids;
	enum box_net net;
	unsigned loosen;
	bool on_disk;       /* a root with an upper in doctor.dir */
	bool probe;         /* as an orchestrator opens a sandbox: says best what is missing */
	const char *script; /* for the shell, to exit with 0; NULL: nothing is done in it */
};

/* doctor_box(d, how, facts, e): make it, run what is to be run, wait. 0 if it ran; facts, without
 * the texts that are for on_end only, may be NULL. */
int doctor_box(struct doctor *d, const struct doctor_box *how, struct box_facts *facts,
	       struct err *e) must_check;
/* doctor_able(d, e, words...): assay-box able WORD…, up to NULL. */
int doctor_able(const struct doctor *d, struct err *e, ...) must_check __attribute__((sentinel));
/* doctor_place(d, e): the path of a new empty directory in doctor.dir; the caller frees it. NULL
 * with e. */
char *doctor_place(struct doctor *d, struct err *e) must_check;

/* In probe.c. What commonly forbids an ordinary user's namespaces and is so here, and the way out
 * of it; or NULL. */
const char *probe_hint_found(void);

/* In doctor_box.c */
void doctor_native(struct doctor *d, struct box_ability *a);
void doctor_ids(struct doctor *d, struct box_ability *a);
void doctor_nat(struct doctor *d, struct box_ability *a);
void doctor_executor(struct doctor *d, struct box_ability *a); /* the one a->name ends in */
void doctor_loosening(struct doctor *d, struct box_ability *a);

/* In doctor_mounts.c */
void doctor_overlay_memory(struct doctor *d, struct box_ability *a);
void doctor_overlay_disk(struct doctor *d, struct box_ability *a);
void doctor_overlay_lower(struct doctor *d, struct box_ability *a);
void doctor_overlay_upper(struct doctor *d, struct box_ability *a);
void doctor_layers(struct doctor *d, struct box_ability *a);
void doctor_fuse_overlayfs(struct doctor *d, struct box_ability *a);
void doctor_idmap(struct doctor *d, struct box_ability *a);
void doctor_quota(struct doctor *d, struct box_ability *a);

/* In doctor_kernel.c */
void doctor_kernel(struct doctor *d, struct box_ability *a);
void doctor_user_namespaces(struct doctor *d, struct box_ability *a);
void doctor_namespaces(struct doctor *d, struct box_ability *a);
void doctor_seccomp(struct doctor *d, struct box_ability *a);
void doctor_landlock(struct doctor *d, struct box_ability *a);
void doctor_pressure(struct doctor *d, struct box_ability *a);

/* In doctor_cgroup.c */
void doctor_cgroup(struct doctor *d, struct box_ability *a);
void doctor_cgroup_birth(struct doctor *d, struct box_ability *a);
void doctor_cgroup_kill(struct doctor *d, struct box_ability *a);
