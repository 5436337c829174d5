/* The growing end of a store's archive: one publish, one frame. */
#pragma once
#include "cache/inner.h"
#include "cache/charset.h"
#include "cache/hash.h"

struct archive;
struct ZSTD_CCtx_s;

struct segment {
	struct cache *c;
	int fd;
	uint32_t number;
	uint64_t start, bytes; /* where the frame begins; what it has so far */
	struct archive *a;
	struct ZSTD_CCtx_s *z;
	struct hash hash; /* of the compressed bytes */
	void *buffer;
	struct charset charset;
	struct err why; /* what went wrong inside libarchive's callback */
	bool ended;     /* what libarchive still says is not part of the frame */
	bool kept;
};

/* segment_begin(s, c, e): a frame at the end of the last segment, or the first of a new one.
 * segment_drop ends it in any case; unless segment_keep was called the file is cut to where the
 * frame began (or goes away, if it was new). */
int segment_begin(struct segment *s, struct cache *c, struct err *e) must_check;
/* segment_add: the header of an entry; the x->size bytes of a file follow by segment_data. */
int segment_add(struct segment *s, const struct cache_entry *x, struct err *e) must_check;
int segment_data(struct segment *s, const void *bytes, size_t n, struct err *e) must_check;
/* segment_end(s, out, e): the frame is whole and durable; out's segment and frame_* are filled. */
int segment_end(struct segment *s, struct cache_published *out, struct err *e) must_check;
void segment_keep(struct segment *s);
void segment_drop(struct segment *s);
