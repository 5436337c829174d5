/* Files of counters, as ccache's "stats", which several jobs added to at the same time. Any thread.
 */
#pragma once
#include "base/text.h"

#include <stdbool.h>

/* A larger file is not read. */
#define COUNTERS_MAX ((size_t)1 << 20)

/* counters_sum(base, store, mine, out, line): what the store has and what `mine` has more than
 * `base`, the file that mine was made from; each may be NULL: nothing. Every line is a name, which
 * may be empty, and an unsigned decimal number of at most 64 bits at its end:
 *   "17"   "hits 17"   "hits=17"   "hits: 17"
 * The nth line of one name is one counter, so that ccache's, which have none, go by their place.
 * The lines of the store come first, in their order, then those that only mine has; one that would
 * fall below 0 (mine was set back, or base lost) is 0, one beyond 64 bits their largest. Of files
 * whose lines have no names the 32nd is ccache's time of the last setting back (Statistic.hpp of
 * ccache 4, stats_zeroed_timestamp): the later one counts. true; or false, and in *line which one
 * of `mine` is no counter, or 0 where it is one of the others. */
bool counters_sum(const struct text *base, const struct text *store, const struct text *mine,
		  struct text *out, size_t *line) must_check;
