/* The header of a tar entry that needs no more than POSIX.1-1988 has: which nearly all in a store
 * are. */
#pragma once
#include "cache/cache.h"

enum { USTAR_BLOCK = 512 };

/* ustar_header(x, out): the block that libarchive's pax format writes for x, its time in whole
 * seconds, owner 0. False where x needs a pax header before it: a name that is not ASCII or has no
 * room, a size or a time that has none. */
bool ustar_header(const struct cache_entry *x, char out[USTAR_BLOCK]) must_check;
