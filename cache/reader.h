/* A publish read back from its frames. Its bytes may be damaged, or somebody's who wrote into the
 * state directory. One thread at a time. */
#pragma once
#include "cache/charset.h"
#include "cache/inner.h"

struct archive;
struct archive_entry;
struct ZSTD_DCtx_s;

struct reader {
	struct cache *c;
	const struct cache_frame *frames;
	size_t n_frames, next; /* the frame that is read after the current one */
	int fd;
	uint64_t at, left; /* of the current frame */
	bool open;         /* within one */
	struct archive *a;
	struct ZSTD_DCtx_s *z;
	unsigned char *in, *out;
	size_t in_at, in_n;
	struct charset charset;
	struct err why;
};

/* reader_open(r, c, frames, n, e): at the first entry; frames are borrowed. reader_close in both
 * cases. */
int reader_open(struct reader *r, struct cache *c, const struct cache_frame *frames, size_t n,
		struct err *e) must_check;
void reader_close(struct reader *r);
/* reader_next(r, entry, e): 1 and the next entry, borrowed; 0 the end; -1. */
int reader_next(struct reader *r, struct archive_entry **entry, struct err *e) must_check;
/* reader_data(r, p, n, e): up to n bytes of the entry's content; 0 at its end; -1. */
ssize_t reader_data(struct reader *r, void *p, size_t n, struct err *e) must_check;
/* reader_record(r, record, e): the first entry, which must be a publish's record, with the digest
 * that the first of r's frames says it has; its frames are a copy of r's. The caller calls
 * reader_record_fini. 0 or -1. */
int reader_record(struct reader *r, struct cache_record *record, struct err *e) must_check;
void reader_record_fini(struct cache_record *record);
/* reader_failed(r, e): what went wrong in libarchive or below it, as ERR_CORRUPT but where the
 * kernel said no. -1. */
int reader_failed(struct reader *r, struct err *e);
