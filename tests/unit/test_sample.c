/* orchestrator/sample.c: what is run again to check. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/own.h"
#include "orchestrator/sample.h"
#include "orchestrator/sim.h"

#include <math.h>

enum { PACKAGES = 220 };

/* As packages are: a few cost as much as all others together. */
static void made(struct sample *list, size_t n, double sigma)
{
	uint64_t seed = 7;
	for (size_t i = 0; i < n; i++) {
		double radius = sqrt(-2 * log(sim_random(&seed)));
		double normal = radius * cos(6.283185307179586 * sim_random(&seed));
		list[i] = (struct sample){i, (uint64_t)(1e6 * exp(sigma * normal)), 1, false};
	}
}

static size_t drawn(const struct sample *list, size_t n)
{
	size_t k = 0;
	for (size_t i = 0; i < n; i++)
		k += list[i].drawn;
	return k;
}

static double share(const struct sample *list, size_t n)
{
	double all = 0, some = 0;
	for (size_t i = 0; i < n; i++) {
		all += (double)list[i].cost;
		some += list[i].drawn ? (double)list[i].cost : 0;
	}
	return 100 * some / all;
}

static void so_many_are_drawn_as_were_asked_for(void **state)
{
	(void)state;
	struct sample list[PACKAGES];
	static const double percents[] = {0, 2, 3, 50, 99.9, 100};
	for (size_t p = 0; p < countof(percents); p++)
		for (uint64_t seed = 1; seed <= 20; seed++) {
			double wanted = PACKAGES * percents[p] / 100;
			made(list, PACKAGES, 1);
			sample_draw(list, PACKAGES, percents[p], false, seed);
			double k = (double)drawn(list, PACKAGES);
			assert_true(k > wanted - 1 && k < wanted + 1);
		}
}

static void of_few_one_is_drawn_where_that_is_wanted(void **state)
{
	(void)state;
	struct sample list[3];
	size_t none = 0;
	for (uint64_t seed = 1; seed <= 20; seed++) {
		made(list, 3, 1);
		sample_draw(list, 3, 2, false, seed);
		none += !drawn(list, 3);
		made(list, 3, 1);
		sample_draw(list, 3, 2, true, seed);
		assert_int_equal(drawn(list, 3), 1);
		made(list, 3, 1);
		sample_draw(list, 3, 0, true, seed);
		assert_int_equal(drawn(list, 3), 0);
	}
	assert_true(none >= 15);
	sample_draw(NULL, 0, 2, true, 1);
}

static void what_is_drawn_costs_about_its_share(void **state)
{
	(void)state;
	struct sample list[PACKAGES];
	for (uint64_t seed = 1; seed <= 100; seed++) {
		made(list, PACKAGES, 1.5);
		sample_draw(list, PACKAGES, 2, true, seed);
		double is = share(list, PACKAGES);
		assert_true(is > 1.5 && is < 2.5);
	}
}

/* Night after night: what ran has the newest run. */
static void each_has_its_turn(void **state)
{
	(void)state;
	struct sample list[PACKAGES];
	bool had[PACKAGES] = {false};
	size_t n_had = 0;
	double cost = 0;
	made(list, PACKAGES, 1.5);
	for (int64_t night = 2; night <= 101; night++) {
		for (size_t i = 0; i < PACKAGES; i++)
			list[i].drawn = false;
		sample_draw(list, PACKAGES, 2, true, (uint64_t)night);
		cost += share(list, PACKAGES);
		for (size_t i = 0; i < PACKAGES; i++) {
			if (!list[i].drawn)
				continue;
			list[i].last = night;
			n_had += !had[list[i].of];
			had[list[i].of] = true;
		}
	}
	assert_int_equal(n_had, PACKAGES);
	assert_true(cost / 100 > 1.5 && cost / 100 < 3);
}

static void the_same_seed_draws_the_same(void **state)
{
	(void)state;
	struct sample a[PACKAGES], b[PACKAGES];
	made(a, PACKAGES, 1);
	made(b, PACKAGES, 1);
	sample_draw(a, PACKAGES, 2, true, 5);
	sample_draw(b, PACKAGES, 2, true, 5);
	for (size_t i = 0; i < PACKAGES; i++)
		assert_true(a[i].of == b[i].of && a[i].drawn == b[i].drawn);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(so_many_are_drawn_as_were_asked_for),
		cmocka_unit_test(of_few_one_is_drawn_where_that_is_wanted),
		cmocka_unit_test(what_is_drawn_costs_about_its_share),
		cmocka_unit_test(each_has_its_turn),
		cmocka_unit_test(the_same_seed_draws_the_same),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
