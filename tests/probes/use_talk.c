/* What programs talk through: sockets, pipes, terminals, IPC. */
#include "tests/probes/probe.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <linux/netlink.h>
#include <mqueue.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pty.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <termios.h>
#include <time.h>

union address {
	struct sockaddr any;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

static socklen_t loopback(int family, union address *a)
{
	memset(a, 0, sizeof(*a));
	a->any.sa_family = (sa_family_t)family;
	if (family == AF_INET) {
		a->in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		return sizeof(a->in);
	}
	a->in6.sin6_addr = (struct in6_addr)IN6ADDR_LOOPBACK_INIT;
	return sizeof(a->in6);
}

static void tcp(const struct probe *p)
{
	union address a;
	socklen_t n = loopback((int)p->a, &a);
	char c;
	int one = 1, s = socket((int)p->a, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (s < 0 && errno == EAFNOSUPPORT && p->a == AF_INET6 &&
	    access("/proc/net/if_inet6", F_OK))
		absent("this kernel has no IPv6");
	need(s >= 0 && !setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)));
	need(!bind(s, &a.any, n) && !listen(s, 8) && !getsockname(s, &a.any, &n));
	int client = socket((int)p->a, SOCK_STREAM | SOCK_CLOEXEC, 0);
	need(client >= 0 && !connect(client, &a.any, n) &&
	     !setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)));
	int other = accept4(s, NULL, NULL, SOCK_CLOEXEC);
	need(other >= 0 && send(client, "x", 1, MSG_NOSIGNAL) == 1 && recv(other, &c, 1, 0) == 1 &&
	     c == 'x');
	works("a connection");
}

static void udp(const struct probe *p)
{
	union address a;
	socklen_t n = loopback((int)p->a, &a);
	char c;
	int s = socket((int)p->a, SOCK_DGRAM | SOCK_CLOEXEC, 0),
	    t = socket((int)p->a, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (s < 0 && errno == EAFNOSUPPORT && p->a == AF_INET6 &&
	    access("/proc/net/if_inet6", F_OK))
		absent("this kernel has no IPv6");
	need(s >= 0 && t >= 0 && !bind(s, &a.any, n) && !getsockname(s, &a.any, &n));
	need(sendto(t, "x", 1, 0, &a.any, n) == 1 && recv(s, &c, 1, 0) == 1);
	works("a datagram");
}

/* Servers bind to all addresses, and to ports by name. */
static void any_address(const struct probe *p)
{
	union address a = {.in6 = {.sin6_family = AF_INET6}};
	int off = 0;
	(void)p;
	int s = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (s < 0 && access("/proc/net/if_inet6", F_OK))
		absent("this kernel has no IPv6");
	need(s >= 0 && !setsockopt(s, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)));
	socklen_t n = sizeof(a.in6);
	need(!bind(s, &a.any, n) && !listen(s, 4) && !getsockname(s, &a.any, &n));
	in_port_t port = a.in6.sin6_port;
	n = loopback(AF_INET, &a);
	a.in.sin_port = port;
	int c = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	need(c >= 0 && !connect(c, &a.any, n));
	works("[::] takes 127.0.0.1 too");
}

static void unix_pair(const struct probe *p)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	struct ucred cred;
	socklen_t n = sizeof(cred);
	int pair[2];
	need(!socketpair(AF_UNIX, (int)p->a | SOCK_CLOEXEC, 0, pair));
	need(!getsockopt(pair[0], SOL_SOCKET, SO_PEERCRED, &cred, &n) && cred.pid == getpid());
	int s = socket(AF_UNIX, (int)p->a | SOCK_CLOEXEC, 0);
	snprintf(a.sun_path + 1, sizeof(a.sun_path) - 1, "probe-%d", (int)getpid());
	need(s >= 0 && !bind(s, (struct sockaddr *)&a, sizeof(a)));
	if (p->a != SOCK_DGRAM)
		need(!listen(s, 1));
	int c = socket(AF_UNIX, (int)p->a | SOCK_CLOEXEC, 0);
	need(c >= 0 && !connect(c, (struct sockaddr *)&a, sizeof(a)));
	works("a pair, and by an abstract name");
}

/* A descriptor handed over, and who sent it. */
static void unix_rights(const struct probe *p)
{
	union {
		char room[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {{0}};
	char c;
	struct iovec one = {&c, 1};
	struct msghdr m = {.msg_iov = &one,
			   .msg_iovlen = 1,
			   .msg_control = control.room,
			   .msg_controllen = sizeof(control.room)};
	int pair[2], pipes[2], got;
	(void)p;
	need(!socketpair(AF_UNIX, SOCK_STREAM, 0, pair) && !pipe(pipes));
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);
	h->cmsg_level = SOL_SOCKET;
	h->cmsg_type = SCM_RIGHTS;
	h->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(h), &pipes[1], sizeof(int));
	c = 'm';
	need(sendmsg(pair[0], &m, 0) == 1);
	need(recvmsg(pair[1], &m, MSG_CMSG_CLOEXEC) == 1);
	memcpy(&got, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(int));
	need(write(got, "z", 1) == 1 && read(pipes[0], &c, 1) == 1 && c == 'z');
	works("SCM_RIGHTS");
}

static void unix_path(const struct probe *p)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	(void)p;
	need(!chdir(probe_work));
	snprintf(a.sun_path, sizeof(a.sun_path), "socket");
	int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0),
	    c = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	need(s >= 0 && !bind(s, (struct sockaddr *)&a, sizeof(a)) && !listen(s, 1));
	need(!connect(c, (struct sockaddr *)&a, sizeof(a)));
	works("by a path");
}

static void addresses(const struct probe *p)
{
	struct ifaddrs *all;
	bool lo = false;
	(void)p;
	need(!getifaddrs(&all));
	for (struct ifaddrs *i = all; i; i = i->ifa_next)
		if (i->ifa_addr && i->ifa_addr->sa_family == AF_INET &&
		    !strcmp(i->ifa_name, "lo") && i->ifa_flags & IFF_UP)
			lo = true;
	need(lo);
	works("getifaddrs, by netlink");
}

/* su, sudo and login ask the kernel's audit first: libaudit takes these three for "it has none",
 * and any other errno for trouble. */
static void audit_errno(const struct probe *p)
{
	(void)p;
	int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_AUDIT);
	if (fd < 0 && errno != EINVAL && errno != EPROTONOSUPPORT && errno != EAFNOSUPPORT)
		broken("libaudit does not know %s", error_name(errno));
	works("%s", fd < 0 ? error_name(errno) : "there is a socket");
}

/* Programs that ask for a family try another if the answer is one of these. */
static void socket_errno(const struct probe *p)
{
	static const int families[] = {AF_VSOCK, AF_ALG, AF_PACKET,  AF_BLUETOOTH, AF_CAN,
				       AF_TIPC,  AF_KEY, AF_NETLINK, AF_INET};
	for (size_t i = 0; i < sizeof(families) / sizeof(*families); i++) {
		int fd = socket(families[i], families[i] == AF_INET ? SOCK_STREAM : SOCK_RAW,
				families[i] == AF_INET      ? 262
				: families[i] == AF_NETLINK ? NETLINK_NETFILTER
							    : 1);
		if (fd < 0 && errno == ENOSYS)
			broken("family %d: ENOSYS", families[i]);
	}
	(void)p;
	works("none is ENOSYS");
}

/* ping without a capability, where the host's group range allows it. */
static void ping(const struct probe *p)
{
	unsigned char echo[8] = {8, 0, 0xf7, 0xff};
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	(void)p;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_ICMP);
	if (fd < 0 && errno == EACCES)
		absent("no group of ours is in net.ipv4.ping_group_range");
	need(fd >= 0 &&
	     sendto(fd, echo, sizeof(echo), 0, (struct sockaddr *)&a, sizeof(a)) == sizeof(echo));
	struct pollfd wait = {.fd = fd, .events = POLLIN};
	need(poll(&wait, 1, 100000) == 1);
	works("an echo from 127.0.0.1");
}

static void sysv(const struct probe *p)
{
	struct {
		long type;
		char text[4];
	} m = {1, "abc"};
	struct sembuf up = {0, 1, 0}, down = {0, -1, 0};
	(void)p;
	int shm = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600),
	    sem = semget(IPC_PRIVATE, 1, IPC_CREAT | 0600),
	    msg = msgget(IPC_PRIVATE, IPC_CREAT | 0600);
	need(shm >= 0 && sem >= 0 && msg >= 0);
	char *at = shmat(shm, NULL, 0);
	need(at != (void *)-1);
	at[0] = 'x';
	need(!shmdt(at) && !shmctl(shm, IPC_RMID, NULL));
	need(!semop(sem, &up, 1) && !semop(sem, &down, 1) && !semctl(sem, 0, IPC_RMID));
	need(!msgsnd(msg, &m, 4, 0) && msgrcv(msg, &m, 4, 1, 0) == 4 &&
	     !msgctl(msg, IPC_RMID, NULL));
	works("memory, semaphores, messages");
}

static void posix_ipc(const struct probe *p)
{
	(void)p;
	int fd = shm_open("/probe-shm", O_RDWR | O_CREAT | O_EXCL, 0600);
	need(fd >= 0 && !ftruncate(fd, 4096) && !shm_unlink("/probe-shm"));
	sem_t *sem = sem_open("/probe-sem", O_CREAT | O_EXCL, 0600, 1);
	need(sem != SEM_FAILED && !sem_wait(sem) && !sem_post(sem) && !sem_unlink("/probe-sem"));
	works("shared memory, semaphores");
}

static void posix_mq(const struct probe *p)
{
	char text[8192];
	(void)p;
	mqd_t mq = mq_open("/probe-mq", O_RDWR | O_CREAT | O_EXCL, 0600, NULL);
	need(mq != (mqd_t)-1);
	need(!mq_send(mq, "abc", 3, 0) && mq_receive(mq, text, sizeof(text), NULL) == 3 &&
	     !mq_unlink("/probe-mq"));
	works("message queues");
}

/* As script(1), expect and test suites do. */
static void terminal(const struct probe *p)
{
	char text[64] = "";
	int master, status;
	struct winsize size = {.ws_row = 24, .ws_col = 80};
	(void)p;
	pid_t pid = forkpty(&master, NULL, NULL, &size);
	need(pid >= 0);
	if (!pid) {
		int tty = open("/dev/tty", O_RDWR);
		struct winsize got;
		if (tty < 0 || !isatty(0) || ioctl(tty, TIOCGWINSZ, &got) || got.ws_col != 80 ||
		    tcsetpgrp(tty, getpgrp()))
			_exit(1);
		_exit(write(tty, "tty\n", 4) != 4);
	}
	ssize_t n = 0, r;
	while (n < (ssize_t)sizeof(text) - 1 &&
	       (r = read(master, text + n, sizeof(text) - 1 - (size_t)n)) > 0)
		n += r;
	need(waitpid(pid, &status, 0) == pid && !status);
	need(strstr(text, "tty"));
	works("forkpty, /dev/tty, window size");
}

static void polled(const struct probe *p)
{
	struct epoll_event event = {.events = EPOLLIN}, got;
	int pipes[2];
	(void)p;
	need(!pipe2(pipes, O_CLOEXEC | O_NONBLOCK));
	int fd = epoll_create1(EPOLL_CLOEXEC);
	need(fd >= 0 && !epoll_ctl(fd, EPOLL_CTL_ADD, pipes[0], &event));
	need(write(pipes[1], "x", 1) == 1 && epoll_wait(fd, &got, 1, 1000) == 1);
	need(fcntl(pipes[1], F_SETPIPE_SZ, 1 << 16) >= 0);
	works("epoll");
}

static void moved(const struct probe *p)
{
	int a[2], b[2];
	char c;
	(void)p;
	need(!pipe(a) && !pipe(b) && write(a[1], "x", 1) == 1);
	need(tee(a[0], b[1], 1, 0) == 1 && read(b[0], &c, 1) == 1);
	need(splice(a[0], NULL, b[1], NULL, 1, 0) == 1 && read(b[0], &c, 1) == 1 && c == 'x');
	works("splice, tee");
}

/* Names of the host itself: what `hostname -f` and many servers ask. */
static void host_file(const struct probe *p)
{
	char text[4096], name[256];
	(void)p;
	need(!gethostname(name, sizeof(name)) && name[0]);
	need(file_get("/etc/hosts", text, sizeof(text)) > 0 && strstr(text, "localhost"));
	works("localhost is in /etc/hosts");
}

#define USE(name, f, a)                                                                            \
	{                                                                                          \
		"use_" name, PROBE_USE, "network and IPC", f, a, 0, 0, NULL                        \
	}

/* clang-format off */
const struct probe use_talk[] = {
	USE("tcp4", tcp, AF_INET), USE("tcp6", tcp, AF_INET6), USE("udp4", udp, AF_INET), USE("udp6", udp, AF_INET6), USE("tcp_any", any_address, 0),
	USE("unix_stream", unix_pair, SOCK_STREAM), USE("unix_dgram", unix_pair, SOCK_DGRAM), USE("unix_seqpacket", unix_pair, SOCK_SEQPACKET),
	USE("unix_rights", unix_rights, 0), USE("unix_path", unix_path, 0), USE("getifaddrs", addresses, 0), USE("audit_errno", audit_errno, 0),
	USE("socket_errno", socket_errno, 0), USE("ping", ping, 0), USE("sysv", sysv, 0), USE("posix_ipc", posix_ipc, 0), USE("posix_mq", posix_mq, 0),
	USE("terminal", terminal, 0), USE("epoll", polled, 0), USE("splice", moved, 0), USE("hosts", host_file, 0),
	{NULL, 0, NULL, NULL, 0, 0, 0, NULL},
};
