/* assay cache collect: room again. First a generation without what was not used for long, then the
 * old generations go, then what only they needed. */
#include "orchestrator/cache_cmd.h"

#include "base/clock.h"
#include "base/unit.h"
#include "orchestrator/pin.h"
#include "orchestrator/rows.h"
#include "orchestrator/store_end.h"

#include <inttypes.h>
#include <string.h>

enum { COLLECT_KEEP = 10 };

struct collect {
	const struct cache_args *a;
	struct state *s;
	json_t *left_out;
	uint64_t bytes;
	size_t rewritten; /* segments */
	uint64_t freed;   /* bytes in them */
};

/* How many of them, the longest unused first, are over age or size. */
static size_t collect_over(const struct cache_args *a, const struct db_taken *t, size_t n)
{
	uint64_t total = 0;
	size_t over = 0;
	int64_t last = clock_real_ms() - (int64_t)a->age_ms;
	for (size_t i = 0; i < n; i++)
		total += (uint64_t)t[i].bytes;
	while (over < n && ((a->age_ms && t[over].last_ms < last) || total > a->max_bytes))
		total -= (uint64_t)t[over++].bytes;
	return over;
}

static void collect_tell(struct collect *c, const char *store, const struct db_taken *t)
{
	json_array_append_new(c->left_out,
			      json_pack("{s:s, s:s, s:I, s:I, s:I}", "store", store, "job", t->job,
					"harvest", (json_int_t)t->harvest, "bytes",
					(json_int_t)t->bytes, "last_ms", (json_int_t)t->last_ms));
}

static int collect_leave_out(struct collect *c, const char *store, const struct db_taken *t,
			     size_t n, struct err *e)
{
	struct db_ended *v;
	size_t n_v;
	auto_free int64_t *harvests = own_calloc(n + 1, sizeof(*harvests));
	for (size_t i = 0; i < n; i++) {
		harvests[i] = t[i].harvest;
		c->bytes += (uint64_t)t[i].bytes;
		collect_tell(c, store, &t[i]);
	}
	if (c->a->dry_run)
		return 0;
	if (db_ended_list(c->s->db, store, harvests, n, &v, &n_v, e))
		return -1;
	const struct store_end how = {
		.store = store,
		.job = "assay cache collect",
		.kind = CACHE_COLLECT,
		.v = v,
		.n = n_v,
	};
	int rc = n_v && store_end(c->s->cache, c->s->db, &how, e) < 0 ? -1 : 0;
	db_ended_free(v, n_v);
	return rc;
}

/* Words that nothing stands upon, of packages that did not run for so long. */
static int collect_words(struct collect *c, const char *store, struct err *e)
{
	struct db_taken *t;
	size_t n, old = 0;
	if (!c->a->age_ms)
		return 0;
	if (db_words_oldest(c->s->db, store, &t, &n, e))
		return -1;
	while (old < n && t[old].last_ms < clock_real_ms() - (int64_t)c->a->age_ms)
		collect_tell(c, store, &t[old++]);
	int rc = old && !c->a->dry_run ? store_disown(c->s->cache, c->s->db, store, t, old,
						      "assay cache collect", NULL, e)
				       : 0;
	db_taken_free(t, n);
	return rc;
}

static int collect_store(struct collect *c, const char *store, struct err *e)
{
	struct db_taken *t;
	size_t n;
	if (collect_words(c, store, e))
		return -1;
	if (db_taken_oldest(c->s->db, store, &t, &n, e))
		return -1;
	size_t over = collect_over(c->a, t, n);
	int rc = over ? collect_leave_out(c, store, t, over, e) : 0;
	db_taken_free(t, n);
	return rc;
}

/* Rows of layers stay while the archive could bring them back: only those on disk are meant. */
static void collect_on_disk(struct collect *c, struct db_collected *gone)
{
	size_t n = 0;
	for (size_t i = 0; i < gone->n_layers; i++) {
		struct err absent = ERR_INIT;
		auto_fd int fd = cache_layer_open(c->s->cache, gone->layers[i], &absent);
		if (fd >= 0)
			memmove(gone->layers[n++], gone->layers[i], sizeof(*gone->layers));
	}
	gone->n_layers = n;
}

/* Of frames that stay the database knows some; the others are parts of something that goes on in
 * another segment. */
static size_t collect_moves(const struct cache_rewritten *r, const uint64_t *live, size_t n,
			    uint64_t *to)
{
	size_t k = 0;
	for (size_t i = 0; i < r->n_moves && k < n; i++)
		if (r->moves[i].from == live[k])
			to[k++] = r->moves[i].to;
	return k;
}

/* One segment without what nobody needs. What is damaged stays as it is, and is told. */
static int collect_rewrite(struct collect *c, uint32_t number, struct err *e)
{
	struct cache_rewritten r;
	auto_free uint64_t *live = NULL;
	uint64_t bytes;
	size_t n;
	if (db_segment_frames(c->s->db, number, &bytes, &live, &n, e))
		return -1;
	if (cache_segment_rewrite(c->s->cache, number, bytes, live, n, &r, e)) {
		if (e->kind != ERR_CORRUPT)
			return -1;
		fprintf(stderr, "assay: %s: it stays as it is; see assay cache verify\n", e->text);
		*e = (struct err)ERR_INIT;
		return 0;
	}
	if (r.bytes == bytes)
		return 0;
	auto_free uint64_t *to = own_calloc(n + 1, sizeof(*to));
	int rc = collect_moves(&r, live, n, to) == n
			 ? db_segment_moved(c->s->db, number, r.bytes, live, to, n, e)
			 : err_set(e, ERR_CORRUPT, "segment %06u has lost a frame", number);
	if (rc) {
		cache_segment_later(&r);
		return -1;
	}
	c->rewritten++;
	c->freed += bytes - r.bytes;
	return cache_segment_take(c->s->cache, number, &r, e);
}

/* What the database has forgotten goes from the disk. A kill in between leaves directories that the
 * next collect, or opening, takes. */
static int collect_remove(struct collect *c, const struct db_collected *gone, struct err *e)
{
	for (size_t i = 0; i < gone->n_layers; i++) {
		cache_cmd_progress("layers", i, gone->n_layers);
		if (cache_layer_remove(c->s->cache, gone->layers[i], e))
			return -1;
	}
	cache_cmd_progress("layers", gone->n_layers, gone->n_layers);
	for (size_t i = 0; i < gone->n_segments; i++)
		if (cache_segment_remove(c->s->cache, gone->segments[i], e))
			return -1;
	for (size_t i = 0; i < gone->n_halves; i++) {
		cache_cmd_progress("segments", i, gone->n_halves);
		if (collect_rewrite(c, gone->halves[i], e))
			return -1;
	}
	if (gone->n_halves)
		cache_cmd_progress("segments", gone->n_halves, gone->n_halves);
	return 0;
}

static void collect_print(const struct collect *c, const struct db_collected *gone)
{
	char size[UNIT_TEXT], freed[UNIT_TEXT];
	size_t i, rewritten = c->a->dry_run ? gone->n_halves : c->rewritten;
	uint64_t dead = c->a->dry_run ? (uint64_t)gone->dead_bytes : c->freed;
	json_t *j;
	if (c->a->common.json) {
		cache_cmd_json(
			json_pack("{s:O, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b}", "left_out",
				  c->left_out, "left_out_bytes", (json_int_t)c->bytes,
				  "generations", (json_int_t)gone->generations, "layers",
				  (json_int_t)gone->n_layers, "harvests",
				  (json_int_t)gone->harvests, "entries", (json_int_t)gone->entries,
				  "segments", (json_int_t)gone->n_segments, "rewritten",
				  (json_int_t)rewritten, "rewritten_bytes", (json_int_t)dead,
				  "dry_run", c->a->dry_run));
		return;
	}
	json_array_foreach(c->left_out, i, j)
		printf("left out: %s (%s)\n", json_string_value(json_object_get(j, "job")),
		       unit_size((uint64_t)json_integer_value(json_object_get(j, "bytes")), size));
	printf("%s %" PRId64 " generations, %zu layers, %" PRId64 " publishes with %" PRId64
	       " entries, %zu segments; left out what %zu jobs brought, %s\n",
	       c->a->dry_run ? "would forget" : "forgot", gone->generations, gone->n_layers,
	       gone->harvests, gone->entries, gone->n_segments, json_array_size(c->left_out),
	       unit_size(c->bytes, size));
	if (rewritten)
		printf("%s %zu segments without %s that nobody needs\n",
		       c->a->dry_run ? "would write" : "wrote", rewritten, unit_size(dead, freed));
}

static int collect_all(struct collect *c, struct err *e)
{
	struct db_table *stores;
	int64_t *pinned = NULL;
	size_t n_pinned = 0;
	struct db_collected gone = {0};
	if (cache_cmd_ask(c->s->db, "stores", NULL, &stores, e))
		return -1;
	int rc = 0;
	for (size_t i = 0; !rc && i < stores->n_rows; i++)
		rc = collect_store(c, rows_str(stores, i, "store"), e);
	db_table_free(stores);
	int64_t keep = c->a->keep == UINT64_MAX ? COLLECT_KEEP : (int64_t)c->a->keep;
	if (!rc)
		rc = pin_list(c->s->fd, &pinned, &n_pinned, e);
	if (!rc)
		rc = db_collect_rows(c->s->db, keep, pinned, n_pinned, c->a->dry_run, &gone, e);
	if (!rc)
		collect_on_disk(c, &gone);
	if (!rc && !c->a->dry_run)
		rc = collect_remove(c, &gone, e);
	if (!rc)
		collect_print(c, &gone);
	db_collected_fini(&gone);
	free(pinned);
	return rc;
}

int cache_collect(const struct cache_args *a, struct err *e)
{
	struct collect c = {.a = a, .left_out = json_array()};
	c.s = state_open(a->common.state, e);
	int rc = c.s ? collect_all(&c, e) : -1;
	json_decref(c.left_out);
	state_close(c.s);
	return rc;
}
