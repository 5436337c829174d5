/* The cache of a state directory, opened with what the database knows and put in order with what
 * only the segments know. */
#pragma once
#include "orchestrator/state.h"

/* state_cache(s, rebuild, e): s->cache, where s->db is open. What was published and not committed,
 * or committed to a database that was exchanged since, becomes part of it; what of the segments is
 * gone is told on stderr and forgotten. rebuild: where the database knows no layer at all, those
 * that are on disk and that no segment could bring back, imported ones, get names: "kept-" and 12
 * digits. */
int state_cache(struct state *s, bool rebuild, struct err *e) must_check;
