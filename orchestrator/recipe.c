#include "orchestrator/recipe.h"

#include "base/own.h"

#include <string.h>

/* ---- of a suite ---- */

static json_t *names_json(char *const *names, size_t n)
{
	json_t *list = json_array();
	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, json_string(names[i]));
	return list;
}

static json_t *env_json(const struct suite_env *env, size_t n)
{
	json_t *j = json_object();
	for (size_t i = 0; i < n; i++)
		json_object_set_new(j, env[i].name, json_string(env[i].value));
	return j;
}

static void put_text(json_t *j, const char *key, const char *value)
{
	if (value && *value)
		json_object_set_new(j, key, json_string(value));
}

#define LIMIT_AT(member) offsetof(struct suite_limits, member)
static const struct recipe_limit {
	const char *key, *unit;
	size_t at;
	bool always; /* there is no "none" */
} recipe_limits[] = {
	{"time", "ms", LIMIT_AT(time_ms), false},
	{"cpu", "ms", LIMIT_AT(cpu_ms), false},
	{"silence", "ms", LIMIT_AT(silence_ms), false},
	{"idle", "ms", LIMIT_AT(idle_ms), false},
	{"memory", "", LIMIT_AT(memory), false},
	{"processes", "", LIMIT_AT(processes), false},
	{"disk", "", LIMIT_AT(disk), false},
	{"inodes", "", LIMIT_AT(inodes), false},
	{"log", "", LIMIT_AT(log), true},
	{"open-files", "", LIMIT_AT(open_files), false},
	{"file-size", "", LIMIT_AT(file_size), false},
	{"cpu-quota", "", LIMIT_AT(cpu_milli), false},
	{"grace", "ms", LIMIT_AT(grace_ms), false},
	{"cpus", "", LIMIT_AT(cpus), true},
};

static json_t *limits_json(const struct suite_limits *l)
{
	json_t *j = json_object();
	for (size_t i = 0; i < countof(recipe_limits); i++) {
		const struct recipe_limit *r = &recipe_limits[i];
		uint64_t value;
		memcpy(&value, (const char *)l + r->at, sizeof(value));
		auto_free char *text = value ? own_fmt("%llu%s", (unsigned long long)value, r->unit)
					     : own_dup("none");
		if (value || !r->always)
			json_object_set_new(j, r->key, json_string(text));
	}
	return j;
}

static json_t *phase_json(const struct suite *s, const struct suite_phase *p)
{
	static const char *const loosenings[] = {"userns", "i386", "io-uring", "fuse",
						 "kvm",    "perf", "dumps",    "aio"};
	json_t *j = json_object(), *allow = json_array(), *harvest = json_array();
	put_text(j, "name", p->name);
	put_text(j, "run", p->run);
	put_text(j, "network", box_net_name(p->network));
	for (size_t i = 0; i < countof(loosenings); i++)
		if (p->loosen & box_loosen_of(loosenings[i]))
			json_array_append_new(allow, json_string(loosenings[i]));
	for (size_t i = 0; i < p->n_harvest; i++)
		json_array_append_new(harvest, json_string(s->stores[p->harvest[i]].name));
	json_object_set_new(j, "allow", allow);
	json_object_set_new(j, "harvest", harvest);
	if (p->offline_first)
		json_object_set_new(j, "offline-first", json_true());
	if (p->once_per_package)
		put_text(j, "once-per", "package");
	if (p->goal)
		json_object_set_new(j, "goal", json_true());
	json_object_set_new(j, "layers", names_json(p->layers, p->n_layers));
	json_object_set_new(j, "env", env_json(p->env, p->n_env));
	json_object_set_new(j, "limits", limits_json(&p->limits));
	return j;
}

static json_t *rules_json(const struct suite_store *store)
{
	json_t *rules = json_array();
	for (size_t i = 0; i < store->n_rules; i++) {
		json_t *j = json_pack("{s:s, s:s}", "match", store->rules[i].match, "do",
				      cache_do_name(store->rules[i].what));
		if (store->rules[i].what == CACHE_PROGRAM) {
			put_text(j, "run", store->programs[i].run);
			json_object_set_new(j, "limits", limits_json(&store->programs[i].limits));
		}
		json_array_append_new(rules, j);
	}
	return rules;
}

static json_t *stores_json(const struct suite *s)
{
	static const char *const deletions[] = {[CACHE_DELETIONS_IGNORE] = "ignore",
						[CACHE_DELETIONS_APPLY] = "apply",
						[CACHE_DELETIONS_REJECT] = "reject"};
	json_t *list = json_array();
	for (size_t i = 0; i < s->n_stores; i++) {
		const struct suite_store *store = &s->stores[i];
		json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:o}", "name", store->name,
						      "path", store->path, "deletions",
						      deletions[store->deletions], "rules",
						      rules_json(store)));
	}
	return list;
}

static json_t *log_rules_json(const struct suite *s)
{
	json_t *list = json_array();
	for (size_t i = 0; i < s->n_log_rules; i++) {
		const struct suite_log_rule *r = &s->log_rules[i];
		auto_free char *reason = own_fmt("%s/%s", r->status, r->reason);
		json_t *j = json_pack("{s:s, s:s, s:s}", "id", r->id, "match", r->match, "reason",
				      reason);
		put_text(j, "phase", r->phase);
		json_array_append_new(list, j);
	}
	return list;
}

static json_t *mounts_json(const struct suite *s, json_t *needs)
{
	static const char *const modes[] = {
		[SUITE_RO] = "ro", [SUITE_RW] = "rw", [SUITE_COW] = "cow"};
	json_t *list = json_array();
	for (size_t i = 0; i < s->n_mounts; i++) {
		const struct suite_mount *m = &s->mounts[i];
		json_array_append_new(list, json_pack("{s:s, s:s}", "path", m->path, "mode",
						      modes[m->mode]));
		if (m->source)
			json_array_append_new(needs,
					      json_pack("{s:s, s:s, s:s}", "path", m->path, "mode",
							modes[m->mode], "was", m->source));
	}
	return list;
}

static json_t *recipe_json(const struct suite *s, json_t *needs)
{
	json_t *j = json_object(), *phases = json_array(), *variants = json_array();
	put_text(j, "root", s->root);
	put_text(j, "home", s->home);
	put_text(j, "workdir", s->workdir);
	json_object_set_new(j, "layers", names_json(s->layers, s->n_layers));
	json_object_set_new(j, "env", env_json(s->env, s->n_env));
	json_object_set_new(j, "mounts", mounts_json(s, needs));
	json_object_set_new(j, "stores", stores_json(s));
	for (size_t i = 0; i < s->n_phases; i++)
		json_array_append_new(phases, phase_json(s, &s->phases[i]));
	json_object_set_new(j, "phases", phases);
	json_object_set_new(j, "log-rules", log_rules_json(s));
	for (size_t i = 0; i < s->n_variants; i++) {
		const struct suite_variant *v = &s->variants[i];
		json_array_append_new(variants,
				      json_pack("{s:s, s:o, s:o}", "name", v->name, "layers",
						names_json(v->layers, v->n_layers), "env",
						env_json(v->env, v->n_env)));
	}
	json_object_set_new(j, "variants", variants);
	if (s->has_compare)
		json_object_set_new(j, "compare",
				    json_pack("[s, s]", s->variants[s->compare[0]].name,
					      s->variants[s->compare[1]].name));
	return j;
}

static json_t *package_json(const struct suite_package *p)
{
	json_t *j = json_object(), *files = json_array();
	put_text(j, "id", p->id);
	put_text(j, "name", p->name);
	put_text(j, "version", p->version);
	json_object_set_new(j, "env", env_json(p->env, p->n_env));
	for (size_t i = 0; i < p->n_files; i++) {
		auto_free char *file = own_fmt("files/%zu", i);
		json_array_append_new(files, json_pack("{s:s, s:s}", "name", p->files[i].name,
						       "file", file));
	}
	json_object_set_new(j, "files", files);
	return j;
}

/* Each list of layers and the root, by place; the end of the places is NULL. */
static const char *layer_at(const struct suite *s, size_t at)
{
	if (!s->root_is_host && !at--)
		return s->root;
	if (at < s->n_layers)
		return s->layers[at];
	at -= s->n_layers;
	for (size_t i = 0; i < s->n_phases; at -= s->phases[i++].n_layers)
		if (at < s->phases[i].n_layers)
			return s->phases[i].layers[at];
	for (size_t i = 0; i < s->n_variants; at -= s->variants[i++].n_layers)
		if (at < s->variants[i].n_layers)
			return s->variants[i].layers[at];
	return NULL;
}

size_t recipe_layers(const struct suite *s, const char ***names)
{
	const char *name;
	size_t n = 0;
	*names = NULL;
	for (size_t at = 0; (name = layer_at(s, at)); at++) {
		size_t k = 0;
		while (k < n && strcmp((*names)[k], name))
			k++;
		if (k < n)
			continue;
		*names = own_grow(*names, n + 1, sizeof(**names));
		(*names)[n++] = name;
	}
	return n;
}

json_t *recipe_of(const struct suite *s, size_t package, struct err *e)
{
	const char *name;
	for (size_t at = 0; (name = layer_at(s, at)); at++)
		if (name[0] == '/') {
			err_set(e, ERR_USAGE,
				"the suite uses the directory %s as a layer, which may have "
				"changed: make it a layer with assay layer import NAME %s, name "
				"that in the suite, and run it again",
				name, name);
			return NULL;
		}
	json_t *mounts = json_array();
	json_t *recipe = recipe_json(s, mounts);
	return json_pack("{s:o, s:o, s:{s:s, s:o, s:o}}", "recipe", recipe, "package",
			 package_json(&s->packages[package]), "needs", "root",
			 s->root_is_host ? "host" : "layer", "mounts", mounts, "environment",
			 names_json(s->inherit_env, s->n_inherit_env));
}

/* ---- from anywhere ---- */

static int only_keys(const json_t *j, const char *what, const char *const *keys, size_t n,
		     struct err *e)
{
	const char *key;
	json_t *value;
	if (!json_is_object(j))
		return err_set(e, ERR_HOSTILE, "%s is no object", what);
	json_object_foreach((json_t *)(uintptr_t)j, key, value)
	{
		size_t i = 0;
		while (i < n && strcmp(keys[i], key))
			i++;
		if (i == n)
			return err_set(e, ERR_HOSTILE, "%s has the key '%.40s', which none has",
				       what, key);
	}
	return 0;
}

/* In place: what layers are called here. */
static int layer_name(const json_t *is, const json_t *layers, json_t **out, struct err *e)
{
	const char *name = json_string_value(is);
	*out = name ? json_object_get(layers, name) : NULL;
	return *out ? 0
		    : err_set(e, ERR_HOSTILE, "it uses the layer %.64s, which it does not bring",
			      name ? name : "(no text)");
}

static int layer_names(json_t *owner, const json_t *layers, struct err *e)
{
	json_t *list = json_object_get(owner, "layers"), *is, *name;
	size_t i;
	if (list && !json_is_array(list))
		return err_set(e, ERR_HOSTILE, "layers is no list");
	json_array_foreach(list, i, is)
	{
		if (layer_name(is, layers, &name, e))
			return -1;
		json_array_set(list, i, name);
	}
	return 0;
}

static int layers_here(json_t *recipe, const json_t *layers, struct err *e)
{
	static const char *const owners[] = {"phases", "variants"};
	json_t *root = json_object_get(recipe, "root"), *name, *one;
	size_t k;
	if (!root || !json_string_value(root))
		return err_set(e, ERR_HOSTILE, "its root is no text");
	if (strcmp(json_string_value(root), "host")) {
		if (layer_name(root, layers, &name, e))
			return -1;
		json_object_set(recipe, "root", name);
	}
	if (layer_names(recipe, layers, e))
		return -1;
	for (size_t i = 0; i < countof(owners); i++)
		json_array_foreach(json_object_get(recipe, owners[i]), k, one)
		{
			if (!json_is_object(one))
				return err_set(e, ERR_HOSTILE, "%s has what is no object",
					       owners[i]);
			if (layer_names(one, layers, e))
				return -1;
		}
	return 0;
}

/* A mount shows a directory of this machine only where somebody here said which. */
static int mounts_here(json_t *recipe, const json_t *needs, const json_t *mounts, struct err *e)
{
	static const char *const keys[] = {"path", "mode"};
	json_t *one, *need, *source;
	size_t i, k;
	json_array_foreach(json_object_get(recipe, "mounts"), i, one)
	{
		if (only_keys(one, "a mount", keys, countof(keys), e))
			return -1;
		const char *path = json_string_value(json_object_get(one, "path"));
		if (!path)
			return err_set(e, ERR_HOSTILE, "a mount has no path");
		bool needed = false;
		json_array_foreach(json_object_get(needs, "mounts"), k, need)
		{
			const char *at = json_string_value(json_object_get(need, "path"));
			needed |= at && !strcmp(at, path);
		}
		source = json_object_get(mounts, path);
		if (needed && !source)
			return err_set(
				e, ERR_USAGE,
				"it needs a directory or file of this machine at %.200s (mode "
				"%.10s): say which with --mount %.200s=PATH",
				path,
				json_is_string(json_object_get(one, "mode"))
					? json_string_value(json_object_get(one, "mode"))
					: "?",
				path);
		if (needed)
			json_object_set(one, "source", source);
	}
	return 0;
}

static int package_here(const json_t *from, json_t **out, struct err *e)
{
	static const char *const keys[] = {"id", "name", "version", "env", "files"};
	static const char *const file_keys[] = {"name", "file"};
	json_t *files = json_object(), *one, *copy;
	size_t i;
	*out = NULL;
	int rc = only_keys(from, "the package", keys, countof(keys), e);
	json_array_foreach(rc ? NULL : json_object_get(from, "files"), i, one)
	{
		auto_free char *own = own_fmt("files/%zu", i);
		const char *name = NULL;
		rc = only_keys(one, "a file", file_keys, countof(file_keys), e);
		if (rc)
			break;
		name = json_string_value(json_object_get(one, "name"));
		if (!name || json_object_get(files, name)) {
			rc = err_set(e, ERR_HOSTILE,
				     "a file of the package has no name of its own");
			break;
		}
		json_object_set_new(files, name, json_string(own));
	}
	if (rc) {
		json_decref(files);
		return -1;
	}
	copy = json_deep_copy(from);
	json_object_set_new(copy, "files", files);
	*out = copy;
	return 0;
}

char *recipe_suite(const json_t *all, const char *name, const json_t *layers, const json_t *mounts,
		   struct err *e)
{
	static const char *const keys[] = {"root",      "home",     "workdir", "layers",
					   "env",       "mounts",   "stores",  "phases",
					   "log-rules", "variants", "compare"};
	const json_t *from = json_object_get(all, "recipe");
	json_t *package = NULL;
	char *text = NULL;
	if (only_keys(from, "the recipe", keys, countof(keys), e))
		return NULL;
	json_t *recipe = json_deep_copy(from);
	if (!layers_here(recipe, layers, e) &&
	    !mounts_here(recipe, json_object_get(all, "needs"), mounts, e) &&
	    !package_here(json_object_get(all, "package"), &package, e)) {
		json_object_set_new(recipe, "assay", json_integer(1));
		json_object_set_new(recipe, "suite", json_string(name));
		json_object_set_new(recipe, "packages", json_pack("[o]", package));
		text = json_dumps(recipe, JSON_INDENT(1) | JSON_SORT_KEYS);
	}
	json_decref(recipe);
	return text;
}
