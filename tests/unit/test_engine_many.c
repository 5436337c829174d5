/* orchestrator/engine.c: a long run: what each job costs does not grow with those before it, and
 * nothing stays. ASSAY_TEST_PACKAGES makes it longer than a test should be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/engine_world.h"

#include "base/clock.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#define PACKAGES 150

static char (*names)[32];
static size_t most_open;

static size_t packages(void)
{
	const char *n = getenv("ASSAY_TEST_PACKAGES");
	return n ? strtoul(n, NULL, 10) : PACKAGES;
}

static size_t open_now(void)
{
	size_t n = 0;
	DIR *d = opendir("/proc/self/fd");
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

/* VmHWM and VmRSS, in KiB. */
static size_t memory(const char *what)
{
	char line[256];
	size_t kib = 0;
	auto_file FILE *f = fopen("/proc/self/status", "re");
	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, what, strlen(what)))
			kib = strtoul(line + strlen(what) + 1, NULL, 10);
	return kib;
}

/* Every fetch brings one file of its own. */
static struct fake_act fetches(const struct fake_seen *b)
{
	size_t n = open_now();
	most_open = n > most_open ? n : most_open;
	struct fake_act act = {.takes_ms = 1000, .output = 1000};
	if (!strcmp(b->phase, "fetch"))
		act.stores = names[strtoul(b->package + 1, NULL, 10)];
	return act;
}

static struct fake_act one_second(const struct fake_seen *b)
{
	(void)b;
	return (struct fake_act){.takes_ms = 1000};
}

static void each_of_many_jobs_has_one_result_and_leaves_nothing_open(void **state)
{
	struct world *w = *state;
	size_t n = packages();
	names = own_calloc(n, sizeof(*names));
	for (size_t i = 0; i < n; i++)
		snprintf(names[i], sizeof(names[i]), "of-p%zu", i);
	world_packages(w, n, true);
	fake.play = fetches;
	size_t open_before = open_now();
	most_open = 0;
	int64_t began = clock_real_ms();
	if (world_run(w, 8))
		fail_msg("%s", w->err.text);
	print_message(
		"%zu jobs: %lld ms, at most %zu descriptors more, RSS %zu KiB, peak %zu KiB\n",
		2 * n, (long long)(clock_real_ms() - began), most_open - open_before,
		memory("VmRSS:"), memory("VmHWM:"));
	assert_int_equal(w->outcome.done, 2 * n);
	assert_int_equal(w->n_news, 2 * n);
	assert_int_equal(world_number(w, "SELECT count(*) FROM result"), 2 * n);
	assert_int_equal(world_number(w, "SELECT count(DISTINCT attempt) FROM result"), 2 * n);
	assert_int_equal(world_number(w, "SELECT count(*) FROM phase WHERE ended_ms IS NULL"), 0);
	assert_int_equal(world_number(w, "SELECT count(*) FROM entry WHERE type = 'f'"), n);
	assert_int_equal(world_number(w, "SELECT sum(bytes) FROM frame"),
			 world_number(w, "SELECT sum(bytes) FROM segment"));
	assert_true(most_open - open_before < 1000);
	free(names);
}

/* The soft limit leaves room for a few more than are open already. */
static void many_boxes_at_once_need_many_descriptors(void **state)
{
	struct world *w = *state;
	struct rlimit was, small;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
	small = (struct rlimit){.rlim_cur = open_now() + 6, .rlim_max = was.rlim_max};
	world_packages(w, 200, true);
	fake.play = one_second;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &small), 0);
	int rc = world_run(w, 200);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
	if (rc)
		fail_msg("%s", w->err.text);
	assert_int_equal(fake.most, 200);
	assert_int_equal(w->outcome.done, 400);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			each_of_many_jobs_has_one_result_and_leaves_nothing_open, world_set_up,
			world_tear_down),
		cmocka_unit_test_setup_teardown(many_boxes_at_once_need_many_descriptors,
						world_set_up, world_tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
