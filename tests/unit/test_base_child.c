/* base/child: what a child says before it ends, and how it ended. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/child.h"
#include "base/dir.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#define MUCH (1u << 20) /* more than any pipe holds */

static pid_t say(const char *words, size_t much, int status, int *fd)
{
	int pair[2];
	assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
	pid_t pid = fork();
	if (!pid) {
		char noise[4096];
		memset(noise, 'x', sizeof(noise));
		int rc = dir_write_all(pair[1], words, strlen(words));
		for (size_t n = 0; !rc && n < much; n += sizeof(noise))
			rc = dir_write_all(pair[1], noise, sizeof(noise));
		_exit(rc ? 99 : status);
	}
	assert_true(pid > 0);
	close(pair[1]);
	*fd = pair[0];
	return pid;
}

static void words_come_in_one_line_without_its_end(void **state)
{
	char text[64];
	auto_fd int fd = -1;
	(void)state;
	pid_t pid = say("two\nlines\n\n", 0, 3, &fd);
	assert_int_equal(child_hear(fd, text, sizeof(text)), strlen("two lines"));
	assert_string_equal(text, "two lines");
	int status = child_end(pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 3);
}

static void silence_is_no_words(void **state)
{
	char text[8] = "before";
	auto_fd int fd = -1;
	(void)state;
	pid_t pid = say("", 0, 0, &fd);
	assert_int_equal(child_hear(fd, text, sizeof(text)), 0);
	assert_string_equal(text, "");
	assert_int_equal(child_end(pid), 0);
}

/* Its end is its own: it is neither stopped by a full pipe nor killed by a closed one. */
static void who_says_too_much_is_heard_out(void **state)
{
	char text[8];
	auto_fd int fd = -1;
	(void)state;
	pid_t pid = say("beginning", MUCH, 0, &fd);
	assert_int_equal(child_hear(fd, text, sizeof(text)), 7);
	assert_string_equal(text, "beginni");
	assert_int_equal(child_end(pid), 0);
}

static void on_alarm(int signal)
{
	(void)signal;
}

/* One that comes while the child is heard, one while it is waited for. */
static void signals_do_not_cut_it_short(void **state)
{
	struct sigaction heard = {.sa_handler = on_alarm}; /* without SA_RESTART */
	char text[16];
	int pair[2];
	(void)state;
	assert_int_equal(sigaction(SIGALRM, &heard, NULL), 0);
	assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
	pid_t pid = fork();
	if (!pid) {
		pid_t asker = getppid();
		int rc = 0;
		for (int i = 0; i < 20 && !rc; i++) {
			rc = kill(asker, SIGALRM);
			usleep(1000);
		}
		rc = rc ? rc : dir_write_all(pair[1], "late", 4);
		close(pair[1]);
		for (int i = 0; i < 20 && !rc; i++) {
			rc = kill(asker, SIGALRM);
			usleep(1000);
		}
		_exit(rc ? 99 : 5);
	}
	close(pair[1]);
	assert_int_equal(child_hear(pair[0], text, sizeof(text)), 4);
	assert_string_equal(text, "late");
	int status = child_end(pid);
	close(pair[0]);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 5);
}

static void no_child_is_no_good_end(void **state)
{
	(void)state;
	assert_int_equal(child_end(getpid()), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_come_in_one_line_without_its_end),
		cmocka_unit_test(silence_is_no_words),
		cmocka_unit_test(who_says_too_much_is_heard_out),
		cmocka_unit_test(signals_do_not_cut_it_short),
		cmocka_unit_test(no_child_is_no_good_end),
	};
	return cmocka_run_group_tests_name("base: child", tests, NULL, NULL);
}
