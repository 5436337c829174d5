/* What a suite file says, once it was read and checked whole (suite_load): a frozen value. The
 * formats are in assay-suite(5). */
#pragma once
#include "base/err.h"
#include "base/pool.h"
#include "cache/cache.h"
#include "sandbox/sandbox.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct suite_env {
	char *name, *value;
};

struct suite_file {
	char *name; /* as it appears under /input in the boxes: one path component or more,
		       relative, normalised */
	char *path; /* on this machine, absolute */
};

/* There may be a million: id, name, version and where lie in the suite's `texts`. */
struct suite_package {
	char *id;             /* unique in the suite; may be name itself, which it defaults to */
	char *name, *version; /* version may be "" */
	uint64_t weight;      /* expected seconds; longer ones first; 0 unknown */
	struct suite_env *env;
	size_t n_env;
	struct suite_file *files;
	size_t n_files;
	uint32_t
		*depends; /* indexes into the suite's packages: this one begins when they are over,
			     whatever became of them; those of a cycle don't wait for one another */
	size_t n_depends;
	char *where; /* "file:line:column" */
};

struct suite_variant {
	char *name;
	char **layers; /* names of layers or absolute paths of directories; lowest last */
	size_t n_layers;
	struct suite_env *env;
	size_t n_env;
};

enum suite_mount_mode { SUITE_RO, SUITE_RW, SUITE_COW };
struct suite_mount {
	char *path;   /* inside */
	char *source; /* absolute directory or file on this machine; NULL: nothing below (cow:
			 starts empty) */
	bool file;    /* source is a regular file */
	enum suite_mount_mode mode;
};

struct suite_limits { /* 0: none */
	uint64_t time_ms, cpu_ms, silence_ms, idle_ms, memory, processes, disk, inodes, log,
		open_files, file_size, cpu_milli, grace_ms;
	uint64_t cpus; /* tokens a phase takes, at least 1 */
};

/* Of a rule that is CACHE_PROGRAM (program.h). */
struct suite_program {
	char *run; /* text for /bin/sh -ec; NULL: the rule is another */
	struct suite_limits limits;
};

struct suite_store {
	char *name, *path;
	struct cache_rule *rules;       /* match is owned */
	struct suite_program *programs; /* by rule */
	size_t n_rules;
	enum cache_deletions deletions;
	unsigned
		trust; /* so many packages must have brought something before it is shown; 0: one */
};

struct suite_phase {
	char *name, *run; /* run: text for /bin/sh -e -u -c? see suite(5): "/bin/sh -c" with set -e
			     in front is the ecosystem's business */
	enum box_net network;
	unsigned loosen; /* enum box_loosen: what the suite and the phase allow */
	/* true: first with the network off and ASSAY_OFFLINE=1, where every store of the suite
	 * already has something; only if that does not exit 0, its upper is thrown away and the
	 * phase runs with its network. */
	bool offline_first;
	bool once_per_package; /* such phases come first in the list */
	bool goal;       /* exactly one, the last one that must pass; default: the last phase */
	size_t *harvest; /* indexes into stores */
	size_t n_harvest;
	char **layers; /* further tool layers for this phase, above the variant's */
	size_t n_layers;
	struct suite_env *env;
	size_t n_env;
	struct suite_limits limits; /* the suite's with this phase's own on top */
};

struct suite_log_rule {        /* may only refine within fail and crash; block: of a phase that
				  fetches */
	char *id;              /* "npm/3": the file's name and ordinal, or what the file says */
	char *match;           /* POSIX extended regular expression, matched line by line */
	char *phase;           /* NULL: any */
	char *status, *reason; /* "fail", "missing-dep" */
};

/* What is known of a package beforehand. */
enum suite_expect {
	SUITE_EXPECT_FAIL,  /* it does not pass: no news; that it does is */
	SUITE_EXPECT_FLAKY, /* it fails now and then: only what is confirmed is news */
	SUITE_EXPECT_SKIP,  /* it is not run */
};
#define SUITE_ANY_VARIANT ((size_t)-1)
struct suite_known {
	char *package;  /* an id or a name; there need not be one */
	size_t variant; /* index, or SUITE_ANY_VARIANT */
	enum suite_expect expect;
	char *reason, *link; /* link may be NULL */
	char *until;         /* the last day it holds, "2026-12-31"; NULL: for ever */
	char *where;         /* "file:line:column" */
};

/* A layer somewhere in the suite, by its name (directories are not among them). */
struct suite_layer_ref {
	char *name;
	char *where; /* "file:line:column" of the first place that names it */
};

struct suite {
	char *name, *path, *sha256; /* of suite and ecosystem texts and packages */
	char *ecosystem;            /* NULL: none */
	char *root;                 /* "host", a layer's name, or an absolute directory */
	bool root_is_host;
	char *home;    /* HOME in the boxes; default /root */
	char *workdir; /* where commands start; default /build */
	char **layers; /* below the variants' layers */
	size_t n_layers;
	char **inherit_env; /* names passed on from assay's own environment, where set */
	size_t n_inherit_env;
	struct suite_env *env;
	size_t n_env;
	struct suite_mount *mounts;
	size_t n_mounts;
	struct suite_store *stores;
	size_t n_stores;
	struct suite_phase *phases;
	size_t n_phases;
	struct suite_log_rule *log_rules;
	size_t n_log_rules;
	struct suite_variant *variants;
	size_t n_variants;
	struct suite_package *packages;
	size_t n_packages;
	struct pool texts; /* of packages */
	size_t compare[2]; /* indexes into variants */
	bool has_compare;
	struct suite_layer_ref
		*layer_refs; /* every layer that root, layers, a phase or a variant names, once */
	size_t n_layer_refs;
	struct suite_known *known;
	size_t n_known;
	uint64_t keep_layers; /* bytes of what phases leave that stay for later runs; UINT64_MAX:
				 not said */
};

/* suite_load(path, e): read, merge with its ecosystem, check. NULL with e; ERR_INPUT's text begins
 * "file:line:column: ". The caller frees it. Ecosystem NAME is looked for as ecosystems/NAME.yaml
 * beside the suite, in the directory above it, in $ASSAY_DATA, in the source tree the program runs
 * from, and in ASSAY_DATADIR; a name with a '/' is a path relative to the suite file. */
struct suite *suite_load(const char *path, struct err *e) must_check;
void suite_free(struct suite *s);
/* Parts of one that leave it: what they own. */
void suite_variant_fini(struct suite_variant *v);
void suite_known_fini(struct suite_known *k);

/* suite_against_itself(s, variant, e): that variant (NULL: the base of the comparison) and a second
 * one that is the same, NAME-again, are all it has, and are compared. What is known of that variant
 * holds for both. The digest is another: it is another suite. */
int suite_against_itself(struct suite *s, const char *variant, struct err *e) must_check;

const char *suite_expect_name(enum suite_expect x);
/* suite_known_of(s, package, variant): what is known of that package under that variant, both by
 * index; NULL: nothing. */
const struct suite_known *suite_known_of(const struct suite *s, size_t package, size_t variant);
/* suite_known_check(s, today, lenient, e): today is "2026-11-28". What is past its day is
 * ERR_INPUT, or where lenient a line on stderr. */
int suite_known_check(const struct suite *s, const char *today, bool lenient, struct err *e)
	must_check;
