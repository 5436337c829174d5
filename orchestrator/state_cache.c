#include "orchestrator/state_cache.h"

#include "base/clock.h"
#include "orchestrator/shelf.h"
#include "orchestrator/stack.h"
#include "orchestrator/store_end.h"

#include <string.h>

struct state_found {
	struct state *s;
	struct cache_frame *frames; /* of all that was found, one after the other */
	size_t *n_frames;           /* of each */
	size_t n, total;
};

static int found_on_record(void *owner, const struct cache_record *r, struct err *e)
{
	struct state_found *f = owner;
	(void)e;
	f->frames = own_grow(f->frames, f->total + r->n_frames, sizeof(*f->frames));
	memcpy(f->frames + f->total, r->frames, r->n_frames * sizeof(*r->frames));
	f->total += r->n_frames;
	f->n_frames = own_grow(f->n_frames, f->n + 1, sizeof(*f->n_frames));
	f->n_frames[f->n++] = r->n_frames;
	return 1;
}

static int found_on_lost(void *owner, uint32_t segment, uint64_t left, struct err *e)
{
	struct state_found *f = owner;
	int64_t n = db_segment_lost(f->s->db, segment, (int64_t)left, e);
	if (n > 0)
		fprintf(stderr,
			"assay: %s/seg/%06u.tar.zst %s: the archive's copy of what %lld job%s "
			"brought "
			"is lost; assay cache verify names them, and says whether the layers still "
			"have it\n",
			f->s->path, (unsigned)segment, left ? "was cut short" : "is gone",
			(long long)n, n == 1 ? "" : "s");
	return n < 0 ? -1 : 0;
}

/* One publish that the database did not know becomes its store's newest generation. */
static int found_take(struct state *s, const struct cache_frame *frames, size_t n, struct err *e)
{
	struct cache_record r;
	if (cache_record_read(s->cache, frames, n, &r, e)) {
		cache_record_fini(&r);
		return -1;
	}
	if (r.kind != CACHE_PUBLISH && r.kind != CACHE_PENDING_WORDS) {
		int done = store_found(s->cache, s->db, &r, e);
		cache_record_fini(&r);
		return done;
	}
	auto_free struct db_entry *entries = own_calloc(r.n_entries + 1, sizeof(*entries));
	auto_free struct db_frame *rows = shelf_frames(frames, n);
	struct db_publish p = {
		.store = r.store,
		.job = r.job,
		.nothing = r.kind == CACHE_PENDING_WORDS,
		.trust = r.trust,
		.package = r.package,
		.record = r.kind == CACHE_PENDING_WORDS ? r.layer : NULL,
		.layer = r.layer,
		.chain = r.chain,
		.frames = rows,
		.n_frames = n,
		.entries = entries,
		.n_entries = r.n_entries,
		.made_ms = r.made_ms,
	};
	shelf_counts(&p, &r.counts);
	for (size_t i = 0; i < r.n_entries; i++)
		entries[i] = shelf_entry(&r.entries[i]);
	struct cache_layer layer = {0};
	int rc = p.nothing ? 0 : cache_layer_count(s->cache, r.layer, &layer, e);
	p.layer_entries = (int64_t)layer.entries;
	p.layer_bytes = (int64_t)layer.bytes;
	if (!rc && db_found(s->db, &p, r.parent, e) < 0)
		rc = -1;
	while (!rc && (rc = stack_flatten(s->cache, s->db, r.store, false, e)) > 0)
		rc = 0;
	cache_record_fini(&r);
	return rc;
}

static int found_take_all(struct state *s, const struct state_found *f, struct err *e)
{
	const struct cache_frame *frames = f->frames;
	for (size_t i = 0; i < f->n; i++) {
		if (found_take(s, frames, f->n_frames[i], e))
			return err_add(e, "what segment %06u knows and the database does not",
				       (unsigned)frames->segment);
		frames += f->n_frames[i];
	}
	s->found = f->n;
	return 0;
}

/* Layers that no segment knows, imported ones whose names went with the database, get names again.
 */
static int keep_name(struct state *s, const char *id, struct err *e)
{
	struct db_layer known;
	struct cache_layer layer;
	struct err damaged = ERR_INIT;
	int found = db_layer_find(s->db, id, &known, e);
	if (found) {
		db_layer_fini(&known);
		return found < 0 ? -1 : 0;
	}
	/* What can't be read is no tool to anybody: the next opening sweeps it. */
	if (cache_layer_count(s->cache, id, &layer, &damaged))
		return 0;
	auto_free char *name = own_fmt("kept-%.12s", id);
	struct db_layer l = {.name = name,
			     .entries = (int64_t)layer.entries,
			     .bytes = (int64_t)layer.bytes,
			     .made_ms = clock_real_ms()};
	memcpy(l.id, id, sizeof(l.id));
	return db_layer_name(s->db, &l, e);
}

int state_cache(struct state *s, bool rebuild, struct err *e)
{
	struct db_known known;
	struct state_found f = {.s = s};
	char(*kept)[CACHE_ID] = NULL;
	size_t n_kept = 0, n_layers = 0;
	if (db_known(s->db, &known, e))
		return -1;
	int rc = !rebuild || known.n_layers ? 0 : cache_layer_ids(s->fd, &kept, &n_kept, e);
	auto_free struct cache_known_segment *segments =
		own_calloc(known.n_segments + 1, sizeof(*segments));
	auto_free const char **layers = own_calloc(known.n_layers + n_kept + 1, sizeof(*layers));
	for (size_t i = 0; i < known.n_segments; i++)
		segments[i] = (struct cache_known_segment){known.segments[i].number,
							   known.segments[i].bytes};
	for (size_t i = 0; i < known.n_layers; i++)
		layers[n_layers++] = known.layers[i];
	for (size_t i = 0; i < n_kept; i++)
		layers[n_layers++] = kept[i];
	const struct cache_known for_cache = {
		.segments = segments,
		.n_segments = known.n_segments,
		.layers = layers,
		.n_layers = n_layers,
		.on_found = found_on_record,
		.on_lost = found_on_lost,
		.owner = &f,
	};
	if (!rc) {
		s->cache = cache_open(s->fd, &for_cache, e);
		rc = s->cache ? found_take_all(s, &f, e)
			      : err_add(e, "state directory %s", s->path);
	}
	for (size_t i = 0; !rc && i < n_kept; i++)
		rc = keep_name(s, kept[i], e);
	db_known_fini(&known);
	free(kept);
	free(f.frames);
	free(f.n_frames);
	return rc;
}
