#include "cache/content.h"

#include <errno.h>
#include <string.h>

#define CONTENT_BUFFER ((size_t)128 << 10)

int content_open(struct content_reader *r, struct err *e)
{
	*r = (struct content_reader){0};
	if (hash_open(&r->sha256, "SHA256"))
		return err_set(e, ERR_SYS, "libcrypto has no SHA-256");
	r->mine = own_alloc(CONTENT_BUFFER);
	r->theirs = own_alloc(CONTENT_BUFFER);
	return 0;
}

void content_close(struct content_reader *r)
{
	hash_close(&r->sha256);
	free(r->mine);
	free(r->theirs);
}

/* Up to n bytes, fewer only at the end of the file, which is known to be `left` bytes away or else
 * is looked for. */
static ssize_t content_fill(int fd, char *p, size_t n, uint64_t left)
{
	size_t got = 0;
	while (got < n) {
		ssize_t r = read(fd, p + got, n - got);
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -1;
		if (!r)
			break;
		got += (size_t)r;
		if (got == left) /* more would be seen by who looks at the size afterwards */
			break;
	}
	return (ssize_t)got;
}

static bool content_unchanged(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
	       a->st_mode == b->st_mode && a->st_uid == b->st_uid;
}

/* As many bytes as st said, or one buffer's more at most; keep: where they stay, room for all. */
static int content_loop(struct content_reader *r, int fd, struct hash *other, int lower_fd,
			char *keep, struct content *out, uint64_t *size, uint64_t expect,
			struct err *e)
{
	for (;;) {
		uint64_t left = expect > *size ? expect - *size : UINT64_MAX;
		size_t room = keep && left < CONTENT_BUFFER ? (size_t)left : CONTENT_BUFFER;
		char *mine = keep && left != UINT64_MAX ? keep + *size : r->mine;
		ssize_t n = content_fill(fd, mine, room, left);
		if (n < 0)
			return err_sys(e, "read");
		*size += (uint64_t)n;
		hash_add(&r->sha256, mine, (size_t)n);
		if (other)
			hash_add(other, mine, (size_t)n);
		if (out->same) {
			ssize_t m = content_fill(lower_fd, r->theirs, CONTENT_BUFFER, left);
			if (m < 0)
				return err_sys(e, "read the store's file");
			out->same = m == n && !memcmp(mine, r->theirs, (size_t)n);
		}
		/* What is longer than it was is seen by who looks at the size afterwards. */
		if ((size_t)n < room || *size >= expect)
			return 0;
	}
}

int content_read(struct content_reader *r, int fd, const struct stat *st, const char *algo,
		 int lower_fd, bool keep, struct content *out, struct err *e)
{
	struct stat after;
	struct hash other = {0};
	uint64_t size = 0;
	auto_free char *bytes = keep ? own_alloc((size_t)st->st_size + 1) : NULL;
	*out = (struct content){.same = lower_fd >= 0};
	if (algo && hash_open(&other, algo))
		return err_set(e, ERR_SYS, "libcrypto has no %s", algo);
	int rc = content_loop(r, fd, algo ? &other : NULL, lower_fd, bytes, out, &size,
			      (uint64_t)st->st_size, e);
	hash_id(&r->sha256, out->sha256);
	if (algo)
		hash_hex(&other, out->other);
	hash_close(&other);
	if (rc)
		return -1;
	/* It is the file st told of, and it is as it was before it was opened. */
	if (fstat(fd, &after))
		return err_sys(e, "stat");
	if (size != (uint64_t)st->st_size || !content_unchanged(st, &after))
		return 0;
	out->kept = keep;
	if (keep)
		bytes[size] = '\0';
	out->bytes = give(bytes);
	return 1;
}
