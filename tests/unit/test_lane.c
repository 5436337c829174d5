/* orchestrator/lane.c: one task after another per lane, lanes beside each other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/err.h"
#include "base/own.h"
#include "orchestrator/lane.h"

#include <pthread.h>

static pthread_t loop_thread;

struct chain {
	struct lane_task task;
	struct lane *lane;
	int left, *done;
	bool worked_elsewhere;
};

static void chain_work(struct lane_task *t)
{
	struct chain *c = (struct chain *)t;
	c->worked_elsewhere = !pthread_equal(pthread_self(), loop_thread);
}

/* The same task is pushed again from its own end, as a job's is. */
static void chain_done(struct lane_task *t)
{
	struct chain *c = (struct chain *)t;
	assert_true(pthread_equal(pthread_self(), loop_thread));
	assert_true(c->worked_elsewhere);
	++*c->done;
	if (--c->left)
		lane_push(c->lane, &c->task);
	else
		free(c);
}

static void a_task_may_be_pushed_again_or_freed_when_it_is_done(void **state)
{
	(void)state;
	uv_loop_t loop;
	struct lane lane;
	int done = 0;
	loop_thread = pthread_self();
	assert_int_equal(uv_loop_init(&loop), 0);
	lane_init(&lane, &loop);
	for (int i = 0; i < 20; i++) {
		struct chain *c = own_calloc(1, sizeof(*c));
		*c = (struct chain){.task = {.work = chain_work, .done = chain_done},
				    .lane = &lane,
				    .left = 50,
				    .done = &done};
		lane_push(&lane, &c->task);
	}
	assert_int_equal(done, 0);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(done, 1000);
	assert_int_equal(uv_loop_close(&loop), 0);
}

struct meet {
	struct lane_task task;
	pthread_barrier_t *barrier;
};

static void meet_work(struct lane_task *t)
{
	pthread_barrier_wait(((struct meet *)t)->barrier);
}

static void meet_done(struct lane_task *t)
{
	(void)t;
}

static void two_lanes_work_beside_each_other(void **state)
{
	(void)state;
	uv_loop_t loop;
	struct lane lanes[2];
	pthread_barrier_t barrier;
	struct meet meets[2];
	assert_int_equal(uv_loop_init(&loop), 0);
	pthread_barrier_init(&barrier, NULL, 2);
	for (size_t i = 0; i < 2; i++) {
		lane_init(&lanes[i], &loop);
		meets[i] = (struct meet){.task = {.work = meet_work, .done = meet_done},
					 .barrier = &barrier};
		lane_push(&lanes[i], &meets[i].task);
	}
	uv_run(&loop, UV_RUN_DEFAULT); /* each waits for the other's work */
	assert_int_equal(uv_loop_close(&loop), 0);
	pthread_barrier_destroy(&barrier);
}

struct count {
	struct lane_task task;
	int *now, *most;
};

static void count_work(struct lane_task *t)
{
	struct count *c = (struct count *)t;
	int now = __atomic_add_fetch(c->now, 1, __ATOMIC_SEQ_CST);
	if (now > *c->most)
		*c->most = now;
	__atomic_sub_fetch(c->now, 1, __ATOMIC_SEQ_CST);
}

static void a_lane_never_does_two_things_at_once(void **state)
{
	(void)state;
	uv_loop_t loop;
	struct lane lane;
	struct count tasks[200];
	int now = 0, most = 0;
	assert_int_equal(uv_loop_init(&loop), 0);
	lane_init(&lane, &loop);
	for (size_t i = 0; i < countof(tasks); i++) {
		tasks[i] = (struct count){.task = {.work = count_work, .done = meet_done},
					  .now = &now,
					  .most = &most};
		lane_push(&lane, &tasks[i].task);
	}
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(most, 1);
	assert_int_equal(uv_loop_close(&loop), 0);
}

struct step {
	struct lane_task task;
	int **work_at,
		**done_at; /* where the next number goes: one is the pool's, the other the loop's */
	int number;
};

static void step_work(struct lane_task *t)
{
	struct step *s = (struct step *)t;
	*(*s->work_at)++ = s->number;
}

static void step_done(struct lane_task *t)
{
	struct step *s = (struct step *)t;
	*(*s->done_at)++ = s->number;
}

static void tasks_work_and_end_in_the_order_of_pushing_and_not_inside_it(void **state)
{
	enum { STEPS = 20 };
	(void)state;
	uv_loop_t loop;
	struct lane lane;
	struct step steps[STEPS];
	int worked[STEPS] = {0}, done[STEPS] = {0}, *work_at = worked, *done_at = done;
	assert_int_equal(uv_loop_init(&loop), 0);
	lane_init(&lane, &loop);
	for (int i = 0; i < STEPS; i++) {
		steps[i] = (struct step){.task = {.work = step_work, .done = step_done},
					 .work_at = &work_at,
					 .done_at = &done_at,
					 .number = i + 1};
		lane_push(&lane, &steps[i].task);
		assert_ptr_equal(done_at, done);
	}
	uv_run(&loop, UV_RUN_DEFAULT);
	for (int i = 0; i < STEPS; i++) {
		assert_int_equal(worked[i], i + 1);
		assert_int_equal(done[i], i + 1);
	}
	assert_int_equal(uv_loop_close(&loop), 0);
}

struct together {
	struct lane_task task;
	struct book *book;
	bool lost;
};

struct book {
	int begun, ended, open, worked, most, done, lost;
	bool fails;
};

static int book_begin(void *owner, struct err *e)
{
	struct book *b = owner;
	(void)e;
	b->begun++;
	b->open = 0;
	return 0;
}

static int book_end(void *owner, struct err *e)
{
	struct book *b = owner;
	b->ended++;
	b->most = b->open > b->most ? b->open : b->most;
	return b->fails ? err_set(e, ERR_SYS, "the disk is full") : 0;
}

static void together_work(struct lane_task *t)
{
	struct together *x = (struct together *)t;
	x->book->open++;
	x->book->worked++;
}

static void together_lost(struct lane_task *t, const struct err *e)
{
	struct together *x = (struct together *)t;
	assert_string_equal(e->text, "the disk is full");
	x->lost = true;
}

static void together_done(struct lane_task *t)
{
	struct together *x = (struct together *)t;
	x->book->done++;
	x->book->lost += x->lost;
}

/* The first works alone; what was pushed meanwhile works together, as many as may. */
static void what_waits_is_taken_together_and_lost_together(void **state)
{
	static const struct lane_group group = {book_begin, book_end, 64};
	enum { N = 64 + 11 };
	static struct together tasks[N];
	(void)state;
	for (int fails = 0; fails < 2; fails++) {
		uv_loop_t loop;
		struct lane lane;
		struct book book = {.fails = fails};
		assert_int_equal(uv_loop_init(&loop), 0);
		lane_init(&lane, &loop);
		lane_group(&lane, &group, &book);
		for (size_t i = 0; i < N; i++) {
			tasks[i] = (struct together){.task = {.work = together_work,
							      .lost = together_lost,
							      .done = together_done},
						     .book = &book};
			lane_push(&lane, &tasks[i].task);
		}
		uv_run(&loop, UV_RUN_DEFAULT);
		assert_int_equal(uv_loop_close(&loop), 0);
		assert_int_equal(book.worked, N);
		assert_int_equal(book.done, N);
		assert_int_equal(book.begun, 2);
		assert_int_equal(book.ended, 2);
		assert_int_equal(book.most, 64);
		assert_int_equal(book.lost, fails ? N - 1 : 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_task_may_be_pushed_again_or_freed_when_it_is_done),
		cmocka_unit_test(two_lanes_work_beside_each_other),
		cmocka_unit_test(a_lane_never_does_two_things_at_once),
		cmocka_unit_test(what_waits_is_taken_together_and_lost_together),
		cmocka_unit_test(tasks_work_and_end_in_the_order_of_pushing_and_not_inside_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
