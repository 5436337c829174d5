/* What the segments hold, made into layers again or compared with what their records say. */
#include "cache/frame.h"
#include "cache/harvest.h"
#include "cache/import.h"
#include "cache/reader.h"
#include "cache/segment.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

/* What the layer hides only its record says. */
static int restore_hidden(struct build *b, const struct cache_record *record, struct err *e)
{
	for (size_t i = 0; i < record->n_entries; i++) {
		const struct cache_entry *x = &record->entries[i];
		if (x->type != 'w' || x->change != CACHE_DELETED)
			continue;
		const char *slash = strrchr(x->path, '/');
		auto_free char *above =
			slash ? own_dup_n(x->path, (size_t)(slash - x->path)) : NULL;
		if ((above && build_dirs(b, above, e)) || build_whiteout(b, x->path, e))
			return -1;
	}
	return 0;
}

static int restore_into(struct build *b, const char *id, struct reader *r, struct cache_layer *out,
			struct err *e)
{
	struct cache_record record;
	struct import_left left = {.entries = UINT64_MAX, .bytes = INT64_MAX};
	int rc = reader_record(r, &record, e);
	if (!rc && strcmp(record.layer, id))
		rc = err_set(e, ERR_CORRUPT, "the frames are about layer %.12s", record.layer);
	if (!rc && record.counts.added + record.counts.replaced + record.counts.merged &&
	    extract_rest(b, r->a, &record, &left, e))
		rc = r->why.kind == ERR_NONE ? -1 : reader_failed(r, e);
	if (!rc)
		rc = restore_hidden(b, &record, e);
	reader_record_fini(&record);
	if (rc)
		return -1;
	if (build_list(b, e) || build_name(b, out, e))
		return -1;
	if (strcmp(out->id, id))
		return err_set(e, ERR_CORRUPT, "the frames hold another tree, %.12s", out->id);
	return 0;
}

int cache_layer_restore(struct cache *c, const char *id, const struct cache_frame *frames, size_t n,
			struct err *e)
{
	struct build b;
	struct reader r;
	struct cache_layer out = {0};
	if (build_begin(&b, c, e))
		return -1;
	int rc = reader_open(&r, c, frames, n, e);
	if (!rc)
		rc = restore_into(&b, id, &r, &out, e);
	reader_close(&r);
	if (!rc)
		rc = build_replace(&b, &out, e);
	/* A frame that passes for one of ours and holds what no harvest lets in. */
	if (rc && (e->kind == ERR_HOSTILE || e->kind == ERR_INPUT))
		e->kind = ERR_CORRUPT;
	build_drop(&b);
	return rc ? err_add(e, "layer %.12s from its segment", id) : 0;
}

int cache_record_read(struct cache *c, const struct cache_frame *frames, size_t n,
		      struct cache_record *record, struct err *e)
{
	struct reader r;
	*record = (struct cache_record){0};
	int rc = reader_open(&r, c, frames, n, e);
	if (!rc)
		rc = reader_record(&r, record, e);
	reader_close(&r);
	return rc;
}

void cache_record_fini(struct cache_record *r)
{
	reader_record_fini(r);
}

int cache_frame_verify(struct cache *c, const struct cache_frame *f, struct err *e)
{
	char name[SEGMENT_NAME], is[CACHE_SUM];
	struct frame_mark m;
	segment_name(f->segment, name);
	auto_fd int fd = c->seg_fd < 0 ? -1 : tree_open(c->seg_fd, name, O_RDONLY | O_NONBLOCK);
	if (fd < 0 && (c->seg_fd < 0 || errno == ENOENT))
		return err_set(e, ERR_CORRUPT, "segment %s is gone", name);
	if (fd < 0)
		return err_sys(e, "open segment %s", name);
	int got = frame_mark_behind(fd, f, &m, e);
	if (got >= 0)
		got = frame_digest(fd, f->offset, f->bytes - m.size, sum_kind_of(f->digest), is, e);
	if (got < 0)
		return err_add(e, "segment %s", name);
	if (!got)
		return err_set(e, ERR_CORRUPT, "segment %s is cut short", name);
	return strcmp(is, f->digest)
		       ? err_set(e, ERR_CORRUPT, "segment %s: the frame at %llu has other bytes",
				 name, (unsigned long long)f->offset)
		       : 0;
}

/* ---- a publish entry by entry ---- */

static int restore_differs(const struct cache_record *r, const char *path, const char *what,
			   struct err *e)
{
	return err_set(e, ERR_CORRUPT, "segment %06u: %.300s %s", (unsigned)r->frames->segment,
		       path, what);
}

/* Plain tar takes all of that from the header. */
static bool restore_plain(struct archive_entry *entry, mode_t type, unsigned mode)
{
	return archive_entry_filetype(entry) == type && archive_entry_perm(entry) == mode &&
	       !archive_entry_uid(entry) && !archive_entry_gid(entry) &&
	       !archive_entry_hardlink(entry);
}

/* Something the record tells of lies in the directory. */
static bool restore_leads(const struct cache_record *r, const char *dir, size_t n)
{
	auto_free char *below = own_fmt("%.*s/", (int)n, dir);
	size_t from = 0, to = r->n_entries;
	while (from < to) {
		size_t mid = from + (to - from) / 2;
		if (strcmp(r->entries[mid].path, below) < 0)
			from = mid + 1;
		else
			to = mid;
	}
	return from < r->n_entries && !strncmp(r->entries[from].path, below, n + 1);
}

static int restore_check(struct reader *r, const struct cache_record *record,
			 const struct cache_entry *x, struct archive_entry *entry, struct hash *h,
			 char *buffer, struct err *e)
{
	char id[CACHE_ID];
	const char *path = archive_entry_pathname(entry), *target = archive_entry_symlink(entry);
	const mode_t type = x->type == 'd' ? AE_IFDIR : x->type == 'l' ? AE_IFLNK : AE_IFREG;
	if (!path || strncmp(path, x->path, strlen(x->path)) ||
	    (path[strlen(x->path)] && strcmp(path + strlen(x->path), "/")))
		return restore_differs(record, x->path, "is not where its record says", e);
	if (!restore_plain(entry, type, x->mode))
		return restore_differs(record, x->path, "has another type, mode or owner", e);
	/* Other times are written in ways of their own (ustar.c). */
	if (x->mtime_s >= 0 && x->mtime_s < INT32_MAX && archive_entry_mtime(entry) != x->mtime_s)
		return restore_differs(record, x->path, "has another time", e);
	if (x->type == 'l' && (!target || !x->target || strcmp(target, x->target)))
		return restore_differs(record, x->path, "has another target", e);
	if (x->type != 'f')
		return 0;
	for (ssize_t n; (n = reader_data(r, buffer, BUILD_BUFFER, e));) {
		if (n < 0)
			return -1;
		hash_add(h, buffer, (size_t)n);
	}
	hash_id(h, id);
	return strcmp(id, x->sha256) ? restore_differs(record, x->path, "has other bytes", e) : 0;
}

/* The entries that are in the layer: what was brought in, and the directories above it, which the
 * record passes over where the store had them. */
static int restore_compare(struct reader *r, const struct cache_record *record, struct hash *h,
			   struct err *e)
{
	auto_free char *buffer = own_alloc(BUILD_BUFFER);
	struct archive_entry *entry;
	int got;
	size_t i = 0;
	while ((got = reader_next(r, &entry, e)) > 0) {
		while (i < record->n_entries && record->entries[i].change > CACHE_MERGED)
			i++;
		const struct cache_entry *x = i < record->n_entries ? &record->entries[i] : NULL;
		const char *path = archive_entry_pathname(entry);
		size_t n = path ? strlen(path) : 0;
		n -= n && path[n - 1] == '/';
		bool above = archive_entry_filetype(entry) == AE_IFDIR &&
			     (!x || !path || strncmp(path, x->path, n) || strlen(x->path) != n);
		if (above && (!path || !restore_plain(entry, AE_IFDIR, 0755) ||
			      !restore_leads(record, path, n)))
			return restore_differs(record, path ? path : "?", "is in no record", e);
		if (above)
			continue;
		if (!x)
			return restore_differs(record, path ? path : "?", "is in no record", e);
		if (restore_check(r, record, x, entry, h, buffer, e))
			return -1;
		i++;
	}
	while (!got && i < record->n_entries && record->entries[i].change > CACHE_MERGED)
		i++;
	if (!got && i < record->n_entries)
		return restore_differs(record, record->entries[i].path, "is gone", e);
	return got;
}

int cache_record_verify(struct cache *c, const struct cache_frame *frames, size_t n,
			const char *layer, struct err *e)
{
	struct reader r;
	struct cache_record record = {0};
	struct hash h = {0};
	int rc = hash_open(&h, "SHA256") ? err_set(e, ERR_SYS, "libcrypto has no SHA-256") : 0;
	if (!rc) {
		rc = reader_open(&r, c, frames, n, e);
		if (!rc)
			rc = reader_record(&r, &record, e);
		if (!rc && strcmp(record.layer, layer))
			rc = err_set(e, ERR_CORRUPT, "the frames are about layer %.12s",
				     record.layer);
		if (!rc)
			rc = restore_compare(&r, &record, &h, e);
		reader_close(&r);
	}
	reader_record_fini(&record);
	hash_close(&h);
	return rc;
}
