#include "order.h"

#include "base/own.h"

#include <string.h>

struct order_node {
	uint64_t inode, parent; /* parent 0: not below anything that was seen */
	char path[256];
	bool bytes, meta, names; /* changed since they were synced */
};

struct order {
	struct order_node *v;
	size_t n;
	struct text *why;
	size_t broken;
};

static struct order_node *order_node(struct order *o, uint64_t inode)
{
	for (size_t i = 0; i < o->n; i++)
		if (o->v[i].inode == inode)
			return &o->v[i];
	o->v = own_grow(o->v, o->n + 1, sizeof(*o->v));
	o->v[o->n] = (struct order_node){.inode = inode};
	return &o->v[o->n++];
}

/* Directories are known by the paths of what happens in them. */
static struct order_node *order_dir(struct order *o, uint64_t inode, const char *path)
{
	struct order_node *d = order_node(o, inode);
	const char *slash = strrchr(path, '/');
	if (!d->path[0])
		snprintf(d->path, sizeof(d->path), "%.*s", slash ? (int)(slash - path) : 1,
			 slash ? path : ".");
	return d;
}

static bool order_is_below(const struct order *o, const struct order_node *x, uint64_t top)
{
	for (size_t depth = 0; depth < 64; depth++) {
		if (x->inode == top)
			return true;
		const struct order_node *above = NULL;
		for (size_t i = 0; !above && i < o->n; i++)
			if (x->parent && o->v[i].inode == x->parent)
				above = &o->v[i];
		if (!above)
			return false;
		x = above;
	}
	return false;
}

static bool starts(const char *path, const char *with)
{
	return !strncmp(path, with, strlen(with));
}

static bool order_is_final(const char *path)
{
	return starts(path, "layers/") || starts(path, "seg/");
}

static void order_break(struct order *o, size_t nth, int rule, const char *what, const char *path,
			const struct order_node *because)
{
	o->broken++;
	text_addf(o->why, "event %zu, rule %d: %s %s, and %s of %s are not synced\n", nth, rule,
		  what, path,
		  because->names   ? "the names"
		  : because->bytes ? "the bytes"
				   : "mode or times",
		  because->path);
}

/* A segment's mode is no matter. */
static bool order_is_dirty(const struct order_node *x)
{
	return x->bytes || x->names || (x->meta && !starts(x->path, "seg/"));
}

/* What of layers/ and seg/ is not synced, or NULL. */
static const struct order_node *order_unsynced(const struct order *o)
{
	for (size_t i = 0; i < o->n; i++) {
		const struct order_node *x = &o->v[i];
		bool in = !strcmp(x->path, "layers") || !strcmp(x->path, "seg") ||
			  order_is_final(x->path);
		for (size_t k = 0; !in && k < o->n; k++)
			in = order_is_final(o->v[k].path) && order_is_below(o, x, o->v[k].inode);
		if (in && order_is_dirty(x))
			return x;
	}
	return NULL;
}

static const struct order_node *order_unsynced_file(const struct order *o, const char *path)
{
	for (size_t i = 0; i < o->n; i++)
		if (!strcmp(o->v[i].path, path) && o->v[i].bytes)
			return &o->v[i];
	return NULL;
}

static void order_write(struct order *o, size_t nth, const struct order_event *x)
{
	const struct order_node *first = strcmp(x->path, "assay.db-wal") ? NULL : order_unsynced(o);
	if (first)
		order_break(o, nth, 2, "write to", x->path, first);
}

static void order_remove(struct order *o, size_t nth, const char *path)
{
	const struct order_node *log = order_unsynced_file(o, "assay.db-wal"),
				*db = order_unsynced_file(o, "assay.db");
	if (order_is_final(path) && log)
		order_break(o, nth, 3, "remove", path, log);
	if (!strcmp(path, "assay.db-wal") && db)
		order_break(o, nth, 5, "remove", path, db);
}

static void order_move(struct order *o, size_t nth, const struct order_event *x)
{
	for (size_t i = 0; order_is_final(x->path) && i < o->n; i++)
		if (order_is_dirty(&o->v[i]) && order_is_below(o, &o->v[i], x->inode))
			order_break(o, nth, 1, "rename to", x->path, &o->v[i]);
	if (!order_is_final(x->path))
		order_remove(o, nth, x->from);
	struct order_node *it = order_node(o, x->inode);
	it->parent = x->dir;
	snprintf(it->path, sizeof(it->path), "%s", x->path);
	/* A name that comes back after a power cut is swept. */
	if (order_is_final(x->path) || !order_is_final(x->from))
		order_dir(o, x->from_dir, x->from)->names = true;
	order_dir(o, x->dir, x->path)->names = true;
}

static void order_said(struct order *o, size_t nth)
{
	const struct order_node *log = order_unsynced_file(o, "assay.db-wal"),
				*rest = order_unsynced(o);
	if (log || rest)
		order_break(o, nth, 4, "say", "that it is done", log ? log : rest);
}

static void order_make(struct order *o, const struct order_event *x)
{
	struct order_node *it = order_node(o, x->inode);
	/* Numbers of inodes are used again. */
	if (x->is_new)
		it->bytes = it->meta = it->names = false;
	it->parent = x->dir;
	it->bytes |= x->foreign;
	snprintf(it->path, sizeof(it->path), "%s", x->path);
	order_dir(o, x->dir, x->path)->names = true;
}

static void order_sync(struct order *o, uint64_t inode, bool all, bool meta)
{
	for (size_t i = 0; i < o->n; i++) {
		struct order_node *x = &o->v[i];
		if (!all && x->inode != inode)
			continue;
		x->bytes = x->names = false;
		x->meta &= !meta;
	}
}

static void order_take(struct order *o, size_t nth, const struct order_event *x)
{
	struct order_node *it;
	switch (x->what) {
	case ORDER_BYTES:
		order_write(o, nth, x);
		it = order_node(o, x->inode);
		it->bytes = true;
		snprintf(it->path, sizeof(it->path), "%s", x->path);
		break;
	case ORDER_META:
		it = order_node(o, x->inode);
		it->meta = true;
		snprintf(it->path, sizeof(it->path), "%s", x->path);
		break;
	case ORDER_MAKE:
		order_make(o, x);
		break;
	case ORDER_MOVE:
		order_move(o, nth, x);
		break;
	case ORDER_REMOVE:
		order_remove(o, nth, x->path);
		for (size_t i = 0; i < o->n; i++)
			if (!strcmp(o->v[i].path, x->path)) {
				o->v[i].bytes = o->v[i].meta = o->v[i].names = false;
				o->v[i].path[0] = '\0';
			}
		break;
	case ORDER_SYNC:
		order_sync(o, x->inode, false, true);
		break;
	case ORDER_DATASYNC:
		order_sync(o, x->inode, false, false);
		break;
	case ORDER_SYNCFS:
		order_sync(o, 0, true, true);
		break;
	case ORDER_SAID:
		order_said(o, nth);
		break;
	}
}

size_t order_check(const struct order_event *v, size_t n, struct text *why)
{
	struct order o = {.why = why};
	for (size_t i = 0; i < n; i++)
		order_take(&o, i, &v[i]);
	free(o.v);
	return o.broken;
}
