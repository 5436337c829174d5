#include "base/text.h"

#include <stdarg.h>
#include <string.h>

static void text_room(struct text *t, size_t more)
{
	if (t->cap - t->n > more)
		return;
	size_t cap = t->cap ? t->cap : 64;
	while (cap - t->n <= more)
		cap *= 2;
	t->p = own_grow(t->p, cap, 1);
	t->cap = cap;
}

void text_put(struct text *t, const void *bytes, size_t n)
{
	text_room(t, n);
	if (n)
		memcpy(t->p + t->n, bytes, n);
	t->n += n;
	t->p[t->n] = '\0';
}

void text_add(struct text *t, const char *s)
{
	text_put(t, s, strlen(s));
}

void text_addc(struct text *t, char c)
{
	text_put(t, &c, 1);
}

void text_addf(struct text *t, const char *fmt, ...)
{
	va_list ap, again;
	va_start(ap, fmt);
	va_copy(again, ap);
	text_room(t, 0);
	int n = vsnprintf(t->p + t->n, t->cap - t->n, fmt, ap);
	va_end(ap);
	if (n > 0 && (size_t)n >= t->cap - t->n) {
		text_room(t, (size_t)n);
		vsnprintf(t->p + t->n, (size_t)n + 1, fmt, again);
	}
	if (n > 0)
		t->n += (size_t)n;
	t->p[t->n] = '\0';
	va_end(again);
}

char *text_take(struct text *t)
{
	text_room(t, 0);
	t->p[t->n] = '\0';
	char *p = t->p;
	*t = (struct text)TEXT_INIT;
	return p;
}

void text_fini(struct text *t)
{
	free(t->p);
	*t = (struct text)TEXT_INIT;
}

char *text_shell_word(const char *s)
{
	static const char safe[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789@%+=:,./_-";
	struct text t = TEXT_INIT;
	if (*s && strspn(s, safe) == strlen(s))
		return own_dup(s);
	text_addc(&t, '\'');
	for (; *s; s++)
		if (*s == '\'')
			text_add(&t, "'\\''");
		else
			text_addc(&t, *s);
	text_addc(&t, '\'');
	return text_take(&t);
}
