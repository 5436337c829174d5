/* orchestrator/retry.c: what is tried again, and when enough is enough. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "orchestrator/retry.h"

static bool again(enum reason reason, bool networked, unsigned tries, uint64_t *ms)
{
	const struct result r = {.status = reason_status(reason), .reason = reason};
	return retry_after(&r, networked, tries, ms);
}

static void trouble_of_ours_is_tried_three_times_and_waits_longer_each_time(void **state)
{
	uint64_t first = 0, second = 0, none = 7;
	(void)state;
	assert_true(again(REASON_BOX_START, false, 1, &first));
	assert_true(again(REASON_BOX_START, false, 2, &second));
	assert_int_equal(second, 2 * first);
	assert_false(again(REASON_BOX_START, false, 3, &none));
	assert_int_equal(none, 7);
}

static void a_network_that_failed_is_no_reason_where_there_was_none(void **state)
{
	uint64_t ms;
	(void)state;
	assert_true(again(REASON_NET_DENIED, true, 1, &ms));
	assert_false(again(REASON_NET_DENIED, false, 1, &ms));
}

/* What a package did is what it did. */
static void nothing_else_is_repeated(void **state)
{
	uint64_t ms;
	(void)state;
	for (unsigned r = 0; r < REASON_COUNT; r++)
		if (reason_status(r) != STATUS_INFRA && r != REASON_NET_DENIED)
			assert_false(again(r, true, 1, &ms));
	assert_false(again(REASON_HARNESS, true, 1, &ms));
}

static void eight_at_the_beginning_or_half_of_twenty_are_enough(void **state)
{
	struct breaker b = {.n = 0};
	(void)state;
	for (int i = 0; i < 7; i++)
		assert_false(breaker_note(&b, true));
	assert_true(breaker_note(&b, true));
	b = (struct breaker){.n = 0};
	for (int i = 0; i < 1000; i++)
		assert_false(breaker_note(&b, i % 3 == 1));
	int n = 0;
	while (!breaker_note(&b, true))
		n++;
	assert_in_range(n, 2, 5);
	b = (struct breaker){.n = 0};
	for (int i = 0; i < 100; i++)
		assert_false(breaker_note(&b, false));
	for (int i = 0; i < 9; i++)
		assert_false(breaker_note(&b, true));
	assert_true(breaker_note(&b, true));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(trouble_of_ours_is_tried_three_times_and_waits_longer_each_time),
		cmocka_unit_test(a_network_that_failed_is_no_reason_where_there_was_none),
		cmocka_unit_test(nothing_else_is_repeated),
		cmocka_unit_test(eight_at_the_beginning_or_half_of_twenty_are_enough),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
