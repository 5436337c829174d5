/* A publish as a run makes it, also into a store that counts packages, and of an upper that becomes
 * the layer, and assay cache compact, collect, import and verify --repair: killed at every system
 * call, at random moments, and with every call failing. Whatever happens, the store shows what it
 * showed or what it should show, and the latter where success was said; all is whole, nothing is
 * left, and the same once more ends well. ASSAY_TEST_STORE_CALLS: how many of the calls of each, in
 * equal distances (3; 0: every one). ASSAY_TEST_STORE_KILLS: how many moments (3). ASSAY_TEST_ONLY:
 * a pattern of cmocka's for the tests' names. */
#include "store_story.h"
#include "trace.h"

#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

enum { TRIAL_OWN = 2 }; /* calls of trial_tell() before the story's */

struct trial {
	struct place *p;
	const struct story *story;
	char *from; /* the state directory as it was */
	char *before, *after;
	int log;
	long happened;
};

static int trial_tell(void *arg)
{
	struct trial *t = arg;
	if (dup2(t->log, STDOUT_FILENO) < 0 || dup2(t->log, STDERR_FILENO) < 0)
		return 99;
	int status = t->story->tell(t->p);
	fflush(NULL);
	return status;
}

static long count_of(const char *name, long otherwise)
{
	const char *s = getenv(name);
	return s ? strtol(s, NULL, 10) : otherwise;
}

/* What was said last, for a message. */
static char *said(struct trial *t)
{
	struct err e = ERR_INIT;
	struct text text = TEXT_INIT;
	lseek(t->log, 0, SEEK_SET);
	(void)!dir_read_fd(t->log, 1 << 16, &text, &e);
	return text_take(&text);
}

static void trial_again(struct trial *t)
{
	assert_int_equal(ftruncate(t->log, 0), 0);
	assert_int_equal(lseek(t->log, 0, SEEK_SET), 0);
	story_again(t->p, t->from);
}

/* `ended`: success was said. */
static void trial_check(struct trial *t, const char *what, bool ended)
{
	auto_free char *words = said(t);
	/* What is still damaged then can be repaired. */
	if (t->story->damage && !ended && story_apart(t->story->tell, t->p, t->log))
		fail_msg("%s: %s", what, said(t));
	auto_free char *shown = story_check(t->p, t->log);
	bool is_after = !strcmp(shown, t->after);
	if (!is_after && (ended || strcmp(shown, t->before)))
		fail_msg("%s: the store shows\n%s\nand was to show\n%s\nor, before,\n%s\nsaid: %s",
			 what, shown, t->after, t->before, words);
	int status = story_apart(t->story->tell, t->p, t->log);
	if (status)
		fail_msg("%s: once more ends with %d: %s", what, status, said(t));
	place_open(t->p);
	auto_free char *again = story_shown(t->p);
	place_close(t->p);
	if (strcmp(again, t->after))
		fail_msg("%s: once more the store shows\n%s\nand not\n%s", what, again, t->after);
}

static void trial_begin(struct trial *t, struct place *p, const struct story *story)
{
	*t = (struct trial){.p = p, .story = story, .log = memfd_create("log", MFD_CLOEXEC)};
	story_begin(p, story);
	place_open(p);
	t->before = story_shown(p);
	place_close(p);
	/* What showed it was a layer that nobody names: gone with the next opening. */
	place_open(p);
	place_close(p);
	if (story->damage)
		story->damage(p);
	t->from = story_keep(p);
	int status = story_apart(story->tell, p, t->log);
	if (status)
		fail_msg("%s ends with %d: %s", story->name, status, said(t));
	t->after = story_check(p, t->log);
}

static void trial_end(struct trial *t)
{
	close(t->log);
	free(t->from);
	free(t->before);
	free(t->after);
}

/* What one fault may lead to: success, our own trouble with words, and out of memory a death. */
static void trial_one(struct trial *t, enum trace_do what, int error, long nth)
{
	struct trace trace = {.what = what, .nth = nth + TRIAL_OWN, .error = error};
	char text[128];
	trial_again(t);
	assert_int_equal(trace_run(&trace, trial_tell, t), 0);
	int s = trace.status;
	snprintf(text, sizeof(text), "%s, call %ld (number %ld), %s", t->story->name, nth,
		 (long)trace.hit, what == TRACE_KILL ? "killed" : strerrorname_np(error));
	if (!trace.happened)
		return;
	t->happened++;
	bool killed = WIFSIGNALED(s) && WTERMSIG(s) == SIGKILL,
	     starved = WIFSIGNALED(s) && WTERMSIG(s) == SIGABRT && error == ENOMEM;
	if (what == TRACE_KILL ? !killed : !WIFEXITED(s) && !starved)
		fail_msg("%s: it ended by signal %d: %s", text, WTERMSIG(s), said(t));
	bool ended = WIFEXITED(s) && !WEXITSTATUS(s);
	if (WIFEXITED(s) && !ended) {
		auto_free char *words = said(t);
		if (WEXITSTATUS(s) != 2 || !words[0])
			fail_msg("%s: exit status %d, said: %s", text, WEXITSTATUS(s), words);
	}
	trial_check(t, text, ended);
}

static void at_every_call(struct place *p, const struct story *story, enum trace_do what, int error)
{
	struct trial t;
	long points = count_of("ASSAY_TEST_STORE_CALLS", 3);
	struct trace whole = {.what = TRACE_WATCH};
	trial_begin(&t, p, story);
	trial_again(&t);
	assert_int_equal(trace_run(&whole, trial_tell, &t), 0);
	assert_int_equal(whole.status, 0);
	whole.calls -= TRIAL_OWN;
	assert_true(whole.calls > 50);
	if (!points || points > whole.calls)
		points = whole.calls;
	for (long i = 0; i < points; i++)
		/* each run in another place of its distance */
		trial_one(&t, what, error,
			  i * whole.calls / points + (error % 7) * (whole.calls / points) / 7);
	print_message("           %s, %s: %ld of %ld calls\n", story->name,
		      what == TRACE_KILL ? "killed" : strerrorname_np(error), t.happened,
		      whole.calls);
	assert_true(t.happened >= points * 9 / 10);
	trial_end(&t);
}

static void with_every_call_failing(struct place *p, const struct story *story, int error)
{
	at_every_call(p, story, TRACE_FAIL, error);
}

static int64_t now_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* Some of them come too late: those count for nothing. */
static void at_random_moments(struct place *p, const struct story *story)
{
	struct trial t;
	unsigned seed = (unsigned)count_of("ASSAY_TEST_SEED", 1);
	long kills = count_of("ASSAY_TEST_STORE_KILLS", 3);
	trial_begin(&t, p, story);
	trial_again(&t);
	int64_t began = now_us();
	assert_int_equal(story_apart(story->tell, p, t.log), 0);
	int64_t takes = now_us() - began;
	for (long i = 0; t.happened < kills && i < 20 * kills; i++) {
		int status = -1;
		char text[64];
		struct timespec wait = {.tv_nsec = rand_r(&seed) % takes % 999999 * 1000};
		trial_again(&t);
		fflush(NULL);
		pid_t pid = fork();
		if (!pid)
			_exit(trial_tell(&t));
		nanosleep(&wait, NULL);
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		bool killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
		snprintf(text, sizeof(text), "%s, killed after %ld us", story->name,
			 wait.tv_nsec / 1000);
		if (!killed && status)
			fail_msg("%s: it ended with %d: %s", text, status, said(&t));
		t.happened += killed;
		/* it may take less than it did at first */
		if (!killed && wait.tv_nsec / 1000 < takes)
			takes = wait.tv_nsec / 1000 + 1;
		trial_check(&t, text, !killed);
	}
	print_message("           %s: %ld kills\n", story->name, t.happened);
	assert_true(t.happened >= kills);
	trial_end(&t);
}

#define STORY(story, index)                                                                        \
	static void a_##story##_is_killed_at_every_call(void **state)                              \
	{                                                                                          \
		at_every_call(*state, &stories[index], TRACE_KILL, 0);                             \
	}                                                                                          \
	static void a_##story##_is_killed_at_random_moments(void **state)                          \
	{                                                                                          \
		at_random_moments(*state, &stories[index]);                                        \
	}                                                                                          \
	static void a_##story##_survives_ENOSPC(void **state)                                      \
	{                                                                                          \
		with_every_call_failing(*state, &stories[index], ENOSPC);                          \
	}                                                                                          \
	static void a_##story##_survives_EIO(void **state)                                         \
	{                                                                                          \
		with_every_call_failing(*state, &stories[index], EIO);                             \
	}                                                                                          \
	static void a_##story##_survives_EMFILE(void **state)                                      \
	{                                                                                          \
		with_every_call_failing(*state, &stories[index], EMFILE);                          \
	}                                                                                          \
	static void a_##story##_survives_ENOMEM(void **state)                                      \
	{                                                                                          \
		with_every_call_failing(*state, &stories[index], ENOMEM);                          \
	}                                                                                          \
	static void a_##story##_survives_EINTR(void **state)                                       \
	{                                                                                          \
		with_every_call_failing(*state, &stories[index], EINTR);                           \
	}

STORY(publish, 0)
STORY(compact, 1)
STORY(collect, 2)
STORY(import, 3)
STORY(repair, 4)
STORY(words, 5)
STORY(take, 6)

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, place_setup, story_teardown)
#define TESTS(story)                                                                               \
	T(a_##story##_is_killed_at_every_call), T(a_##story##_is_killed_at_random_moments),        \
		T(a_##story##_survives_ENOSPC), T(a_##story##_survives_EIO),                       \
		T(a_##story##_survives_EMFILE), T(a_##story##_survives_ENOMEM),                    \
		T(a_##story##_survives_EINTR)
		TESTS(publish), TESTS(compact), TESTS(collect), TESTS(import),
		TESTS(repair),  TESTS(words),   TESTS(take),
	};
#if TRACE_SANITIZED
	if (!getenv("ASSAY_TEST_STORE_CALLS")) {
		puts("skipped: a sanitizer has system calls of its own, and takes minutes");
		return 77;
	}
#endif
	story_in_memory();
	/* jansson(3) reads /dev/urandom once in a process: here, not in some of the children and
	 * then, when a check has had to do with JSON, in none of them any more, which numbers their
	 * calls otherwise. */
	json_object_seed(1);
	if (!trace_can()) {
		puts("skipped: this process may not trace");
		return 77;
	}
	if (getenv("ASSAY_TEST_ONLY"))
		cmocka_set_test_filter(getenv("ASSAY_TEST_ONLY"));
	return cmocka_run_group_tests_name("state/survives", tests, NULL, NULL);
}
