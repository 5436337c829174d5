/* Output of phases on its way to disk: bytes, not lines, so that one endless line costs what any
 * other bytes cost. Kept are the first `limit` bytes less the tail, and the last CAPTURE_TAIL; what
 * lies between is counted, and a line in the log says how much. The file is zstd frames (level 3)
 * one after another, each of them whole and with its checksum: one compressor serves all logs, and
 * what a log takes of memory is its head, its tail and what waits for the disk. What said nothing
 * has no file. Logs that end together are made durable together. Loop thread; compression and
 * writing happen on the lane. */
#pragma once
#include "base/err.h"
#include "orchestrator/lane.h"

#include <stdint.h>
#include <zstd.h>

#define CAPTURE_TAIL                                                                               \
	((size_t)256                                                                               \
	 << 10) /* also: how much of the beginning is kept in memory for the judgement */

struct capture;

/* Where logs go. Embedded; one thread's, but for what its lane does. */
struct capture_disk {
	struct lane lane;
	int dirfd;     /* borrowed */
	size_t queued; /* bytes of all logs that wait for it */
	/* lane side */
	ZSTD_CCtx *z;
	char *out;             /* room for one frame */
	struct capture *ended; /* written, not yet durable */
};
/* capture_disk_init(d, loop, dirfd): logs below dirfd. capture_disk_fini(d): no log is open; a
 * zeroed one is fine. */
void capture_disk_init(struct capture_disk *d, uv_loop_t *loop, int dirfd);
void capture_disk_fini(struct capture_disk *d);

/* What became of it. */
struct capture_log {
	uint64_t kept;   /* bytes in the log, uncompressed, marker line included */
	uint64_t stored; /* size of the file, 0: there is none */
	char sha256[65]; /* of the file, "": there is none */
	/* Beginning and end of the log for the judgement: text is head, then tail; the tail's first
	 * byte is at tail_offset of the log and at tail_at of text (equal where nothing lies
	 * between). NUL-terminated. */
	char *text;
	size_t text_n, tail_at;
	uint64_t tail_offset;
	struct err err; /* kind ERR_NONE, or why the file is not whole */
};

/* capture_open(d, rel, limit, on_drain, owner): a new log file (made on the lane with its first
 * bytes; a failure shows at the end). limit 0: 16 MiB. on_drain is called when capture_full() was
 * true and no longer is. */
struct capture *capture_open(struct capture_disk *d, const char *rel, uint64_t limit,
			     void (*on_drain)(void *owner), void *owner) must_check;
void capture_write(struct capture *c, const void *bytes, size_t n);
/* capture_flush(c): what came so far can be read from the file before long. */
void capture_flush(struct capture *c);
/* capture_full(c): more than 128 KiB wait for the disk, or 2 MiB of all logs; stop reading for now.
 */
bool capture_full(const struct capture *c);
/* capture_finish(c, done): write the rest and make the file durable; then done(owner, log) once;
 * log and c are freed after it (take log->text to keep it). */
void capture_finish(struct capture *c, void (*done)(void *owner, struct capture_log *log));
