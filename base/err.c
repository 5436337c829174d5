#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

/* How many bytes of s are one printable character: 0: none. Of UTF-8 the first of several says how
 * many follow; U+0080 to U+009F are control characters, which terminals obey. */
static size_t err_printable(const char *s)
{
	unsigned char c = (unsigned char)s[0];
	size_t n = c < 0x80 ? 1 : c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;
	if (n == 1)
		return c >= 32 && c != 127;
	for (size_t i = 1; i < n; i++)
		if (((unsigned char)s[i] & 0xc0) != 0x80)
			return 0;
	return c == 0xc2 && (unsigned char)s[1] < 0xa0 ? 0 : n;
}

/* One line, whatever a hostile name brought along: what is no printable text becomes '?'. */
static void err_clean(char *s)
{
	while (*s) {
		size_t n = err_printable(s);
		if (!n)
			*s = '?';
		s += n ? n : 1;
	}
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
