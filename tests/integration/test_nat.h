/* What the tests of a box behind NAT share. As root a network of the program's own stands for the
 * host: two interfaces (10.9.0.2 and fd77::2, 10.8.0.1), a resolver on 127.0.0.53, and behind them
 * another machine (10.9.0.1, fd77::1), which is a namespace too. What runs in the box is the
 * program itself. */
#pragma once
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

#define GROUP4 "224.0.0.251"
#define GROUP6 "ff02::fb"

static struct text self = TEXT_INIT;
static pid_t other = -1;                  /* the other machine */
static unsigned lab_port, lab_group_port; /* the kernel's choice; of both machines, and of groups */

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
#define PATIENCE_S 120
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

static unsigned port_of(const char *name)
{
	const char *number = getenv(name);
	return number ? (unsigned)strtoul(number, NULL, 10) : 0;
}

/* All at once, told in their order. */
static inline int in_the_box(int argc, char **argv)
{
	int answers[64];
	if (argc > 1 && !strcmp(argv[1], "patiently")) {
		patience_s = PATIENCE_S;
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
				reach(type, to, port_of(group ? "GROUP_PORT" : "PORT"),
				      by_interface));
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

/* port 0: the kernel's choice. Which it is. */
static unsigned listen_at(int type, const char *at, unsigned port)
{
	struct sockaddr_storage a;
	socklen_t n = address_of(at, port, &a);
	int fd = socket(a.ss_family, type | SOCK_CLOEXEC, 0), yes = 1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
	/* an address is not there for bind until it is nobody else's for certain */
	for (int i = 0; bind(fd, (struct sockaddr *)&a, n); i++) {
		if (errno != EADDRNOTAVAIL || i == 6000)
			print_error("%s %u\n", at, port);
		assert_return_code(errno == EADDRNOTAVAIL && i < 6000 ? 0 : -1, errno);
		usleep(10000);
	}
	assert_return_code(type == SOCK_STREAM ? listen(fd, 8) : 0, errno);
	assert_true(n_listeners < LISTENERS);
	listener_streams[n_listeners] = type == SOCK_STREAM;
	snprintf(listener_names[n_listeners], sizeof(listener_names[0]), "%s %s",
		 type == SOCK_STREAM ? "tcp" : "udp", at);
	listeners[n_listeners++] = (struct pollfd){.fd = fd, .events = POLLIN};
	n = sizeof(a);
	assert_return_code(getsockname(fd, (struct sockaddr *)&a, &n), errno);
	return ntohs(((struct sockaddr_in *)&a)->sin_port); /* as in sockaddr_in6 */
}

static inline void listen_to_groups(void)
{
	struct ip_mreqn four = {.imr_ifindex = (int)if_nametoindex("v0")};
	struct ipv6_mreq six = {.ipv6mr_interface = if_nametoindex("v0")};
	inet_pton(AF_INET, GROUP4, &four.imr_multiaddr);
	inet_pton(AF_INET6, GROUP6, &six.ipv6mr_multiaddr);
	lab_group_port = listen_at(SOCK_DGRAM, "0.0.0.0", 0);
	assert_int_equal(setsockopt(listeners[n_listeners - 1].fd, IPPROTO_IP, IP_ADD_MEMBERSHIP,
				    &four, sizeof(four)),
			 0);
	int yes = 1;
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in6 a = {.sin6_family = AF_INET6,
				 .sin6_port = htons((uint16_t)lab_group_port)};
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
static inline const char *anybody_called(void)
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
		listen_at(SOCK_STREAM, at[i], lab_port);
		listen_at(SOCK_DGRAM, at[i], lab_port);
	}
	for (int i = 0; i < 6000 && sh("test -z \"$(ip -6 addr show tentative)\""); i++)
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
	lab_port = listen_at(SOCK_STREAM, "0.0.0.0", 0);
	close(listeners[--n_listeners].fd);
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
	for (int i = 0; i < 6000 && sh("test -z \"$(ip -6 addr show tentative)\""); i++)
		usleep(10000);
	return true;
}

/* Those of this network whose name begins so and who live. */
static inline unsigned in_this_network(const char *name, pid_t *one)
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
		if (k < (ssize_t)strlen(name) || strncmp(its, name, strlen(name)) != 0)
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

static inline unsigned pastas(pid_t *one)
{
	return in_this_network("pas", one);
}

static inline void needs_lab(void)
{
	if (other <= 0)
		skip();
}

/* --- boxes -------------------------------------------------------------------------------------
 */

static void try_nat(struct try *t, const char *script)
{
	static char port[32], group_port[32];
	static char *env[5];
	snprintf(port, sizeof(port), "PORT=%u", lab_port);
	snprintf(group_port, sizeof(group_port), "GROUP_PORT=%u", lab_group_port);
	memcpy(env, (char *const[]){try_env[0], try_env[1], port, group_port, NULL}, sizeof(env));
	try_init(t, script);
	t->spec.env = env;
	t->spec.net = BOX_NET_NAT;
	t->files[t->spec.n_files++] =
		(struct box_file){"/box/program", text_str(&self), self.n, 0755};
}

static inline void expect_nat(const char *script, const char *output)
{
	struct try t;
	try_nat(&t, script);
	try_run(&t);
	try_expect(&t, 0, output);
	assert_false(t.facts.network_lost);
	try_fini(&t);
}

static int nat_set_up(void **state)
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

static int nat_tear_down(void **state)
{
	if (other > 0) {
		kill(other, SIGKILL);
		waitpid(other, NULL, 0);
	}
	text_fini(&self);
	return try_teardown(state);
}
