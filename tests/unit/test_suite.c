/* Suites that are right, and what they become. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/suite_text.h"

static void a_small_suite_gets_the_defaults(void **state)
{
	struct suite *s = desk_suite(*state, SUITE_HEAD SUITE_REST);
	assert_string_equal(s->name, "x");
	assert_null(s->ecosystem);
	assert_true(s->root_is_host);
	assert_string_equal(s->root, "host");
	assert_string_equal(s->home, "/root");
	assert_string_equal(s->workdir, "/build");
	assert_int_equal(s->n_packages, 1);
	assert_int_equal(s->n_variants, 1);
	assert_false(s->has_compare);
	assert_true(s->phases[0].goal);
	assert_int_equal(s->phases[0].network, BOX_NET_NONE);
	assert_int_equal(s->phases[0].limits.time_ms, 3600000);
	assert_int_equal(s->phases[0].limits.log, 16 << 20);
	assert_int_equal(s->phases[0].limits.cpus, 1);
	assert_int_equal(s->phases[0].limits.memory, 0);
	assert_int_equal(strlen(s->sha256), 64);
	assert_true(s->path[0] == '/');
	suite_free(s);
}

static void units_are_understood(void **state)
{
	struct suite *s =
		desk_suite(*state, SUITE_HEAD SUITE_REST
			   "limits: {time: 1h30m, cpu: 2m, silence: 1500ms, memory: 1.5G, "
			   "processes: 512, disk: 4G,\n"
			   "  inodes: 100000, log: 64K, open-files: 1024, grace: 2s, cpus: 3,\n"
			   "  idle: 10m, file-size: 2G, cpu-quota: 1500}\n");
	const struct suite_limits *l = &s->phases[0].limits;
	assert_int_equal(l->time_ms, 5400000);
	assert_int_equal(l->cpu_ms, 120000);
	assert_int_equal(l->silence_ms, 1500);
	assert_int_equal(l->memory, 1610612736);
	assert_int_equal(l->processes, 512);
	assert_int_equal(l->disk, (uint64_t)4 << 30);
	assert_int_equal(l->inodes, 100000);
	assert_int_equal(l->log, 65536);
	assert_int_equal(l->open_files, 1024);
	assert_int_equal(l->grace_ms, 2000);
	assert_int_equal(l->cpus, 3);
	assert_int_equal(l->idle_ms, 600000);
	assert_int_equal(l->file_size, (uint64_t)2 << 30);
	assert_int_equal(l->cpu_milli, 1500);
	suite_free(s);
}

static void a_limit_can_be_taken_away(void **state)
{
	struct suite *s =
		desk_suite(*state, SUITE_HEAD
			   "packages: [a]\nvariants: [{name: v}]\nlimits: {time: 1m, memory: 1G}\n"
			   "phases:\n  - {name: a, run: x, limits: {time: none, processes: "
			   "none}}\n  - {name: t, run: x}\n");
	assert_int_equal(s->phases[0].limits.time_ms, 0);
	assert_int_equal(s->phases[0].limits.processes, 0);
	assert_int_equal(s->phases[0].limits.memory, (uint64_t)1 << 30);
	assert_int_equal(s->phases[1].limits.time_ms, 60000);
	suite_free(s);
}

static void two_variants_are_compared_unless_the_suite_says_otherwise(void **state)
{
	struct suite *s = desk_suite(
		*state, SUITE_HEAD
		"packages: [a]\nphases: [{name: t, run: x}]\nvariants: [{name: a}, {name: b}]\n");
	assert_true(s->has_compare);
	assert_int_equal(s->compare[0], 0);
	assert_int_equal(s->compare[1], 1);
	suite_free(s);
	s = desk_suite(*state,
		       SUITE_HEAD "packages: [a]\nphases: [{name: t, run: x}]\n"
				  "variants: [{name: a}, {name: b}, {name: c}]\ncompare: [c, a]\n");
	assert_int_equal(s->compare[0], 2);
	assert_int_equal(s->compare[1], 0);
	suite_free(s);
}

static void aliases_stand_for_what_they_name(void **state)
{
	struct suite *s = desk_suite(
		*state, SUITE_HEAD
		"packages: [a]\n"
		"variants:\n  - {name: a, env: &env {A: &text \"1\", B: *text}, layers: &layers "
		"[k, l]}\n"
		"  - {name: b, env: *env, layers: *layers}\n"
		"phases:\n  - {name: one, run: &run \"exit 0\", limits: &limits {time: 5s}}\n"
		"  - {name: two, run: *run, limits: *limits}\n");
	assert_int_equal(s->variants[1].n_env, 2);
	assert_string_equal(s->variants[1].env[1].value, "1");
	assert_string_equal(s->variants[1].layers[1], "l");
	assert_string_equal(s->phases[1].run, "exit 0");
	assert_int_equal(s->phases[1].limits.time_ms, 5000);
	suite_free(s);
}

static void texts_are_taken_as_they_are_written(void **state)
{
	struct suite *s =
		desk_suite(*state, SUITE_HEAD SUITE_REST
			   "env: {V: 1.10, N: null, Y: yes, O: 0x10, E: \"\", L: \"a\\nb\"}\n");
	static const char *const values[] = {"1.10", "null", "yes", "0x10", "", "a\nb"};
	assert_int_equal(s->n_env, countof(values));
	for (size_t i = 0; i < countof(values); i++)
		assert_string_equal(s->env[i].value, values[i]);
	suite_free(s);
}

static void a_path_is_relative_to_the_file_that_says_it(void **state)
{
	struct desk *d = *state;
	desk_write(d, "tools/bin/x", "");
	desk_write(d, "more/ecosystems/near.yaml",
		   "assay: 1\necosystem: near\nlayers: [./tools]\nphases: [{name: t, run: x}]\n");
	desk_write(d, "more/ecosystems/tools/y", "");
	struct suite *s = desk_suite(d, SUITE_HEAD
				     "use: more/ecosystems/near.yaml\npackages: [a]\nvariants: "
				     "[{name: v, layers: [./tools]}]\n"
				     "mounts: [{path: /t, mode: ro, source: tools/../tools}]\n");
	auto_free char *ours = own_fmt("%s/tools", d->path),
		       *theirs = own_fmt("%s/more/ecosystems/tools", d->path);
	assert_string_equal(s->variants[0].layers[0], ours);
	assert_string_equal(s->layers[0], theirs);
	assert_string_equal(s->mounts[0].source, ours);
	assert_int_equal(s->n_layer_refs, 0);
	suite_free(s);
}

static void a_mount_shows_a_directory_or_a_file(void **state)
{
	struct desk *d = *state;
	desk_write(d, "one", "");
	desk_write(d, "big", "");
	struct suite *s =
		desk_suite(d, SUITE_HEAD SUITE_REST
			   "mounts: [{path: /f, mode: cow, source: one}, {path: /d, mode: "
			   "cow, source: .}, {path: /g, mode: rw, source: one}]\n");
	assert_true(s->mounts[0].file);
	assert_false(s->mounts[1].file);
	assert_true(s->mounts[2].file);
	suite_free(s);
	auto_fd int big = openat(d->fd, "big", O_WRONLY | O_CLOEXEC);
	assert_int_equal(ftruncate(big, (off_t)BOX_FILE_COW + 1), 0);
	s = desk_suite(d, SUITE_HEAD SUITE_REST "mounts: [{path: /f, mode: ro, source: big}]\n");
	suite_free(s);
	desk_refuses(d, SUITE_HEAD SUITE_REST "mounts: [{path: /f, mode: cow, source: big}]\n",
		     "6:40", "has 67108865 bytes");
}

static void every_layer_that_is_named_is_noted_once_with_its_place(void **state)
{
	struct desk *d = *state;
	struct suite *s = desk_suite(
		d, SUITE_HEAD
		"packages: [a]\nroot: debian\nlayers: [npm]\n"
		"variants:\n  - {name: a, layers: [node]}\n  - {name: b, layers: [node]}\n"
		"phases: [{name: t, run: x, layers: [extra]}]\n");
	static const char *const names[] = {"debian", "npm", "extra", "node"};
	static const char *const places[] = {"4:7", "5:10", "9:37", "7:24"};
	assert_false(s->root_is_host);
	assert_int_equal(s->n_layer_refs, countof(names));
	for (size_t i = 0; i < countof(names); i++) {
		auto_free char *where = own_fmt("%s/suite.yaml:%s", d->path, places[i]);
		assert_string_equal(s->layer_refs[i].name, names[i]);
		assert_string_equal(s->layer_refs[i].where, where);
	}
	suite_free(s);
}

static void the_digest_covers_every_text(void **state)
{
	struct desk *d = *state;
	const char *text = SUITE_HEAD "use: e\npackages: [{file: list}]\nvariants: [{name: v}]\n";
	const char *eco = "assay: 1\necosystem: e\nphases: [{name: t, run: x}]\n";
	desk_write(d, "ecosystems/e.yaml", eco);
	desk_write(d, "list", "a\n");
	struct suite *one = desk_suite(d, text), *same = desk_suite(d, text);
	desk_write(d, "list", "a\n\n");
	struct suite *list = desk_suite(d, text);
	desk_write(d, "list", "a\n");
	desk_write(d, "ecosystems/e.yaml", "assay: 1\necosystem: e\nphases: [{name: t, run: y}]\n");
	struct suite *other = desk_suite(d, text);
	assert_string_equal(one->sha256, same->sha256);
	assert_string_not_equal(one->sha256, list->sha256);
	assert_string_not_equal(one->sha256, other->sha256);
	suite_free(one);
	suite_free(same);
	suite_free(list);
	suite_free(other);
}

static void a_file_too_large_is_not_read(void **state)
{
	struct desk *d = *state;
	struct err e = ERR_INIT;
	size_t n = ((size_t)4 << 20) + 1;
	auto_free char *big = own_alloc(n + 1);
	memset(big, '#', n);
	desk_write_n(d, "big.yaml", big, n);
	assert_null(desk_try(d, "big.yaml", &e));
	assert_int_equal(e.kind, ERR_INPUT);
	assert_non_null(strstr(e.text, "big.yaml:1:1: larger than 4 MiB"));
}

static void what_is_no_file_is_not_read(void **state)
{
	struct desk *d = *state;
	struct err e = ERR_INIT;
	assert_null(desk_try(d, "absent.yaml", &e));
	assert_int_equal(e.kind, ERR_INPUT);
	assert_int_equal(mkfifoat(d->fd, "fifo.yaml", 0600), 0);
	assert_null(desk_try(d, "fifo.yaml", &e));
	assert_int_equal(e.kind, ERR_INPUT);
	assert_null(desk_try(d, ".", &e));
	assert_int_equal(e.kind, ERR_INPUT);
}

/* Whatever is cut off or changed, the answer is a suite or a place; run with the sanitizers this is
 * the point. */
static void every_beginning_of_a_suite_is_a_suite_or_refused(void **state)
{
	static const char text[] =
		SUITE_HEAD "env: &e {A: b}\npackages: [\"@a/b@1\", {name: c, env: "
			   "*e}]\nvariants:\n  - {name: v, layers: [l]}\n"
			   "stores: [{name: s, path: /s, rules: [{match: \"**\", do: same}]}]\n"
			   "phases:\n  - name: t\n    run: |\n      echo\n    limits: {time: 1m}\n "
			   "   harvest: [s]\n";
	struct desk *d = *state;
	size_t right = 0;
	for (size_t n = 0; n < sizeof(text); n++) {
		struct err e = ERR_INIT;
		desk_write_n(d, "suite.yaml", text, n);
		struct suite *s = desk_try(d, "suite.yaml", &e);
		right += s != NULL;
		if (!s)
			assert_int_equal(e.kind, ERR_INPUT);
		suite_free(s);
	}
	assert_true(right > 0);
	for (size_t i = 0; i < sizeof(text) - 1; i++) {
		static const char odd[] = "\t\xff{[&*:-\"\n";
		for (size_t k = 0; k < sizeof(odd) - 1; k++) {
			auto_free char *copy = own_dup(text);
			struct err e = ERR_INIT;
			copy[i] = odd[k];
			desk_write(d, "suite.yaml", copy);
			struct suite *s = desk_try(d, "suite.yaml", &e);
			if (!s)
				assert_int_equal(e.kind, ERR_INPUT);
			suite_free(s);
		}
	}
}

static void the_suites_of_the_house_are_right(void **state)
{
	static const struct {
		const char *path;
		size_t packages;
		const char *base, *next;
	} all[] = {{ASSAY_SOURCE "/deploy/suites/demo.yaml", 18, "node-22", "node-24"},
		   {ASSAY_SOURCE "/deploy/suites/node-16-to-18.yaml", 228, "node-16", "node-18"},
		   {ASSAY_SOURCE "/deploy/suites/node-22-to-24.yaml", 228, "node-22", "node-24"}};
	(void)state;
	for (size_t i = 0; i < countof(all); i++) {
		struct err e = ERR_INIT;
		struct suite *s = suite_load(all[i].path, &e);
		if (!s)
			fail_msg("%s", e.text);
		assert_int_equal(s->n_packages, all[i].packages);
		assert_string_equal(s->variants[s->compare[0]].name, all[i].base);
		assert_string_equal(s->variants[s->compare[1]].name, all[i].next);
		assert_string_equal(s->ecosystem, "npm");
		suite_free(s);
	}
}

static void the_npm_ecosystem_harvests_only_what_ran_no_code_of_packages(void **state)
{
	struct err e = ERR_INIT;
	(void)state;
	struct suite *s = suite_load(ASSAY_SOURCE "/deploy/suites/demo.yaml", &e);
	assert_non_null(s);
	assert_int_equal(s->n_phases, 3);
	for (size_t i = 0; i < s->n_phases; i++) {
		const struct suite_phase *p = &s->phases[i];
		bool fetch = !strcmp(p->name, "fetch");
		assert_int_equal(p->n_harvest, fetch);
		assert_int_equal(p->once_per_package, fetch);
		assert_int_equal(p->network, fetch ? BOX_NET_HOST : BOX_NET_NONE);
		assert_int_equal(p->goal, !strcmp(p->name, "test"));
	}
	assert_int_equal(s->stores[0].rules[0].what, CACHE_CONTENT_HASH);
	assert_int_equal(s->stores[0].rules[s->stores[0].n_rules - 1].what, CACHE_REJECT);
	suite_free(s);
}

static void what_is_known_is_of_packages_and_variants_and_has_its_day(void **state)
{
	struct err e = ERR_INIT;
	struct suite *s =
		desk_suite(*state, SUITE_HEAD
			   "packages: [a, {id: b2, name: b}]\nvariants: [{name: v}, {name: w}]\n"
			   "phases: [{name: t, run: x}]\n"
			   "known:\n"
			   "  - {package: a, expect: fail, reason: why, link: "
			   "\"https://x.test/1\", until: 2026-12-31}\n"
			   "  - {package: b, expect: flaky, reason: r, variant: w}\n"
			   "  - {package: gone, expect: skip, reason: r}\n");
	assert_int_equal(s->n_known, 3);
	const struct suite_known *k = suite_known_of(s, 0, 1);
	assert_int_equal(k->expect, SUITE_EXPECT_FAIL);
	assert_string_equal(k->link, "https://x.test/1");
	assert_string_equal(k->until, "2026-12-31");
	assert_null(suite_known_of(s, 1, 0));
	assert_int_equal(suite_known_of(s, 1, 1)->expect, SUITE_EXPECT_FLAKY);
	assert_int_equal(suite_known_check(s, "2026-12-31", false, &e), 0);
	assert_int_equal(suite_known_check(s, "2027-01-01", false, &e), -1);
	assert_int_equal(e.kind, ERR_INPUT);
	assert_non_null(strstr(e.text, ":7:5: what is known of a (fail) expired on 2026-12-31"));
	suite_free(s);
}

static void a_suite_against_itself_has_one_variant_twice(void **state)
{
	struct err e = ERR_INIT;
	struct suite *s =
		desk_suite(*state, SUITE_HEAD
			   "packages: [a, b]\nvariants: [{name: v}, {name: w, env: {X: \"1\"}}]\n"
			   "phases: [{name: t, run: x}]\n"
			   "known:\n"
			   "  - {package: a, expect: fail, reason: r, variant: w}\n"
			   "  - {package: b, expect: fail, reason: r, variant: v}\n");
	auto_free char *sha256 = own_dup(s->sha256);
	assert_int_equal(suite_against_itself(s, "z", &e), -1);
	assert_int_equal(e.kind, ERR_USAGE);
	assert_int_equal(suite_against_itself(s, "w", &e), 0);
	assert_int_equal(s->n_variants, 2);
	assert_string_equal(s->variants[0].name, "w");
	assert_string_equal(s->variants[1].name, "w-again");
	assert_string_equal(s->variants[1].env[0].value, "1");
	assert_true(s->has_compare && s->compare[0] == 0 && s->compare[1] == 1);
	assert_int_equal(s->n_known, 1);
	assert_non_null(suite_known_of(s, 0, 1));
	assert_null(suite_known_of(s, 1, 0));
	assert_string_not_equal(s->sha256, sha256);
	suite_free(s);
}

static void what_is_known_wrongly_is_refused(void **state)
{
	static const struct {
		const char *entries, *place, *words;
	} cases[] = {
		{"  - {package: a, expect: broken, reason: r}\n", "7:26", "fail, flaky, skip"},
		{"  - {package: a, expect: fail}\n", "7:5", "reason"},
		{"  - {package: a, expect: fail, reason: r, until: 2026-02-30}\n", "7:50",
		 "is no day"},
		{"  - {package: a, expect: fail, reason: r, until: tomorrow}\n", "7:50",
		 "is no day"},
		{"  - {package: a, expect: fail, reason: r, variant: z}\n", "7:52", "variant"},
		{"  - {package: a, expect: fail, reason: r}\n  - {package: a, expect: skip, "
		 "reason: r, variant: v}\n",
		 "8:5", "a is known already"},
	};
	for (size_t i = 0; i < countof(cases); i++) {
		auto_free char *text =
			own_fmt("%s%sknown:\n%s", SUITE_HEAD, SUITE_REST, cases[i].entries);
		desk_refuses(*state, text, cases[i].place, cases[i].words);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_suite_against_itself_has_one_variant_twice,
						desk_open, desk_close),
		cmocka_unit_test_setup_teardown(what_is_known_wrongly_is_refused, desk_open,
						desk_close),
		cmocka_unit_test_setup_teardown(
			what_is_known_is_of_packages_and_variants_and_has_its_day, desk_open,
			desk_close),
		cmocka_unit_test_setup_teardown(a_small_suite_gets_the_defaults, desk_open,
						desk_close),
		cmocka_unit_test_setup_teardown(units_are_understood, desk_open, desk_close),
		cmocka_unit_test_setup_teardown(a_limit_can_be_taken_away, desk_open, desk_close),
		cmocka_unit_test_setup_teardown(
			two_variants_are_compared_unless_the_suite_says_otherwise, desk_open,
			desk_close),
		cmocka_unit_test_setup_teardown(aliases_stand_for_what_they_name, desk_open,
						desk_close),
		cmocka_unit_test_setup_teardown(texts_are_taken_as_they_are_written, desk_open,
						desk_close),
		cmocka_unit_test_setup_teardown(a_path_is_relative_to_the_file_that_says_it,
						desk_open, desk_close),
		cmocka_unit_test_setup_teardown(a_mount_shows_a_directory_or_a_file, desk_open,
						desk_close),
		cmocka_unit_test_setup_teardown(
			every_layer_that_is_named_is_noted_once_with_its_place, desk_open,
			desk_close),
		cmocka_unit_test_setup_teardown(the_digest_covers_every_text, desk_open,
						desk_close),
		cmocka_unit_test_setup_teardown(a_file_too_large_is_not_read, desk_open,
						desk_close),
		cmocka_unit_test_setup_teardown(what_is_no_file_is_not_read, desk_open, desk_close),
		cmocka_unit_test_setup_teardown(every_beginning_of_a_suite_is_a_suite_or_refused,
						desk_open, desk_close),
		cmocka_unit_test(the_suites_of_the_house_are_right),
		cmocka_unit_test(the_npm_ecosystem_harvests_only_what_ran_no_code_of_packages),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
