/* Processes by descent, as "/proc" of this process shows them. Whoever loses its parent in a pid
 * namespace is that one's first process's child (pid_namespaces(7)): what is below a box's pid 1
 * is all that is in the box, and nothing else. */
#pragma once
#include <stdbool.h>
#include <sys/types.h>

/* kin_each(first, fn, arg): fn for every process that can be seen, with its directory (the
 * caller's, closed afterwards), and whether it is `first` or descends from it. */
void kin_each(pid_t first, void (*fn)(void *arg, int process, bool kin), void *arg);
