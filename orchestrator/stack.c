#include "orchestrator/stack.h"

#include "base/clock.h"

size_t stack_height(const uint64_t *entries, size_t n_layers)
{
	size_t n = 0;
	uint64_t sum = 0;
	while (n < n_layers && (n < CACHE_MAX_LAYERS / 2 || entries[n] <= sum))
		sum += entries[n++];
	return n;
}

static int stack_flatten_top(struct cache *c, struct db *d, const char *store,
			     const struct db_generation *g, size_t n, struct err *e)
{
	struct cache_layer flat;
	auto_free const char **ids = own_calloc(g->n_layers + 1, sizeof(*ids));
	for (size_t i = 0; i < g->n_layers; i++)
		ids[i] = g->layers[i];
	if (cache_flatten_height(c, ids, n, g->n_layers, &n, e) ||
	    cache_flatten(c, ids, n, &flat, e) ||
	    db_store_flatten(d, store, g->id, 0, n, flat.id, (int64_t)flat.entries,
			     (int64_t)flat.bytes, clock_real_ms(), e) < 0)
		return -1;
	return 1;
}

int stack_flatten(struct cache *c, struct db *d, const char *store, bool all, struct err *e)
{
	struct db_generation g;
	if (db_store_current(d, store, &g, e))
		return err_add(e, "store %s", store);
	auto_free uint64_t *entries = own_calloc(g.n_layers + 1, sizeof(*entries));
	for (size_t i = 0; i < g.n_layers; i++)
		entries[i] = (uint64_t)g.entries[i];
	size_t n = all ? g.n_layers : stack_height(entries, g.n_layers);
	int rc = 0;
	if (g.n_layers > (all ? 1 : CACHE_MAX_LAYERS))
		rc = stack_flatten_top(c, d, store, &g, n, e);
	db_generation_fini(&g);
	return rc < 0 ? err_add(e, "store %s", store) : rc;
}
