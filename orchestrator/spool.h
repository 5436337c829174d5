/* A list that is printed later, in a file without a name until then: it takes no memory, however
 * long it becomes. For verbs of assay cache whose lists come mixed. */
#pragma once
#include "base/err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

struct spool {
	FILE *file;
	size_t n;   /* elements */
	int failed; /* errno of the first that could not be written; 0: none */
};
/* spool_open(s, dirfd, e): an empty one, on that directory's file system (O_TMPFILE, open(2); where
 * it has none, in the directory for temporary files). The caller calls spool_close, also where this
 * fails or was not called for a zeroed one. */
int spool_open(struct spool *s, int dirfd, struct err *e) must_check;
void spool_close(struct spool *s);
/* An element: a line of text, or one of a JSON array that is itself an object's; frees j. What
 * can't be written is told by spool_print. */
void spool_line(struct spool *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
void spool_json(struct spool *s, json_t *j);
/* spool_print(s, json, e): all of it to standard output, of JSON with the array's brackets. */
int spool_print(struct spool *s, bool json, struct err *e) must_check;
