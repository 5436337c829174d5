/* The order: seg/NNNNNN.new is written and durable; the caller's database says in one transaction
 * that the frames lie where they lie there; then the file takes the old one's name. Both have
 * different lengths, so that after a kill the committed length tells which of them is meant: with
 * the database or without it one whole segment is there at any time, in its old place among the
 * others. */
#include "cache/rewrite.h"
#include "cache/build.h"
#include "cache/frame.h"
#include "cache/segment.h"
#include "base/dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

struct rewrite_frame {
	uint64_t at, bytes; /* with the mark */
	bool marked, needed;
	struct frame_mark mark;
};

struct rewrite {
	struct cache *c;
	uint32_t number;
	int fd;
	struct rewrite_frame *v;
	size_t n;
};

static void rewrite_name(uint32_t number, char name[SEGMENT_NAME])
{
	snprintf(name, SEGMENT_NAME, "%06u.new", (unsigned)number);
}

/* All frames up to the committed end. 1, 0: some bytes are none; -1. */
static int rewrite_list(struct rewrite *r, uint64_t end, struct err *e)
{
	size_t cap = 0;
	for (uint64_t at = 0; at < end;) {
		struct rewrite_frame f = {.at = at};
		int got = frame_measure(r->fd, at, end, &f.bytes, e);
		int marked = got > 0 ? frame_find_mark(r->fd, at + f.bytes, end, &f.mark, e) : 0;
		if (got <= 0 || marked < 0)
			return got < 0 || marked < 0 ? -1 : 0;
		f.marked = marked;
		f.bytes += marked ? f.mark.size : 0;
		at += f.bytes;
		if (r->n == cap) {
			cap = cap ? 2 * cap : 64;
			r->v = own_grow(r->v, cap, sizeof(*r->v));
		}
		r->v[r->n++] = f;
	}
	return 1;
}

/* The publish that begins with frame i is in this segment from its first to its last part: behind
 * its last one; else i. */
static size_t rewrite_whole(const struct rewrite *r, size_t i)
{
	for (size_t k = i; k < r->n; k++) {
		const struct rewrite_frame *f = &r->v[k];
		if (!f->marked || f->mark.part != k - i || strcmp(f->mark.id, r->v[i].mark.id))
			break;
		if (f->mark.last)
			return k + 1;
	}
	return i;
}

/* A publish goes as a whole or not at all: a part that is left alone would be damage to who reads
 * the segments without their database. false: a frame that is needed is not there. */
static bool rewrite_choose(struct rewrite *r, const uint64_t *live, size_t n_live)
{
	size_t found = 0;
	for (size_t i = 0; i < r->n; i++)
		if (found < n_live && live[found] == r->v[i].at) {
			r->v[i].needed = true;
			found++;
		}
	for (size_t i = 0; i < r->n;) {
		size_t end = rewrite_whole(r, i);
		bool needed = end == i;
		for (size_t k = i; k < end; k++)
			needed |= r->v[k].needed;
		end += end == i;
		for (; i < end; i++)
			r->v[i].needed = needed;
	}
	return found == n_live;
}

int rewrite_copy(int from, int to, uint32_t number, uint64_t at, uint64_t n, char *buffer,
		 struct err *e)
{
	while (n) {
		size_t want = n < BUILD_BUFFER ? (size_t)n : BUILD_BUFFER;
		ssize_t got = frame_read(from, buffer, want, at);
		if (got < 0)
			return err_sys(e, "read segment %06u", (unsigned)number);
		if (!got)
			return err_set(e, ERR_CORRUPT, "segment %06u is cut short",
				       (unsigned)number);
		if (dir_write_all(to, buffer, (size_t)got))
			return err_sys(e, "write segment %06u anew", (unsigned)number);
		at += (uint64_t)got;
		n -= (uint64_t)got;
	}
	return 0;
}

int rewrite_create(struct cache *c, uint32_t number, struct err *e)
{
	char name[SEGMENT_NAME];
	rewrite_name(number, name);
	int fd = openat(c->seg_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
			0644);
	return fd < 0 ? err_sys(e, "create segment %s", name) : fd;
}

int rewrite_durable(struct cache *c, uint32_t number, int fd, struct err *e)
{
	cache_step("segment written anew");
	if (fdatasync(fd) || fsync(c->seg_fd))
		return err_sys(e, "sync segment %06u.new", (unsigned)number);
	cache_step("new segment durable");
	return 0;
}

static int rewrite_write(struct rewrite *r, struct cache_rewritten *out, struct err *e)
{
	auto_free char *buffer = own_alloc(BUILD_BUFFER);
	auto_fd int to = rewrite_create(r->c, r->number, e);
	if (to < 0)
		return -1;
	out->moves = own_calloc(r->n + 1, sizeof(*out->moves));
	for (size_t i = 0; i < r->n; i++) {
		const struct rewrite_frame *f = &r->v[i];
		if (!f->needed)
			continue;
		if (rewrite_copy(r->fd, to, r->number, f->at, f->bytes, buffer, e))
			return -1;
		out->moves[out->n_moves++] = (struct cache_move){f->at, out->bytes};
		out->bytes += f->bytes;
	}
	return rewrite_durable(r->c, r->number, to, e);
}

static int rewrite_run(struct rewrite *r, const uint64_t *live, size_t n_live, uint64_t bytes,
		       struct cache_rewritten *out, struct err *e)
{
	int got = rewrite_list(r, bytes, e);
	if (got < 0)
		return -1;
	/* What is damaged is left as it is, for verify to tell of and for people to put back. */
	if (!got || !rewrite_choose(r, live, n_live))
		return err_set(e, ERR_CORRUPT, "segment %06u is damaged", (unsigned)r->number);
	uint64_t kept = 0;
	for (size_t i = 0; i < r->n; i++)
		kept += r->v[i].needed ? r->v[i].bytes : 0;
	if (kept < bytes)
		return rewrite_write(r, out, e);
	out->bytes = bytes;
	return 0;
}

int cache_segment_rewrite(struct cache *c, uint32_t number, uint64_t bytes, const uint64_t *live,
			  size_t n_live, struct cache_rewritten *out, struct err *e)
{
	char name[SEGMENT_NAME];
	struct rewrite r = {.c = c, .number = number};
	*out = (struct cache_rewritten){0};
	if (cache_may_write(c, e))
		return -1;
	segment_name(number, name);
	r.fd = tree_open(c->seg_fd, name, O_RDONLY | O_NONBLOCK);
	if (r.fd < 0 && errno == ENOENT)
		return err_set(e, ERR_CORRUPT, "segment %s is gone", name);
	if (r.fd < 0)
		return err_sys(e, "open segment %s", name);
	int rc = rewrite_run(&r, live, n_live, bytes, out, e);
	close(r.fd);
	free(r.v);
	if (rc)
		cache_segment_leave(c, number, out);
	return rc;
}

void cache_segment_later(struct cache_rewritten *out)
{
	free(out->moves);
	*out = (struct cache_rewritten){0};
}

void cache_segment_leave(struct cache *c, uint32_t number, struct cache_rewritten *out)
{
	char name[SEGMENT_NAME];
	rewrite_name(number, name);
	(void)!unlinkat(c->seg_fd, name, 0); /* cache_open does it otherwise */
	cache_segment_later(out);
}

/* The new file in the place of the old one. */
static int rewrite_take(struct cache *c, uint32_t number, struct err *e)
{
	char from[SEGMENT_NAME], to[SEGMENT_NAME];
	rewrite_name(number, from);
	segment_name(number, to);
	if (number < c->segment && fchmodat(c->seg_fd, from, 0444, 0))
		return err_sys(e, "seal segment %s", from);
	if (renameat(c->seg_fd, from, c->seg_fd, to) || fsync(c->seg_fd))
		return err_sys(e, "put segment %s in its place", from);
	cache_step("segment exchanged");
	return 0;
}

int cache_segment_take(struct cache *c, uint32_t number, struct cache_rewritten *out, struct err *e)
{
	int rc = rewrite_take(c, number, e);
	if (!rc && number == c->segment)
		c->segment_end = out->bytes;
	cache_segment_later(out);
	return rc;
}

/* ---- after a kill ---- */

static uint32_t rewrite_number(const char *name)
{
	char again[SEGMENT_NAME];
	unsigned long number = strtoul(name, NULL, 10);
	rewrite_name((uint32_t)number, again);
	return number && number <= UINT32_MAX && !strcmp(again, name) ? (uint32_t)number : 0;
}

static bool rewrite_is_meant(const struct cache_known_segment *known, size_t n, uint32_t number,
			     uint64_t size)
{
	for (size_t i = 0; i < n; i++)
		if (known[i].number == number)
			return known[i].bytes == size;
	return false;
}

static int rewrite_settle_one(struct cache *c, const struct cache_known_segment *known, size_t n,
			      const char *name, struct err *e)
{
	struct stat st;
	uint32_t number = rewrite_number(name);
	if (!number)
		return 0;
	if (fstatat(c->seg_fd, name, &st, AT_SYMLINK_NOFOLLOW))
		return err_sys(e, "stat segment %s", name);
	if (S_ISREG(st.st_mode) && rewrite_is_meant(known, n, number, (uint64_t)st.st_size))
		return rewrite_take(c, number, e);
	return unlinkat(c->seg_fd, name, 0) ? err_sys(e, "remove segment %s", name) : 0;
}

int rewrite_settle(struct cache *c, const struct cache_known_segment *known, size_t n,
		   struct err *e)
{
	int fd = openat(c->seg_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	if (!d) {
		err_sys(e, "read seg");
		own_close(&fd);
		return -1;
	}
	/* The names first: what is renamed meanwhile must not disturb the reading. */
	auto_text struct text names = TEXT_INIT;
	for (struct dirent *it; (errno = 0, it = readdir(d));)
		if (rewrite_number(it->d_name))
			text_put(&names, it->d_name, strlen(it->d_name) + 1);
	int rc = errno ? err_sys(e, "read seg") : 0;
	closedir(d);
	for (size_t at = 0; !rc && at < names.n; at += strlen(names.p + at) + 1)
		rc = rewrite_settle_one(c, known, n, names.p + at, e);
	return rc;
}
