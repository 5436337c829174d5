/* What the rooms of suite_*.c share: words checked one by one, and the parts a suite is put
 * together from. Private to them. */
#pragma once
#include "base/text.h"
#include "orchestrator/suite.h"
#include "orchestrator/suite_doc.h"
#include "orchestrator/suite_format.h"

/* ---- words (suite_words.c): 0, or -1 with ERR_INPUT at the node ---- */

/* A file of the engine is called ID.VARIANT.PHASE.offline.log.zst; a name has 255 bytes at most. */
#define WORD_NAME_MAX 48
#define WORD_ID_MAX 140
#define WORD_ARG_MAX 131071 /* one string of execve(2), MAX_ARG_STRLEN without the NUL */

/* Letters, digits, '.', '_', '-'; neither '.' nor '-' first; at most max bytes. */
int word_name(const struct doc_node *n, const char *what, size_t max, struct err *e) must_check;
/* Something people read: not empty, no control characters, at most max bytes. */
int word_line(const struct doc_node *n, const char *what, size_t max, struct err *e) must_check;
/* A path inside the boxes: absolute, normalised. */
int word_path(const struct doc_node *n, const char *what, struct err *e) must_check;
/* A path below /input: relative, normalised. */
int word_relative(const struct doc_node *n, const char *what, struct err *e) must_check;
/* A rule's glob (cache/cache.h). */
int word_glob(const struct doc_node *n, struct err *e) must_check;
int word_env_name(const struct doc_node *n, struct err *e) must_check;
/* Which entry of a list whose entries begin with their name has n's? */
int word_lookup(const struct doc_node *n, const char *what, const void *list, size_t count,
		size_t size, size_t *index, struct err *e) must_check;
/* Can the file `path`, which n names, be read? "what PATH: why not" */
int word_file(const struct doc_node *n, const char *what, const char *path, struct err *e)
	must_check;
/* Is `path` the same as `in` or below it? */
bool word_inside(const char *path, const char *in);

/* word_host_dir(n, e): the absolute path of the directory that n names relative to its file; the
 * caller frees it. NULL: there is none. */
char *word_host_dir(const struct doc_node *n, struct err *e) must_check;
/* word_host_path(n, bytes, e): the same for a directory or a regular file; *bytes is the file's
 * size, UINT64_MAX for a directory. */
char *word_host_path(const struct doc_node *n, uint64_t *bytes, struct err *e) must_check;

/* ---- parts (suite_parts.c) ---- */

/* parts_env(node, env, n, e): node's names and values; a name that is there already gets the new
 * value. NULL: nothing. */
int parts_env(const struct doc_node *node, struct suite_env **env, size_t *n, struct err *e)
	must_check;
/* parts_limits(raw, to, e): the limits raw gives, the others stay. parts_limits_default: what holds
 * where nobody says anything. */
int parts_limits(const struct raw_limits *raw, struct suite_limits *to, struct err *e) must_check;
void parts_limits_default(struct suite_limits *l);
/* parts_rules(to, raw, e): raw's rules behind those that are there already. raw NULL: none. */
int parts_rules(struct suite_store *to, const struct raw_store *raw, struct err *e) must_check;
/* parts_layers(s, node, layers, n, e): names of layers (noted in s->layer_refs) and directories. */
int parts_layers(struct suite *s, const struct doc_node *node, char ***layers, size_t *n,
		 struct err *e) must_check;
char *parts_layer(struct suite *s, const struct doc_node *node, struct err *e) must_check;

/* ---- a suite from its files (suite_merge.c) ---- */

/* What was read, until the suite is done. */
struct draft {
	struct suite *suite;
	struct raw_file *ours, *base; /* base: the ecosystem, NULL: none */
	struct doc *docs;             /* all of them, by next */
	/* For each mount, store and phase of the suite: where each of the two files speaks of it,
	 * NULL where it doesn't. */
	struct draft_at {
		const struct doc_node *ours, *base;
	} * mount_at, *store_at, *phase_at;
};

/* The value of a key of something both files may speak of: the suite's if it gives one. NULL:
 * neither does. */
const struct doc_node *draft_get(const struct draft_at *at, const char *key);
/* Where it is spoken of. */
const struct doc_node *draft_place(const struct draft_at *at);

int draft_merge(struct draft *d, struct err *e) must_check;
/* draft_phases: part of draft_merge (suite_phases.c). */
int draft_phases(struct draft *d, struct err *e) must_check;

/* Two lists of one kind whose entries begin as struct raw_named: the base's in its order, each with
 * what refines it, then the new ones. */
struct pair {
	const void *ours, *base;
};
int merge_pairs(const char *what, const void *ours, size_t n_ours, const void *base, size_t n_base,
		size_t size, struct pair **pairs, size_t *n, struct err *e) must_check;

/* draft_known: suite->known (suite_known.c); its variants are there. */
int draft_known(struct draft *d, struct err *e) must_check;

/* draft_check: what only the whole can tell (suite_check.c). */
int draft_check(const struct draft *d, struct err *e) must_check;

/* ---- packages (suite_packages.c, suite_lister.c) ---- */

/* packages_read(d, digest, e): fill suite->packages. The texts that were read for them are added to
 * digest. */
int packages_read(struct draft *d, struct text *digest, struct err *e) must_check;
/* draft_doc(d, doc): doc lives as long as the draft. */
struct doc *draft_doc(struct draft *d, struct doc *doc);
/* draft_digest(digest, what, bytes, n): "what SHA-256\n". */
void draft_digest(struct text *digest, const char *what, const void *bytes, size_t n);

/* packages_from_file(node, e), packages_from_command(node, ms, e): the list that node names or
 * prints, unparsed. NULL with e. */
struct doc *packages_from_file(const struct doc_node *node, struct err *e) must_check;
struct doc *packages_from_command(const struct doc_node *node, uint64_t ms, struct err *e)
	must_check;
