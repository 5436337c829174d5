/* What a path and a line mean in npm's cache (cacache): content named by its digest, index buckets
 * of checked lines. Any thread. */
#pragma once
#include "cache/cache.h"
#include "base/text.h"

/* npm_content_name(path, algo, hex): path ends with ALGO/xx/yy/rest, as
 * content-v2/sha512/ab/cd/ef…: 0 and the digest its bytes must have. -1: it is not of that shape,
 * or an algorithm nobody should trust. algo points to a static name libcrypto knows. */
#define NPM_HEX 129
int npm_content_name(const char *path, const char **algo, char hex[NPM_HEX]) must_check;

/* npm_union(path, old, new, out): the bucket that has the lines of both: those whose sha1 is that
 * of their json, that are about a key this bucket is for, and of each (key, request headers) the
 * one with the newest `time`; oldest first, each as
 * "\n" sha1 "\t" json. A line that says but for its time what the one before it said is that one:
 * npm writes a line anew whenever it uses it, and that is no change. A line that deletes (integrity
 * null) takes from `new` what stands before it, from `old` nothing. old may be NULL. The number of
 * lines in out. Same lines in any order, from either side: same bytes. */
size_t npm_union(const char *path, const struct text *old, const struct text *new,
		 struct text *out);

/* A larger bucket is not read. */
#define NPM_BUCKET_MAX ((size_t)16 << 20)
