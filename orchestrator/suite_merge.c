/* Suite and ecosystem become one. How is said in assay-suite(5), MERGING; in short: what the suite
 * says wins, by name, and lists in which the first match counts begin with the suite's. */
#include "orchestrator/suite_parts.h"

#include "orchestrator/result.h"

#include <regex.h>
#include "base/unit.h"

#include <string.h>

const struct doc_node *draft_get(const struct draft_at *at, const char *key)
{
	const struct doc_node *n = doc_get(at->ours, key);
	return n ? n : doc_get(at->base, key);
}

const struct doc_node *draft_place(const struct draft_at *at)
{
	return at->ours ? at->ours : at->base;
}

static const struct raw_named *pair_entry(const void *list, size_t i, size_t size)
{
	return (const struct raw_named *)((const char *)list + i * size);
}

static const struct raw_named *pair_find(const void *list, size_t n, size_t size, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(pair_entry(list, i, size)->name, name))
			return pair_entry(list, i, size);
	return NULL;
}

static int pair_unique(const char *what, const void *list, size_t n, size_t size, struct err *e)
{
	for (size_t i = 0; i < n; i++) {
		const struct raw_named *r = pair_entry(list, i, size),
				       *first = pair_find(list, i, size, r->name);
		if (first)
			return doc_bad(
				e, r->at,
				"%s %s is there twice, first in line %u; keep one, or rename it",
				what, r->name, first->at->line);
	}
	return 0;
}

int merge_pairs(const char *what, const void *ours, size_t n_ours, const void *base, size_t n_base,
		size_t size, struct pair **pairs, size_t *n, struct err *e)
{
	*pairs = NULL;
	*n = 0;
	if (pair_unique(what, ours, n_ours, size, e) || pair_unique(what, base, n_base, size, e))
		return -1;
	*pairs = own_calloc(n_ours + n_base + 1, sizeof(**pairs));
	for (size_t i = 0; i < n_base; i++) {
		const struct raw_named *b = pair_entry(base, i, size);
		(*pairs)[(*n)++] = (struct pair){pair_find(ours, n_ours, size, b->name), b};
	}
	for (size_t i = 0; i < n_ours; i++) {
		const struct raw_named *o = pair_entry(ours, i, size);
		if (!pair_find(base, n_base, size, o->name))
			(*pairs)[(*n)++] = (struct pair){o, NULL};
	}
	return 0;
}

static struct draft_at pair_at(const struct pair *p)
{
	const struct raw_named *ours = p->ours, *base = p->base;
	return (struct draft_at){ours ? ours->at : NULL, base ? base->at : NULL};
}

/* ---- mounts ---- */

static int merge_mount(const struct pair *p, const struct draft_at *at, struct suite_mount *to,
		       struct err *e)
{
	const struct raw_mount *ours = p->ours, *base = p->base;
	const struct doc_node *path = draft_get(at, "path"), *source = draft_get(at, "source");
	if (word_path(path, "path", e))
		return -1;
	to->path = own_dup(path->text);
	if (!draft_get(at, "mode"))
		return doc_bad(e, draft_place(at), "mount %s needs a mode: ro, rw or cow",
			       to->path);
	to->mode = doc_get(at->ours, "mode") ? ours->mode : base->mode;
	if (to->mode != SUITE_COW && !source)
		return doc_bad(e, draft_place(at),
			       "mount %s needs a source: the directory or file of this machine to "
			       "show there",
			       to->path);
	uint64_t bytes = UINT64_MAX;
	if (source && !(to->source = word_host_path(source, &bytes, e)))
		return -1;
	to->file = bytes != UINT64_MAX;
	if (to->file && to->mode == SUITE_COW && bytes > BOX_FILE_COW)
		return doc_bad(
			e, source,
			"%s has %llu bytes; a file of mode cow is copied into each box, at most "
			"%llu: show it with mode ro, or the directory it is in",
			to->source, (unsigned long long)bytes, (unsigned long long)BOX_FILE_COW);
	return 0;
}

static int merge_mounts(struct draft *d, struct err *e)
{
	auto_free struct pair *pairs = NULL;
	struct suite *s = d->suite;
	size_t n;
	if (merge_pairs("mount", d->ours->mounts, d->ours->n_mounts,
			d->base ? d->base->mounts : NULL, d->base ? d->base->n_mounts : 0,
			sizeof(struct raw_mount), &pairs, &n, e))
		return -1;
	s->mounts = own_calloc(n + 1, sizeof(*s->mounts));
	d->mount_at = own_calloc(n + 1, sizeof(*d->mount_at));
	for (s->n_mounts = 0; s->n_mounts < n;) {
		size_t i = s->n_mounts++;
		d->mount_at[i] = pair_at(&pairs[i]);
		if (merge_mount(&pairs[i], &d->mount_at[i], &s->mounts[i], e))
			return -1;
	}
	return 0;
}

/* ---- stores ---- */

/* What goes with none of it is said by cache.h: better here, with a place. */
static int merge_trust(const struct draft_at *at, const struct raw_store *by,
		       struct suite_store *to, struct err *e)
{
	const struct doc_node *trust = draft_get(at, "trust");
	if (by->trust < 1 || by->trust > CACHE_TRUST_MAX)
		return doc_bad(e, trust, "trust is how many packages, from 1 to %d",
			       CACHE_TRUST_MAX);
	to->trust = (unsigned)by->trust;
	if (to->trust < 2)
		return 0;
	if (to->deletions == CACHE_DELETIONS_APPLY)
		return doc_bad(e, trust,
			       "a store that demands %u packages takes no deletions from a single "
			       "one: deletions: apply does not go with it",
			       to->trust);
	for (size_t i = 0; i < to->n_rules; i++)
		if (to->rules[i].what == CACHE_UNION_LINES)
			return doc_bad(
				e, trust,
				"store %s puts lines of several packages together (%s, "
				"union-lines): for a line nobody could say who else had it, so "
				"it can't demand %u",
				to->name, to->rules[i].match, to->trust);
	return 0;
}

static int merge_store(const struct pair *p, const struct draft_at *at, struct suite_store *to,
		       struct err *e)
{
	const struct doc_node *name = draft_get(at, "name"), *path = draft_get(at, "path");
	const struct raw_store *ours = p->ours, *base = p->base;
	if (word_name(name, "store", 64, e))
		return -1;
	to->name = own_dup(name->text);
	if (!path)
		return doc_bad(e, draft_place(at), "store %s needs a path: where the boxes see it",
			       to->name);
	if (word_path(path, "path", e))
		return -1;
	to->path = own_dup(path->text);
	if (draft_get(at, "deletions"))
		to->deletions = doc_get(at->ours, "deletions") ? ours->deletions : base->deletions;
	if (parts_rules(to, ours, e) || parts_rules(to, base, e))
		return -1;
	return draft_get(at, "trust")
		       ? merge_trust(at, doc_get(at->ours, "trust") ? ours : base, to, e)
		       : 0;
}

static int merge_stores(struct draft *d, struct err *e)
{
	auto_free struct pair *pairs = NULL;
	struct suite *s = d->suite;
	size_t n;
	if (merge_pairs("store", d->ours->stores, d->ours->n_stores,
			d->base ? d->base->stores : NULL, d->base ? d->base->n_stores : 0,
			sizeof(struct raw_store), &pairs, &n, e))
		return -1;
	s->stores = own_calloc(n + 1, sizeof(*s->stores));
	d->store_at = own_calloc(n + 1, sizeof(*d->store_at));
	for (s->n_stores = 0; s->n_stores < n;) {
		size_t i = s->n_stores++;
		d->store_at[i] = pair_at(&pairs[i]);
		if (merge_store(&pairs[i], &d->store_at[i], &s->stores[i], e))
			return -1;
	}
	return 0;
}

/* ---- log rules ---- */

static int log_regex(const struct doc_node *n, struct err *e)
{
	regex_t re;
	char why[128];
	if (word_line(n, "match", 1024, e))
		return -1;
	int rc = regcomp(&re, n->text, REG_EXTENDED | REG_NEWLINE | REG_NOSUB);
	if (!rc) {
		regfree(&re);
		return 0;
	}
	regerror(rc, &re, why, sizeof(why));
	return doc_bad(e, n, "match '%.200s' is no extended regular expression: %s", n->text, why);
}

/* "fail/missing-dep": a status and a reason of that status. */
static int log_reason(const struct doc_node *n, struct suite_log_rule *to, struct err *e)
{
	auto_text struct text known = TEXT_INIT;
	enum status status;
	enum reason reason;
	const char *slash = strchr(n->text, '/');
	to->status = own_dup_n(n->text, slash ? (size_t)(slash - n->text) : strlen(n->text));
	to->reason = own_dup(slash ? slash + 1 : "");
	if (status_parse(to->status, &status) ||
	    (status != STATUS_FAIL && status != STATUS_CRASH && status != STATUS_BLOCK))
		return doc_bad(e, n,
			       "reason '%.64s': a log can only refine fail and crash; write fail/… "
			       "or crash/…, or of a phase that fetches block/…",
			       n->text);
	if (slash && !reason_parse(to->reason, &reason) && reason_status(reason) == status &&
	    reason != REASON_DEP_FAILED)
		return 0;
	for (unsigned i = 0; i < REASON_COUNT; i++)
		if (reason_status((enum reason)i) == status && i != REASON_DEP_FAILED)
			text_addf(&known, "%s%s", known.n ? ", " : "", reason_name((enum reason)i));
	return doc_bad(e, n, "reason '%.64s': %s has %s", n->text, to->status, text_str(&known));
}

static int log_rule_id(const struct suite *s, const struct raw_log_rule *raw, const char *file,
		       size_t ordinal, struct suite_log_rule *to, struct err *e)
{
	const struct doc_node *id = doc_get(raw->at, "id");
	if (id && word_line(id, "id", 64, e))
		return -1;
	to->id = id ? own_dup(id->text) : own_fmt("%s/%zu", file, ordinal);
	for (const struct suite_log_rule *r = s->log_rules; r < to; r++)
		if (!strcmp(r->id, to->id))
			return doc_bad(e, id ? id : raw->at,
				       "log rule %s is there twice; give one of them another id",
				       to->id);
	return 0;
}

/* block says that a package had no chance; a program that runs could say so of itself. Where a
 * phase fetches, and is not what the job is for, nothing of the package is judged yet. */
static int log_rule_phase(const struct suite *s, const struct doc_node *rule,
			  const struct suite_log_rule *to, struct err *e)
{
	const struct doc_node *phase = doc_get(rule, "phase");
	size_t at = 0;
	if (phase &&
	    word_lookup(phase, "phase", s->phases, s->n_phases, sizeof(*s->phases), &at, e))
		return -1;
	if (strcmp(to->status, status_name(STATUS_BLOCK)) ||
	    (phase && !s->phases[at].goal && s->phases[at].network != BOX_NET_NONE))
		return 0;
	return doc_bad(
		e, phase ? phase : rule,
		"a rule for %s/%s is of a phase that has a network and is not the goal: name "
		"one as its phase",
		to->status, to->reason);
}

static int add_log_rules(struct suite *s, const struct raw_file *raw, const char *file,
			 struct err *e)
{
	if (!raw)
		return 0;
	s->log_rules = own_grow(s->log_rules, s->n_log_rules + raw->n_log_rules + 1,
				sizeof(*s->log_rules));
	for (size_t i = 0; i < raw->n_log_rules; i++) {
		const struct raw_log_rule *r = &raw->log_rules[i];
		struct suite_log_rule *to = &s->log_rules[s->n_log_rules++];
		*to = (struct suite_log_rule){.match = own_dup(r->match),
					      .phase = r->phase ? own_dup(r->phase) : NULL};
		if (log_rule_id(s, r, file, i + 1, to, e) ||
		    log_regex(doc_get(r->at, "match"), e) ||
		    log_reason(doc_get(r->at, "reason"), to, e))
			return -1;
		if (log_rule_phase(s, r->at, to, e))
			return -1;
	}
	return 0;
}

/* ---- variants ---- */

static int read_variants(struct draft *d, struct err *e)
{
	struct suite *s = d->suite;
	const struct raw_file *f = d->ours;
	if (!f->n_variants)
		return doc_bad(e, doc_get(f->at, "variants"), "variants: at least one is needed");
	if (pair_unique("variant", f->variants, f->n_variants, sizeof(*f->variants), e))
		return -1;
	s->variants = own_calloc(f->n_variants, sizeof(*s->variants));
	for (size_t i = 0; i < f->n_variants; i++) {
		const struct doc_node *at = f->variants[i].at;
		struct suite_variant *v = &s->variants[s->n_variants++];
		if (word_name(doc_get(at, "name"), "variant", WORD_NAME_MAX, e))
			return -1;
		v->name = own_dup(f->variants[i].name);
		if (parts_layers(s, doc_get(at, "layers"), &v->layers, &v->n_layers, e) ||
		    parts_env(doc_get(at, "env"), &v->env, &v->n_env, e))
			return -1;
	}
	return 0;
}

static int read_compare(struct draft *d, struct err *e)
{
	struct suite *s = d->suite;
	const struct doc_node *compare = doc_get(d->ours->at, "compare");
	s->has_compare = compare || s->n_variants == 2;
	s->compare[1] = 1;
	if (!compare)
		return 0;
	if (compare->n != 2)
		return doc_bad(e, compare, "compare takes two variants: [base, next]");
	for (size_t i = 0; i < 2; i++) {
		if (word_lookup(compare->items[i].value, "variant", s->variants, s->n_variants,
				sizeof(*s->variants), &s->compare[i], e))
			return -1;
	}
	if (s->compare[0] == s->compare[1])
		return doc_bad(e, compare, "compare takes two different variants");
	return 0;
}

/* ---- what stands alone ---- */

static char *text_or(const struct doc_node *n, const char *otherwise)
{
	return own_dup(n ? n->text : otherwise);
}

static int merge_inherit(struct suite *s, const struct doc_node *names, struct err *e)
{
	for (size_t i = 0; names && i < names->n; i++) {
		if (word_env_name(names->items[i].value, e))
			return -1;
		s->inherit_env =
			own_grow(s->inherit_env, s->n_inherit_env + 1, sizeof(*s->inherit_env));
		s->inherit_env[s->n_inherit_env++] = own_dup(names->items[i].value->text);
	}
	return 0;
}

static int merge_keep(struct suite *s, const struct doc_node *keep, struct err *e)
{
	s->keep_layers = UINT64_MAX;
	if (keep && unit_parse_size(keep->text, &s->keep_layers))
		return doc_bad(e, keep, "keep-layers takes a size (20G, or 0: none), not '%s'",
			       keep->text);
	return 0;
}

static int merge_top(struct draft *d, struct err *e)
{
	struct suite *s = d->suite;
	const struct draft_at top = {d->ours->at, d->base ? d->base->at : NULL};
	const struct doc_node *root = draft_get(&top, "root"), *home = draft_get(&top, "home"),
			      *workdir = draft_get(&top, "workdir");
	if (word_name(doc_get(top.ours, "suite"), "suite", 64, e))
		return -1;
	s->name = own_dup(d->ours->suite);
	s->ecosystem = d->base ? own_dup(d->base->ecosystem) : NULL;
	s->root_is_host = !root || !strcmp(root->text, "host");
	s->root = s->root_is_host ? own_dup("host") : parts_layer(s, root, e);
	if (!s->root || (home && word_path(home, "home", e)) ||
	    (workdir && word_path(workdir, "workdir", e)))
		return -1;
	s->home = text_or(home, "/root");
	s->workdir = text_or(workdir, "/build");
	if (merge_keep(s, doc_get(top.ours, "keep-layers"), e) ||
	    parts_layers(s, draft_get(&top, "layers"), &s->layers, &s->n_layers, e) ||
	    merge_inherit(s, draft_get(&top, "inherit-env"), e) ||
	    parts_env(doc_get(top.base, "env"), &s->env, &s->n_env, e))
		return -1;
	return parts_env(doc_get(top.ours, "env"), &s->env, &s->n_env, e);
}

int draft_merge(struct draft *d, struct err *e)
{
	struct suite *s = d->suite;
	if (merge_top(d, e) || merge_mounts(d, e) || merge_stores(d, e) || draft_phases(d, e) ||
	    add_log_rules(s, d->ours, s->name, e) || add_log_rules(s, d->base, s->ecosystem, e) ||
	    read_variants(d, e))
		return -1;
	return read_compare(d, e) || draft_known(d, e) ? -1 : 0;
}
