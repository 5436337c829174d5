#include "base/pool.h"

#include <string.h>

/* Few strings need a small block, many need few blocks. */
enum { POOL_FIRST = 256, POOL_MOST = 64 << 10 };

struct pool_block {
	struct pool_block *next;
	size_t used, room;
	char bytes[];
};

static void pool_more(struct pool *p, size_t n)
{
	size_t room = p->blocks ? p->blocks->room * 2 : POOL_FIRST;
	if (room > POOL_MOST)
		room = POOL_MOST;
	if (room < n)
		room = n;
	struct pool_block *b = own_alloc(sizeof(*b) + room);
	b->next = p->blocks;
	b->used = 0;
	b->room = room;
	p->blocks = b;
}

char *pool_dup_n(struct pool *p, const char *bytes, size_t n)
{
	if (!p->blocks || p->blocks->room - p->blocks->used <= n)
		pool_more(p, n + 1);
	char *s = p->blocks->bytes + p->blocks->used;
	if (n)
		memcpy(s, bytes, n);
	s[n] = '\0';
	p->blocks->used += n + 1;
	return s;
}

char *pool_dup(struct pool *p, const char *s)
{
	return pool_dup_n(p, s, strlen(s));
}

void pool_fini(struct pool *p)
{
	for (struct pool_block *b = p->blocks, *next; b; b = next) {
		next = b->next;
		free(b);
	}
	p->blocks = NULL;
}
