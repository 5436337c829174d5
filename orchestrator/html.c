#include "orchestrator/html.h"

#include "orchestrator/plain.h"

#include <stdarg.h>
#include <string.h>

static void html_escape(struct text *t, const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		switch (s[i]) {
		case '&':
			text_add(t, "&amp;");
			break;
		case '<':
			text_add(t, "&lt;");
			break;
		case '>':
			text_add(t, "&gt;");
			break;
		case '"':
			text_add(t, "&quot;");
			break;
		case '\'':
			text_add(t, "&#39;");
			break;
		default:
			text_addc(t, s[i]);
		}
}

static void html_text(struct text *t, const char *s)
{
	auto_text struct text plain = TEXT_INIT;
	if (!s)
		return;
	plain_add(&plain, s, strlen(s), &(struct plain_bounds){HTML_TEXT, 1});
	html_escape(t, text_str(&plain), plain.n);
}

void html_addf(struct text *t, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	while (*fmt) {
		size_t n = strcspn(fmt, "%");
		text_put(t, fmt, n);
		fmt += n;
		if (!strncmp(fmt, "%s", 2)) {
			html_text(t, va_arg(ap, const char *));
			fmt += 2;
		} else if (!strncmp(fmt, "%zu", 3)) {
			text_addf(t, "%zu", va_arg(ap, size_t));
			fmt += 3;
		} else if (!strncmp(fmt, "%lld", 4)) {
			text_addf(t, "%lld", va_arg(ap, long long));
			fmt += 4;
		} else if (!strncmp(fmt, "%%", 2)) {
			text_addc(t, '%');
			fmt += 2;
		} else if (*fmt) {
			abort(); /* a conversion this does not know: its arguments would be read
				    wrongly */
		}
	}
	va_end(ap);
}

void html_lines(struct text *t, const char *s, size_t lines, size_t marked)
{
	auto_text struct text plain = TEXT_INIT;
	plain_add(&plain, s, strlen(s), &(struct plain_bounds){HTML_LINE, lines});
	size_t line = 0;
	for (const char *p = text_str(&plain); *p; line++) {
		size_t n = strcspn(p, "\n");
		text_add(t, line == marked && n ? "<mark>" : "");
		html_escape(t, p, n);
		text_add(t, line == marked && n ? "</mark>" : "");
		text_add(t, p[n] ? "\n" : "");
		p += n + (p[n] != '\0');
	}
}

void html_block(struct text *t, const char *s, size_t n)
{
	auto_text struct text plain = TEXT_INIT;
	plain_add(&plain, s, n, &(struct plain_bounds){SIZE_MAX, SIZE_MAX});
	html_escape(t, text_str(&plain), plain.n);
}
