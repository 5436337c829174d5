#include "orchestrator/plain.h"

#include <string.h>

enum { ESC = 0x1b, BEL = 0x07, REPLACED = 0xfffd, PICTURES = 0x2400, ELLIPSIS = 0x2026 };

size_t plain_next(const char *s, size_t n, uint32_t *c)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	unsigned char first = (unsigned char)*s;
	size_t len = first < 0x80                    ? 1
		     : first >= 0xf0 && first < 0xf5 ? 4
		     : first >= 0xe0 && first < 0xf0 ? 3
		     : first >= 0xc2 && first < 0xe0 ? 2
						     : 0;
	*c = REPLACED;
	if (!len || len > n)
		return 1;
	uint32_t v = len == 1 ? first : first & (0x7fu >> len);
	for (size_t i = 1; i < len; i++) {
		if (((unsigned char)s[i] & 0xc0) != 0x80)
			return 1;
		v = v << 6 | ((unsigned char)s[i] & 0x3f);
	}
	if (v < least[len] || v > 0x10ffff || (v >= 0xd800 && v < 0xe000))
		return 1;
	*c = v;
	return len;
}

static void plain_put(struct text *t, uint32_t c)
{
	char b[4];
	size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
	static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
	for (size_t i = n; i-- > 1; c >>= 6)
		b[i] = (char)(0x80 | (c & 0x3f));
	b[0] = (char)(lead[n] | c);
	text_put(t, b, n);
}

/* Characters that are seen as nothing, or turn what is around them. ZWNJ and ZWJ stay: scripts and
 * emoji need them. */
static bool invisible(uint32_t c)
{
	static const uint32_t ranges[][2] = {
		{0x80, 0x9f},       {0xad, 0xad},       {0x034f, 0x034f},     {0x061c, 0x061c},
		{0x115f, 0x1160},   {0x17b4, 0x17b5},   {0x180e, 0x180e},     {0x200b, 0x200b},
		{0x200e, 0x200f},   {0x2028, 0x202e},   {0x2060, 0x206f},     {0x3164, 0x3164},
		{0xfeff, 0xfeff},   {0xffa0, 0xffa0},   {0xfff0, 0xfffb},     {0xfffe, 0xffff},
		{0x1bca0, 0x1bca3}, {0xe0000, 0xe0fff}, {0x10fffe, 0x10ffff},
	};
	for (size_t i = 0; i < countof(ranges); i++)
		if (c >= ranges[i][0] && c <= ranges[i][1])
			return true;
	return false;
}

/* The length of a string sequence's content (OSC, DCS, SOS, PM, APC): up to BEL or ST, never beyond
 * its line. */
static size_t string_length(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (s[i] == '\n')
			return i;
		if (s[i] == BEL)
			return i + 1;
		if (s[i] == ESC && i + 1 < n && s[i + 1] == '\\')
			return i + 2;
	}
	return n;
}

/* ECMA-48 5.4: parameters 30-3F, intermediates 20-2F, one final 40-7E. */
static size_t csi_length(const char *s, size_t n)
{
	size_t i = 0;
	while (i < n && s[i] >= 0x20 && s[i] <= 0x3f)
		i++;
	return i < n && s[i] >= 0x40 && s[i] <= 0x7e ? i + 1 : i;
}

/* The length of the sequence that ESC at s begins. */
static size_t escape_length(const char *s, size_t n)
{
	size_t i = 1;
	if (n < 2)
		return n;
	if (s[1] == '[')
		return 2 + csi_length(s + 2, n - 2);
	if (s[1] && strchr("]PX^_", s[1]))
		return 2 + string_length(s + 2, n - 2);
	while (i < n && s[i] >= 0x20 && s[i] <= 0x2f)
		i++;
	return i < n && s[i] >= 0x30 && s[i] <= 0x7e ? i + 1 : i;
}

/* One step of the reader: the next character to show (0: none), and how many bytes it took. */
static size_t plain_step(const char *s, size_t n, uint32_t *show)
{
	uint32_t c;
	if (*s == ESC) {
		*show = 0;
		return escape_length(s, n);
	}
	size_t len = plain_next(s, n, &c);
	if (c == 0x9b) {
		*show = 0;
		return len + csi_length(s + len, n - len);
	}
	if (c == '\r') {
		*show = n > 1 && s[1] == '\n' ? 0 : '\n';
		return len;
	}
	*show = c == '\n'      ? c
		: c == '\t'    ? ' '
		: c < 0x20     ? PICTURES + c
		: c == 0x7f    ? 0x2421
		: invisible(c) ? REPLACED
			       : c;
	return len;
}

void plain_add(struct text *t, const char *s, size_t n, const struct plain_bounds *b)
{
	size_t in_line = 0, lines = 1;
	for (size_t i = 0; i < n;) {
		uint32_t c;
		i += plain_step(s + i, n - i, &c);
		if (!c)
			continue;
		if (c == '\n') {
			if (i >= n)
				break;
			if (lines++ == b->lines) {
				if (b->lines > 1)
					text_add(t, "\n…");
				return;
			}
			text_addc(t, '\n');
			in_line = 0;
		} else if (in_line++ < b->line) {
			plain_put(t, c);
		} else if (in_line == b->line + 1) {
			plain_put(t, ELLIPSIS);
		}
	}
}

char *plain_line(const char *s, size_t max)
{
	struct text t = TEXT_INIT;
	while (*s) {
		size_t n = strcspn(s, "\n\r"), begin = 0;
		auto_text struct text line = TEXT_INIT;
		plain_add(&line, s, n, &(struct plain_bounds){max, 1});
		while (begin < line.n && line.p[begin] == ' ')
			begin++;
		while (line.n > begin && line.p[line.n - 1] == ' ')
			line.n--;
		if (line.n > begin) {
			text_put(&t, line.p + begin, line.n - begin);
			break;
		}
		s += n + (s[n] != '\0');
	}
	return text_take(&t);
}
