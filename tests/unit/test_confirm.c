/* The statistics of a comparison: exact numbers against such that were worked out by hand, the laws
 * of the sequential test, and a year of nights with known truth. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/own.h"
#include "orchestrator/confirm.h"
#include "orchestrator/stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define near(a, b) assert_true(fabs((a) - (b)) < 1e-9)

static void fisher_is_exact(void **state)
{
	(void)state;
	/* n passes of n against none of n: one table of "2n over n" is as far out */
	static const double even[] = {1. / 2, 1. / 6, 1. / 20, 1. / 70, 1. / 252};
	for (unsigned n = 1; n <= countof(even); n++)
		near(stats_fisher(n, n, 0, n), even[n - 1]);
	near(stats_fisher(4, 5, 0, 5), 5. / 210);
	near(stats_fisher(6, 6, 1, 6), 6. / 792);
	near(stats_fisher(6, 6, 2, 6), 15. / 495);
	/* the lady who was offered tea: 3 of 4 right are 17 of 70 */
	near(stats_fisher(3, 4, 1, 4), 17. / 70);
	near(stats_fisher(3, 3, 3, 3), 1);
	near(stats_fisher(0, 3, 0, 3), 1);
	near(stats_fisher(0, 0, 0, 3), 1);
}

/* All tables with given margins are as likely as they are: the tails add up. */
static void fisher_s_tail_is_of_a_distribution(void **state)
{
	(void)state;
	for (unsigned n_a = 1; n_a < 8; n_a++)
		for (unsigned n_b = 1; n_b < 8; n_b++)
			for (unsigned a = 0; a <= n_a; a++)
				for (unsigned b = 0; b <= n_b; b++) {
					double p = stats_fisher(a, n_a, b, n_b);
					assert_true(p > 0 && p <= 1);
					/* seen from the other side: all but this table, and this
					 * one twice */
					double other = stats_fisher(n_b - b, n_b, n_a - a, n_a);
					near(p, other);
					if (b > 0 && a < n_a) /* rarer is less likely */
						assert_true(stats_fisher(a + 1, n_a, b - 1, n_b) <
							    p);
				}
}

static void a_beta_tail_is_worked_out_as_by_hand(void **state)
{
	(void)state;
	near(stats_beta_tail(0, 5, 1, 1), 1);
	/* with a flat Beta(1, 1) each number of failures is as likely as any other */
	for (unsigned n = 1; n < 9; n++)
		for (unsigned k = 0; k <= n; k++)
			near(stats_beta_tail(k, n, 1, 1), (double)(n + 1 - k) / (n + 1));
	near(stats_beta_tail(2, 2, 0.1, 9.9), 0.1 / 10 * 1.1 / 11);
	near(stats_beta_tail(3, 2, 1, 1), 0);
}

static void a_failure_is_a_flake_once_a_pass_is_seen_after_it(void **state)
{
	(void)state;
	struct flake f = {0};
	near(flake_rate(&f), 0.01);
	flake_night(&f, 0, 1);
	near(f.failed, 0);
	assert_false(flake_known(&f));
	flake_night(&f, 1, 0);
	assert_true(f.failed > 0.9 && f.failed < 1);
	assert_true(flake_known(&f));
	assert_int_equal(f.streak, 0);
	/* beside it, too */
	struct flake g = {0};
	flake_night(&g, 3, 1);
	near(g.failed, 1);
	near(g.passed, 3);
}

static void what_fails_for_nights_on_end_is_broken_not_flaky(void **state)
{
	(void)state;
	struct flake f = {0};
	for (int i = 0; i <= FLAKE_STREAK; i++)
		flake_night(&f, 0, 1);
	flake_night(&f, 1, 0);
	near(f.failed, 0);
	flake_night(&f, 0, 1);
	flake_changed(&f);
	flake_night(&f, 1, 0);
	near(f.failed, 0);
}

static void a_flake_that_was_mended_is_forgiven(void **state)
{
	(void)state;
	struct flake f = {0};
	for (int i = 0; i < 40; i++)
		flake_night(&f, 1, i % 4 == 0);
	assert_true(flake_rate(&f) > 0.1);
	double before = f.failed;
	for (int i = 0; i < FLAKE_HALF_LIFE; i++)
		flake_night(&f, 1, 0);
	near(f.failed, before / 2);
	for (int i = 0; i < 200; i++)
		flake_night(&f, 1, 0);
	assert_false(flake_known(&f));
	assert_true(flake_rate(&f) < 0.01);
}

/* Does as it is told, with sides that behave as these functions say; the last step. */
struct world {
	bool (*good)(unsigned n), (*bad)(unsigned n);
	unsigned repeats, alone;
};

static bool passes(unsigned n)
{
	(void)n;
	return true;
}
static bool fails(unsigned n)
{
	(void)n;
	return false;
}
static bool every_other(unsigned n)
{
	return n % 2;
}

static struct confirm_step follow(struct world *w, struct confirm_seen *s)
{
	for (;;) {
		struct confirm_step step = confirm_next(&confirm_defaults, s);
		if (step.move == CONFIRM_STOP)
			return step;
		bool good = step.move == CONFIRM_GOOD;
		struct confirm_tally *t = good ? &s->good : &s->bad;
		/* the sides take turns, the good one first */
		assert_int_equal(s->good.n - s->bad.n, good ? 0 : 1);
		t->passes += (good ? w->good : w->bad)(t->n);
		t->n++;
		w->repeats++;
		w->alone += step.alone;
		assert_true(w->repeats < 100);
	}
}

static void a_regression_is_confirmed_by_four_repeats_of_each_side_the_last_alone(void **state)
{
	(void)state;
	struct world w = {.good = passes, .bad = fails};
	struct confirm_seen s = {0};
	struct confirm_step step = follow(&w, &s);
	assert_int_equal(step.confidence, CONFIDENCE_CONFIRMED);
	assert_false(step.unstable);
	near(step.p, 1. / 70);
	assert_int_equal(w.repeats, 8);
	assert_int_equal(w.alone, 1);
}

static void what_passes_when_it_is_repeated_is_unstable_and_soon_over(void **state)
{
	(void)state;
	struct world w = {.good = passes, .bad = passes};
	struct confirm_seen s = {0};
	struct confirm_step step = follow(&w, &s);
	assert_true(step.unstable);
	assert_int_equal(step.confidence, CONFIDENCE_SINGLE);
	assert_true(w.repeats <= 4);
}

static unsigned good_runs;
static bool fails_once(unsigned n)
{
	(void)n;
	return good_runs++ != 1;
}

/* A failure of the side that is well asks for more, and does not hide that the other is broken. */
static void a_good_side_that_wavers_is_given_more_runs(void **state)
{
	(void)state;
	struct world w = {.good = fails_once, .bad = fails};
	struct confirm_seen s = {0};
	good_runs = 0;
	struct confirm_step step = follow(&w, &s);
	assert_int_equal(step.confidence, CONFIDENCE_CONFIRMED);
	assert_true(s.good.n > confirm_defaults.most);
}

static void sides_that_both_waver_are_not_a_regression(void **state)
{
	(void)state;
	struct world w = {.good = every_other, .bad = every_other};
	struct confirm_seen s = {0};
	struct confirm_step step = follow(&w, &s);
	assert_true(step.unstable);
	assert_int_not_equal(step.confidence, CONFIDENCE_CONFIRMED);
}

static void a_package_known_to_be_flaky_needs_more_evidence(void **state)
{
	(void)state;
	struct world plain = {.good = passes, .bad = fails}, known = plain;
	struct confirm_seen s = {0}, t = s;
	for (int i = 0; i < 40; i++) /* half of its runs fail */
		flake_night(&t.known, 1, 1);
	follow(&plain, &s);
	struct confirm_step step = follow(&known, &t);
	assert_int_equal(step.confidence, CONFIDENCE_CONFIRMED);
	assert_true(known.repeats > plain.repeats);
	assert_true(known.repeats <= 2 * confirm_defaults.most_flaky);
}

/* Nothing is confirmed against a package that always failed now and then: what its history
 * explains is at most likely. */
static void what_history_explains_is_likely_at_the_most(void **state)
{
	(void)state;
	struct world w = {.good = passes, .bad = fails};
	struct confirm_seen s = {.good = {1, 1},
				 .bad = {1, 0},
				 .known = {.failed = 90, .passed = 10}};
	struct confirm_step step = follow(&w, &s);
	assert_int_not_equal(step.confidence, CONFIDENCE_CONFIRMED);
}

static void a_time_out_near_its_limit_is_repeated_alone_by_processor_time(void **state)
{
	(void)state;
	struct confirm_seen s = {.good = {2, 2}, .bad = {1, 0}, .near_limit = true};
	struct confirm_step step = confirm_next(&confirm_defaults, &s);
	assert_int_equal(step.move, CONFIRM_BAD);
	assert_true(step.alone && step.by_cpu);
	s.good = (struct confirm_tally){1, 1};
	step = confirm_next(&confirm_defaults, &s);
	assert_int_equal(step.move, CONFIRM_GOOD);
	assert_false(step.alone || step.by_cpu);
	assert_true(confirm_near(80, 100));
	assert_false(confirm_near(79, 100));
	assert_false(confirm_near(79, 0));
}

/* Over everything that can be seen: it ends, and what it says can be justified. */
static void every_sight_has_a_step(void **state)
{
	(void)state;
	for (unsigned g = 0; g <= 12; g++)
		for (unsigned gp = 0; gp <= g; gp++)
			for (unsigned b = 0; b <= 12; b++)
				for (unsigned bp = 0; bp <= b; bp++) {
					struct confirm_seen s = {.good = {g, gp}, .bad = {b, bp}};
					struct confirm_step step =
						confirm_next(&confirm_defaults, &s);
					assert_true(step.p >= 0 && step.p <= 1);
					if (step.confidence == CONFIDENCE_CONFIRMED) {
						assert_int_equal(step.move, CONFIRM_STOP);
						assert_true(step.p <= confirm_defaults.p);
					}
					unsigned most =
						gp < g && !bp ? 10 : 5; /* the good side wavers */
					if (bp >= CONFIRM_PASSES || (g >= most && b >= most))
						assert_int_equal(step.move, CONFIRM_STOP);
					s.lost = 6;
					step = confirm_next(&confirm_defaults, &s);
					assert_int_equal(step.move, CONFIRM_STOP);
				}
}

static void confidence_goes_to_text_and_back(void **state)
{
	(void)state;
	static const char *const words[] = {"single", "likely", "confirmed"};
	enum confidence c;
	for (unsigned i = 0; i < CONFIDENCE_COUNT; i++) {
		assert_string_equal(confidence_name((enum confidence)i), words[i]);
		assert_int_equal(confidence_parse(words[i], &c), 0);
		assert_int_equal(c, i);
	}
	assert_int_equal(confidence_parse("sure", &c), -1);
}

/* ---- nights with known truth ---- */

enum { PACKAGES = 10000, FLAKY = 500, REAL = 50, RATE = 10 /* percent */ };

static uint64_t dice = 20261128;

static double roll(void) /* splitmix64, S. Vigna 2015 */
{
	uint64_t z = (dice += 0x9e3779b97f4a7c15u);
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return (double)((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

static bool flaky(size_t package)
{
	return package < FLAKY;
}

static bool run_passes(size_t package, bool broken)
{
	return !broken && (!flaky(package) || roll() * 100 >= RATE);
}

struct nights {
	size_t alarms, false_alarms, broken, found, found_flaky, broken_flaky, repeats, single;
};

/* A night: every package once on each side, REAL of them broken on the next one; candidates are
 * followed to their end. */
static void night(struct flake *known, struct nights *sum)
{
	bool *broken = own_calloc(PACKAGES, sizeof(*broken));
	for (size_t i = 0; i < REAL; i++)
		broken[(size_t)(roll() * PACKAGES)] = true;
	for (size_t i = 0; i < PACKAGES; i++) {
		struct confirm_seen s = {.known = known[i]};
		bool good = run_passes(i, false), bad = run_passes(i, broken[i]);
		struct confirm_step step = {.move = CONFIRM_STOP};
		sum->broken += broken[i];
		sum->broken_flaky += broken[i] && flaky(i);
		bool candidate = good && !bad;
		sum->single += candidate && !broken[i];
		while (candidate && (step = confirm_next(&confirm_defaults, &s)).move) {
			struct confirm_tally *t = step.move == CONFIRM_GOOD ? &s.good : &s.bad;
			t->passes += run_passes(i, t == &s.bad && broken[i]);
			t->n++;
			sum->repeats++;
		}
		bool confirmed = step.confidence == CONFIDENCE_CONFIRMED;
		sum->alarms += confirmed;
		sum->false_alarms += confirmed && !broken[i];
		sum->found += confirmed && broken[i] && !flaky(i);
		sum->found_flaky += confirmed && broken[i] && flaky(i);
		if (!confirmed) /* the next night has something else that is broken */
			flake_night(&known[i], s.bad.passes + bad, s.bad.n - s.bad.passes + !bad);
	}
	free(broken);
}

static void hardly_a_false_alarm_in_ten_nights_and_no_real_one_missed(void **state)
{
	(void)state;
	const char *wish = getenv("ASSAY_TEST_NIGHTS");
	int n = wish ? atoi(wish) : 60;
	struct flake *known = own_calloc(PACKAGES, sizeof(*known));
	struct nights sum = {0};
	for (int i = 0; i < n; i++)
		night(known, &sum);
	free(known);
	print_message(
		"%d nights of %d packages, %d flaky at %d %%, %d broken a night:\n"
		"  per night: %.3f false confirmed (single runs: %.1f), %.1f repeats (%.2f %% of "
		"the night's runs)\n"
		"  found: %.2f %% of deterministic regressions, %.1f %% of those of flaky "
		"packages\n",
		n, PACKAGES, FLAKY, RATE, REAL, (double)sum.false_alarms / n,
		(double)sum.single / n, (double)sum.repeats / n,
		100. * (double)sum.repeats / n / (2. * PACKAGES),
		100. * (double)sum.found / (double)(sum.broken - sum.broken_flaky),
		100. * (double)sum.found_flaky / (double)sum.broken_flaky);
	assert_true((double)sum.false_alarms / n <= 0.1);
	assert_true((double)sum.found >= 0.99 * (double)(sum.broken - sum.broken_flaky));
	assert_true((double)(sum.found + sum.found_flaky) >= 0.98 * (double)sum.broken);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fisher_is_exact),
		cmocka_unit_test(fisher_s_tail_is_of_a_distribution),
		cmocka_unit_test(a_beta_tail_is_worked_out_as_by_hand),
		cmocka_unit_test(a_failure_is_a_flake_once_a_pass_is_seen_after_it),
		cmocka_unit_test(what_fails_for_nights_on_end_is_broken_not_flaky),
		cmocka_unit_test(a_flake_that_was_mended_is_forgiven),
		cmocka_unit_test(
			a_regression_is_confirmed_by_four_repeats_of_each_side_the_last_alone),
		cmocka_unit_test(what_passes_when_it_is_repeated_is_unstable_and_soon_over),
		cmocka_unit_test(a_good_side_that_wavers_is_given_more_runs),
		cmocka_unit_test(sides_that_both_waver_are_not_a_regression),
		cmocka_unit_test(a_package_known_to_be_flaky_needs_more_evidence),
		cmocka_unit_test(what_history_explains_is_likely_at_the_most),
		cmocka_unit_test(a_time_out_near_its_limit_is_repeated_alone_by_processor_time),
		cmocka_unit_test(every_sight_has_a_step),
		cmocka_unit_test(confidence_goes_to_text_and_back),
		cmocka_unit_test(hardly_a_false_alarm_in_ten_nights_and_no_real_one_missed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
