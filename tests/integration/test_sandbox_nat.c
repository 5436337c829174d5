/* A box behind NAT. As root in a network of this program's own, which stands for the host: two
 * interfaces (10.9.0.2 and fd77::2, 10.8.0.1), a resolver on 127.0.0.53, and behind them another
 * machine (10.9.0.1, fd77::1), which is a namespace too. What runs in the box is this program. */
#include "test_sandbox.h"

#include "test_processes.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#define PORT 7077
#define GROUP_PORT 7079
#define GROUP4 "224.0.0.251"
#define GROUP6 "ff02::fb"

static struct text self = TEXT_INIT;
static pid_t other = -1; /* the other machine */

/* --- in the box ------------------------------------------------------------------------------- */

static socklen_t address_of(const char *text, unsigned port, struct sockaddr_storage *out)
{
	struct sockaddr_in *four = (void *)out;
	struct sockaddr_in6 *six = (void *)out;
	*out = (struct sockaddr_storage){.ss_family = AF_UNSPEC};
	if (inet_pton(AF_INET, text, &four->sin_addr) == 1) {
		four->sin_family = AF_INET;
		four->sin_port = htons((uint16_t)port);
		return sizeof(*four);
	}
	six->sin6_family = AF_INET6;
	six->sin6_port = htons((uint16_t)port);
	six->sin6_scope_id = strncmp(text, "f", 1) ? 0 : if_nametoindex("v0");
	return inet_pton(AF_INET6, text, &six->sin6_addr) == 1 ? sizeof(*six) : 0;
}

/* What answers is waited for; that nothing does is only known after some time. */
static time_t patience_s = 2;

/* To `to`, also past the routes: by the interface's name. What came of it, in a word. */
static const char *reach(int type, const char *to, unsigned port, bool by_interface)
{
	struct sockaddr_storage a;
	socklen_t n = address_of(to, port, &a);
	auto_fd int fd = socket(a.ss_family, type | SOCK_CLOEXEC, 0);
	struct timeval wait = {.tv_sec = patience_s};
	char answer[16] = "";
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
	if (by_interface && setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "v0", 3))
		return "no interface";
	if (connect(fd, (struct sockaddr *)&a, n) || send(fd, "?", 1, MSG_NOSIGNAL) < 0 ||
	    recv(fd, answer, sizeof(answer) - 1, 0) <= 0)
		return errno == EAGAIN || errno == EINPROGRESS ? "silence" : strerror(errno);
	return strcmp(answer, "!") ? "nonsense" : "reached";
}

/* All at once, told in their order. */
static int in_the_box(int argc, char **argv)
{
	int answers[64];
	if (argc > 1 && !strcmp(argv[1], "patiently")) {
		patience_s = 30;
		argc--;
		argv++;
	}
	assert_in_range(argc, 3, countof(answers));
	for (int i = 2; i < argc; i++) {
		int ends[2];
		assert_return_code(pipe2(ends, O_CLOEXEC), errno);
		answers[i] = ends[0];
		pid_t pid = fork();
		assert_return_code(pid, errno);
		if (!pid) {
			bool by_interface = argv[i][0] == '%';
			const char *to = argv[i] + by_interface;
			bool group = !strcmp(to, GROUP4) || !strcmp(to, GROUP6);
			int type = strcmp(argv[1], "tcp") ? SOCK_DGRAM : SOCK_STREAM;
			dprintf(ends[1], "%s %s\n", argv[i],
				reach(type, to, group ? GROUP_PORT : PORT, by_interface));
			_exit(0);
		}
		close(ends[1]);
	}
	for (int i = 2; i < argc; i++) {
		char line[128];
		ssize_t n = read(answers[i], line, sizeof(line));
		assert_true(n > 0 && write(STDOUT_FILENO, line, (size_t)n) == n);
	}
	return 0;
}

/* --- what listens ----------------------------------------------------------------------------- */

#define LISTENERS 24
static struct pollfd listeners[LISTENERS];
static char listener_names[LISTENERS][48];
static bool listener_streams[LISTENERS];
static size_t n_listeners;

static void listen_at(int type, const char *at, unsigned port)
{
	struct sockaddr_storage a;
	socklen_t n = address_of(at, port, &a);
	int fd = socket(a.ss_family, type | SOCK_CLOEXEC, 0), yes = 1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
	/* an address is not there for bind until it is nobody else's for certain */
	for (int i = 0; bind(fd, (struct sockaddr *)&a, n); i++) {
		if (errno != EADDRNOTAVAIL || i == 1000)
			print_error("%s %u\n", at, port);
		assert_return_code(errno == EADDRNOTAVAIL && i < 1000 ? 0 : -1, errno);
		usleep(10000);
	}
	assert_return_code(type == SOCK_STREAM ? listen(fd, 8) : 0, errno);
	assert_true(n_listeners < LISTENERS);
	listener_streams[n_listeners] = type == SOCK_STREAM;
	snprintf(listener_names[n_listeners], sizeof(listener_names[0]), "%s %s",
		 type == SOCK_STREAM ? "tcp" : "udp", at);
	listeners[n_listeners++] = (struct pollfd){.fd = fd, .events = POLLIN};
}

static void listen_to_groups(void)
{
	struct ip_mreqn four = {.imr_ifindex = (int)if_nametoindex("v0")};
	struct ipv6_mreq six = {.ipv6mr_interface = if_nametoindex("v0")};
	inet_pton(AF_INET, GROUP4, &four.imr_multiaddr);
	inet_pton(AF_INET6, GROUP6, &six.ipv6mr_multiaddr);
	listen_at(SOCK_DGRAM, "0.0.0.0", GROUP_PORT);
	assert_int_equal(setsockopt(listeners[n_listeners - 1].fd, IPPROTO_IP, IP_ADD_MEMBERSHIP,
				    &four, sizeof(four)),
			 0);
	int yes = 1;
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons(GROUP_PORT)};
	setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof(yes));
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(setsockopt(fd, IPPROTO_IPV6, IPV6_JOIN_GROUP, &six, sizeof(six)), 0);
	snprintf(listener_names[n_listeners], sizeof(listener_names[0]), "udp " GROUP6);
	listeners[n_listeners++] = (struct pollfd){.fd = fd, .events = POLLIN};
}

/* Answers until it is killed. */
static void answer_all(void) __attribute__((noreturn));
static void answer_all(void)
{
	for (;;) {
		if (poll(listeners, n_listeners, -1) < 0)
			continue;
		for (size_t i = 0; i < n_listeners; i++) {
			struct sockaddr_storage from;
			socklen_t n = sizeof(from);
			char byte;
			if (!(listeners[i].revents & POLLIN))
				continue;
			if (listener_streams[i]) {
				auto_fd int c = accept4(listeners[i].fd, NULL, NULL, SOCK_CLOEXEC);
				(void)!read(c, &byte, 1);
				(void)!write(c, "!", 1);
			} else if (recvfrom(listeners[i].fd, &byte, 1, 0, (void *)&from, &n) > 0)
				sendto(listeners[i].fd, "!", 1, 0, (void *)&from, n);
		}
	}
}

/* Whom somebody has tried to reach. */
static const char *anybody_called(void)
{
	assert_return_code(poll(listeners, n_listeners, 0), errno);
	for (size_t i = 0; i < n_listeners; i++)
		if (listeners[i].revents & POLLIN)
			return listener_names[i];
	return NULL;
}

/* --- the network that stands for the host ----------------------------------------------------- */

static int sh(const char *script)
{
	int status = -1;
	pid_t pid = fork();
	if (!pid) {
		execl("/bin/sh", "sh", "-ec", script, NULL);
		_exit(127);
	}
	waitpid(pid, &status, 0);
	return status;
}

static void other_machine(int ready) __attribute__((noreturn));
static void other_machine(int ready)
{
	static const char *const at[] = {"10.9.0.1", "fd77::1"};
	char byte;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (unshare(CLONE_NEWNET) || write(ready, "1", 1) < 0 || read(ready, &byte, 1) < 0)
		_exit(1);
	if (sh("ip link set lo up; ip addr add 10.9.0.1/24 dev v1; ip addr add fd77::1/64 dev v1 "
	       "nodad; ip link set v1 up; ip link set d1 up"))
		_exit(1);
	for (size_t i = 0; i < countof(at); i++) {
		listen_at(SOCK_STREAM, at[i], PORT);
		listen_at(SOCK_DGRAM, at[i], PORT);
	}
	for (int i = 0; i < 500 && sh("test -z \"$(ip -6 addr show tentative)\""); i++)
		usleep(10000);
	if (write(ready, "2", 1) < 0)
		_exit(1);
	answer_all();
}

static bool lab_make(void)
{
	int pair[2];
	char byte = 0;
	if (geteuid() || unshare(CLONE_NEWNET | CLONE_NEWNS) ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return false;
	other = fork();
	if (!other)
		other_machine(pair[1]);
	close(pair[1]);
	auto_fd int to = pair[0];
	auto_free char *script =
		own_fmt("ip link set lo up; ip link add v0 type veth peer name v1 netns %d; "
			"ip link add d0 type veth peer name d1 netns %d;"
			"ip addr add 10.9.0.2/24 dev v0; ip addr add fd77::2/64 dev v0 nodad; "
			"ip addr add 10.8.0.1/24 dev d0; ip link set v0 up; ip link set d0 up; "
			"ip route add default via 10.9.0.1; ip route add default via fd77::1;"
			"mount -t tmpfs none /mnt;"
			"echo 'search test.example\nnameserver 127.0.0.53' >/mnt/resolv; "
			"mount --bind /mnt/resolv /etc/resolv.conf; umount -l /mnt",
			other, other);
	if (read(to, &byte, 1) != 1 || sh(script) || write(to, "x", 1) != 1 ||
	    read(to, &byte, 1) != 1 || byte != '2')
		return false;
	/* Both machines' addresses on the link, once they are nobody else's for certain. */
	for (int i = 0; i < 500 && sh("test -z \"$(ip -6 addr show tentative)\""); i++)
		usleep(10000);
	return true;
}

static unsigned pastas(pid_t *one)
{
	char mine[64] = "", its[64];
	unsigned n = 0;
	DIR *proc = opendir("/proc");
	(void)!readlink("/proc/self/ns/net", mine, sizeof(mine) - 1);
	for (struct dirent *d; (d = readdir(proc));) {
		auto_free char *ns = own_fmt("/proc/%s/ns/net", d->d_name);
		auto_free char *comm = own_fmt("/proc/%s/comm", d->d_name);
		auto_fd int fd = open(comm, O_RDONLY | O_CLOEXEC);
		ssize_t k = fd < 0 ? -1 : read(fd, its, sizeof(its) - 1);
		if (k < 5 || strncmp(its, "pas", 3) != 0)
			continue;
		memset(its, 0, sizeof(its));
		if (readlink(ns, its, sizeof(its) - 1) < 0 || strcmp(mine, its) != 0)
			continue;
		n++;
		if (one)
			*one = (pid_t)strtol(d->d_name, NULL, 10);
	}
	closedir(proc);
	return n;
}

static void needs_lab(void)
{
	if (other <= 0)
		skip();
}

/* --- tests ------------------------------------------------------------------------------------ */

static void try_nat(struct try *t, const char *script)
{
	try_init(t, script);
	t->spec.net = BOX_NET_NAT;
	t->files[t->spec.n_files++] =
		(struct box_file){"/box/program", text_str(&self), self.n, 0755};
}

static void expect_nat(const char *script, const char *output)
{
	struct try t;
	try_nat(&t, script);
	try_run(&t);
	try_expect(&t, 0, output);
	assert_false(t.facts.network_lost);
	try_fini(&t);
}

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
		listen_at(SOCK_STREAM, at[i], PORT);
		listen_at(SOCK_DGRAM, at[i], PORT);
	}
	listen_at(SOCK_STREAM, link_local, PORT);
	listen_to_groups();
	auto_free char *script = own_fmt(
		"for p in tcp udp; do /box/program $p 127.0.0.1 10.9.0.2 10.8.0.1 ::1 fd77::2 %s "
		"%%10.8.0.1 %%fd77::2 %%%s & done; /box/program udp " GROUP4 " " GROUP6 " %%" GROUP4
		" %%" GROUP6 "; wait",
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
		    "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(5)\n"
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
		    "s = [socket.create_server((\"0.0.0.0\", 7078)),\n"
		    "     socket.create_server((\"::\", 7078), family=socket.AF_INET6)]\n"
		    "print(\"listens\", flush=True)\n"
		    "end = time.monotonic() + 30\n"
		    "while not os.path.exists(\"/host/called\") and time.monotonic() < end:\n"
		    "    time.sleep(0.01)\n"
		    "for one in s:\n"
		    "    one.setblocking(False)\n"
		    "    try:\n        one.accept(); print(\"called\")\n"
		    "    except BlockingIOError:\n        print(\"nobody\")'");
	try_lower(&t, try_mount(&t, "/host", BOX_RW), "comes-in");
	try_start(&t);
	while (!t.out.n && !t.ends)
		uv_run(&try_loop, UV_RUN_ONCE);
	if (!t.ends) {
		assert_string_equal(reach(SOCK_STREAM, "127.0.0.1", 7078, false),
				    strerror(ECONNREFUSED));
		assert_string_equal(reach(SOCK_STREAM, "10.9.0.2", 7078, false),
				    strerror(ECONNREFUSED));
		assert_string_equal(reach(SOCK_STREAM, "::1", 7078, false), strerror(ECONNREFUSED));
	}
	try_write("comes-in/called", "");
	try_wait(&t);
	if (t.facts.exit_code == 127)
		skip();
	try_expect(&t, 0, "listens\nnobody\nnobody\n");
	try_fini(&t);
}

/* A line of /proc/PID/status. */
static void status_line(pid_t pid, const char *name, char *line, size_t size)
{
	auto_free char *path = own_fmt("/proc/%d/status", (int)pid);
	auto_file FILE *f = fopen(path, "re");
	while (f && fgets(line, (int)size, f))
		if (!strncmp(line, name, strlen(name)))
			return;
	line[0] = 0;
}

static void link_of(pid_t pid, const char *name, char *to, size_t size)
{
	auto_free char *path =
		pid ? own_fmt("/proc/%d/%s", (int)pid, name) : own_fmt("/proc/self/%s", name);
	ssize_t n = readlink(path, to, size - 1);
	to[n > 0 ? n : 0] = 0;
}

static void pasta_is_nobody_and_in_no_group_of_the_box(void **state)
{
	struct try t;
	pid_t pasta = 0;
	unsigned uid = 0;
	char line[256], mine[64], its[64], group[2][4096];
	(void)state;
	needs_lab();
	try_nat(&t, "echo ready; sleep 30");
	t.spec.limits.memory = 64 << 20;
	t.spec.limits.grace_ms = 0;
	try_start(&t);
	while (!t.out.n && !t.ends)
		uv_run(&try_loop, UV_RUN_ONCE);
	assert_int_equal(pastas(&pasta), 1);
	status_line(pasta, "Uid:", line, sizeof(line));
	assert_int_equal(sscanf(line, "Uid: %u", &uid), 1);
	assert_true(uid >= 65536);
	status_line(pasta, "Groups:", line, sizeof(line));
	assert_int_equal(strspn(line + 7, " \t\n"), strlen(line + 7));
	link_of(pasta, "ns/user", its, sizeof(its));
	link_of(0, "ns/user", mine, sizeof(mine));
	assert_string_not_equal(its, mine);
	link_of(pasta, "ns/pid", its, sizeof(its));
	link_of(0, "ns/pid", mine, sizeof(mine));
	assert_string_not_equal(its, mine);
	for (int i = 0; i < 2; i++) {
		auto_free char *path = own_fmt("/proc/%d/cgroup", i ? (int)pasta : (int)getpid());
		auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
		ssize_t n = fd < 0 ? -1 : read(fd, group[i], sizeof(group[i]) - 1);
		group[i][n > 0 ? n : 0] = 0;
	}
	assert_string_equal(group[0], group[1]);
	box_cancel(t.box, false);
	try_wait(&t);
	assert_int_equal(t.facts.end, BOX_CANCELLED);
	assert_int_equal(pastas(NULL), 0);
	try_fini(&t);
}

static void a_lost_network_is_told_and_the_box_goes_on(void **state)
{
	struct try t;
	pid_t pasta = 0;
	(void)state;
	needs_lab();
	try_nat(&t, "echo ready; sleep 0.5; echo done");
	try_start(&t);
	while (!t.out.n && !t.ends)
		uv_run(&try_loop, UV_RUN_ONCE);
	assert_int_equal(pastas(&pasta), 1);
	assert_int_equal(kill(pasta, SIGKILL), 0);
	try_wait(&t);
	try_expect(&t, 0, "ready\ndone\n");
	assert_true(t.facts.network_lost);
	try_fini(&t);
	expect_nat("/box/program patiently tcp 10.9.0.1", "10.9.0.1 reached\n");
}

/* The helpers of this process: so many get it. */
static size_t signal_helpers(int signal, pid_t *helpers, size_t room)
{
	size_t n = process_children(getpid(), "assay-", helpers, room);
	for (size_t i = 0; i < n; i++)
		kill(helpers[i], signal);
	return n;
}

/* Both are over before the helper looks at either of them. */
static void a_network_that_is_lost_as_the_box_ends_is_told(void **state)
{
	struct try t;
	pid_t pasta = 0, helpers[16];
	size_t ended = 0;
	int64_t until = clock_mono_ns() + INT64_C(20000000000);
	(void)state;
	needs_lab();
	try_nat(&t, "echo ready; until [ -e /go/now ]; do sleep 0.01; done; exit 3");
	try_lower(&t, try_mount(&t, "/go", BOX_RW), "go");
	try_start(&t);
	while (!t.out.n && !t.ends)
		uv_run(&try_loop, UV_RUN_ONCE);
	assert_int_equal(pastas(&pasta), 1);
	size_t n = signal_helpers(SIGSTOP, helpers, countof(helpers));
	assert_int_equal(kill(pasta, SIGKILL), 0);
	try_write("go/now", "");
	/* its pid 1, and who kept pasta */
	while (ended < 2 && clock_mono_ns() < until) {
		ended = 0;
		for (size_t i = 0; i < n; i++)
			ended += process_ended(helpers[i]);
		usleep(1000);
	}
	signal_helpers(SIGCONT, helpers, countof(helpers));
	try_wait(&t);
	assert_int_equal(ended, 2);
	try_expect(&t, 3, "ready\n");
	assert_true(t.facts.network_lost);
	try_fini(&t);
}

static void with_the_helper_killed_no_pasta_is_left(void **state)
{
	struct try t;
	pid_t helpers[16];
	(void)state;
	needs_lab();
	try_nat(&t, "echo ready; sleep 30");
	try_start(&t);
	while (!t.out.n && !t.ends)
		uv_run(&try_loop, UV_RUN_ONCE);
	assert_int_equal(pastas(NULL), 1);
	assert_int_not_equal(signal_helpers(SIGKILL, helpers, countof(helpers)), 0);
	int64_t began = clock_mono_ns();
	while (pastas(NULL) && clock_mono_ns() - began < 25000000000)
		usleep(1000);
	assert_true(clock_mono_ns() - began < 25000000000);
	try_wait(&t);
	assert_int_equal(t.facts.end, BOX_FAILED);
	try_fini(&t);
	expect_nat("echo again", "again\n");
}

static void without_pasta_or_a_way_out_it_is_said(void **state)
{
	struct try t;
	struct err e = ERR_INIT;
	(void)state;
	needs_lab();
	n_listeners = 0;
	assert_int_equal(sh("ip route del default via 10.9.0.1; ip -6 route del default"), 0);
	try_nat(&t, "true");
	try_run(&t);
	assert_int_equal(sh("ip route add default via 10.9.0.1; ip route add default via fd77::1"),
			 0);
	/* Younger versions do without. */
	if (t.facts.end == BOX_FAILED)
		assert_non_null(strstr(t.facts.error, "network nat: pasta: "));
	try_fini(&t);
	assert_int_equal(sh("mount --bind /dev/null /usr/bin/pasta"), 0);
	try_nat(&t, "true");
	try_begin(&t, &e);
	assert_int_equal(sh("umount /usr/bin/pasta"), 0);
	assert_null(t.box);
	assert_non_null(strstr(e.text, "package passt"));
	try_fini(&t);
}

/* What an ordinary user can see too, on whatever network this machine has. */
static void this_machine_s_loopback_is_not_the_box_s(void **state)
{
	struct try t;
	struct err e = ERR_INIT;
	(void)state;
	n_listeners = 0;
	listen_at(SOCK_STREAM, "127.0.0.1", PORT);
	try_nat(&t, "/box/program tcp 127.0.0.1; ls /sys/class/net 2>/dev/null; grep -c : "
		    "/proc/net/dev");
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

static void what_it_costs_is_told(void **state)
{
	int64_t ms[2][21];
	(void)state;
	needs_lab();
	for (size_t i = 0; i < countof(ms[0]); i++)
		for (int nat = 0; nat < 2; nat++) {
			struct try t;
			int64_t began = clock_mono_ns();
			try_init(&t, "true");
			t.spec.net = nat ? BOX_NET_NAT : BOX_NET_NONE;
			try_run(&t);
			int64_t took = clock_mono_ns() - began;
			size_t k = i;
			for (; k && ms[nat][k - 1] > took; k--)
				ms[nat][k] = ms[nat][k - 1];
			ms[nat][k] = took;
			try_fini(&t);
		}
	print_message("a box: median %.2f ms, behind NAT %.2f ms\n", (double)ms[0][10] / 1e6,
		      (double)ms[1][10] / 1e6);
}

static int set_up(void **state)
{
	struct err e = ERR_INIT;
	auto_fd int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	if (fd < 0 || dir_read_fd(fd, 64 << 20, &self, &e))
		return -1;
	if (box_net_check(BOX_NET_NAT, &e))
		print_message("%s\n", e.text);
	else if (!lab_make())
		print_message("no network of this program's own (root's, with ip(8)): most of "
			      "these tests are skipped\n");
	return try_setup(state);
}

static int tear_down(void **state)
{
	if (other > 0) {
		kill(other, SIGKILL);
		waitpid(other, NULL, 0);
	}
	text_fini(&self);
	return try_teardown(state);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(other_machines_are_reached),
		cmocka_unit_test(what_listens_on_the_host_is_not),
		cmocka_unit_test(names_are_asked_for_where_the_host_asks),
		cmocka_unit_test(nothing_comes_in),
		cmocka_unit_test(pasta_is_nobody_and_in_no_group_of_the_box),
		cmocka_unit_test(a_lost_network_is_told_and_the_box_goes_on),
		cmocka_unit_test(a_network_that_is_lost_as_the_box_ends_is_told),
		cmocka_unit_test(with_the_helper_killed_no_pasta_is_left),
		cmocka_unit_test(without_pasta_or_a_way_out_it_is_said),
		cmocka_unit_test(this_machine_s_loopback_is_not_the_box_s),
		cmocka_unit_test(what_it_costs_is_told),
	};
	if (argc > 2)
		return in_the_box(argc, argv);
	return cmocka_run_group_tests_name("sandbox: nat", tests, set_up, tear_down);
}
