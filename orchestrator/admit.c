#include "orchestrator/admit.h"

/* From these on nothing more is started. A machine on which all tasks wait for memory for a tenth
 * of the time is about to run out of it; for disks it is normal, until half of the time goes. */
enum { MEMORY_SOME = 4000, MEMORY_FULL = 1000, IO_FULL = 5000 };

static bool above(int reading, int bound, bool was)
{
	return reading > (was ? bound / 2 : bound);
}

enum admit admit(const struct readings *r, size_t running, enum admit was)
{
	uint64_t more = was == ADMIT_DISK ? 2 : 1;
	if (r->disk_free < more * ADMIT_DISK_MIN || r->disk_inodes < more * ADMIT_INODES_MIN)
		return ADMIT_DISK;
	if (!running)
		return ADMIT_YES;
	if (above(r->memory_full, MEMORY_FULL, was == ADMIT_MEMORY) ||
	    above(r->memory_some, MEMORY_SOME, was == ADMIT_MEMORY))
		return ADMIT_MEMORY;
	return above(r->io_full, IO_FULL, was == ADMIT_IO) ? ADMIT_IO : ADMIT_YES;
}

const char *admit_name(enum admit a)
{
	switch (a) {
	case ADMIT_YES:
		return "yes";
	case ADMIT_MEMORY:
		return "memory pressure";
	case ADMIT_IO:
		return "i/o pressure";
	case ADMIT_DISK:
		return "little free disk space";
	}
	return "";
}
