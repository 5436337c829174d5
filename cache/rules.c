#include "cache/rules.h"

#include <string.h>

static const char *const rules_names[] = {
	[CACHE_SAME] = "same",
	[CACHE_CONTENT_HASH] = "content-hash",
	[CACHE_KEEP] = "keep",
	[CACHE_NEWEST] = "newest",
	[CACHE_UNION_LINES] = "union-lines",
	[CACHE_DROP] = "drop",
	[CACHE_REJECT] = "reject",
	[CACHE_SUM_COUNTERS] = "sum-counters",
	[CACHE_PROGRAM] = "program",
};

static const char *const rules_changes[] = {
	[CACHE_ADDED] = "added",     [CACHE_REPLACED] = "replaced",
	[CACHE_MERGED] = "merged",   [CACHE_IDENTICAL] = "identical",
	[CACHE_DROPPED] = "dropped", [CACHE_CONFLICT] = "conflict",
	[CACHE_DELETED] = "deleted", [CACHE_PENDING] = "pending",
	[CACHE_REFUSED] = "refused",
};

const char *cache_do_name(enum cache_do d)
{
	return rules_names[d];
}

const char *cache_change_name(enum cache_change c)
{
	return rules_changes[c];
}

/* glob is behind the '['. The end of the class, behind its ']', or NULL where there is none ('['
 * then means itself). */
static const char *rules_class(const char *glob, unsigned char c, bool *in)
{
	bool negate = *glob == '!' || *glob == '^', found = false;
	const char *p = glob + negate;
	for (bool first = true; first || *p != ']'; first = false) {
		unsigned char low, high;
		p += *p == '\\' && p[1];
		if (!*p || *p == '/')
			return NULL;
		low = high = (unsigned char)*p++;
		if (*p == '-' && p[1] && p[1] != ']' && p[1] != '/') {
			p++;
			p += *p == '\\' && p[1];
			high = (unsigned char)*p++;
		}
		found |= low <= c && c <= high;
	}
	*in = found != negate;
	return p + 1;
}

/* One step of the pattern against one byte. The rest of the pattern, or NULL where they differ. */
static const char *rules_step(const char *glob, unsigned char c)
{
	bool in = false;
	const char *rest;
	if (*glob == '?')
		return glob + 1;
	if (*glob == '[' && (rest = rules_class(glob + 1, c, &in)))
		return in ? rest : NULL;
	glob += *glob == '\\' && glob[1];
	return (unsigned char)*glob == c ? glob + 1 : NULL;
}

/* Where a component of the pattern ends: a '/' in a class does not occur, an escaped one counts as
 * an end as well. */
static const char *rules_end(const char *p)
{
	return p + strcspn(p, "/");
}

/* One component each. The last '*' takes one byte more whenever what follows it does not fit:
 * linear memory, quadratic time. */
static bool rules_component(const char *glob, const char *glob_end, const char *s,
			    const char *s_end)
{
	const char *star = NULL, *back = NULL;
	while (s < s_end || glob < glob_end) {
		const char *rest;
		if (glob < glob_end && *glob == '*') {
			star = ++glob;
			back = s;
		} else if (s < s_end && glob < glob_end &&
			   (rest = rules_step(glob, (unsigned char)*s)) && rest <= glob_end) {
			glob = rest;
			s++;
		} else if (star && back < s_end) {
			glob = star;
			s = ++back;
		} else {
			return false;
		}
	}
	return true;
}

static bool rules_is_any(const char *glob, const char *end)
{
	return end - glob == 2 && glob[0] == '*' && glob[1] == '*';
}

/* The same one level up: '**' is the star of components. NULL stands for "behind the last
 * component". */
bool rules_match(const char *glob, const char *path)
{
	const char *star = NULL, *back = NULL;
	while (glob || path) {
		const char *g_end = glob ? rules_end(glob) : NULL,
			   *p_end = path ? rules_end(path) : NULL;
		if (glob && rules_is_any(glob, g_end)) {
			glob = star = *g_end ? g_end + 1 : NULL;
			back = path;
			if (!glob)
				return true;
		} else if (glob && path && rules_component(glob, g_end, path, p_end)) {
			glob = *g_end ? g_end + 1 : NULL;
			path = *p_end ? p_end + 1 : NULL;
		} else if (star && back) {
			const char *b_end = rules_end(back);
			back = *b_end ? b_end + 1 : NULL;
			path = back;
			glob = star;
		} else {
			return false;
		}
	}
	return true;
}

size_t rules_at(const struct cache_rule *rules, size_t n, const char *path)
{
	size_t i = 0;
	while (i < n && !rules_match(rules[i].match, path))
		i++;
	return i;
}

enum cache_do rules_find(const struct cache_rule *rules, size_t n, const char *path)
{
	size_t i = rules_at(rules, n, path);
	return i < n ? rules[i].what : CACHE_SAME;
}
