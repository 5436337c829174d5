/* Whether what a trace of system calls shows would survive a power cut at any place in it: POSIX
 * promises only what was synced. A change of a file lasts from the next fsync(2) of it on, a change
 * of a directory's names from the next of that directory, and all of it from a syncfs(2).
 * fdatasync(2) does for bytes and sizes, not for modes and times.
 *
 *   1. What is renamed into layers/ or seg/ was synced, with all below it.
 *   2. Before a write to the database's log (assay.db-wal), which might commit what names them, all
 *      below layers/ and seg/ is synced, and so are the names of both.
 *   3. Nothing is removed from layers/ or seg/ while the log, which might say that it is needed no
 *      more, is not synced.
 *   4. Success is said when the log and all below layers/ and seg/ are synced.
 *   5. The log is removed when the database is synced. */
#pragma once
#include "base/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum order_what {
	ORDER_BYTES,    /* inode's bytes or size changed */
	ORDER_META,     /* its mode or times */
	ORDER_MAKE,     /* it got a name, path, in directory dir */
	ORDER_MOVE,     /* its name in `from_dir` became path in dir */
	ORDER_REMOVE,   /* the name path in dir is gone */
	ORDER_SYNC,     /* fsync of inode */
	ORDER_DATASYNC, /* fdatasync */
	ORDER_SYNCFS,   /* everything */
	ORDER_SAID,     /* success */
};

struct order_event {
	enum order_what what;
	uint64_t inode, dir, from_dir;
	bool is_new;  /* ORDER_MAKE: with this name it began to be */
	bool foreign; /* ORDER_MAKE of something that was made elsewhere: who knows whether it was
			 synced */
	char path[256], from[256]; /* relative to the state directory */
};

/* order_check(v, n, why): how many of the events break a rule; why gets a line for each. */
size_t order_check(const struct order_event *v, size_t n, struct text *why);
