/* Sizes and durations as people write and read them. Pure functions. */
#pragma once
#include "base/own.h"

#include <stdbool.h>
#include <stdint.h>

/* unit_parse_size("2G", &bytes): digits, at most one '.', then nothing, B, K, M, G, T or the same
 * with "i" or "iB"; all are powers of 1024. 0, or -1 for anything else (also more than 2^63-1). */
int unit_parse_size(const char *s, uint64_t *bytes) must_check;
/* unit_parse_duration("1h30m", &ms): one or more of NUMBER + ms, s, m, h, d. A bare number other
 * than 0 is refused: say the unit. 0 or -1. */
int unit_parse_duration(const char *s, uint64_t *ms) must_check;
/* unit_parse_count("512", &n): decimal digits only. 0 or -1. */
int unit_parse_count(const char *s, uint64_t *n) must_check;
/* unit_is_day("2026-12-31"): a day there is, so written, not before 1970. */
bool unit_is_day(const char *s) must_check;

/* What a person reads: "1.5 GiB", "3 m 20 s", "350 ms". buf takes at least UNIT_TEXT bytes; returns
 * buf. */
#define UNIT_TEXT 32
const char *unit_size(uint64_t bytes, char *buf);
const char *unit_duration(uint64_t ms, char *buf);
