/* base/message: one message and the descriptors beside it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/message.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static int pair[2];

static int setup(void **state)
{
	(void)state;
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair);
}

static int teardown(void **state)
{
	(void)state;
	own_close(&pair[0]);
	own_close(&pair[1]);
	return 0;
}

static size_t descriptors(void)
{
	size_t n = 0;
	DIR *d = opendir("/proc/self/fd");
	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static void send_some(const char *bytes, size_t n, size_t n_fds)
{
	int fds[4] = {pair[0], pair[0], pair[0], pair[0]};
	struct message m = {.part = {{(void *)(uintptr_t)bytes, n}}, .fds = fds, .n_fds = n_fds};
	assert_int_equal(message_send(pair[0], &m, MSG_DONTWAIT), 0);
}

static void bytes_and_descriptors_come_as_they_went(void **state)
{
	char head[4] = "", rest[16] = "";
	int fds[4] = {-1, -1, -1, -1};
	struct stat sent, got;
	struct message m = {.part = {{head, sizeof(head)}, {rest, sizeof(rest)}},
			    .fds = fds,
			    .n_fds = 4};
	(void)state;
	send_some("headrest", 8, 2);
	assert_int_equal(message_receive(pair[1], &m, 0), 8);
	assert_memory_equal(head, "head", 4);
	assert_string_equal(rest, "rest");
	assert_int_equal(m.n_fds, 2);
	assert_int_equal(m.sender, 0);
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(fstat(fds[i], &got), 0);
		assert_int_equal(fstat(pair[0], &sent), 0);
		assert_int_equal(got.st_ino, sent.st_ino);
		assert_true(fcntl(fds[i], F_GETFD) & FD_CLOEXEC);
		close(fds[i]);
	}
	assert_int_equal(fds[2], -1);
}

static void what_is_more_than_there_is_room_for_is_refused_and_closed(void **state)
{
	static const struct {
		const char *bytes;
		size_t n, n_fds;
	} all[] = {{"four", 4, 2}, {"more than four", 14, 1}, {"more than four", 14, 3}};
	(void)state;
	size_t before = descriptors();
	for (size_t i = 0; i < countof(all); i++) {
		char four[4];
		int fd = -1;
		struct message m = {.part = {{four, sizeof(four)}}, .fds = &fd, .n_fds = 1};
		send_some(all[i].bytes, all[i].n, all[i].n_fds);
		assert_int_equal(message_receive(pair[1], &m, 0), -1);
		assert_int_equal(errno, EMSGSIZE);
		assert_int_equal(m.n_fds, 0);
		assert_int_equal(fd, -1);
		assert_int_equal(descriptors(), before);
	}
}

static void the_sender_is_told_where_the_socket_tells_it(void **state)
{
	char byte;
	int one = 1;
	struct message m = {.part = {{&byte, 1}}};
	(void)state;
	assert_int_equal(setsockopt(pair[1], SOL_SOCKET, SO_PASSCRED, &one, sizeof(one)), 0);
	send_some("x", 1, 0);
	assert_int_equal(message_receive(pair[1], &m, 0), 1);
	assert_int_equal(m.sender, getpid());
}

static void an_end_is_no_message_and_nothing_there_is_said(void **state)
{
	char byte;
	struct message m = {.part = {{&byte, 1}}};
	(void)state;
	assert_int_equal(message_receive(pair[1], &m, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
	own_close(&pair[0]);
	assert_int_equal(message_receive(pair[1], &m, 0), 0);
	assert_int_equal(message_send(pair[1], &m, 0), -1);
	assert_int_equal(errno, EPIPE);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(bytes_and_descriptors_come_as_they_went),
		TEST(what_is_more_than_there_is_room_for_is_refused_and_closed),
		TEST(the_sender_is_told_where_the_socket_tells_it),
		TEST(an_end_is_no_message_and_nothing_there_is_said),
	};
	return cmocka_run_group_tests_name("base: message", tests, NULL, NULL);
}
