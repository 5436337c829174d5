/* What a run of a suite will do: units in running order, and for each of their phases the box's
 * environment and mounts, still in symbols. `assay plan` prints this, the engine carries it out. A
 * frozen value; it borrows from the suite. Pure but for plan_make's question whether a layer is
 * known. */
#pragma once
#include "orchestrator/suite.h"

#define PLAN_NONE ((size_t)-1)

/* What runs in sequence. A package whose first phases are once-per: package has a trunk (those
 * phases, no variant) and a branch per variant (the other phases); a package without has branches
 * only, whose trunk is PLAN_NONE. */
struct plan_unit {
	size_t package; /* index into suite->packages */
	size_t variant; /* index into suite->variants; PLAN_NONE: a trunk */
	size_t trunk;   /* branches: index of their trunk in the plan's units, PLAN_NONE: none */
	size_t first_phase, end_phase; /* [first, end) of suite->phases; none behind the goal */
	bool spared; /* it was judged before, and runs only if its other side ends otherwise */
	bool judged; /* it has its result in this very run, and keeps it: only what of it is
			repeated runs, and what leads to that */
	bool afresh; /* nothing that earlier runs left is used: it is run to see what it does now */
};

/* A job that is known not to be worth running. */
struct plan_skip {
	size_t package, variant;
	const struct suite_known *why;
};

struct plan {
	const struct suite *suite;
	struct plan_unit *units; /* in running order: heaviest package first (0, unknown, may be the
				    heaviest), then as the suite lists them; a trunk before its
				    branches, the branches of a package side by side */
	size_t n_units;
	size_t n_jobs; /* branches that are to have a result */
	struct plan_skip *skips;
	size_t n_skips;
	bool partial; /* the suite has more packages */
};

/* plan_make(s, only, n_only, layer_known, ctx, e): only: package ids or names to keep (each must
 * match one: else ERR_USAGE), none: all. layer_known(ctx, name) is 1 for a known layer, 0, or -1
 * for its own trouble (e filled by it); NULL: every layer is taken as known. A missing layer:
 * ERR_INPUT at the place that names it. The caller frees it with plan_free. */
struct plan *plan_make(const struct suite *s, const char *const *only, size_t n_only,
		       int (*layer_known)(void *ctx, const char *name, struct err *e), void *ctx,
		       struct err *e) must_check;
void plan_free(struct plan *p);

/* It has a result already, and runs only if something of it is to be repeated. */
static inline bool plan_rests(const struct plan_unit *u)
{
	return u->spared || u->judged;
}

/* plan_keep(p, keep, ctx): only the jobs that keep says yes to, and the trunks they need;
 * branch stands where it stood in p->units. */
void plan_keep(struct plan *p, bool (*keep)(void *ctx, const struct plan_unit *branch), void *ctx);

/* plan_env(s, unit, phase, offline): the complete environment of the box of s->phases[phase]:
 * NULL-terminated "NAME=value" strings, later sources win: built-in (PATH HOME USER LANG TMPDIR),
 * inherited, suite, variant (not in trunks), package, phase, then ASSAY=1 ASSAY_ID ASSAY_PACKAGE
 * ASSAY_VERSION ASSAY_VARIANT ("" in trunks) ASSAY_PHASE ASSAY_OFFLINE (0|1). The caller frees it
 * with plan_env_free. */
char **plan_env(const struct suite *s, const struct plan_unit *unit, size_t phase, bool offline)
	must_check;
/* plan_env_program(s): that of the box of a rule's program: what the suite says for all boxes. */
char **plan_env_program(const struct suite *s) must_check;
void plan_env_free(char **env);

enum plan_from {
	PLAN_FROM_UPPER, /* the frozen upper that phase `index` of this job left for this mount */
	PLAN_FROM_LAYER, /* the layer or absolute directory `name` */
	PLAN_FROM_STORE, /* all layers of the current generation of suite->stores[index] */
	PLAN_FROM_DIR,   /* the host's directory `name` */
	PLAN_FROM_FILE,  /* the host's file `name` */
	PLAN_FROM_INPUT, /* the directory with the package's files */
};

struct plan_lower {
	enum plan_from from;
	size_t index;
	const char *name; /* borrowed */
};

struct plan_mount {
	const char *path; /* borrowed */
	enum box_mode mode;
	struct plan_lower *lowers; /* uppermost first */
	size_t n_lowers;
	size_t slot; /* BOX_COW: number of the mount's uppers, the same in every phase of the suite:
			0 for "/"; else, and for a single file, which is in the root's, PLAN_NONE */
	size_t store; /* index into suite->stores, PLAN_NONE */
	bool ours;    /* as struct box_mount's */
};

struct plan_mounts {
	struct plan_mount *mounts; /* "/" first, then by path */
	size_t n_mounts;
};

/* plan_mounts(s, unit, phase, out): what the box of s->phases[phase] sees. The uppers of earlier
 * phases are those of the unit's own earlier phases and of its trunk's, newest first. The caller
 * frees it with plan_mounts_fini. */
void plan_mounts(const struct suite *s, const struct plan_unit *unit, size_t phase,
		 struct plan_mounts *out);
void plan_mounts_fini(struct plan_mounts *m);

/* plan_store_key(s, store): "ECOSYSTEM/STORE" (the suite's name where it has no ecosystem): under
 * this name the database knows the store, so that suites of one ecosystem share it. The caller
 * frees it. */
char *plan_store_key(const struct suite *s, size_t store) must_check;
