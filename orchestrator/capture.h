/* A phase's output on its way to disk: bytes, not lines, so that one endless line costs what any
 * other bytes cost. Kept are the first `limit` bytes less the tail, and the last CAPTURE_TAIL; what
 * lies between is counted, and a line in the log says how much. The file is one zstd stream (level
 * 3). Loop thread; compression and writing happen on the lane. */
#pragma once
#include "base/err.h"
#include "orchestrator/lane.h"

#include <stdint.h>

#define CAPTURE_TAIL                                                                               \
	((size_t)256                                                                               \
	 << 10) /* also: how much of the beginning is kept in memory for the judgement */

struct capture;

/* What became of it. */
struct capture_log {
	uint64_t kept;   /* bytes in the log, uncompressed, marker line included */
	uint64_t stored; /* size of the file */
	char sha256[65]; /* of the file */
	/* Beginning and end of the log for the judgement: text is head, then tail; the tail's first
	 * byte is at tail_offset of the log and at tail_at of text (equal where nothing lies
	 * between). NUL-terminated. */
	char *text;
	size_t text_n, tail_at;
	uint64_t tail_offset;
	struct err err; /* kind ERR_NONE, or why the file is not whole */
};

/* capture_open(lane, dirfd, rel, limit, on_drain, owner): a new log file below dirfd (made on the
 * lane; a failure shows at the end). limit 0: 16 MiB. on_drain is called when capture_full() was
 * true and no longer is. */
struct capture *capture_open(struct lane *lane, int dirfd, const char *rel, uint64_t limit,
			     void (*on_drain)(void *owner), void *owner) must_check;
void capture_write(struct capture *c, const void *bytes, size_t n);
/* capture_flush(c): what came so far can be read from the file before long. */
void capture_flush(struct capture *c);
/* capture_full(c): more than 1 MiB waits for the disk; stop reading for now. */
bool capture_full(const struct capture *c);
/* capture_finish(c, done): write the rest and make the file durable; then done(owner, log) once;
 * log and c are freed after it (take log->text to keep it). */
void capture_finish(struct capture *c, void (*done)(void *owner, struct capture_log *log));
