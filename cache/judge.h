/* What becomes of one entry of an upper. */
#pragma once
#include "cache/harvest.h"

/* judge_entry(h, it, x, above, e): x's change and all that belongs to it; above is its directory,
 * NULL the root. Sets it->skip. 0, or -1; ERR_HOSTILE: because of it the whole harvest is refused.
 */
int judge_entry(struct harvest *h, struct tree_item *it, struct harvest_item *x,
		const struct harvest_item *above, struct err *e) must_check;
char judge_type(mode_t mode);
