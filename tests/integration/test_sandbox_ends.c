/* How boxes end: what is said about it is exact, and nothing of them is left. */
#include "test_sandbox.h"

#include "test_processes.h"

#include <dirent.h>
#include <dlfcn.h>
#include <spawn.h>
#include <sys/prctl.h>

extern char **environ;

/* text with each '@' replaced by a number of seven digits: what is looked for is this process's (or
 * that of the process pid), not that of the same test run by somebody else. */
static char *marked(const char *text, pid_t pid)
{
	auto_text struct text t = TEXT_INIT;
	for (; *text; text++)
		if (*text == '@')
			text_addf(&t, "%07d", (int)pid);
		else
			text_addc(&t, *text);
	return text_take(&t);
}

/* How many processes have a command line that begins with these bytes, marked. */
static unsigned running_of(const char *text, pid_t pid)
{
	unsigned n = 0;
	auto_free char *line = marked(text, pid);
	struct process p;
	DIR *proc = opendir("/proc");
	while (process_next(proc, &p))
		n += !strncmp(p.line, line, strlen(line));
	closedir(proc);
	return n;
}

static unsigned running(const char *text)
{
	return running_of(text, getpid());
}

static unsigned fds_open(void)
{
	unsigned n = 0;
	DIR *d = opendir("/proc/self/fd");
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

/* But those of namespaces' files: a daemon removes the last container's when it comes to it. In the
 * mount namespace that an ordinary user shares with others, those of this program's directory. */
static unsigned mounts_here(void)
{
	unsigned n = 0;
	char line[4096];
	auto_file FILE *f = fopen("/proc/self/mountinfo", "re");
	while (fgets(line, sizeof(line), f))
		n += !strstr(line, " - nsfs ") &&
		     (!geteuid() || strstr(line, strrchr(try_dir, '/')));
	return n;
}

static void exit_codes_are_what_they_are(void **state)
{
	static const int some[] = {0,   1,   2,   123, 124, 125, 126, 127,
				   128, 129, 130, 137, 139, 143, 255};
	(void)state;
	/* through an engine each takes its time */
	bool all = !getenv("ASSAY_EXECUTOR");
	for (int i = 0; i < (all ? 256 : (int)countof(some)); i++) {
		int code = all ? i : some[i];
		auto_free char *script = own_fmt("exit %d", code);
		try_script(script, code, "");
	}
}

static void a_signal_is_a_signal(void **state)
{
	(void)state;
	for (int i = 1; i <= 64; i++) {
		/* What ends nobody: signal(7). Who may be stopped (it has no parent in its session)
		 * is not. */
		bool ends = i != SIGCHLD && i != SIGCONT && i != SIGURG && i != SIGWINCH &&
			    i != SIGTSTP && i != SIGTTIN && i != SIGTTOU;
		struct try t;
		if (i == SIGSTOP || (getenv("ASSAY_EXECUTOR") && i % 8))
			continue;
		auto_free char *script = own_fmt("kill -%d $$; exit 5", i);
		try_init(&t, script);
		try_run(&t);
		if (t.facts.end != (ends ? BOX_SIGNALLED : BOX_EXITED))
			print_message("signal %d:\n", i);
		assert_int_equal(t.facts.end, ends ? BOX_SIGNALLED : BOX_EXITED);
		assert_int_equal(t.facts.signal, ends ? i : 0);
		assert_int_equal(t.facts.exit_code, ends ? -1 : 5);
		assert_false(t.facts.core); /* no dump: a core limit of 1 */
		try_fini(&t);
	}
	/* stopped is not ended */
	struct try t;
	try_init(&t, "kill -STOP $$");
	t.spec.limits.wall_ms = 300;
	try_run(&t);
	assert_int_equal(t.facts.limit, BOX_LIMIT_WALL);
	try_fini(&t);
	/* a child's signal is the shell's business */
	try_script("sh -c 'kill -9 $$'; exit 3", 3, NULL);
}

static void a_program_that_is_not_there_is_the_package_s_affair(void **state)
{
	static const struct {
		const char *program;
		int code;
		const char *text;
	} cases[] = {
		{"no-such-program", 127, "assay: no-such-program: No such file or directory\n"},
		{"/no/such/program", 127, "assay: /no/such/program: No such file or directory\n"},
		{"/etc", 126, "assay: /etc: Permission denied\n"},
		{"/etc/passwd", 126, "assay: /etc/passwd: Permission denied\n"},
	};
	(void)state;
	for (size_t i = 0; i < countof(cases); i++) {
		struct try t;
		try_init(&t, "");
		auto_free char *program = own_dup(cases[i].program);
		t.argv[0] = program;
		try_run(&t);
		try_expect(&t, cases[i].code, cases[i].text);
		try_fini(&t);
	}
}

static void nothing_survives_the_command(void **state)
{
	(void)state;
	/* a double fork, a session of its own, a stopped one, one that ignores what can be ignored,
	 * one that holds the output */
	auto_free char *script = marked(
		"(setsid sleep 777.@1 &) ; sleep 777.@2 & kill -STOP $!; sh -c 'trap \"\" TERM HUP "
		"INT; sleep 777.@3; sleep 777.@3' &"
		"(trap '' TERM; exec setsid sh -c 'sleep 777.@4 >/dev/null & sleep 777.@4') & "
		"sleep "
		"0.2; echo done",
		getpid());
	try_script(script, 0, "done\n");
	assert_int_equal(running("sleep 777.@"), 0);
}

static void output_is_exact_however_much_it_is(void **state)
{
	struct try t;
	(void)state;
	try_init(&t, "head -c 200000000 /dev/zero");
	t.keep_output = false;
	try_run(&t);
	try_expect(&t, 0, NULL);
	assert_int_equal(t.bytes, 200000000);
	assert_int_equal(t.facts.output_bytes, 200000000);
	try_fini(&t);
	/* what is said at the very end, and by a process that outlives the command, is there, too
	 */
	try_script("printf abc; (printf def) & wait; printf ghi", 0, "abcdefghi");
}

static void on_second(uv_timer_t *timer)
{
	*(bool *)timer->data = true;
	uv_stop(&try_loop);
}

static void wait_ms(uint64_t ms)
{
	uv_timer_t timer;
	bool over = false;
	uv_timer_init(&try_loop, &timer);
	timer.data = &over;
	uv_timer_start(&timer, on_second, ms, 0);
	while (!over)
		uv_run(&try_loop, UV_RUN_ONCE);
	uv_close((uv_handle_t *)&timer, NULL);
	uv_run(&try_loop, UV_RUN_NOWAIT);
}

static void paused_output_waits_and_nothing_is_lost(void **state)
{
	struct try t;
	(void)state;
	try_init(&t, "head -c 3000000 /dev/zero; echo end");
	t.keep_output = false;
	try_start(&t);
	box_pause_output(t.box, true);
	wait_ms(300);
	assert_int_equal(t.bytes, 0);
	assert_int_equal(t.ends, 0);
	box_pause_output(t.box, false);
	try_wait(&t);
	try_expect(&t, 0, NULL);
	assert_int_equal(t.bytes, 3000004);
	try_fini(&t);
	/* paused beyond its end: the end waits for the output */
	try_init(&t, "echo all");
	try_start(&t);
	box_pause_output(t.box, true);
	wait_ms(300);
	assert_int_equal(t.ends, 0);
	assert_int_equal(t.bytes, 0);
	box_pause_output(t.box, false);
	assert_int_equal(t.ends, 0);
	try_wait(&t);
	try_expect(&t, 0, "all\n");
	try_fini(&t);
}

static void silence_is_not_counted_while_paused(void **state)
{
	struct try t;
	(void)state;
	try_init(&t, "echo ready; until [ -e /go/now ]; do sleep 0.05; done; echo x; : >/go/said; "
		     "exec sleep 600");
	try_lower(&t, try_mount(&t, "/go", BOX_RW), "go");
	t.spec.limits.silence_ms = 4000;
	try_start(&t);
	try_until(&t, "ready");
	box_pause_output(t.box, true);
	wait_ms(5000);
	try_write("go/now", "");
	while (!t.ends && !try_exists("go/said"))
		wait_ms(10);
	assert_int_equal(t.ends, 0);
	box_pause_output(t.box, false);
	try_wait(&t);
	/* now it is */
	assert_int_equal(t.facts.limit, BOX_LIMIT_SILENCE);
	assert_string_equal(text_str(&t.out), "ready\nx\n");
	try_fini(&t);
}

static void a_box_is_cancelled_gently_or_not(void **state)
{
	struct try t;
	(void)state;
	for (int gently = 0; gently < 2; gently++) {
		try_init(&t, "trap 'echo asked; exit 7' TERM; echo ready; while :; do :; done");
		t.spec.limits.grace_ms = 200000;
		try_start(&t);
		while (!t.out.n)
			uv_run(&try_loop, UV_RUN_ONCE);
		box_cancel(t.box, gently);
		try_wait(&t);
		assert_int_equal(t.facts.end, BOX_CANCELLED);
		assert_int_equal(t.facts.exit_code, gently ? 7 : -1);
		assert_int_equal(t.facts.signal, gently ? 0 : SIGKILL);
		assert_string_equal(text_str(&t.out), gently ? "ready\nasked\n" : "ready\n");
		try_fini(&t);
	}
	/* at once after its start, before it is born */
	auto_free char *script = marked("sleep 778.@", getpid());
	try_init(&t, script);
	try_start(&t);
	box_cancel(t.box, true);
	try_wait(&t);
	assert_int_equal(t.facts.end, BOX_CANCELLED);
	try_fini(&t);
	assert_int_equal(running("sleep 778.@"), 0);
}

static void when_its_helper_dies_a_box_fails_and_the_next_has_a_new_one(void **state)
{
	struct try t;
	(void)state;
	auto_free char *script = marked("echo ready; sleep 779.@", getpid());
	try_init(&t, script);
	try_start(&t);
	while (!t.out.n)
		uv_run(&try_loop, UV_RUN_ONCE);
	/* our children are helpers, and nothing else */
	pid_t helpers[8];
	size_t killed = process_children(getpid(), "", helpers, countof(helpers));
	for (size_t i = 0; i < killed; i++)
		assert_int_equal(kill(helpers[i], SIGKILL), 0);
	assert_int_not_equal(killed, 0);
	try_wait(&t);
	assert_int_equal(t.facts.end, BOX_FAILED);
	assert_non_null(strstr(t.facts.error, "killed by signal 9"));
	assert_int_equal(running("sleep 779.@"), 0);
	try_fini(&t);
	try_script("echo again", 0, "again\n");
}

static void many_boxes_leave_nothing(void **state)
{
	struct try t;
	unsigned before = 0, mounts = mounts_here();
	const char *number = getenv("ASSAY_TEST_BOXES");
	const int boxes = number ? (int)strtol(number, NULL, 10) : 200;
	int64_t *setup = own_calloc((size_t)boxes, sizeof(*setup));
	auto_free char *mark = marked("@", getpid());
	(void)state;
	for (int i = 0; i < boxes; i++) {
		auto_free char *upper = own_fmt("many/%d", i);
		try_init(&t, "");
		static char program[] = "/bin/true";
		t.argv[0] = program;
		t.argv[1] = mark;
		t.spec.limits.memory = 1u << 30;
		t.spec.limits.processes = 100;
		try_upper(try_lower(&t, try_mount(&t, "/", BOX_COW), "many/l"), upper);
		try_run(&t);
		try_expect(&t, 0, "");
		setup[i] = (int64_t)t.facts.setup_ns;
		try_fini(&t);
		if (i == 3)
			before = fds_open();
	}
	uv_run(&try_loop, UV_RUN_NOWAIT);
	assert_true(fds_open() <= before);
	assert_int_equal(mounts_here(), mounts);
	assert_int_equal(running("/bin/true @"), 0);
	for (int i = 1; i < boxes; i++)
		for (int k = i; k && setup[k] < setup[k - 1]; k--) {
			int64_t swap = setup[k];
			setup[k] = setup[k - 1];
			setup[k - 1] = swap;
		}
	print_message("set-up of a box: median %.2f ms, of %d\n", (double)setup[boxes / 2] / 1e6,
		      boxes);
	free(setup);
}

/* The other process: opens a sandbox, runs a box, waits to be killed. */
static int hold(void)
{
	struct try t;
	void *state = NULL;
	try_no_sweep = true;
	if (try_setup(&state))
		return 1;
	/* Stopped before it is executed, it would be a shell for ever. */
	auto_free char *script =
		marked("(setsid sleep 780.@1 &); sleep 780.@2 & until grep -q sleep /proc/$!/comm; "
		       "do :; done; kill -STOP $!; echo ready; sleep 780.@3",
		       getpid());
	try_init(&t, script);
	t.spec.limits.wall_ms = 0;
	try_start(&t);
	while (!t.out.n)
		uv_run(&try_loop, UV_RUN_ONCE);
	if (write(STDOUT_FILENO, try_dir, sizeof(try_dir)) < 0)
		return 1;
	uv_run(&try_loop, UV_RUN_DEFAULT);
	return 1;
}

static void with_its_caller_killed_nothing_is_left(void **state)
{
	struct err e = ERR_INIT;
	(void)state;
	for (int i = 0; i < 5; i++) {
		int out[2];
		char dir[sizeof(try_dir)] = "", self[] = "/proc/self/exe", word[] = "hold",
		     *argv[] = {self, word, NULL};
		pid_t pid;
		posix_spawn_file_actions_t files;
		assert_int_equal(pipe2(out, O_CLOEXEC), 0);
		posix_spawn_file_actions_init(&files);
		posix_spawn_file_actions_adddup2(&files, out[1], STDOUT_FILENO);
		assert_int_equal(posix_spawn(&pid, self, &files, NULL, argv, environ), 0);
		posix_spawn_file_actions_destroy(&files);
		close(out[1]);
		assert_true(read(out[0], dir, sizeof(dir)) > 0);
		close(out[0]);
		for (int k = 0; k < 6000 && running_of("sleep 780.@", pid) != 3; k++)
			wait_ms(10);
		unsigned ran = running_of("sleep 780.@", pid);
		int64_t began = clock_mono_ns();
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		assert_int_equal(ran, 3);
		while (running_of("sleep 780.@", pid) && clock_mono_ns() - began < TRY_MINUTES_NS)
			wait_ms(5);
		print_message("gone after %.1f ms\n", (double)(clock_mono_ns() - began) / 1e6);
		assert_int_equal(running_of("sleep 780.@", pid), 0);
		assert_int_equal(try_remove(dir, &e), 0);
	}
	assert_int_equal(try_swept(TRY_NAME), 0);
}

/* The processes that this one started and has not waited for. */
static void signal_children(int number)
{
	char path[64];
	auto_text struct text t = TEXT_INIT;
	struct err e = ERR_INIT;
	snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
	auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(dir_read_fd(fd, 1 << 16, &t, &e), 0);
	char *at = t.p;
	for (long pid; at && (pid = strtol(at, &at, 10)) > 0;)
		kill((pid_t)pid, number);
}

/* As one does that waits for a file system which does not answer. */
static void a_helper_that_does_not_listen_is_ended(void **state)
{
	struct try t;
	(void)state;
	try_script("true", 0, ""); /* now there is one */
	signal_children(SIGSTOP);
	try_init(&t, "true");
	try_start(&t);
	box_cancel(t.box, false);
	try_wait(&t);
	assert_int_equal(t.facts.end, BOX_CANCELLED);
	try_fini(&t);
	signal_children(SIGCONT);
	try_script("true", 0, "");
}

/* libuv's, but for one call. */
static unsigned poll_init_fails; /* the how manieth from now, 0: none */

int uv_poll_init(uv_loop_t *loop, uv_poll_t *handle, int fd)
{
	static int (*real)(uv_loop_t *, uv_poll_t *, int);
	if (!real)
		real = (int (*)(uv_loop_t *, uv_poll_t *, int))dlsym(RTLD_NEXT, "uv_poll_init");
	return poll_init_fails && !--poll_init_fails ? UV_ENOSPC : real(loop, handle, fd);
}

static void no_box_runs_that_is_not_watched(void **state)
{
	static char large[(64 << 20) + 1];
	(void)state;
	try_script("true", 0, ""); /* there is a helper */
	for (int i = 0; i < 2; i++) {
		struct err e = ERR_INIT;
		struct try t;
		try_init(&t, "touch /data/ran");
		auto_fd int lower = try_open("unwatched");
		struct box_mount *m = try_mount(&t, "/data", BOX_RW);
		m->lowers = &lower;
		m->n_lowers = 1;
		m->ours = false;
		fchmod(lower, 01777);
		if (i)
			t.files[t.spec.n_files++] =
				(struct box_file){"/large", large, sizeof(large), 0444};
		poll_init_fails = !i;
		assert_null(try_begin(&t, &e));
		assert_non_null(strstr(e.text, i ? "take" : "watch a pipe"));
		poll_init_fails = 0;
		try_fini(&t);
		try_script("true", 0, "");
		assert_false(try_exists("unwatched/ran"));
	}
}

/* And with it what it no longer ends. Where there is a cgroup, that ends the box. */
static void a_helper_that_does_not_listen_any_more_is_ended(void **state)
{
	struct try t;
	(void)state;
	try_init(&t, "true");
	try_run(&t);
	bool cgroup = strcmp(t.facts.cgroup, "none");
	try_fini(&t);
	if (cgroup)
		skip();
	try_init(&t, "echo ready; exec sleep 1000");
	t.spec.limits.wall_ms = 0;
	try_start(&t);
	try_until(&t, "ready");
	signal_children(SIGSTOP);
	box_cancel(t.box, false);
	try_wait(&t);
	assert_int_equal(t.facts.end, BOX_CANCELLED);
	assert_int_equal(t.facts.signal, SIGKILL);
	assert_string_equal(t.facts.error, "");
	try_fini(&t);
	try_script("true", 0, "");
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_helper_that_does_not_listen_is_ended),
		cmocka_unit_test(a_helper_that_does_not_listen_any_more_is_ended),
		cmocka_unit_test(no_box_runs_that_is_not_watched),
		cmocka_unit_test(exit_codes_are_what_they_are),
		cmocka_unit_test(a_signal_is_a_signal),
		cmocka_unit_test(a_program_that_is_not_there_is_the_package_s_affair),
		cmocka_unit_test(nothing_survives_the_command),
		cmocka_unit_test(output_is_exact_however_much_it_is),
		cmocka_unit_test(paused_output_waits_and_nothing_is_lost),
		cmocka_unit_test(silence_is_not_counted_while_paused),
		cmocka_unit_test(a_box_is_cancelled_gently_or_not),
		cmocka_unit_test(when_its_helper_dies_a_box_fails_and_the_next_has_a_new_one),
		cmocka_unit_test(many_boxes_leave_nothing),
		cmocka_unit_test(with_its_caller_killed_nothing_is_left),
	};
	if (argc == 2 && !strcmp(argv[1], "hold"))
		return hold();
	return cmocka_run_group_tests_name("sandbox: ends", tests, try_setup, try_teardown);
}
