/* tests/data/suites: files that are wrong, each with the beginning of what must be said about it in
 * its first line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "orchestrator/suite.h"

#include <dirent.h>
#include <string.h>

#define EXPECT "# expect: "

static int only_yaml(const struct dirent *d)
{
	size_t n = strlen(d->d_name);
	return n > 5 && !strcmp(d->d_name + n - 5, ".yaml");
}

static char *first_line(const char *name)
{
	auto_file FILE *f = fopen(name, "re");
	char line[1024];
	assert_non_null(f);
	assert_non_null(fgets(line, sizeof(line), f));
	line[strcspn(line, "\n")] = '\0';
	return own_dup(line);
}

static void each_wrong_file_is_told_where_it_is_wrong(void **state)
{
	(void)state;
	struct dirent **names;
	int n = scandir(".", &names, only_yaml, alphasort), wrong = 0;
	assert_true(n > 150);
	for (int i = 0; i < n; i++) {
		struct err e = ERR_INIT;
		auto_free char *line = first_line(names[i]->d_name);
		assert_memory_equal(line, EXPECT, strlen(EXPECT));
		const char *expect = line + strlen(EXPECT);
		struct suite *s = suite_load(names[i]->d_name, &e);
		if (s || e.kind != ERR_INPUT || !*expect ||
		    strncmp(e.text, expect, strlen(expect))) {
			print_error("%s\n  expected %s\n  got      %s\n", names[i]->d_name, expect,
				    s ? "a suite" : e.text);
			wrong++;
		}
		suite_free(s);
		free(names[i]);
	}
	free(names);
	assert_int_equal(wrong, 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_wrong_file_is_told_where_it_is_wrong)};
	unsetenv("ASSAY_DATA");
	if (chdir(ASSAY_SOURCE "/tests/data/suites"))
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
