#include "orchestrator/plan_show.h"

#include "base/unit.h"
#include "orchestrator/table.h"

#include <string.h>

static size_t wider(size_t width, const char *s)
{
	size_t n = table_cells_wide(s);
	return n > width ? n : width;
}

/* s and two blanks, in a column of so many terminal cells. */
static void print_cell(const char *s, size_t width)
{
	size_t n = table_cells_wide(s);
	printf("%s%*s", s, (int)(n < width ? width - n : 0) + 2, "");
}

/* A value as a shell would read it back, so that what is odd about it can be seen. */
static void print_quoted(const char *s)
{
	static const char plain[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789@%+=:,./_-";
	if (*s && s[strspn(s, plain)] == '\0') {
		fputs(s, stdout);
		return;
	}
	bool odd = false;
	for (const char *p = s; *p; p++)
		odd = odd || (unsigned char)*p < 32 || *p == 127;
	fputs(odd ? "$'" : "'", stdout);
	for (const char *p = s; *p; p++)
		if ((unsigned char)*p < 32 || *p == 127)
			printf("\\%03o", (unsigned char)*p);
		else if (*p == '\'' || (odd && *p == '\\'))
			fputs(odd ? (*p == '\'' ? "\\'" : "\\\\") : "'\\''", stdout);
		else
			putchar(*p);
	putchar('\'');
}

static void print_phases(const struct suite *s)
{
	for (size_t i = 0; i < s->n_phases; i++) {
		const struct suite_phase *p = &s->phases[i];
		printf("%-10s%s: %s, network %s%s", i ? "" : "phases", p->name,
		       p->once_per_package ? "once per package" : "once per variant",
		       box_net_name(p->network), p->offline_first ? ", first without" : "");
		for (size_t k = 0; k < p->n_harvest; k++)
			printf("%s%s", k ? ", " : ", harvests ", s->stores[p->harvest[k]].name);
		auto_free char *profile = box_profile_name(p->loosen);
		printf("%s%s%s\n", p->loosen ? ", profile " : "", p->loosen ? profile : "",
		       p->goal ? ", the goal" : "");
		if (p->goal && i + 1 < s->n_phases)
			printf("%-10s(what follows it does not run)\n", "");
	}
}

static void print_layers(const struct plan_view *v)
{
	const struct suite *s = v->plan->suite;
	for (size_t i = 0; i < s->n_layer_refs; i++) {
		const struct plan_layer *l = &v->layers[i];
		if (l->id[0])
			printf("%-10s%s: %.12s\n", i ? "" : "layers", l->ref->name, l->id);
		else
			printf("%-10s%s: MISSING (%s); assay layer import %s DIR|ARCHIVE\n",
			       i ? "" : "layers", l->ref->name, l->ref->where, l->ref->name);
	}
}

static void print_head(const struct plan_view *v)
{
	const struct plan *p = v->plan;
	const struct suite *s = p->suite;
	char took[UNIT_TEXT];
	size_t unknown, n_packages = 0;
	uint64_t seconds = plan_seconds(p, &unknown);
	for (size_t i = 0; i < p->n_units; i++)
		n_packages += !i || p->units[i].package != p->units[i - 1].package;
	printf("%-10s%s (%s)\n", "suite", s->name, s->path);
	if (s->ecosystem)
		printf("%-10s%s\n", "ecosystem", s->ecosystem);
	printf("%-10s%zu: %zu package%s, each under", "jobs", p->n_jobs, n_packages,
	       n_packages == 1 ? "" : "s");
	for (size_t i = 0; i < s->n_variants; i++)
		printf("%s %s", i ? "," : "", s->variants[i].name);
	if (s->has_compare)
		printf("; compared: %s, %s", s->variants[s->compare[0]].name,
		       s->variants[s->compare[1]].name);
	printf("\n%-10s", "work");
	if (seconds)
		printf("about %s, one after the other%s", unit_duration(seconds * 1000, took),
		       unknown ? ", and " : "");
	if (unknown)
		printf("%zu job%s of unknown length", unknown, unknown == 1 ? "" : "s");
	putchar('\n');
	print_phases(s);
	print_layers(v);
	for (size_t i = 0; i < s->n_stores; i++) {
		auto_free char *key = plan_store_key(s, i);
		printf("%-10s%s at %s, shared by all jobs\n", i ? "" : "stores", key,
		       s->stores[i].path);
		for (size_t k = 0; k < s->stores[i].n_rules; k++)
			if (s->stores[i].rules[k].what == CACHE_PROGRAM)
				printf("%-10s  what comes at %s a program judges, in a box\n", "",
				       s->stores[i].rules[k].match);
	}
}

/* ---- environment: what all boxes have is told once ---- */

static bool env_has(char *const *env, const char *entry)
{
	for (; *env; env++)
		if (!strcmp(*env, entry))
			return true;
	return false;
}

static void env_keep(char **env, char *const *other)
{
	char **to = env;
	for (char **from = env; *from; from++)
		if (env_has(other, *from))
			*to++ = *from;
		else
			free(*from);
	*to = NULL;
}

/* What is the same in every box of the plan; plan_env_free frees it. */
static char **env_common(const struct plan *p)
{
	char **common = NULL;
	for (size_t i = 0; i < p->n_units; i++) {
		const struct plan_unit *u = &p->units[i];
		for (size_t k = u->first_phase; k < u->end_phase; k++) {
			char **env = plan_env(p->suite, u, k, false);
			if (!common) {
				common = env;
				continue;
			}
			env_keep(common, env);
			plan_env_free(env);
		}
	}
	return common;
}

static void print_env(const char *title, const char *indent, char *const *env, char *const *told)
{
	printf("%s\n", title);
	for (; *env; env++) {
		const char *equals = strchr(*env, '=');
		if (told && env_has(told, *env))
			continue;
		printf("%s%.*s=", indent, (int)(equals - *env), *env);
		print_quoted(equals + 1);
		putchar('\n');
	}
}

/* ---- one box ---- */

static void print_mounts(const struct suite *s, const struct plan_unit *u, size_t phase)
{
	struct plan_mounts m;
	plan_mounts(s, u, phase, &m);
	for (size_t i = 0; i < m.n_mounts; i++) {
		const struct plan_mount *pm = &m.mounts[i];
		printf("        %-5s %s", box_mode_name(pm->mode), pm->path);
		for (size_t k = 0; k < pm->n_lowers; k++) {
			auto_free char *text = plan_lower_text(s, &pm->lowers[k]);
			printf("%s%s", k ? " | " : ": ", text);
		}
		if (!i && s->root_is_host)
			printf("%sthe host's system", pm->n_lowers ? " | " : ": ");
		else if (!pm->n_lowers)
			printf(": empty");
		putchar('\n');
	}
	plan_mounts_fini(&m);
}

static void print_limits(const struct suite_limits *l)
{
	struct plan_limit limits[PLAN_LIMITS];
	const char *sep = "      limits ";
	plan_limits(l, limits);
	for (size_t i = 0; i < PLAN_LIMITS; i++) {
		char text[UNIT_TEXT];
		if (!limits[i].value)
			continue;
		if (limits[i].unit == PLAN_MS)
			unit_duration(limits[i].value, text);
		else if (limits[i].unit == PLAN_BYTES)
			unit_size(limits[i].value, text);
		else
			snprintf(text, sizeof(text), "%llu", (unsigned long long)limits[i].value);
		printf("%s%s %s", sep, limits[i].name, text);
		sep = ", ";
	}
	putchar('\n');
}

static void print_box(const struct suite *s, const struct plan_unit *u, size_t phase,
		      char *const *common)
{
	const struct suite_phase *p = &s->phases[phase];
	bool offline = p->offline_first && p->network != BOX_NET_NONE;
	auto_free char *profile = box_profile_name(p->loosen);
	printf("    box %s: in %s, network %s%s%s%s\n      mounts, uppermost layer first\n",
	       p->name, s->workdir, box_net_name(p->network),
	       offline ? " (first none, with ASSAY_OFFLINE=1)" : "", p->loosen ? ", profile " : "",
	       p->loosen ? profile : "");
	print_mounts(s, u, phase);
	print_limits(&p->limits);
	char **env = plan_env(s, u, phase, false);
	print_env("      environment, besides that of every box", "        ", env, common);
	plan_env_free(env);
}

static void print_files(const struct suite_package *p)
{
	for (size_t i = 0; i < p->n_files; i++)
		printf("    file /input/%s: %s\n", p->files[i].name, p->files[i].path);
}

static void print_units(const struct plan_view *v)
{
	const struct plan *p = v->plan;
	const struct suite *s = p->suite;
	size_t id = 7, version = 7, variant = 7;
	for (size_t i = 0; i < p->n_units; i++) {
		id = wider(id, s->packages[p->units[i].package].id);
		version = wider(version, s->packages[p->units[i].package].version);
	}
	for (size_t i = 0; i < s->n_variants; i++)
		variant = wider(variant, s->variants[i].name);
	char **common = v->verbose ? env_common(p) : NULL;
	if (common)
		print_env("\nenvironment of every box", "          ", common, NULL);
	printf("\n%5s  %-*s  %-*s  %-*s  %8s  %s\n", "ORDER", (int)id, "PACKAGE", (int)version,
	       "VERSION", (int)variant, "VARIANT", "EXPECTED", "PHASES");
	for (size_t i = 0; i < p->n_units; i++) {
		const struct plan_unit *u = &p->units[i];
		const struct suite_package *pk = &s->packages[u->package];
		char weight[UNIT_TEXT] = "?";
		if (pk->weight)
			unit_duration(pk->weight * 1000, weight);
		printf("%5zu  ", i + 1);
		print_cell(pk->id, id);
		print_cell(pk->version, version);
		print_cell(u->variant == PLAN_NONE ? "(all)" : s->variants[u->variant].name,
			   variant);
		printf("%8s ", u->variant == PLAN_NONE ? "" : weight);
		for (size_t k = u->first_phase; k < u->end_phase; k++)
			printf(" %s", s->phases[k].name);
		putchar('\n');
		if (!v->verbose)
			continue;
		print_files(pk);
		for (size_t k = u->first_phase; k < u->end_phase; k++)
			print_box(s, u, k, common);
		putchar('\n');
	}
	plan_env_free(common);
}

void plan_show_text(const struct plan_view *v)
{
	print_head(v);
	print_units(v);
}
