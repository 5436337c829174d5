#include "orchestrator/signature.h"

#include "base/text.h"
#include "cache/cache.h"
#include "orchestrator/plain.h"

#include <ctype.h>
#include <string.h>

/* A quotation longer than this is prose. */
#define QUOTED_LONGEST 200

static bool is_word(char c)
{
	return isalnum((unsigned char)c) || c == '_' || (unsigned char)c >= 0x80;
}

static size_t span(const char *p, const char *end, int (*is)(int))
{
	const char *from = p;
	while (p < end && is((unsigned char)*p))
		p++;
	return (size_t)(p - from);
}

/* A quotation that begins at p: its length, both quotes included; 0: none. The apostrophe of
 * "can't" is no quote: one opens behind what is no word and closes before it. */
static size_t quoted(const char *p, const char *end, bool behind_word)
{
	char close = *p;
	if (!strchr("'\"`", *p) || behind_word)
		return 0;
	for (const char *q = p + 1; q < end && q - p < QUOTED_LONGEST; q++)
		if (*q == '\\')
			q++;
		else if (*q == close && (q + 1 == end || !is_word(q[1]) || close != '\''))
			return (size_t)(q + 1 - p);
	return 0;
}

/* What stands between blanks, quotes and brackets. */
static size_t token(const char *p, const char *end)
{
	size_t n = 0;
	while (p + n < end && (unsigned char)p[n] > ' ' && !strchr("'\"`()[]{}<>,;=|", p[n]))
		n++;
	while (n > 1 && strchr(".:!?", p[n - 1]))
		n--; /* of the sentence */
	return n;
}

static bool has(const char *p, size_t n, const char *what)
{
	return memmem(p, n, what, strlen(what)) != NULL;
}

/* "/x", "./x", "a/b/c", "a/b.js:1:2", "x.js:12", but not "and/or". */
static bool is_path(const char *p, size_t n)
{
	size_t slashes = 0, dots = 0;
	const char *colon = memchr(p, ':', n);
	for (size_t i = 0; i < n; i++) {
		slashes += p[i] == '/';
		dots += p[i] == '.';
	}
	if (slashes && (*p == '/' || *p == '.' || *p == '~' || *p == '@' || slashes > 1 || dots))
		return n > 1;
	/* a file and a line in it */
	return colon && colon > p + 2 && dots && isdigit((unsigned char)p[n - 1]) &&
	       isalpha((unsigned char)*p) && memchr(p, '.', (size_t)(colon - p));
}

/* Hexadecimal digits, so many, with a figure among them; dashes as in a UUID. */
static bool is_hex(const char *p, size_t n)
{
	size_t digits = 0, figures = 0;
	for (size_t i = 0; i < n; i++) {
		if (p[i] == '-')
			continue;
		if (!isxdigit((unsigned char)p[i]))
			return false;
		digits++;
		figures += isdigit((unsigned char)p[i]) != 0;
	}
	return digits >= 8 && figures && figures < digits;
}

/* 2026-11-28, 12:31:31, 12:31:31.5Z, 2026-11-28T12:31:31Z */
static bool is_time(const char *p, size_t n)
{
	size_t dashes = 0, colons = 0;
	for (size_t i = 0; i < n; i++) {
		dashes += p[i] == '-';
		colons += p[i] == ':';
		if (!isdigit((unsigned char)p[i]) && !strchr("-:.TZ+", p[i]))
			return false;
	}
	return isdigit((unsigned char)*p) && (dashes >= 2 || colons >= 2);
}

/* 1.2, v1.2.3, 1.2.3-rc.1, 22.x: figures and dots, then perhaps a tail. */
static bool is_version(const char *p, size_t n)
{
	size_t i = *p == 'v' && n > 1, figures = span(p + i, p + n, isdigit), dots = 0;
	if (!figures)
		return false;
	for (i += figures; i < n && p[i] == '.'; dots++) {
		size_t more = span(p + i + 1, p + n, isalnum);
		if (!more)
			return false;
		i += 1 + more;
	}
	return (dots || *p == 'v') && (i == n || strchr("-+_", p[i]));
}

/* 12, 12ms, 12.5s, 3kB, 40%: figures, a point, a unit. */
static bool is_number(const char *p, size_t n)
{
	size_t i = *p == '-' || *p == '+' || *p == '#', figures = span(p + i, p + n, isdigit);
	if (!figures)
		return false;
	i += figures;
	while (i < n && (isdigit((unsigned char)p[i]) || strchr(".,:", p[i])))
		i++;
	size_t unit = span(p + i, p + n, isalpha);
	return (i + unit == n && unit <= 3) || (i + 1 == n && p[i] == '%');
}

/* clang-format off */
static const struct {
	bool (*is)(const char *p, size_t n);
	const char *word;
} kinds[] = { /* the first that fits */
	{is_path,    "<path>"},
	{is_time,    "<time>"},
	{is_hex,     "<hex>"},
	{is_number,  "<n>"},
	{is_version, "<version>"},
};
/* clang-format on */

static const char *kind_of(const char *p, size_t n)
{
	if (has(p, n, "://"))
		return "<url>";
	if (n > 2 && p[0] == '0' && (p[1] | 32) == 'x')
		return "<addr>";
	for (size_t i = 0; i < countof(kinds); i++)
		if (kinds[i].is(p, n))
			return kinds[i].word;
	return NULL;
}

/* The next part of a token of n bytes; where it ends. */
static const char *add_token(struct text *t, const char *p, size_t n)
{
	const char *word = kind_of(p, n);
	if (word) {
		text_add(t, word);
		return p + n;
	}
	/* part after part of what is joined by ':' ("error:0308010C:digital") */
	const char *end = p + n, *colon = memchr(p, ':', n);
	if (colon && colon > p && colon + 1 < end) {
		p = add_token(t, p, (size_t)(colon - p));
		text_addc(t, ':');
		return p + 1;
	}
	/* name@version */
	const char *at = memrchr(p, '@', n);
	if (at && at > p && at + 1 < end && is_version(at + 1, (size_t)(end - at - 1))) {
		text_add(t, "<package>");
		return end;
	}
	text_put(t, p, n);
	return end;
}

void signature_text(const char *line, size_t n, char out[SIGNATURE_TEXT + 1])
{
	auto_text struct text t = TEXT_INIT;
	const char *p = line, *end = line + n;
	bool blank = false;
	while (p < end && t.n <= SIGNATURE_TEXT) {
		if ((unsigned char)*p <= ' ') {
			blank = t.n > 0;
			p++;
			continue;
		}
		if (blank)
			text_addc(&t, ' ');
		size_t q = quoted(p, end, !blank && p > line && is_word(p[-1]));
		size_t word = q ? 0 : token(p, end);
		blank = false;
		if (q) {
			text_add(&t, "<name>");
			p += q;
		} else if (word) {
			p = add_token(&t, p, word);
		} else {
			text_addc(&t, *p++);
		}
	}
	size_t m = t.n < SIGNATURE_TEXT ? t.n : SIGNATURE_TEXT;
	while (m < t.n && m && ((unsigned char)t.p[m] & 0xc0) == 0x80)
		m--;
	memcpy(out, text_str(&t), m);
	out[m] = '\0';
}

bool signature_make(const struct result *r, const char *line, struct signature *s)
{
	char digest[CACHE_ID];
	bool by_line = line && (r->status == STATUS_FAIL || r->status == STATUS_CRASH);
	if (r->status == STATUS_PASS || r->status == STATUS_SKIP || r->status == STATUS_BLOCK)
		return false;
	s->text[0] = '\0';
	if (by_line)
		signature_text(line, strlen(line), s->text);
	if (!s->text[0])
		snprintf(s->text, sizeof(s->text), "%s/%s", status_name(r->status),
			 reason_name(r->reason));
	auto_free char *key = own_fmt("%d %s", SIGNATURE_VERSION, s->text);
	cache_digest(key, strlen(key), digest);
	memcpy(s->id, digest, SIGNATURE_ID);
	s->id[SIGNATURE_ID] = '\0';
	return true;
}
