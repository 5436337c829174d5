/* orchestrator/sched.c, heap.c: what comes next, and how soon that is known. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/own.h"
#include "orchestrator/sched.h"
#include "orchestrator/sim.h"

#include <stdio.h>
#include <time.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true
#else
#define SANITIZED false
#endif

static struct sched *with(uint64_t cpus, uint64_t fetches, uint64_t memory,
			  enum sched_policy policy)
{
	const struct sched_conf conf = {
		.have = {{[SCHED_CPU] = cpus,
			  [SCHED_FETCH] = fetches,
			  [SCHED_MEMORY] = memory,
			  [SCHED_DISK] = UINT64_MAX}},
		.policy = policy,
		.seed = 7,
	};
	return sched_new(&conf);
}

static void push(struct sched *s, uint32_t id, uint64_t left_ms, uint64_t cpus, uint64_t memory)
{
	const struct sched_task t = {id,
				     id,
				     left_ms,
				     {{[SCHED_CPU] = cpus, [SCHED_MEMORY] = memory}}};
	sched_push(s, &t);
}

static uint32_t pick(struct sched *s, struct sched_need *taken)
{
	uint32_t id;
	return sched_pick(s, &id, taken) ? id : UINT32_MAX;
}

static void policies_order_what_waits(void **state)
{
	static const uint64_t left[] = {20, 50, 10, 40, 30};
	static const uint32_t wanted[][5] = {[POLICY_LPT] = {1, 3, 4, 0, 2},
					     [POLICY_FIFO] = {0, 1, 2, 3, 4},
					     [POLICY_SJF] = {2, 0, 4, 3, 1}};
	(void)state;
	for (enum sched_policy p = POLICY_LPT; p <= POLICY_SJF; p++) {
		struct sched *s = with(5, 1, UINT64_MAX, p);
		struct sched_need taken;
		unsigned seen = 0;
		for (uint32_t i = 0; i < 5; i++)
			push(s, i, left[i], 1, 0);
		for (size_t i = 0; i < 5; i++) {
			uint32_t id = pick(s, &taken);
			if (p != POLICY_RANDOM)
				assert_int_equal(id, wanted[p][i]);
			seen |= 1u << id;
		}
		assert_int_equal(seen, 31);
		assert_int_equal(pick(s, &taken), UINT32_MAX);
		sched_free(s);
	}
}

static void names_of_policies_go_both_ways(void **state)
{
	enum sched_policy p;
	(void)state;
	for (unsigned i = 0; sched_policy_name(i); i++) {
		assert_int_equal(sched_policy_parse(sched_policy_name(i), &p), 0);
		assert_int_equal(p, i);
	}
	assert_int_equal(sched_policy_parse("longest", &p), -1);
}

static void nothing_is_started_that_does_not_fit(void **state)
{
	struct sched *s = with(8, 1, (uint64_t)1 << 30, POLICY_LPT);
	struct sched_need a, b, c;
	(void)state;
	push(s, 0, 30, 1, (uint64_t)600 << 20);
	push(s, 1, 20, 1, (uint64_t)600 << 20);
	push(s, 2, 10, 1, (uint64_t)100 << 20);
	assert_int_equal(pick(s, &a), 0);
	assert_int_equal(pick(s, &b), 2);
	assert_int_equal(pick(s, &c), UINT32_MAX);
	struct sched_state look;
	sched_look(s, &look);
	assert_true(look.held);
	assert_int_equal(look.lacks, SCHED_MEMORY);
	assert_int_equal(look.used.of[SCHED_CPU], 2);
	sched_give(s, &a);
	assert_int_equal(pick(s, &a), 1);
	sched_free(s);
}

static void what_needs_more_than_there_is_takes_all(void **state)
{
	struct sched *s = with(4, 1, UINT64_MAX, POLICY_LPT);
	struct sched_need a, b;
	(void)state;
	push(s, 0, 30, 64, 0);
	push(s, 1, 20, 1, 0);
	assert_int_equal(pick(s, &a), 0);
	assert_int_equal(a.of[SCHED_CPU], 4);
	assert_int_equal(pick(s, &b), UINT32_MAX);
	sched_have(s, SCHED_CPU, 2); /* fewer meanwhile: what was taken is given back whole */
	sched_give(s, &a);
	assert_int_equal(pick(s, &b), 1);
	sched_give(s, &b);
	struct sched_state look;
	sched_look(s, &look);
	assert_int_equal(look.used.of[SCHED_CPU], 0);
	sched_free(s);
}

/* Narrow ones come for ever; the wide one is first by rank, and would never find four free. */
static void a_wide_one_does_not_starve(void **state)
{
	struct sched *s = with(4, 1, UINT64_MAX, POLICY_LPT);
	struct sched_need running[4], wide;
	uint32_t id = 1;
	(void)state;
	for (size_t i = 0; i < 4; i++) {
		push(s, id, 10, 1, 0);
		assert_int_equal(pick(s, &running[i]), id++);
	}
	push(s, 0, 1000, 4, 0);
	size_t passed = 0, held = 0;
	for (size_t turn = 0;; turn++) {
		push(s, id++, 10, 1, 0);
		sched_give(s, &running[turn % 4]);
		uint32_t got = pick(s, &wide);
		if (got == 0)
			break;
		running[turn % 4] = got == UINT32_MAX ? (struct sched_need){0} : wide;
		passed += got != UINT32_MAX;
		held += got == UINT32_MAX;
		assert_true(turn < 100);
	}
	assert_int_equal(passed, 4);
	assert_int_equal(held, 3);
	assert_int_equal(wide.of[SCHED_CPU], 4);
	sched_free(s);
}

/* While processors are kept for a wide one, what waits for a network goes on. */
static void what_takes_nothing_of_it_passes_a_wide_one(void **state)
{
	struct sched *s = with(2, 8, UINT64_MAX, POLICY_LPT);
	struct sched_need one, taken;
	(void)state;
	push(s, 0, 10, 1, 0);
	assert_int_equal(pick(s, &one), 0);
	push(s, 1, 100, 2, 0);
	for (uint32_t i = 2; i < 8; i++) {
		const struct sched_task t = {i, i, 1, {{[SCHED_FETCH] = 1}}};
		sched_push(s, &t);
		assert_int_equal(pick(s, &taken), i);
	}
	sched_free(s);
}

static void packages_are_begun_as_far_as_there_is_work_soon(void **state)
{
	struct sched *s = with(3, 1, UINT64_MAX, POLICY_LPT);
	struct sched_need taken;
	uint32_t id;
	size_t begun = 0;
	(void)state;
	for (uint32_t i = 0; i < 100; i++) {
		const struct sched_task t = {.id = i, .package = i, .left_ms = i};
		sched_offer(s, &t);
	}
	while (sched_begin(s, &id)) {
		assert_int_equal(id, 99 - begun);
		begun++;
	}
	assert_int_equal(begun, 3);
	for (uint32_t i = 0; i < 3; i++) {
		sched_arrived(s);
		push(s, 99 - i, 10, 1, 0);
	}
	while (pick(s, &taken) != UINT32_MAX)
		;
	assert_true(sched_begin(s, &id));
	assert_int_equal(id, 96);
	sched_free(s);
}

/* Random pushes, picks and returns: what is taken is never more than there is, and nothing is lost.
 */
static void tokens_are_neither_lost_nor_given_twice(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 20; seed++) {
		enum { N = 500 };
		static struct sched_need taken[N];
		static bool runs[N];
		uint64_t r = seed;
		struct sched *s = with(1 + seed % 7, 1 + seed % 3, (uint64_t)1 << 32,
				       (enum sched_policy)(seed % 4));
		uint32_t next = 0, done = 0;
		size_t running = 0;
		for (size_t i = 0; i < N; i++)
			runs[i] = false;
		while (done < N) {
			struct sched_state look;
			uint32_t id;
			struct sched_need t;
			if (next < N && sim_random(&r) < 0.5) {
				const struct sched_task task = {
					next,
					next,
					(uint64_t)(sim_random(&r) * 1000),
					{{[SCHED_CPU] = (uint64_t)(sim_random(&r) * 9),
					  [SCHED_FETCH] = sim_random(&r) < 0.3,
					  [SCHED_MEMORY] = (uint64_t)(sim_random(&r) * 5e9)}}};
				sched_push(s, &task);
				next++;
			} else if (sched_pick(s, &id, &t)) {
				assert_false(runs[id]);
				runs[id] = true;
				taken[id] = t;
				running++;
			} else {
				sched_look(s, &look);
				if (!running) {
					assert_int_equal(look.waiting, 0);
					continue;
				}
				for (id = 0; !runs[id]; id++)
					;
				sched_give(s, &taken[id]);
				runs[id] = false;
				running--;
				done++;
			}
			sched_look(s, &look);
			for (size_t k = 0; k < SCHED_TOKENS; k++)
				assert_true(look.used.of[k] <= look.have.of[k]);
		}
		struct sched_state look;
		sched_look(s, &look);
		for (size_t k = 0; k < SCHED_TOKENS; k++)
			assert_int_equal(look.used.of[k], 0);
		sched_free(s);
	}
}

static void sizes_are_rounded_up_by_half_at_the_most(void **state)
{
	(void)state;
	assert_int_equal(sched_round(0), 0);
	assert_int_equal(sched_round(1), 16 << 20);
	for (uint64_t b = 17 << 20; b < (uint64_t)1 << 45; b += b / 7) {
		assert_true(sched_round(b) >= b);
		assert_true(sched_round(b) <= b + b / 2);
	}
}

static int64_t processor_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* What a little work like picking takes, in between: reading here and there of as much memory. */
struct little {
	int64_t all, best;
	int times;
};

static void little_work(struct little *l, const uint64_t *of, size_t n, uint64_t *r)
{
	enum { READS = 500 };
	const volatile uint64_t *read = of;
	int64_t began = processor_ns();
	for (int i = 0; i < READS; i++)
		(void)read[(size_t)(sim_random(r) * (double)n)];
	int64_t took = processor_ns() - began;
	l->best = !l->times++ || took < l->best ? took : l->best;
	l->all += took;
}

/* By the processor's time, so that others' work is not in it; but the caches are theirs, too: the
 * bound is multiplied by what a little work takes meanwhile, relative to the quickest. */
static void a_million_wait_and_the_next_is_known_at_once(void **state)
{
	enum { N = 1000000, EACH = 1000 };
	struct little little = {.times = 0};
	int64_t took = 0;
	struct sched *s = with(64, 64, (uint64_t)64 << 30, POLICY_LPT);
	uint64_t r = 1, last = UINT64_MAX;
	auto_free uint64_t *left = own_calloc(N, sizeof(*left));
	(void)state;
	for (uint32_t i = 0; i < N; i++) {
		left[i] = (uint64_t)(sim_random(&r) * 1e7);
		push(s, i, left[i], 1 + i % 4, (uint64_t)(i % 16) << 27);
	}
	for (size_t i = 0; i < N; i += EACH) {
		int64_t began = processor_ns();
		for (size_t k = 0; k < EACH; k++) {
			struct sched_need taken;
			uint32_t id = pick(s, &taken);
			assert_true(id < N && left[id] <= last);
			last = left[id];
			sched_give(s, &taken);
		}
		took += processor_ns() - began;
		little_work(&little, left, N, &r);
	}
	double us = (double)took / 1e3 / N;
	double times = (double)little.all / (double)little.best / little.times;
	printf("a pick of a million: %.2f us, each takes %.1f times as long here\n", us, times);
	/* Not a promise of a program that checks each of its own steps. */
	if (!SANITIZED)
		assert_true(us < 10 * times);
	sched_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(policies_order_what_waits),
		cmocka_unit_test(names_of_policies_go_both_ways),
		cmocka_unit_test(nothing_is_started_that_does_not_fit),
		cmocka_unit_test(what_needs_more_than_there_is_takes_all),
		cmocka_unit_test(a_wide_one_does_not_starve),
		cmocka_unit_test(what_takes_nothing_of_it_passes_a_wide_one),
		cmocka_unit_test(packages_are_begun_as_far_as_there_is_work_soon),
		cmocka_unit_test(tokens_are_neither_lost_nor_given_twice),
		cmocka_unit_test(sizes_are_rounded_up_by_half_at_the_most),
		cmocka_unit_test(a_million_wait_and_the_next_is_known_at_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
