/* Writing HTML of which no value can break out: whatever comes in through %s is plain text
 * (orchestrator/plain.h) and escaped, in elements as in quoted attributes. Pure. */
#pragma once
#include "base/text.h"

/* html_addf(t, fmt, ...): fmt is markup of ours; it knows %s (a text; NULL is nothing; its first
 * line, at most HTML_TEXT characters), %zu, %lld and %%, nothing else. */
enum { HTML_TEXT = 4096, HTML_LINE = 600 };
void html_addf(struct text *t, const char *fmt, ...) printf_like(2, 3);
/* html_lines(t, s, lines, marked): up to `lines` lines of s, each of at most HTML_LINE characters,
 * as the content of a <pre>; line number `marked` (from 0; SIZE_MAX: none) within <mark>. */
void html_lines(struct text *t, const char *s, size_t lines, size_t marked);
/* html_block(t, s, n): all n bytes of s, whose lines may be of any length, as the content of a
 * <pre>. */
void html_block(struct text *t, const char *s, size_t n);
