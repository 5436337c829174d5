/* What rules leave to a program (CACHE_PROGRAM): a harvest's files of one rule are laid out below
 * tmp/, the caller's runner is asked about all of them at once, and what it left is read: as
 * hostile as an upper. One thread at a time for each harvest. */
#pragma once
#include "cache/content.h"
#include "cache/lower.h"

/* The largest file a program is shown, and that it makes; what it is shown at once: so many files,
 * so many bytes of them and of their paths; and what its results may be together. */
#define ASK_FILE ((size_t)16 << 20)
#define ASK_MOST ((size_t)10000)
#define ASK_BYTES ((uint64_t)1 << 30)
#define ASK_PATHS ((size_t)4 << 20)
#define ASK_HELD ((size_t)64 << 20)

/* ask_check(how, e): 0, or ERR_USAGE where a rule is a program's and there is nobody to run it. */
int ask_check(const struct cache_harvest *how, struct err *e) must_check;

/* ask_add(h, item, l, mine, e): the file h->v[item], whose bytes are mine, waits for an answer; l
 * is what the store has there: a file, or nothing. 0, and its word if it can't be asked about; -1.
 */
int ask_add(struct harvest *h, size_t item, const struct lower *l, const struct content *mine,
	    struct err *e) must_check;
/* ask_all(h, e): the whole upper was seen: ask, and give each file its word. Nothing was added:
 * nothing is done. 0 or -1. */
int ask_all(struct harvest *h, struct err *e) must_check;
/* ask_free(a): NULL is fine. What was laid out is gone. */
void ask_free(struct ask *a);
