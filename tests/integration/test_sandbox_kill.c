/* `kill -9` of the caller, at any moment: nothing of its boxes is there a second later. This
 * program is the subreaper (prctl(2)) of callers that start boxes without end: whatever outlives
 * one of them becomes its child, so that "no child is left" is "nothing is left". */
#include "test_sandbox.h"

#include <pthread.h>
#include <spawn.h>
#include <sys/prctl.h>

#define TRIES 200 /* ASSAY_TEST_KILLS: another number; ASSAY_TEST_SEED */
#define LATEST_US 40000
#define SECOND_NS INT64_C(1000000000)
#define LOOK_MOST_NS INT64_C(20000000) /* looks are half a millisecond apart */

extern char **environ;

/* The caller: four boxes at once, each one that ended is followed by the next. What they run is
 * hard to get rid of. */
static void on_next(void *owner, const struct box_facts *facts);

static void on_words(void *owner, const void *bytes, size_t n)
{
	(void)owner;
	(void)bytes;
	(void)n;
}

static void next(struct try *t)
{
	static const struct box_events events = {.on_output = on_words, .on_end = on_next};
	struct err e = ERR_INIT;
	t->box = box_start(try_sandbox, &t->spec, &events, t, &e);
	if (!t->box) {
		fprintf(stderr, "%s\n", e.text);
		_exit(1);
	}
}

static void on_next(void *owner, const struct box_facts *facts)
{
	struct try *t = owner;
	if (facts->end != BOX_EXITED) {
		fprintf(stderr, "%d %s\n", facts->end, facts->error);
		_exit(1);
	}
	next(t);
}

static void *call(void *unused)
{
	static struct try t[4];
	static const char *const scripts[] = {
		"exit 0",
		"(setsid sleep 900 &); exit 0",
		"trap '' TERM HUP INT; sleep 900 & kill -STOP $!; sleep 0.02",
		"(setsid sh -c 'trap \"\" TERM; while :; do :; done' &); sleep 0.01",
	};
	void *state = NULL;
	try_no_sweep = true;
	if (try_setup(&state))
		_exit(1);
	for (size_t i = 0; i < countof(t); i++) {
		try_init(&t[i], scripts[i]);
		t[i].keep_output = false;
		t[i].spec.limits.memory = 1u << 30;
		t[i].spec.limits.processes = 100;
		next(&t[i]);
	}
	if (write(STDOUT_FILENO, try_dir, sizeof(try_dir)) < 0)
		_exit(1);
	uv_run(&try_loop, UV_RUN_DEFAULT);
	return unused;
}

/* Boxes live with the thread that opened their sandbox: it is not always the first one. */
static int caller(bool in_thread)
{
	pthread_t thread;
	if (!in_thread)
		call(NULL);
	else if (!pthread_create(&thread, NULL, call, NULL))
		pthread_join(thread, NULL);
	return 1;
}

static pid_t caller_start(bool in_thread, int *out_fd)
{
	int out[2];
	pid_t pid;
	char self[] = "/proc/self/exe", here[] = "here", thread[] = "thread";
	char *argv[] = {self, in_thread ? thread : here, NULL};
	posix_spawn_file_actions_t files;
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_adddup2(&files, out[1], STDOUT_FILENO);
	assert_int_equal(posix_spawn(&pid, self, &files, NULL, argv, environ), 0);
	posix_spawn_file_actions_destroy(&files);
	close(out[1]);
	*out_fd = out[0];
	return pid;
}

/* How long until there is no child any more; and seen_ns, how much of that this program was there
 * to see: what lies between two looks counts as no more than looks lie apart on a crowded machine.
 * In the rest all of the machine stood still, or this program did. */
static int64_t empty_after_ns(int64_t began, int64_t *seen_ns)
{
	int64_t before = began;
	*seen_ns = 0;
	for (;;) {
		pid_t pid = waitpid(-1, NULL, WNOHANG | __WALL);
		int64_t now = clock_mono_ns(), took = now - began;
		*seen_ns += now - before < LOOK_MOST_NS ? now - before : LOOK_MOST_NS;
		before = now;
		if (pid < 0 && errno == ECHILD)
			return took;
		if (took > TRY_MINUTES_NS)
			return took;
		if (!pid)
			usleep(500);
	}
}

static void nothing_outlives_a_killed_caller_by_a_second(void **state)
{
	const char *wish = getenv("ASSAY_TEST_KILLS"), *seeded = getenv("ASSAY_TEST_SEED");
	size_t tries = wish ? strtoul(wish, NULL, 10) : TRIES;
	int64_t longest = 0, sum = 0;
	unsigned seed = seeded ? (unsigned)strtoul(seeded, NULL, 10) : 1;
	struct err e = ERR_INIT;
	(void)state;
	/* of all callers: those killed early have not said theirs */
	assert_int_equal(try_dir_make(), 0);
	auto_free char *tmp = own_fmt("%s/callers", try_dir);
	assert_int_equal(mkdir(tmp, 0777), 0);
	print_message("%zu tries, seed %u\n", tries, seed);
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	assert_int_equal(setenv("TMPDIR", tmp, 1), 0);
	for (size_t i = 0; i < tries; i++) {
		char dir[sizeof(try_dir)] = "";
		int out;
		pid_t pid = caller_start(i % 2, &out);
		/* Every fourth also while its sandbox is being opened. */
		if (i % 4 < 3) {
			ssize_t n = read(out, dir, sizeof(dir));
			int status = 0;
			if (n != (ssize_t)sizeof(dir)) /* it gives up, and may have said why */
				waitpid(pid, &status, 0);
			if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
				print_message("%.*s", n > 0 ? (int)n : 0, dir);
				(void)!try_remove(try_dir, &e);
				exit(77);
			}
			assert_int_equal(n, sizeof(dir));
		}
		usleep((unsigned)rand_r(&seed) % LATEST_US);
		int64_t began = clock_mono_ns();
		kill(pid, SIGKILL);
		int64_t seen, took = empty_after_ns(began, &seen);
		sum += took;
		longest = took > longest ? took : longest;
		assert_true(took < TRY_MINUTES_NS);
		if (seen >= SECOND_NS) {
			double most = try_crowding();
			print_message("try %zu: %lld ms, %lld of them seen, each takes %.1f times "
				      "as long here\n",
				      i, (long long)(took / 1000000), (long long)(seen / 1000000),
				      most);
			assert_true((double)seen < (double)SECOND_NS * most);
		}
		close(out);
	}
	assert_int_equal(try_remove(try_dir, &e), 0);
	print_message("gone after %.1f ms in the mean, %.1f ms at the longest\n",
		      (double)sum / (double)tries / 1e6, (double)longest / 1e6);
	assert_int_equal(try_swept(TRY_NAME), 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_outlives_a_killed_caller_by_a_second),
	};
	if (argc == 2)
		return caller(!strcmp(argv[1], "thread"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
