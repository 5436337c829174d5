/* What a box sees, in symbols. Slot 0 is "/", then come the suite's cow mounts as listed, then its
 * stores. */
#include "orchestrator/plan.h"

#include <string.h>

static void add_lower(struct plan_mount *m, enum plan_from from, size_t index, const char *name)
{
	if (!(m->n_lowers & (m->n_lowers - 1)))
		m->lowers =
			own_grow(m->lowers, m->n_lowers ? m->n_lowers * 2 : 1, sizeof(*m->lowers));
	m->lowers[m->n_lowers++] = (struct plan_lower){from, index, name};
}

static void add_layers(struct plan_mount *m, char *const *layers, size_t n)
{
	for (size_t i = 0; i < n; i++)
		add_lower(m, PLAN_FROM_LAYER, 0, layers[i]);
}

/* The uppers of the phases before, newest first. Those of a branch's trunk are the phases before
 * the branch's own, and a unit without a trunk begins with phase 0: so it is all of them. */
static void add_uppers(struct plan_mount *m, size_t phase)
{
	for (size_t i = phase; i-- > 0;)
		add_lower(m, PLAN_FROM_UPPER, i, NULL);
}

static struct plan_mount *add_mount(struct plan_mounts *out, const char *path, enum box_mode mode,
				    size_t slot)
{
	struct plan_mount *m = &out->mounts[out->n_mounts++];
	*m = (struct plan_mount){
		.path = path, .mode = mode, .slot = slot, .store = PLAN_NONE, .ours = true};
	return m;
}

static void add_root(const struct suite *s, const struct plan_unit *unit, size_t phase,
		     struct plan_mounts *out)
{
	const struct suite_phase *p = &s->phases[phase];
	struct plan_mount *m = add_mount(out, "/", BOX_COW, 0);
	add_uppers(m, phase);
	add_layers(m, p->layers, p->n_layers);
	if (unit->variant != PLAN_NONE)
		add_layers(m, s->variants[unit->variant].layers,
			   s->variants[unit->variant].n_layers);
	add_layers(m, s->layers, s->n_layers);
	if (!s->root_is_host)
		add_lower(m, PLAN_FROM_LAYER, 0, s->root);
}

static void add_suite_mount(const struct suite_mount *sm, size_t phase, size_t *slot,
			    struct plan_mounts *out)
{
	static const enum box_mode modes[] = {
		[SUITE_RO] = BOX_RO, [SUITE_RW] = BOX_RW, [SUITE_COW] = BOX_COW};
	bool upper = sm->mode == SUITE_COW && !sm->file;
	struct plan_mount *m =
		add_mount(out, sm->path, modes[sm->mode], upper ? (*slot)++ : PLAN_NONE);
	if (upper)
		add_uppers(m, phase);
	if (sm->source)
		add_lower(m, sm->file ? PLAN_FROM_FILE : PLAN_FROM_DIR, 0, sm->source);
	/* what the box may change in its own view must be its own, whosever the source is */
	m->ours = sm->mode == SUITE_COW;
}

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct plan_mount *)a)->path, ((const struct plan_mount *)b)->path);
}

void plan_mounts(const struct suite *s, const struct plan_unit *unit, size_t phase,
		 struct plan_mounts *out)
{
	size_t slot = 1;
	*out = (struct plan_mounts){own_calloc(s->n_mounts + s->n_stores + 2, sizeof(*out->mounts)),
				    0};
	add_root(s, unit, phase, out);
	for (size_t i = 0; i < s->n_mounts; i++)
		add_suite_mount(&s->mounts[i], phase, &slot, out);
	for (size_t i = 0; i < s->n_stores; i++) {
		struct plan_mount *m = add_mount(out, s->stores[i].path, BOX_COW, slot++);
		m->store = i;
		add_uppers(m, phase);
		add_lower(m, PLAN_FROM_STORE, i, NULL);
	}
	add_lower(add_mount(out, "/input", BOX_RO, PLAN_NONE), PLAN_FROM_INPUT, 0, NULL);
	qsort(out->mounts, out->n_mounts, sizeof(*out->mounts), by_path);
}

void plan_mounts_fini(struct plan_mounts *m)
{
	for (size_t i = 0; i < m->n_mounts; i++)
		free(m->mounts[i].lowers);
	free(m->mounts);
	*m = (struct plan_mounts){NULL, 0};
}
