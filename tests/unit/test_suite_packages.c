/* Packages written in the suite, listed by files and printed by commands. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "tests/unit/suite_text.h"

#include <signal.h>

#define REST "variants: [{name: v}]\nphases: [{name: t, run: \"true\"}]\n"

static void is_package(const struct suite *s, size_t i, const char *id, const char *name,
		       const char *version)
{
	assert_true(i < s->n_packages);
	assert_string_equal(s->packages[i].id, id);
	assert_string_equal(s->packages[i].name, name);
	assert_string_equal(s->packages[i].version, version);
}

static void a_spec_ends_with_its_version(void **state)
{
	struct suite *s =
		desk_suite(*state, SUITE_HEAD
			   "packages:\n  - semver@7.5.4\n  - \"@scope/name@1.2.3\"\n  - plain\n"
			   "  - \"@scope/bare\"\n  - a@npm:b@2\n" REST);
	assert_int_equal(s->n_packages, 5);
	is_package(s, 0, "semver", "semver", "7.5.4");
	is_package(s, 1, "@scope/name", "@scope/name", "1.2.3");
	is_package(s, 2, "plain", "plain", "");
	is_package(s, 3, "@scope/bare", "@scope/bare", "");
	is_package(s, 4, "a@npm:b", "a@npm:b", "2");
	suite_free(s);
}

static void packages_depend_on_others_by_id(void **state)
{
	struct desk *d = *state;
	struct suite *s =
		desk_suite(d, SUITE_HEAD "packages:\n  - {id: x, name: a, depends: [b, c]}\n"
					 "  - {name: b, depends: [x]}\n  - c@1\n" REST);
	assert_int_equal(s->packages[0].n_depends, 2);
	assert_int_equal(s->packages[0].depends[1], 2);
	assert_int_equal(s->packages[1].depends[0], 0);
	assert_int_equal(s->packages[2].n_depends, 0);
	suite_free(s);
	desk_refuses(d, SUITE_HEAD "packages:\n  - {name: a, depends: [z]}\n" REST, "4:25",
		     "'z', which is no package");
}

static void a_mapping_says_everything_about_a_package(void **state)
{
	struct desk *d = *state;
	desk_write(d, "locks/a.json", "{}");
	struct suite *s = desk_suite(
		d, SUITE_HEAD
		"packages:\n  - {id: load:a, name: a, version: 1.10, weight: 7, env: {T: \"x "
		"y\"},\n"
		"     files: {package-lock.json: locks/a.json, sub/b: ./locks/a.json}}\n" REST);
	const struct suite_package *p = &s->packages[0];
	auto_free char *path = own_fmt("%s/locks/a.json", d->path),
		       *where = own_fmt("%s/suite.yaml:4:5", d->path);
	is_package(s, 0, "load:a", "a", "1.10");
	assert_int_equal(p->weight, 7);
	assert_string_equal(p->env[0].value, "x y");
	assert_int_equal(p->n_files, 2);
	assert_string_equal(p->files[0].name, "package-lock.json");
	assert_string_equal(p->files[0].path, path);
	assert_string_equal(p->files[1].name, "sub/b");
	assert_string_equal(p->where, where);
	suite_free(s);
}

static void a_text_file_has_a_spec_a_line(void **state)
{
	struct desk *d = *state;
	desk_write(d, "lists/a.txt", "# more\n\na@1 \r\n@s/b@2\nc");
	struct suite *s =
		desk_suite(d, SUITE_HEAD "packages: [first@0, {file: lists/a.txt}, last]\n" REST);
	auto_free char *where = own_fmt("%s/lists/a.txt:4:1", d->path);
	assert_int_equal(s->n_packages, 5);
	is_package(s, 0, "first", "first", "0");
	is_package(s, 1, "a", "a", "1");
	is_package(s, 2, "@s/b", "@s/b", "2");
	is_package(s, 3, "c", "c", "");
	is_package(s, 4, "last", "last", "");
	assert_string_equal(s->packages[2].where, where);
	suite_free(s);
}

static void a_jsonl_file_has_an_object_a_line_and_its_paths_are_its_own(void **state)
{
	struct desk *d = *state;
	desk_write(d, "lists/lock", "{}");
	desk_write(d, "lists/a.jsonl",
		   "{\"name\": \"a\", \"version\": \"1\", \"weight\": 3, \"env\": {\"T\": "
		   "\"\\u00e9\"}}\n\n"
		   "{\"id\": \"x\", \"name\": \"b\", \"files\": {\"l\": \"lock\"}}\n");
	struct suite *s = desk_suite(d, SUITE_HEAD "packages: [{file: lists/a.jsonl}]\n" REST);
	auto_free char *path = own_fmt("%s/lists/lock", d->path);
	assert_int_equal(s->n_packages, 2);
	is_package(s, 0, "a", "a", "1");
	assert_int_equal(s->packages[0].weight, 3);
	assert_string_equal(s->packages[0].env[0].value, "\xc3\xa9");
	is_package(s, 1, "x", "b", "");
	assert_string_equal(s->packages[1].files[0].path, path);
	suite_free(s);
}

/* Lines with and without dependencies take turns: what the former said is looked up when the latter
 * are long forgotten. */
static void packages_of_a_file_depend_on_what_is_listed_later(void **state)
{
	struct desk *d = *state;
	struct err e = ERR_INIT, twice = ERR_INIT;
	desk_write(d, "a.jsonl",
		   "{\"name\": \"a\"}\n{\"name\": \"b\", \"depends\": [\"d\", \"a\"]}\n"
		   "{\"name\": \"c\", \"env\": {\"T\": \"1\"}}\n"
		   "{\"id\": \"d\", \"name\": \"b\", \"depends\": [\"c\"]}\n{\"name\": \"e\"}\n");
	struct suite *s = desk_suite(d, SUITE_HEAD "packages: [{file: a.jsonl}]\n" REST);
	assert_int_equal(s->n_packages, 5);
	assert_int_equal(s->packages[1].n_depends, 2);
	assert_int_equal(s->packages[1].depends[0], 3);
	assert_int_equal(s->packages[1].depends[1], 0);
	assert_string_equal(s->packages[2].env[0].value, "1");
	is_package(s, 3, "d", "b", "");
	assert_int_equal(s->packages[3].depends[0], 2);
	suite_free(s);
	desk_write(d, "a.jsonl",
		   "{\"name\": \"a\"}\n{\"name\": \"b\", \"depends\": [\"z\"]}\n"
		   "{\"name\": \"c\"}\n");
	assert_null(desk_try(d, "suite.yaml", &e));
	assert_non_null(strstr(e.text, "/a.jsonl:2:1: package b depends on 'z', which is no"));
	desk_write(d, "a.jsonl", "{\"name\": \"a\"}\n{\"name\": \"b\"}\n{\"name\": \"a\"}\n");
	assert_null(desk_try(d, "suite.yaml", &twice));
	assert_non_null(strstr(twice.text, "/a.jsonl:3:1: package a is there twice"));
	assert_non_null(strstr(twice.text, "/a.jsonl:1:1;"));
}

static void a_command_prints_packages_in_the_suites_directory(void **state)
{
	struct desk *d = *state;
	desk_write(d, "names", "{\"name\": \"a\"}\n{\"name\": \"b\", \"version\": \"2\"}\n");
	struct suite *s =
		desk_suite(d, SUITE_HEAD
			   "packages:\n  - command: cat names; echo '{\"name\":\"c\"}'\n" REST);
	auto_free char *where = own_fmt("%s/suite.yaml:4:14", d->path);
	assert_int_equal(s->n_packages, 3);
	is_package(s, 1, "b", "b", "2");
	is_package(s, 2, "c", "c", "");
	assert_string_equal(s->packages[2].where, where);
	suite_free(s);
}

static void a_command_reads_nothing_and_leaves_nothing_behind(void **state)
{
	struct desk *d = *state;
	struct suite *s = desk_suite(d, SUITE_HEAD
				     "packages:\n  - command: \"cat; sleep 6000 & echo "
				     "\\\"{\\\\\\\"name\\\\\\\":\\\\\\\"p$!\\\\\\\"}\\\"\"\n" REST);
	pid_t left = (pid_t)strtol(s->packages[0].name + 1, NULL, 10);
	assert_true(left > 1);
	int64_t end = clock_mono_ns() + (int64_t)300000000000;
	char state_of[64], line[256] = "";
	snprintf(state_of, sizeof(state_of), "/proc/%d/stat", (int)left);
	/* killed before suite_load returned; a zombie waits for whoever adopted it */
	while (!kill(left, 0) && clock_mono_ns() < end) {
		auto_file FILE *f = fopen(state_of, "re");
		if (!f || !fgets(line, sizeof(line), f) || strstr(line, ") Z"))
			break;
	}
	assert_true(clock_mono_ns() < end);
	suite_free(s);
}

static void a_command_has_its_time(void **state)
{
	int64_t begin = clock_mono_ns();
	desk_refuses(*state,
		     SUITE_HEAD
		     "packages:\n  - {command: \"trap '' TERM; sleep 6000\", time: 100ms}\n" REST,
		     "4:15", "too long");
	assert_true(clock_mono_ns() - begin < (int64_t)600000000000);
}

static void a_command_that_prints_without_end_is_ended(void **state)
{
	desk_refuses(*state, SUITE_HEAD "packages: [{command: \"yes\"}]\n" REST, "3:22",
		     "more than 64 MiB");
}

static void what_a_package_is_called_never_reaches_a_shell(void **state)
{
	struct desk *d = *state;
	struct suite *s =
		desk_suite(d, SUITE_HEAD "packages: [{name: \"$(touch made);`id`'\"}]\n" REST);
	assert_string_equal(s->packages[0].name, "$(touch made);`id`'");
	assert_int_equal(faccessat(d->fd, "made", F_OK, 0), -1);
	suite_free(s);
}

static void many_packages_are_no_trouble(void **state)
{
	struct desk *d = *state;
	auto_text struct text t = TEXT_INIT;
	for (unsigned i = 0; i < 50000; i++)
		text_addf(&t, "{\"name\": \"p%u\", \"version\": \"%u\"}\n", i, i);
	desk_write_n(d, "many.jsonl", t.p, t.n);
	struct suite *s = desk_suite(d, SUITE_HEAD "packages: [{file: many.jsonl}]\n" REST);
	assert_int_equal(s->n_packages, 50000);
	is_package(s, 49999, "p49999", "p49999", "49999");
	suite_free(s);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_spec_ends_with_its_version, desk_open,
						desk_close),
		cmocka_unit_test_setup_teardown(a_mapping_says_everything_about_a_package,
						desk_open, desk_close),
		cmocka_unit_test_setup_teardown(packages_depend_on_others_by_id, desk_open,
						desk_close),
		cmocka_unit_test_setup_teardown(a_text_file_has_a_spec_a_line, desk_open,
						desk_close),
		cmocka_unit_test_setup_teardown(
			a_jsonl_file_has_an_object_a_line_and_its_paths_are_its_own, desk_open,
			desk_close),
		cmocka_unit_test_setup_teardown(packages_of_a_file_depend_on_what_is_listed_later,
						desk_open, desk_close),
		cmocka_unit_test_setup_teardown(a_command_prints_packages_in_the_suites_directory,
						desk_open, desk_close),
		cmocka_unit_test_setup_teardown(a_command_reads_nothing_and_leaves_nothing_behind,
						desk_open, desk_close),
		cmocka_unit_test_setup_teardown(a_command_has_its_time, desk_open, desk_close),
		cmocka_unit_test_setup_teardown(a_command_that_prints_without_end_is_ended,
						desk_open, desk_close),
		cmocka_unit_test_setup_teardown(what_a_package_is_called_never_reaches_a_shell,
						desk_open, desk_close),
		cmocka_unit_test_setup_teardown(many_packages_are_no_trouble, desk_open,
						desk_close),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
