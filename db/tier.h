/* Inside db/ only, within a transaction: entries by path, in tiers.
 *
 * In one index over all entries each of a publish's paths goes to a page of its own, which is read,
 * and written whole to the WAL: what a small publish costs would grow with the store. So entries
 * are in tiers (entry.tier, the first column of entry_by_path; entry_tier has a row for each): a
 * publish's are one by themselves, and when layers are compacted the small tiers become part of a
 * larger one, as in a log-structured merge tree. Who looks for a path looks once in each tier
 * (IN_TIERS in db/shown.h). An entry is in a tier that has a row, always; a tier that is being
 * emptied is one until it is empty, so that it may take several transactions. */
#pragma once
#include "db/handle.h"

/* tier_begin(d, entries, tier, e): *tier is a new one for so many entries, at least 1. Where there
 * are very many, because nobody compacts, a part of the small ones moves on first. 0 or -1. */
int tier_begin(struct db *d, int64_t entries, int64_t *tier, struct err *e) must_check;
/* tier_settle(d, e): where there are more than a few, the small ones move into larger ones: a
 * bounded number of entries at once, the rest with the next call. 0 or -1. */
int tier_settle(struct db *d, struct err *e) must_check;
