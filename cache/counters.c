#include "cache/counters.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* ccache's stats_zeroed_timestamp, counted from 0. */
#define COUNTERS_TIME ((size_t)31)

struct counter {
	const char *name; /* points into the file */
	size_t name_n, nth;
	uint64_t value;
};

struct counters {
	struct counter *v; /* as the file has them */
	size_t n, cap;
	struct counter **sorted; /* by name, then nth */
	bool nameless;           /* all of them */
};

static int counters_compare(const struct counter *a, const struct counter *b)
{
	int c = memcmp(a->name, b->name, a->name_n < b->name_n ? a->name_n : b->name_n);
	return c ? c : (a->name_n > b->name_n) - (a->name_n < b->name_n);
}

/* Pointers into one array: their order is that of the lines. */
static int counters_by_name(const void *left, const void *right)
{
	const struct counter *a = *(struct counter *const *)left,
			     *b = *(struct counter *const *)right;
	int c = counters_compare(a, b);
	return c ? c : (a > b) - (a < b);
}

static int counters_by_key(const void *left, const void *right)
{
	const struct counter *a = left, *b = *(struct counter *const *)right;
	int c = counters_compare(a, b);
	return c ? c : (a->nth > b->nth) - (a->nth < b->nth);
}

static bool counters_line(const char *p, size_t n, struct counter *x)
{
	size_t from = n;
	*x = (struct counter){.name = p};
	while (from && p[from - 1] >= '0' && p[from - 1] <= '9')
		from--;
	x->name_n = from;
	for (size_t i = from; i < n; i++)
		if (__builtin_mul_overflow(x->value, 10, &x->value) ||
		    __builtin_add_overflow(x->value, (uint64_t)(p[i] - '0'), &x->value))
			return false;
	return from < n && (!from || p[from - 1] != '-');
}

static void counters_sort(struct counters *c)
{
	c->sorted = own_calloc(c->n + 1, sizeof(struct counter *));
	for (size_t i = 0; i < c->n; i++)
		c->sorted[i] = &c->v[i];
	if (c->n)
		qsort(c->sorted, c->n, sizeof(struct counter *), counters_by_name);
	for (size_t i = 1; i < c->n; i++)
		if (!counters_compare(c->sorted[i - 1], c->sorted[i]))
			c->sorted[i]->nth = c->sorted[i - 1]->nth + 1;
}

/* 0, or the number of the line that is none. */
static size_t counters_read(struct counters *c, const struct text *t)
{
	const char *p = t ? text_str(t) : "", *stop = p + (t ? t->n : 0);
	c->nameless = true;
	while (p < stop) {
		const char *end = memchr(p, '\n', (size_t)(stop - p));
		size_t n = (size_t)((end ? end : stop) - p);
		if (c->n == c->cap) {
			c->cap = c->cap ? 2 * c->cap : 64;
			c->v = own_grow(c->v, c->cap, sizeof(*c->v));
		}
		if (!counters_line(p, n, &c->v[c->n++]))
			return c->n;
		c->nameless &= !c->v[c->n - 1].name_n;
		p += n + 1;
	}
	counters_sort(c);
	return 0;
}

static void counters_free(struct counters *c)
{
	free(c->v);
	free(c->sorted);
}

static const struct counter *counters_find(const struct counters *c, const struct counter *key)
{
	struct counter **found =
		c->n ? bsearch(key, c->sorted, c->n, sizeof(struct counter *), counters_by_key)
		     : NULL;
	return found ? *found : NULL;
}

static uint64_t counters_value(const struct counters *c, const struct counter *key)
{
	const struct counter *found = counters_find(c, key);
	return found ? found->value : 0;
}

/* store + mine - base, within 0 and the largest. */
static uint64_t counters_add(uint64_t store, uint64_t mine, uint64_t base)
{
	uint64_t sum;
	if (mine < base)
		return store > base - mine ? store - (base - mine) : 0;
	return __builtin_add_overflow(store, mine - base, &sum) ? UINT64_MAX : sum;
}

struct counters_all {
	struct counters base, store, mine;
};

static void counters_put(const struct counters_all *a, const struct counter *key, struct text *out)
{
	uint64_t base = counters_value(&a->base, key), store = counters_value(&a->store, key);
	bool time = key->nth == COUNTERS_TIME && a->base.nameless && a->store.nameless &&
		    a->mine.nameless;
	/* One that mine does not have it did not set back: its writer knows it not. */
	const struct counter *has = counters_find(&a->mine, key);
	uint64_t mine = has ? has->value : base;
	uint64_t sum = time ? (store > mine ? store : mine) : counters_add(store, mine, base);
	text_put(out, key->name, key->name_n);
	text_addf(out, "%llu\n", (unsigned long long)sum);
}

bool counters_sum(const struct text *base, const struct text *store, const struct text *mine,
		  struct text *out, size_t *line)
{
	struct counters_all a = {0};
	*line = counters_read(&a.mine, mine);
	bool good = !*line && !counters_read(&a.base, base) && !counters_read(&a.store, store);
	for (size_t i = 0; good && i < a.store.n; i++)
		counters_put(&a, &a.store.v[i], out);
	for (size_t i = 0; good && i < a.mine.n; i++)
		if (!counters_find(&a.store, &a.mine.v[i]))
			counters_put(&a, &a.mine.v[i], out);
	counters_free(&a.base);
	counters_free(&a.store);
	counters_free(&a.mine);
	return good;
}
