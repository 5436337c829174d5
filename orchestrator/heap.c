#include "orchestrator/heap.h"

#include "base/own.h"

void heap_push(struct heap *h, struct heap_entry x)
{
	if (h->n == h->room) {
		h->room = h->room ? h->room * 2 : 16;
		h->at = own_grow(h->at, h->room, sizeof(*h->at));
	}
	size_t i = h->n++;
	for (; i && heap_before(&x, &h->at[(i - 1) / 2]); i = (i - 1) / 2)
		h->at[i] = h->at[(i - 1) / 2];
	h->at[i] = x;
}

struct heap_entry heap_pop(struct heap *h)
{
	struct heap_entry first = h->at[0], x = h->at[--h->n];
	size_t i = 0;
	for (size_t child; (child = 2 * i + 1) < h->n; i = child) {
		if (child + 1 < h->n && heap_before(&h->at[child + 1], &h->at[child]))
			child++;
		if (!heap_before(&h->at[child], &x))
			break;
		h->at[i] = h->at[child];
	}
	h->at[i] = x;
	return first;
}

void heap_fini(struct heap *h)
{
	free(h->at);
	*h = (struct heap){0};
}
