/* Which rule of a store a path falls under. Pure functions. */
#pragma once
#include "cache/cache.h"

/* rules_match(glob, path): as cache.h says of globs; '\' takes the next byte as it is, [!…]
 * negates. '**' also matches no component, so that "tmp/" "**" matches "tmp" itself. */
bool rules_match(const char *glob, const char *path) must_check;
/* rules_at(rules, n, path): the place of the first that matches; n: none does. */
size_t rules_at(const struct cache_rule *rules, size_t n, const char *path) must_check;
/* rules_find(rules, n, path): what to do with path; CACHE_SAME where no rule matches. */
enum cache_do rules_find(const struct cache_rule *rules, size_t n, const char *path) must_check;
