/* Room for boxes below the state directory that is nobody's run: aside/PID.N/, locked (flock(2)) by
 * who uses it, so that a death releases it. Who has one needs no lock of the state directory: a run
 * may go on beside it. One thread at a time. */
#pragma once
#include "base/err.h"

struct aside {
	int fd;        /* of the directory, locked; -1: none */
	char name[64]; /* below the state directory */
};

/* aside_take(state_fd, a, e): an empty directory of mode 0700. What dead ones left is removed
 * first, as far as it can be. */
int aside_take(int state_fd, struct aside *a, struct err *e) must_check;
/* aside_drop(state_fd, a): removed, also what boxes with a range of ids left in it; what stays is
 * told on stderr, and the next one tries again. */
void aside_drop(int state_fd, struct aside *a);
/* aside_sweep(state_fd): what the dead left is removed. */
void aside_sweep(int state_fd);
