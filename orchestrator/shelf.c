#include "orchestrator/shelf.h"

#include "base/clock.h"
#include "orchestrator/plan.h"

#include <string.h>

static void shelf_add(struct shelf *sh, const char *layer, uint64_t entries)
{
	sh->layers = own_grow(sh->layers, sh->n_layers + 1, sizeof(*sh->layers));
	sh->entries = own_grow(sh->entries, sh->n_layers + 1, sizeof(*sh->entries));
	memcpy(sh->layers[sh->n_layers], layer, sizeof(*sh->layers));
	sh->entries[sh->n_layers++] = entries;
}

/* One layer in the place of the uppermost n. Should it be one of those below as well, it shows
 * through its upper place already, and an overlay takes no lower twice. */
static struct shelf shelf_with(const struct shelf *sh, const struct cache_layer *top, size_t n)
{
	struct shelf with = {.store = sh->store,
			     .key = own_dup(sh->key),
			     .generation = sh->generation};
	shelf_add(&with, top->id, top->entries);
	for (size_t i = n; i < sh->n_layers; i++)
		if (strcmp(sh->layers[i], top->id))
			shelf_add(&with, sh->layers[i], sh->entries[i]);
	return with;
}

int shelf_load(struct shelf *sh, const struct suite *s, size_t i, struct db *d, struct err *e)
{
	struct db_generation g = {0};
	*sh = (struct shelf){.store = &s->stores[i], .key = plan_store_key(s, i)};
	if (db_store_current(d, sh->key, &g, e))
		return err_add(e, "store %s", sh->key);
	sh->generation = g.id;
	for (size_t k = 0; k < g.n_layers; k++)
		shelf_add(sh, g.layers[k], (uint64_t)g.entries[k]);
	db_generation_fini(&g);
	return 0;
}

void shelf_fini(struct shelf *sh)
{
	free(sh->key);
	free(sh->layers);
	free(sh->entries);
	*sh = (struct shelf){0};
}

struct shelf shelf_copy(const struct shelf *sh)
{
	struct shelf copy = {.store = sh->store,
			     .key = own_dup(sh->key),
			     .generation = sh->generation};
	for (size_t i = 0; i < sh->n_layers; i++)
		shelf_add(&copy, sh->layers[i], sh->entries[i]);
	return copy;
}

int shelf_open(const struct shelf *sh, struct cache *c, int **fds, struct err *e)
{
	*fds = own_calloc(sh->n_layers, sizeof(**fds));
	for (size_t i = 0; i < sh->n_layers; i++) {
		(*fds)[i] = cache_layer_open(c, sh->layers[i], e);
		if ((*fds)[i] >= 0)
			continue;
		while (i--)
			close((*fds)[i]);
		free(*fds);
		*fds = NULL;
		return err_add(e, "store %s", sh->key);
	}
	return 0;
}

/* How many of the uppermost layers become one: at least half of what a stack may have, and on as
 * long as the next is not larger than those together. So an entry is written anew only into a layer
 * that is twice as large as the one before: O(log n) times, however long the store grows (a
 * log-structured merge tree). */
static size_t shelf_height(const struct shelf *sh)
{
	size_t n = 0;
	uint64_t sum = 0;
	while (n < sh->n_layers && (n < CACHE_MAX_LAYERS / 2 || sh->entries[n] <= sum))
		sum += sh->entries[n++];
	return n;
}

/* The stack has become too high to mount quickly: one layer that shows the same as its upper part,
 * for those that come after. */
static int shelf_flatten(struct shelf_publish *p, struct cache *c, struct err *e)
{
	if (p->after.n_layers <= CACHE_MAX_LAYERS)
		return 0;
	size_t n = shelf_height(&p->after);
	auto_free const char **ids = own_calloc(n, sizeof(*ids));
	for (size_t i = 0; i < n; i++)
		ids[i] = p->after.layers[i];
	if (cache_flatten(c, ids, n, &p->flat, e))
		return -1;
	struct shelf after = shelf_with(&p->after, &p->flat, n);
	shelf_fini(&p->after);
	p->after = after;
	p->n_flat = n;
	return 0;
}

int shelf_refuse(struct shelf_publish *p, struct err *e)
{
	if (e->kind != ERR_HOSTILE)
		return -1;
	p->refused = true;
	p->refusal = *e;
	*e = (struct err)ERR_INIT;
	return 0;
}

int shelf_publish(struct shelf_publish *p, struct cache *c, int upper_fd, const char *job,
		  struct err *e)
{
	auto_free int *lowers = NULL;
	if (shelf_open(&p->from, c, &lowers, e))
		return -1;
	struct cache_harvest how = {
		.store = p->from.key,
		.upper_fd = upper_fd,
		.lower_fds = lowers,
		.n_lowers = p->from.n_layers,
		.rules = p->from.store->rules,
		.n_rules = p->from.store->n_rules,
		.userxattr = true, /* the box always mounts with userxattr */
		.job = job,
	};
	int rc = cache_publish(c, &how, &p->out, e);
	for (size_t i = 0; i < p->from.n_layers; i++)
		close(lowers[i]);
	if (rc)
		return shelf_refuse(p, e);
	if (p->out.nothing)
		return 0;
	p->after = shelf_with(&p->from, &p->out.layer, 0);
	rc = shelf_flatten(p, c, e);
	if (rc)
		shelf_undo(p, c);
	return rc;
}

void shelf_undo(struct shelf_publish *p, struct cache *c)
{
	if (!p->recorded)
		cache_publish_undo(c, &p->out);
}

/* A job sets its files' times as it likes: some are too far off to be counted in ns. */
static int64_t shelf_time_ns(const struct cache_entry *x)
{
	const int64_t last = INT64_MAX / 1000000000 - 1;
	int64_t s = x->mtime_s > last ? last : x->mtime_s < -last ? -last : x->mtime_s;
	return s * 1000000000 + x->mtime_ns;
}

int shelf_record(struct shelf_publish *p, struct db *d, int64_t phase, struct err *e)
{
	const struct cache_published *o = &p->out;
	if (p->refused)
		return 0;
	auto_free struct db_entry *entries = own_calloc(o->n_entries, sizeof(*entries));
	for (size_t i = 0; i < o->n_entries; i++) {
		const struct cache_entry *x = &o->entries[i];
		entries[i] = (struct db_entry){
			.path = x->path,
			.change = cache_change_name(x->change),
			.type = x->type,
			.mode = x->mode,
			.mtime_ns = shelf_time_ns(x),
			.size = (int64_t)x->size,
			.sha256 = x->sha256,
			.target = x->target,
			.reason = x->reason,
		};
	}
	const struct cache_counts *n = &o->counts;
	struct db_publish pub = {
		.store = p->from.key,
		.phase = phase,
		.parent = p->from.generation,
		.nothing = o->nothing,
		.layer = o->layer.id,
		.layer_entries = (int64_t)o->layer.entries,
		.layer_bytes = (int64_t)o->layer.bytes,
		.segment = o->segment,
		.frame_offset = (int64_t)o->frame_offset,
		.frame_bytes = (int64_t)o->frame_bytes,
		.frame_sha256 = o->frame_sha256,
		.entries = entries,
		.n_entries = o->n_entries,
		.added = (int64_t)n->added,
		.replaced = (int64_t)n->replaced,
		.merged = (int64_t)n->merged,
		.identical = (int64_t)n->identical,
		.dropped = (int64_t)n->dropped,
		.conflicts = (int64_t)n->conflicts,
		.deleted = (int64_t)n->deleted,
		.refused = (int64_t)n->refused,
		.bytes = (int64_t)n->bytes,
		.made_ms = clock_real_ms(),
	};
	int64_t generation = db_publish(d, &pub, e);
	p->recorded = generation >= 0;
	if (p->recorded && p->flat.id[0])
		generation = db_store_flatten(d, p->from.key, generation, p->n_flat, p->flat.id,
					      (int64_t)p->flat.entries, (int64_t)p->flat.bytes,
					      clock_real_ms(), e);
	p->after.generation = generation;
	return generation < 0 ? err_add(e, "store %s", p->from.key) : 0;
}

void shelf_advance(struct shelf *sh, struct shelf_publish *p)
{
	if (p->refused || p->out.nothing)
		return;
	shelf_fini(sh);
	*sh = p->after;
	p->after = (struct shelf){0};
}

void shelf_publish_fini(struct shelf_publish *p)
{
	cache_published_fini(&p->out);
	shelf_fini(&p->from);
	shelf_fini(&p->after);
}
