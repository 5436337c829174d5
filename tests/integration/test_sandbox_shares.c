/* What the kernel counts for all boxes of one caller together: one box takes all it can get of it,
 * and holds it; the next one has what it needs. What runs in the boxes is this program. */
#include "test_sandbox.h"

#include "base/message.h"

#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

#define CALLER_FILES 512 /* the caller's own soft limit */
#define SENT 750         /* descriptors on their way, more than that */
#define NEEDED 8
#define NEEDED_TIMERS 100
#define MOST 1000000

static struct text self = TEXT_INIT;

/* --- in the box ------------------------------------------------------------------------------- */

static int take_inotify(void)
{
	return inotify_init1(IN_CLOEXEC);
}

static int take_terminal(void)
{
	return open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
}

static int take_signal(void)
{
	return sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 0});
}

static int take_timer(void)
{
	timer_t t;
	return timer_create(CLOCK_MONOTONIC, NULL, &t);
}

/* How many, up to so many. */
static int take(int (*one)(void), int most)
{
	int n = 0;
	while (n < most && one() >= 0)
		n++;
	return n;
}

static int take_all(void)
{
	struct rlimit files;
	sigset_t set;
	int pair[2], sent = 0;
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	sigprocmask(SIG_BLOCK, &set, NULL);
	if (getrlimit(RLIMIT_NOFILE, &files) || socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
		return 1;
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	while (sent < SENT) {
		int fds[SENT / 5] = {0};
		char byte = 0;
		struct message m = {.part = {{&byte, 1}}, .fds = fds, .n_fds = countof(fds)};
		if (message_send(pair[0], &m, MSG_DONTWAIT))
			return 2;
		sent += (int)countof(fds);
	}
	int watched = take(take_inotify, MOST), terminals = take(take_terminal, MOST);
	int signals = take(take_signal, MOST);
	if (dprintf(1, "taken %d %d %d\n", watched, terminals, signals) < 0)
		return 3;
	for (;;)
		pause();
}

static int take_what_is_needed(void)
{
	int watched = take(take_inotify, NEEDED), terminals = take(take_terminal, NEEDED);
	int timers = take(take_timer, NEEDED_TIMERS);
	return dprintf(1, "%d %d %d\n", watched, terminals, timers) < 0;
}

/* --- tests ------------------------------------------------------------------------------------ */

static void shares_begin(struct try *t, const char *word)
{
	auto_free char *command = own_fmt("exec /box/program %s", word);
	try_init(t, command);
	t->files[t->spec.n_files++] =
		(struct box_file){"/box/program", text_str(&self), self.n, 0755};
	try_start(t);
}

static void a_box_that_takes_all_it_can_leaves_enough_for_the_next(void **state)
{
	struct try taker, next;
	(void)state;
	shares_begin(&taker, "take");
	while (!taker.ends && !strchr(text_str(&taker.out), '\n'))
		uv_run(&try_loop, UV_RUN_ONCE);
	assert_int_equal(strncmp(text_str(&taker.out), "taken ", 6), 0);
	shares_begin(&next, "need");
	try_wait(&next);
	if (next.facts.exit_code)
		print_message("%s", text_str(&taker.out));
	try_expect(&next, 0, "8 8 100\n");
	try_fini(&next);
	box_cancel(taker.box, false);
	try_wait(&taker);
	try_fini(&taker);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_box_that_takes_all_it_can_leaves_enough_for_the_next),
	};
	struct rlimit files;
	struct err e = ERR_INIT;
	if (argc > 1)
		return strcmp(argv[1], "take") ? take_what_is_needed() : take_all();
	auto_fd int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	if (fd < 0 || dir_read_fd(fd, (size_t)64 << 20, &self, &e) ||
	    getrlimit(RLIMIT_NOFILE, &files))
		return 1;
	files.rlim_cur = CALLER_FILES;
	setrlimit(RLIMIT_NOFILE, &files);
	int rc = cmocka_run_group_tests_name("sandbox/shares", tests, try_setup, try_teardown);
	text_fini(&self);
	return rc;
}
