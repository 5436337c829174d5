/* Inside sandbox/ only: which subordinate ids somebody has on this machine, by /etc/subuid and
 * /etc/subgid (subuid(5)). */
#pragma once
#include "base/err.h"
#include "base/text.h"

#include <stdint.h>

struct subids_range {
	uint32_t first, n; /* n >= 1, first >= 1 */
};

struct subids {
	struct subids_range *all; /* owned; none overlaps another, none is in the way of `own` */
	size_t n;
};

/* subids_read(path, name, id, own, out, e): the lines of path that are for the user called name
 * (NULL: has none) or numbered id, in their order. A line that makes no sense, and one that
 * overlaps an earlier one or holds own, gives nothing. No such file: none. The caller frees out
 * with subids_fini, in both cases. */
int subids_read(const char *path, const char *name, uint32_t id, uint32_t own, struct subids *out,
		struct err *e) must_check;
void subids_fini(struct subids *s);

/* subids_cut(s, n): every range cut into pieces of n ids, what is left over forgotten. */
void subids_cut(struct subids *s, uint32_t n);

/* subids_map(s, own, t): as extents "0:OWN:1,1:FIRST:N,…" for assay-box: 0 inside is own, what
 * follows are the ranges; as many as a map takes (one page: user_namespaces(7)). */
void subids_map(const struct subids *s, uint32_t own, struct text *t);

/* subids_unused(path): the first id from 100000 on (SUB_UID_MIN of login.defs(5)) that is behind
 * every line's. */
uint32_t subids_unused(const char *path);
