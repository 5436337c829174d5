/* Inside sandbox/ only: looking at a box from outside, where no cgroup counts for us. Blocking:
 * runs on libuv's pool, touches nothing but its arguments. */
#pragma once
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct watch_target {
	int *uppers; /* owned descriptors of the upper directories */
	size_t n_uppers;
	pid_t pid;      /* the box's pid 1, as we see it */
	bool look_disk; /* this time */
	bool look_processes;
	uint64_t disk_inodes; /* count no further than this; 0: no bound */
};

struct watch_seen {
	uint64_t disk_bytes, disk_inodes;
	uint64_t processes; /* tasks, pid 1 of the box not counted */
	uint64_t memory; /* anonymous bytes in memory, of all of them: shared files count for nobody
			  */
	uint64_t peak_memory;
	uint64_t cpu_ns; /* of all that lived and live */
	int64_t disk_took_ns;
	bool has_disk, has_processes;
};

/* watch_look(t, s): what is wanted and can be seen; the rest of s is left alone. */
void watch_look(const struct watch_target *t, struct watch_seen *s);
