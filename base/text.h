/* A growing run of bytes that is always NUL-terminated. Any thread; one owner. */
#pragma once
#include "base/own.h"

#include <stddef.h>

struct text {
	char *p;    /* never NULL once something was added; NUL after the last byte */
	size_t n;   /* bytes used, without the NUL */
	size_t cap; /* bytes allocated */
};

#define TEXT_INIT                                                                                  \
	{                                                                                          \
		.p = NULL                                                                          \
	}

static inline const char *text_str(const struct text *t)
{
	return t->p ? t->p : "";
}

void text_put(struct text *t, const void *bytes, size_t n);
void text_add(struct text *t, const char *s);
void text_addc(struct text *t, char c);
void text_addf(struct text *t, const char *fmt, ...) printf_like(2, 3);
/* text_take(t): the bytes as a malloc'ed string the caller frees; t is empty again. Never NULL. */
char *text_take(struct text *t) must_check;
void text_fini(struct text *t);
#define auto_text __attribute__((cleanup(text_fini)))

/* text_shell_word(s): s as one word of a POSIX shell, quoted only where it has to be. The caller
 * frees it. */
char *text_shell_word(const char *s) must_check;
