/* What judge*.c share: one entry while it is judged, and the words it can get. */
#pragma once
#include "cache/judge.h"
#include "cache/lower.h"

struct judge {
	struct harvest *h;
	struct tree_item *it;
	struct harvest_item *x;
	const struct harvest_item *above; /* NULL: the root */
	enum cache_do rule;
	bool made; /* x's bytes are in no file of the upper */
};

/* judge_is, judge_refuse, judge_conflict: x has its word, the latter two with why. 0.
 * judge_hostile: -1, all of the harvest is refused. */
int judge_is(struct judge *c, enum cache_change change);
int judge_refuse(struct judge *c, const char *why);
int judge_conflict(struct judge *c, const char *why);
int judge_hostile(struct judge *c, struct err *e, const char *why);
/* The store has other bytes, or another target, there. */
int judge_differs(struct judge *c, const struct lower *l, const char *why, struct err *e)
	must_check;
/* It has nothing there. */
int judge_is_new(struct judge *c, struct err *e) must_check;
/* How the names of attributes begin that mean something to the mount the upper is of. */
const char *judge_space(const struct judge *c);

/* judge_file(c, l, e): a regular file; l is what the store has there. */
int judge_file(struct judge *c, const struct lower *l, struct err *e) must_check;
