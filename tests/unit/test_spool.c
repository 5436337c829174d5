/* orchestrator/spool.c: a list comes out as it went in, or its loss is told with the kernel's
 * reason. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/own.h"
#include "orchestrator/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static int here(void)
{
	const char *tmp = getenv("TMPDIR");
	int fd = open(tmp ? tmp : "/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static void lines_come_out_as_they_went_in(void **state)
{
	struct err e = ERR_INIT;
	struct spool s;
	char got[64] = "";
	int out[2];
	auto_fd int dir = here();
	(void)state;
	assert_int_equal(pipe(out), 0);
	fflush(stdout);
	int kept = dup(STDOUT_FILENO);
	assert_true(kept >= 0 && dup2(out[1], STDOUT_FILENO) >= 0);
	int rc = spool_open(&s, dir, &e);
	if (!rc) {
		spool_line(&s, "%s %d", "one", 1);
		spool_line(&s, "two");
		rc = spool_print(&s, false, &e);
	}
	fflush(stdout);
	dup2(kept, STDOUT_FILENO);
	close(kept);
	close(out[1]);
	assert_int_equal(rc, 0);
	assert_true(read(out[0], got, sizeof(got) - 1) > 0);
	close(out[0]);
	assert_string_equal(got, "one 1\ntwo\n");
	assert_int_equal(s.n, 2);
	spool_close(&s);
}

/* The first failure's reason, also where later calls have others. */
static void what_could_not_be_kept_is_told(void **state)
{
	struct err e = ERR_INIT;
	struct spool s;
	struct rlimit was, none;
	auto_fd int dir = here();
	(void)state;
	assert_int_equal(spool_open(&s, dir, &e), 0);
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
	none = (struct rlimit){0, was.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
	for (int i = 0; i < 10000; i++)
		spool_line(&s, "line %d", i);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
	errno = 0;
	assert_int_equal(spool_print(&s, false, &e), -1);
	assert_int_equal(e.kind, ERR_SYS);
	assert_int_equal(e.sys, EFBIG);
	spool_close(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_come_out_as_they_went_in),
		cmocka_unit_test(what_could_not_be_kept_is_told),
	};
	return cmocka_run_group_tests_name("spool", tests, NULL, NULL);
}
