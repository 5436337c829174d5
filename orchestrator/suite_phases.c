/* Phases, put together from suite and ecosystem key by key. */
#include "orchestrator/suite_parts.h"

#include <string.h>

static int phase_harvest(const struct suite *s, const struct doc_node *names,
			 struct suite_phase *to, struct err *e)
{
	for (size_t i = 0; names && i < names->n; i++) {
		const struct doc_node *name = names->items[i].value;
		size_t store;
		if (word_lookup(name, "store", s->stores, s->n_stores, sizeof(*s->stores), &store,
				e))
			return -1;
		for (size_t k = 0; k < to->n_harvest; k++)
			if (to->harvest[k] == store)
				return doc_bad(e, name,
					       "store %s is harvested twice; once is enough",
					       name->text);
		to->harvest = own_grow(to->harvest, to->n_harvest + 1, sizeof(*to->harvest));
		to->harvest[to->n_harvest++] = store;
	}
	return 0;
}

static int phase_run(const struct draft_at *at, struct suite_phase *to, struct err *e)
{
	const struct doc_node *run = draft_get(at, "run");
	if (!run)
		return doc_bad(e, draft_place(at),
			       "phase %s needs the key 'run': its command, for /bin/sh", to->name);
	if (!run->text[strspn(run->text, " \t\n")])
		return doc_bad(e, run, "phase %s: run is empty", to->name);
	if (strlen(run->text) > WORD_ARG_MAX)
		return doc_bad(e, run,
			       "phase %s: run is longer than Linux takes (%d bytes); put it into a "
			       "file of the "
			       "packages or a layer",
			       to->name, WORD_ARG_MAX);
	to->run = own_dup(run->text);
	return 0;
}

#define SAID(key, member) (doc_get(at->ours, key) ? ours->member : base ? base->member : 0)

static int phase_words(const struct pair *p, const struct draft_at *at, struct suite_phase *to,
		       struct err *e)
{
	const struct raw_phase *ours = p->ours, *base = p->base;
	to->network = SAID("network", network);
	to->offline_first = SAID("offline-first", offline_first);
	to->once_per_package = SAID("once-per", once_per_package);
	to->goal = SAID("goal", goal);
	if (to->offline_first && (to->network == BOX_NET_NONE || !to->n_harvest))
		return doc_bad(e, draft_get(at, "offline-first"),
			       "phase %s: offline-first is for phases with a network and a "
			       "store to harvest into",
			       to->name);
	return 0;
}

static int phase_allow(const struct doc_node *names, unsigned *loosen, struct err *e)
{
	unsigned said = 0;
	for (size_t i = 0; names && i < names->n; i++) {
		const struct doc_node *name = names->items[i].value;
		unsigned bit = box_loosen_of(name->text);
		if (!bit)
			return doc_bad(e, name,
				       "there is no '%s' that could be allowed, only userns, i386, "
				       "io-uring, fuse, kvm, perf, dumps and aio",
				       name->text);
		if (said & bit)
			return doc_bad(e, name, "%s is allowed twice; once is enough", name->text);
		said |= bit;
	}
	*loosen |= said;
	return 0;
}

/* What the whole suite may, and what this phase may beside it. */
static int phase_allows(const struct draft *d, const struct draft_at *at, struct suite_phase *to,
			struct err *e)
{
	const struct draft_at top = {d->ours->at, d->base ? d->base->at : NULL};
	return phase_allow(draft_get(&top, "allow"), &to->loosen, e) ||
			       phase_allow(draft_get(at, "allow"), &to->loosen, e)
		       ? -1
		       : 0;
}

/* The whole suite's limits, then the phase's: of each the ecosystem's first. */
static int phase_limits(const struct draft *d, const struct pair *p, struct suite_phase *to,
			struct err *e)
{
	const struct raw_phase *ours = p->ours, *base = p->base;
	const struct raw_limits *order[] = {d->base ? &d->base->limits : NULL, &d->ours->limits,
					    base ? &base->limits : NULL,
					    ours ? &ours->limits : NULL};
	parts_limits_default(&to->limits);
	for (size_t i = 0; i < countof(order); i++)
		if (order[i] && parts_limits(order[i], &to->limits, e))
			return -1;
	return 0;
}

static int merge_phase(struct draft *d, const struct pair *p, const struct draft_at *at,
		       struct suite_phase *to, struct err *e)
{
	struct suite *s = d->suite;
	const struct doc_node *name = draft_get(at, "name");
	if (word_name(name, "phase", WORD_NAME_MAX, e))
		return -1;
	to->name = own_dup(name->text);
	if (phase_run(at, to, e) || phase_harvest(s, draft_get(at, "harvest"), to, e) ||
	    phase_words(p, at, to, e) || phase_allows(d, at, to, e) ||
	    parts_layers(s, draft_get(at, "layers"), &to->layers, &to->n_layers, e) ||
	    parts_env(doc_get(at->base, "env"), &to->env, &to->n_env, e) ||
	    parts_env(doc_get(at->ours, "env"), &to->env, &to->n_env, e))
		return -1;
	return phase_limits(d, p, to, e);
}

/* At most one goal in each file; the suite's wins; none: the last phase. */
static int merge_goal(struct draft *d, struct err *e)
{
	struct suite *s = d->suite;
	size_t ours = s->n_phases, base = s->n_phases;
	for (size_t i = 0; i < s->n_phases; i++) {
		if (!s->phases[i].goal)
			continue;
		bool by_suite = doc_get(d->phase_at[i].ours, "goal");
		size_t *goal = by_suite ? &ours : &base;
		if (*goal < s->n_phases)
			return doc_bad(e, draft_get(&d->phase_at[i], "goal"),
				       "phase %s: %s is the goal already; there is one goal",
				       s->phases[i].name, s->phases[*goal].name);
		*goal = i;
	}
	size_t goal = ours < s->n_phases ? ours : base < s->n_phases ? base : s->n_phases - 1;
	for (size_t i = 0; i < s->n_phases; i++)
		s->phases[i].goal = i == goal;
	return 0;
}

static int check_once_per(const struct draft *d, struct err *e)
{
	const struct suite *s = d->suite;
	for (size_t i = 0; i < s->n_phases; i++) {
		const struct suite_phase *p = &s->phases[i];
		if (!p->once_per_package)
			continue;
		const struct doc_node *at = draft_get(&d->phase_at[i], "once-per");
		if (p->goal)
			return doc_bad(e, at,
				       "phase %s: the goal runs once per variant, or there is "
				       "nothing to compare",
				       p->name);
		if (i && !s->phases[i - 1].once_per_package)
			return doc_bad(e, at,
				       "phase %s: what runs once per package comes before all that "
				       "runs once per "
				       "variant, and %s does not",
				       p->name, s->phases[i - 1].name);
	}
	return 0;
}

int draft_phases(struct draft *d, struct err *e)
{
	auto_free struct pair *pairs = NULL;
	struct suite *s = d->suite;
	size_t n;
	struct suite_limits unused;
	if (merge_pairs("phase", d->ours->phases, d->ours->n_phases,
			d->base ? d->base->phases : NULL, d->base ? d->base->n_phases : 0,
			sizeof(struct raw_phase), &pairs, &n, e))
		return -1;
	if (!n) {
		const struct doc_node *phases = doc_get(d->ours->at, "phases");
		return doc_bad(e, phases ? phases : d->ours->at,
			       "there are no phases; list them, or use an ecosystem that has some");
	}
	/* told where it stands even if every phase overrides it */
	if (parts_limits(&d->ours->limits, &unused, e) ||
	    (d->base && parts_limits(&d->base->limits, &unused, e)))
		return -1;
	s->phases = own_calloc(n, sizeof(*s->phases));
	d->phase_at = own_calloc(n, sizeof(*d->phase_at));
	for (s->n_phases = 0; s->n_phases < n;) {
		size_t i = s->n_phases++;
		const struct raw_named *ours = pairs[i].ours, *base = pairs[i].base;
		d->phase_at[i] = (struct draft_at){ours ? ours->at : NULL, base ? base->at : NULL};
		if (merge_phase(d, &pairs[i], &d->phase_at[i], &s->phases[i], e))
			return -1;
	}
	return merge_goal(d, e) ? -1 : check_once_per(d, e);
}
