/* The record that opens each frame of a segment. */
#pragma once
#include "cache/cache.h"
#include "base/text.h"

/* record_write(t, how, p): the JSON that says what p publishes; p's layer and entries are there. */
void record_write(struct text *t, const struct cache_harvest *how, const struct cache_published *p);
