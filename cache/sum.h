/* The digest of a frame: by it damage is found. It is no protection against anybody and nobody's
 * name: bytes are known by SHA-256, of each entry and of the record that tells of them. So it is
 * XXH3 with 128 bits (libxxhash; xxh128sum prints the same), which costs next to nothing; older
 * frames have SHA-256. One thread at a time. */
#pragma once
#include "cache/hash.h"

struct XXH3_state_s;

enum sum_kind { SUM_XXH3, SUM_SHA256 };
struct sum {
	enum sum_kind kind;
	struct XXH3_state_s *xxh3;
	struct hash sha256;
};

/* sum_kind_of(text): by which digest it is. */
enum sum_kind sum_kind_of(const char text[CACHE_SUM]);
/* sum_hex(text): the hex digits behind the word that says so. sum_of_hex(kind, hex, text): both. */
const char *sum_hex(const char text[CACHE_SUM]);
void sum_of_hex(enum sum_kind kind, const char *hex, char text[CACHE_SUM]);

/* sum_open(s, kind, e): started. sum_close frees; of a zeroed one it does nothing. */
int sum_open(struct sum *s, enum sum_kind kind, struct err *e) must_check;
void sum_close(struct sum *s);
void sum_add(struct sum *s, const void *bytes, size_t n);
/* sum_text(s, text): the digest so far; s is started afresh. */
void sum_text(struct sum *s, char text[CACHE_SUM]);
