/* An archive's file, read for libarchive, which tells a disk that fails and an archive that is
 * damaged by the same text. */
#pragma once
#include "base/err.h"

#include <archive.h>

struct source {
	int fd;  /* borrowed; a regular file */
	int why; /* errno of the call that failed, or 0 */
	char *buffer;
};

/* source_open(s, a, fd): a reads fd from its start. As archive_read_open(3) says. */
int source_open(struct source *s, struct archive *a, int fd) must_check;
/* source_failed(s, e): 1 and e where the file could not be read, 0 where that is not the reason. */
int source_failed(const struct source *s, struct err *e) must_check;
/* source_fini(s): when a is freed. */
void source_fini(struct source *s);
