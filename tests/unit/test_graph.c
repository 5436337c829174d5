/* orchestrator/graph.c, rank.c: dependencies, cycles and the work that hangs on something. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/own.h"
#include "orchestrator/rank.h"
#include "orchestrator/sim.h"

static struct graph *made(size_t n, const uint32_t (*edges)[2], size_t n_edges)
{
	struct graph *g = graph_new(n);
	for (size_t i = 0; i < n_edges; i++)
		graph_edge(g, edges[i][0], edges[i][1]);
	graph_close(g);
	return g;
}

struct ready {
	bool is[16];
	size_t n;
};

static void on_ready(void *ctx, uint32_t a)
{
	struct ready *r = ctx;
	assert_false(r->is[a]);
	r->is[a] = true;
	r->n++;
}

static void a_package_waits_for_all_it_depends_on(void **state)
{
	static const uint32_t edges[][2] = {{0, 1}, {0, 2}, {1, 3}, {0, 1}};
	struct graph *g = made(4, edges, 4);
	struct ready r = {0};
	(void)state;
	assert_true(graph_waits(g, 0) && graph_waits(g, 1));
	assert_false(graph_waits(g, 2) || graph_waits(g, 3));
	graph_done(g, 2, on_ready, &r);
	assert_int_equal(r.n, 0);
	graph_done(g, 3, on_ready, &r);
	assert_true(r.n == 1 && r.is[1]);
	graph_done(g, 1, on_ready, &r);
	assert_true(r.n == 2 && r.is[0]);
	graph_reset(g);
	assert_true(graph_waits(g, 0));
	graph_free(g);
}

static void those_of_a_cycle_wait_for_what_is_outside_and_begin_together(void **state)
{
	/* 0 -> 1 -> 2 -> 0, 2 -> 3; 4 -> 1; 5 -> 5 */
	static const uint32_t edges[][2] = {{0, 1}, {1, 2}, {2, 0}, {2, 3}, {4, 1}, {5, 5}};
	struct graph *g = made(6, edges, 6);
	struct ready r = {0};
	(void)state;
	assert_int_equal(graph_component(g, 0), graph_component(g, 2));
	assert_int_not_equal(graph_component(g, 0), graph_component(g, 4));
	assert_false(graph_waits(g, 5) || graph_waits(g, 3));
	graph_done(g, 3, on_ready, &r);
	assert_true(r.n == 3 && r.is[0] && r.is[1] && r.is[2]);
	graph_done(g, 0, on_ready, &r);
	graph_done(g, 2, on_ready, &r);
	assert_false(r.is[4]);
	graph_done(g, 1, on_ready, &r);
	assert_true(r.is[4]);
	graph_free(g);
}

static void what_hangs_on_a_package_is_its_longest_chain(void **state)
{
	/* 1 and 2 depend on 0; 3 on 1; 4 and 5 on each other and on 2 */
	static const uint32_t edges[][2] = {{1, 0}, {2, 0}, {3, 1}, {4, 5}, {5, 4}, {4, 2}};
	static const uint64_t own[] = {1, 10, 20, 100, 7, 9};
	struct graph *g = made(6, edges, 6);
	uint64_t after[6];
	(void)state;
	graph_after(g, own, after);
	static const uint64_t wanted[] = {110, 100, 9, 0, 0, 0};
	for (size_t i = 0; i < 6; i++)
		assert_int_equal(after[i], wanted[i]);
	graph_free(g);
}

enum { WALK = 300 };

struct walk {
	uint32_t queue[WALK];
	size_t n;
	bool done[WALK];
	uint32_t edges[WALK * 3][2];
	size_t n_edges;
};

static void on_walk(void *ctx, uint32_t a)
{
	struct walk *w = ctx;
	assert_true(w->n < WALK);
	w->queue[w->n++] = a;
}

/* Mostly to packages before it, so that there are many small cycles and not one of all. */
static struct graph *walk_graph(struct walk *w, uint64_t r)
{
	struct graph *g = graph_new(WALK);
	w->n_edges = (size_t)(sim_random(&r) * WALK * 3);
	for (size_t i = 0; i < w->n_edges; i++) {
		uint32_t a = (uint32_t)(sim_random(&r) * WALK),
			 b = (uint32_t)(sim_random(&r) * WALK);
		if (b > a && sim_random(&r) < 0.9)
			b = a ? b % a : 0;
		w->edges[i][0] = a;
		w->edges[i][1] = b;
		graph_edge(g, a, b);
	}
	graph_close(g);
	return g;
}

/* Every package is begun once, and never before what it depends on, whatever the graph. */
static void any_graph_is_gone_through_whole(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 30; seed++) {
		static struct walk w;
		w = (struct walk){.n = 0};
		struct graph *g = walk_graph(&w, seed);
		for (uint32_t a = 0; a < WALK; a++)
			if (!graph_waits(g, a))
				on_walk(&w, a);
		for (size_t i = 0; i < w.n; i++) {
			uint32_t b = w.queue[i];
			assert_false(w.done[b]);
			for (size_t k = 0; k < w.n_edges; k++)
				if (w.edges[k][0] == b &&
				    graph_component(g, w.edges[k][1]) != graph_component(g, b))
					assert_true(w.done[w.edges[k][1]]);
			w.done[b] = true;
			graph_done(g, b, on_walk, &w);
		}
		assert_int_equal(w.n, WALK);
		graph_free(g);
	}
}

static void a_branch_ranks_as_its_longest_sibling(void **state)
{
	/* package 0: a trunk of 10 and branches of 5 and 30; package 1: 8 and 9 without trunk,
	 * depends on 0 */
	static const struct rank_unit u[] = {
		{0, RANK_NONE, 10}, {0, 0, 5}, {0, 0, 30}, {1, RANK_NONE, 8}, {1, RANK_NONE, 9}};
	static const uint32_t edges[][2] = {{1, 0}};
	struct graph *g = made(2, edges, 1);
	uint64_t after[5];
	(void)state;
	assert_int_equal(rank_units(u, 5, g, 2, after), 49);
	static const uint64_t wanted[] = {39, 34, 9, 1, 0};
	for (size_t i = 0; i < 5; i++)
		assert_int_equal(after[i], wanted[i]);
	graph_free(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_package_waits_for_all_it_depends_on),
		cmocka_unit_test(those_of_a_cycle_wait_for_what_is_outside_and_begin_together),
		cmocka_unit_test(what_hangs_on_a_package_is_its_longest_chain),
		cmocka_unit_test(any_graph_is_gone_through_whole),
		cmocka_unit_test(a_branch_ranks_as_its_longest_sibling),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
