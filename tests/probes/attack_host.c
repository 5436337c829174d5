/* Channels to the host and to other boxes: namespaces, sockets, IPC, keys, clocks. */
#include "tests/probes/probe.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <linux/if_addr.h>
#include <linux/keyctl.h>
#include <linux/rtnetlink.h>
#include <mqueue.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <time.h>

static void namespace_own(const struct probe *p)
{
	char path[64], name[64];
	struct stat st;
	snprintf(name, sizeof(name), "ns_%s", p->what);
	unsigned long host = fact_number(name);
	snprintf(path, sizeof(path), "/proc/self/ns/%s", p->what);
	if (stat(path, &st))
		open_to("%s: %s", path, error_name(errno));
	if (st.st_ino == host)
		open_to("the host's");
	contained("its own");
}

static void connected(int family, const struct sockaddr *a, socklen_t n)
{
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		contained("socket: %s", error_name(errno));
	if (!connect(fd, a, n))
		open_to("a socket of the host is reached");
	contained("%s", error_name(errno));
}

static void loopback_host(const struct probe *p)
{
	(void)p;
	struct sockaddr_in a = {.sin_family = AF_INET,
				.sin_port = htons((uint16_t)fact_number("tcp4")),
				.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	connected(AF_INET, (struct sockaddr *)&a, sizeof(a));
}

static void loopback6_host(const struct probe *p)
{
	(void)p;
	struct sockaddr_in6 a = {.sin6_family = AF_INET6,
				 .sin6_port = htons((uint16_t)fact_number("tcp6")),
				 .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	connected(AF_INET6, (struct sockaddr *)&a, sizeof(a));
}

static void abstract_host(const struct probe *p)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	(void)p;
	size_t n = (size_t)snprintf(a.sun_path + 1, sizeof(a.sun_path) - 1, "%s", fact("abstract"));
	connected(AF_UNIX, (struct sockaddr *)&a,
		  (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + n));
}

static void path_host(const struct probe *p)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	snprintf(a.sun_path, sizeof(a.sun_path), "%s", p->what ? p->what : fact("socket"));
	connected(AF_UNIX, (struct sockaddr *)&a, sizeof(a));
}

static void interfaces(const struct probe *p)
{
	struct if_nameindex *all = if_nameindex();
	(void)p;
	if (!all)
		contained("%s", error_name(errno));
	for (struct if_nameindex *i = all; i->if_name; i++)
		if (strcmp(i->if_name, "lo") && strcmp(i->if_name, "sit0") &&
		    strcmp(i->if_name, "tunl0") && strcmp(i->if_name, "ip6tnl0"))
			open_to("interface %s", i->if_name);
	contained("the loopback interface only");
}

static void routed(const struct probe *p)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(53)};
	(void)p;
	inet_pton(AF_INET, "192.0.2.1", &a.sin_addr);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)))
		contained("%s", error_name(errno));
	open_to("there is a way to other machines");
}

/* Turning the loopback interface to what it is. */
static void net_admin(const struct probe *p)
{
	struct ifreq lo = {.ifr_name = "lo"};
	(void)p;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || ioctl(fd, SIOCGIFFLAGS, &lo))
		contained("%s", error_name(errno));
	refused(ioctl(fd, SIOCSIFFLAGS, &lo), "SIOCSIFFLAGS");
}

static void netlink_write(const struct probe *p)
{
	struct {
		struct nlmsghdr head;
		struct ifaddrmsg body;
	} request = {{sizeof(request), RTM_NEWADDR, NLM_F_REQUEST | NLM_F_ACK, 1, 0},
		     {AF_INET, 32, 0, 0, 0}};
	struct {
		struct nlmsghdr head;
		struct nlmsgerr body;
	} answer = {0};
	(void)p;
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (fd < 0 || send(fd, &request, sizeof(request), 0) < 0 ||
	    recv(fd, &answer, sizeof(answer), 0) < 0)
		contained("%s", error_name(errno));
	errno = -answer.body.error;
	refused(-1, "RTM_NEWADDR");
}

static void shm_shared(const struct probe *p)
{
	(void)p;
	int fd = open(fact("shm"), O_RDONLY | O_CLOEXEC);
	if (fd >= 0)
		open_to("%s of the host opens", fact("shm"));
	contained("%s", error_name(errno));
}

static void sysv(const struct probe *p)
{
	key_t key = (key_t)fact_number("ipc_key");
	int id = p->a == 0 ? shmget(key, 0, 0) : p->a == 1 ? semget(key, 0, 0) : msgget(key, 0);
	if (id >= 0)
		open_to("the host's key leads to %d", id);
	int error = errno;
	/* and by its number, which a namespace of its own does not have */
	if (p->a == 0 && shmat((int)fact_number("shm_id"), NULL, SHM_RDONLY) != (void *)-1)
		open_to("the host's segment is attached");
	contained("%s", error_name(error));
}

static void posix_mq(const struct probe *p)
{
	(void)p;
	mqd_t mq = mq_open(fact("mq"), O_RDONLY);
	if (mq != (mqd_t)-1)
		open_to("%s of the host opens", fact("mq"));
	contained("%s", error_name(errno));
}

/* The payload of a key of the host's, by its number. */
static void key_host(const struct probe *p)
{
	char text[64];
	(void)p;
	long n = syscall(SYS_keyctl, KEYCTL_READ, (int)fact_number("key"), text, sizeof(text));
	if (n >= 0)
		open_to("%ld bytes of a key of the host", n);
	contained("%s", error_name(errno));
}

/* What the caller's session keyring holds. */
static void key_inherited(const struct probe *p)
{
	long key = syscall(SYS_keyctl, KEYCTL_SEARCH, p->a, "user", p->what, 0);
	if (key >= 0)
		open_to("%s is found: key %ld", p->what, key);
	contained("%s", error_name(errno));
}

static void host_name(const struct probe *p)
{
	struct utsname u;
	(void)p;
	uname(&u);
	if (!strcmp(u.nodename, fact("hostname")))
		open_to("the host's: %s", u.nodename);
	contained("%s", u.nodename);
}

/* How long the host is up: real time less time since boot. */
static void uptime(const struct probe *p)
{
	struct timespec real, boot;
	clock_gettime(CLOCK_REALTIME, &real);
	clock_gettime(CLOCK_BOOTTIME, &boot);
	(void)p;
	long long began = real.tv_sec - boot.tv_sec, host = (long long)fact_number("booted");
	if (began - host < 5 && host - began < 5)
		open_to("the host's: %lld s", (long long)boot.tv_sec);
	contained("%lld s", (long long)boot.tv_sec);
}

static void unix_credentials(const struct probe *p)
{
	struct ucred forged = {.pid = 1, .uid = 4242, .gid = 4242};
	union {
		char room[CMSG_SPACE(sizeof(struct ucred))];
		struct cmsghdr align;
	} control = {{0}};
	struct iovec one = {(char[]){"x"}, 1};
	struct msghdr m = {.msg_iov = &one,
			   .msg_iovlen = 1,
			   .msg_control = control.room,
			   .msg_controllen = sizeof(control.room)};
	int pair[2];
	(void)p;
	if (socketpair(AF_UNIX, SOCK_DGRAM, 0, pair))
		contained("%s", error_name(errno));
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_CREDENTIALS;
	c->cmsg_len = CMSG_LEN(sizeof(forged));
	memcpy(CMSG_DATA(c), &forged, sizeof(forged));
	int rc = (int)sendmsg(pair[0], &m, 0);
	if (rc < 0 && errno == EINVAL)
		contained("there is no such id: EINVAL");
	refused(rc, "credentials of pid 1");
}

static void sysvipc_list(const struct probe *p)
{
	char text[65536], id[32];
	snprintf(id, sizeof(id), "%10lu", fact_number("ipc_key"));
	if (file_get(p->what, text, sizeof(text)) < 0)
		contained("%s", error_name(errno));
	if (strstr(text, id))
		open_to("%s lists the host's", p->what);
	contained("nothing of the host's");
}

static void net_list(const struct probe *p)
{
	static char text[1 << 20];
	(void)p;
	if (file_get("/proc/net/unix", text, sizeof(text)) < 0)
		contained("%s", error_name(errno));
	if (strstr(text, fact("abstract")))
		open_to("/proc/net/unix lists the host's");
	contained("nothing of the host's");
}

static void locks_list(const struct probe *p)
{
	static char text[1 << 16];
	char pid[32];
	(void)p;
	snprintf(pid, sizeof(pid), " %lu ", fact_number("pid"));
	if (file_get("/proc/locks", text, sizeof(text)) < 0)
		contained("%s", error_name(errno));
	if (strstr(text, pid))
		open_to("/proc/locks lists the host's");
	contained("nothing of the host's");
}

#define OWN(name)                                                                                  \
	{                                                                                          \
		"ns_" name, PROBE_ATTACK, "namespaces", namespace_own, 0, 0, 0, name               \
	}

/* clang-format off */
const struct probe attack_host[] = {
	OWN("user"), OWN("mnt"), OWN("pid"), OWN("ipc"), OWN("uts"), OWN("net"), OWN("cgroup"), OWN("time"),
	{"loopback_host", PROBE_ATTACK, "network", loopback_host, 0, 0, 0, NULL},
	{"loopback6_host", PROBE_ATTACK, "network", loopback6_host, 0, 0, 0, NULL},
	{"abstract_host", PROBE_ATTACK, "network", abstract_host, 0, 0, 0, NULL},
	{"unix_host", PROBE_ATTACK, "mounts", path_host, 0, 0, 0, NULL},
	{"docker_socket", PROBE_ATTACK, "mounts", path_host, 0, 0, 0, "/run/docker.sock"},
	{"dbus_socket", PROBE_ATTACK, "mounts", path_host, 0, 0, 0, "/run/dbus/system_bus_socket"},
	{"net_interfaces", PROBE_ATTACK, "network", interfaces, 0, 0, 0, NULL},
	{"net_out", PROBE_ATTACK, "network", routed, 0, 0, 0, NULL},
	{"net_admin", PROBE_ATTACK, "network", net_admin, 0, 0, 0, NULL},
	{"netlink_write", PROBE_ATTACK, "network", netlink_write, 0, 0, 0, NULL},
	{"net_unix_list", PROBE_ATTACK, "network", net_list, 0, 0, 0, NULL},
	{"shm_shared", PROBE_ATTACK, "IPC; isolate 2.6", shm_shared, 0, 0, 0, NULL},
	{"sysv_shm_host", PROBE_ATTACK, "IPC", sysv, 0, 0, 0, NULL},
	{"sysv_sem_host", PROBE_ATTACK, "IPC", sysv, 1, 0, 0, NULL},
	{"sysv_msg_host", PROBE_ATTACK, "IPC", sysv, 2, 0, 0, NULL},
	{"sysv_list", PROBE_ATTACK, "IPC", sysvipc_list, 0, 0, 0, "/proc/sysvipc/shm"},
	{"mq_host", PROBE_ATTACK, "IPC", posix_mq, 0, 0, 0, NULL},
	{"locks_list", PROBE_ATTACK, "channels", locks_list, 0, 0, 0, NULL},
	{"key_host", PROBE_ATTACK, "keyring; isolate 2.4", key_host, 0, 0, 0, NULL},
	{"key_inherited", PROBE_ATTACK, "keyring", key_inherited, KEY_SPEC_SESSION_KEYRING, 0, 0, "assay-probe-session"},
	{"key_user", PROBE_ATTACK, "keyring", key_inherited, KEY_SPEC_USER_KEYRING, 0, 0, "assay-probe-user"},
	{"hostname_host", PROBE_ATTACK, "namespaces", host_name, 0, 0, 0, NULL},
	{"uptime_host", PROBE_ATTACK, "namespaces", uptime, 0, 0, 0, NULL},
	{"credentials_forged", PROBE_ATTACK, "ids", unix_credentials, 0, 0, 0, NULL},
	{NULL, 0, NULL, NULL, 0, 0, 0, NULL},
};
