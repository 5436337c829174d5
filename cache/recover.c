/* The order: what the segments have past their committed ends is offered to the caller first, so
 * that what it takes is known when segments are cut and layers swept. Told again after a kill, all
 * of it does the same. */
#include "cache/recover.h"
#include "cache/rewrite.h"
#include "cache/scan.h"
#include "cache/segment.h"
#include "base/dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

struct recover_found {
	char layer[CACHE_ID];
	struct cache_frame *frames;
	size_t n_frames;
};

struct recover {
	struct cache *c;
	const struct cache_known *known;
	struct scan_end *ends; /* how far each segment is good; then: how far it counts */
	size_t n_ends;
	struct recover_found *found;
	size_t n_found;
	const char **layers; /* all that are named, sorted */
	size_t n_layers;
};

/* ---- names ---- */

/* What to do about one name of a directory; 0 or -1. */
typedef int (*recover_name_fn)(struct recover *r, const char *name, struct err *e);

static int recover_each(struct recover *r, int dirfd, const char *what, recover_name_fn fn,
			struct err *e)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	if (!d) {
		err_sys(e, "read %s", what);
		own_close(&fd);
		return -1;
	}
	/* The names first: what is removed meanwhile must not disturb the reading. */
	auto_text struct text names = TEXT_INIT;
	for (struct dirent *it; (errno = 0, it = readdir(d));)
		if (strcmp(it->d_name, ".") && strcmp(it->d_name, ".."))
			text_put(&names, it->d_name, strlen(it->d_name) + 1);
	int rc = errno ? err_sys(e, "read %s", what) : 0;
	closedir(d);
	for (size_t at = 0; !rc && at < names.n; at += strlen(names.p + at) + 1)
		rc = fn(r, names.p + at, e);
	return rc;
}

static int recover_sweep_tmp(struct recover *r, const char *name, struct err *e)
{
	return dir_remove(r->c->tmp_fd, name, e);
}

static int recover_sweep_trash(struct recover *r, const char *name, struct err *e)
{
	return dir_remove(r->c->trash_fd, name, e);
}

static int recover_by_id(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* "<id>" and "<id>.list"; other names are not ours and stay. Of a layer that was being removed the
 * list is what is left, also of one that the archive may bring back. */
static int recover_sweep_layer(struct recover *r, const char *name, struct err *e)
{
	size_t n = strcspn(name, ".");
	if (!cache_is_id(name, n) || (name[n] && strcmp(name + n, ".list")))
		return 0;
	auto_free char *id = own_dup_n(name, n);
	const char *key = id;
	if (r->n_layers &&
	    bsearch(&key, r->layers, r->n_layers, sizeof(*r->layers), recover_by_id) &&
	    (!name[n] || !faccessat(r->c->layers_fd, id, F_OK, AT_SYMLINK_NOFOLLOW)))
		return 0;
	return cache_discard(r->c, r->c->layers_fd, name, e);
}

/* ---- segments ---- */

static int recover_on_record(void *owner, const struct cache_record *record, struct err *e)
{
	struct recover *r = owner;
	int taken = r->known->on_found ? r->known->on_found(r->known->owner, record, e) : 0;
	if (taken <= 0)
		return taken;
	r->found = own_grow(r->found, r->n_found + 1, sizeof(*r->found));
	struct recover_found *f = &r->found[r->n_found++];
	*f = (struct recover_found){.n_frames = record->n_frames};
	if (record->kind == CACHE_PUBLISH)
		memcpy(f->layer, record->layer, CACHE_ID);
	f->frames = own_calloc(record->n_frames, sizeof(*f->frames));
	memcpy(f->frames, record->frames, record->n_frames * sizeof(*f->frames));
	return 0;
}

static const struct cache_known_segment *recover_known(const struct recover *r, uint32_t segment)
{
	for (size_t i = 0; i < r->known->n_segments; i++)
		if (r->known->segments[i].number == segment)
			return &r->known->segments[i];
	return NULL;
}

/* Where the segment ends from now on: behind what was committed and what was found and taken. */
static uint64_t recover_end(const struct recover *r, uint32_t segment, uint64_t there)
{
	const struct cache_known_segment *k = recover_known(r, segment);
	uint64_t end = k ? k->bytes : 0;
	for (size_t i = 0; i < r->n_found; i++)
		for (size_t m = 0; m < r->found[i].n_frames; m++) {
			const struct cache_frame *f = &r->found[i].frames[m];
			if (f->segment == segment && f->offset + f->bytes > end)
				end = f->offset + f->bytes;
		}
	return end < there ? end : there;
}

static int recover_cut(struct recover *r, struct scan_end *end, struct err *e)
{
	char name[SEGMENT_NAME];
	struct stat st;
	segment_name(end->segment, name);
	if (fstatat(r->c->seg_fd, name, &st, AT_SYMLINK_NOFOLLOW))
		return err_sys(e, "stat segment %s", name);
	uint64_t size = (uint64_t)st.st_size;
	end->bytes = recover_end(r, end->segment, size);
	if (!end->bytes && !recover_known(r, end->segment))
		return unlinkat(r->c->seg_fd, name, 0) ? err_sys(e, "remove segment %s", name) : 0;
	if (size == end->bytes)
		return 0;
	if (!(st.st_mode & 0200) && fchmodat(r->c->seg_fd, name, 0644, 0))
		return err_sys(e, "open segment %s", name);
	auto_fd int fd = dir_open_beneath(r->c->seg_fd, name, O_RDWR | O_NONBLOCK, 0);
	if (fd < 0)
		return err_sys(e, "open segment %s", name);
	if (ftruncate(fd, (off_t)end->bytes) || fsync(fd))
		return err_sys(e, "cut segment %s", name);
	return 0;
}

static uint64_t recover_there(const struct recover *r, uint32_t segment)
{
	for (size_t i = 0; i < r->n_ends; i++)
		if (r->ends[i].segment == segment)
			return r->ends[i].bytes;
	return 0;
}

static int recover_lost(const struct recover *r, const struct cache_known_segment *k, struct err *e)
{
	uint64_t left = recover_there(r, k->number);
	if (left >= k->bytes)
		return 0;
	if (r->known->on_lost)
		return r->known->on_lost(r->known->owner, k->number, left, e);
	if (!left)
		return err_set(e, ERR_CORRUPT,
			       "segment %06u.tar.zst is gone, %llu bytes were committed",
			       (unsigned)k->number, (unsigned long long)k->bytes);
	return err_set(e, ERR_CORRUPT, "segment %06u.tar.zst has %llu bytes, %llu were committed",
		       (unsigned)k->number, (unsigned long long)left, (unsigned long long)k->bytes);
}

/* Where the next frame goes: behind the last one; never into a segment that has lost something: its
 * number is not given again, for what it held may come back. */
static int recover_place(struct recover *r, struct err *e)
{
	struct cache *c = r->c;
	for (size_t i = 0; i < r->n_ends; i++)
		if (r->ends[i].segment > c->segment && r->ends[i].bytes) {
			c->segment = r->ends[i].segment;
			c->segment_end = r->ends[i].bytes;
		}
	for (size_t i = 0; i < r->known->n_segments; i++) {
		const struct cache_known_segment *k = &r->known->segments[i];
		uint64_t there = recover_there(r, k->number);
		if (k->number < c->segment || (k->number == c->segment && there >= k->bytes))
			continue;
		bool lost = there < k->bytes || !there;
		c->segment = k->number + lost;
		c->segment_end = lost ? 0 : there;
	}
	for (uint32_t n = 1; n < c->segment; n++)
		if (segment_seal(c, n, e))
			return -1;
	c->sealed = c->segment ? c->segment - 1 : 0;
	return 0;
}

static int recover_segments(struct recover *r, struct err *e)
{
	const struct cache_scan scan = {.on_record = recover_on_record, .owner = r};
	if (scan_from(r->c, r->known->segments, r->known->n_segments, &scan, &r->ends, &r->n_ends,
		      e))
		return -1;
	for (size_t i = 0; i < r->known->n_segments; i++)
		if (recover_lost(r, &r->known->segments[i], e))
			return -1;
	for (size_t i = 0; i < r->n_ends; i++)
		if (recover_cut(r, &r->ends[i], e))
			return -1;
	return recover_place(r, e);
}

/* ---- layers ---- */

static void recover_layers(struct recover *r)
{
	r->layers = own_calloc(r->known->n_layers + r->n_found + 1, sizeof(*r->layers));
	for (size_t i = 0; i < r->known->n_layers; i++)
		r->layers[r->n_layers++] = r->known->layers[i];
	for (size_t i = 0; i < r->n_found; i++)
		r->layers[r->n_layers++] = r->found[i].layer;
	qsort(r->layers, r->n_layers, sizeof(*r->layers), recover_by_id);
}

static int recover_restore(struct recover *r, struct err *e)
{
	for (size_t i = 0; i < r->n_found; i++) {
		const struct recover_found *f = &r->found[i];
		if (!f->layer[0] ||
		    !faccessat(r->c->layers_fd, f->layer, F_OK, AT_SYMLINK_NOFOLLOW))
			continue;
		if (cache_layer_restore(r->c, f->layer, f->frames, f->n_frames, e))
			return -1;
	}
	return 0;
}

int recover(struct cache *c, const struct cache_known *known, struct err *e)
{
	struct recover r = {.c = c, .known = known};
	int rc = rewrite_settle(c, known->segments, known->n_segments, e);
	if (!rc)
		rc = recover_segments(&r, e);
	recover_layers(&r);
	if (!rc && (recover_each(&r, c->layers_fd, "layers", recover_sweep_layer, e) ||
		    recover_each(&r, c->tmp_fd, "tmp", recover_sweep_tmp, e) ||
		    recover_each(&r, c->trash_fd, "trash", recover_sweep_trash, e) ||
		    recover_restore(&r, e)))
		rc = -1;
	if (!rc && (fsync(c->seg_fd) || fsync(c->layers_fd)))
		rc = err_sys(e, "sync the repaired directories");
	for (size_t i = 0; i < r.n_found; i++)
		free(r.found[i].frames);
	free(r.found);
	free(r.ends);
	free(r.layers);
	return rc;
}
