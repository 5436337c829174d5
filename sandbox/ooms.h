/* Inside sandbox/ only: how often the kernel killed for want of memory, machine-wide, for boxes of
 * which no cgroup counts it. Loop thread. */
#pragma once
#include <stdint.h>

/* As last read; all 0: not yet. */
struct ooms {
	uint64_t kills;
	int64_t read_ns;
};

/* ooms_before(o, now_ns): kills up to a box that begins now, at the most a second old: reading is
 * 0.05 ms, and many boxes begin in a second. now_ns: monotonic. */
uint64_t ooms_before(struct ooms *o, int64_t now_ns);
/* ooms_since(before): how many there were since then. */
uint64_t ooms_since(uint64_t before);
