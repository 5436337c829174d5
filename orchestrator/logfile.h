/* A log that capture.c stored, read back. Nothing here trusts its size: it is read as a stream. */
#pragma once
#include "orchestrator/capture.h"

#include <stdbool.h>

/* logfile_read(dirfd, rel, each, ctx, e): the log below dirfd as it was before compression, piece
 * after piece; where `each` says false it is enough. What was not yet written, or never will be
 * because assay was killed, is not there. 0, or -1 with ERR_ABSENT where the file is gone,
 * ERR_CORRUPT where it is none. */
int logfile_read(int dirfd, const char *rel, bool (*each)(void *ctx, const char *p, size_t n),
		 void *ctx, struct err *e) must_check;

/* logfile_recall(dirfd, rel, log, e): text, text_n, tail_at, tail_offset and kept as capture_finish
 * gave them when the log was new: its judgement can be made again. The caller frees log->text. */
int logfile_recall(int dirfd, const char *rel, struct capture_log *log, struct err *e) must_check;
