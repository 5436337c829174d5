#include "orchestrator/sched.h"

#include "base/own.h"
#include "orchestrator/heap.h"

#include <string.h>

static const char *const names[] = {"lpt", "fifo", "random", "sjf"};

/* Tasks that need the same: the first of them speaks for all. */
struct sched_class {
	struct sched_need need;
	struct heap heap;
};

struct sched {
	struct sched_conf conf;
	struct sched_need used;
	struct sched_class *classes;
	size_t n_classes;
	struct heap offered;
	size_t waiting, coming; /* for tokens; units being begun */
	size_t passed;          /* so many went past the first that did not fit */
};

const char *sched_policy_name(enum sched_policy p)
{
	return p < countof(names) ? names[p] : NULL;
}

int sched_policy_parse(const char *name, enum sched_policy *p)
{
	for (size_t i = 0; i < countof(names); i++)
		if (!strcmp(name, names[i])) {
			*p = (enum sched_policy)i;
			return 0;
		}
	return -1;
}

struct sched *sched_new(const struct sched_conf *conf)
{
	struct sched *s = own_calloc(1, sizeof(*s));
	s->conf = *conf;
	return s;
}

void sched_free(struct sched *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->n_classes; i++)
		heap_fini(&s->classes[i].heap);
	heap_fini(&s->offered);
	free(s->classes);
	free(s);
}

uint64_t sched_round(uint64_t bytes)
{
	uint64_t step = (uint64_t)1 << 24;
	if (!bytes)
		return 0;
	while (step < bytes && step < (uint64_t)1 << 62) {
		if (step + step / 2 >= bytes)
			return step + step / 2;
		step *= 2;
	}
	return step;
}

static struct sched_class *sched_class_of(struct sched *s, const struct sched_need *need)
{
	for (size_t i = 0; i < s->n_classes; i++)
		if (!memcmp(&s->classes[i].need, need, sizeof(*need)))
			return &s->classes[i];
	s->classes = own_grow(s->classes, s->n_classes + 1, sizeof(*s->classes));
	struct sched_class *c = &s->classes[s->n_classes++];
	*c = (struct sched_class){.need = *need};
	return c;
}

/* splitmix64 (Steele, Lea, Flood 2014): a package's lot is the same in each of its tasks. */
static uint64_t sched_lot(uint64_t seed, uint64_t package)
{
	uint64_t x = seed + (package + 1) * 0x9e3779b97f4a7c15;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

static struct heap_entry sched_entry(const struct sched *s, const struct sched_task *t)
{
	uint64_t rank = 0;
	switch (s->conf.policy) {
	case POLICY_LPT:
		rank = UINT64_MAX - t->left_ms;
		break;
	case POLICY_FIFO:
		break;
	case POLICY_RANDOM:
		rank = sched_lot(s->conf.seed, t->package);
		break;
	case POLICY_SJF:
		rank = t->left_ms;
		break;
	}
	return (struct heap_entry){rank, t->package, t->id};
}

void sched_offer(struct sched *s, const struct sched_task *t)
{
	heap_push(&s->offered, sched_entry(s, t));
}

void sched_push(struct sched *s, const struct sched_task *t)
{
	struct sched_need need = t->need;
	need.of[SCHED_MEMORY] = sched_round(need.of[SCHED_MEMORY]);
	need.of[SCHED_DISK] = sched_round(need.of[SCHED_DISK]);
	struct sched_class *c = sched_class_of(s, &need);
	heap_push(&c->heap, sched_entry(s, t));
	s->waiting++;
}

/* One that needs more than there is takes all there is. */
static uint64_t sched_takes(const struct sched *s, const struct sched_class *c,
			    enum sched_token token)
{
	uint64_t want = c->need.of[token], have = s->conf.have.of[token];
	return want < have ? want : have;
}

/* The token that is wanting; SCHED_TOKENS: it fits. */
static enum sched_token sched_lacks(const struct sched *s, const struct sched_class *c)
{
	for (unsigned i = 0; i < SCHED_TOKENS; i++) {
		uint64_t have = s->conf.have.of[i], used = s->used.of[i];
		if (c->need.of[i] && (!have || used > have || sched_takes(s, c, i) > have - used))
			return i;
	}
	return SCHED_TOKENS;
}

static bool sched_better(const struct sched_class *c, const struct sched_class *than)
{
	return !than || heap_before(&c->heap.at[0], &than->heap.at[0]);
}

static struct sched_class *sched_first(const struct sched *s)
{
	struct sched_class *first = NULL;
	for (size_t i = 0; i < s->n_classes; i++)
		if (s->classes[i].heap.n && sched_better(&s->classes[i], first))
			first = &s->classes[i];
	return first;
}

/* c can start now and `first` could beside it, as far as c's tokens go. */
static bool sched_leaves_room(const struct sched *s, const struct sched_class *c,
			      const struct sched_class *first)
{
	for (unsigned i = 0; i < SCHED_TOKENS; i++) {
		uint64_t have = s->conf.have.of[i], used = s->used.of[i], own, other;
		own = sched_takes(s, c, i);
		other = sched_takes(s, first, i);
		if (own && other && (used > have || own > have - used || other > have - used - own))
			return false;
	}
	return true;
}

/* The best that fits; first not NULL: and leaves room for that one. */
static struct sched_class *sched_fitting(const struct sched *s, const struct sched_class *first)
{
	struct sched_class *best = NULL;
	for (size_t i = 0; i < s->n_classes; i++) {
		struct sched_class *c = &s->classes[i];
		if (c->heap.n && sched_better(c, best) && sched_lacks(s, c) == SCHED_TOKENS &&
		    (!first || sched_leaves_room(s, c, first)))
			best = c;
	}
	return best;
}

/* So many may go past one that does not fit: as many as there are processors. */
static size_t sched_patience(const struct sched *s)
{
	uint64_t cpus = s->conf.have.of[SCHED_CPU];
	return cpus < 64 ? (size_t)cpus : 64;
}

bool sched_pick(struct sched *s, uint32_t *id, struct sched_need *taken)
{
	struct sched_class *first = sched_first(s), *c = first;
	if (!first)
		return false;
	if (sched_lacks(s, first) == SCHED_TOKENS) {
		s->passed = 0;
	} else {
		c = sched_fitting(s, s->passed < sched_patience(s) ? NULL : first);
		if (!c)
			return false;
		s->passed += !sched_leaves_room(s, c, first);
	}
	for (unsigned i = 0; i < SCHED_TOKENS; i++) {
		taken->of[i] = sched_takes(s, c, i);
		s->used.of[i] += taken->of[i];
	}
	*id = heap_pop(&c->heap).id;
	s->waiting--;
	return true;
}

bool sched_begin(struct sched *s, uint32_t *id)
{
	size_t n = s->waiting + s->coming;
	bool spare = s->used.of[SCHED_CPU] < s->conf.have.of[SCHED_CPU] && !s->coming &&
		     s->passed < sched_patience(s);
	uint64_t cpus = s->conf.have.of[SCHED_CPU], most = cpus + s->conf.ahead;
	if (spare && most < 4 * cpus)
		most = 4 * cpus;
	if (!s->offered.n || n >= most)
		return false;
	*id = heap_pop(&s->offered).id;
	s->coming++;
	return true;
}

void sched_arrived(struct sched *s)
{
	s->coming--;
}

void sched_give(struct sched *s, const struct sched_need *taken)
{
	for (unsigned i = 0; i < SCHED_TOKENS; i++) {
		if (taken->of[i] > s->used.of[i])
			abort(); /* given back twice */
		s->used.of[i] -= taken->of[i];
	}
}

void sched_have(struct sched *s, enum sched_token token, uint64_t n)
{
	s->conf.have.of[token] = n;
}

void sched_look(const struct sched *s, struct sched_state *out)
{
	const struct sched_class *first = sched_first(s);
	enum sched_token lacks = first ? sched_lacks(s, first) : SCHED_TOKENS;
	*out = (struct sched_state){
		.offered = s->offered.n,
		.waiting = s->waiting,
		.used = s->used,
		.have = s->conf.have,
		.held = lacks != SCHED_TOKENS,
		.lacks = lacks,
	};
}
