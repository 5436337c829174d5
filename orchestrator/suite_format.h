/* The formats of suite, ecosystem and package as tables for libcyaml, and what libcyaml makes of a
 * file by them: typed, every key known, not yet judged. Private to suite_*.c.
 *
 * Each mapping's struct begins with `at`, its place in the tree, which libcyaml does not know and
 * format_load fills in. The tables are also what format_check compares a tree with, to say what is
 * wrong and where before libcyaml sees it. Keys that libcyaml cannot type (env and files have keys
 * of any name, packages mixes texts and mappings) are read from the tree. */
#pragma once
#include "orchestrator/suite.h"
#include "orchestrator/suite_doc.h"

#include <cyaml/cyaml.h>

struct raw_limits {
	const struct doc_node *at;
	/* as written */
	char *time, *cpu, *silence, *idle, *memory, *processes, *disk, *inodes, *log, *open_files,
		*file_size, *cpu_quota, *grace, *cpus;
};

/* What has a name by which a suite refines what its ecosystem says begins like this. */
struct raw_named {
	const struct doc_node *at;
	char *name;
};

struct raw_mount {
	const struct doc_node *at;
	char *path, *source;
	enum suite_mount_mode mode;
};

struct raw_rule {
	const struct doc_node *at;
	char *match;
	enum cache_do what;
	char *run;
	struct raw_limits limits;
};

struct raw_store {
	const struct doc_node *at;
	char *name, *path;
	struct raw_rule *rules;
	size_t n_rules;
	enum cache_deletions deletions;
	uint64_t trust;
};

struct raw_phase {
	const struct doc_node *at;
	char *name, *run;
	enum box_net network;
	bool offline_first, once_per_package, goal;
	char **harvest, **layers;
	size_t n_harvest, n_layers;
	char **allow;
	size_t n_allow;
	struct raw_limits limits;
};

struct raw_log_rule {
	const struct doc_node *at;
	char *id, *match, *phase, *reason;
};

struct raw_variant {
	const struct doc_node *at;
	char *name;
	char **layers;
	size_t n_layers;
};

struct raw_known {
	const struct doc_node *at;
	char *package, *variant, *reason, *link, *until;
	enum suite_expect expect;
};

struct raw_file {
	const struct doc_node *at;
	uint64_t assay;
	char *suite, *use, *keep_layers; /* a suite */
	char *ecosystem;                 /* an ecosystem */
	char *root, *home, *workdir;
	char **layers, **inherit_env, **allow;
	size_t n_layers, n_inherit_env, n_allow;
	struct raw_mount *mounts;
	size_t n_mounts;
	struct raw_store *stores;
	size_t n_stores;
	struct raw_limits limits;
	struct raw_phase *phases;
	size_t n_phases;
	struct raw_log_rule *log_rules;
	size_t n_log_rules;
	struct raw_variant *variants;
	size_t n_variants;
	struct raw_known *known;
	size_t n_known;
	char **compare;
	size_t n_compare;
};

enum format { FORMAT_SUITE, FORMAT_ECOSYSTEM };

/* format_load(d, which, e): what d->root says, or NULL. Freed with format_free before d is. */
struct raw_file *format_load(const struct doc *d, enum format which, struct err *e) must_check;
void format_free(struct raw_file *f, enum format which);

/* The mappings a package can be: a package, {file: …} or {command: …}. Checked only, for they may
 * come from JSON. */
extern const cyaml_schema_field_t format_package[], format_file[], format_command[];
/* format_check(fields, node, what, e): node is a mapping with these keys and no others, each of its
 * type. what: "a phase". */
int format_check(const cyaml_schema_field_t *fields, const struct doc_node *node, const char *what,
		 struct err *e) must_check;
