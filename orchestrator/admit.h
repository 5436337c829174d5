/* May another box start on this machine now? A pure function of what was read; who reads is
 * pressure.c. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* proc(5), /proc/pressure (Linux 4.20): share of the last ten seconds in which some or all tasks
 * waited, in hundredths of a percent; -1: not known. And the state directory's file system. */
struct readings {
	int memory_some, memory_full, io_full;
	uint64_t disk_free, disk_inodes; /* UINT64_MAX: not known, or without bound */
};

enum admit {
	ADMIT_YES,
	ADMIT_MEMORY, /* what runs already waits for memory */
	ADMIT_IO,     /* what runs already waits for disks */
	ADMIT_DISK,   /* less free than a phase may need */
};

/* admit(r, running, was): ADMIT_YES, or why not now. What was refused (was) is allowed again at
 * half the pressure, or twice the free space: it does not flap. Where nothing runs (running 0)
 * pressure is not ours, and waiting would help nobody: only the disk counts then. */
enum admit admit(const struct readings *r, size_t running, enum admit was);
/* "yes", "memory pressure", "i/o pressure", "little free disk space". */
const char *admit_name(enum admit a);

#define ADMIT_DISK_MIN ((uint64_t)64 << 20)
#define ADMIT_INODES_MIN 1024
