#include "base/own.h"

#include <malloc.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

static void *own_check(void *p)
{
	if (!p) {
		static const char text[] = "assay: out of memory\n";
		ssize_t ignored = write(2, text, sizeof(text) - 1);
		(void)ignored;
		abort();
	}
	return p;
}

void *own_alloc(size_t size)
{
	return own_check(malloc(size ? size : 1));
}

void *own_calloc(size_t n, size_t size)
{
	return own_check(calloc(n ? n : 1, size ? size : 1));
}

void *own_grow(void *p, size_t n, size_t size)
{
	if (size && n > SIZE_MAX / size)
		abort();
	return own_check(realloc(p, n && size ? n * size : 1));
}

char *own_dup(const char *s)
{
	return own_check(strdup(s));
}

char *own_dup_n(const char *s, size_t n)
{
	return own_check(strndup(s, n));
}

void own_return_large(void)
{
	mallopt(M_MMAP_THRESHOLD, 128 << 10);
}

char *own_fmt(const char *fmt, ...)
{
	va_list ap;
	char *s = NULL;
	va_start(ap, fmt);
	int n = vasprintf(&s, fmt, ap);
	va_end(ap);
	return own_check(n < 0 ? NULL : s);
}
