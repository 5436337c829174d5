/* What an engine gets as its container's root: a directory of ours in memory with the program that
 * becomes pid 1, the socket it asks for its plan, the box's raised root, and empty places for what
 * engines mount. The box's own root replaces it before the command runs. */
#pragma once
#include "base/err.h"
#include "sandbox/box/init.h"
#include "sandbox/box/inside.h"

/* entry_make(dir, program_fd, e): the root at `dir`, which is made: /init is a copy of what
 * program_fd is open on, nobody may write it; /box and the other places are empty. */
int entry_make(const char *dir, int program_fd, struct err *e) must_check;
/* entry_bell(dir, e): a listening socket at its /bell. */
int entry_bell(const char *dir, struct err *e) must_check;

/* entry_hear(bell_fd, pid, e): who rang: the connection, or -1; *pid is its process as this one
 * sees it. It waits to be told. */
int entry_hear(int bell_fd, pid_t *pid, struct err *e) must_check;
/* entry_tell(socket, in, hello, e): what it is to do: in's start, fds, n_fds, null_fd and oom. */
int entry_tell(int socket, const struct init *in, struct inside_hello *hello, struct err *e)
	must_check;
