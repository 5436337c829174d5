/* One layer that shows what a stack of them shows: the lists are merged, the files are linked, no
 * content is read. */
#include "cache/flatten.h"
#include "base/dir.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

/* A list that is gone or damaged is made again by reading the layer. */
static int flatten_relist(struct cache *c, struct flatten_layer *l, const char *id, struct err *e)
{
	struct build again;
	struct cache_layer is;
	if (build_begin(&again, c, e))
		return -1;
	int rc = build_list_tree(l->fd, &again.list, &again.hash, e);
	if (!rc)
		rc = build_name(&again, &is, e);
	if (!rc && strcmp(is.id, id))
		rc = err_set(e, ERR_CORRUPT, "layer %s does not have its digest", id);
	if (!rc) {
		auto_free char *from = own_fmt("%s.list", again.name), *to = own_fmt("%s.list", id);
		if (renameat(c->tmp_fd, from, c->layers_fd, to))
			rc = err_sys(e, "name the list of layer %s", id);
		else if (list_read(&l->list, c->layers_fd, id, e) != 1)
			rc = err_set(e, ERR_CORRUPT, "the list of layer %s can't be read back", id);
	}
	build_drop(&again);
	return rc;
}

static int flatten_open(struct cache *c, struct flatten_layer *l, const char *id, struct err *e)
{
	l->at = (struct tree_at)TREE_AT(-1);
	l->fd = cache_layer_open(c, id, e);
	if (l->fd < 0)
		return -1;
	l->at.root = l->fd;
	int got = list_read(&l->list, c->layers_fd, id, e);
	return got ? (got < 0 ? -1 : 0) : flatten_relist(c, l, id, e);
}

/* Is path, in this layer, below a place that a layer above it hides? Cuts are few, mostly none. */
static bool flatten_hidden(const struct flatten *f, const struct list_entry *x, size_t layer)
{
	for (size_t i = 0; i < f->n_cuts; i++) {
		const struct flatten_cut *c = &f->cuts[i];
		if (layer >= c->from && x->path_n > c->n && x->path[c->n] == '/' &&
		    !memcmp(x->path, c->path, c->n))
			return true;
	}
	return false;
}

static void flatten_cut(struct flatten *f, const struct list_entry *x, size_t from)
{
	f->cuts = own_grow(f->cuts, f->n_cuts + 1, sizeof(*f->cuts));
	f->cuts[f->n_cuts++] = (struct flatten_cut){x->path, x->path_n, from};
}

static int flatten_copy(struct flatten *f, const struct flatten_layer *l,
			const struct list_entry *x, const char *path, char *id, struct err *e)
{
	struct build_meta m = {x->mode, x->mtime_s, x->mtime_ns};
	uint64_t size;
	auto_fd int fd = tree_open_unseen(l->fd, path, O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return err_sys(e, "open %s", path);
	return build_copy(&f->b, path, fd, x->size, &m, &size, id, e);
}

static int flatten_file(struct flatten *f, struct flatten_layer *l, const struct list_entry *x,
			const char *path, struct err *e)
{
	struct stat st;
	const char *name;
	int dir = tree_at(&l->at, path, &name);
	if (dir < 0 || fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW))
		return err_sys(e, "open %s", path);
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != x->size)
		return err_set(e, ERR_CORRUPT, "%s is not what the list of its layer says", path);
	int linked = build_link(&f->b, path, dir, name, &st, x->mode, e);
	return linked ? (linked < 0 ? -1 : 0) : flatten_copy(f, l, x, path, NULL, e);
}

/* Of a copy the digest says whether it is what it should be. */
static int flatten_verified(struct flatten *f, struct flatten_layer *l, const struct list_entry *x,
			    const char *path, struct err *e)
{
	char id[CACHE_ID];
	if (flatten_copy(f, l, x, path, id, e))
		return -1;
	if (x->end_n != CACHE_ID - 1 || memcmp(id, x->end, x->end_n))
		return err_set(e, ERR_CORRUPT, "%s has other bytes than the list of its layer says",
			       path);
	return 0;
}

int flatten_read(struct flatten *f, size_t layer, const struct list_entry *x, struct err *e)
{
	auto_free char *path = own_dup_n(x->path, x->path_n);
	int fd = tree_open(f->v[layer].fd, path, O_RDONLY | O_NOFOLLOW);
	return fd < 0 ? err_sys(e, "open %s", path) : fd;
}

int flatten_put(struct flatten *f, size_t layer, const struct list_entry *x, struct err *e)
{
	auto_free char *path = own_dup_n(x->path, x->path_n);
	struct build_meta m = {x->mode, x->mtime_s, x->mtime_ns};
	int rc;
	if (x->type == 'd') {
		rc = build_dir(&f->b, path, e);
	} else if (x->type == 'l') {
		auto_free char *target = own_dup_n(x->end, x->end_n);
		rc = build_symlink(&f->b, path, target, &m, e);
	} else {
		rc = (f->copy ? flatten_verified : flatten_file)(f, &f->v[layer], x, path, e);
	}
	return rc || (f->b.list.fd >= 0 && list_add(&f->b.list, x, e)) ? -1 : 0;
}

/* May layer i give this path? */
static bool flatten_gives(const struct flatten *f, int from, size_t i)
{
	if (!f->but)
		return true;
	return from >= 0 ? (size_t)from == i : from == CACHE_FROM_ANY && i >= f->but->extra;
}

/* All layers' entries of one path, the smallest that is next. What is shown is the uppermost that
 * nothing hides; where one of them is no directory, what lies below this path in deeper layers is
 * hidden. 1: there was a path, 0: the end, -1. */
static int flatten_step(struct flatten *f, struct err *e)
{
	const struct list_entry *min = NULL, *shown = NULL;
	size_t from = f->n, top = 0, cut = f->n, seen = 0;
	for (size_t i = 0; i < f->n; i++) {
		struct flatten_layer *l = &f->v[i];
		if (l->next < l->list.n && (!min || list_compare(&l->list.v[l->next], min) < 0)) {
			min = &l->list.v[l->next];
			from = i;
		}
	}
	if (!min)
		return 0;
	int choice = f->but ? f->but->from(f->but->owner, min->path, min->path_n) : CACHE_FROM_ANY;
	for (size_t i = from; i < f->n; i++) {
		struct flatten_layer *l = &f->v[i];
		const struct list_entry *x = l->next < l->list.n ? &l->list.v[l->next] : NULL;
		if (!x || list_compare(x, min))
			continue;
		l->next++;
		if (!flatten_gives(f, x->type == 'd' ? CACHE_FROM_ANY : choice, i))
			continue;
		if (flatten_hidden(f, x, i))
			continue;
		if (!shown) {
			shown = x;
			top = i;
		}
		seen++;
		if (x->type != 'd' && cut == f->n)
			cut = i;
	}
	/* With a directory on top the layers join down to the first that has something else there.
	 */
	if (seen > 1 && cut < f->n)
		flatten_cut(f, min, cut);
	return shown && shown->type != 'w' && f->put(f, top, shown, e) ? -1 : 1;
}

static void flatten_fini(struct flatten *f)
{
	for (size_t i = 0; i < f->n; i++) {
		own_close(&f->v[i].fd);
		list_free(&f->v[i].list);
		tree_at_fini(&f->v[i].at);
	}
	free(f->v);
	free(f->cuts);
}

/* Does the list, as bytes, look as if it had a whiteout? A path with a newline in it may, too. */
static int flatten_hides(struct cache *c, const char *id, struct err *e)
{
	static const char line[] = "\nw 0000 ";
	auto_text struct text t = TEXT_INIT;
	auto_free char *name = own_fmt("%s.list", id);
	if (dir_read_whole(c->layers_fd, name, LIST_MAX, &t, e)) {
		if (e->kind != ERR_ABSENT)
			return -1;
		*e = (struct err)ERR_INIT;
		return 1; /* who knows */
	}
	return t.n && (!strncmp(t.p, line + 1, sizeof(line) - 2) ||
		       memmem(t.p, t.n, line, sizeof(line) - 1));
}

int cache_flatten_height(struct cache *c, const char *const *layers, size_t n, size_t all,
			 size_t *height, struct err *e)
{
	*height = n;
	for (size_t i = 0; i < n && *height < all; i++) {
		int hides = flatten_hides(c, layers[i], e);
		if (hides < 0)
			return err_add(e, "layer %.12s", layers[i]);
		if (hides)
			*height = all;
	}
	return 0;
}

int cache_flatten(struct cache *c, const char *const *layers, size_t n, struct cache_layer *out,
		  struct err *e)
{
	return cache_flatten_but(c, layers, n, NULL, out, e);
}

int flatten_walk(struct flatten *f, struct cache *c, const char *const *layers, size_t n,
		 struct err *e)
{
	int rc = 0;
	f->n = n;
	f->v = own_calloc(n + 1, sizeof(*f->v));
	for (size_t i = 0; i < n; i++) {
		f->v[i].fd = -1;
		f->v[i].at = (struct tree_at)TREE_AT(-1);
	}
	for (size_t i = 0; !rc && i < n; i++)
		rc = flatten_open(c, &f->v[i], layers[i], e);
	while (!rc && (rc = flatten_step(f, e)) > 0)
		rc = 0;
	flatten_fini(f);
	return rc;
}

int cache_flatten_but(struct cache *c, const char *const *layers, size_t n,
		      const struct cache_but *but, struct cache_layer *out, struct err *e)
{
	struct flatten f = {.but = but, .put = flatten_put};
	int rc = cache_may_write(c, e);
	*out = (struct cache_layer){0};
	if (!rc && !(rc = build_begin(&f.b, c, e))) {
		rc = flatten_walk(&f, c, layers, n, e) || build_name(&f.b, out, e) ||
				     build_settle(&f.b, out, e)
			     ? -1
			     : 0;
		build_drop(&f.b);
	}
	return rc ? err_add(e, "flatten") : 0;
}
