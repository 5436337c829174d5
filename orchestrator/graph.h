/* Which packages depend on which: what may begin, and how much hangs on it. Cycles are normal in an
 * ecosystem: the packages of one (a strongly connected component; Tarjan 1972) wait for what any of
 * them depends on outside, never for one another. Pure; any thread, one owner. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct graph;

/* graph_new(n): n packages without edges. */
struct graph *graph_new(size_t n);
void graph_free(struct graph *g);
/* graph_edge(g, a, b): a depends on b. An edge twice, and one from a package to itself, is fine.
 * Before graph_close only. */
void graph_edge(struct graph *g, uint32_t a, uint32_t b);
/* graph_close(g): all edges are known. O(packages + edges), no recursion. */
void graph_close(struct graph *g);

/* graph_waits(g, a): something it depends on is not done. */
bool graph_waits(const struct graph *g, uint32_t a);
/* graph_done(g, b, ready, ctx): b is done; ready is called for each package that waits for nothing
 * any more because of that. Once per package. */
void graph_done(struct graph *g, uint32_t b, void (*ready)(void *ctx, uint32_t a), void *ctx);

/* graph_reset(g): nothing is done (again). */
void graph_reset(struct graph *g);

/* graph_after(g, own, after): after[b] is the longest chain of work behind b: what depends on it,
 * what depends on that, … own[a] is the work of a itself; that of a cycle is its largest. */
void graph_after(const struct graph *g, const uint64_t *own, uint64_t *after);
/* graph_component(g, a): equal for packages of one cycle. */
uint32_t graph_component(const struct graph *g, uint32_t a);
