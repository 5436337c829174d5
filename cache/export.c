/* What a generation shows, out of the cache: as an archive or as a directory. */
#include "cache/charset.h"
#include "cache/flatten.h"
#include "cache/segment.h"
#include "base/dir.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <string.h>
#include <zstd.h>

struct export
{
	struct cache_exported *out;
	struct archive *a;
	ZSTD_CCtx *z;
	int fd;
	struct hash archive, file;
	void *buffer;
	char *read;
	struct err why;
};

static int export_write(struct export *x, const void *bytes, size_t n, ZSTD_EndDirective how)
{
	ZSTD_inBuffer in = {bytes, n, 0};
	for (;;) {
		ZSTD_outBuffer out = {x->buffer, ZSTD_CStreamOutSize(), 0};
		size_t left = ZSTD_compressStream2(x->z, &out, &in, how);
		if (ZSTD_isError(left))
			return err_set(&x->why, ERR_SYS, "compress: %s", ZSTD_getErrorName(left));
		hash_add(&x->archive, x->buffer, out.pos);
		x->out->archive_bytes += out.pos;
		if (dir_write_all(x->fd, x->buffer, out.pos))
			return err_sys(&x->why, "write the archive");
		if (how == ZSTD_e_end ? !left : in.pos == in.size)
			return 0;
	}
}

static la_ssize_t export_on_write(struct archive *a, void *arg, const void *bytes, size_t n)
{
	struct export *x = arg;
	if (!export_write(x, bytes, n, ZSTD_e_continue))
		return (la_ssize_t)n;
	archive_set_error(a, EIO, "%s", x->why.text);
	return -1;
}

static int export_failed(struct export *x, struct err *e)
{
	if (x->why.kind != ERR_NONE) {
		*e = x->why;
		return -1;
	}
	const char *why = archive_error_string(x->a);
	return err_set(e, ERR_SYS, "%s", why ? why : "tar");
}

static int export_content(struct export *x, struct flatten *f, size_t layer,
			  const struct list_entry *l, struct err *e)
{
	char id[CACHE_ID];
	auto_fd int fd = flatten_read(f, layer, l, e);
	if (fd < 0)
		return -1;
	for (uint64_t left = l->size; left;) {
		ssize_t n = read(fd, x->read, left < BUILD_BUFFER ? (size_t)left : BUILD_BUFFER);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(e, "read %.*s", (int)l->path_n, l->path);
		if (!n)
			break;
		hash_add(&x->file, x->read, (size_t)n);
		if (archive_write_data(x->a, x->read, (size_t)n) != n)
			return export_failed(x, e);
		left -= (uint64_t)n;
	}
	hash_id(&x->file, id);
	if (l->end_n != CACHE_ID - 1 || memcmp(id, l->end, l->end_n))
		return err_set(e, ERR_CORRUPT,
			       "%.*s has other bytes than the list of its layer says",
			       (int)l->path_n, l->path);
	return 0;
}

static int export_put(struct flatten *f, size_t layer, const struct list_entry *l, struct err *e)
{
	struct export *x = f->owner;
	auto_free char *path = own_dup_n(l->path, l->path_n), *target = own_dup_n(l->end, l->end_n);
	struct archive_entry *entry = archive_entry_new();
	if (!entry)
		abort();
	archive_entry_set_pathname(entry, path);
	archive_entry_set_filetype(entry, l->type == 'd'   ? AE_IFDIR
					  : l->type == 'l' ? AE_IFLNK
							   : AE_IFREG);
	archive_entry_set_perm(entry, l->mode);
	archive_entry_set_uid(entry, 0);
	archive_entry_set_gid(entry, 0);
	archive_entry_set_mtime(entry, l->mtime_s, (long)l->mtime_ns);
	archive_entry_set_size(entry, l->type == 'f' ? (la_int64_t)l->size : 0);
	if (l->type == 'l')
		archive_entry_set_symlink(entry, target);
	int r = archive_write_header(x->a, entry);
	archive_entry_free(entry);
	x->out->entries++;
	x->out->bytes += l->type == 'f' ? l->size : 0;
	if (r < ARCHIVE_WARN || x->why.kind != ERR_NONE)
		return export_failed(x, e);
	return l->type == 'f' ? export_content(x, f, layer, l, e) : 0;
}

static int export_open(struct export *x, struct err *e)
{
	x->a = archive_write_new();
	x->z = segment_compressor();
	if (!x->a)
		abort();
	x->buffer = own_alloc(ZSTD_CStreamOutSize());
	x->read = own_alloc(BUILD_BUFFER);
	if (hash_open(&x->archive, "SHA256") || hash_open(&x->file, "SHA256"))
		return err_set(e, ERR_SYS, "libcrypto has no SHA-256");
	if (archive_write_set_format_pax(x->a) || archive_write_add_filter_none(x->a) ||
	    archive_write_set_bytes_per_block(x->a, 10240) ||
	    archive_write_open(x->a, x, NULL, export_on_write, NULL))
		return export_failed(x, e);
	return 0;
}

/* The archive's end, if nothing went wrong before it. */
static int export_end(struct export *x, int rc, struct err *e)
{
	if (!rc && archive_write_close(x->a) < ARCHIVE_WARN)
		rc = export_failed(x, e);
	if (!rc && export_write(x, NULL, 0, ZSTD_e_end))
		rc = export_failed(x, e);
	if (!rc && fsync(x->fd) && errno != EINVAL &&
	    errno != EROFS) /* a pipe has nothing to sync */
		rc = err_sys(e, "sync the archive");
	if (!rc)
		hash_id(&x->archive, x->out->sha256);
	archive_write_free(x->a);
	ZSTD_freeCCtx(x->z);
	hash_close(&x->archive);
	hash_close(&x->file);
	free(x->buffer);
	free(x->read);
	return rc ? err_add(e, "export") : 0;
}

int cache_export(struct cache *c, const char *const *layers, size_t n, int fd,
		 struct cache_exported *out, struct err *e)
{
	struct export x = {.out = out, .fd = fd};
	struct flatten f = {.put = export_put, .owner = &x, .b = {.root = -1, .list = {.fd = -1}}};
	struct charset charset = charset_enter();
	*out = (struct cache_exported){0};
	int rc = export_open(&x, e);
	if (!rc)
		rc = flatten_walk(&f, c, layers, n, e);
	rc = export_end(&x, rc, e);
	charset_leave(&charset);
	return rc;
}

static int pack_content(struct export *x, const struct cache_member *m, struct err *e)
{
	uint64_t left = m->size;
	if (m->fd < 0)
		return archive_write_data(x->a, m->bytes, m->size) != (la_ssize_t)m->size
			       ? export_failed(x, e)
			       : 0;
	while (left) {
		ssize_t n = read(m->fd, x->read, left < BUILD_BUFFER ? (size_t)left : BUILD_BUFFER);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(e, "read %s", m->name);
		if (!n)
			return err_set(e, ERR_CORRUPT, "%s became shorter meanwhile", m->name);
		if (archive_write_data(x->a, x->read, (size_t)n) != n)
			return export_failed(x, e);
		left -= (uint64_t)n;
	}
	return 0;
}

static int pack_put(struct export *x, const struct cache_member *m, struct err *e)
{
	struct archive_entry *entry = archive_entry_new();
	if (!entry)
		abort();
	archive_entry_set_pathname(entry, m->name);
	archive_entry_set_filetype(entry, AE_IFREG);
	archive_entry_set_perm(entry, 0644);
	archive_entry_set_uid(entry, 0);
	archive_entry_set_gid(entry, 0);
	archive_entry_set_mtime(entry, 0, 0);
	archive_entry_set_size(entry, (la_int64_t)m->size);
	int r = archive_write_header(x->a, entry);
	archive_entry_free(entry);
	x->out->entries++;
	x->out->bytes += m->size;
	if (r < ARCHIVE_WARN || x->why.kind != ERR_NONE)
		return export_failed(x, e);
	return pack_content(x, m, e);
}

int cache_pack(const struct cache_member *members, size_t n, int fd, struct cache_exported *out,
	       struct err *e)
{
	struct export x = {.out = out, .fd = fd};
	struct charset charset = charset_enter();
	*out = (struct cache_exported){0};
	int rc = export_open(&x, e);
	for (size_t i = 0; !rc && i < n; i++)
		rc = pack_put(&x, &members[i], e);
	rc = export_end(&x, rc, e);
	charset_leave(&charset);
	return rc;
}

static int restore_put(struct flatten *f, size_t layer, const struct list_entry *l, struct err *e)
{
	struct cache_exported *out = f->owner;
	out->entries++;
	out->bytes += l->type == 'f' ? l->size : 0;
	return flatten_put(f, layer, l, e);
}

int cache_restore(struct cache *c, const char *const *layers, size_t n, int dirfd,
		  struct cache_exported *out, struct err *e)
{
	struct flatten f = {.put = restore_put, .owner = out, .copy = true};
	*out = (struct cache_exported){0};
	f.b = (struct build){.c = c,
			     .root = dirfd,
			     .at = TREE_AT(dirfd),
			     .list = {.fd = -1},
			     .plain_modes = build_modes(dirfd)};
	f.b.buffer = own_alloc(BUILD_BUFFER);
	int rc = hash_open(&f.b.hash, "SHA256") ? err_set(e, ERR_SYS, "libcrypto has no SHA-256")
						: flatten_walk(&f, c, layers, n, e);
	if (!rc && syncfs(dirfd))
		rc = err_sys(e, "sync what was restored");
	tree_at_fini(&f.b.at);
	hash_close(&f.b.hash);
	free(f.b.buffer);
	return rc ? err_add(e, "restore") : 0;
}
