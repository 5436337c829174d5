/* An archive is hostile: libarchive only reads it, the files are written here, beneath one
 * directory and through no link. */
#include "cache/charset.h"
#include "cache/import.h"
#include "cache/source.h"
#include "base/dir.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define EXTRACT_NAME_MAX 4095

struct extract {
	struct build *b;
	const struct cache_import *how;
	struct import_left *left;
	struct archive *a;
	const struct source *source;       /* NULL: somebody else's */
	const struct cache_record *record; /* of what is in it, or NULL */
	size_t next;                       /* its entry that the next member may be */
	const char *member;                /* as the archive calls it, for messages */
};

static int extract_refuse(struct extract *x, struct err *e, const char *why)
{
	return err_set(e, ERR_HOSTILE, "member %.200s: %s", x->member, why);
}

static int extract_damaged(struct extract *x, struct err *e)
{
	const char *why = archive_error_string(x->a);
	if (x->source && source_failed(x->source, e))
		return -1;
	return err_set(e, ERR_INPUT, "%s%.200s%s%s", x->member ? "member " : "",
		       x->member ? x->member : "", x->member ? ": " : "",
		       why ? why : "damaged archive");
}

/* raw, stripped and prefixed, "." and empty components taken out. 1 and *path (the caller frees
 * it), 0: nothing is left of it, -1. */
static int extract_path(struct extract *x, const char *raw, char **path, struct err *e)
{
	auto_text struct text t = TEXT_INIT;
	unsigned strip = x->how->strip;
	bool any = false;
	if (strlen(raw) > EXTRACT_NAME_MAX)
		return extract_refuse(x, e, "its name is longer than 4095 bytes");
	if (raw[0] == '/')
		return extract_refuse(x, e, "an absolute name");
	if (x->how->prefix)
		text_add(&t, x->how->prefix);
	for (const char *p = raw; *p;) {
		size_t n = strcspn(p, "/");
		if (n == 2 && p[0] == '.' && p[1] == '.')
			return extract_refuse(x, e, "its name leads out with ..");
		if (n > 255)
			return extract_refuse(x, e,
					      "a component of its name is longer than 255 bytes");
		if (n && !(n == 1 && *p == '.')) {
			if (strip) {
				strip--;
			} else {
				if (t.n)
					text_addc(&t, '/');
				text_put(&t, p, n);
				any = true;
			}
		}
		p += n + (p[n] == '/');
	}
	if (!any)
		return 0;
	*path = text_take(&t);
	return 1;
}

static const char *extract_type_name(mode_t type)
{
	return S_ISDIR(type) ? "directory" : S_ISLNK(type) ? "link" : "file";
}

/* Room for path: its directories exist, and an earlier member of that name and type is gone (a
 * later one wins, as in tar). 0, 1: it is a directory and there already, -1. */
static int extract_room(struct extract *x, const char *path, mode_t type, struct err *e)
{
	struct stat st;
	const char *name;
	const char *slash = strrchr(path, '/');
	int dir = tree_at(&x->b->at, path, &name);
	if (dir < 0 && errno == ENOENT && slash) {
		auto_free char *above = own_dup_n(path, (size_t)(slash - path));
		if (build_dirs(x->b, above, e))
			return e->sys == ELOOP || e->sys == ENOTDIR
				       ? extract_refuse(x, e, "it lies beyond a link or a file")
				       : -1;
		dir = tree_at(&x->b->at, path, &name);
	}
	if (dir < 0 && (errno == ELOOP || errno == ENOTDIR))
		return extract_refuse(x, e, "it lies beyond a link or a file");
	if (dir < 0)
		return err_sys(e, "open the directory of %s", path);
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW)) {
		if (errno != ENOENT)
			return err_sys(e, "stat %s", path);
		return import_take(x->left, 1, 0, x->member, e);
	}
	if ((st.st_mode & S_IFMT) != type) {
		char why[80];
		snprintf(why, sizeof(why), "a %s where a %s was before", extract_type_name(type),
			 extract_type_name(st.st_mode));
		return extract_refuse(x, e, why);
	}
	if (S_ISDIR(type))
		return 1;
	if (unlinkat(dir, name, 0))
		return err_sys(e, "replace %s", path);
	return 0;
}

static int extract_blocks(struct extract *x, int fd, uint64_t *end, struct err *e)
{
	const void *bytes;
	size_t n;
	la_int64_t at;
	for (;;) {
		int r = archive_read_data_block(x->a, &bytes, &n, &at);
		if (r == ARCHIVE_EOF) {
			if ((uint64_t)at > *end)
				return import_take(x->left, 0, (uint64_t)at - *end, x->member, e)
					       ? -1
					       : (*end = (uint64_t)at, 0);
			return 0;
		}
		if (r == ARCHIVE_RETRY)
			continue;
		if (r != ARCHIVE_OK) /* also ARCHIVE_WARN: a wrong checksum of a zip member */
			return extract_damaged(x, e);
		if (at < 0 || (uint64_t)at < *end)
			return extract_refuse(x, e, "its blocks overlap");
		if (import_take(x->left, 0, (uint64_t)at + n - *end, x->member, e))
			return -1;
		*end = (uint64_t)at + n;
		if (lseek(fd, at, SEEK_SET) < 0 || dir_write_all(fd, bytes, n))
			return err_sys(e, "write %s", x->member);
	}
}

/* What the record says of path, or NULL: members and record are in the same order, and one that is
 * not gives a tree that is not the one its name says. */
static const struct cache_entry *extract_recorded(struct extract *x, const char *path)
{
	for (; x->record && x->next < x->record->n_entries; x->next++) {
		const struct cache_entry *r = &x->record->entries[x->next];
		int order = strcmp(r->path, path);
		if (order >= 0)
			return order || r->change > CACHE_MERGED ? NULL : r;
	}
	return NULL;
}

static struct build_meta extract_meta(struct extract *x, struct archive_entry *entry,
				      const char *path, unsigned mode)
{
	struct build_meta m = {.mode = mode};
	const struct cache_entry *r = extract_recorded(x, path);
	if (r) {
		m.mtime_s = r->mtime_s;
		m.mtime_ns = r->mtime_ns;
	} else if (archive_entry_mtime_is_set(entry)) {
		m.mtime_s = archive_entry_mtime(entry);
		m.mtime_ns = (uint32_t)archive_entry_mtime_nsec(entry);
	}
	return m;
}

static int extract_file(struct extract *x, struct archive_entry *entry, const char *path,
			struct err *e)
{
	struct build_meta m = extract_meta(x, entry, path, import_mode(archive_entry_perm(entry)));
	uint64_t end = 0;
	if (extract_room(x, path, S_IFREG, e))
		return -1;
	/* A bomb is refused by what it says of itself already, before the disk is full. */
	if (archive_entry_size_is_set(entry) &&
	    (archive_entry_size(entry) < 0 || (uint64_t)archive_entry_size(entry) > x->left->bytes))
		return import_take(x->left, 0, UINT64_MAX, x->member, e);
	auto_fd int fd = build_file(x->b, path, e);
	if (fd < 0 || extract_blocks(x, fd, &end, e))
		return -1;
	if (ftruncate(fd, (off_t)end))
		return err_sys(e, "write %s", x->member);
	return build_finish(fd, &m, e);
}

static int extract_hardlink(struct extract *x, const char *path, const char *to, struct err *e)
{
	auto_free char *target = NULL;
	const char *name, *mine;
	struct stat st;
	struct tree_at there = TREE_AT(x->b->root);
	int got = extract_path(x, to, &target, e);
	if (got < 0)
		return -1;
	if (!got)
		return extract_refuse(x, e, "a hard link to nothing");
	if (!strcmp(target, path))
		return 0;
	int rc = -1;
	int dir = tree_at(&there, target, &name);
	if (dir < 0 || fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) || !S_ISREG(st.st_mode))
		extract_refuse(x, e, "a hard link to what the archive has not made");
	else if (!extract_room(x, path, S_IFREG, e)) {
		int here = tree_at(&x->b->at, path, &mine);
		if (here < 0 || linkat(dir, name, here, mine, 0))
			err_sys(e, "link %s", path);
		else
			rc = 0;
	}
	tree_at_fini(&there);
	return rc;
}

static int extract_symlink(struct extract *x, struct archive_entry *entry, const char *path,
			   struct err *e)
{
	struct build_meta m = extract_meta(x, entry, path, 0777);
	const char *target = archive_entry_symlink(entry);
	if (!target)
		target = archive_entry_symlink_utf8(entry);
	if (!target || !*target || strlen(target) > EXTRACT_NAME_MAX)
		return extract_refuse(x, e, "a link with no or too long a target");
	if (extract_room(x, path, S_IFLNK, e))
		return -1;
	return build_symlink(x->b, path, target, &m, e);
}

static int extract_directory(struct extract *x, const char *path, struct err *e)
{
	int room = extract_room(x, path, S_IFDIR, e);
	return room ? (room < 0 ? -1 : 0) : build_dir(x->b, path, e);
}

static int extract_member(struct extract *x, struct archive_entry *entry, bool *made, struct err *e)
{
	auto_free char *path = NULL;
	const char *to = archive_entry_hardlink(entry);
	if (!to)
		to = archive_entry_hardlink_utf8(entry);
	int got = extract_path(x, x->member, &path, e);
	if (got <= 0)
		return got;
	*made = true;
	if (to)
		return extract_hardlink(x, path, to, e);
	switch (archive_entry_filetype(entry)) {
	case AE_IFREG:
		return extract_file(x, entry, path, e);
	case AE_IFDIR:
		return extract_directory(x, path, e);
	case AE_IFLNK:
		return extract_symlink(x, entry, path, e);
	default:
		return extract_refuse(x, e, "a device, fifo, socket or something unknown");
	}
}

/* Named one by one: the "all" calls would bring readers that run other programs or open other files
 * (lrzip, mtree). */
static int (*const extract_readers[])(struct archive *) = {
	archive_read_support_format_tar,   archive_read_support_format_gnutar,
	archive_read_support_format_zip,   archive_read_support_format_cpio,
	archive_read_support_format_7zip,  archive_read_support_filter_gzip,
	archive_read_support_filter_bzip2, archive_read_support_filter_xz,
	archive_read_support_filter_lzma,  archive_read_support_filter_zstd,
	archive_read_support_filter_lz4,   archive_read_support_filter_compress,
};

static int extract_members(struct extract *x, struct err *e)
{
	struct archive_entry *entry;
	bool made = false;
	for (;;) {
		x->member = NULL;
		int r = archive_read_next_header(x->a, &entry);
		if (r == ARCHIVE_EOF)
			break;
		if (r == ARCHIVE_RETRY)
			continue;
		if (r < ARCHIVE_WARN)
			return extract_damaged(x, e);
		/* One filter and the one that does nothing: nobody packs twice but for a bomb. */
		if (archive_filter_count(x->a) > 2)
			return err_set(e, ERR_HOSTILE, "it is compressed more than once");
		x->member = archive_entry_pathname(entry);
		if (!x->member)
			x->member = archive_entry_pathname_utf8(entry);
		if (!x->member || !*x->member) {
			x->member = "(unnamed)";
			return extract_refuse(x, e, "it has no name we can read");
		}
		if (archive_entry_is_encrypted(entry) == 1)
			return err_set(e, ERR_INPUT, "member %.200s is encrypted", x->member);
		if (extract_member(x, entry, &made, e))
			return -1;
	}
	if (!made)
		return err_set(e, ERR_INPUT,
			       x->how->strip ? "nothing in it is left after stripping"
					     : "the archive is empty");
	return 0;
}

int extract_rest(struct build *b, struct archive *a, const struct cache_record *record,
		 struct import_left *left, struct err *e)
{
	static const struct cache_import plain = {0};
	struct extract x = {.b = b, .how = &plain, .left = left, .a = a, .record = record};
	return extract_members(&x, e);
}

int extract_archive(struct build *b, int fd, const struct cache_import *how,
		    struct import_left *left, struct err *e)
{
	struct source source = {.fd = -1};
	struct extract x = {
		.b = b, .how = how, .left = left, .a = archive_read_new(), .source = &source};
	struct charset charset = charset_enter();
	int rc = 0;
	if (!x.a)
		abort();
	for (size_t i = 0; i < countof(extract_readers); i++)
		if (extract_readers[i](x.a) < ARCHIVE_WARN)
			rc = extract_damaged(&x, e);
	if (!rc && how->prefix && *how->prefix)
		rc = build_dirs(b, how->prefix, e);
	if (!rc && source_open(&source, x.a, fd) != ARCHIVE_OK)
		rc = extract_damaged(&x, e);
	if (!rc)
		rc = extract_members(&x, e);
	archive_read_free(x.a);
	source_fini(&source);
	charset_leave(&charset);
	return rc;
}
