/* The names in one directory of a layer, read once: where many are asked for, that costs less than
 * a look-up for each. */
#pragma once
#include "base/err.h"
#include "base/text.h"

#include <stdint.h>

struct lower_names {
	struct text text; /* of each name: its type (d, or ? for what is none), the name, a NUL */
	uint32_t *slots;  /* where in text, + 1; 0: free. As open addressing has it */
	size_t n_slots;   /* a power of two */
};
/* lower_names_read(x, fd, e): of a directory that is open to be read; from its beginning. 0 or -1.
 */
int lower_names_read(struct lower_names *x, int fd, struct err *e) must_check;
/* lower_names_find(x, name): 'd' a directory, '?' something else or not known what, 0 it is not
 * there. */
char lower_names_find(const struct lower_names *x, const char *name);
/* NULL is fine. */
void lower_names_free(struct lower_names *x);
