/* What this machine says of itself, for admit(). A few small files and one call: some 20 µs, on the
 * loop's thread, twice a second. */
#pragma once
#include "orchestrator/admit.h"

/* pressure_read(statefd, r): what can't be read is not known; with ASSAY_PRESSURE=off in the
 * environment nothing is but the disk's free space. */
void pressure_read(int statefd, struct readings *r);
/* pressure_disk(statefd, r): free space alone. pressure_full(r): a quarter of what another box
 * needs: what fails then says nothing about its package. */
void pressure_disk(int statefd, struct readings *r);
static inline bool pressure_full(const struct readings *r)
{
	return r->disk_free < ADMIT_DISK_MIN / 4 || r->disk_inodes < ADMIT_INODES_MIN / 4;
}
/* pressure_parse(text, line, avg10): `line` is "some" or "full"; avg10 in hundredths of a percent.
 * 0 or -1. */
int pressure_parse(const char *text, const char *line, int *avg10);
/* pressure_memory(): bytes that boxes may have together: what is available of the machine's memory
 * but for a sixteenth. UINT64_MAX: not known. */
uint64_t pressure_memory(void);
