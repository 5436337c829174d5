/* What the segments tell of themselves when they are read without a database. */
#pragma once
#include "cache_store.h"

struct told {
	size_t n;
	struct {
		char layer[CACHE_ID], chain[CACHE_ID], parent[CACHE_ID];
		char *job, *store;
		size_t n_frames, n_entries;
		struct cache_counts counts;
		struct cache_frame frames[16];
	} v[32];
	struct text damage;
	int take; /* as on_found */
	struct text lost;
};

static inline int on_record(void *owner, const struct cache_record *r, struct err *e)
{
	struct told *t = owner;
	(void)e;
	assert_true(t->n < countof(t->v) && r->n_frames <= 16);
	memcpy(t->v[t->n].layer, r->layer, CACHE_ID);
	memcpy(t->v[t->n].chain, r->chain, CACHE_ID);
	memcpy(t->v[t->n].parent, r->parent, CACHE_ID);
	t->v[t->n].job = own_dup(r->job);
	t->v[t->n].store = own_dup(r->store);
	t->v[t->n].n_entries = r->n_entries;
	t->v[t->n].counts = r->counts;
	t->v[t->n].n_frames = r->n_frames;
	memcpy(t->v[t->n].frames, r->frames, r->n_frames * sizeof(*r->frames));
	t->n++;
	return 0;
}

static inline int on_found(void *owner, const struct cache_record *r, struct err *e)
{
	struct told *t = owner;
	return on_record(owner, r, e) ? -1 : t->take;
}

static inline int on_damage(void *owner, uint32_t segment, uint64_t offset, uint64_t bytes,
			    const char *why, struct err *e)
{
	struct told *t = owner;
	(void)e;
	text_addf(&t->damage, "%u+%llu:%llu %s\n", (unsigned)segment, (unsigned long long)offset,
		  (unsigned long long)bytes, why);
	return 0;
}

static inline int on_lost(void *owner, uint32_t segment, uint64_t left, struct err *e)
{
	struct told *t = owner;
	(void)e;
	text_addf(&t->lost, "%u:%llu ", (unsigned)segment, (unsigned long long)left);
	return 0;
}

static inline void told_fini(struct told *t)
{
	for (size_t i = 0; i < t->n; i++) {
		free(t->v[i].job);
		free(t->v[i].store);
	}
	text_fini(&t->damage);
	text_fini(&t->lost);
	*t = (struct told){0};
}

static inline void scan(struct store *s, struct told *t)
{
	struct err e = ERR_INIT;
	const struct cache_scan how = {on_record, on_damage, t};
	told_fini(t);
	OK(cache_scan(s->f->c, &how, &e));
}
