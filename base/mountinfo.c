#include "base/mountinfo.h"

#include "base/text.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

static bool octal(char c, char most)
{
	return c >= '0' && c <= most;
}

/* "a\040b" is "a b"; in place. */
static void unescape(char *s)
{
	char *to = s;
	for (; *s; to++) {
		if (s[0] == '\\' && octal(s[1], '3') && octal(s[2], '7') && octal(s[3], '7')) {
			*to = (char)((s[1] - '0') * 64 + (s[2] - '0') * 8 + (s[3] - '0'));
			s += 4;
		} else {
			*to = *s++;
		}
	}
	*to = 0;
}

static bool number(const char *s, int *n)
{
	char *end;
	long l = strtol(s, &end, 10);
	*n = (int)l;
	return end != s && !*end && l >= 0 && l <= INT_MAX;
}

bool mountinfo_parse(char *line, struct mountinfo *m)
{
	char *field[6], *word = NULL;
	line[strcspn(line, "\n")] = 0;
	for (size_t i = 0; i < countof(field); i++)
		if (!(field[i] = strsep(&line, " ")))
			return false;
	while ((word = strsep(&line, " ")) && strcmp(word, "-"))
		;
	m->device = field[2];
	m->root = field[3];
	m->point = field[4];
	m->type = strsep(&line, " ");
	m->source = strsep(&line, " ");
	m->super = line;
	if (!word || !m->type || !m->source || !m->super || !number(field[0], &m->id) ||
	    !number(field[1], &m->parent))
		return false;
	unescape(field[3]);
	unescape(field[4]);
	return true;
}
