#include "orchestrator/sample.h"

#include "base/own.h"
#include "orchestrator/sim.h"

#include <stdlib.h>

/* So many draws are tried for one that costs what it should. */
#define SAMPLE_TRIES 64

/* The cheapest first; of equals as the caller has them. */
static int by_cost(const void *pa, const void *pb)
{
	const struct sample *a = pa, *b = pb;
	if (a->cost != b->cost)
		return a->cost < b->cost ? -1 : 1;
	return a->of < b->of ? -1 : a->of > b->of;
}

/* One of list[from, to): of those that ran longest ago, by chance. */
static size_t draw_one(const struct sample *list, size_t from, size_t to, uint64_t *seed)
{
	size_t is = from, equals = 0;
	for (size_t i = from; i < to; i++) {
		if (list[i].last > list[is].last)
			continue;
		equals = list[i].last < list[is].last ? 1 : equals + 1;
		if (equals == 1 || sim_random(seed) * (double)equals < 1)
			is = i;
	}
	return is;
}

/* One of each of k parts, as indices. What all of them cost. */
static uint64_t draw_parts(const struct sample *list, size_t n, size_t k, size_t *out,
			   uint64_t *seed)
{
	uint64_t cost = 0;
	for (size_t i = 0; i < k; i++) {
		out[i] = draw_one(list, i * n / k, (i + 1) * n / k, seed);
		cost += list[out[i]].cost;
	}
	return cost;
}

static size_t draw_number(size_t n, double percent, bool some, uint64_t *seed)
{
	double wanted = (double)n * percent / 100;
	size_t k = (size_t)wanted;
	k += sim_random(seed) < wanted - (double)k;
	return k > n ? n : !k && some && n && percent > 0 ? 1 : k;
}

void sample_draw(struct sample *list, size_t n, double percent, bool some, uint64_t seed)
{
	size_t k = draw_number(n, percent, some, &seed);
	auto_free size_t *best = own_calloc(k + 1, sizeof(*best));
	auto_free size_t *tried = own_calloc(k + 1, sizeof(*tried));
	double total = 0, least = -1;
	if (n)
		qsort(list, n, sizeof(*list), by_cost);
	for (size_t i = 0; i < n; i++)
		total += (double)list[i].cost;
	for (unsigned t = 0; t < SAMPLE_TRIES; t++) {
		double off = (double)draw_parts(list, n, k, tried, &seed) - total * percent / 100;
		off = off < 0 ? -off : off;
		if (least >= 0 && off >= least)
			continue;
		least = off;
		for (size_t i = 0; i < k; i++)
			best[i] = tried[i];
	}
	for (size_t i = 0; i < k; i++)
		list[best[i]].drawn = true;
}
