/* libarchive converts names by the thread's locale. Within a charset scope that is UTF-8 whatever
 * the user has set, so that the same tree gives the same archive everywhere. */
#pragma once
#include <locale.h>

struct charset {
	locale_t utf8, before;
};

static inline struct charset charset_enter(void)
{
	struct charset s = {.utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0)};
	if (s.utf8)
		s.before = uselocale(s.utf8);
	return s;
}

static inline void charset_leave(struct charset *s)
{
	if (!s->utf8)
		return;
	uselocale(s->before);
	freelocale(s->utf8);
}
