#include "orchestrator/plan_show.h"

#include <string.h>

static json_t *texts(char *const *t, size_t n)
{
	json_t *j = json_array();
	for (size_t i = 0; i < n; i++)
		json_array_append_new(j, json_string(t[i]));
	return j;
}

static json_t *limits_json(const struct suite_limits *l)
{
	static const char *const suffixes[] = {
		[PLAN_MS] = "_ms", [PLAN_BYTES] = "_bytes", [PLAN_COUNT] = ""};
	struct plan_limit limits[PLAN_LIMITS];
	json_t *j = json_object();
	plan_limits(l, limits);
	for (size_t i = 0; i < PLAN_LIMITS; i++) {
		auto_free char *key = own_fmt("%s%s", limits[i].name, suffixes[limits[i].unit]);
		json_object_set_new(j, key,
				    limits[i].value ? json_integer((json_int_t)limits[i].value)
						    : json_null());
	}
	return j;
}

static json_t *phase_json(const struct suite *s, const struct suite_phase *p)
{
	json_t *harvest = json_array();
	for (size_t i = 0; i < p->n_harvest; i++)
		json_array_append_new(harvest, json_string(s->stores[p->harvest[i]].name));
	auto_free char *profile = box_profile_name(p->loosen);
	return json_pack("{s:s, s:s, s:s, s:b, s:b, s:b, s:o, s:o, s:o, s:s}", "name", p->name,
			 "network", box_net_name(p->network), "profile", profile, "offline_first",
			 p->offline_first, "once_per_package", p->once_per_package, "goal", p->goal,
			 "harvest", harvest, "layers", texts(p->layers, p->n_layers), "limits",
			 limits_json(&p->limits), "run", p->run);
}

static json_t *lower_json(const struct suite *s, const struct plan_lower *l)
{
	static const char *const kinds[] = {
		[PLAN_FROM_UPPER] = "upper", [PLAN_FROM_LAYER] = "layer",
		[PLAN_FROM_STORE] = "store", [PLAN_FROM_DIR] = "directory",
		[PLAN_FROM_FILE] = "file",   [PLAN_FROM_INPUT] = "input"};
	const char *name = l->name;
	if (l->from == PLAN_FROM_UPPER)
		name = s->phases[l->index].name;
	else if (l->from == PLAN_FROM_STORE)
		name = s->stores[l->index].name;
	return json_pack("{s:s, s:s?}", "from", kinds[l->from], "name", name);
}

static json_t *mounts_json(const struct suite *s, const struct plan_unit *u, size_t phase)
{
	json_t *all = json_array();
	struct plan_mounts m;
	plan_mounts(s, u, phase, &m);
	for (size_t i = 0; i < m.n_mounts; i++) {
		const struct plan_mount *pm = &m.mounts[i];
		json_t *lowers = json_array();
		for (size_t k = 0; k < pm->n_lowers; k++)
			json_array_append_new(lowers, lower_json(s, &pm->lowers[k]));
		json_t *j = json_pack("{s:s, s:s, s:o}", "path", pm->path, "mode",
				      box_mode_name(pm->mode), "lowers", lowers);
		if (!i)
			json_object_set_new(j, "host", json_boolean(s->root_is_host));
		json_array_append_new(all, j);
	}
	plan_mounts_fini(&m);
	return all;
}

static json_t *box_json(const struct suite *s, const struct plan_unit *u, size_t phase)
{
	json_t *env = json_object();
	char **list = plan_env(s, u, phase, false);
	for (char **e = list; *e; e++) {
		const char *equals = strchr(*e, '=');
		auto_free char *name = own_dup_n(*e, (size_t)(equals - *e));
		/* what was inherited need not be UTF-8 */
		json_t *value = json_string(equals + 1);
		json_object_set_new(env, name, value ? value : json_null());
	}
	plan_env_free(list);
	return json_pack("{s:s, s:s, s:o, s:o}", "phase", s->phases[phase].name, "workdir",
			 s->workdir, "mounts", mounts_json(s, u, phase), "env", env);
}

static json_t *unit_json(const struct plan_view *v, const struct plan_unit *u)
{
	const struct suite *s = v->plan->suite;
	const struct suite_package *p = &s->packages[u->package];
	json_t *phases = json_array(), *boxes = json_array(), *files = json_object();
	for (size_t k = u->first_phase; k < u->end_phase; k++) {
		json_array_append_new(phases, json_string(s->phases[k].name));
		if (v->verbose)
			json_array_append_new(boxes, box_json(s, u, k));
	}
	json_t *j = json_pack("{s:s, s:s, s:s, s:s?, s:I, s:s, s:o}", "package", p->id, "name",
			      p->name, "version", p->version, "variant",
			      u->variant == PLAN_NONE ? NULL : s->variants[u->variant].name,
			      "weight", (json_int_t)p->weight, "where", p->where, "phases", phases);
	for (size_t i = 0; i < p->n_files; i++)
		json_object_set_new(files, p->files[i].name, json_string(p->files[i].path));
	if (v->verbose) {
		json_object_set(j, "boxes", boxes);
		json_object_set(j, "files", files);
	}
	json_decref(boxes);
	json_decref(files);
	return j;
}

static void shared_json(json_t *to, const struct plan_view *v)
{
	const struct suite *s = v->plan->suite;
	json_t *layers = json_array(), *stores = json_array();
	for (size_t i = 0; i < s->n_layer_refs; i++) {
		const struct plan_layer *l = &v->layers[i];
		json_array_append_new(layers,
				      json_pack("{s:s, s:s?, s:s}", "name", l->ref->name, "id",
						l->id[0] ? l->id : NULL, "where", l->ref->where));
	}
	for (size_t i = 0; i < s->n_stores; i++) {
		auto_free char *key = plan_store_key(s, i);
		json_array_append_new(stores,
				      json_pack("{s:s, s:s, s:s}", "name", s->stores[i].name, "key",
						key, "path", s->stores[i].path));
	}
	json_object_set_new(to, "layers", layers);
	json_object_set_new(to, "stores", stores);
}

json_t *plan_show_json(const struct plan_view *v)
{
	const struct plan *p = v->plan;
	const struct suite *s = p->suite;
	size_t unknown;
	uint64_t seconds = plan_seconds(p, &unknown);
	json_t *phases = json_array(), *units = json_array(), *variants = json_array(),
	       *compare = json_null();
	for (size_t i = 0; i < s->n_phases; i++)
		json_array_append_new(phases, phase_json(s, &s->phases[i]));
	for (size_t i = 0; i < s->n_variants; i++)
		json_array_append_new(variants, json_string(s->variants[i].name));
	for (size_t i = 0; i < p->n_units; i++)
		json_array_append_new(units, unit_json(v, &p->units[i]));
	if (s->has_compare)
		compare = json_pack("[s, s]", s->variants[s->compare[0]].name,
				    s->variants[s->compare[1]].name);
	json_t *j = json_pack("{s:s, s:s, s:s, s:s?, s:s, s:I, s:I, s:I, s:o, s:o, s:o, s:o}",
			      "suite", s->name, "path", s->path, "sha256", s->sha256, "ecosystem",
			      s->ecosystem, "root", s->root, "jobs", (json_int_t)p->n_jobs,
			      "expected_seconds", (json_int_t)seconds, "jobs_of_unknown_length",
			      (json_int_t)unknown, "variants", variants, "compare", compare,
			      "phases", phases, "units", units);
	shared_json(j, v);
	return j;
}
