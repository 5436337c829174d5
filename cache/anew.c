/* Publishes whose frames are damaged or gone, written into their segment again: what was brought is
 * what the caller's database says, its bytes come from any layer that has them. Nothing is
 * believed: each file is compared with its digest, and all of it together must have the layer's. */
#include "cache/build.h"
#include "cache/frame.h"
#include "cache/harvest.h"
#include "cache/record.h"
#include "cache/rewrite.h"
#include "cache/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

/* What is in the layer: an entry, or a directory above one, which the record passes over where the
 * store had it. */
struct anew_item {
	const char *path;
	char *above; /* path, where it is ours */
	const struct cache_entry *x;
};

struct anew_tree {
	struct anew_item *v; /* bytewise by path */
	size_t n, cap;
};

/* ---- what there was ---- */

static void anew_add(struct anew_tree *t, const char *path, char *above,
		     const struct cache_entry *x)
{
	if (t->n == t->cap) {
		t->cap = t->cap ? 2 * t->cap : 64;
		t->v = own_grow(t->v, t->cap, sizeof(*t->v));
	}
	t->v[t->n++] = (struct anew_item){path, above, x};
}

static int anew_by_path(const void *a, const void *b)
{
	const struct anew_item *x = a, *y = b;
	int c = strcmp(x->path, y->path);
	return c ? c : (x->above != NULL) - (y->above != NULL);
}

static bool anew_in_layer(const struct cache_entry *x)
{
	return x->change <= CACHE_MERGED || (x->change == CACHE_DELETED && x->type == 'w');
}

/* The directories above path but for those that are above `before`, too. */
static void anew_add_above(struct anew_tree *t, const char *path, const char *before)
{
	size_t shared = 0;
	while (before[shared] && before[shared] == path[shared])
		shared++;
	for (const char *p = strchr(path, '/'); p; p = strchr(p + 1, '/')) {
		size_t n = (size_t)(p - path);
		if (n < shared)
			continue;
		char *above = own_dup_n(path, n);
		anew_add(t, above, above, NULL);
	}
}

static void anew_tree_make(struct anew_tree *t, const struct cache_record *r)
{
	const char *before = "";
	*t = (struct anew_tree){0};
	for (size_t i = 0; i < r->n_entries; i++) {
		const struct cache_entry *x = &r->entries[i];
		if (!anew_in_layer(x))
			continue;
		anew_add_above(t, x->path, before);
		anew_add(t, x->path, NULL, x);
		before = x->path;
	}
	if (t->n)
		qsort(t->v, t->n, sizeof(*t->v), anew_by_path);
	size_t n = 0;
	for (size_t i = 0; i < t->n; i++) {
		if (n && t->v[i].above && !strcmp(t->v[i].path, t->v[n - 1].path))
			free(t->v[i].above);
		else
			t->v[n++] = t->v[i];
	}
	t->n = n;
}

static void anew_tree_free(struct anew_tree *t)
{
	for (size_t i = 0; i < t->n; i++)
		free(t->v[i].above);
	free(t->v);
	*t = (struct anew_tree){0};
}

static struct list_entry anew_line(const struct anew_item *it)
{
	const struct cache_entry *x = it->x;
	struct list_entry line = {.type = x ? x->type : 'd',
				  .mode = x ? x->mode : 0755,
				  .path = it->path,
				  .path_n = strlen(it->path),
				  .end = "-"};
	if (line.type == 'f' || line.type == 'l') {
		line.mtime_s = x->mtime_s;
		line.mtime_ns = x->mtime_ns;
		line.size = x->size;
		line.end = line.type == 'f' ? x->sha256 : x->target ? x->target : "";
	}
	line.mode = line.type == 'w' ? 0 : line.mode;
	line.end_n = strlen(line.end);
	return line;
}

/* Is it the layer that the record names? 1, 0, -1. */
static int anew_is_layer(struct cache *c, const struct anew_tree *t, const char *id, struct err *e)
{
	struct list_writer w;
	struct cache_layer layer;
	char name[40];
	snprintf(name, sizeof(name), "%d.%lu", (int)getpid(), atomic_fetch_add(&c->serial, 1));
	int rc = list_begin(&w, c->tmp_fd, name, e);
	for (size_t i = 0; !rc && i < t->n; i++) {
		const struct list_entry line = anew_line(&t->v[i]);
		rc = list_add(&w, &line, e);
	}
	if (!rc)
		rc = list_end(&w, &layer, e);
	list_fini(&w);
	(void)!unlinkat(c->tmp_fd, name, 0); /* cache_open sweeps what stays */
	return rc ? -1 : !strcmp(layer.id, id);
}

/* ---- where its bytes are ---- */

struct anew_reader {
	struct cache *c;
	const struct cache_again *a;
	struct hash hash;
	char *buffer;
};

static int anew_reader_open(struct anew_reader *r, struct cache *c, const struct cache_again *a,
			    struct err *e)
{
	*r = (struct anew_reader){.c = c, .a = a, .buffer = own_alloc(BUILD_BUFFER)};
	if (!hash_open(&r->hash, "SHA256"))
		return 0;
	free(r->buffer);
	r->buffer = NULL;
	return err_set(e, ERR_SYS, "libcrypto has no SHA-256");
}

static void anew_reader_close(struct anew_reader *r)
{
	hash_close(&r->hash);
	free(r->buffer);
}

/* Not damage, but our own trouble. */
static bool anew_is_ours(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOMEM || error == EINTR;
}

/* A file with the bytes of x, where it begins. 1, 0 this one has not, -1. */
static int anew_try(struct anew_reader *r, const struct cache_entry *x,
		    const struct cache_place *place, int *out, struct err *e)
{
	char id[CACHE_ID];
	struct stat st;
	uint64_t size = 0;
	auto_free char *rel = own_fmt("%s/%s", place->layer, place->path);
	auto_fd int fd = tree_open(r->c->layers_fd, rel, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st))
		return anew_is_ours(errno) ? err_sys(e, "open layers/%s", rel) : 0;
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != x->size)
		return 0;
	int rc = hash_add_fd(&r->hash, fd, r->buffer, BUILD_BUFFER, &size);
	int error = errno;
	hash_id(&r->hash, id);
	if (rc && anew_is_ours(error)) {
		errno = error;
		return err_sys(e, "read layers/%s", rel);
	}
	if (rc || strcmp(id, x->sha256))
		return 0;
	if (lseek(fd, 0, SEEK_SET))
		return err_sys(e, "read layers/%s again", rel);
	*out = give_fd(&fd);
	return 1;
}

/* 1 and a descriptor, the caller's; 0 no layer has it; -1. */
static int anew_find(struct anew_reader *r, const struct cache_entry *x, int *out, struct err *e)
{
	const struct cache_place *v = NULL;
	size_t n = 0;
	*out = -1;
	if (r->a->places(r->a->owner, x, &v, &n, e))
		return -1;
	for (size_t i = 0; i < n; i++) {
		int got = anew_try(r, x, &v[i], out, e);
		if (got)
			return got;
	}
	return 0;
}

static int anew_check(struct anew_reader *r, const struct anew_tree *t,
		      struct cache_missing *missing, struct err *e)
{
	for (size_t i = 0; i < t->n; i++) {
		const struct cache_entry *x = t->v[i].x;
		if (!x || x->type != 'f' || !x->size)
			continue;
		auto_fd int fd = -1;
		int got = anew_find(r, x, &fd, e);
		if (got < 0)
			return -1;
		if (!got && !missing->files++)
			missing->first = own_dup(x->path);
	}
	return missing->files ? 0 : anew_is_layer(r->c, t, r->a->record->layer, e);
}

int cache_again_check(struct cache *c, const struct cache_again *a, struct cache_missing *missing,
		      struct err *e)
{
	struct anew_tree t;
	struct anew_reader r;
	*missing = (struct cache_missing){0};
	if (a->record->kind == CACHE_PENDING_WORDS) /* the record is all there is */
		return cache_may_write(c, e) ? -1 : 1;
	if (cache_may_write(c, e) || anew_reader_open(&r, c, a, e))
		return -1;
	anew_tree_make(&t, a->record);
	int rc = anew_check(&r, &t, missing, e);
	anew_tree_free(&t);
	anew_reader_close(&r);
	if (rc < 0) {
		free(missing->first);
		*missing = (struct cache_missing){0};
	}
	return rc;
}

/* ---- the segment ---- */

struct cache_anew {
	struct cache *c;
	uint32_t number;
	uint64_t old; /* committed bytes */
	int from, to; /* from: -1 where the file is gone */
	uint64_t end;
	char *buffer;
};

static void anew_free(struct cache_anew *w)
{
	own_close(&w->from);
	own_close(&w->to);
	free(w->buffer);
	free(w);
}

void cache_anew_drop(struct cache_anew *w)
{
	struct cache_rewritten none = {0};
	if (!w)
		return;
	cache_segment_leave(w->c, w->number, &none);
	anew_free(w);
}

struct cache_anew *cache_anew_begin(struct cache *c, uint32_t number, uint64_t bytes, struct err *e)
{
	char name[SEGMENT_NAME];
	if (cache_may_write(c, e))
		return NULL;
	segment_name(number, name);
	struct cache_anew *w = own_calloc(1, sizeof(*w));
	*w = (struct cache_anew){.c = c, .number = number, .old = bytes, .to = -1};
	w->buffer = own_alloc(BUILD_BUFFER);
	w->from = tree_open(c->seg_fd, name, O_RDONLY | O_NONBLOCK);
	if (w->from < 0 && errno != ENOENT)
		err_sys(e, "open segment %s", name);
	else if ((w->to = rewrite_create(c, number, e)) >= 0)
		return w;
	anew_free(w);
	return NULL;
}

int cache_anew_keep(struct cache_anew *w, uint64_t at, uint64_t bytes, uint64_t *to, struct err *e)
{
	*to = w->end;
	if (rewrite_copy(w->from, w->to, w->number, at, bytes, w->buffer, e))
		return -1;
	w->end += bytes;
	return 0;
}

int cache_anew_rest(struct cache_anew *w, uint64_t at, uint64_t bytes, struct err *e)
{
	for (uint64_t end = at + bytes, n = 0, to; at < end; at += n) {
		struct frame_mark m;
		int got = frame_measure(w->from, at, end, &n, e);
		int marked = got > 0 ? frame_find_mark(w->from, at + n, end, &m, e) : 0;
		if (got <= 0 || marked < 0)
			return got < 0 || marked < 0 ? -1 : 0;
		n += marked ? m.size : 0;
		if (cache_anew_keep(w, at, n, &to, e))
			return -1;
	}
	return 0;
}

static int anew_record(struct segment *s, const struct cache_again *a, struct err *e)
{
	auto_text struct text t = TEXT_INIT;
	record_write_again(&t, a->record, a->now_ms, a->salt);
	return segment_record(s, &t, e);
}

/* What is read now is compared once more: it is another reading than the one that was. */
static int anew_content(struct segment *s, struct anew_reader *r, const struct cache_entry *x,
			struct err *e)
{
	char id[CACHE_ID];
	auto_fd int fd = -1;
	int got = x->size ? anew_find(r, x, &fd, e) : 1;
	if (got <= 0)
		return got < 0 ? -1
			       : err_set(e, ERR_CORRUPT, "%s is in no layer any more", x->path);
	for (uint64_t left = x->size; left;) {
		ssize_t n = read(fd, r->buffer, left < BUILD_BUFFER ? (size_t)left : BUILD_BUFFER);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(e, "read %s", x->path);
		if (!n)
			break; /* the digest is another then */
		hash_add(&r->hash, r->buffer, (size_t)n);
		if (segment_data(s, r->buffer, (size_t)n, e))
			return -1;
		left -= (uint64_t)n;
	}
	hash_id(&r->hash, id);
	return strcmp(id, x->sha256)
		       ? err_set(e, ERR_CORRUPT, "%s has other bytes than a moment ago", x->path)
		       : 0;
}

static int anew_entries(struct segment *s, struct anew_reader *r, const struct anew_tree *t,
			struct err *e)
{
	if (anew_record(s, r->a, e))
		return -1;
	for (size_t i = 0; i < t->n; i++) {
		const struct anew_item *it = &t->v[i];
		const struct cache_entry *x = it->x,
					 above = {.path = it->above, .type = 'd', .mode = 0755};
		/* Tar has no word for what is gone: the record says it. */
		if (x && x->type == 'w')
			continue;
		if (segment_add(s, x ? x : &above, e) ||
		    (x && x->type == 'f' && anew_content(s, r, x, e)))
			return -1;
	}
	return segment_end(s, e);
}

int cache_anew_publish(struct cache_anew *w, const struct cache_again *a,
		       struct cache_frame **frames, size_t *n, struct err *e)
{
	struct anew_tree t;
	struct anew_reader r;
	struct segment s;
	*frames = NULL;
	*n = 0;
	if (anew_reader_open(&r, w->c, a, e))
		return -1;
	anew_tree_make(&t, a->record);
	int rc = segment_begin_in(&s, w->c, a->record->layer, w->number, w->to, w->end, e);
	if (!rc) {
		rc = anew_entries(&s, &r, &t, e);
		if (!rc) {
			w->end = s.start + s.bytes;
			*n = s.n_frames;
			*frames = give(s.frames);
		}
		segment_drop(&s);
	}
	anew_tree_free(&t);
	anew_reader_close(&r);
	return rc;
}

int cache_anew_end(struct cache_anew *w, struct cache_rewritten *out, struct err *e)
{
	int rc = w->end == w->old ? 0 : rewrite_durable(w->c, w->number, w->to, e) ? -1 : 1;
	*out = (struct cache_rewritten){.bytes = w->end};
	if (rc > 0)
		anew_free(w);
	else
		cache_anew_drop(w);
	return rc;
}
