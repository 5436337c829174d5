/* What the command has for stdin, stdout and stderr: descriptors of the caller's, or a terminal of
 * the box's own; who it is; and signals from outside. */
#include "tests/integration/test_sandbox.h"

#include <pty.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static void the_command_gets_the_callers_descriptors(void **state)
{
	struct try t;
	int in[2], out[2], err[2];
	char said[64] = "", told[64] = "";
	(void)state;
	assert_int_equal(pipe2(in, O_CLOEXEC) | pipe2(out, O_CLOEXEC) | pipe2(err, O_CLOEXEC), 0);
	try_init(&t, "read line; echo got $line; echo oops >&2; ls /proc/self/fd | wc -l >&2");
	t.spec.stdio = (const int[]){in[0], out[1], err[1]};
	assert_int_equal(write(in[1], "this\n", 5), 5);
	try_run(&t);
	try_expect(&t, 0, "");
	close(out[1]);
	close(err[1]);
	assert_true(read(out[0], said, sizeof(said) - 1) > 0);
	assert_string_equal(said, "got this\n");
	/* 0, 1, 2 and the one that ls itself opens */
	for (size_t n = 0; n < 7;) {
		ssize_t r = read(err[0], told + n, sizeof(told) - 1 - n);
		assert_true(r > 0);
		n += (size_t)r;
	}
	assert_string_equal(told, "oops\n4\n");
	close(in[0]);
	close(in[1]);
	close(out[0]);
	close(err[0]);
	try_fini(&t);
}

static void what_is_not_given_is_as_usual(void **state)
{
	struct try t;
	int in[2];
	(void)state;
	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(write(in[1], "abc", 3), 3);
	close(in[1]);
	try_init(&t, "cat; echo; echo e >&2");
	t.spec.stdio = (const int[]){in[0], -1, -1};
	t.spec.limits.silence_ms = 60000;
	t.spec.limits.output_bytes = 100;
	try_run(&t);
	try_expect(&t, 0, "abc\ne\n");
	try_fini(&t);
	close(in[0]);

	auto_fd int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	try_init(&t, "cat; echo gone; echo seen >&2");
	t.spec.stdio = (const int[]){-1, null, -1};
	try_run(&t);
	try_expect(&t, 0, "seen\n");
	try_fini(&t);
}

static void refused(struct try *t, const char *why)
{
	struct err e = ERR_INIT;
	assert_null(try_begin(t, &e));
	assert_int_equal(e.kind, ERR_USAGE);
	if (!strstr(e.text, why))
		print_error("%s\n", e.text);
	assert_non_null(strstr(e.text, why));
}

static void no_way_out_is_handed_in(void **state)
{
	struct try t;
	int master, slave;
	(void)state;
	try_init(&t, "true");
	auto_fd int dir = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	auto_fd int path = open("/dev/null", O_PATH | O_CLOEXEC);
	auto_fd int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	t.spec.stdio = (const int[]){dir, null, null};
	refused(&t, "standard input is a directory");
	t.spec.stdio = (const int[]){null, path, null};
	refused(&t, "standard output is a mere path");
	if (!openpty(&master, &slave, NULL, NULL, NULL)) {
		t.spec.stdio = (const int[]){null, null, slave};
		refused(&t, "standard error is a terminal");
		close(master);
		close(slave);
	}
	t.spec.stdio = (const int[]){null, null, -1};
	t.spec.limits.silence_ms = 1000;
	refused(&t, "read along");
	t.spec.limits.silence_ms = 0;
	t.spec.terminal = true;
	refused(&t, "not both");
	t.spec.stdio = NULL;
	t.spec.limits.output_bytes = 1000;
	refused(&t, "read along");
	try_fini(&t);
}

static int master_fd = -1;

static void on_terminal(void *owner, int fd)
{
	struct winsize size = {.ws_row = 33, .ws_col = 77};
	(void)owner;
	assert_int_equal(master_fd, -1);
	master_fd = fd;
	assert_int_equal(ioctl(fd, TIOCSWINSZ, &size), 0);
}

static void start_at_terminal(struct try *t)
{
	struct err e = ERR_INIT;
	t->spec.terminal = true;
	t->on_terminal = on_terminal;
	if (!try_begin(t, &e))
		print_error("%s\n", e.text);
	assert_non_null(t->box);
}

/* All that the terminal still has, up to its end (EIO: pty(7)). */
static void terminal_read(struct text *said)
{
	char buf[4096];
	ssize_t n;
	while ((n = read(master_fd, buf, sizeof(buf))) > 0)
		text_put(said, buf, (size_t)n);
	close(master_fd);
	master_fd = -1;
}

static void a_terminal_is_the_boxs_own(void **state)
{
	struct try t;
	auto_text struct text said = TEXT_INIT;
	(void)state;
	try_init(&t, "tty; stty size; test -t 0 && test -t 1 && test -t 2; echo $?; "
		     "echo ctty >/dev/tty; stat -c %u $(tty); ls /proc/self/fd | wc -l");
	start_at_terminal(&t);
	try_wait(&t);
	try_expect(&t, 0, "");
	terminal_read(&said);
	assert_string_equal(text_str(&said), "/dev/pts/0\r\n33 77\r\n0\r\nctty\r\n0\r\n4\r\n");
	try_fini(&t);
}

static void its_interrupt_key_reaches_the_command(void **state)
{
	struct try t;
	auto_text struct text said = TEXT_INIT;
	(void)state;
	/* the shell reads what it will get only once; the key comes when it has said so */
	try_init(&t, "trap 'echo caught; exit 7' INT; echo ready; while :; do sleep 0.05; done");
	start_at_terminal(&t);
	while (!t.ends && !said.n) {
		char buf[64];
		uv_run(&try_loop, UV_RUN_NOWAIT);
		struct timespec pause = {.tv_nsec = 2000000};
		nanosleep(&pause, NULL);
		int n = 0;
		if (master_fd >= 0 && !ioctl(master_fd, FIONREAD, &n) && n > 0) {
			ssize_t r = read(master_fd, buf, sizeof(buf));
			assert_true(r > 0);
			text_put(&said, buf, (size_t)r);
		}
	}
	assert_int_equal(write(master_fd, "\003", 1), 1);
	try_wait(&t);
	try_expect(&t, 7, "");
	terminal_read(&said);
	assert_non_null(strstr(text_str(&said), "caught"));
	try_fini(&t);
}

static void a_terminal_nobody_wants_is_gone(void **state)
{
	struct err e = ERR_INIT;
	struct try t;
	(void)state;
	/* its other end is closed: reading it ends */
	try_init(&t, "read x; exit 3");
	t.spec.terminal = true;
	try_begin(&t, &e);
	assert_non_null(t.box);
	try_wait(&t);
	assert_true(t.facts.end == BOX_SIGNALLED ? t.facts.signal == SIGHUP
						 : t.facts.exit_code == 3);
	try_fini(&t);
}

static void the_command_is_whom_it_is_to_be(void **state)
{
	struct try t;
	(void)state;
	try_init(&t,
		 "id -u; id -g; id -G; grep -E 'Cap(Prm|Eff|Amb)' /proc/self/status | cut -f2 | "
		 "sort -u; ls -ldn /proc/self/ | cut -d' ' -f3");
	t.spec.uid = 1234;
	t.spec.gid = 2345;
	try_run(&t);
	if (geteuid())
		/* an ordinary user keeps its groups: user_namespaces(7) */
		assert_int_equal(strncmp(text_str(&t.out), "1234\n2345\n2345", 14), 0);
	else
		try_expect(&t, 0, "1234\n2345\n2345\n0000000000000000\n1234\n");
	assert_non_null(strstr(text_str(&t.out), "\n0000000000000000\n1234\n"));
	try_fini(&t);
}

static void another_user_may_not_write_what_is_roots(void **state)
{
	struct try t;
	(void)state;
	if (geteuid())
		skip(); /* has one id: everything is its own */
	try_init(&t, "echo x >/root/x || echo no; echo y >/tmp/y && cat /tmp/y");
	t.spec.uid = t.spec.gid = 1000;
	try_run(&t);
	try_expect(&t, 0, NULL);
	assert_non_null(strstr(text_str(&t.out), "no\ny\n"));
	try_fini(&t);
}

static void signals_reach_the_command(void **state)
{
	struct try t;
	(void)state;
	try_init(&t, "trap 'echo usr1; exit 9' USR1; echo ready; while :; do sleep 0.05; done");
	try_start(&t);
	while (!t.ends && !t.out.n)
		uv_run(&try_loop, UV_RUN_ONCE);
	box_signal(t.box, SIGUSR1);
	try_wait(&t);
	/* its whole process group: the shell tells what became of its child */
	try_expect(&t, 9, NULL);
	assert_non_null(strstr(text_str(&t.out), "\nusr1\n"));
	try_fini(&t);
}

static void a_signal_before_it_runs_waits_for_it(void **state)
{
	struct try t;
	(void)state;
	try_init(&t, "");
	/* no shell, which may catch an interrupt and begin a child all the same */
	free(t.argv[2]);
	t.argv[0] = (char[]){"sleep"};
	t.argv[1] = (char[]){"60"};
	t.argv[2] = NULL;
	try_start(&t);
	box_signal(t.box, SIGWINCH);
	box_signal(t.box, SIGINT);
	try_wait(&t);
	assert_int_equal(t.facts.end, BOX_SIGNALLED);
	assert_int_equal(t.facts.signal, SIGINT);
	try_fini(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_command_gets_the_callers_descriptors),
		cmocka_unit_test(what_is_not_given_is_as_usual),
		cmocka_unit_test(no_way_out_is_handed_in),
		cmocka_unit_test(a_terminal_is_the_boxs_own),
		cmocka_unit_test(its_interrupt_key_reaches_the_command),
		cmocka_unit_test(a_terminal_nobody_wants_is_gone),
		cmocka_unit_test(the_command_is_whom_it_is_to_be),
		cmocka_unit_test(another_user_may_not_write_what_is_roots),
		cmocka_unit_test(signals_reach_the_command),
		cmocka_unit_test(a_signal_before_it_runs_waits_for_it),
	};
	return cmocka_run_group_tests(tests, try_setup, try_teardown);
}
