/* What failures have in common: the deciding line without what differs from one package, machine or
 * night to the next. Pure; the same line gives the same id for ever, as long as SIGNATURE_VERSION
 * stays. */
#pragma once
#include "orchestrator/result.h"

/* Goes into every id: with other rules of normalising come other ids. */
#define SIGNATURE_VERSION 1
/* Digits of an id: hex of the text's SHA-256. */
#define SIGNATURE_ID 16
/* Bytes of the normalised text, at the most. */
#define SIGNATURE_TEXT 300

struct signature {
	char id[SIGNATURE_ID + 1];
	char text[SIGNATURE_TEXT + 1]; /* "Cannot find module <name>" */
};

/* signature_text(line, n, out): the line with paths, URLs, addresses, hex, times, versions, numbers
 * and quoted names each replaced by a word for it, blanks made one. At most SIGNATURE_TEXT bytes
 * and a NUL, whole characters of UTF-8. */
void signature_text(const char *line, size_t n, char out[SIGNATURE_TEXT + 1]);

/* signature_make(r, line, s): of a result and its deciding line (NULL: there is none). A fail or
 * crash is known by the line; a kill, an infra, and what said nothing, by the result's own words.
 * False, and s untouched, where there is nothing to explain: pass, skip, block. */
bool signature_make(const struct result *r, const char *line, struct signature *s);
