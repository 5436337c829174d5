#include "orchestrator/graph.h"

#include "base/own.h"

#include <string.h>

struct graph_pair {
	uint32_t from, to;
};

/* Neighbours, as compressed rows: those of a are to[first[a]] … to[first[a + 1] - 1]. */
struct graph_rows {
	size_t *first;
	uint32_t *to;
};

struct graph {
	size_t n;
	struct graph_pair *edges;
	size_t n_edges, room;
	struct graph_rows on, by; /* what a depends on; what depends on a */
	uint32_t *component;      /* by package; what a component depends on has lower numbers */
	uint32_t *members;        /* packages, component by component */
	size_t *member_first;     /* by component: its first in members */
	uint32_t *waits;          /* by component: edges to packages that are not done */
	size_t n_components;
};

struct graph *graph_new(size_t n)
{
	struct graph *g = own_calloc(1, sizeof(*g));
	g->n = n;
	return g;
}

static void graph_rows_fini(struct graph_rows *r)
{
	free(r->first);
	free(r->to);
}

void graph_free(struct graph *g)
{
	if (!g)
		return;
	graph_rows_fini(&g->on);
	graph_rows_fini(&g->by);
	free(g->edges);
	free(g->component);
	free(g->members);
	free(g->member_first);
	free(g->waits);
	free(g);
}

void graph_edge(struct graph *g, uint32_t a, uint32_t b)
{
	if (a == b)
		return;
	if (g->n_edges == g->room) {
		g->room = g->room ? g->room * 2 : 64;
		g->edges = own_grow(g->edges, g->room, sizeof(*g->edges));
	}
	g->edges[g->n_edges++] = (struct graph_pair){a, b};
}

static struct graph_rows graph_rows_of(const struct graph *g, bool backwards)
{
	struct graph_rows r = {own_calloc(g->n + 2, sizeof(*r.first)),
			       own_calloc(g->n_edges + 1, sizeof(*r.to))};
	for (size_t i = 0; i < g->n_edges; i++)
		r.first[(backwards ? g->edges[i].to : g->edges[i].from) + 2]++;
	for (size_t i = 2; i < g->n + 2; i++)
		r.first[i] += r.first[i - 1];
	/* first[a + 1] is where the next neighbour of a goes, and ends as where those of a end. */
	for (size_t i = 0; i < g->n_edges; i++) {
		struct graph_pair p = g->edges[i];
		if (backwards)
			p = (struct graph_pair){p.to, p.from};
		r.to[r.first[p.from + 1]++] = p.to;
	}
	return r;
}

/* Tarjan's walk, its stack in an array. */
struct graph_walk {
	struct graph *g;
	uint32_t *low, *number; /* number 0: not seen */
	uint32_t *path;         /* from the start to where the walk is */
	size_t *next;           /* by package: its next neighbour to look at */
	uint32_t *open;         /* seen, component not known */
	size_t n_path, n_open, n_members;
	uint32_t seen;
};

#define GRAPH_UNKNOWN UINT32_MAX

static void walk_enter(struct graph_walk *w, uint32_t a)
{
	w->number[a] = w->low[a] = ++w->seen;
	w->next[a] = w->g->on.first[a];
	w->path[w->n_path++] = a;
	w->open[w->n_open++] = a;
}

static void walk_leave(struct graph_walk *w, uint32_t a)
{
	struct graph *g = w->g;
	w->n_path--;
	if (w->n_path && w->low[a] < w->low[w->path[w->n_path - 1]])
		w->low[w->path[w->n_path - 1]] = w->low[a];
	if (w->low[a] != w->number[a])
		return;
	g->member_first[g->n_components] = w->n_members;
	for (uint32_t b = GRAPH_UNKNOWN; b != a;) {
		b = w->open[--w->n_open];
		g->component[b] = (uint32_t)g->n_components;
		g->members[w->n_members++] = b;
	}
	g->n_components++;
}

static void walk_from(struct graph_walk *w, uint32_t start)
{
	struct graph *g = w->g;
	walk_enter(w, start);
	while (w->n_path) {
		uint32_t a = w->path[w->n_path - 1];
		if (w->next[a] == g->on.first[a + 1]) {
			walk_leave(w, a);
			continue;
		}
		uint32_t b = g->on.to[w->next[a]++];
		if (!w->number[b])
			walk_enter(w, b);
		else if (g->component[b] == GRAPH_UNKNOWN && w->number[b] < w->low[a])
			w->low[a] = w->number[b];
	}
}

static void graph_components(struct graph *g)
{
	auto_free uint32_t *low = own_calloc(g->n + 1, sizeof(*low));
	auto_free uint32_t *number = own_calloc(g->n + 1, sizeof(*number));
	auto_free uint32_t *path = own_calloc(g->n + 1, sizeof(*path));
	auto_free uint32_t *open = own_calloc(g->n + 1, sizeof(*open));
	auto_free size_t *next = own_calloc(g->n + 1, sizeof(*next));
	struct graph_walk w = {
		.g = g, .low = low, .number = number, .path = path, .next = next, .open = open};
	g->component = own_alloc((g->n + 1) * sizeof(*g->component));
	memset(g->component, 0xff, (g->n + 1) * sizeof(*g->component));
	g->members = own_calloc(g->n + 1, sizeof(*g->members));
	g->member_first = own_calloc(g->n + 1, sizeof(*g->member_first));
	for (size_t a = 0; a < g->n; a++)
		if (!number[a])
			walk_from(&w, (uint32_t)a);
	g->member_first[g->n_components] = g->n;
}

void graph_close(struct graph *g)
{
	g->on = graph_rows_of(g, false);
	g->by = graph_rows_of(g, true);
	graph_components(g);
	g->waits = own_calloc(g->n_components + 1, sizeof(*g->waits));
	free(g->edges);
	g->edges = NULL;
	graph_reset(g);
}

void graph_reset(struct graph *g)
{
	memset(g->waits, 0, g->n_components * sizeof(*g->waits));
	for (size_t a = 0; a < g->n; a++)
		for (size_t i = g->on.first[a]; i < g->on.first[a + 1]; i++)
			g->waits[g->component[a]] += g->component[g->on.to[i]] != g->component[a];
}

bool graph_waits(const struct graph *g, uint32_t a)
{
	return g->waits[g->component[a]] != 0;
}

uint32_t graph_component(const struct graph *g, uint32_t a)
{
	return g->component[a];
}

void graph_done(struct graph *g, uint32_t b, void (*ready)(void *ctx, uint32_t a), void *ctx)
{
	for (size_t i = g->by.first[b]; i < g->by.first[b + 1]; i++) {
		uint32_t c = g->component[g->by.to[i]];
		if (c == g->component[b] || --g->waits[c])
			continue;
		for (size_t k = g->member_first[c]; k < g->member_first[c + 1]; k++)
			ready(ctx, g->members[k]);
	}
}

void graph_after(const struct graph *g, const uint64_t *own, uint64_t *after)
{
	auto_free uint64_t *behind = own_calloc(g->n_components + 1, sizeof(*behind));
	/* What depends on a component has a higher number: its chain is known first. */
	for (size_t c = g->n_components; c-- > 0;) {
		uint64_t largest = 0;
		for (size_t k = g->member_first[c]; k < g->member_first[c + 1]; k++)
			if (own[g->members[k]] > largest)
				largest = own[g->members[k]];
		for (size_t k = g->member_first[c]; k < g->member_first[c + 1]; k++) {
			uint32_t a = g->members[k];
			after[a] = behind[c];
			for (size_t i = g->on.first[a]; i < g->on.first[a + 1]; i++) {
				uint32_t to = g->component[g->on.to[i]];
				if (to != c && behind[to] < largest + behind[c])
					behind[to] = largest + behind[c];
			}
		}
	}
}
