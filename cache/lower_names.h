/* The names in one directory of a layer, read once: where many are asked for, that costs less than
 * a look-up for each. */
#pragma once
#include "base/err.h"
#include "base/text.h"

#include <stdint.h>

struct lower_names {
	uint64_t seed;    /* of the hash: jobs choose the names, and can't choose what collides */
	struct text text; /* of each name: its type (d, or ? for what is none), the name, a NUL */
	uint32_t *slots;  /* where in text, + 1; 0: free. As open addressing has it */
	size_t n_slots;   /* a power of two */
};
/* lower_names_read(x, fd, most, e): of a directory that is open to be read; from its beginning. 1;
 * 0: they would take more than `most` bytes, less than 4 GiB, and x has none; -1. */
int lower_names_read(struct lower_names *x, int fd, size_t most, struct err *e) must_check;
/* lower_names_bytes(x): what they take. */
size_t lower_names_bytes(const struct lower_names *x);
/* lower_names_find(x, name): 'd' a directory, '?' something else or not known what, 0 it is not
 * there. */
char lower_names_find(const struct lower_names *x, const char *name);
/* NULL is fine. */
void lower_names_free(struct lower_names *x);
