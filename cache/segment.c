/* Format, version 2. A segment is a concatenation of zstd frames (RFC 8878; segment_compressor(),
 * with checksum, without content size), a mark behind each (frame.h). The frames of one publish
 * hold tar entries in pax format (POSIX.1-2001, as libarchive writes it; ustar.c writes the same
 * where an entry needs no pax header) and no end-of-archive blocks, so that all segments one after
 * the other are one tar archive: cat seg/ * | tar --zstd -x. Of the same path the last entry
 * counts.
 *
 * The first entry of a publish is ".assay/<id>.json" (record.c): what was published, by whom, under
 * which rules. The others are the layer itself, bytewise by path, parents first: owner 0, modes
 * 0644, 0755 (files, directories) and 0777 (links), times of files and links in whole seconds, of
 * directories 0. No other attributes. The same tree gives the same bytes.
 *
 * The nanoseconds of a time are in the record, which is where those who make layers of frames take
 * it from (extract_rest): in a header they would cost a kilobyte, all of pax that most entries
 * need. Before, headers had them, too, and nothing else was different.
 *
 * A publish is one frame, or several of CACHE_FRAME_FULL bytes each and a last one; where one ends
 * is no matter of entries, and the next may begin the next segment. Version 1 had no marks and one
 * frame for each publish; in one segment there may be frames of all versions. A mark of a version
 * that is not known is an error (frame_find_mark): an assay from before that was so takes what
 * stands before it for torn, and cuts it off where no database says otherwise. */
#include "cache/segment.h"
#include "cache/frame.h"
#include "cache/harvest.h"
#include "cache/ustar.h"
#include "base/dir.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <zstd.h>

/* Level 3 takes two tables: of 2^17 long matches and of 2^16 short ones. With half and a quarter of
 * that they are 320 KiB, which fits beside the data into the second-level cache of one processor:
 * a tenth (libraries) to a fifth (packed files) less time, for archives that are 2 % longer of
 * libraries and no longer of small files. One thread: the same bytes everywhere. */
enum { SEGMENT_LEVEL = 3, SEGMENT_HASH_LOG = 16, SEGMENT_CHAIN_LOG = 14 };

void segment_name(uint32_t number, char name[SEGMENT_NAME])
{
	snprintf(name, SEGMENT_NAME, "%06u.tar.zst", (unsigned)number);
}

uint32_t segment_number(const char *name)
{
	char again[SEGMENT_NAME];
	unsigned long number = strtoul(name, NULL, 10);
	segment_name((uint32_t)number, again);
	return number <= UINT32_MAX && !strcmp(again, name) ? (uint32_t)number : 0;
}

int segment_seal(struct cache *c, uint32_t number, struct err *e)
{
	char name[SEGMENT_NAME];
	struct stat st;
	segment_name(number, name);
	if (fstatat(c->seg_fd, name, &st, AT_SYMLINK_NOFOLLOW))
		return errno == ENOENT ? 0 : err_sys(e, "stat segment %s", name);
	if (S_ISREG(st.st_mode) && st.st_mode & 0222 && fchmodat(c->seg_fd, name, 0444, 0))
		return err_sys(e, "seal segment %s", name);
	return 0;
}

/* The file of s->number, cut to s->start, for appending. */
static int segment_open_file(struct segment *s, struct err *e)
{
	char name[SEGMENT_NAME];
	struct stat st;
	segment_name(s->number, name);
	/* One that was sealed too early: what followed it was given up. */
	if (!fstatat(s->c->seg_fd, name, &st, AT_SYMLINK_NOFOLLOW) && S_ISREG(st.st_mode) &&
	    !(st.st_mode & 0200) && fchmodat(s->c->seg_fd, name, 0644, 0))
		return err_sys(e, "open segment %s", name);
	s->fd = openat(s->c->seg_fd, name, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (s->fd < 0 || fstat(s->fd, &st))
		return err_sys(e, "open segment %s", name);
	if ((uint64_t)st.st_size < s->start)
		return err_set(e, ERR_CORRUPT, "segment %s has %llu bytes, %llu were published",
			       name, (unsigned long long)st.st_size, (unsigned long long)s->start);
	if (ftruncate(s->fd, (off_t)s->start) || lseek(s->fd, 0, SEEK_END) < 0)
		return err_sys(e, "cut segment %s", name);
	return 0;
}

static int segment_sync(struct segment *s, struct err *e)
{
	if (s->lent)
		return 0;
	if (fdatasync(s->fd) || (!s->start && fsync(s->c->seg_fd)))
		return err_sys(e, "sync segment %06u", s->number);
	return 0;
}

static int segment_write(struct segment *s, const void *bytes, size_t n)
{
	s->bytes += n;
	return dir_write_all(s->fd, bytes, n) ? err_sys(&s->why, "write segment %06u", s->number)
					      : 0;
}

static int segment_compress(struct segment *s, const void *bytes, size_t n, ZSTD_EndDirective how)
{
	ZSTD_inBuffer in = {bytes, n, 0};
	for (;;) {
		ZSTD_outBuffer out = {s->buffer, ZSTD_CStreamOutSize(), 0};
		size_t left = ZSTD_compressStream2(s->z, &out, &in, how);
		if (ZSTD_isError(left))
			return err_set(&s->why, ERR_SYS, "compress: %s", ZSTD_getErrorName(left));
		sum_add(&s->sum, s->buffer, out.pos);
		if (out.pos && segment_write(s, s->buffer, out.pos))
			return -1;
		if (how == ZSTD_e_end ? !left : in.pos == in.size)
			return 0;
	}
}

/* The frame's end and its mark. */
static int segment_end_frame(struct segment *s, bool last)
{
	unsigned char mark[FRAME_MARK];
	struct frame_mark m = {.last = last, .part = (uint32_t)s->n_frames};
	if (segment_compress(s, NULL, 0, ZSTD_e_end))
		return -1;
	m.bytes = s->bytes;
	sum_text(&s->sum, m.digest);
	if (!s->n_frames)
		memcpy(m.record, s->record, CACHE_ID);
	memcpy(m.id, s->id, CACHE_ID);
	frame_mark_write(&m, mark);
	if (segment_write(s, mark, sizeof(mark)))
		return -1;
	s->frames = own_grow(s->frames, s->n_frames + 1, sizeof(*s->frames));
	struct cache_frame *f = &s->frames[s->n_frames++];
	*f = (struct cache_frame){.segment = s->number, .offset = s->start, .bytes = s->bytes};
	memcpy(f->digest, m.digest, CACHE_SUM);
	memcpy(f->record, m.record, CACHE_ID);
	return 0;
}

/* On to the place of the next frame, which may be in another file. */
static int segment_advance(struct segment *s)
{
	uint64_t end = s->start + s->bytes;
	if (s->lent || end < s->c->segment_full) {
		s->start = end;
	} else {
		if (segment_sync(s, &s->why))
			return -1;
		own_close(&s->fd);
		s->number++;
		s->start = 0;
		if (segment_open_file(s, &s->why))
			return -1;
	}
	s->bytes = 0;
	return 0;
}

/* Bytes of the tar archive. */
static int segment_put(struct segment *s, const void *bytes, size_t n)
{
	if (segment_compress(s, bytes, n, ZSTD_e_continue))
		return -1;
	return s->bytes < s->c->frame_full || (!segment_end_frame(s, false) && !segment_advance(s))
		       ? 0
		       : -1;
}

static la_ssize_t segment_on_write(struct archive *a, void *arg, const void *bytes, size_t n)
{
	struct segment *s = arg;
	if (s->ended || !segment_put(s, bytes, n))
		return (la_ssize_t)n;
	archive_set_error(a, EIO, "%s", s->why.text);
	return -1;
}

/* Our own reason if there is one, else libarchive's. */
static int segment_failed(struct segment *s, struct err *e)
{
	if (s->why.kind != ERR_NONE) {
		*e = s->why;
		return -1;
	}
	const char *why = archive_error_string(s->a);
	return err_set(e, ERR_SYS, "segment %06u: %s", s->number, why ? why : "tar");
}

static int segment_open(struct segment *s, struct err *e)
{
	struct cache *c = s->c;
	s->number = c->segment ? c->segment : 1;
	s->start = c->segment_end;
	if (s->start >= c->segment_full) {
		s->number++;
		s->start = 0;
	}
	for (; c->sealed + 1 < s->number; c->sealed++)
		if (segment_seal(c, c->sealed + 1, e))
			return -1;
	if (segment_open_file(s, e))
		return -1;
	s->first = s->number;
	s->first_start = s->start;
	return 0;
}

ZSTD_CCtx *segment_compressor(void)
{
	ZSTD_CCtx *z = ZSTD_createCCtx();
	if (!z)
		abort();
	ZSTD_CCtx_setParameter(z, ZSTD_c_compressionLevel, SEGMENT_LEVEL);
	ZSTD_CCtx_setParameter(z, ZSTD_c_hashLog, SEGMENT_HASH_LOG);
	ZSTD_CCtx_setParameter(z, ZSTD_c_chainLog, SEGMENT_CHAIN_LOG);
	ZSTD_CCtx_setParameter(z, ZSTD_c_checksumFlag, 1);
	return z;
}

/* Straight through: with a block of its own, what libarchive holds back would be lost when the
 * archive is left without an end. */
static int segment_open_tar(struct segment *s, struct err *e)
{
	s->a = archive_write_new();
	s->entry = archive_entry_new();
	s->z = segment_compressor();
	if (!s->a || !s->entry)
		abort();
	s->buffer = own_alloc(ZSTD_CStreamOutSize());
	ZSTD_CCtx_setParameter(s->z, ZSTD_c_contentSizeFlag, 0);
	if (archive_write_set_format_pax(s->a) || archive_write_add_filter_none(s->a) ||
	    archive_write_set_bytes_per_block(s->a, 0) ||
	    archive_write_open(s->a, s, NULL, segment_on_write, NULL))
		return segment_failed(s, e);
	return 0;
}

static int segment_start(struct segment *s, const char *id, struct err *e)
{
	memcpy(s->id, id, CACHE_ID);
	s->charset = charset_enter();
	if (!sum_open(&s->sum, SUM_XXH3, e) && (s->lent || !segment_open(s, e)) &&
	    !segment_open_tar(s, e))
		return 0;
	segment_drop(s);
	return -1;
}

int segment_begin(struct segment *s, struct cache *c, const char *id, struct err *e)
{
	*s = (struct segment){.c = c, .fd = -1};
	return segment_start(s, id, e);
}

int segment_begin_in(struct segment *s, struct cache *c, const char *id, uint32_t number, int fd,
		     uint64_t at, struct err *e)
{
	*s = (struct segment){.c = c, .fd = fd, .lent = true, .number = number, .start = at};
	return segment_start(s, id, e);
}

/* The entry is whole, with the zeros that fill its last block. */
static int segment_end_entry(struct segment *s, struct err *e)
{
	static const char zeros[USTAR_BLOCK];
	if (!s->plain)
		return archive_write_finish_entry(s->a) < ARCHIVE_WARN ? segment_failed(s, e) : 0;
	if (s->left)
		return err_set(e, ERR_CORRUPT,
			       "segment %06u: an entry has fewer bytes than it said", s->number);
	s->plain = false;
	return s->fill && segment_put(s, zeros, s->fill) ? segment_failed(s, e) : 0;
}

/* What needs a pax header. */
static int segment_add_pax(struct segment *s, const struct cache_entry *x, struct err *e)
{
	struct archive_entry *entry = archive_entry_clear(s->entry);
	archive_entry_set_pathname(entry, x->path);
	archive_entry_set_filetype(entry, x->type == 'd'   ? AE_IFDIR
					  : x->type == 'l' ? AE_IFLNK
							   : AE_IFREG);
	archive_entry_set_perm(entry, x->mode);
	archive_entry_set_uid(entry, 0);
	archive_entry_set_gid(entry, 0);
	archive_entry_set_mtime(entry, x->mtime_s, 0); /* the rest is in the record */
	archive_entry_set_size(entry, x->type == 'f' ? (la_int64_t)x->size : 0);
	if (x->type == 'l')
		archive_entry_set_symlink(entry, x->target);
	/* ARCHIVE_WARN: a name that is not UTF-8 went in as bytes, which is what it is. */
	int r = archive_write_header(s->a, entry);
	return r < ARCHIVE_WARN || s->why.kind != ERR_NONE ? segment_failed(s, e) : 0;
}

int segment_add(struct segment *s, const struct cache_entry *x, struct err *e)
{
	char header[USTAR_BLOCK];
	if (segment_end_entry(s, e))
		return -1;
	if (!ustar_header(x, header))
		return segment_add_pax(s, x, e);
	s->plain = true;
	s->left = x->type == 'f' ? x->size : 0;
	s->fill = (size_t)(-s->left % USTAR_BLOCK);
	return segment_put(s, header, sizeof(header)) ? segment_failed(s, e) : 0;
}

static int segment_data_plain(struct segment *s, const void *bytes, size_t n, struct err *e)
{
	if (n > s->left)
		return err_set(e, ERR_CORRUPT, "segment %06u: an entry has more bytes than it said",
			       s->number);
	s->left -= n;
	return n && segment_put(s, bytes, n) ? segment_failed(s, e) : 0;
}

int segment_data(struct segment *s, const void *bytes, size_t n, struct err *e)
{
	if (s->plain)
		return segment_data_plain(s, bytes, n, e);
	la_ssize_t w = n ? archive_write_data(s->a, bytes, n) : 0;
	if (w < 0 || s->why.kind != ERR_NONE)
		return segment_failed(s, e);
	if ((size_t)w != n)
		return err_set(e, ERR_CORRUPT, "segment %06u: an entry has more bytes than it said",
			       s->number);
	return 0;
}

int segment_record(struct segment *s, const struct text *t, struct err *e)
{
	auto_free char *path = own_fmt("%s/%s.json", HARVEST_OURS, s->id);
	const struct cache_entry x = {.path = path, .type = 'f', .mode = 0644, .size = t->n};
	cache_digest(t->p, t->n, s->record);
	return segment_add(s, &x, e) ? -1 : segment_data(s, t->p, t->n, e);
}

int segment_end(struct segment *s, struct err *e)
{
	/* The padding of the last entry belongs to the frame. What archive_write_free() says after
	 * that, the end-of-archive blocks tar would stop at, does not. (archive_write_fail() would
	 * prevent them as well, and leak.) */
	if (segment_end_entry(s, e))
		return -1;
	s->ended = true;
	if (segment_end_frame(s, true))
		return segment_failed(s, e);
	cache_step("frame appended");
	if (segment_sync(s, e))
		return -1;
	cache_step("frame durable");
	return 0;
}

/* What can't be cut now is cut by the next segment_begin, or by cache_open. */
static void segment_cut(struct segment *s)
{
	char name[SEGMENT_NAME];
	for (uint32_t n = s->number; n > s->first || (n == s->first && !s->first_start); n--) {
		segment_name(n, name);
		(void)!unlinkat(s->c->seg_fd, name, 0);
	}
	if (!s->first_start)
		return;
	segment_name(s->first, name);
	auto_fd int again =
		s->number == s->first ? -1 : dir_open_beneath(s->c->seg_fd, name, O_WRONLY, 0);
	int fd = again >= 0 ? again : s->fd;
	if (s->number == s->first || again >= 0)
		(void)!ftruncate(fd, (off_t)s->first_start);
}

void segment_drop(struct segment *s)
{
	s->ended = true;
	archive_write_free(s->a);
	archive_entry_free(s->entry);
	if (s->first && !s->kept)
		segment_cut(s);
	ZSTD_freeCCtx(s->z);
	sum_close(&s->sum);
	free(s->buffer);
	free(s->frames);
	if (!s->lent)
		own_close(&s->fd);
	charset_leave(&s->charset);
	*s = (struct segment){.fd = -1};
}

int segment_over(struct segment *s, int rc, struct cache_published *out)
{
	if (!rc) {
		s->kept = true;
		s->c->segment = s->number;
		s->c->segment_end = s->start + s->bytes;
		out->n_frames = s->n_frames;
		out->frames = give(s->frames);
	}
	segment_drop(s);
	return rc;
}
