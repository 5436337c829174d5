/* A layer made again by its list, which says all that is in it: also one that no stack shows any
 * more, because what others had brought was taken out of it. */
#include "cache/build.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

struct remake {
	struct build b;
	struct list list;
	bool *given; /* by entry of the list: it is there */
	size_t missing;
};

static int remake_open(struct remake *r, struct cache *c, const char *id, struct err *e)
{
	int got = list_read(&r->list, c->layers_fd, id, e);
	if (got < 0)
		return -1;
	*e = (struct err)ERR_INIT;
	r->given = own_calloc(r->list.n + 1, sizeof(*r->given));
	return got ? 0
		   : err_set(e, ERR_CORRUPT,
			     "its list is gone or damaged, too: assay cache rebuild "
			     "makes all layers again from the archive");
}

static int remake_empty(struct remake *r, const struct list_entry *x, const char *path,
			struct err *e)
{
	const struct build_meta m = {x->mode, x->mtime_s, x->mtime_ns};
	if (x->type == 'd')
		return build_dir(&r->b, path, e);
	if (x->type == 'w')
		return build_whiteout(&r->b, path, e);
	auto_free char *target = own_dup_n(x->end, x->end_n);
	return build_symlink(&r->b, path, target, &m, e);
}

/* What holds no bytes of a file; parents come first. */
static int remake_all_empty(struct remake *r, struct err *e)
{
	for (size_t i = 0; i < r->list.n; i++) {
		const struct list_entry *x = &r->list.v[i];
		auto_free char *path = own_dup_n(x->path, x->path_n);
		r->given[i] = x->type != 'f';
		r->missing += x->type == 'f';
		if (x->type != 'f' && remake_empty(r, x, path, e))
			return -1;
	}
	return 0;
}

static int remake_file(struct remake *r, struct tree_at *from, const struct list_entry *x,
		       struct err *e)
{
	struct stat st;
	const char *name;
	uint64_t size;
	const struct build_meta m = {x->mode, x->mtime_s, x->mtime_ns};
	auto_free char *path = own_dup_n(x->path, x->path_n);
	int dir = tree_at(from, path, &name);
	if (dir < 0 || fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW))
		return err_sys(e, "open %s", path);
	int linked = build_link(&r->b, path, dir, name, &st, x->mode, e);
	if (linked)
		return linked < 0 ? -1 : 0;
	auto_fd int fd = tree_open_unseen(dir, name, O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return err_sys(e, "open %s", path);
	return build_copy(&r->b, path, fd, x->size, &m, &size, NULL, e);
}

/* Both lists are in the order of their paths. */
static int remake_merge(struct remake *r, struct tree_at *from, const struct list *part,
			struct err *e)
{
	for (size_t i = 0, k = 0; i < r->list.n && k < part->n;) {
		const struct list_entry *x = &r->list.v[i];
		int order = list_compare(x, &part->v[k]);
		if (!order && !r->given[i] && list_same(x, &part->v[k])) {
			if (remake_file(r, from, x, e))
				return -1;
			r->given[i] = true;
			r->missing--;
		}
		i += order <= 0;
		k += order >= 0;
	}
	return 0;
}

/* What this layer, which is whole, has of it. */
static int remake_from(struct remake *r, struct cache *c, const char *layer, struct err *e)
{
	struct list part;
	auto_fd int fd = cache_layer_open(c, layer, e);
	if (fd < 0)
		return -1;
	int got = list_read(&part, c->layers_fd, layer, e);
	if (got < 0)
		return -1;
	*e = (struct err)ERR_INIT;
	struct tree_at from = TREE_AT(fd);
	int rc = remake_merge(r, &from, &part, e);
	tree_at_fini(&from);
	list_free(&part);
	return rc ? err_add(e, "layer %.12s", layer) : 0;
}

static int remake_end(struct remake *r, const char *id, struct err *e)
{
	struct cache_layer out;
	for (size_t i = 0; i < r->list.n; i++) {
		const struct list_entry *x = &r->list.v[i];
		if (!r->given[i])
			return err_set(e, ERR_CORRUPT,
				       "%zu of its files are in no part of it any more, %.*s first",
				       r->missing, (int)x->path_n, x->path);
		if (list_add(&r->b.list, x, e))
			return -1;
	}
	if (build_name(&r->b, &out, e))
		return -1;
	if (strcmp(out.id, id))
		return err_set(e, ERR_CORRUPT, "its list does not have its digest");
	return build_replace(&r->b, &out, e);
}

int cache_layer_remake(struct cache *c, const char *id, const char *const *parts, size_t n,
		       struct err *e)
{
	struct remake r = {0};
	int rc = cache_may_write(c, e) || remake_open(&r, c, id, e);
	if (!rc && !(rc = build_begin(&r.b, c, e))) {
		rc = remake_all_empty(&r, e);
		for (size_t i = 0; !rc && i < n && r.missing; i++)
			rc = remake_from(&r, c, parts[i], e);
		if (!rc)
			rc = remake_end(&r, id, e);
		build_drop(&r.b);
	}
	list_free(&r.list);
	free(r.given);
	return rc ? -1 : 0;
}
