/* The box's clocks: a time namespace of its own (time_namespaces(7), Linux 5.6), in which uptime
 * begins with the box, so that it does not tell one host from another. */
#pragma once
#include "base/err.h"

/* timens_begin(e): in the box's pid 1, before it is non-dumpable and before it changes ids: then it
 * may not write to its own files in /proc any more. Its children are in the namespace, itself is
 * not: what it says about times is in the host's. Where the kernel has none, there is none. */
int timens_begin(struct err *e) must_check;
