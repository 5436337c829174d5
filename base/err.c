#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

/* One line, whatever a hostile name brought along: control bytes become '?'. */
static void err_clean(char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < 32 || *s == 127)
			*s = '?';
}

int err_set(struct err *e, enum err_kind kind, const char *fmt, ...)
{
	va_list ap;
	e->kind = kind;
	e->sys = 0;
	va_start(ap, fmt);
	vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
	err_clean(e->text);
	return -1;
}

int err_sys(struct err *e, const char *fmt, ...)
{
	int saved = errno;
	va_list ap;
	e->kind = ERR_SYS;
	e->sys = saved;
	va_start(ap, fmt);
	vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
	size_t n = strlen(e->text);
	snprintf(e->text + n, sizeof(e->text) - n, ": %s", strerror(saved));
	err_clean(e->text);
	errno = saved;
	return -1;
}

int err_add(struct err *e, const char *fmt, ...)
{
	char front[sizeof(e->text)], whole[sizeof(e->text) * 2 + 4];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(front, sizeof(front), fmt, ap);
	va_end(ap);
	snprintf(whole, sizeof(whole), "%s: %s", front, e->text);
	whole[sizeof(e->text) - 1] = '\0';
	memcpy(e->text, whole, strlen(whole) + 1);
	err_clean(e->text);
	return -1;
}
