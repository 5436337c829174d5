/* What is this machine's own, as the kernel tells it over netlink: here this program is the kernel.
 * A list that is not whole is none. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include "sandbox/box/fence.h"

/* Of the helper, too. */
#include "sandbox/box/nft.c"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

/* --- the kernel ---------------------------------------------------------------------------------
 */

struct message {
	_Alignas(NLMSG_ALIGNTO) char bytes[256];
	size_t n;   /* as recv(2) says */
	uint8_t of; /* the family it is told of */
};

static struct message told[32];
static size_t n_told, at_told;
static unsigned asked, mends_at; /* from this question on no list is torn, 0: never */
static uint8_t family;

ssize_t send(int fd, const void *bytes, size_t n, int flags)
{
	const struct rtmsg *r = NLMSG_DATA((const struct nlmsghdr *)bytes);
	(void)fd;
	(void)flags;
	family = r->rtm_family;
	at_told = 0;
	asked++;
	return (ssize_t)n;
}

ssize_t recv(int fd, void *bytes, size_t n, int flags)
{
	(void)fd;
	(void)flags;
	while (at_told < n_told && told[at_told].of != family)
		at_told++;
	if (at_told == n_told) {
		errno = ENODATA; /* who reads on has read over the end */
		return -1;
	}
	struct message *m = &told[at_told++];
	if (mends_at && asked >= mends_at)
		((struct nlmsghdr *)(void *)m->bytes)->nlmsg_flags = 0;
	memcpy(bytes, m->bytes, m->n < sizeof(m->bytes) ? m->n : sizeof(m->bytes));
	return m->n > n && !(flags & MSG_TRUNC) ? (ssize_t)n : (ssize_t)m->n;
}

static void reset(void)
{
	memset(told, 0, sizeof(told));
	n_told = asked = 0;
}

static struct nlmsghdr *tell(uint8_t of, uint16_t type, const void *payload, size_t n)
{
	struct message *m = &told[n_told++];
	struct nlmsghdr *h = (void *)m->bytes;
	assert_true(n_told < countof(told));
	*h = (struct nlmsghdr){.nlmsg_len = (uint32_t)NLMSG_LENGTH(n), .nlmsg_type = type};
	memcpy(NLMSG_DATA(h), payload, n);
	m->n = NLMSG_SPACE(n);
	m->of = of;
	return h;
}

static struct nlmsghdr *tell_typed(uint8_t of, uint8_t last, uint8_t type)
{
	struct {
		struct rtmsg r;
		struct rtattr a;
		uint8_t address[16];
	} route = {.r = {.rtm_family = of,
			 .rtm_type = type,
			 .rtm_table = RT_TABLE_LOCAL,
			 .rtm_dst_len = of == AF_INET ? 32 : 128}};
	size_t size = of == AF_INET ? 4 : 16;
	route.a = (struct rtattr){.rta_len = (uint16_t)RTA_LENGTH(size), .rta_type = RTA_DST};
	route.address[size - 1] = last;
	return tell(of, RTM_NEWROUTE, &route, offsetof(typeof(route), address) + size);
}

static struct nlmsghdr *tell_route(uint8_t of, uint8_t last)
{
	return tell_typed(of, last, RTN_LOCAL);
}

static struct nlmsghdr *tell_end(uint8_t of, uint16_t type, int error)
{
	return tell(of, type, &error, sizeof(error));
}

static int look(struct fence *f, struct err *e)
{
	*e = (struct err)ERR_INIT;
	return fence_look(f, e);
}

static void refused(const char *why)
{
	struct fence f;
	struct err e;
	assert_int_equal(look(&f, &e), -1);
	fence_fini(&f);
	if (!strstr(e.text, why))
		print_error("%s\n", e.text);
	assert_non_null(strstr(e.text, why));
	reset();
}

/* --- tests ------------------------------------------------------------------------------------ */

static void what_is_told_is_known(void **state)
{
	struct fence f;
	struct err e;
	(void)state;
	reset();
	for (int i = 0; i < 2; i++) {
		tell_route(i ? AF_INET6 : AF_INET, 7);
		tell_route(i ? AF_INET6 : AF_INET, 8);
		tell_end(i ? AF_INET6 : AF_INET, NLMSG_DONE, 0);
	}
	assert_int_equal(look(&f, &e), 0);
	assert_int_equal(f.four.n, 2);
	assert_int_equal(f.four.all[1].first[3], 8);
	assert_int_equal(f.four.all[1].last[3], 8);
	assert_int_equal(f.six.n, 2);
	assert_int_equal(f.six.all[0].first[15], 7);
	assert_int_equal(asked, 2);
	fence_fini(&f);
}

/* Of a network of 10.0.0.0/24: its broadcast; of a router's IPv6 the anycast address. */
static void what_many_have_is_the_host_s_too(void **state)
{
	static const uint8_t types[] = {RTN_LOCAL, RTN_BROADCAST, RTN_ANYCAST, RTN_UNICAST,
					RTN_MULTICAST};
	struct fence f;
	struct err e;
	(void)state;
	reset();
	for (uint8_t i = 0; i < countof(types); i++)
		tell_typed(AF_INET, i, types[i]);
	tell_end(AF_INET, NLMSG_DONE, 0);
	tell_typed(AF_INET6, 7, RTN_ANYCAST);
	tell_end(AF_INET6, NLMSG_DONE, 0);
	assert_int_equal(look(&f, &e), 0);
	assert_int_equal(f.four.n, 3);
	assert_int_equal(f.six.n, 1);
	assert_int_equal(f.six.all[0].first[15], 7);
	fence_fini(&f);
}

static void a_family_that_is_not_there_has_no_addresses(void **state)
{
	static const int errors[] = {EAFNOSUPPORT, EOPNOTSUPP};
	struct fence f;
	struct err e;
	(void)state;
	for (size_t i = 0; i < countof(errors); i++) {
		reset();
		tell_route(AF_INET, 7);
		tell_end(AF_INET, NLMSG_DONE, 0);
		tell_end(AF_INET6, NLMSG_ERROR, -errors[i]);
		assert_int_equal(look(&f, &e), 0);
		assert_int_equal(f.four.n, 1);
		assert_int_equal(f.six.n, 0);
		fence_fini(&f);
	}
}

static void any_other_error_is_one(void **state)
{
	(void)state;
	reset();
	tell_end(AF_INET, NLMSG_ERROR, -EPERM);
	refused("Operation not permitted");
	tell_end(AF_INET, NLMSG_ERROR, -ENOBUFS);
	refused("No buffer space available");
	tell_end(AF_INET, NLMSG_ERROR, 0); /* nobody asked for that */
	refused("Protocol error");
	tell_route(AF_INET, 7);
	tell_end(AF_INET, NLMSG_DONE, -ENOMEM);
	refused("Cannot allocate memory");
	tell_route(AF_INET, 7); /* and there it ends */
	refused("No data available");
}

static void what_does_not_fit_is_not_read_in_part(void **state)
{
	(void)state;
	reset();
	tell_route(AF_INET, 7);
	told[0].n = (64 << 10) + 4;
	tell_end(AF_INET, NLMSG_DONE, 0);
	refused("65540 bytes at once");
	tell_route(AF_INET, 7);
	told[0].n = 0;
	refused("0 bytes at once");
}

static void a_list_that_changed_meanwhile_is_read_again(void **state)
{
	struct fence f;
	struct err e;
	(void)state;
	reset();
	tell_route(AF_INET, 7);
	tell_route(AF_INET, 8)->nlmsg_flags |= NLM_F_DUMP_INTR;
	tell_end(AF_INET, NLMSG_DONE, 0);
	tell_end(AF_INET6, NLMSG_DONE, 0);
	assert_int_equal(look(&f, &e), -1);
	assert_non_null(strstr(e.text, "change"));
	assert_int_equal(asked, 8);
	fence_fini(&f);
	/* it does so once only */
	asked = 0;
	mends_at = 3;
	assert_int_equal(look(&f, &e), 0);
	assert_int_equal(asked, 3 + 1);
	assert_int_equal(f.four.n, 2);
	fence_fini(&f);
	mends_at = 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_told_is_known),
		cmocka_unit_test(what_many_have_is_the_host_s_too),
		cmocka_unit_test(a_family_that_is_not_there_has_no_addresses),
		cmocka_unit_test(any_other_error_is_one),
		cmocka_unit_test(what_does_not_fit_is_not_read_in_part),
		cmocka_unit_test(a_list_that_changed_meanwhile_is_read_again),
	};
	return cmocka_run_group_tests_name("sandbox: the fence", tests, NULL, NULL);
}
