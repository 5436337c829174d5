#include "cache/reader.h"
#include "cache/frame.h"
#include "cache/harvest.h"
#include "cache/record.h"
#include "cache/segment.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <zstd.h>

/* More than any harvest may hold in memory. */
#define READER_RECORD_MAX ((size_t)2 << 30)

static int reader_corrupt(struct reader *r, const char *what)
{
	const struct cache_frame *f = &r->frames[r->next ? r->next - 1 : 0];
	return err_set(&r->why, ERR_CORRUPT, "segment %06u, frame at %llu: %s",
		       (unsigned)f->segment, (unsigned long long)f->offset, what);
}

/* On to the next frame: 1, 0 there is none, -1. Its mark is left out: it is no part of what is
 * compressed. */
static int reader_frame(struct reader *r)
{
	char name[SEGMENT_NAME];
	struct frame_mark m;
	if (r->next == r->n_frames)
		return 0;
	const struct cache_frame *f = &r->frames[r->next++];
	if (r->fd < 0 || r->frames[r->next > 1 ? r->next - 2 : 0].segment != f->segment) {
		segment_name(f->segment, name);
		own_close(&r->fd);
		r->fd = r->c->seg_fd < 0 ? -1
					 : tree_open(r->c->seg_fd, name, O_RDONLY | O_NONBLOCK);
		if (r->fd < 0 && (r->c->seg_fd < 0 || errno == ENOENT))
			return reader_corrupt(r, "the segment is gone");
		if (r->fd < 0)
			return err_sys(&r->why, "open segment %s", name);
	}
	r->at = f->offset;
	r->left = f->bytes;
	if (frame_mark_behind(r->fd, f, &m, &r->why) < 0)
		return -1;
	r->left -= m.size;
	r->open = true;
	return 1;
}

static int reader_fill(struct reader *r)
{
	size_t n = r->left < ZSTD_DStreamInSize() ? (size_t)r->left : ZSTD_DStreamInSize();
	ssize_t got = frame_read(r->fd, r->in, n, r->at);
	if (got < 0)
		return err_sys(&r->why, "read segment %06u",
			       (unsigned)r->frames[r->next - 1].segment);
	if (!got)
		return reader_corrupt(r, "it is cut short");
	r->in_at = 0;
	r->in_n = (size_t)got;
	r->at += (uint64_t)got;
	r->left -= (uint64_t)got;
	return 0;
}

/* Some bytes of what the frames hold; 0 the end. */
static la_ssize_t reader_inflate(struct reader *r)
{
	for (;;) {
		if (!r->open && r->in_at == r->in_n && !r->left) {
			int more = reader_frame(r);
			if (more <= 0)
				return more;
		}
		if (r->in_at == r->in_n && reader_fill(r))
			return -1;
		ZSTD_inBuffer in = {r->in, r->in_n, r->in_at};
		ZSTD_outBuffer out = {r->out, ZSTD_DStreamOutSize(), 0};
		size_t left = ZSTD_decompressStream(r->z, &out, &in);
		if (ZSTD_isError(left))
			return reader_corrupt(r, ZSTD_getErrorName(left));
		r->in_at = in.pos;
		r->open = left != 0;
		if (!r->open && (r->in_at < r->in_n || r->left))
			return reader_corrupt(r, "bytes behind its end");
		if (out.pos)
			return (la_ssize_t)out.pos;
	}
}

static la_ssize_t reader_on_read(struct archive *a, void *arg, const void **bytes)
{
	struct reader *r = arg;
	la_ssize_t n = reader_inflate(r);
	*bytes = r->out;
	if (n < 0)
		archive_set_error(a, EIO, "%s", r->why.text);
	return n;
}

int reader_failed(struct reader *r, struct err *e)
{
	if (r->why.kind != ERR_NONE) {
		*e = r->why;
		return -1;
	}
	const char *why = archive_error_string(r->a);
	reader_corrupt(r, why ? why : "not the tar entries it should hold");
	*e = r->why;
	return -1;
}

int reader_open(struct reader *r, struct cache *c, const struct cache_frame *frames, size_t n,
		struct err *e)
{
	*r = (struct reader){.c = c, .frames = frames, .n_frames = n, .fd = -1};
	r->charset = charset_enter();
	r->a = archive_read_new();
	r->z = ZSTD_createDCtx();
	if (!r->a || !r->z)
		abort();
	r->in = own_alloc(ZSTD_DStreamInSize());
	r->out = own_alloc(ZSTD_DStreamOutSize());
	if (!n)
		return err_set(e, ERR_CORRUPT, "a publish without a frame");
	if (archive_read_support_format_tar(r->a) != ARCHIVE_OK ||
	    archive_read_open(r->a, r, NULL, reader_on_read, NULL) != ARCHIVE_OK)
		return reader_failed(r, e);
	return 0;
}

void reader_close(struct reader *r)
{
	archive_read_free(r->a);
	ZSTD_freeDCtx(r->z);
	free(r->in);
	free(r->out);
	own_close(&r->fd);
	charset_leave(&r->charset);
}

int reader_next(struct reader *r, struct archive_entry **entry, struct err *e)
{
	for (;;) {
		int got = archive_read_next_header(r->a, entry);
		if (got == ARCHIVE_EOF)
			return r->why.kind == ERR_NONE ? 0 : reader_failed(r, e);
		if (got == ARCHIVE_RETRY)
			continue;
		return got < ARCHIVE_WARN ? reader_failed(r, e) : 1;
	}
}

ssize_t reader_data(struct reader *r, void *p, size_t n, struct err *e)
{
	for (;;) {
		la_ssize_t got = archive_read_data(r->a, p, n);
		if (got == ARCHIVE_RETRY)
			continue;
		return got < 0 ? reader_failed(r, e) : (ssize_t)got;
	}
}

static bool reader_is_record(struct archive_entry *entry)
{
	static const char ours[] = HARVEST_OURS "/";
	const char *path = archive_entry_pathname(entry);
	return path && !strncmp(path, ours, sizeof(ours) - 1) &&
	       archive_entry_filetype(entry) == AE_IFREG;
}

int reader_record(struct reader *r, struct cache_record *record, struct err *e)
{
	struct archive_entry *entry;
	auto_text struct text t = TEXT_INIT;
	auto_free char *buffer = own_alloc(65536);
	char id[CACHE_ID];
	*record = (struct cache_record){0};
	int got = reader_next(r, &entry, e);
	if (got < 0)
		return -1;
	if (!got || !reader_is_record(entry)) {
		reader_corrupt(r, "it does not begin with a record");
		return reader_failed(r, e);
	}
	for (ssize_t n; (n = reader_data(r, buffer, 65536, e));) {
		if (n < 0)
			return -1;
		text_put(&t, buffer, (size_t)n);
		if (t.n > READER_RECORD_MAX) {
			reader_corrupt(r, "its record is larger than any");
			return reader_failed(r, e);
		}
	}
	cache_digest(t.p, t.n, id);
	if (r->frames->record[0] && strcmp(r->frames->record, id)) {
		reader_corrupt(r, "its record has other bytes");
		return reader_failed(r, e);
	}
	if (record_parse(text_str(&t), t.n, record, e))
		return err_add(e, "segment %06u, frame at %llu", (unsigned)r->frames->segment,
			       (unsigned long long)r->frames->offset);
	record->frames = own_calloc(r->n_frames, sizeof(*record->frames));
	memcpy(record->frames, r->frames, r->n_frames * sizeof(*r->frames));
	record->n_frames = r->n_frames;
	return 0;
}

void reader_record_fini(struct cache_record *record)
{
	record_fini(record);
	free(record->frames);
	*record = (struct cache_record){0};
}
