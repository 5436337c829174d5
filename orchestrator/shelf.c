#include "orchestrator/shelf.h"

#include "base/clock.h"
#include "orchestrator/plan.h"
#include "orchestrator/rows.h"
#include "orchestrator/stack.h"

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
	memcpy(with.chain, sh->chain, sizeof(with.chain));
	shelf_add(&with, top->id, top->entries);
	for (size_t i = n; i < sh->n_layers; i++)
		if (strcmp(sh->layers[i], top->id))
			shelf_add(&with, sh->layers[i], sh->entries[i]);
	return with;
}

int shelf_load_named(struct shelf *sh, const struct suite_store *store, const char *key,
		     struct db *d, struct err *e)
{
	struct db_generation g = {0};
	*sh = (struct shelf){.store = store, .key = own_dup(key)};
	if (db_store_current(d, sh->key, &g, e))
		return err_add(e, "store %s", sh->key);
	sh->generation = g.id;
	memcpy(sh->chain, g.chain, sizeof(sh->chain));
	for (size_t k = 0; k < g.n_layers; k++)
		shelf_add(sh, g.layers[k], (uint64_t)g.entries[k]);
	db_generation_fini(&g);
	return 0;
}

int shelf_load(struct shelf *sh, const struct suite *s, size_t i, struct db *d, struct err *e)
{
	auto_free char *key = plan_store_key(s, i);
	return shelf_load_named(sh, &s->stores[i], key, d, e);
}

int shelf_load_at(struct shelf *sh, const struct suite *s, size_t i, int64_t generation,
		  struct db *d, struct err *e)
{
	struct db_table *t = NULL;
	auto_free char *id = own_fmt("%lld", (long long)generation);
	const char *arg = id;
	*sh = (struct shelf){.store = &s->stores[i],
			     .key = plan_store_key(s, i),
			     .generation = generation};
	if (!generation)
		return 0;
	if (db_named(d, "generation-layers", &arg, 1, &t, e))
		return err_add(e, "store %s", sh->key);
	for (size_t k = 0; k < t->n_rows; k++)
		shelf_add(sh, rows_str(t, k, "layer"), (uint64_t)rows_int(t, k, "entries", 0));
	db_table_free(t);
	return sh->n_layers ? 0
			    : err_set(e, ERR_ABSENT, "store %s: generation %s is no longer kept",
				      sh->key, id);
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
	memcpy(copy.chain, sh->chain, sizeof(copy.chain));
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

/* The stack has become too high to mount quickly: one layer that shows the same as its upper part,
 * for those that come after. */
static int shelf_flatten(struct shelf_publish *p, struct cache *c, struct err *e)
{
	if (p->after.n_layers <= (p->compacted ? CACHE_MOST_LAYERS : CACHE_MAX_LAYERS))
		return 0;
	size_t n = stack_height(p->after.entries, p->after.n_layers);
	auto_free const char **ids = own_calloc(p->after.n_layers, sizeof(*ids));
	for (size_t i = 0; i < p->after.n_layers; i++)
		ids[i] = p->after.layers[i];
	if (cache_flatten_height(c, ids, n, p->after.n_layers, &n, e) ||
	    cache_flatten(c, ids, n, &p->flat, e))
		return -1;
	struct shelf after = shelf_with(&p->after, &p->flat, n);
	shelf_fini(&p->after);
	p->after = after;
	p->n_flat = n;
	return 0;
}

bool shelf_compacted(const struct shelf *now, const struct shelf *was,
		     const struct cache_layer *flat, size_t n, struct shelf *after, size_t *above)
{
	if (now->n_layers < was->n_layers || n > was->n_layers)
		return false;
	size_t k = now->n_layers - was->n_layers;
	for (size_t i = 0; i < was->n_layers; i++)
		if (strcmp(now->layers[k + i], was->layers[i]))
			return false;
	for (size_t i = 0; i < k; i++)
		if (!strcmp(now->layers[i], flat->id))
			return false;
	*after = (struct shelf){.store = now->store, .key = own_dup(now->key)};
	memcpy(after->chain, now->chain, sizeof(after->chain));
	for (size_t i = 0; i < k; i++)
		shelf_add(after, now->layers[i], now->entries[i]);
	shelf_add(after, flat->id, flat->entries);
	for (size_t i = k + n; i < now->n_layers; i++)
		if (strcmp(now->layers[i], flat->id))
			shelf_add(after, now->layers[i], now->entries[i]);
	*above = k;
	return true;
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

static bool shelf_counts_up(const struct suite_store *store)
{
	for (size_t i = 0; i < store->n_rules; i++)
		if (store->rules[i].what == CACHE_SUM_COUNTERS)
			return true;
	return false;
}

static void shelf_close(const struct shelf *sh, const int *fds)
{
	for (size_t i = 0; fds && i < sh->n_layers; i++)
		close(fds[i]);
}

static int shelf_words(void *owner, const struct cache_entry *x, struct cache_words *out,
		       struct err *e)
{
	const struct shelf_publish *p = owner;
	const struct db_entry about = shelf_entry(x);
	return db_words(p->words, p->from.key, &about, p->package, &out->others, &out->said, e);
}

int shelf_publish(struct shelf_publish *p, struct cache *c, int upper_fd, const char *job,
		  struct err *e)
{
	auto_free int *lowers = NULL, *bases = NULL;
	bool base = p->base && shelf_counts_up(p->from.store);
	struct program_run program;
	const struct cache_runner runner = program_runner(&program, p->programs, p->from.store);
	p->job = own_dup(job);
	p->made_ms = clock_real_ms();
	if (shelf_open(&p->from, c, &lowers, e))
		return -1;
	if (base && shelf_open(p->base, c, &bases, e)) {
		shelf_close(&p->from, lowers);
		return -1;
	}
	struct cache_harvest how = {
		.store = p->from.key,
		.upper_fd = upper_fd,
		.spare_dirfd = p->spare_dirfd,
		.spare_name = p->spare,
		.lower_fds = lowers,
		.n_lowers = p->from.n_layers,
		.base_fds = bases,
		.n_bases = base ? p->base->n_layers : 0,
		.rules = p->from.store->rules,
		.n_rules = p->from.store->n_rules,
		.runner = p->programs ? &runner : NULL,
		.deletions = p->from.store->deletions,
		.trust = {p->from.store->trust, p->package, p->words ? shelf_words : NULL, p},
		.userxattr = true, /* the box always mounts with userxattr */
		.job = job,
		.parent = p->from.chain,
		.made_ms = p->made_ms,
	};
	int rc = cache_publish(c, &how, &p->out, e);
	shelf_close(&p->from, lowers);
	if (base)
		shelf_close(p->base, bases);
	if (rc)
		return shelf_refuse(p, e);
	if (p->out.nothing)
		return 0;
	p->after = shelf_with(&p->from, &p->out.layer, 0);
	memcpy(p->after.chain, p->out.chain, sizeof(p->after.chain));
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

struct db_entry shelf_entry(const struct cache_entry *x)
{
	return (struct db_entry){
		.path = x->path,
		.change = cache_change_name(x->change),
		.type = x->type,
		.mode = x->mode,
		.mtime_ns = shelf_time_ns(x),
		.size = (int64_t)x->size,
		.sha256 = x->sha256,
		.target = x->target,
		.reason = x->reason,
		.word = x->word,
	};
}

void shelf_counts(struct db_publish *p, const struct cache_counts *n)
{
	p->added = (int64_t)n->added;
	p->replaced = (int64_t)n->replaced;
	p->merged = (int64_t)n->merged;
	p->identical = (int64_t)n->identical;
	p->dropped = (int64_t)n->dropped;
	p->conflicts = (int64_t)n->conflicts;
	p->deleted = (int64_t)n->deleted;
	p->refused = (int64_t)n->refused;
	p->pending = (int64_t)n->pending;
	p->bytes = (int64_t)n->bytes;
}

struct db_frame *shelf_frames(const struct cache_frame *frames, size_t n)
{
	struct db_frame *v = own_calloc(n + 1, sizeof(*v));
	for (size_t i = 0; i < n; i++)
		v[i] = (struct db_frame){.segment = frames[i].segment,
					 .offset = (int64_t)frames[i].offset,
					 .bytes = (int64_t)frames[i].bytes,
					 .digest = frames[i].digest,
					 .record = frames[i].record};
	return v;
}

/* Of a harvest that was refused what spoke against it stays: what it would have brought it did not.
 */
static int shelf_record_refusal(struct shelf_publish *p, struct db_publish *pub, struct db *d,
				struct db_entry *entries, struct err *e)
{
	const struct cache_published *o = &p->out;
	struct db_publish refusal = {.store = pub->store,
				     .phase = pub->phase,
				     .parent = pub->parent,
				     .made_ms = pub->made_ms,
				     .job = pub->job,
				     .refused_all = p->refusal.text,
				     .nothing = true,
				     .entries = entries,
				     .conflicts = pub->conflicts,
				     .refused = pub->refused,
				     .deleted = pub->deleted};
	for (size_t i = 0; i < o->n_entries; i++) {
		enum cache_change c = o->entries[i].change;
		if (c == CACHE_CONFLICT || c == CACHE_REFUSED || c == CACHE_DELETED)
			entries[refusal.n_entries++] = shelf_entry(&o->entries[i]);
	}
	return db_publish(d, &refusal, e) < 0 ? -1 : 0;
}

int shelf_record(struct shelf_publish *p, struct db *d, int64_t phase, struct err *e)
{
	const struct cache_published *o = &p->out;
	auto_free struct db_entry *entries = own_calloc(o->n_entries + 1, sizeof(*entries));
	auto_free struct db_frame *frames = shelf_frames(o->frames, o->n_frames);
	struct db_publish pub = {
		.store = p->from.key,
		.phase = phase,
		.job = p->job,
		.parent = p->from.generation,
		.nothing = o->nothing,
		.trust = p->from.store->trust,
		.package = p->package,
		.record = o->record[0] ? o->record : NULL,
		.layer = o->layer.id,
		.layer_entries = (int64_t)o->layer.entries,
		.layer_bytes = (int64_t)o->layer.bytes,
		.chain = o->chain,
		.frames = frames,
		.n_frames = o->n_frames,
		.entries = entries,
		.n_entries = o->n_entries,
		.made_ms = p->made_ms,
	};
	shelf_counts(&pub, &o->counts);
	if (p->refused)
		return shelf_record_refusal(p, &pub, d, entries, e);
	for (size_t i = 0; i < o->n_entries; i++)
		entries[i] = shelf_entry(&o->entries[i]);
	int64_t generation = db_publish(d, &pub, e);
	p->recorded = generation >= 0;
	if (p->recorded && p->flat.id[0])
		generation = db_store_flatten(d, p->from.key, generation, 0, p->n_flat, p->flat.id,
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
	free(p->job);
	p->job = NULL;
	shelf_fini(&p->from);
	shelf_fini(&p->after);
}
