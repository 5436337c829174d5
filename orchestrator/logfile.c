#include "orchestrator/logfile.h"

#include "base/dir.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <zstd.h>

struct stream {
	int fd;
	ZSTD_DCtx *z;
};

static void stream_close(struct stream *s)
{
	own_close(&s->fd);
	ZSTD_freeDCtx(s->z);
}

/* One piece of the file through `each`. 1 go on, 0 enough, -1. */
static int stream_piece(struct stream *s, ZSTD_inBuffer *in,
			bool (*each)(void *ctx, const char *p, size_t n), void *ctx, struct err *e)
{
	char out[1 << 16];
	ZSTD_outBuffer o;
	do {
		o = (ZSTD_outBuffer){out, sizeof(out), 0};
		size_t left = ZSTD_decompressStream(s->z, &o, in);
		if (ZSTD_isError(left))
			return err_set(e, ERR_CORRUPT, "decompress: %s", ZSTD_getErrorName(left));
		if (o.pos && !each(ctx, out, o.pos))
			return 0;
	} while (in->pos < in->size || o.pos == o.size);
	return 1;
}

static int stream_read(struct stream *s, bool (*each)(void *ctx, const char *p, size_t n),
		       void *ctx, struct err *e)
{
	char bytes[1 << 16];
	for (;;) {
		ssize_t n = read(s->fd, bytes, sizeof(bytes));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(e, "read");
		if (!n)
			return 0;
		ZSTD_inBuffer in = {bytes, (size_t)n, 0};
		int rc = stream_piece(s, &in, each, ctx, e);
		if (rc <= 0)
			return rc;
	}
}

int logfile_read(int dirfd, const char *rel, bool (*each)(void *ctx, const char *p, size_t n),
		 void *ctx, struct err *e)
{
	struct stream s = {.fd = dir_open_beneath(dirfd, rel, O_RDONLY, 0)};
	if (s.fd < 0 && errno == ENOENT)
		return err_set(e, ERR_ABSENT, "log %s is not there any more", rel);
	if (s.fd < 0)
		return err_sys(e, "open log %s", rel);
	s.z = ZSTD_createDCtx();
	if (!s.z)
		abort();
	int rc = stream_read(&s, each, ctx, e);
	stream_close(&s);
	return rc ? err_add(e, "log %s", rel) : 0;
}

struct recall {
	struct text head;
	char *ring; /* the last CAPTURE_TAIL bytes behind the head */
	uint64_t ring_n, total;
};

static bool recall_piece(void *ctx, const char *p, size_t n)
{
	struct recall *r = ctx;
	size_t room = CAPTURE_TAIL - r->head.n, head = n < room ? n : room;
	text_put(&r->head, p, head);
	r->total += n;
	for (p += head, n -= head; n;) {
		size_t at = (size_t)(r->ring_n % CAPTURE_TAIL), to_end = CAPTURE_TAIL - at;
		size_t take = n < to_end ? n : to_end;
		memcpy(r->ring + at, p, take);
		r->ring_n += take;
		p += take;
		n -= take;
	}
	return true;
}

int logfile_recall(int dirfd, const char *rel, struct capture_log *log, struct err *e)
{
	struct recall r = {.ring = own_alloc(CAPTURE_TAIL)};
	int rc = logfile_read(dirfd, rel, recall_piece, &r, e);
	size_t tail = r.ring_n < CAPTURE_TAIL ? (size_t)r.ring_n : CAPTURE_TAIL;
	size_t at = (size_t)((r.ring_n - tail) % CAPTURE_TAIL);
	size_t first = tail < CAPTURE_TAIL - at ? tail : CAPTURE_TAIL - at;
	*log = (struct capture_log){.kept = r.total,
				    .tail_at = r.head.n,
				    .tail_offset = r.total - tail};
	text_put(&r.head, r.ring + at, first);
	text_put(&r.head, r.ring, tail - first);
	free(r.ring);
	log->text_n = r.head.n;
	log->text = text_take(&r.head);
	if (!rc)
		return 0;
	free(log->text);
	log->text = NULL;
	return -1;
}
