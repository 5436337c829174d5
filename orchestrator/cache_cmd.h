/* assay cache: what its verbs have in common. Each verb is a function of cmd_cache_*.c. */
#pragma once
#include "orchestrator/options.h"
#include "orchestrator/state.h"
#include "orchestrator/table.h"

#include <jansson.h>

enum cache_level { CACHE_FRAMES, CACHE_ENTRIES, CACHE_LAYERS };

struct cache_args {
	struct options_common common;
	const char *verb;
	const char *words[3]; /* behind the verb */
	size_t n_words;
	bool dry_run, repair, pending;
	enum cache_level level;
	uint64_t keep;              /* generations; UINT64_MAX: not said */
	uint64_t age_ms;            /* 0: not said */
	uint64_t max_bytes;         /* UINT64_MAX: not said */
	const char *suite, *sha256; /* NULL: not given */
	struct cache_import how;
};

/* 0, -1 with e; 1: all went well, and what was found is bad news (exit status 1). */
typedef int (*cache_verb_fn)(const struct cache_args *a, struct err *e);

int cache_list(const struct cache_args *a, struct err *e) must_check;
int cache_show(const struct cache_args *a, struct err *e) must_check;
int cache_entries(const struct cache_args *a, struct err *e) must_check;
int cache_who(const struct cache_args *a, struct err *e) must_check;
int cache_diff(const struct cache_args *a, struct err *e) must_check;
int cache_kept(const struct cache_args *a, struct err *e) must_check;
int cache_rollback(const struct cache_args *a, struct err *e) must_check;
int cache_compact(const struct cache_args *a, struct err *e) must_check;
int cache_revoke(const struct cache_args *a, struct err *e) must_check;
int cache_collect(const struct cache_args *a, struct err *e) must_check;
int cache_export_cmd(const struct cache_args *a, struct err *e) must_check;
int cache_restore_cmd(const struct cache_args *a, struct err *e) must_check;
int cache_import_cmd(const struct cache_args *a, struct err *e) must_check;
int cache_publish_cmd(const struct cache_args *a, struct err *e) must_check;
int cache_verify(const struct cache_args *a, struct err *e) must_check;
int cache_rebuild(const struct cache_args *a, struct err *e) must_check;

/* assay cache refresh: a command line of its own. The exit status. */
int cmd_cache_refresh(int argc, char **argv);

/* cache_cmd_db(a, e): the database, for reading. */
struct db *cache_cmd_db(const struct cache_args *a, struct err *e) must_check;
/* cache_cmd_store(d, a, word, out, e): the store that is meant: `word`, else --store, else the only
 * one there is. The caller frees *out. */
int cache_cmd_store(struct db *d, const char *word, char **out, struct err *e) must_check;
/* cache_cmd_generation(d, word, out, e): the generation of that number, or the current one of the
 * store of that name. */
int cache_cmd_generation(struct db *d, const char *word, int64_t *out, struct err *e) must_check;
/* cache_cmd_ask(d, name, arg, out, e): a named query with one argument, or none (NULL). */
int cache_cmd_ask(struct db *d, const char *name, const char *arg, struct db_table **out,
		  struct err *e) must_check;

/* Columns of a table for people. */
struct cache_column {
	const char *column, *heading;
	enum { CACHE_TEXT, CACHE_NUMBER, CACHE_SIZE, CACHE_TIME, CACHE_SHORT, CACHE_MARK } kind;
};
/* cache_cmd_print(a, t, columns, n, none): the rows as JSON or as a table; `none` is said on stderr
 * where there are none. Frees t. */
void cache_cmd_print(const struct cache_args *a, struct db_table *t,
		     const struct cache_column *columns, size_t n, const char *none);
/* cache_cmd_list(a, d, name, args, n_args, columns, n, none, e): the same of a named query, row by
 * row as they come: however many there are, it takes memory for 4,096, as wide as which its columns
 * begin. 0, or -1 with some of them printed. */
int cache_cmd_list(const struct cache_args *a, struct db *d, const char *name,
		   const char *const *args, size_t n_args, const struct cache_column *columns,
		   size_t n, const char *none, struct err *e) must_check;
/* cache_cmd_element(to, indent, first, j): an element of an array whose elements are so far to the
 * right, as json_dumpf() writes it; the first opens the array. Frees j. */
void cache_cmd_element(FILE *to, int indent, bool first, json_t *j);
/* cache_cmd_json(j): printed and freed. */
void cache_cmd_json(json_t *j);

/* cache_cmd_progress(what, done, of): on a terminal, how far long work is; ends its line where done
 * is `of`. Any number of calls: it writes seldom. */
void cache_cmd_progress(const char *what, size_t done, size_t of);
