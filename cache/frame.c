#include "cache/frame.h"
#include "base/own.h"

#include <errno.h>
#include <openssl/sha.h>
#include <string.h>

enum { ZSTD_MAGIC_BYTES = 4, BLOCK_HEADER = 3, CHECKSUM = 4, SHA = 32, CHECK = 8 };
enum { FRAME_MAGIC = 0x184D2A5A, FRAME_VERSION = 1, FRAME_LAST = 1 };
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

static void put_id(unsigned char **p, const char id[CACHE_ID])
{
	for (int i = 0; i < SHA; i++)
		*(*p)++ = (unsigned char)(hex_value(id[2 * i]) << 4 | hex_value(id[2 * i + 1]));
}

static void get_id(const unsigned char **p, char id[CACHE_ID])
{
	static const char digits[] = "0123456789abcdef";
	for (int i = 0; i < SHA; i++, ++*p) {
		id[2 * i] = digits[**p >> 4];
		id[2 * i + 1] = digits[**p & 15];
	}
	id[2 * SHA] = '\0';
}

/* ---- marks ---- */

static void mark_check(const unsigned char mark[FRAME_MARK], unsigned char check[CHECK])
{
	unsigned char sha[SHA];
	SHA256(mark, FRAME_MARK - CHECK, sha);
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
	put_id(&p, m->sha256);
	put_id(&p, m->id);
	mark_check(out, p);
}

int frame_mark_read(const void *bytes, size_t n, struct frame_mark *m)
{
	const unsigned char *p = bytes;
	unsigned char check[CHECK];
	if (n < FRAME_MARK || get_le(&p, 4) != FRAME_MAGIC || get_le(&p, 4) != FRAME_MARK - 8 ||
	    memcmp(p, frame_word, sizeof(frame_word)))
		return -1;
	mark_check(bytes, check);
	if (memcmp(check, (const unsigned char *)bytes + FRAME_MARK - CHECK, CHECK))
		return -1;
	p += sizeof(frame_word);
	uint64_t version = get_le(&p, 4), flags = get_le(&p, 4);
	m->last = flags & FRAME_LAST;
	m->part = (uint32_t)get_le(&p, 4);
	uint64_t zero = get_le(&p, 4);
	m->bytes = get_le(&p, 8);
	get_id(&p, m->sha256);
	get_id(&p, m->id);
	return version == FRAME_VERSION && !zero && flags <= FRAME_LAST ? 0 : -1;
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

int frame_find_mark(int fd, uint64_t at, uint64_t end, struct frame_mark *m, struct err *e)
{
	unsigned char bytes[FRAME_MARK];
	if (at > end || end - at < FRAME_MARK)
		return 0;
	ssize_t n = frame_read(fd, bytes, sizeof(bytes), at);
	if (n < 0)
		return err_sys(e, "read a segment");
	return !frame_mark_read(bytes, (size_t)n, m);
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
