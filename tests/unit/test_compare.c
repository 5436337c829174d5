/* The verdict on a pair: over every pair of results there is. */
#include "orchestrator/compare.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

enum { SIDES = 2 + REASON_COUNT * 2 };

/* Every kind of side: absent, pending, and each reason in two phases. */
static struct compare_side side_at(size_t i)
{
	static const char *const phases[] = {"build", "test"};
	if (i < 2)
		return (struct compare_side){.presence = i ? PRESENCE_PENDING : PRESENCE_ABSENT};
	enum reason r = (enum reason)((i - 2) / 2);
	return (struct compare_side){PRESENCE_DONE, reason_status(r), r, phases[i % 2]};
}

static struct compare_side done(enum reason r, const char *phase)
{
	return (struct compare_side){PRESENCE_DONE, reason_status(r), r, phase};
}

static enum verdict of(struct compare_side base, struct compare_side next)
{
	return compare_sides(&base, &next);
}

static void every_pair_of_sides_has_one_verdict_and_never_unstable(void **state)
{
	(void)state;
	for (size_t i = 0; i < SIDES; i++)
		for (size_t k = 0; k < SIDES; k++) {
			enum verdict v = of(side_at(i), side_at(k));
			assert_true(v < VERDICT_COUNT);
			assert_int_not_equal(v, VERDICT_UNSTABLE);
		}
}

static void swapping_the_sides_turns_the_verdict_round(void **state)
{
	static const enum verdict turned[VERDICT_COUNT] = {
		[VERDICT_SAME] = VERDICT_SAME,
		[VERDICT_REGRESSED] = VERDICT_FIXED,
		[VERDICT_FIXED] = VERDICT_REGRESSED,
		[VERDICT_WORSE] = VERDICT_BETTER,
		[VERDICT_BETTER] = VERDICT_WORSE,
		[VERDICT_CHANGED] = VERDICT_CHANGED,
		[VERDICT_UNSTABLE] = VERDICT_UNSTABLE,
		[VERDICT_INCOMPARABLE] = VERDICT_INCOMPARABLE,
		[VERDICT_NEW] = VERDICT_GONE,
		[VERDICT_GONE] = VERDICT_NEW,
	};
	(void)state;
	for (size_t i = 0; i < SIDES; i++)
		for (size_t k = 0; k < SIDES; k++)
			assert_int_equal(of(side_at(i), side_at(k)),
					 turned[of(side_at(k), side_at(i))]);
}

static void a_result_about_the_package_is_the_same_as_itself(void **state)
{
	(void)state;
	for (size_t i = 2; i < SIDES; i++) {
		struct compare_side s = side_at(i);
		bool tells = s.status == STATUS_PASS || s.status == STATUS_FAIL ||
			     s.status == STATUS_CRASH ||
			     (s.status == STATUS_KILL && s.reason != REASON_CANCELLED);
		assert_int_equal(of(s, s), tells ? VERDICT_SAME : VERDICT_INCOMPARABLE);
	}
}

static void what_says_nothing_about_the_package_is_never_a_regression(void **state)
{
	static const enum status silent[] = {STATUS_BLOCK, STATUS_SKIP, STATUS_INFRA};
	(void)state;
	for (size_t i = 0; i < SIDES; i++)
		for (size_t k = 2; k < SIDES; k++) {
			struct compare_side a = side_at(i), b = side_at(k);
			bool says_nothing = b.reason == REASON_CANCELLED;
			for (size_t s = 0; s < countof(silent); s++)
				says_nothing |= b.status == silent[s];
			if (!says_nothing)
				continue;
			enum verdict want =
				a.presence == PRESENCE_ABSENT ? VERDICT_NEW : VERDICT_INCOMPARABLE;
			assert_int_equal(of(a, b), want);
		}
}

static void from_pass_to_anything_that_ended_badly_is_a_regression(void **state)
{
	static const enum reason bad[] = {REASON_EXIT,         REASON_FAIL_UNKNOWN, REASON_SEGV,
					  REASON_OTHER_SIGNAL, REASON_WALL_TIME,    REASON_MEMORY,
					  REASON_LOG_SIZE};
	(void)state;
	for (size_t i = 0; i < countof(bad); i++) {
		assert_int_equal(of(done(REASON_OK, "test"), done(bad[i], "test")),
				 VERDICT_REGRESSED);
		assert_int_equal(of(done(REASON_OK, "test"), done(bad[i], "build")),
				 VERDICT_REGRESSED);
		assert_int_equal(of(done(bad[i], "test"), done(REASON_OK, "test")), VERDICT_FIXED);
	}
}

static void worse_is_fail_below_kill_below_crash(void **state)
{
	(void)state;
	assert_int_equal(of(done(REASON_EXIT, "test"), done(REASON_MEMORY, "test")), VERDICT_WORSE);
	assert_int_equal(of(done(REASON_MEMORY, "test"), done(REASON_SEGV, "test")), VERDICT_WORSE);
	assert_int_equal(of(done(REASON_EXIT, "test"), done(REASON_SEGV, "build")), VERDICT_WORSE);
	assert_int_equal(of(done(REASON_SEGV, "test"), done(REASON_EXIT, "test")), VERDICT_BETTER);
}

static void another_reason_or_phase_of_one_status_is_a_change(void **state)
{
	(void)state;
	assert_int_equal(of(done(REASON_EXIT, "test"), done(REASON_MISSING_DEP, "test")),
			 VERDICT_CHANGED);
	assert_int_equal(of(done(REASON_EXIT, "build"), done(REASON_EXIT, "test")),
			 VERDICT_CHANGED);
	assert_int_equal(of(done(REASON_EXIT, NULL), done(REASON_EXIT, "test")), VERDICT_CHANGED);
	assert_int_equal(of(done(REASON_EXIT, NULL), done(REASON_EXIT, NULL)), VERDICT_SAME);
}

static void a_package_of_one_side_only_is_new_or_gone(void **state)
{
	struct compare_side absent = {.presence = PRESENCE_ABSENT},
			    pending = {.presence = PRESENCE_PENDING};
	(void)state;
	for (size_t i = 1; i < SIDES; i++) {
		assert_int_equal(of(absent, side_at(i)), VERDICT_NEW);
		assert_int_equal(of(side_at(i), absent), VERDICT_GONE);
	}
	assert_int_equal(of(pending, pending), VERDICT_INCOMPARABLE);
	assert_int_equal(of(absent, absent), VERDICT_INCOMPARABLE);
}

static void no_two_verdicts_have_one_name(void **state)
{
	(void)state;
	for (unsigned v = 0; v < VERDICT_COUNT; v++)
		for (unsigned w = 0; w < v; w++)
			assert_string_not_equal(verdict_name((enum verdict)v),
						verdict_name((enum verdict)w));
	assert_string_equal(verdict_name(VERDICT_REGRESSED), "regressed");
}

static void verdicts_stand_in_a_total_order_regressed_first_same_last(void **state)
{
	int seen[VERDICT_COUNT] = {0};
	(void)state;
	for (unsigned v = 0; v < VERDICT_COUNT; v++) {
		int rank = verdict_rank((enum verdict)v);
		assert_in_range(rank, 0, VERDICT_COUNT - 1);
		seen[rank]++;
	}
	for (unsigned v = 0; v < VERDICT_COUNT; v++)
		assert_int_equal(seen[v], 1);
	assert_int_equal(verdict_rank(VERDICT_REGRESSED), 0);
	assert_int_equal(verdict_rank(VERDICT_SAME), VERDICT_COUNT - 1);
}

static void a_run_is_valid_below_one_percent_of_lost_jobs_and_void_from_ten(void **state)
{
	(void)state;
	assert_int_equal(compare_validity(1000, 0), VALIDITY_VALID);
	assert_int_equal(compare_validity(1000, 9), VALIDITY_VALID);
	assert_int_equal(compare_validity(1000, 10), VALIDITY_DEGRADED);
	assert_int_equal(compare_validity(1000, 99), VALIDITY_DEGRADED);
	assert_int_equal(compare_validity(1000, 100), VALIDITY_VOID);
	assert_int_equal(compare_validity(36, 1), VALIDITY_DEGRADED);
	assert_int_equal(compare_validity(1, 1), VALIDITY_VOID);
	assert_int_equal(compare_validity(0, 0), VALIDITY_VOID);
}

static void what_is_lost_is_our_trouble_and_what_never_ended_not_policy(void **state)
{
	(void)state;
	for (size_t i = 0; i < SIDES; i++) {
		struct compare_side s = side_at(i);
		bool want = s.presence == PRESENCE_PENDING ||
			    (s.presence == PRESENCE_DONE &&
			     (s.status == STATUS_INFRA || s.reason == REASON_CANCELLED));
		assert_int_equal(compare_lost(&s), want);
	}
	struct compare_side skip = done(REASON_LISTED, NULL), infra = done(REASON_ENOSPC, NULL);
	assert_false(compare_lost(&skip));
	assert_true(compare_lost(&infra));
}

/* ---- all that was seen of both sides ---- */

/* What repeats bring, few enough that all multisets of three can be tried. */
static const struct compare_side outcomes[] = {
	{PRESENCE_ABSENT, 0, 0, NULL},
	{PRESENCE_PENDING, 0, 0, NULL},
	{PRESENCE_DONE, STATUS_PASS, REASON_OK, "test"},
	{PRESENCE_DONE, STATUS_FAIL, REASON_EXIT, "test"},
	{PRESENCE_DONE, STATUS_FAIL, REASON_EXIT, "build"},
	{PRESENCE_DONE, STATUS_KILL, REASON_SILENCE, "test"},
	{PRESENCE_DONE, STATUS_CRASH, REASON_SEGV, "test"},
	{PRESENCE_DONE, STATUS_INFRA, REASON_STORE, "test"},
	{PRESENCE_DONE, STATUS_SKIP, REASON_LISTED, NULL},
};
enum { OUTCOMES = countof(outcomes), SETS = OUTCOMES * OUTCOMES * OUTCOMES };

/* Number i of them; what is absent is left out. */
static struct compare_all set_at(size_t i, struct compare_side seen[3])
{
	size_t n = 0;
	for (size_t k = 0; k < 3; k++, i /= OUTCOMES)
		if (outcomes[i % OUTCOMES].presence)
			seen[n++] = outcomes[i % OUTCOMES];
	return (struct compare_all){seen, n};
}

static struct comparison seen(const struct compare_all *base, const struct compare_all *next)
{
	return compare_seen(base, next, NULL, NULL);
}

static const enum verdict turned_round[VERDICT_COUNT] = {
	[VERDICT_SAME] = VERDICT_SAME,         [VERDICT_REGRESSED] = VERDICT_FIXED,
	[VERDICT_FIXED] = VERDICT_REGRESSED,   [VERDICT_WORSE] = VERDICT_BETTER,
	[VERDICT_BETTER] = VERDICT_WORSE,      [VERDICT_CHANGED] = VERDICT_CHANGED,
	[VERDICT_UNSTABLE] = VERDICT_UNSTABLE, [VERDICT_INCOMPARABLE] = VERDICT_INCOMPARABLE,
	[VERDICT_NEW] = VERDICT_GONE,          [VERDICT_GONE] = VERDICT_NEW,
};

/* Over all pairs of sets of up to three results: total, turned round by swapping the sides, and the
 * same in whatever order results came. */
static void every_pair_of_sets_has_a_verdict_that_no_order_changes(void **state)
{
	struct compare_side a[3], b[3], mixed[3];
	size_t told[VERDICT_COUNT] = {0};
	(void)state;
	for (size_t i = 0; i < SETS; i++)
		for (size_t k = 0; k < SETS; k++) {
			struct compare_all base = set_at(i, a), next = set_at(k, b);
			struct comparison c = seen(&base, &next), back = seen(&next, &base);
			assert_true(c.verdict < VERDICT_COUNT && c.confidence < CONFIDENCE_COUNT);
			told[c.verdict]++;
			assert_int_equal(back.verdict, turned_round[c.verdict]);
			assert_int_equal(back.confidence, c.confidence);
			assert_true(back.p == c.p);
			if (k % 7) /* some are enough */
				continue;
			memcpy(mixed, b, sizeof(b));
			for (size_t r = 0; r + 1 < next.n; r++) {
				struct compare_side first = mixed[0];
				memmove(mixed, mixed + 1, (next.n - 1) * sizeof(*mixed));
				mixed[next.n - 1] = first;
				struct compare_all other = {mixed, next.n};
				struct comparison d = seen(&base, &other);
				assert_int_equal(d.verdict, c.verdict);
				assert_int_equal(d.confidence, c.confidence);
				assert_true(d.p == c.p);
			}
		}
	for (unsigned v = 0; v < VERDICT_COUNT; v++)
		assert_true(told[v] > 0);
}

static void one_result_a_side_is_compared_as_ever(void **state)
{
	(void)state;
	for (size_t i = 0; i < SIDES; i++)
		for (size_t k = 0; k < SIDES; k++) {
			struct compare_side a = side_at(i), b = side_at(k);
			struct compare_all base = {&a, a.presence != PRESENCE_ABSENT},
					   next = {&b, b.presence != PRESENCE_ABSENT};
			struct comparison c = seen(&base, &next);
			assert_int_equal(c.verdict, of(a, b));
			assert_int_equal(c.confidence, CONFIDENCE_SINGLE);
			assert_true(c.p < 0);
		}
}

/* base and next as so many passes and failures. */
static struct comparison counted(unsigned base_p, unsigned base_f, unsigned next_p, unsigned next_f,
				 const struct flake *known)
{
	struct compare_side b[32], n[32];
	for (unsigned i = 0; i < base_p + base_f; i++)
		b[i] = done(i < base_p ? REASON_OK : REASON_EXIT, "test");
	for (unsigned i = 0; i < next_p + next_f; i++)
		n[i] = done(i < next_p ? REASON_OK : REASON_EXIT, "test");
	struct compare_all base = {b, base_p + base_f}, next = {n, next_p + next_f};
	return compare_seen(&base, &next, known, known);
}

static void repeats_that_agree_make_it_likely_and_enough_of_them_confirm_it(void **state)
{
	(void)state;
	struct comparison c = counted(2, 0, 0, 2, NULL);
	assert_int_equal(c.verdict, VERDICT_REGRESSED);
	assert_int_equal(c.confidence, CONFIDENCE_LIKELY);
	assert_true(c.p > 0.49 && c.p < 0.51); /* of the repeats: one against one */
	c = counted(5, 0, 0, 5, NULL);
	assert_int_equal(c.verdict, VERDICT_REGRESSED);
	assert_int_equal(c.confidence, CONFIDENCE_CONFIRMED);
	assert_true(c.p < 0.015);
	assert_int_equal(c.base.n, 5);
	assert_int_equal(c.next.passes, 0);
	c = counted(0, 5, 5, 0, NULL);
	assert_int_equal(c.verdict, VERDICT_FIXED);
	assert_int_equal(c.confidence, CONFIDENCE_CONFIRMED);
	/* what is known of the package can explain it */
	struct flake flaky = {.failed = 20, .passed = 10};
	c = counted(5, 0, 0, 5, &flaky);
	assert_int_equal(c.verdict, VERDICT_REGRESSED);
	assert_int_equal(c.confidence, CONFIDENCE_LIKELY);
}

static void a_mixture_within_a_side_is_unstable_unless_the_numbers_say_more(void **state)
{
	(void)state;
	assert_int_equal(counted(1, 0, 1, 1, NULL).verdict, VERDICT_UNSTABLE);
	assert_int_equal(counted(2, 1, 0, 3, NULL).verdict, VERDICT_UNSTABLE);
	assert_int_equal(counted(1, 1, 1, 1, NULL).verdict, VERDICT_UNSTABLE);
	assert_int_equal(counted(3, 3, 3, 0, NULL).verdict, VERDICT_UNSTABLE);
	struct comparison c = counted(10, 0, 1, 9, NULL);
	assert_int_equal(c.verdict, VERDICT_REGRESSED);
	assert_int_equal(c.confidence, CONFIDENCE_CONFIRMED);
}

static void failures_of_one_kind_on_both_sides_are_no_difference(void **state)
{
	(void)state;
	struct compare_side b[] = {done(REASON_EXIT, "test"), done(REASON_SEGV, "test")},
			    n[] = {done(REASON_SEGV, "test"), done(REASON_SEGV, "test")};
	struct compare_all base = {b, 1}, next = {n, 2};
	assert_int_equal(seen(&base, &next).verdict, VERDICT_WORSE);
	base.n = 2;
	assert_int_equal(seen(&base, &next).verdict, VERDICT_SAME);
	n[0] = done(REASON_EXIT, "test");
	n[1] = done(REASON_BUS, "test");
	b[1] = b[0];
	assert_int_equal(seen(&base, &next).verdict, VERDICT_UNSTABLE);
}

static void our_own_trouble_in_a_repeat_is_not_counted(void **state)
{
	(void)state;
	struct compare_side b[] = {done(REASON_OK, "test"), done(REASON_ENOSPC, "test")},
			    n[] = {done(REASON_EXIT, "test"), done(REASON_CANCELLED, "test")};
	struct compare_all base = {b, 2}, next = {n, 2};
	struct comparison c = seen(&base, &next);
	assert_int_equal(c.verdict, VERDICT_REGRESSED);
	assert_int_equal(c.confidence, CONFIDENCE_SINGLE);
	assert_int_equal(c.base.n + c.next.n, 2);
}

static void verdicts_and_attributions_go_to_text_and_back(void **state)
{
	static const char *const words[] = {"same",   "regressed", "fixed",    "worse",
					    "better", "changed",   "unstable", "incomparable",
					    "new",    "gone"};
	enum verdict v;
	(void)state;
	assert_int_equal(countof(words), VERDICT_COUNT);
	for (unsigned i = 0; i < VERDICT_COUNT; i++) {
		assert_string_equal(verdict_name((enum verdict)i), words[i]);
		assert_int_equal(verdict_parse(words[i], &v), 0);
		assert_int_equal(v, i);
	}
	assert_int_equal(verdict_parse("broken", &v), -1);
	assert_string_equal(attribution_name(ATTRIBUTION_ROOT), "root");
	assert_string_equal(attribution_name(ATTRIBUTION_INHERITED), "inherited");
	assert_string_equal(attribution_name(ATTRIBUTION_SHARED), "shared");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_pair_of_sides_has_one_verdict_and_never_unstable),
		cmocka_unit_test(swapping_the_sides_turns_the_verdict_round),
		cmocka_unit_test(a_result_about_the_package_is_the_same_as_itself),
		cmocka_unit_test(what_says_nothing_about_the_package_is_never_a_regression),
		cmocka_unit_test(from_pass_to_anything_that_ended_badly_is_a_regression),
		cmocka_unit_test(worse_is_fail_below_kill_below_crash),
		cmocka_unit_test(another_reason_or_phase_of_one_status_is_a_change),
		cmocka_unit_test(a_package_of_one_side_only_is_new_or_gone),
		cmocka_unit_test(every_pair_of_sets_has_a_verdict_that_no_order_changes),
		cmocka_unit_test(one_result_a_side_is_compared_as_ever),
		cmocka_unit_test(repeats_that_agree_make_it_likely_and_enough_of_them_confirm_it),
		cmocka_unit_test(a_mixture_within_a_side_is_unstable_unless_the_numbers_say_more),
		cmocka_unit_test(failures_of_one_kind_on_both_sides_are_no_difference),
		cmocka_unit_test(our_own_trouble_in_a_repeat_is_not_counted),
		cmocka_unit_test(verdicts_and_attributions_go_to_text_and_back),
		cmocka_unit_test(no_two_verdicts_have_one_name),
		cmocka_unit_test(verdicts_stand_in_a_total_order_regressed_first_same_last),
		cmocka_unit_test(a_run_is_valid_below_one_percent_of_lost_jobs_and_void_from_ten),
		cmocka_unit_test(what_is_lost_is_our_trouble_and_what_never_ended_not_policy),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
