/* Text that somebody hostile may have written, made fit to be shown: to a terminal, in a page, in a
 * comment. Pure functions. What moves a cursor, colours, hides, reverses or rings is gone; what is
 * left is valid UTF-8 of printable characters. */
#pragma once
#include "base/text.h"

#include <stdbool.h>
#include <stdint.h>

/* Bounds of what is shown; what was cut is said with "…". */
struct plain_bounds {
	size_t line;  /* characters of a line */
	size_t lines; /* lines; with 1 what follows is cut without a word */
};

/* plain_add(t, s, n, b): the n bytes at s, appended to t. Terminal sequences (ECMA-48: CSI, OSC,
 * DCS … with their contents) vanish; a NUL and other control characters become their pictures
 * (U+2400 …); C1 controls, bidirectional controls, invisible characters and what is no UTF-8 become
 * U+FFFD; tabs are spaces, \r ends a line. */
void plain_add(struct text *t, const char *s, size_t n, const struct plain_bounds *b);
/* plain_line(s): the first line of s that is not blank, without blanks around it, at most `max`
 * characters. The caller frees it. */
char *plain_line(const char *s, size_t max) must_check;

/* plain_next(s, n, c): decodes one character of at most n > 0 bytes; its length, with U+FFFD (and
 * 1) for a byte that is no UTF-8. */
size_t plain_next(const char *s, size_t n, uint32_t *c);
