/* What went wrong with us (never: with a package). Filled once, where it is first seen; callers put
 * words in front on the way up. Read only after a function has said that it did not succeed. */
#pragma once
#include "base/own.h"

enum err_kind {
	ERR_NONE,
	ERR_SYS,     /* the kernel or the C library said no; .sys is the errno */
	ERR_USAGE,   /* the command line makes no sense */
	ERR_INPUT,   /* a file a person wrote is wrong; the text begins with file:line:column */
	ERR_HOSTILE, /* something a job or an archive brought was refused */
	ERR_LIMIT,   /* a bound of ours was reached */
	ERR_BUSY,    /* somebody else holds it */
	ERR_ABSENT,  /* what was named does not exist */
	ERR_CORRUPT, /* our own data contradict themselves */
	ERR_BOX,     /* a sandbox could not be made */
};

struct err {
	enum err_kind kind;
	int sys;         /* errno of ERR_SYS, else 0 */
	char text[1024]; /* one line, no newline at the end */
};

#define ERR_INIT                                                                                   \
	{                                                                                          \
		.kind = ERR_NONE                                                                   \
	}

/* err_set(e, kind, fmt, ...): fill e. Returns -1, so that `return err_set(...)` says it. */
int err_set(struct err *e, enum err_kind kind, const char *fmt, ...) printf_like(3, 4);
/* err_sys(e, fmt, ...): as err_set for a failed system call: errno is kept and its text put after
 * ": ". */
int err_sys(struct err *e, const char *fmt, ...) printf_like(2, 3);
/* err_add(e, fmt, ...): put "fmt: " in front of the text. Returns -1. */
int err_add(struct err *e, const char *fmt, ...) printf_like(2, 3);
