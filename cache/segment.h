/* The growing end of a store's archive: one publish, one frame or more. */
#pragma once
#include "cache/inner.h"
#include "cache/charset.h"
#include "cache/sum.h"
#include "base/text.h"

struct archive;
struct archive_entry;
struct ZSTD_CCtx_s;

struct segment {
	struct cache *c;
	int fd;
	char id[CACHE_ID]; /* what is published */
	uint32_t number;
	uint64_t start, bytes; /* where the frame begins; what it has so far */
	uint32_t first;        /* where the publish begins */
	uint64_t first_start;
	struct cache_frame *frames; /* those that are whole */
	size_t n_frames;
	struct archive *a;
	struct archive_entry *entry; /* the same one again and again */
	bool plain;                  /* the entry is written without libarchive */
	uint64_t left;               /* bytes of it that are still to come */
	size_t fill;                 /* and zeros behind them, up to a whole block */
	struct ZSTD_CCtx_s *z;
	struct sum sum;        /* of the frame's bytes */
	char record[CACHE_ID]; /* SHA-256 of the record */
	void *buffer;
	struct charset charset;
	struct err why; /* what went wrong inside libarchive's callback */
	bool lent;  /* the file is somebody else's: all frames go into it, and it is his to sync */
	bool ended; /* what libarchive still says is not part of the frame */
	bool kept;
};

/* segment_name(number, name): its file below seg/. segment_number(name): the number, 0 where the
 * name is not one of ours. */
#define SEGMENT_NAME 32
void segment_name(uint32_t number, char name[SEGMENT_NAME]);
uint32_t segment_number(const char *name);
/* segment_seal(c, number, e): nothing is written to it any more; absent is fine. */
int segment_seal(struct cache *c, uint32_t number, struct err *e) must_check;

/* segment_begin(s, c, id, e): frames about `id` at the end of the last segment, or the first of a
 * new one; those before are sealed. segment_over or segment_drop ends it in any case; unless its
 * frames are kept the file is cut to where the first began, and what was made new goes away. */
int segment_begin(struct segment *s, struct cache *c, const char *id, struct err *e) must_check;
/* segment_begin_in(s, c, id, number, fd, at, e): the same into a file that shall become that
 * segment, from where it stands, `at`; it is borrowed, and whoever lends it syncs and cuts it. */
int segment_begin_in(struct segment *s, struct cache *c, const char *id, uint32_t number, int fd,
		     uint64_t at, struct err *e) must_check;
/* segment_record(s, t, e): the first entry of all, the text that says what is published. */
int segment_record(struct segment *s, const struct text *t, struct err *e) must_check;
/* segment_add: the header of an entry; the x->size bytes of a file follow by segment_data. A frame
 * that has become long ends, between entries or within one, and another goes on. */
int segment_add(struct segment *s, const struct cache_entry *x, struct err *e) must_check;
int segment_data(struct segment *s, const void *bytes, size_t n, struct err *e) must_check;
/* segment_end(s, e): all frames are whole and durable; they are in s->frames. */
int segment_end(struct segment *s, struct err *e) must_check;
/* segment_over(s, rc, out): where rc, what became of all this, is 0, the frames are kept, and told
 * in out. Returns rc. segment_drop(s): they are not. */
int segment_over(struct segment *s, int rc, struct cache_published *out) must_check;
void segment_drop(struct segment *s);

/* segment_compressor(): zstd as segments and exports have it, for the caller to free. */
struct ZSTD_CCtx_s *segment_compressor(void) must_check;
