/* The environment of a box: nothing is inherited but what the suite names. */
#include "orchestrator/plan.h"

#include <string.h>

struct env_list {
	char **env;
	size_t n, cap;
};

static void env_put(struct env_list *l, const char *name, const char *value)
{
	char *both = own_fmt("%s=%s", name, value);
	size_t length = strlen(name) + 1;
	for (size_t i = 0; i < l->n; i++)
		if (!strncmp(l->env[i], both, length)) {
			free(l->env[i]);
			l->env[i] = both;
			return;
		}
	if (l->n + 1 >= l->cap) {
		l->cap = l->cap ? l->cap * 2 : 32;
		l->env = own_grow(l->env, l->cap, sizeof(*l->env));
	}
	l->env[l->n++] = both;
	l->env[l->n] = NULL;
}

static void env_put_all(struct env_list *l, const struct suite_env *env, size_t n)
{
	for (size_t i = 0; i < n; i++)
		env_put(l, env[i].name, env[i].value);
}

static void env_put_inherited(struct env_list *l, const struct suite *s)
{
	for (size_t i = 0; i < s->n_inherit_env; i++) {
		const char *value = getenv(s->inherit_env[i]);
		if (value)
			env_put(l, s->inherit_env[i], value);
	}
}

/* What holds in every box of the suite. */
static void env_put_suite(struct env_list *l, const struct suite *s)
{
	const struct suite_env first[] = {
		{(char[]){"PATH"},
		 (char[]){"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}},
		{(char[]){"HOME"}, s->home},
		{(char[]){"USER"}, (char[]){"root"}},
		{(char[]){"LANG"}, (char[]){"C.UTF-8"}},
		{(char[]){"TMPDIR"}, (char[]){"/tmp"}},
	};
	env_put_all(l, first, countof(first));
	env_put_inherited(l, s);
	env_put_all(l, s->env, s->n_env);
}

char **plan_env_program(const struct suite *s)
{
	struct env_list l = {NULL, 0, 0};
	env_put_suite(&l, s);
	env_put(&l, "ASSAY", "1");
	return l.env;
}

char **plan_env(const struct suite *s, const struct plan_unit *unit, size_t phase, bool offline)
{
	const struct suite_package *p = &s->packages[unit->package];
	const struct suite_variant *v =
		unit->variant == PLAN_NONE ? NULL : &s->variants[unit->variant];
	const struct suite_env last[] = {
		{(char[]){"ASSAY"}, (char[]){"1"}},
		{(char[]){"ASSAY_ID"}, p->id},
		{(char[]){"ASSAY_PACKAGE"}, p->name},
		{(char[]){"ASSAY_VERSION"}, p->version},
		{(char[]){"ASSAY_VARIANT"}, v ? v->name : (char[]){""}},
		{(char[]){"ASSAY_PHASE"}, s->phases[phase].name},
		{(char[]){"ASSAY_OFFLINE"}, offline ? (char[]){"1"} : (char[]){"0"}},
	};
	struct env_list l = {NULL, 0, 0};
	env_put_suite(&l, s);
	if (v)
		env_put_all(&l, v->env, v->n_env);
	env_put_all(&l, p->env, p->n_env);
	env_put_all(&l, s->phases[phase].env, s->phases[phase].n_env);
	env_put_all(&l, last, countof(last));
	return l.env;
}

void plan_env_free(char **env)
{
	for (char **p = env; p && *p; p++)
		free(*p);
	free(env);
}
