#include "orchestrator/capture.h"

#include "base/dir.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <string.h>

#define CAPTURE_CHUNK ((size_t)64 << 10)
#define CAPTURE_QUEUE ((size_t)128 << 10)
#define CAPTURE_QUEUES ((size_t)2 << 20)

struct capture {
	struct capture_disk *disk;
	char *rel;
	void (*on_drain)(void *owner);
	void (*on_done)(void *owner, struct capture_log *log);
	void *owner;
	/* loop side */
	uint64_t head_max, head_n, total; /* bytes that may go, and went, to the head; all bytes */
	struct text first;          /* the head's first CAPTURE_TAIL bytes, for the judgement */
	char *ring;                 /* the last CAPTURE_TAIL bytes of what did not go to the head */
	uint64_t ring_n;            /* bytes ever put into the ring */
	struct capture_chunk *open; /* being filled */
	size_t queued;
	bool was_full;
	/* lane side */
	int fd;
	EVP_MD_CTX *hash;
	uint64_t stored;
	struct err err;
	struct capture *next; /* in the disk's list of those that ended */
};

struct capture_chunk {
	struct lane_task task;
	struct capture *c;
	size_t n;
	bool last;
	char bytes[];
};

/* ---- the disk ---- */

/* Lane, after the work of what was taken together. */
static int disk_settle(void *owner, struct err *e)
{
	struct capture_disk *d = owner;
	(void)e; /* each log has its own */
	for (struct capture *c = d->ended; c; c = c->next)
		if (fsync(c->fd))
			err_sys(&c->err, "sync log %s", c->rel);
	bool named = !d->ended || !fsync(d->dirfd);
	for (struct capture *c = d->ended; c; c = c->next)
		if (!named && !c->err.kind)
			err_sys(&c->err, "sync the directory of log %s", c->rel);
	d->ended = NULL;
	return 0;
}

void capture_disk_init(struct capture_disk *d, uv_loop_t *loop, int dirfd)
{
	static const struct lane_group group = {NULL, disk_settle, 64};
	*d = (struct capture_disk){.dirfd = dirfd,
				   .z = ZSTD_createCCtx(),
				   .out = own_alloc(ZSTD_compressBound(CAPTURE_CHUNK))};
	if (!d->z)
		abort();
	ZSTD_CCtx_setParameter(d->z, ZSTD_c_compressionLevel, 3);
	ZSTD_CCtx_setParameter(d->z, ZSTD_c_checksumFlag, 1);
	lane_init(&d->lane, loop);
	lane_group(&d->lane, &group, d);
}

void capture_disk_fini(struct capture_disk *d)
{
	ZSTD_freeCCtx(d->z);
	free(d->out);
}

/* ---- a log ---- */

struct capture *capture_open(struct capture_disk *d, const char *rel, uint64_t limit,
			     void (*on_drain)(void *owner), void *owner)
{
	struct capture *c = own_calloc(1, sizeof(*c));
	c->disk = d;
	c->rel = own_dup(rel);
	c->on_drain = on_drain;
	c->owner = owner;
	if (!limit)
		limit = (uint64_t)16 << 20;
	c->head_max = limit > 2 * CAPTURE_TAIL ? limit - CAPTURE_TAIL : limit / 2;
	c->fd = -1;
	return c;
}

/* Lane: open on first use; after an error nothing more is tried. */
static void capture_begin(struct capture *c)
{
	if (c->fd >= 0 || c->err.kind)
		return;
	c->fd = dir_open_beneath(c->disk->dirfd, c->rel, O_WRONLY | O_CREAT | O_EXCL, 0644);
	if (c->fd < 0) {
		err_sys(&c->err, "create log %s", c->rel);
		return;
	}
	c->hash = EVP_MD_CTX_new();
	if (!c->hash || !EVP_DigestInit_ex(c->hash, EVP_sha256(), NULL))
		abort();
}

/* One frame more. */
static void capture_store(struct capture *c, const void *bytes, size_t n)
{
	struct capture_disk *d = c->disk;
	capture_begin(c);
	if (c->err.kind)
		return;
	size_t size = ZSTD_compress2(d->z, d->out, ZSTD_compressBound(CAPTURE_CHUNK), bytes, n);
	if (ZSTD_isError(size)) {
		err_set(&c->err, ERR_CORRUPT, "compress log %s: %s", c->rel,
			ZSTD_getErrorName(size));
		return;
	}
	if (dir_write_all(c->fd, d->out, size)) {
		err_sys(&c->err, "write log %s", c->rel);
		return;
	}
	EVP_DigestUpdate(c->hash, d->out, size);
	c->stored += size;
}

static void capture_chunk_work(struct lane_task *t)
{
	struct capture_chunk *k = (struct capture_chunk *)t;
	struct capture *c = k->c;
	if (k->n)
		capture_store(c, k->bytes, k->n);
	if (!k->last || c->err.kind || c->fd < 0)
		return;
	c->next = c->disk->ended;
	c->disk->ended = c;
}

static void capture_end(struct capture *c);

static void capture_chunk_done(struct lane_task *t)
{
	struct capture_chunk *k = (struct capture_chunk *)t;
	struct capture *c = k->c;
	bool last = k->last;
	c->queued -= k->n;
	c->disk->queued -= k->n;
	free(k);
	if (last) {
		capture_end(c);
	} else if (c->was_full && c->queued < CAPTURE_QUEUE / 2) {
		c->was_full = false;
		c->on_drain(c->owner);
	}
}

static void capture_push(struct capture *c, bool last)
{
	struct capture_chunk *k = c->open;
	if (!k)
		return;
	c->open = NULL;
	k->last = last;
	lane_push(&c->disk->lane, &k->task);
}

/* Bytes for the file, in chunks of their own memory. */
static void capture_feed(struct capture *c, const char *p, size_t n)
{
	while (n) {
		if (!c->open) {
			c->open = own_alloc(sizeof(*c->open) + CAPTURE_CHUNK);
			*c->open = (struct capture_chunk){.task = {.work = capture_chunk_work,
								   .done = capture_chunk_done},
							  .c = c};
		}
		size_t room = CAPTURE_CHUNK - c->open->n, take = n < room ? n : room;
		memcpy(c->open->bytes + c->open->n, p, take);
		c->open->n += take;
		c->queued += take;
		c->disk->queued += take;
		p += take;
		n -= take;
		if (c->open->n == CAPTURE_CHUNK)
			capture_push(c, false);
	}
	/* One that has nothing on its way would never be told to go on. */
	if (c->queued > CAPTURE_QUEUE ||
	    (c->disk->queued > CAPTURE_QUEUES && c->queued > CAPTURE_CHUNK))
		c->was_full = true;
}

void capture_flush(struct capture *c)
{
	capture_push(c, false);
}

static void capture_ring(struct capture *c, const char *p, size_t n)
{
	if (!c->ring)
		c->ring = own_alloc(CAPTURE_TAIL);
	if (n > CAPTURE_TAIL) {
		c->ring_n += n - CAPTURE_TAIL;
		p += n - CAPTURE_TAIL;
		n = CAPTURE_TAIL;
	}
	size_t at = (size_t)(c->ring_n % CAPTURE_TAIL);
	size_t first = n < CAPTURE_TAIL - at ? n : CAPTURE_TAIL - at;
	memcpy(c->ring + at, p, first);
	memcpy(c->ring, p + first, n - first);
	c->ring_n += n;
}

void capture_write(struct capture *c, const void *bytes, size_t n)
{
	const char *p = bytes;
	c->total += n;
	size_t head = c->head_max - c->head_n < n ? (size_t)(c->head_max - c->head_n) : n;
	if (head) {
		size_t keep = CAPTURE_TAIL - c->first.n < head ? CAPTURE_TAIL - c->first.n : head;
		text_put(&c->first, p, keep);
		capture_feed(c, p, head);
		c->head_n += head;
		/* The head's own end is needed too, where nothing more comes. */
		if (head > keep)
			capture_ring(c, p + keep, head - keep);
		p += head;
		n -= head;
	}
	if (n)
		capture_ring(c, p, n);
}

bool capture_full(const struct capture *c)
{
	return c->was_full;
}

static size_t capture_ring_has(const struct capture *c, size_t n)
{
	size_t have = c->ring_n < CAPTURE_TAIL ? (size_t)c->ring_n : CAPTURE_TAIL;
	return n < have ? n : have;
}

/* The ring's last n bytes, which it has. */
static void capture_ring_tail(const struct capture *c, size_t n, struct text *out)
{
	size_t at = (size_t)((c->ring_n - n) % CAPTURE_TAIL);
	size_t first = n < CAPTURE_TAIL - at ? n : CAPTURE_TAIL - at;
	if (!n)
		return;
	text_put(out, c->ring + at, first);
	text_put(out, c->ring, n - first);
}

/* Loop: all of it is on disk (or never will be). */
static void capture_end(struct capture *c)
{
	struct capture_log log = {.stored = c->stored, .err = c->err};
	uint64_t past_head = c->total - c->head_n;
	uint64_t tail_n = past_head < CAPTURE_TAIL ? past_head : CAPTURE_TAIL;
	uint64_t left_out = past_head - tail_n;
	char marker[80] = "";
	if (left_out)
		snprintf(marker, sizeof(marker), "\n[assay: %" PRIu64 " bytes left out here]\n",
			 left_out);
	log.kept = c->head_n + strlen(marker) + tail_n;
	size_t ring = capture_ring_has(c, CAPTURE_TAIL);
	struct text all = {own_alloc(c->first.n + ring + 1), 0, c->first.n + ring + 1};
	text_put(&all, text_str(&c->first), c->first.n);
	text_fini(&c->first);
	log.tail_at = all.n;
	capture_ring_tail(c, ring, &all);
	log.tail_offset = log.kept - ring;
	log.text_n = all.n;
	log.text = text_take(&all);
	if (c->hash) {
		unsigned char raw[EVP_MAX_MD_SIZE];
		unsigned int got = 0;
		EVP_DigestFinal_ex(c->hash, raw, &got);
		for (unsigned i = 0; i < got && i < 32; i++)
			snprintf(log.sha256 + 2 * (size_t)i, 3, "%02x", raw[i]);
	}
	c->on_done(c->owner, &log);
	free(log.text);
	own_close(&c->fd);
	EVP_MD_CTX_free(c->hash);
	free(c->ring);
	free(c->rel);
	free(c);
}

void capture_finish(struct capture *c, void (*done)(void *owner, struct capture_log *log))
{
	auto_text struct text tail = TEXT_INIT;
	uint64_t past_head = c->total - c->head_n;
	uint64_t tail_n = past_head < CAPTURE_TAIL ? past_head : CAPTURE_TAIL;
	c->on_done = done;
	if (past_head > tail_n) {
		char marker[80];
		int n = snprintf(marker, sizeof(marker),
				 "\n[assay: %" PRIu64 " bytes left out here]\n",
				 past_head - tail_n);
		capture_feed(c, marker, (size_t)n);
	}
	capture_ring_tail(c, capture_ring_has(c, (size_t)tail_n), &tail);
	capture_feed(c, tail.p ? tail.p : "", tail.n);
	if (!c->open) {
		c->open = own_calloc(1, sizeof(*c->open));
		*c->open = (struct capture_chunk){.task = {.work = capture_chunk_work,
							   .done = capture_chunk_done},
						  .c = c};
	}
	capture_push(c, true);
}
