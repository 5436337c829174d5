/* What this machine says of itself, for admit(). A few small files and one call: some 20 µs, on the
 * loop's thread, twice a second. */
#pragma once
#include "orchestrator/admit.h"

/* pressure_read(statefd, r): what can't be read is not known. */
void pressure_read(int statefd, struct readings *r);
/* pressure_parse(text, line, avg10): `line` is "some" or "full"; avg10 in hundredths of a percent.
 * 0 or -1. */
int pressure_parse(const char *text, const char *line, int *avg10);
/* pressure_memory(): bytes that boxes may have together: what is available of the machine's memory
 * but for a sixteenth. UINT64_MAX: not known. */
uint64_t pressure_memory(void);
