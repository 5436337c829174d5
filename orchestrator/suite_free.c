#include "orchestrator/suite.h"

static void free_texts(char **texts, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(texts[i]);
	free(texts);
}

static void free_env(struct suite_env *env, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(env[i].name);
		free(env[i].value);
	}
	free(env);
}

static void free_packages(struct suite *s)
{
	for (size_t i = 0; i < s->n_packages; i++) {
		struct suite_package *p = &s->packages[i];
		free_env(p->env, p->n_env);
		for (size_t k = 0; k < p->n_files; k++) {
			free(p->files[k].name);
			free(p->files[k].path);
		}
		free(p->files);
		free(p->depends);
	}
	free(s->packages);
	pool_fini(&s->texts);
}

static void free_places(struct suite *s)
{
	for (size_t i = 0; i < s->n_mounts; i++) {
		free(s->mounts[i].path);
		free(s->mounts[i].source);
	}
	free(s->mounts);
	for (size_t i = 0; i < s->n_stores; i++) {
		struct suite_store *st = &s->stores[i];
		free(st->name);
		free(st->path);
		for (size_t k = 0; k < st->n_rules; k++) {
			free((void *)(uintptr_t)st->rules[k].match);
			free(st->programs[k].run);
		}
		free(st->rules);
		free(st->programs);
	}
	free(s->stores);
	for (size_t i = 0; i < s->n_layer_refs; i++) {
		free(s->layer_refs[i].name);
		free(s->layer_refs[i].where);
	}
	free(s->layer_refs);
}

static void free_phases(struct suite *s)
{
	for (size_t i = 0; i < s->n_phases; i++) {
		struct suite_phase *p = &s->phases[i];
		free(p->name);
		free(p->run);
		free(p->harvest);
		free_texts(p->layers, p->n_layers);
		free_env(p->env, p->n_env);
	}
	free(s->phases);
	for (size_t i = 0; i < s->n_log_rules; i++) {
		struct suite_log_rule *r = &s->log_rules[i];
		free(r->id);
		free(r->match);
		free(r->phase);
		free(r->status);
		free(r->reason);
	}
	free(s->log_rules);
}

void suite_variant_fini(struct suite_variant *v)
{
	free(v->name);
	free_texts(v->layers, v->n_layers);
	free_env(v->env, v->n_env);
}

void suite_known_fini(struct suite_known *k)
{
	free(k->package);
	free(k->reason);
	free(k->link);
	free(k->until);
	free(k->where);
}

void suite_free(struct suite *s)
{
	if (!s)
		return;
	free_packages(s);
	free_places(s);
	free_phases(s);
	for (size_t i = 0; i < s->n_variants; i++)
		suite_variant_fini(&s->variants[i]);
	free(s->variants);
	for (size_t i = 0; i < s->n_known; i++)
		suite_known_fini(&s->known[i]);
	free(s->known);
	free_texts(s->layers, s->n_layers);
	free_texts(s->inherit_env, s->n_inherit_env);
	free_env(s->env, s->n_env);
	free(s->name);
	free(s->path);
	free(s->sha256);
	free(s->ecosystem);
	free(s->root);
	free(s->home);
	free(s->workdir);
	free(s);
}
