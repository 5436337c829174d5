/* orchestrator/plan*.c: order, environment and mounts, as values. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "orchestrator/plan.h"
#include "orchestrator/plan_show.h"
#include "tests/unit/suite_text.h"

static const char suite_text[] = SUITE_HEAD
	"root: debian\nlayers: [tool]\nhome: /home/x\nworkdir: /w\ninherit-env: [PLAN_TEST_GIVEN, "
	"PLAN_TEST_ABSENT]\n"
	"env: {E: suite, F: suite, G: suite, H: suite, PATH: /p}\n"
	"mounts:\n  - {path: /w, mode: cow}\n  - {path: /etc/host, mode: ro, source: .}\n  - "
	"{path: /out, mode: rw, source: .}\n"
	"  - {path: /a/file, mode: cow, source: " ASSAY_SOURCE "/LICENSE}\n"
	"  - {path: /c, mode: cow, source: .}\n"
	"stores:\n  - {name: s, path: /z/store}\n  - {name: r, path: /a/store}\n"
	"packages:\n  - {name: light, weight: 1}\n  - unknown\n  - {id: first, name: twin, weight: "
	"5, env: {G: package, H: package}}\n"
	"  - {id: second, name: twin, weight: 5}\n  - {name: heavy, version: \"3\", weight: 9}\n"
	"variants:\n  - {name: base, layers: [b2, b1], env: {F: variant, G: variant, H: "
	"variant}}\n  - {name: next}\n"
	"phases:\n  - {name: fetch, run: x, once-per: package, network: host, harvest: [s], "
	"layers: [fetcher]}\n"
	"  - {name: unpack, run: x, once-per: package}\n"
	"  - {name: build, run: x, env: {H: phase}}\n  - {name: test, run: x, goal: true}\n  - "
	"{name: after, run: x}\n";

struct table {
	struct desk *desk;
	struct suite *suite;
};

static int table_open(void **state)
{
	struct table *t = own_calloc(1, sizeof(*t));
	void *desk = NULL;
	if (desk_open(&desk))
		return -1;
	t->desk = desk;
	t->suite = desk_suite(t->desk, suite_text);
	*state = t;
	return 0;
}

static int table_close(void **state)
{
	struct table *t = *state;
	void *desk = t->desk;
	suite_free(t->suite);
	free(t);
	return desk_close(&desk);
}

static struct plan *made(const struct suite *s, const char *only)
{
	struct err e = ERR_INIT;
	struct plan *p = plan_make(s, &only, only ? 1 : 0, NULL, NULL, &e);
	if (!p)
		fail_msg("%s", e.text);
	return p;
}

static void the_heaviest_come_first_then_as_listed(void **state)
{
	struct table *t = *state;
	static const char *const order[] = {"unknown", "heavy", "first", "second", "light"};
	struct plan *p = made(t->suite, NULL);
	assert_int_equal(p->n_units, 15);
	assert_int_equal(p->n_jobs, 10);
	for (size_t i = 0; i < p->n_units; i++)
		assert_string_equal(t->suite->packages[p->units[i].package].id, order[i / 3]);
	plan_free(p);
}

static void a_trunk_comes_before_its_branches(void **state)
{
	struct table *t = *state;
	struct plan *p = made(t->suite, NULL);
	for (size_t i = 0; i < p->n_units; i += 3) {
		const struct plan_unit *u = &p->units[i];
		assert_int_equal(u[0].variant, PLAN_NONE);
		assert_int_equal(u[0].trunk, PLAN_NONE);
		assert_int_equal(u[0].first_phase, 0);
		assert_int_equal(u[0].end_phase, 2);
		for (size_t v = 0; v < 2; v++) {
			assert_int_equal(u[v + 1].variant, v);
			assert_int_equal(u[v + 1].trunk, i);
			assert_int_equal(u[v + 1].first_phase, 2);
			assert_int_equal(u[v + 1].end_phase,
					 4); /* what follows the goal does not run */
			assert_int_equal(u[v + 1].package, u[0].package);
		}
	}
	plan_free(p);
}

/* What is known not to be worth running is no unit, and a trunk that would serve nobody is none. */
static void what_is_known_to_be_skipped_is_not_planned(void **state)
{
	struct table *t = *state;
	struct suite *s =
		desk_suite(t->desk, SUITE_HEAD
			   "packages: [a, b, c]\nvariants: [{name: v}, {name: w}]\n"
			   "phases: [{name: f, run: x, once-per: package}, {name: t, run: x}]\n"
			   "known:\n"
			   "  - {package: a, expect: skip, reason: too old}\n"
			   "  - {package: b, expect: skip, reason: too new, variant: w}\n"
			   "  - {package: c, expect: fail, reason: it does}\n");
	struct plan *p = made(s, NULL);
	assert_int_equal(p->n_units, 2 + 3);
	assert_int_equal(p->n_jobs, 3);
	assert_int_equal(p->n_skips, 3);
	assert_string_equal(s->packages[p->skips[0].package].id, "a");
	assert_int_equal(p->skips[2].variant, 1);
	assert_string_equal(p->skips[2].why->reason, "too new");
	assert_int_equal(p->units[0].package, 1);
	assert_int_equal(p->units[1].variant, 0);
	assert_int_equal(p->units[2].variant, PLAN_NONE);
	plan_free(p);
	suite_free(s);
}

static void without_shared_phases_there_are_no_trunks(void **state)
{
	struct table *t = *state;
	struct suite *s = desk_suite(t->desk, SUITE_HEAD
				     "packages: [a, b]\nvariants: [{name: v}, {name: w}]\n"
				     "phases: [{name: b, run: x}, {name: t, run: x}]\n");
	struct plan *p = made(s, NULL);
	assert_int_equal(p->n_units, 4);
	assert_int_equal(p->n_jobs, 4);
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(p->units[i].package, i / 2);
		assert_int_equal(p->units[i].variant, i % 2);
		assert_int_equal(p->units[i].trunk, PLAN_NONE);
		assert_int_equal(p->units[i].first_phase, 0);
		assert_int_equal(p->units[i].end_phase, 2);
	}
	plan_free(p);
	suite_free(s);
}

static bool second_variant_of_all_but_one(void *ctx, const struct plan_unit *u)
{
	return u->variant == 1 && u->package != *(size_t *)ctx;
}

static void what_is_kept_keeps_its_trunk_and_nothing_else(void **state)
{
	struct table *t = *state;
	struct plan *p = made(t->suite, NULL);
	size_t packages = p->n_units / 3, dropped = p->units[0].package;
	plan_keep(p, second_variant_of_all_but_one, &dropped);
	assert_int_equal(p->n_jobs, packages - 1);
	assert_int_equal(p->n_units, 2 * (packages - 1));
	for (size_t i = 0; i < p->n_units; i += 2) {
		assert_int_equal(p->units[i].variant, PLAN_NONE);
		assert_int_equal(p->units[i + 1].variant, 1);
		assert_int_equal(p->units[i + 1].trunk, i);
		assert_int_equal(p->units[i + 1].package, p->units[i].package);
		assert_int_not_equal(p->units[i].package, dropped);
	}
	plan_free(p);
}

static void only_keeps_ids_and_names(void **state)
{
	struct table *t = *state;
	struct err e = ERR_INIT;
	struct plan *p = made(t->suite, NULL);
	assert_false(p->partial);
	plan_free(p);
	p = made(t->suite, "second");
	assert_true(p->partial);
	assert_int_equal(p->n_jobs, 2);
	plan_free(p);
	p = made(t->suite, "twin");
	assert_int_equal(p->n_jobs, 4);
	plan_free(p);
	static const char *const wrong[] = {"light", "lihgt"};
	assert_null(plan_make(t->suite, wrong, 2, NULL, NULL, &e));
	assert_int_equal(e.kind, ERR_USAGE);
	assert_non_null(strstr(e.text, "lihgt"));
}

static int knows(void *ctx, const char *name, struct err *e)
{
	const char *missing = ctx;
	if (!strcmp(missing, "trouble"))
		return err_set(e, ERR_SYS, "no disk");
	return strcmp(name, missing) != 0;
}

static void a_missing_layer_is_told_where_it_is_named(void **state)
{
	struct table *t = *state;
	struct err e = ERR_INIT;
	auto_free char *where =
		own_fmt("%s/suite.yaml:4:10: there is no layer tool;", t->desk->path);
	assert_null(plan_make(t->suite, NULL, 0, knows, (char[]){"tool"}, &e));
	assert_int_equal(e.kind, ERR_INPUT);
	assert_memory_equal(e.text, where, strlen(where));
	static const char *const named[] = {"debian", "fetcher", "b1", "b2"};
	for (size_t i = 0; i < countof(named); i++) {
		auto_free char *name = own_dup(named[i]);
		assert_null(plan_make(t->suite, NULL, 0, knows, name, &e));
	}
	struct plan *p = plan_make(t->suite, NULL, 0, knows, (char[]){"not-named"}, &e);
	assert_non_null(p);
	plan_free(p);
}

static void trouble_with_looking_a_layer_up_is_not_a_missing_layer(void **state)
{
	struct table *t = *state;
	struct err e = ERR_INIT;
	assert_null(plan_make(t->suite, NULL, 0, knows, (char[]){"trouble"}, &e));
	assert_int_equal(e.kind, ERR_SYS);
}

static void has_env(char **env, const char *name, const char *value)
{
	size_t n = strlen(name), seen = 0;
	for (char **e = env; *e; e++)
		if (!strncmp(*e, name, n) && (*e)[n] == '=') {
			assert_non_null(value);
			assert_string_equal(*e + n + 1, value);
			seen++;
		}
	assert_int_equal(seen, value ? 1 : 0);
}

static void of_the_environments_the_nearest_wins(void **state)
{
	struct table *t = *state;
	struct plan *p = made(t->suite, "first");
	setenv("PLAN_TEST_GIVEN", "host", 1);
	unsetenv("PLAN_TEST_ABSENT");
	setenv("PLAN_TEST_OTHER", "host", 1);
	char **env = plan_env(t->suite, &p->units[1], 2, false);
	has_env(env, "E", "suite");
	has_env(env, "F", "variant");
	has_env(env, "G", "package");
	has_env(env, "H", "phase");
	has_env(env, "PATH", "/p");
	has_env(env, "HOME", "/home/x");
	has_env(env, "USER", "root");
	has_env(env, "LANG", "C.UTF-8");
	has_env(env, "TMPDIR", "/tmp");
	has_env(env, "PLAN_TEST_GIVEN", "host");
	has_env(env, "PLAN_TEST_ABSENT", NULL);
	has_env(env, "PLAN_TEST_OTHER", NULL);
	has_env(env, "ASSAY", "1");
	has_env(env, "ASSAY_ID", "first");
	has_env(env, "ASSAY_PACKAGE", "twin");
	has_env(env, "ASSAY_VERSION", "");
	has_env(env, "ASSAY_VARIANT", "base");
	has_env(env, "ASSAY_PHASE", "build");
	has_env(env, "ASSAY_OFFLINE", "0");
	plan_env_free(env);
	plan_free(p);
}

static void a_trunk_knows_no_variant(void **state)
{
	struct table *t = *state;
	struct plan *p = made(t->suite, "heavy");
	char **env = plan_env(t->suite, &p->units[0], 0, true);
	has_env(env, "F", "suite");
	has_env(env, "ASSAY_VARIANT", "");
	has_env(env, "ASSAY_VERSION", "3");
	has_env(env, "ASSAY_OFFLINE", "1");
	plan_env_free(env);
	plan_free(p);
}

/* "1u0u Lb2 Ltool": what a mount's lowers are, in short. */
static char *lowers_of(const struct plan_mount *m)
{
	auto_text struct text t = TEXT_INIT;
	for (size_t i = 0; i < m->n_lowers; i++) {
		const struct plan_lower *l = &m->lowers[i];
		text_addf(&t, "%s", i ? " " : "");
		switch (l->from) {
		case PLAN_FROM_UPPER:
			text_addf(&t, "u%zu", l->index);
			break;
		case PLAN_FROM_LAYER:
			text_addf(&t, "L%s", l->name);
			break;
		case PLAN_FROM_STORE:
			text_addf(&t, "s%zu", l->index);
			break;
		case PLAN_FROM_DIR:
			text_add(&t, "dir");
			break;
		case PLAN_FROM_FILE:
			text_add(&t, "file");
			break;
		case PLAN_FROM_INPUT:
			text_add(&t, "input");
			break;
		}
	}
	return text_take(&t);
}

struct expected {
	const char *path;
	enum box_mode mode;
	size_t slot, store;
	bool ours;
	const char *lowers;
};

static void sees(const struct suite *s, const struct plan_unit *u, size_t phase,
		 const struct expected *x, size_t n)
{
	struct plan_mounts m;
	plan_mounts(s, u, phase, &m);
	assert_int_equal(m.n_mounts, n);
	for (size_t i = 0; i < n; i++) {
		auto_free char *lowers = lowers_of(&m.mounts[i]);
		assert_string_equal(m.mounts[i].path, x[i].path);
		assert_int_equal(m.mounts[i].mode, x[i].mode);
		assert_int_equal(m.mounts[i].slot, x[i].slot);
		assert_int_equal(m.mounts[i].store, x[i].store);
		assert_int_equal(m.mounts[i].ours, x[i].ours);
		assert_string_equal(lowers, x[i].lowers);
	}
	plan_mounts_fini(&m);
}

static void the_first_phase_sees_layers_and_stores(void **state)
{
	struct table *t = *state;
	struct plan *p = made(t->suite, "heavy");
	static const struct expected x[] = {
		{"/", BOX_COW, 0, PLAN_NONE, true, "Lfetcher Ltool Ldebian"},
		{"/a/file", BOX_COW, PLAN_NONE, PLAN_NONE, true, "file"},
		{"/a/store", BOX_COW, 4, 1, true, "s1"},
		{"/c", BOX_COW, 2, PLAN_NONE, true, "dir"},
		{"/etc/host", BOX_RO, PLAN_NONE, PLAN_NONE, false, "dir"},
		{"/input", BOX_RO, PLAN_NONE, PLAN_NONE, true, "input"},
		{"/out", BOX_RW, PLAN_NONE, PLAN_NONE, false, "dir"},
		{"/w", BOX_COW, 1, PLAN_NONE, true, ""},
		{"/z/store", BOX_COW, 3, 0, true, "s0"},
	};
	sees(t->suite, &p->units[0], 0, x, countof(x));
	plan_free(p);
}

static void a_later_phase_sees_what_the_earlier_left_newest_first(void **state)
{
	struct table *t = *state;
	struct plan *p = made(t->suite, "heavy");
	static const struct expected x[] = {
		{"/", BOX_COW, 0, PLAN_NONE, true, "u2 u1 u0 Lb2 Lb1 Ltool Ldebian"},
		{"/a/file", BOX_COW, PLAN_NONE, PLAN_NONE, true, "file"},
		{"/a/store", BOX_COW, 4, 1, true, "u2 u1 u0 s1"},
		{"/c", BOX_COW, 2, PLAN_NONE, true, "u2 u1 u0 dir"},
		{"/etc/host", BOX_RO, PLAN_NONE, PLAN_NONE, false, "dir"},
		{"/input", BOX_RO, PLAN_NONE, PLAN_NONE, true, "input"},
		{"/out", BOX_RW, PLAN_NONE, PLAN_NONE, false, "dir"},
		{"/w", BOX_COW, 1, PLAN_NONE, true, "u2 u1 u0"},
		{"/z/store", BOX_COW, 3, 0, true, "u2 u1 u0 s0"},
	};
	sees(t->suite, &p->units[1], 3, x, countof(x));
	plan_free(p);
}

static void the_hosts_root_is_no_layer(void **state)
{
	struct table *t = *state;
	struct suite *s = desk_suite(t->desk, SUITE_HEAD SUITE_REST);
	struct plan *p = made(s, NULL);
	static const struct expected x[] = {{"/", BOX_COW, 0, PLAN_NONE, true, ""},
					    {"/input", BOX_RO, PLAN_NONE, PLAN_NONE, true,
					     "input"}};
	sees(s, &p->units[0], 0, x, countof(x));
	plan_free(p);
	suite_free(s);
}

static void suites_of_one_ecosystem_share_their_stores(void **state)
{
	struct table *t = *state;
	struct err e = ERR_INIT;
	struct suite *npm = suite_load(ASSAY_SOURCE "/deploy/suites/demo.yaml", &e);
	assert_non_null(npm);
	auto_free char *shared = plan_store_key(npm, 0), *own = plan_store_key(t->suite, 1);
	assert_string_equal(shared, "npm/npm-cache");
	assert_string_equal(own, "x/r");
	suite_free(npm);
}

static void the_suites_of_the_house_can_be_planned(void **state)
{
	static const struct {
		const char *path;
		size_t jobs;
	} all[] = {{ASSAY_SOURCE "/deploy/suites/demo.yaml", 36},
		   {ASSAY_SOURCE "/deploy/suites/node-16-to-18.yaml", 456},
		   {ASSAY_SOURCE "/deploy/suites/node-22-to-24.yaml", 456}};
	(void)state;
	for (size_t i = 0; i < countof(all); i++) {
		struct err e = ERR_INIT;
		struct suite *s = suite_load(all[i].path, &e);
		if (!s)
			fail_msg("%s", e.text);
		struct plan *p = made(s, NULL);
		assert_int_equal(p->n_jobs, all[i].jobs);
		assert_int_equal(p->n_units, all[i].jobs / 2 * 3);
		plan_free(p);
		suite_free(s);
	}
}

static void as_json_a_plan_says_what_each_box_sees(void **state)
{
	struct table *t = *state;
	struct plan *p = made(t->suite, "heavy");
	auto_free struct plan_layer *layers = own_calloc(t->suite->n_layer_refs, sizeof(*layers));
	for (size_t i = 0; i < t->suite->n_layer_refs; i++)
		layers[i].ref = &t->suite->layer_refs[i];
	memset(layers[0].id, 'a', 64);
	struct plan_view v = {p, layers, true};
	json_t *j = plan_show_json(&v);
	assert_non_null(j);
	assert_int_equal(json_integer_value(json_object_get(j, "jobs")), 2);
	assert_int_equal(json_integer_value(json_object_get(j, "expected_seconds")), 18);
	json_t *units = json_object_get(j, "units"), *first = json_array_get(units, 0),
	       *branch = json_array_get(units, 1);
	assert_int_equal(json_array_size(units), 3);
	assert_true(json_is_null(json_object_get(first, "variant")));
	assert_string_equal(json_string_value(json_object_get(branch, "variant")), "base");
	json_t *box = json_array_get(json_object_get(branch, "boxes"), 1);
	assert_string_equal(json_string_value(json_object_get(box, "phase")), "test");
	assert_string_equal(json_string_value(
				    json_object_get(json_object_get(box, "env"), "ASSAY_PHASE")),
			    "test");
	assert_int_equal(json_array_size(json_object_get(box, "mounts")), 9);
	json_t *named = json_object_get(j, "layers");
	assert_int_equal(json_string_length(json_object_get(json_array_get(named, 0), "id")), 64);
	assert_true(json_is_null(json_object_get(json_array_get(named, 1), "id")));
	json_decref(j);
	plan_free(p);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_heaviest_come_first_then_as_listed, table_open,
						table_close),
		cmocka_unit_test_setup_teardown(a_trunk_comes_before_its_branches, table_open,
						table_close),
		cmocka_unit_test_setup_teardown(what_is_known_to_be_skipped_is_not_planned,
						table_open, table_close),
		cmocka_unit_test_setup_teardown(without_shared_phases_there_are_no_trunks,
						table_open, table_close),
		cmocka_unit_test_setup_teardown(what_is_kept_keeps_its_trunk_and_nothing_else,
						table_open, table_close),
		cmocka_unit_test_setup_teardown(only_keeps_ids_and_names, table_open, table_close),
		cmocka_unit_test_setup_teardown(a_missing_layer_is_told_where_it_is_named,
						table_open, table_close),
		cmocka_unit_test_setup_teardown(
			trouble_with_looking_a_layer_up_is_not_a_missing_layer, table_open,
			table_close),
		cmocka_unit_test_setup_teardown(of_the_environments_the_nearest_wins, table_open,
						table_close),
		cmocka_unit_test_setup_teardown(a_trunk_knows_no_variant, table_open, table_close),
		cmocka_unit_test_setup_teardown(the_first_phase_sees_layers_and_stores, table_open,
						table_close),
		cmocka_unit_test_setup_teardown(
			a_later_phase_sees_what_the_earlier_left_newest_first, table_open,
			table_close),
		cmocka_unit_test_setup_teardown(the_hosts_root_is_no_layer, table_open,
						table_close),
		cmocka_unit_test_setup_teardown(suites_of_one_ecosystem_share_their_stores,
						table_open, table_close),
		cmocka_unit_test(the_suites_of_the_house_can_be_planned),
		cmocka_unit_test_setup_teardown(as_json_a_plan_says_what_each_box_sees, table_open,
						table_close),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
