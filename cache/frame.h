/* Where a segment's frames begin and end, and the mark behind each: what can be known of a segment
 * without its database and without decompressing it. Any thread. */
#pragma once
#include "cache/sum.h"

#include <sys/types.h>

/* A mark is a skippable frame (RFC 8878, 3.1.2), which every zstd reader passes over. It says what
 * nothing inside a frame could say of itself, because jobs decide what is inside. Integers are
 * little-endian:
 *   4  0x184D2A5A, skippable frame
 *   4  120, what follows
 *   8  "assayfrm"
 *   4  2, the version
 *   4  flags: 1 the last part of its publish
 *   4  part, counted from 0
 *   4  0
 *   8  bytes of the frame before it
 *  16  their XXH3 with 128 bits, as xxh128sum prints it
 *  32  SHA-256 of the record; 0 but in part 0
 *  32  what is published: the layer's digest
 *   8  the first bytes of the SHA-256 of all of the above
 *
 * Version 1, which stays readable, has 104 in the place of 120, and the frame's SHA-256 in that of
 * both digests. */
#define FRAME_MARK ((size_t)128)

struct frame_mark {
	size_t size; /* the mark's own */
	bool last;
	uint32_t part;
	uint64_t bytes;
	char digest[CACHE_SUM];
	char record[CACHE_ID]; /* "": not said */
	char id[CACHE_ID];
};
/* frame_mark_write(m, out): always of version 2; m's size is not asked. */
void frame_mark_write(const struct frame_mark *m, unsigned char out[FRAME_MARK]);
/* frame_mark_read(p, n, m): 0, or -1 where the n bytes do not begin with a whole mark of a version
 * we know. */
int frame_mark_read(const void *p, size_t n, struct frame_mark *m) must_check;
/* frame_mark_newer(p, n): a whole mark, as its first and last bytes say, of no version we know. A
 * program that took it for the end of what is good would cut off what follows. */
bool frame_mark_newer(const void *p, size_t n) must_check;

/* frame_measure(fd, at, end, bytes, e): the zstd frame that begins at `at` and ends at or before
 * `end`, by its block headers (RFC 8878, 3.1.1). 1 and its length; 0 there is no whole one; -1. */
int frame_measure(int fd, uint64_t at, uint64_t end, uint64_t *bytes, struct err *e) must_check;
/* frame_find_mark(fd, at, end, m, e): the mark that begins at `at` and ends at or before `end`. 1,
 * 0, -1. */
int frame_find_mark(int fd, uint64_t at, uint64_t end, struct frame_mark *m, struct err *e)
	must_check;
/* frame_mark_behind(fd, f, m, e): the mark that f ends with; 1, or 0 and m's size is 0; -1. */
int frame_mark_behind(int fd, const struct cache_frame *f, struct frame_mark *m, struct err *e)
	must_check;
/* frame_digest(fd, at, n, kind, digest, e): of n bytes from `at` on. 1; 0 the file ends before; -1.
 */
int frame_digest(int fd, uint64_t at, uint64_t n, enum sum_kind kind, char digest[CACHE_SUM],
		 struct err *e) must_check;
/* frame_read(fd, p, n, at): n bytes, fewer only at the file's end. Their number, or -1 with errno.
 */
ssize_t frame_read(int fd, void *p, size_t n, uint64_t at) must_check;
