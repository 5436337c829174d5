/* The helper's life: box after box for one caller, and nothing kept from one to the next
 * but what this kernel can. */
#pragma once
#include "sandbox/box/birth.h"
#include "sandbox/box/ids.h"
#include "sandbox/box/overlay.h"
#include "sandbox/box/owners.h"

struct serve {
	const struct birth_kind *kind;
	struct ids ids;
	enum overlay_way way;
	bool only_way;
	enum plan_uppers uppers; /* what is tried first */
	struct owners owners;
};

/* serve_words(s, ids, words, e): the rest of `serve`: which ids, and NULL-terminated words: for
 * tests, what else would be tried: "fd", "names", "classic" (overlay.h), "tmpfs", "fuse" (upper.h);
 * and those of owners_word. They are forgotten. */
int serve_words(struct serve *s, char *ids, char **words, struct err *e) must_check;

/* serve_run(s): until the caller's socket (PLAN_SOCKET) ends: 0, or -1 where the caller breaks the
 * rules. */
int serve_run(const struct serve *s, struct err *e) must_check;
