/* What a suite says wins over its ecosystem, key by key. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/suite_text.h"

#define REST "use: e\npackages: [a]\nvariants: [{name: v}]\n"

static const char ecosystem[] =
	"assay: 1\necosystem: e\nhome: /home/e\nlayers: [tool, base]\ninherit-env: [A, B]\nenv: "
	"{X: e, Y: e}\n"
	"mounts: [{path: /build, mode: cow}, {path: /opt, mode: cow}]\n"
	"stores: [{name: cache, path: /cache, rules: [{match: \"a/**\", do: same}]}]\n"
	"limits: {time: 1m, memory: 1G}\n"
	"phases:\n"
	"  - {name: fetch, run: fetch, network: host, harvest: [cache], offline-first: true, "
	"once-per: package,\n"
	"     limits: {time: 2m}, env: {F: e, G: e}, layers: [fetcher]}\n"
	"  - {name: build, run: build}\n"
	"  - {name: test, run: test, goal: true}\n"
	"log-rules: [{match: e, reason: fail/exit, phase: test}]\n";

static struct suite *merged(void **state, const char *suite)
{
	struct desk *d = *state;
	desk_write(d, "ecosystems/e.yaml", ecosystem);
	auto_free char *text = own_fmt("%s%s%s", SUITE_HEAD, REST, suite);
	return desk_suite(d, text);
}

static void refused(void **state, const char *suite, const char *place, const char *words)
{
	struct desk *d = *state;
	desk_write(d, "ecosystems/e.yaml", ecosystem);
	auto_free char *text = own_fmt("%s%s%s", SUITE_HEAD, REST, suite);
	desk_refuses(d, text, place, words);
}

static void a_store_may_demand_several_packages(void **state)
{
	struct suite *s = merged(state, "stores: [{name: cache, trust: 3}, {name: o, path: /o}]\n");
	assert_int_equal(s->stores[0].trust, 3);
	assert_int_equal(s->stores[1].trust, 0);
	suite_free(s);
	s = merged(state, "stores: [{name: cache, trust: 1, deletions: apply}]\n");
	assert_int_equal(s->stores[0].trust, 1);
	suite_free(s);
	refused(state, "stores: [{name: cache, trust: 0}]\n", "6:31", "from 1 to 1000");
	refused(state, "stores: [{name: cache, trust: 1001}]\n", "6:31", "from 1 to 1000");
	refused(state, "stores: [{name: cache, trust: two}]\n", "6:31", "is no number");
	refused(state, "stores: [{name: cache, trust: 2, deletions: apply}]\n", "6:31",
		"deletions: apply does not go with it");
	refused(state, "stores: [{name: cache, trust: 2, rules: [{match: x, do: union-lines}]}]\n",
		"6:31", "union-lines");
}

static void what_the_suite_leaves_out_is_the_ecosystems(void **state)
{
	struct suite *s = merged(state, "");
	assert_string_equal(s->ecosystem, "e");
	assert_string_equal(s->home, "/home/e");
	assert_int_equal(s->n_layers, 2);
	assert_int_equal(s->n_mounts, 2);
	assert_int_equal(s->n_phases, 3);
	assert_true(s->phases[0].offline_first && s->phases[0].once_per_package);
	assert_int_equal(s->phases[0].limits.time_ms, 120000);
	assert_int_equal(s->phases[1].limits.time_ms, 60000);
	suite_free(s);
}

static void single_values_and_plain_lists_are_replaced(void **state)
{
	struct suite *s = merged(state, "home: /h\nlayers: [mine]\ninherit-env: [C]\n");
	assert_string_equal(s->home, "/h");
	assert_int_equal(s->n_layers, 1);
	assert_string_equal(s->layers[0], "mine");
	assert_int_equal(s->n_inherit_env, 1);
	assert_string_equal(s->inherit_env[0], "C");
	suite_free(s);
}

static void env_is_merged_by_name(void **state)
{
	struct suite *s = merged(state, "env: {Y: s, Z: s}\n");
	assert_int_equal(s->n_env, 3);
	assert_string_equal(s->env[0].value, "e");
	assert_string_equal(s->env[1].value, "s");
	assert_string_equal(s->env[2].name, "Z");
	suite_free(s);
}

static void limits_are_merged_by_key_and_a_phases_own_are_on_top(void **state)
{
	struct suite *s =
		merged(state,
		       "limits: {time: 10m}\nphases: [{name: build, limits: {memory: 2G}}]\n");
	assert_int_equal(s->phases[0].limits.time_ms, 120000);
	assert_int_equal(s->phases[1].limits.time_ms, 600000);
	assert_int_equal(s->phases[1].limits.memory, (uint64_t)2 << 30);
	assert_int_equal(s->phases[2].limits.memory, (uint64_t)1 << 30);
	suite_free(s);
}

static void a_phase_of_that_name_is_refined_and_a_new_one_comes_last(void **state)
{
	struct suite *s = merged(state, "phases:\n  - {name: lint, run: lint, goal: true}\n"
					"  - {name: fetch, run: mine, offline-first: false, "
					"harvest: [], env: {G: s, H: s}, layers: [other]}\n");
	const struct suite_phase *p = &s->phases[0];
	assert_int_equal(s->n_phases, 4);
	assert_string_equal(p->name, "fetch");
	assert_string_equal(p->run, "mine");
	assert_int_equal(p->network, BOX_NET_HOST);
	assert_false(p->offline_first);
	assert_true(p->once_per_package);
	assert_int_equal(p->n_harvest, 0);
	assert_int_equal(p->n_env, 3);
	assert_string_equal(p->env[1].value, "s");
	assert_int_equal(p->n_layers, 1);
	assert_string_equal(p->layers[0], "other");
	assert_string_equal(s->phases[3].name, "lint");
	assert_true(s->phases[3].goal);
	assert_false(s->phases[2].goal);
	suite_free(s);
}

static void the_suites_goal_is_the_goal(void **state)
{
	struct suite *s = merged(state, "phases: [{name: build, goal: true}]\n");
	assert_true(s->phases[1].goal);
	assert_false(s->phases[2].goal);
	suite_free(s);
	s = merged(state, "phases: [{name: test, goal: false}]\n");
	assert_true(s->phases[2].goal); /* nobody says which: the last */
	suite_free(s);
}

static void mounts_are_merged_by_path_and_stores_by_name(void **state)
{
	struct desk *d = *state;
	desk_write(d, "dir/x", "");
	struct suite *s =
		merged(state,
		       "mounts: [{path: /opt, mode: ro, source: dir}, {path: /new, mode: cow}]\n"
		       "stores: [{name: cache, path: /elsewhere, rules: [{match: b, do: drop}]}, "
		       "{name: mine, path: /m}]\n");
	assert_int_equal(s->n_mounts, 3);
	assert_string_equal(s->mounts[1].path, "/opt");
	assert_int_equal(s->mounts[1].mode, SUITE_RO);
	assert_non_null(s->mounts[1].source);
	assert_string_equal(s->mounts[2].path, "/new");
	assert_int_equal(s->n_stores, 2);
	assert_string_equal(s->stores[0].path, "/elsewhere");
	assert_int_equal(s->stores[0].n_rules, 2);
	assert_string_equal(s->stores[0].rules[0].match, "b");
	assert_int_equal(s->stores[0].rules[0].what, CACHE_DROP);
	assert_string_equal(s->stores[0].rules[1].match, "a/**");
	assert_string_equal(s->stores[1].name, "mine");
	suite_free(s);
}

static void a_rules_program_has_limits_of_its_own(void **state)
{
	struct suite *s =
		merged(state, "limits: {time: 1h, memory: 8G}\n"
			      "stores: [{name: cache, rules: [{match: b, do: program, run: "
			      "\"sort\", limits: {time: 3s, disk: none}}]}]\n");
	const struct suite_store *st = &s->stores[0];
	assert_int_equal(st->n_rules, 2);
	assert_int_equal(st->rules[0].what, CACHE_PROGRAM);
	assert_string_equal(st->programs[0].run, "sort");
	assert_int_equal(st->programs[0].limits.time_ms, 3000);
	assert_int_equal(st->programs[0].limits.disk, 0);
	assert_int_equal(st->programs[0].limits.memory, (uint64_t)1 << 30);
	assert_int_equal(st->programs[0].limits.processes, 64);
	assert_null(st->programs[1].run);
	suite_free(s);
}

static void the_suites_log_rules_come_first(void **state)
{
	struct suite *s = merged(state, "log-rules: [{match: s, reason: crash/segv}, {match: r, "
					"reason: fail/exit, id: mine}]\n");
	assert_int_equal(s->n_log_rules, 3);
	assert_string_equal(s->log_rules[0].id, "x/1");
	assert_string_equal(s->log_rules[0].status, "crash");
	assert_string_equal(s->log_rules[0].reason, "segv");
	assert_null(s->log_rules[0].phase);
	assert_string_equal(s->log_rules[1].id, "mine");
	assert_string_equal(s->log_rules[2].id, "e/1");
	assert_string_equal(s->log_rules[2].phase, "test");
	suite_free(s);
}

static void what_does_not_fit_is_told_where_the_suite_says_it(void **state)
{
	refused(state, "phases: [{name: lint}]\n", "6:10", "phase lint needs the key 'run'");
	refused(state, "phases: [{name: test, once-per: package}]\n", "6:33",
		"the goal runs once per variant");
	refused(state, "log-rules: [{match: s, phase: test, reason: block/source-gone}]\n", "6:31",
		"is of a phase that has a network and is not the goal");
	refused(state, "log-rules: [{match: s, reason: block/source-gone}]\n", "6:13",
		"name one as its phase");
	refused(state, "log-rules: [{match: s, reason: block/dep-failed}]\n", "6:32",
		"block has unresolvable, bad-manifest, source-gone, unsupported");
	refused(state, "log-rules: [{match: s, reason: infra/fetch}]\n", "6:32",
		"a log can only refine fail and crash");
}

static void what_does_not_fit_is_told_where_the_ecosystem_says_it(void **state)
{
	struct desk *d = *state;
	struct err e = ERR_INIT;
	desk_write(d, "ecosystems/e.yaml", ecosystem);
	desk_write(d, "suite.yaml", SUITE_HEAD REST "phases: [{name: fetch, network: none}]\n");
	assert_null(desk_try(d, "suite.yaml", &e));
	assert_non_null(
		strstr(e.text, "/ecosystems/e.yaml:11:79: phase fetch: offline-first is for"));
}

static void what_is_allowed_adds_up(void **state)
{
	struct suite *s = merged(state, "allow: [userns]\nphases: [{name: fetch, network: nat}, "
					"{name: test, allow: [kvm, dumps]}]\n");
	assert_int_equal(s->phases[0].loosen, BOX_LOOSEN_USERNS);
	assert_int_equal(s->phases[0].network, BOX_NET_NAT);
	assert_true(s->phases[0].offline_first);
	assert_int_equal(s->phases[1].loosen, BOX_LOOSEN_USERNS);
	assert_int_equal(s->phases[2].loosen,
			 BOX_LOOSEN_USERNS | BOX_LOOSEN_KVM | BOX_LOOSEN_DUMPS);
	suite_free(s);
	s = merged(state, "");
	for (size_t i = 0; i < s->n_phases; i++)
		assert_int_equal(s->phases[i].loosen, 0);
	suite_free(s);
	refused(state, "allow: [kvm, sudo]\n", "6:14", "there is no 'sudo'");
}

static void an_ecosystem_is_found_beside_above_and_in_the_data_directory(void **state)
{
	struct desk *d = *state;
	struct err e = ERR_INIT;
	desk_write(d, "data/ecosystems/e.yaml", ecosystem);
	desk_write(d, "suites/s.yaml", SUITE_HEAD REST);
	assert_null(desk_try(d, "suites/s.yaml", &e));
	auto_free char *data = own_fmt("%s/data", d->path);
	setenv("ASSAY_DATA", data, 1);
	struct suite *s = desk_try(d, "suites/s.yaml", &e);
	assert_non_null(s);
	assert_string_equal(s->home, "/home/e");
	suite_free(s);
	desk_write(d, "ecosystems/e.yaml",
		   "assay: 1\necosystem: e\nhome: /above\nphases: [{name: t, run: x}]\n");
	s = desk_try(d, "suites/s.yaml", &e);
	assert_string_equal(s->home, "/above");
	suite_free(s);
	desk_write(d, "suites/ecosystems/e.yaml",
		   "assay: 1\necosystem: e\nhome: /beside\nphases: [{name: t, run: x}]\n");
	s = desk_try(d, "suites/s.yaml", &e);
	assert_string_equal(s->home, "/beside");
	suite_free(s);
	unsetenv("ASSAY_DATA");
}

static void the_ecosystems_of_the_source_tree_serve_a_program_built_in_it(void **state)
{
	struct suite *s =
		desk_suite(*state, SUITE_HEAD "use: npm\npackages: [a]\nvariants: [{name: v}]\n");
	assert_string_equal(s->ecosystem, "npm");
	suite_free(s);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_store_may_demand_several_packages, desk_open,
						desk_close),
		cmocka_unit_test_setup_teardown(what_the_suite_leaves_out_is_the_ecosystems,
						desk_open, desk_close),
		cmocka_unit_test_setup_teardown(single_values_and_plain_lists_are_replaced,
						desk_open, desk_close),
		cmocka_unit_test_setup_teardown(env_is_merged_by_name, desk_open, desk_close),
		cmocka_unit_test_setup_teardown(
			limits_are_merged_by_key_and_a_phases_own_are_on_top, desk_open,
			desk_close),
		cmocka_unit_test_setup_teardown(
			a_phase_of_that_name_is_refined_and_a_new_one_comes_last, desk_open,
			desk_close),
		cmocka_unit_test_setup_teardown(the_suites_goal_is_the_goal, desk_open, desk_close),
		cmocka_unit_test_setup_teardown(mounts_are_merged_by_path_and_stores_by_name,
						desk_open, desk_close),
		cmocka_unit_test_setup_teardown(a_rules_program_has_limits_of_its_own, desk_open,
						desk_close),
		cmocka_unit_test_setup_teardown(the_suites_log_rules_come_first, desk_open,
						desk_close),
		cmocka_unit_test_setup_teardown(what_does_not_fit_is_told_where_the_suite_says_it,
						desk_open, desk_close),
		cmocka_unit_test_setup_teardown(
			what_does_not_fit_is_told_where_the_ecosystem_says_it, desk_open,
			desk_close),
		cmocka_unit_test_setup_teardown(what_is_allowed_adds_up, desk_open, desk_close),
		cmocka_unit_test_setup_teardown(
			an_ecosystem_is_found_beside_above_and_in_the_data_directory, desk_open,
			desk_close),
		cmocka_unit_test_setup_teardown(
			the_ecosystems_of_the_source_tree_serve_a_program_built_in_it, desk_open,
			desk_close),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
