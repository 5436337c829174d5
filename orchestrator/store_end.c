#include "orchestrator/store_end.h"

#include "base/clock.h"
#include "orchestrator/rows.h"
#include "orchestrator/shelf.h"

#include <inttypes.h>
#include <string.h>

/* ---- the layer without them ---- */

/* What becomes of one path that showed something which ends. */
struct end_path {
	const char *path;
	size_t n;
	int from;
};

struct ending {
	struct cache *c;
	struct db *d;
	const struct store_end *how;
	struct db_generation g;
	struct end_path *paths;
	size_t n_paths;
	const char **layers; /* those that give what shows instead, then the generation's */
	size_t n_layers, n_extra;
};

static int end_compare(const void *a, const void *b)
{
	const struct end_path *x = a, *y = b;
	int c = memcmp(x->path, y->path, x->n < y->n ? x->n : y->n);
	return c ? c : (x->n > y->n) - (x->n < y->n);
}

static int end_from(void *owner, const char *path, size_t n)
{
	const struct ending *x = owner;
	const struct end_path key = {.path = path, .n = n};
	const struct end_path *found =
		x->n_paths ? bsearch(&key, x->paths, x->n_paths, sizeof(key), end_compare) : NULL;
	return found ? found->from : CACHE_FROM_ANY;
}

/* The layer is on disk, or made again from the archive. 1, 0: it can't be; -1. */
static int end_have_layer(struct ending *x, const char *layer, int64_t harvest, struct err *e)
{
	struct err absent = ERR_INIT;
	struct db_table *t;
	auto_fd int fd = cache_layer_open(x->c, layer, &absent);
	if (fd >= 0)
		return 1;
	auto_free char *arg = own_fmt("%" PRId64, harvest);
	const char *args[] = {arg};
	if (db_named(x->d, "frames-of", args, 1, &t, e))
		return -1;
	auto_free struct cache_frame *frames = own_calloc(t->n_rows + 1, sizeof(*frames));
	for (size_t i = 0; i < t->n_rows; i++) {
		frames[i].segment = (uint32_t)rows_int(t, i, "segment", 0);
		frames[i].offset = (uint64_t)rows_int(t, i, "offset", 0);
		frames[i].bytes = (uint64_t)rows_int(t, i, "bytes", 0);
	}
	size_t n = t->n_rows;
	db_table_free(t);
	if (!n)
		return 0;
	if (!cache_layer_restore(x->c, layer, frames, n, e))
		return 1;
	return e->kind == ERR_CORRUPT ? 0 : -1;
}

/* Where among the layers this one is; it is added where it is not. */
static int end_extra(struct ending *x, const char *layer)
{
	for (size_t i = 0; i < x->n_extra; i++)
		if (!strcmp(x->layers[i], layer))
			return (int)i;
	x->layers = own_grow(x->layers, x->n_extra + 1, sizeof(*x->layers));
	x->layers[x->n_extra] = layer;
	return (int)x->n_extra++;
}

static int end_choose(struct ending *x, struct err *e)
{
	const struct store_end *how = x->how;
	x->paths = own_calloc(how->n + 1, sizeof(*x->paths));
	for (size_t i = 0; i < how->n; i++) {
		const struct db_ended *v = &how->v[i];
		if (!v->shown)
			continue;
		int have = v->instead ? end_have_layer(x, v->instead_layer, v->instead, e) : 0;
		if (have < 0)
			return -1;
		if (v->instead && !have)
			fprintf(stderr,
				"assay: %s: what was there before is lost, so that nothing is "
				"there now\n",
				v->path);
		x->paths[x->n_paths++] =
			(struct end_path){v->path, strlen(v->path),
					  have ? end_extra(x, v->instead_layer) : CACHE_FROM_NONE};
	}
	if (x->n_paths)
		qsort(x->paths, x->n_paths, sizeof(*x->paths), end_compare);
	x->n_layers = x->n_extra + x->g.n_layers;
	x->layers = own_grow(x->layers, x->n_layers + 1, sizeof(*x->layers));
	for (size_t i = 0; i < x->g.n_layers; i++)
		x->layers[x->n_extra + i] = x->g.layers[i];
	return 0;
}

/* ---- in the archive and the database ---- */

static int event_note(struct cache *c, const struct cache_note *note,
		      const struct cache_record *found, struct cache_published *out, struct err *e)
{
	*out = (struct cache_published){.nothing = true};
	return found ? 0 : cache_note(c, note, out, e);
}

static struct db_event event_of(const struct cache_note *note, const struct cache_record *found,
				const struct cache_published *out, struct db_frame *frames,
				int64_t parent)
{
	return (struct db_event){
		.store = note->store,
		.job = note->job,
		.parent = parent,
		.chain = found ? found->chain : out->chain,
		.frames = frames,
		.n_frames = found ? found->n_frames : out->n_frames,
		.made_ms = note->made_ms,
	};
}

static const char **end_note_paths(const struct store_end *how, size_t *n)
{
	const char **paths = own_calloc(how->n + 1, sizeof(*paths));
	*n = 0;
	for (size_t i = 0; i < how->n; i++) {
		const struct db_ended *v = &how->v[i];
		if (how->kind == CACHE_REVOKE)
			paths[(*n)++] = v->path;
		else if (!i || strcmp(how->v[i - 1].layer, v->layer))
			paths[(*n)++] = v->layer;
	}
	return paths;
}

static int64_t end_record(struct ending *x, const struct cache_layer *layer, struct err *e)
{
	const struct store_end *how = x->how;
	struct cache_published out;
	size_t n;
	auto_free const char **paths = end_note_paths(how, &n);
	const struct cache_note note = {
		.store = how->store,
		.job = how->job,
		.parent = x->g.chain,
		.kind = how->kind,
		.of = how->of,
		.paths = paths,
		.n_paths = n,
		.made_ms = how->found ? how->found->made_ms : clock_real_ms(),
	};
	int64_t id = -1;
	if (!event_note(x->c, &note, how->found, &out, e)) {
		auto_free struct db_frame *frames =
			how->found ? shelf_frames(how->found->frames, how->found->n_frames)
				   : shelf_frames(out.frames, out.n_frames);
		const struct db_event ev = event_of(&note, how->found, &out, frames, x->g.id);
		id = db_end_entries(x->d, &ev, how->kind == CACHE_REVOKE, how->v, how->n, layer->id,
				    (int64_t)layer->entries, (int64_t)layer->bytes, e);
		if (id < 0)
			cache_publish_undo(x->c, &out);
	}
	cache_published_fini(&out);
	return id;
}

int64_t store_end(struct cache *c, struct db *d, const struct store_end *how, struct err *e)
{
	struct ending x = {.c = c, .d = d, .how = how};
	struct cache_layer layer;
	int64_t id = -1;
	if (db_store_current(d, how->store, &x.g, e))
		return err_add(e, "store %s", how->store);
	if (!end_choose(&x, e)) {
		const struct cache_but but = {x.n_extra, end_from, &x};
		if (!cache_flatten_but(c, x.layers, x.n_layers, &but, &layer, e))
			id = end_record(&x, &layer, e);
	}
	db_generation_fini(&x.g);
	free(x.paths);
	free(x.layers);
	return id < 0 ? err_add(e, "store %s", how->store) : id;
}

int64_t store_rollback(struct cache *c, struct db *d, const char *store, int64_t generation,
		       const char *job, const struct cache_record *found, struct err *e)
{
	char chain[65];
	struct db_generation g;
	struct cache_published out;
	int64_t id = -1;
	if (db_rollback_check(d, store, generation, chain, e) || db_store_current(d, store, &g, e))
		return -1;
	if (!chain[0]) {
		db_generation_fini(&g);
		return err_set(e, ERR_USAGE,
			       "generation %lld was made by an assay that gave it no chain digest: "
			       "the archive could not say what was gone back to",
			       (long long)generation);
	}
	const struct cache_note note = {
		.store = store,
		.job = job,
		.parent = g.chain,
		.kind = CACHE_ROLLBACK,
		.of = chain,
		.made_ms = found ? found->made_ms : clock_real_ms(),
	};
	if (!event_note(c, &note, found, &out, e)) {
		auto_free struct db_frame *frames =
			found ? shelf_frames(found->frames, found->n_frames)
			      : shelf_frames(out.frames, out.n_frames);
		const struct db_event ev = event_of(&note, found, &out, frames, g.id);
		id = db_rollback_to(d, &ev, generation, e);
		if (id < 0)
			cache_publish_undo(c, &out);
	}
	cache_published_fini(&out);
	db_generation_fini(&g);
	return id;
}

int store_disown(struct cache *c, struct db *d, const char *store, const struct db_taken *t,
		 size_t n, const char *job, const struct cache_record *found, struct err *e)
{
	struct db_generation g;
	struct cache_published out;
	auto_free const char **ids = own_calloc(n + 1, sizeof(*ids));
	auto_free int64_t *harvests = own_calloc(n + 1, sizeof(*harvests));
	if (db_store_current(d, store, &g, e))
		return err_add(e, "store %s", store);
	for (size_t i = 0; i < n; i++) {
		ids[i] = t[i].layer;
		harvests[i] = t[i].harvest;
	}
	const struct cache_note note = {
		.store = store,
		.job = job,
		.parent = g.chain,
		.kind = CACHE_DISOWN,
		.paths = ids,
		.n_paths = n,
		.made_ms = found ? found->made_ms : clock_real_ms(),
	};
	int rc = event_note(c, &note, found, &out, e);
	if (!rc) {
		auto_free struct db_frame *frames =
			found ? shelf_frames(found->frames, found->n_frames)
			      : shelf_frames(out.frames, out.n_frames);
		const struct db_event ev = event_of(&note, found, &out, frames, g.id);
		rc = db_disown(d, &ev, harvests, n, e);
		if (rc)
			cache_publish_undo(c, &out);
	}
	cache_published_fini(&out);
	db_generation_fini(&g);
	return rc ? err_add(e, "store %s", store) : 0;
}

/* ---- what the archive knew ---- */

static int64_t found_harvest(struct db *d, const char *store, const char *layer, struct err *e)
{
	struct db_table *t;
	const char *args[] = {store, layer};
	if (db_named(d, "harvest-of-layer", args, 2, &t, e))
		return -1;
	int64_t id = rows_int(t, 0, "harvest", 0);
	db_table_free(t);
	return id;
}

static int by_path(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Those of v that the note names; the others are freed. Their number. */
static size_t found_named(const struct cache_record *r, struct db_ended *v, size_t n)
{
	size_t kept = 0;
	auto_free const char **paths = own_calloc(r->n_entries + 1, sizeof(*paths));
	for (size_t i = 0; i < r->n_entries; i++)
		paths[i] = r->entries[i].path;
	qsort(paths, r->n_entries, sizeof(*paths), by_path);
	for (size_t i = 0; i < n; i++) {
		const char *path = v[i].path;
		if (bsearch(&path, paths, r->n_entries, sizeof(*paths), by_path))
			v[kept++] = v[i];
		else
			free(v[i].path);
	}
	return kept;
}

static int found_end(struct cache *c, struct db *d, const struct cache_record *r, struct err *e)
{
	struct db_ended *v = NULL;
	size_t n = 0, n_harvests = 0;
	auto_free int64_t *harvests = own_calloc(r->n_entries + 1, sizeof(*harvests));
	for (size_t i = 0; i < (r->kind == CACHE_REVOKE ? 1 : r->n_entries); i++) {
		int64_t id = found_harvest(d, r->store,
					   r->kind == CACHE_REVOKE ? r->of : r->entries[i].path, e);
		if (id < 0)
			return -1;
		if (id)
			harvests[n_harvests++] = id;
	}
	if (db_ended_list(d, r->store, harvests, n_harvests, &v, &n, e))
		return -1;
	if (r->kind == CACHE_REVOKE)
		n = found_named(r, v, n);
	const struct store_end how = {
		.store = r->store,
		.job = r->job,
		.kind = r->kind,
		.of = r->of,
		.v = v,
		.n = n,
		.found = r,
	};
	int64_t id = store_end(c, d, &how, e);
	db_ended_free(v, n);
	return id < 0 ? -1 : 0;
}

static int found_disown(struct cache *c, struct db *d, const struct cache_record *r, struct err *e)
{
	size_t n = 0;
	auto_free struct db_taken *t = own_calloc(r->n_entries + 1, sizeof(*t));
	for (size_t i = 0; i < r->n_entries; i++) {
		int64_t id = found_harvest(d, r->store, r->entries[i].path, e);
		if (id < 0)
			return -1;
		if (id)
			t[n++].harvest = id;
	}
	return store_disown(c, d, r->store, t, n, r->job, r, e);
}

int store_found(struct cache *c, struct db *d, const struct cache_record *r, struct err *e)
{
	struct err why = ERR_INIT;
	if (r->kind == CACHE_DISOWN)
		return found_disown(c, d, r, e);
	if (r->kind != CACHE_ROLLBACK)
		return found_end(c, d, r, e);
	int64_t to = db_generation_of_chain(d, r->store, r->of, e);
	if (to < 0)
		return -1;
	if (to && store_rollback(c, d, r->store, to, r->job, r, &why) >= 0)
		return 0;
	if (to && why.kind != ERR_USAGE) {
		*e = why;
		return -1;
	}
	/* Where what was gone back to is not known, or shown already, the store is as it is: but
	 * the archive's end has to move on. */
	return found_end(c, d, r, e);
}
