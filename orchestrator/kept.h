/* Frozen uppers that stay for later runs: kept/<phase> below the state directory, with a row each
 * (db_kept_*): what phases that passed left, by what they could see. A phase with the same inputs
 * upon the very same uppers is not run: those are its. Used by the engine (job_keep.c), `assay
 * cache kept` and, at the start, by state_open.
 *
 * What is there is what its digest says, or it is not used: so nothing is synced, and whatever a
 * kill, a power cut or somebody's hand left is found out before it is shown to a box. A directory
 * without a row, and a row without a directory, are nobody's; the next start removes them. */
#pragma once
#include "orchestrator/state.h"

#define KEPT_DEFAULT ((uint64_t)10 << 30) /* bytes, where nothing was said */

/* kept_value(k): what its uppers are worth: milliseconds saved by using them, times how likely that
 * is, for each byte. Likely is what the rule of succession (Laplace) makes of the runs since: of
 * `chances` so many used it, so it is (uses + 1) / (chances + 2). */
double kept_value(const struct db_kept *k);

/* kept_choose(list, n, bytes, out): which must go so that the rest takes `bytes` at the most: the
 * least valuable first. Uppers that others lie upon are worth what all of these are together, and
 * take them along; what lies upon uppers that are gone is worth nothing. Never what is in use, nor
 * what that lies upon. out (room for n) gets their phases; how many. The list is sorted anew. */
size_t kept_choose(struct db_kept *list, size_t n, uint64_t bytes, int64_t *out);

/* kept_budget(want, free, taken): what they may take: no more than half of what would be free
 * without them. free UINT64_MAX: not known. */
uint64_t kept_budget(uint64_t want, uint64_t free, uint64_t taken);

/* kept_dir(phase, name): "kept/<phase>". */
#define KEPT_DIR 32
const char *kept_dir(int64_t phase, char name[KEPT_DIR]);

/* Who reads the state directory without its lock (`assay shell`) holds what it uses, and looks for
 * its row afterwards; who removes it removes its row before. kept_hold(state_fd, phase): the
 * directory, held until it is closed; -1: it is not there. kept_remove(state_fd, phase, e): it is
 * removed, or, where somebody holds it, left to the next start. kept_held(state_fd, phase):
 * somebody does. */
int kept_hold(int state_fd, int64_t phase);
bool kept_held(int state_fd, int64_t phase);
int kept_remove(int state_fd, int64_t phase, struct err *e) must_check;

/* kept_sweep(s, e): at a start: nothing is in use, what is nobody's goes. */
int kept_sweep(struct state *s, struct err *e) must_check;

/* kept_shrink(s, bytes, dry, gone, n, e): until they take `bytes` at the most; dry: only count.
 * *gone of *n. kept_forget(s, e): all of it: what may be in it is not trusted any more. Nothing
 * runs. */
int kept_shrink(struct state *s, uint64_t bytes, bool dry, size_t *gone, size_t *n, struct err *e)
	must_check;
int kept_forget(struct state *s, struct err *e) must_check;
