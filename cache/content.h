/* One reading of a hostile file: its digests, whether the store has the same bytes, and the bytes
 * themselves where they are few. */
#pragma once
#include "cache/hash.h"
#include "base/text.h"

#include <sys/stat.h>

struct content_reader {
	struct hash sha256;
	char *mine, *theirs; /* buffers */
};
int content_open(struct content_reader *r, struct err *e) must_check;
void content_close(struct content_reader *r);

struct content {
	char sha256[CACHE_ID];
	char other[HASH_HEX]; /* by `algo`, if that was asked for */
	bool same;            /* the lower's bytes are these */
	bool kept;
	char *bytes; /* kept: all size bytes and a NUL, the caller's to free */
};
/* content_read(r, fd, st, algo, lower_fd, keep, out, e): read fd, which is hoped to be the regular
 * file that st was seen of before it was opened. algo: another digest to make or NULL; lower_fd:
 * what to compare with or -1; keep: whether the bytes are wanted. 1 read, 0 it changed while it was
 * read, -1. */
int content_read(struct content_reader *r, int fd, const struct stat *st, const char *algo,
		 int lower_fd, bool keep, struct content *out, struct err *e) must_check;
