/* orchestrator/kept.c: what goes when not all can stay. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "orchestrator/kept.h"

#include <string.h>

#define MIB ((int64_t)1 << 20)

static int by_number(const void *pa, const void *pb)
{
	const int64_t *a = pa, *b = pb;
	return *a < *b ? -1 : *a > *b;
}

/* The phases that go, ascending, as text. */
static const char *chosen(const struct db_kept *list, size_t n, uint64_t bytes)
{
	static char text[200];
	struct db_kept copy[16];
	int64_t out[16];
	size_t at = 0;
	assert_true(n <= 16);
	memcpy(copy, list, n * sizeof(*list));
	size_t n_out = kept_choose(copy, n, bytes, out);
	qsort(out, n_out, sizeof(*out), by_number);
	text[0] = '\0';
	for (size_t i = 0; i < n_out; i++)
		at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%lld", i ? " " : "",
				       (long long)out[i]);
	return text;
}

static struct db_kept one(int64_t phase, int64_t upon, int64_t mib, int64_t saves_ms)
{
	return (struct db_kept){.phase = phase,
				.upon = upon,
				.bytes = mib * MIB,
				.saves_ms = saves_ms};
}

static void all_stays_where_there_is_room(void **state)
{
	const struct db_kept list[] = {one(1, 0, 5, 1), one(2, 0, 5, 1)};
	(void)state;
	assert_string_equal(chosen(list, 2, 10 * MIB), "");
	assert_string_equal(chosen(list, 0, 0), "");
}

static void what_saves_least_for_its_size_goes_first(void **state)
{
	const struct db_kept list[] = {one(1, 0, 10, 1000), one(2, 0, 1, 500), one(3, 0, 10, 900)};
	(void)state;
	assert_string_equal(chosen(list, 3, 12 * MIB), "3");
	assert_string_equal(chosen(list, 3, 10 * MIB), "1 3");
}

static void what_was_of_use_is_likely_to_be_again(void **state)
{
	struct db_kept list[] = {one(1, 0, 10, 1000), one(2, 0, 10, 1000)};
	(void)state;
	list[0].chances = list[1].chances = 10;
	list[1].uses = 9;
	assert_string_equal(chosen(list, 2, 10 * MIB), "1");
	/* never asked is better than often asked and never used */
	list[1].uses = 0;
	list[0].chances = 0;
	assert_string_equal(chosen(list, 2, 10 * MIB), "2");
}

static void what_goes_takes_along_what_lies_upon_it(void **state)
{
	const struct db_kept list[] = {one(1, 0, 10, 10), one(2, 1, 1, 20), one(3, 2, 1, 5),
				       one(4, 0, 10, 5000)};
	(void)state;
	/* the whole pile is worth less than the other */
	assert_string_equal(chosen(list, 4, 11 * MIB), "1 2 3");
	/* a pile that is worth less than its top goes whole */
	assert_string_equal(chosen(list, 4, 21 * MIB), "1 2 3");
}

static void a_cheap_fetch_stays_below_a_dear_build(void **state)
{
	const struct db_kept list[] = {one(1, 0, 10, 1), one(2, 1, 1, 100000), one(3, 0, 10, 500)};
	(void)state;
	assert_string_equal(chosen(list, 3, 11 * MIB), "3");
}

static void what_lies_upon_nothing_is_worth_nothing(void **state)
{
	const struct db_kept list[] = {one(5, 4, 1, 1000000), one(6, 0, 10, 1)};
	(void)state;
	assert_string_equal(chosen(list, 2, 10 * MIB), "5");
}

static void what_is_in_use_stays_and_what_it_lies_upon(void **state)
{
	struct db_kept list[] = {one(1, 0, 10, 0), one(2, 1, 10, 0), one(3, 1, 10, 0),
				 one(4, 0, 10, 90000)};
	(void)state;
	list[1].in_use = true;
	assert_string_equal(chosen(list, 4, 0), "3 4");
}

static void half_of_what_would_be_free_is_enough(void **state)
{
	(void)state;
	assert_int_equal(kept_budget(100, 1000, 0), 100);
	assert_int_equal(kept_budget(10000, 1000, 0), 500);
	assert_int_equal(kept_budget(10000, 1000, 3000), 2000);
	assert_int_equal(kept_budget(10000, UINT64_MAX, 3000), 10000);
}

/* A random forest: whatever is asked for, the rest fits, nothing goes twice, nothing stays upon
 * what went, nothing in use goes. */
static void whatever_there_is_the_rest_fits(void **state)
{
	uint64_t x = 42;
	(void)state;
	for (int round = 0; round < 2000; round++) {
		struct db_kept list[16], copy[16];
		int64_t out[16];
		uint64_t left = 0, used = 0;
		size_t n = 1 + (size_t)round % 16;
		for (size_t i = 0; i < n; i++) {
			x = x * 6364136223846793005u + 1442695040888963407u;
			list[i] = one((int64_t)i + 1,
				      (x >> 33) % 3 ? (int64_t)((x >> 40) % (i + 1)) : 0,
				      (int64_t)((x >> 45) % 9), (int64_t)((x >> 50) % 1000));
			list[i].in_use = (x >> 60) == 3;
		}
		memcpy(copy, list, sizeof(list));
		size_t n_out = kept_choose(copy, n, 8 * MIB, out);
		bool gone[17] = {0};
		for (size_t i = 0; i < n_out; i++) {
			assert_false(gone[out[i]]);
			gone[out[i]] = true;
			assert_false(list[out[i] - 1].in_use);
		}
		for (size_t i = 0; i < n; i++) {
			left += gone[i + 1] ? 0 : (uint64_t)list[i].bytes;
			if (!gone[i + 1])
				assert_false(gone[list[i].upon]);
			for (size_t k = i + 1; list[i].in_use && k;) {
				used += (uint64_t)list[k - 1].bytes;
				k = (size_t)list[k - 1].upon;
			}
		}
		assert_true(left <= 8 * MIB + used);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_stays_where_there_is_room),
		cmocka_unit_test(what_saves_least_for_its_size_goes_first),
		cmocka_unit_test(what_was_of_use_is_likely_to_be_again),
		cmocka_unit_test(what_goes_takes_along_what_lies_upon_it),
		cmocka_unit_test(a_cheap_fetch_stays_below_a_dear_build),
		cmocka_unit_test(what_lies_upon_nothing_is_worth_nothing),
		cmocka_unit_test(what_is_in_use_stays_and_what_it_lies_upon),
		cmocka_unit_test(half_of_what_would_be_free_is_enough),
		cmocka_unit_test(whatever_there_is_the_rest_fits),
	};
	return cmocka_run_group_tests_name("kept", tests, NULL, NULL);
}
