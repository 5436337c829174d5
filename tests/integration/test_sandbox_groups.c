/* Who makes and removes a box's control group: its helper, and what is left of it where that is
 * killed, alone or with its caller. Skips where boxes have no groups. */
#include "test_sandbox.h"

#include "test_processes.h"

#include "sandbox/cgroup_inside.h"

#include <dirent.h>

#define PLACES (CGROUP_HIERARCHIES + 1)

/* In each hierarchy the directory of boxes' groups of this caller; -1: none. */
static void open_places(const char *name, pid_t caller, int at[PLACES])
{
	struct err e = ERR_INIT;
	struct cgroup_places p;
	auto_free char *mine = own_fmt("%s.%d", name, (int)caller);
	assert_int_equal(cgroup_find(&cgroup_world_real, &p, &e), 0);
	for (size_t i = 0; i < PLACES; i++) {
		int fd = i < CGROUP_HIERARCHIES ? p.v1[i].fd : p.v2.fd;
		at[i] = fd < 0 ? -1 : openat(fd, mine, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	cgroup_places_close(&p);
}

static size_t groups(const char *name, pid_t caller)
{
	int at[PLACES];
	size_t n = 0;
	open_places(name, caller, at);
	for (size_t i = 0; i < PLACES; i++) {
		DIR *dir = at[i] < 0 ? NULL : fdopendir(at[i]);
		for (struct dirent *d; dir && (d = readdir(dir));)
			n += !strncmp(d->d_name, "box-", 4);
		if (dir)
			closedir(dir);
		else
			own_close(&at[i]);
	}
	return n;
}

static size_t groups_here(void)
{
	return groups(TRY_NAME, getpid());
}

/* One that runs until it is ended. */
static void start_lasting(struct try *t)
{
	try_init(t, "echo here; exec sleep 1000");
	try_start(t);
	while (!t->out.n && !t->ends)
		uv_run(&try_loop, UV_RUN_ONCE);
	assert_int_equal(t->ends, 0);
}

static bool have_groups(void)
{
	struct try t;
	try_init(&t, "true");
	try_run(&t);
	try_expect(&t, 0, "");
	bool none = !strcmp(t.facts.cgroup, "none");
	try_fini(&t);
	if (none)
		print_message("boxes have no control groups here\n");
	return !none;
}

static void a_group_is_there_while_its_box_is(void **state)
{
	struct try t;
	(void)state;
	if (!have_groups())
		skip();
	assert_int_equal(groups_here(), 0);
	start_lasting(&t);
	assert_int_not_equal(groups_here(), 0);
	box_cancel(t.box, false);
	try_wait(&t);
	assert_int_equal(t.facts.end, BOX_CANCELLED);
	assert_int_equal(groups_here(), 0);
	try_fini(&t);
}

/* Nobody reads it meanwhile: it is over too soon. */
static void what_a_short_box_used_was_counted_before_its_group_went(void **state)
{
	struct try t;
	(void)state;
	if (!have_groups())
		skip();
	try_init(&t, "head -c 16777216 /dev/zero | tail -n 1 | wc -c");
	t.spec.limits.memory = 1 << 30;
	try_run(&t);
	try_expect(&t, 0, "16777216\n");
	assert_true(t.facts.peak_memory >= 16777216);
	assert_true(t.facts.cpu_user_ns + t.facts.cpu_system_ns > 0);
	try_fini(&t);
}

static void when_its_helper_is_killed_the_caller_removes_the_group(void **state)
{
	struct try t;
	pid_t helpers[8];
	(void)state;
	if (!have_groups())
		skip();
	start_lasting(&t);
	size_t n = process_children(getpid(), "", helpers, countof(helpers));
	for (size_t i = 0; i < n; i++)
		assert_int_equal(kill(helpers[i], SIGKILL), 0);
	try_wait(&t);
	assert_int_equal(t.facts.end, BOX_FAILED);
	assert_int_equal(groups_here(), 0);
	try_fini(&t);
	try_script("echo again", 0, "again\n");
}

/* Somebody's directory is in its place: what it was before it stays, and the next box is none the
 * worse. */
static void a_group_that_cannot_be_made_is_our_trouble(void **state)
{
	int at[PLACES];
	struct try t;
	size_t taken = 0;
	(void)state;
	if (!have_groups())
		skip();
	open_places(TRY_NAME, getpid(), at);
	for (size_t i = 0; i < PLACES; i++)
		taken += at[i] >= 0 && !mkdirat(at[i], "box-taken.0", 0755);
	assert_int_not_equal(taken, 0);
	try_init(&t, "true");
	t.spec.name = "taken";
	try_run(&t);
	assert_int_equal(t.facts.end, BOX_FAILED);
	assert_non_null(strstr(t.facts.error, "box-taken.0: File exists"));
	assert_int_equal(groups_here(), taken);
	for (size_t i = 0; i < PLACES; i++) {
		if (at[i] >= 0)
			unlinkat(at[i], "box-taken.0", AT_REMOVEDIR);
		own_close(&at[i]);
	}
	assert_int_equal(groups_here(), 0);
	try_fini(&t);
	try_script("echo again", 0, "again\n");
}

#define DEAD_NAME "assay-test-dead"

static void be_killed_with_a_box(int told)
{
	static const struct box_events events;
	char *argv[] = {(char[]){"/bin/sh"}, (char[]){"-c"},
			(char[]){"echo here >&0; exec sleep 1000"}, NULL};
	struct err e = ERR_INIT;
	struct sandbox_conf conf = {.helper = getenv("ASSAY_BOX") ? getenv("ASSAY_BOX") : ASSAY_BOX,
				    .executor = getenv("ASSAY_EXECUTOR"),
				    .slots = 1,
				    .name = DEAD_NAME,
				    .no_probe = true};
	struct box_spec spec = {.name = "left",
				.root_host = true,
				.argv = argv,
				.env = try_env,
				.cwd = "/",
				.hostname = "box",
				.stdio = (int[]){told, -1, -1}};
	uv_loop_t loop;
	uv_loop_init(&loop);
	struct sandbox *sb = sandbox_open(&loop, &conf, &e);
	if (sb && box_start(sb, &spec, &events, NULL, &e))
		uv_run(&loop, UV_RUN_DEFAULT);
	fprintf(stderr, "%s\n", e.text);
	_exit(1);
}

/* Then nobody is there who could: the next start does, and whoever was in it is gone. */
static void when_its_caller_is_killed_the_next_start_removes_the_group(void **state)
{
	int pipe_of[2];
	char line[16];
	struct err e = ERR_INIT;
	(void)state;
	if (!have_groups())
		skip();
	assert_int_equal(pipe2(pipe_of, O_CLOEXEC), 0);
	pid_t caller = fork();
	if (!caller)
		be_killed_with_a_box(pipe_of[1]);
	close(pipe_of[1]);
	assert_true(read(pipe_of[0], line, sizeof(line)) > 0);
	assert_int_not_equal(groups(DEAD_NAME, caller), 0);
	assert_int_equal(kill(caller, SIGKILL), 0);
	assert_int_equal(waitpid(caller, NULL, 0), caller);
	assert_int_equal(read(pipe_of[0], line, sizeof(line)), 0); /* nobody has its other end */
	close(pipe_of[0]);
	int64_t until = clock_mono_ns() + TRY_MINUTES_NS;
	do
		(void)!sandbox_sweep(DEAD_NAME, &e);
	while (groups(DEAD_NAME, caller) && clock_mono_ns() < until);
	assert_int_equal(groups(DEAD_NAME, caller), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_group_is_there_while_its_box_is),
		cmocka_unit_test(what_a_short_box_used_was_counted_before_its_group_went),
		cmocka_unit_test(when_its_helper_is_killed_the_caller_removes_the_group),
		cmocka_unit_test(a_group_that_cannot_be_made_is_our_trouble),
		cmocka_unit_test(when_its_caller_is_killed_the_next_start_removes_the_group),
	};
	return cmocka_run_group_tests_name("sandbox/groups", tests, try_setup, try_teardown);
}
