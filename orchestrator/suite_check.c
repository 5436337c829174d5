/* What only the whole can tell: places in the boxes that overlap, layers that would be stacked
 * twice. */
#include "orchestrator/suite_parts.h"

#include <string.h>

struct claim {
	const char *what, *path;
	const struct doc_node *at; /* NULL: the box's own, which nobody can move */
};

static int check_claim(const struct claim *c, const struct claim *others, size_t n, struct err *e)
{
	for (size_t i = 0; i < n; i++) {
		const struct claim *o = &others[i];
		if (!strcmp(c->path, o->path))
			return doc_bad(e, c->at, "%s %s: that path belongs to %s %s; take another",
				       c->what, c->path, o->at ? "another" : "the",
				       o->at ? o->what : "box");
		/* the one inside is to blame, unless it is the box's own */
		bool inner = word_inside(c->path, o->path), outer = word_inside(o->path, c->path);
		const struct claim *in = outer && o->at ? o : c, *out = in == c ? o : c;
		if (inner || outer)
			return doc_bad(e, in->at, "%s %s is %s %s %s; neither may be in the other",
				       in->what, in->path, inner || o->at ? "inside" : "around",
				       out->what, out->path);
	}
	return 0;
}

/* No path of a mount or store is another's or inside another's. There are at most 2000 of them. */
static int check_paths(const struct draft *d, struct err *e)
{
	const struct suite *s = d->suite;
	size_t n = 0, all = s->n_mounts + s->n_stores;
	auto_free struct claim *claims = own_calloc(all + 4, sizeof(*claims));
	claims[n++] = (struct claim){"the box's", "/proc", NULL};
	claims[n++] = (struct claim){"the box's", "/sys", NULL};
	claims[n++] = (struct claim){"the box's", "/dev", NULL};
	claims[n++] = (struct claim){"the box's", "/input", NULL};
	for (size_t i = 0; i < all; i++) {
		size_t k = i < s->n_mounts ? i : i - s->n_mounts;
		struct claim c;
		if (i < s->n_mounts)
			c = (struct claim){"mount", s->mounts[k].path,
					   draft_get(&d->mount_at[k], "path")};
		else
			c = (struct claim){"store", s->stores[k].path,
					   draft_get(&d->store_at[k], "path")};
		if (!strcmp(c.path, "/"))
			return doc_bad(e, c.at,
				       "%s /: the root is what 'root' and 'layers' say; take a "
				       "path below it",
				       c.what);
		if (check_claim(&c, claims, n, e))
			return -1;
		claims[n++] = c;
	}
	return 0;
}

/* What a phase makes of a single file of mode cow is in the root's upper: the root must be ours
 * there. */
static int check_files(const struct draft *d, struct err *e)
{
	static const char *const host[] = {"/usr", "/etc",   "/bin",   "/sbin",
					   "/lib", "/lib32", "/lib64", "/libx32"};
	const struct suite *s = d->suite;
	for (size_t i = 0; i < s->n_mounts; i++) {
		const struct suite_mount *m = &s->mounts[i];
		for (size_t k = 0;
		     s->root_is_host && m->file && m->mode == SUITE_COW && k < countof(host); k++)
			if (word_inside(m->path, host[k]))
				return doc_bad(
					e, draft_get(&d->mount_at[i], "path"),
					"mount %s: with root: host %s is this machine's and "
					"read-only, so that a file of mode cow can't be kept "
					"there; take mode ro, or another path",
					m->path, host[k]);
	}
	return 0;
}

/* ---- layers: the kernel refuses an overlay with one directory twice ---- */

struct stack {
	char *const *layers;
	size_t n;
	const struct doc_node *at; /* the list */
};

static int check_stacks(const struct stack *lower, const struct stack *upper, struct err *e)
{
	for (size_t i = 0; i < upper->n; i++) {
		const char *name = upper->layers[i];
		size_t end = lower == upper ? i : lower->n;
		for (size_t k = 0; k < end; k++)
			if (!strcmp(lower->layers[k], name))
				return doc_bad(
					e, upper->at->items[i].value,
					"layer %s is in the same box already (%s:%u); name it once",
					name, lower->at->doc->name, lower->at->line);
	}
	return 0;
}

static int check_layers(const struct draft *d, struct err *e)
{
	const struct suite *s = d->suite;
	const struct draft_at top = {d->ours->at, d->base ? d->base->at : NULL};
	struct stack root = {&s->root, s->root_is_host ? 0 : 1, draft_get(&top, "root")};
	struct stack suite = {s->layers, s->n_layers, draft_get(&top, "layers")};
	if (check_stacks(&suite, &suite, e) || check_stacks(&root, &suite, e))
		return -1;
	for (size_t i = 0; i < s->n_variants; i++) {
		const struct suite_variant *v = &s->variants[i];
		struct stack variant = {v->layers, v->n_layers,
					doc_get(d->ours->variants[i].at, "layers")};
		if (check_stacks(&variant, &variant, e) || check_stacks(&suite, &variant, e) ||
		    check_stacks(&root, &variant, e))
			return -1;
	}
	for (size_t i = 0; i < s->n_phases; i++) {
		const struct suite_phase *p = &s->phases[i];
		struct stack phase = {p->layers, p->n_layers, draft_get(&d->phase_at[i], "layers")};
		if (check_stacks(&phase, &phase, e) || check_stacks(&suite, &phase, e) ||
		    check_stacks(&root, &phase, e))
			return -1;
		for (size_t k = 0; !p->once_per_package && k < s->n_variants; k++) {
			const struct suite_variant *v = &s->variants[k];
			struct stack variant = {v->layers, v->n_layers,
						doc_get(d->ours->variants[k].at, "layers")};
			if (check_stacks(&variant, &phase, e))
				return -1;
		}
	}
	return 0;
}

int draft_check(const struct draft *d, struct err *e)
{
	return check_paths(d, e) || check_files(d, e) ? -1 : check_layers(d, e);
}
