/* Children that say what went wrong over a pipe, and are waited for. Any thread. */
#pragma once
#include "base/err.h"

#include <stddef.h>
#include <sys/types.h>

/* child_hear(fd, text, size): everything that comes until nobody has the pipe's other end any more,
 * so that a child that says much is not stopped by a full one. Kept are the first size - 1 bytes,
 * in one line, without the line's end, NUL-terminated. How many these are. fd stays the caller's.
 */
size_t child_hear(int fd, char *text, size_t size);

/* child_end(pid): wait for it. As of wait(2): 0 is a good end; -1: there is no such child. */
int child_end(pid_t pid);
