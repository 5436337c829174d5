/* orchestrator/control.c: the socket of a run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "orchestrator/control.h"

#include <errno.h>
#include <string.h>

static const struct control_calls no_calls;

static void an_old_socket_that_stays_is_told_with_its_reason(void **state)
{
	uv_loop_t loop;
	struct err e = ERR_INIT;
	(void)state;
	assert_int_equal(uv_loop_init(&loop), 0);
	assert_null(control_open(&loop, -1, &no_calls, NULL, &e));
	assert_int_equal(e.sys, EBADF);
	assert_non_null(strstr(e.text, "socket"));
	assert_non_null(strstr(e.text, strerror(EBADF)));
	/* nothing is left in the loop */
	assert_int_equal(uv_loop_close(&loop), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_old_socket_that_stays_is_told_with_its_reason),
	};
	return cmocka_run_group_tests_name("control", tests, NULL, NULL);
}
