/* Generations that somebody reads while he has no lock of the state directory: a file in pins/,
 * locked (flock(2)) by who reads, so that a death releases it. Jobs of a run need none: it holds
 * the state directory's lock, and collecting wants that, too. */
#pragma once
#include "base/err.h"

#include <stdint.h>

struct pin {
	int dirfd, fd; /* of pins/, of the file; -1: none */
	char name[64];
};
/* pin_take(state_fd, generation, p, e): afterwards the caller looks whether the generation is still
 * there; then it stays until pin_drop. */
int pin_take(int state_fd, int64_t generation, struct pin *p, struct err *e) must_check;
void pin_drop(struct pin *p);
/* pin_list(state_fd, out, n, e): the pinned generations; what the dead left is removed. The caller
 * frees out. */
int pin_list(int state_fd, int64_t **out, size_t *n, struct err *e) must_check;
