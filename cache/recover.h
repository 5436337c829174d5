/* What a killed process, a power cut or an exchanged database left behind is put in order when a
 * cache is opened. */
#pragma once
#include "cache/inner.h"

/* recover(c, known, e): as cache.h says of cache_open(). 0 or -1. */
int recover(struct cache *c, const struct cache_known *known, struct err *e) must_check;
