/* What a box behind NAT reaches, and who reaches it: nothing of the host's own, and nobody. */
#include "test_nat.h"

static void other_machines_are_reached(void **state)
{
	(void)state;
	needs_lab();
	expect_nat("p='/box/program patiently'; $p tcp 10.9.0.1 fd77::1; $p udp 10.9.0.1 fd77::1",
		   "10.9.0.1 reached\nfd77::1 reached\n10.9.0.1 reached\nfd77::1 reached\n");
}

static void what_listens_on_the_host_is_not(void **state)
{
	static const char *const at[] = {"127.0.0.1", "10.9.0.2", "10.8.0.1", "::1", "fd77::2"};
	struct try t;
	char link_local[INET6_ADDRSTRLEN] = "fe80::1";
	struct ifaddrs *all;
	(void)state;
	needs_lab();
	assert_int_equal(getifaddrs(&all), 0);
	for (struct ifaddrs *a = all; a; a = a->ifa_next) {
		struct sockaddr_in6 *six = (void *)a->ifa_addr;
		if (!strcmp(a->ifa_name, "v0") && six && six->sin6_family == AF_INET6 &&
		    IN6_IS_ADDR_LINKLOCAL(&six->sin6_addr))
			inet_ntop(AF_INET6, &six->sin6_addr, link_local, sizeof(link_local));
	}
	freeifaddrs(all);
	for (size_t i = 0; i < countof(at); i++) {
		listen_at(SOCK_STREAM, at[i], lab_port);
		listen_at(SOCK_DGRAM, at[i], lab_port);
	}
	listen_at(SOCK_STREAM, link_local, lab_port);
	listen_to_groups();
	auto_free char *script =
		own_fmt("/box/program patiently tcp 10.8.0.1; for p in tcp udp; do /box/program $p "
			"127.0.0.1 10.9.0.2 10.8.0.1 ::1 fd77::2 %s "
			"%%10.8.0.1 %%fd77::2 %%%s & done; /box/program udp " GROUP4 " " GROUP6
			" %%" GROUP4 " %%" GROUP6 "; wait",
			link_local, link_local);
	try_nat(&t, script);
	try_run(&t);
	try_expect(&t, 0, NULL);
	assert_null(strstr(text_str(&t.out), "reached"));
	/* what is refused is refused at once */
	assert_non_null(strstr(text_str(&t.out), "10.8.0.1 Connection refused\n"));
	if (anybody_called())
		try_tell(&t);
	const char *who = anybody_called();
	assert_string_equal(who ? who : "nobody", "nobody");
	try_fini(&t);
	while (n_listeners)
		close(listeners[--n_listeners].fd);
}

static void names_are_asked_for_where_the_host_asks(void **state)
{
	struct try t;
	(void)state;
	needs_lab();
	n_listeners = 0;
	listen_at(SOCK_DGRAM, "127.0.0.53", 53);
	try_nat(&t, "cat /etc/resolv.conf; exec python3 -c '\n"
		    "import socket\n"
		    "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(200)\n"
		    "s.sendto(b\"\\x12\\x34\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0\\1a\\0\\0\\1\\0\\1\", "
		    "(\"169.254.1.1\", 53)); print(s.recv(99))'");
	try_start(&t);
	struct sockaddr_storage from;
	socklen_t size = sizeof(from);
	char question[128];
	ssize_t n = -1;
	while (!t.ends && n < 0) {
		uv_run(&try_loop, UV_RUN_NOWAIT);
		n = recvfrom(listeners[0].fd, question, sizeof(question), MSG_DONTWAIT,
			     (struct sockaddr *)&from, &size);
		usleep(1000);
	}
	if (n > 0)
		sendto(listeners[0].fd, "\x12\x34!", 3, 0, (struct sockaddr *)&from, size);
	try_wait(&t);
	close(listeners[--n_listeners].fd);
	if (t.facts.exit_code == 127)
		skip(); /* no python3 here */
	try_expect(&t, 0, "nameserver 169.254.1.1\nsearch test.example\nb'\\x124!'\n");
	assert_int_equal(n, 19);
	try_fini(&t);
}

static void nothing_comes_in(void **state)
{
	struct try t;
	(void)state;
	needs_lab();
	try_nat(&t, "exec python3 -c '\n"
		    "import os, socket, time\n"
		    "s = [socket.create_server((\"0.0.0.0\", 0)),\n"
		    "     socket.create_server((\"::\", 0), family=socket.AF_INET6)]\n"
		    "print(*(one.getsockname()[1] for one in s), flush=True)\n"
		    "end = time.monotonic() + 200\n"
		    "while not os.path.exists(\"/host/called\") and time.monotonic() < end:\n"
		    "    time.sleep(0.01)\n"
		    "for one in s:\n"
		    "    one.setblocking(False)\n"
		    "    try:\n        one.accept(); print(\"called\")\n"
		    "    except BlockingIOError:\n        print(\"nobody\")'");
	try_lower(&t, try_mount(&t, "/host", BOX_RW), "comes-in");
	try_start(&t);
	try_until(&t, "\n");
	unsigned four = 0, six = 0;
	if (!t.ends) {
		assert_int_equal(sscanf(text_str(&t.out), "%u %u", &four, &six), 2);
		assert_string_equal(reach(SOCK_STREAM, "127.0.0.1", four, false),
				    strerror(ECONNREFUSED));
		assert_string_equal(reach(SOCK_STREAM, "10.9.0.2", four, false),
				    strerror(ECONNREFUSED));
		assert_string_equal(reach(SOCK_STREAM, "::1", six, false), strerror(ECONNREFUSED));
	}
	try_write("comes-in/called", "");
	try_wait(&t);
	if (t.facts.exit_code == 127)
		skip();
	auto_free char *said = own_fmt("%u %u\nnobody\nnobody\n", four, six);
	try_expect(&t, 0, said);
	try_fini(&t);
}

/* What an ordinary user can see too, on whatever network this machine has. */
static void this_machine_s_loopback_is_not_the_box_s(void **state)
{
	struct try t;
	struct err e = ERR_INIT;
	(void)state;
	n_listeners = 0;
	unsigned port = listen_at(SOCK_STREAM, "127.0.0.1", 0);
	auto_free char *script = own_fmt("PORT=%u /box/program patiently tcp 127.0.0.1; ls "
					 "/sys/class/net 2>/dev/null; grep -c : /proc/net/dev",
					 port);
	try_nat(&t, script);
	try_begin(&t, &e);
	if (!t.box && strstr(e.text, "network nat")) {
		print_message("%s\n", e.text);
		skip();
	}
	assert_non_null(t.box);
	try_wait(&t);
	if (t.facts.end == BOX_FAILED && strstr(t.facts.error, "network nat: pasta")) {
		print_message("%s\n", t.facts.error); /* this machine has no network */
		skip();
	}
	try_expect(&t, 0, "127.0.0.1 Connection refused\n2\n");
	assert_null(anybody_called());
	close(listeners[--n_listeners].fd);
	try_fini(&t);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(other_machines_are_reached),
		cmocka_unit_test(what_listens_on_the_host_is_not),
		cmocka_unit_test(names_are_asked_for_where_the_host_asks),
		cmocka_unit_test(nothing_comes_in),
		cmocka_unit_test(this_machine_s_loopback_is_not_the_box_s),
	};
	if (argc > 2)
		return in_the_box(argc, argv);
	return cmocka_run_group_tests_name("sandbox: nat", tests, nat_set_up, nat_tear_down);
}
