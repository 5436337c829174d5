/* orchestrator/sim.c, replay_file.c: makespans against their lower bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/own.h"
#include "orchestrator/replay.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* n packages whose jobs take log-normally long (median 60 s, at most an hour), as suites do: two
 * variants each, behind a trunk of a tenth that waits for a network where `fetch`. */
static struct sim ecosystem(size_t n, bool fetch, uint64_t seed)
{
	struct sim s = {.n_packages = n};
	s.units = own_calloc(3 * n, sizeof(*s.units));
	s.phases = own_calloc(3 * n, sizeof(*s.phases));
	for (uint32_t p = 0; p < n; p++) {
		double normal = sqrt(-2 * log(sim_random(&seed))) *
				cos(6.283185307179586 * sim_random(&seed));
		double ms = fmin(60000 * exp(normal), 3600000);
		uint32_t trunk = RANK_NONE;
		if (fetch) {
			trunk = (uint32_t)s.n_units;
			s.phases[s.n_phases] = (struct sim_phase){(uint64_t)(ms / 10),
								  (uint64_t)(ms / 10),
								  {{[SCHED_FETCH] = 1}}};
			s.units[s.n_units++] =
				(struct sim_unit){p, RANK_NONE, (uint32_t)s.n_phases++, 1};
		}
		for (int v = 0; v < 2; v++) {
			uint64_t took = (uint64_t)(ms * (0.9 + 0.2 * sim_random(&seed)));
			s.phases[s.n_phases] = (struct sim_phase){took, took, {{[SCHED_CPU] = 1}}};
			s.units[s.n_units++] =
				(struct sim_unit){p, trunk, (uint32_t)s.n_phases++, 1};
		}
	}
	return s;
}

static double ratio(const struct sim *s, uint64_t slots, enum sched_policy policy)
{
	const struct sim_conf conf = {slots, slots, policy, 3};
	struct sim_outcome o;
	sim_run(s, &conf, &o);
	assert_true(o.makespan_ms >= o.bound_ms);
	return (double)o.makespan_ms / (double)o.bound_ms;
}

static void known_durations_come_within_a_fiftieth_of_the_bound(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 3; seed++) {
		struct sim s = ecosystem(1500, false, seed);
		for (uint64_t slots = 4; slots <= 64; slots *= 2)
			assert_true(ratio(&s, slots, POLICY_LPT) <= 1.02);
		sim_fini(&s);
	}
}

static void estimates_that_are_off_cost_a_twentieth_at_the_most(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 3; seed++) {
		struct sim s = ecosystem(1500, true, seed);
		sim_blur(&s, 0.5, seed);
		for (uint64_t slots = 4; slots <= 64; slots *= 2)
			assert_true(ratio(&s, slots, POLICY_LPT) <= 1.05);
		sim_fini(&s);
	}
}

static void longest_first_beats_the_others_where_order_matters(void **state)
{
	struct sim s = ecosystem(300, false, 5);
	(void)state;
	double lpt = ratio(&s, 32, POLICY_LPT);
	assert_true(lpt < ratio(&s, 32, POLICY_FIFO));
	assert_true(lpt < ratio(&s, 32, POLICY_SJF));
	assert_true(lpt < ratio(&s, 32, POLICY_RANDOM));
	sim_fini(&s);
}

static void one_slot_takes_all_the_time_there_is(void **state)
{
	struct sim s = ecosystem(50, false, 2);
	(void)state;
	for (enum sched_policy p = POLICY_LPT; p <= POLICY_SJF; p++)
		assert_true(ratio(&s, 1, p) == 1.0);
	sim_fini(&s);
}

static struct sim from(const char *lines, int rc, struct err *e)
{
	struct sim s;
	char path[] = "/tmp/assay-sim-XXXXXX";
	int fd = mkstemp(path);
	assert_true(fd >= 0 && write(fd, lines, strlen(lines)) == (ssize_t)strlen(lines));
	close(fd);
	assert_int_equal(replay_file(path, &s, e), rc);
	unlink(path);
	return s;
}

static void a_file_says_what_runs(void **state)
{
	struct err e = ERR_INIT;
	(void)state;
	struct sim s = from("{\"name\": \"a\", \"seconds\": 4, \"depends\": [\"b\"]}\n\n"
			    "{\"name\": \"b\", \"seconds\": 2.5, \"fetch\": 1, \"memory\": \"1G\", "
			    "\"expect\": 9}\n"
			    "{\"name\": \"c\", \"seconds\": 3, \"cpus\": 2}\n",
			    0, &e);
	const struct sim_conf conf = {2, 1, POLICY_LPT, 1};
	struct sim_outcome o;
	assert_int_equal(s.n_units, 3);
	assert_int_equal(s.phases[2].expect_ms, 9000);
	sim_run(&s, &conf, &o);
	assert_int_equal(o.chain_ms, 7500);
	assert_int_equal(o.share_ms, 6250);
	assert_int_equal(o.bound_ms, 7500);
	/* c has both processors while b fetches and until 3; then b, then a */
	assert_int_equal(o.makespan_ms, 9500);
	sim_fini(&s);
}

static void what_a_file_says_wrong_is_told_with_its_line(void **state)
{
	static const struct {
		const char *lines, *says;
	} wrong[] = {
		{"", "no jobs"},
		{"{\"name\": \"a\", \"seconds\": 1}\n{\"name\": \"a\", \"seconds\": 1}\n",
		 ":2: this name is there twice: a"},
		{"{\"name\": \"a\", \"seconds\": -1}\n", ":1: seconds: a number"},
		{"{\"name\": \"a\", \"seconds\": 1, \"cpu\": 1}\n", ":1: unknown key: cpu"},
		{"{\"name\": \"a\", \"seconds\": 1, \"cpus\": 0}\n", ":1: cpus"},
		{"{\"name\": \"a\", \"seconds\": 1, \"depends\": [\"b\"]}\n",
		 ":1: depends: there is no job b"},
		{"\n{\"name\"\n", ":2: this line is no JSON object"},
		{"[1]\n", ":1: a job is an object"},
	};
	(void)state;
	for (size_t i = 0; i < countof(wrong); i++) {
		struct err e = ERR_INIT;
		struct sim s = from(wrong[i].lines, -1, &e);
		assert_int_equal(e.kind, ERR_INPUT);
		assert_non_null(strstr(e.text, wrong[i].says));
		sim_fini(&s);
	}
}

static void many_jobs_are_simulated_at_once(void **state)
{
	(void)state;
	const char *jobs = getenv("ASSAY_TEST_JOBS"); /* 1000000: 4 s */
	size_t n = (jobs ? strtoul(jobs, NULL, 10) : 100000) / 2;
	struct sim s = ecosystem(n, false, 9);
	int64_t began = clock_mono_ns();
	double r = ratio(&s, 64, POLICY_LPT);
	printf("%zu jobs: %.2f s, %.4f of the bound\n", 2 * n,
	       (double)(clock_mono_ns() - began) / 1e9, r);
	assert_true(r < 1.001);
	sim_fini(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_durations_come_within_a_fiftieth_of_the_bound),
		cmocka_unit_test(estimates_that_are_off_cost_a_twentieth_at_the_most),
		cmocka_unit_test(longest_first_beats_the_others_where_order_matters),
		cmocka_unit_test(one_slot_takes_all_the_time_there_is),
		cmocka_unit_test(a_file_says_what_runs),
		cmocka_unit_test(what_a_file_says_wrong_is_told_with_its_line),
		cmocka_unit_test(many_jobs_are_simulated_at_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
