/* A binary heap of small numbers: what is waiting, by rank. Used by the scheduler for tasks and by
 * the simulation for times. Any thread; one owner. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct heap_entry {
	uint64_t rank; /* the least comes first */
	uint32_t seq;  /* and of equals the least of these */
	uint32_t id;
};

struct heap {
	struct heap_entry *at;
	size_t n, room;
};

void heap_push(struct heap *h, struct heap_entry x);
/* heap_pop(h): the first, which must exist: O(log n). */
struct heap_entry heap_pop(struct heap *h);
/* heap_before(a, b): a comes first. */
static inline bool heap_before(const struct heap_entry *a, const struct heap_entry *b)
{
	return a->rank != b->rank ? a->rank < b->rank : a->seq < b->seq;
}
void heap_fini(struct heap *h);
