/* Many small strings that live equally long: one beside the other in large blocks, so that one
 * takes its bytes and no more, and all are freed at once. Any thread; one owner. */
#pragma once
#include "base/own.h"

#include <stddef.h>

struct pool_block;

struct pool {
	struct pool_block *blocks; /* the newest first */
};

#define POOL_INIT                                                                                  \
	{                                                                                          \
		.blocks = NULL                                                                     \
	}

/* pool_dup_n(p, bytes, n): a copy of n bytes with a NUL behind them; it stays where it is until
 * pool_fini. */
char *pool_dup_n(struct pool *p, const char *bytes, size_t n) must_check;
char *pool_dup(struct pool *p, const char *s) must_check;
void pool_fini(struct pool *p);
