/* Format, version 1. A segment is a concatenation of zstd frames (RFC 8878; level 3, one thread,
 * with checksum, without content size). Each frame holds tar entries in pax format (POSIX.1-2001,
 * as libarchive writes it) and no end-of-archive blocks, so that all segments one after the other
 * are one tar archive: cat seg/ * | tar --zstd -x. Of the same path the last entry counts.
 *
 * The first entry of a frame is ".assay/<layer id>.json" (record.c): what was published, by whom,
 * under which rules. The others are the layer itself, bytewise by path, parents first: owner 0,
 * modes 0644, 0755 (files, directories) and 0777 (links), times of files and links to the
 * nanosecond, of directories 0. No other attributes. The same tree gives the same bytes. */
#include "cache/segment.h"
#include "base/dir.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <zstd.h>

#define SEGMENT_LEVEL 3

static void segment_name(uint32_t number, char name[32])
{
	snprintf(name, 32, "%06u.tar.zst", (unsigned)number);
}

static int segment_write(struct segment *s, const void *bytes, size_t n)
{
	hash_add(&s->hash, bytes, n);
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
		if (out.pos && segment_write(s, s->buffer, out.pos))
			return -1;
		if (how == ZSTD_e_end ? !left : in.pos == in.size)
			return 0;
	}
}

static la_ssize_t segment_on_write(struct archive *a, void *arg, const void *bytes, size_t n)
{
	struct segment *s = arg;
	if (s->ended)
		return (la_ssize_t)n;
	if (!segment_compress(s, bytes, n, ZSTD_e_continue))
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
	char name[32];
	struct stat st;
	s->number = c->segment ? c->segment : 1;
	s->start = c->segment_end;
	if (s->start >= CACHE_SEGMENT_FULL) {
		s->number++;
		s->start = 0;
	}
	segment_name(s->number, name);
	s->fd = openat(c->seg_fd, name, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (s->fd < 0 || fstat(s->fd, &st))
		return err_sys(e, "open segment %s", name);
	if ((uint64_t)st.st_size < s->start)
		return err_set(e, ERR_CORRUPT, "segment %s has %llu bytes, %llu were published",
			       name, (unsigned long long)st.st_size, (unsigned long long)s->start);
	if (ftruncate(s->fd, (off_t)s->start) || lseek(s->fd, 0, SEEK_END) < 0)
		return err_sys(e, "cut segment %s", name);
	return 0;
}

/* Straight through: with a block of its own, what libarchive holds back would be lost when the
 * archive is left without an end. */
static int segment_open_tar(struct segment *s, struct err *e)
{
	s->a = archive_write_new();
	s->z = ZSTD_createCCtx();
	if (!s->a || !s->z)
		abort();
	s->buffer = own_alloc(ZSTD_CStreamOutSize());
	ZSTD_CCtx_setParameter(s->z, ZSTD_c_compressionLevel, SEGMENT_LEVEL);
	ZSTD_CCtx_setParameter(s->z, ZSTD_c_checksumFlag, 1);
	ZSTD_CCtx_setParameter(s->z, ZSTD_c_contentSizeFlag, 0);
	if (archive_write_set_format_pax(s->a) || archive_write_add_filter_none(s->a) ||
	    archive_write_set_bytes_per_block(s->a, 0) ||
	    archive_write_open(s->a, s, NULL, segment_on_write, NULL))
		return segment_failed(s, e);
	return 0;
}

int segment_begin(struct segment *s, struct cache *c, struct err *e)
{
	*s = (struct segment){.c = c, .fd = -1};
	s->charset = charset_enter();
	if (hash_open(&s->hash, "SHA256"))
		err_set(e, ERR_SYS, "libcrypto has no SHA-256");
	else if (!segment_open(s, e) && !segment_open_tar(s, e))
		return 0;
	segment_drop(s);
	return -1;
}

int segment_add(struct segment *s, const struct cache_entry *x, struct err *e)
{
	struct archive_entry *entry = archive_entry_new();
	if (!entry)
		abort();
	archive_entry_set_pathname(entry, x->path);
	archive_entry_set_filetype(entry, x->type == 'd'   ? AE_IFDIR
					  : x->type == 'l' ? AE_IFLNK
							   : AE_IFREG);
	archive_entry_set_perm(entry, x->mode);
	archive_entry_set_uid(entry, 0);
	archive_entry_set_gid(entry, 0);
	archive_entry_set_mtime(entry, x->mtime_s, (long)x->mtime_ns);
	archive_entry_set_size(entry, x->type == 'f' ? (la_int64_t)x->size : 0);
	if (x->type == 'l')
		archive_entry_set_symlink(entry, x->target);
	/* ARCHIVE_WARN: a name that is not UTF-8 went in as bytes, which is what it is. */
	int r = archive_write_header(s->a, entry);
	archive_entry_free(entry);
	return r < ARCHIVE_WARN || s->why.kind != ERR_NONE ? segment_failed(s, e) : 0;
}

int segment_data(struct segment *s, const void *bytes, size_t n, struct err *e)
{
	la_ssize_t w = n ? archive_write_data(s->a, bytes, n) : 0;
	if (w < 0 || s->why.kind != ERR_NONE)
		return segment_failed(s, e);
	if ((size_t)w != n)
		return err_set(e, ERR_CORRUPT, "segment %06u: an entry has more bytes than it said",
			       s->number);
	return 0;
}

int segment_end(struct segment *s, struct cache_published *out, struct err *e)
{
	/* The padding of the last entry belongs to the frame. What archive_write_free() says after
	 * that, the end-of-archive blocks tar would stop at, does not. (archive_write_fail() would
	 * prevent them as well, and leak.) */
	if (archive_write_finish_entry(s->a) < ARCHIVE_WARN)
		return segment_failed(s, e);
	s->ended = true;
	if (segment_compress(s, NULL, 0, ZSTD_e_end))
		return segment_failed(s, e);
	cache_step("frame appended");
	if (fdatasync(s->fd) || (!s->start && fsync(s->c->seg_fd)))
		return err_sys(e, "sync segment %06u", s->number);
	cache_step("frame durable");
	out->segment = s->number;
	out->frame_offset = s->start;
	out->frame_bytes = s->bytes;
	hash_id(&s->hash, out->frame_sha256);
	return 0;
}

void segment_keep(struct segment *s)
{
	s->kept = true;
	s->c->segment = s->number;
	s->c->segment_end = s->start + s->bytes;
}

/* What can't be cut now is cut by the next segment_begin, or by cache_open. */
void segment_drop(struct segment *s)
{
	char name[32];
	segment_name(s->number, name);
	s->ended = true;
	archive_write_free(s->a);
	if (s->fd >= 0 && !s->kept)
		(void)!(s->start ? ftruncate(s->fd, (off_t)s->start)
				 : unlinkat(s->c->seg_fd, name, 0));
	ZSTD_freeCCtx(s->z);
	hash_close(&s->hash);
	free(s->buffer);
	own_close(&s->fd);
	charset_leave(&s->charset);
	s->a = NULL;
	s->z = NULL;
	s->buffer = NULL;
}
