#include "cache/frame.h"
#include "base/own.h"

#include <errno.h>
#include <openssl/sha.h>
#include <string.h>

enum { ZSTD_MAGIC_BYTES = 4, BLOCK_HEADER = 3, CHECKSUM = 4, SHA = 32, XXH3 = 16, CHECK = 8 };
enum { FRAME_MAGIC = 0x184D2A5A, FRAME_VERSION = 2, FRAME_LAST = 1 };
#define FRAME_MARK_1 ((size_t)112)
#define FRAME_BUFFER ((size_t)256 << 10)
#define FRAME_MOST 512 /* the longest mark of a newer assay that is known for one */
#define ZSTD_FRAME_MAGIC 0xFD2FB528u
static const char frame_word[8] = {'a', 's', 's', 'a', 'y', 'f', 'r', 'm'};

/* ---- numbers ---- */

static void put_le(unsigned char **p, uint64_t v, int n)
{
	for (int i = 0; i < n; i++)
		*(*p)++ = (unsigned char)(v >> 8 * i);
}

static uint64_t get_le(const unsigned char **p, int n)
{
	uint64_t v = 0;
	for (int i = 0; i < n; i++)
		v |= (uint64_t) * (*p)++ << 8 * i;
	return v;
}

static unsigned hex_value(char c)
{
	return (unsigned)(c >= 'a' ? c - 'a' + 10 : c - '0');
}

/* n bytes of hex digits; zeros where there are none. */
static void put_hex(unsigned char **p, const char *hex, int n)
{
	for (int i = 0; i < n; i++)
		*(*p)++ = *hex ? (unsigned char)(hex_value(hex[2 * i]) << 4 |
						 hex_value(hex[2 * i + 1]))
			       : 0;
}

static void get_hex(const unsigned char **p, char *hex, int n)
{
	static const char digits[] = "0123456789abcdef";
	for (int i = 0; i < n; i++, ++*p) {
		hex[2 * i] = digits[**p >> 4];
		hex[2 * i + 1] = digits[**p & 15];
	}
	hex[2 * n] = '\0';
}

/* ---- marks ---- */

static void mark_check(const unsigned char *mark, size_t size, unsigned char check[CHECK])
{
	unsigned char sha[SHA];
	SHA256(mark, size - CHECK, sha);
	memcpy(check, sha, CHECK);
}

void frame_mark_write(const struct frame_mark *m, unsigned char out[FRAME_MARK])
{
	unsigned char *p = out;
	put_le(&p, FRAME_MAGIC, 4);
	put_le(&p, FRAME_MARK - 8, 4);
	memcpy(p, frame_word, sizeof(frame_word));
	p += sizeof(frame_word);
	put_le(&p, FRAME_VERSION, 4);
	put_le(&p, m->last ? FRAME_LAST : 0, 4);
	put_le(&p, m->part, 4);
	put_le(&p, 0, 4);
	put_le(&p, m->bytes, 8);
	put_hex(&p, sum_hex(m->digest), XXH3);
	put_hex(&p, m->record, SHA);
	put_hex(&p, m->id, SHA);
	mark_check(out, FRAME_MARK, p);
}

/* The digests of a mark; of version 1 the record has none. */
static void mark_read_digests(const unsigned char **p, uint64_t version, struct frame_mark *m)
{
	static const unsigned char none[SHA];
	char hex[CACHE_ID];
	memset(m->record, 0, sizeof(m->record));
	get_hex(p, hex, version == 1 ? SHA : XXH3);
	sum_of_hex(version == 1 ? SUM_SHA256 : SUM_XXH3, hex, m->digest);
	if (version == 1)
		return;
	if (memcmp(*p, none, SHA))
		get_hex(p, m->record, SHA);
	else
		*p += SHA;
}

int frame_mark_read(const void *bytes, size_t n, struct frame_mark *m)
{
	const unsigned char *p = bytes;
	unsigned char check[CHECK];
	if (n < FRAME_MARK_1 || get_le(&p, 4) != FRAME_MAGIC)
		return -1;
	m->size = get_le(&p, 4) + 8;
	if ((m->size != FRAME_MARK && m->size != FRAME_MARK_1) || n < m->size ||
	    memcmp(p, frame_word, sizeof(frame_word)))
		return -1;
	mark_check(bytes, m->size, check);
	if (memcmp(check, (const unsigned char *)bytes + m->size - CHECK, CHECK))
		return -1;
	p += sizeof(frame_word);
	uint64_t version = get_le(&p, 4), flags = get_le(&p, 4);
	m->last = flags & FRAME_LAST;
	m->part = (uint32_t)get_le(&p, 4);
	uint64_t zero = get_le(&p, 4);
	m->bytes = get_le(&p, 8);
	if (version != (m->size == FRAME_MARK ? FRAME_VERSION : 1) || zero || flags > FRAME_LAST)
		return -1;
	mark_read_digests(&p, version, m);
	get_hex(&p, m->id, SHA);
	return m->part && m->record[0] ? -1 : 0;
}

bool frame_mark_newer(const void *bytes, size_t n)
{
	const unsigned char *p = bytes, *end;
	unsigned char check[CHECK];
	struct frame_mark ours;
	if (n < 8 || get_le(&p, 4) != FRAME_MAGIC)
		return false;
	uint64_t size = get_le(&p, 4) + 8;
	if (size > n || size < 8 + sizeof(frame_word) + CHECK ||
	    memcmp(p, frame_word, sizeof(frame_word)))
		return false;
	mark_check(bytes, (size_t)size, check);
	end = (const unsigned char *)bytes + size - CHECK;
	return !memcmp(check, end, CHECK) && frame_mark_read(bytes, n, &ours);
}

/* ---- in a file ---- */

ssize_t frame_read(int fd, void *p, size_t n, uint64_t at)
{
	size_t got = 0;
	while (got < n) {
		ssize_t r = pread(fd, (char *)p + got, n - got, (off_t)(at + got));
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -1;
		if (!r)
			break;
		got += (size_t)r;
	}
	return (ssize_t)got;
}

/* 1 a mark, 0 none, -1; -2 one of a newer assay. */
static int frame_look(int fd, uint64_t at, uint64_t end, struct frame_mark *m, struct err *e)
{
	unsigned char bytes[FRAME_MOST];
	if (at > end || end - at < FRAME_MARK_1)
		return 0;
	size_t want = end - at < sizeof(bytes) ? (size_t)(end - at) : sizeof(bytes);
	ssize_t n = frame_read(fd, bytes, want, at);
	if (n < 0)
		return err_sys(e, "read a segment");
	if (!frame_mark_read(bytes, (size_t)n, m))
		return 1;
	return frame_mark_newer(bytes, (size_t)n) ? -2 : 0;
}

int frame_find_mark(int fd, uint64_t at, uint64_t end, struct frame_mark *m, struct err *e)
{
	int got = frame_look(fd, at, end, m, e);
	if (got == -2)
		return err_set(e, ERR_USAGE,
			       "the archive was written by a newer assay, which has to be used: "
			       "the mark at %llu of a segment is of a form this one does not know",
			       (unsigned long long)at);
	return got;
}

/* The two can't be taken for each other: where the one has its version the other has its magic.
 * What lies there may be a job's bytes, where a frame has no mark: nothing else is made of them. */
int frame_mark_behind(int fd, const struct cache_frame *f, struct frame_mark *m, struct err *e)
{
	static const size_t sizes[] = {FRAME_MARK, FRAME_MARK_1};
	uint64_t end = f->offset + f->bytes;
	for (size_t i = 0; i < countof(sizes); i++) {
		if (f->bytes < sizes[i])
			continue;
		int got = frame_look(fd, end - sizes[i], end, m, e);
		if (got == -1 || (got > 0 && m->size == sizes[i]))
			return got;
	}
	m->size = 0;
	return 0;
}

int frame_digest(int fd, uint64_t at, uint64_t n, enum sum_kind kind, char digest[CACHE_SUM],
		 struct err *e)
{
	struct sum s;
	ssize_t got = 1;
	auto_free char *buffer = own_alloc(FRAME_BUFFER);
	if (sum_open(&s, kind, e))
		return -1;
	while (n && got > 0) {
		got = frame_read(fd, buffer, n < FRAME_BUFFER ? (size_t)n : FRAME_BUFFER, at);
		if (got < 0)
			err_sys(e, "read a segment");
		if (got <= 0)
			break;
		sum_add(&s, buffer, (size_t)got);
		at += (uint64_t)got;
		n -= (uint64_t)got;
	}
	sum_text(&s, digest);
	sum_close(&s);
	return got < 0 ? -1 : !n;
}

/* Length of the header at p, of which n bytes are there; 0: it is none. *checksum: four bytes
 * follow the last block. */
static size_t frame_header(const unsigned char *p, size_t n, bool *checksum)
{
	static const size_t dictionary[] = {0, 1, 2, 4}, content[] = {0, 2, 4, 8};
	const unsigned char *at = p;
	if (n < ZSTD_MAGIC_BYTES + 1 || get_le(&at, ZSTD_MAGIC_BYTES) != ZSTD_FRAME_MAGIC)
		return 0;
	unsigned d = *at;
	bool single = d >> 5 & 1;
	*checksum = d >> 2 & 1;
	if (d >> 3 & 1) /* reserved */
		return 0;
	return (size_t)ZSTD_MAGIC_BYTES + 1 + !single + dictionary[d & 3] +
	       (d >> 6 ? content[d >> 6] : (size_t)single);
}

int frame_measure(int fd, uint64_t at, uint64_t end, uint64_t *bytes, struct err *e)
{
	unsigned char head[ZSTD_MAGIC_BYTES + 14];
	bool checksum = false;
	ssize_t n = frame_read(fd, head, sizeof(head), at);
	if (n < 0)
		return err_sys(e, "read a segment");
	size_t header = frame_header(head, (size_t)n, &checksum);
	if (!header)
		return 0;
	for (uint64_t p = at + header, last = 0; p + BLOCK_HEADER <= end;) {
		unsigned char block[BLOCK_HEADER];
		const unsigned char *b = block;
		n = frame_read(fd, block, sizeof(block), p);
		if (n < 0)
			return err_sys(e, "read a segment");
		if (n < BLOCK_HEADER)
			return 0;
		uint64_t word = get_le(&b, BLOCK_HEADER), type = word >> 1 & 3;
		if (type == 3) /* reserved */
			return 0;
		last = word & 1;
		p += (uint64_t)BLOCK_HEADER + (type == 1 ? 1 : word >> 3);
		if (!last)
			continue;
		p += checksum ? (uint64_t)CHECKSUM : 0;
		*bytes = p - at;
		return p <= end;
	}
	return 0;
}
