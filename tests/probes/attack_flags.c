/* Calls that are needed, with flags, requests and families that are not. */
#include "tests/probes/probe.h"

#include <arpa/inet.h>
#include <linux/netlink.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/socket.h>
#include <termios.h>

#define NEW_TIME 0x80l /* CLONE_NEWTIME */

static void flag_unshare(const struct probe *p)
{
	refused(unshare((int)p->a), p->name);
}

static void flag_clone(const struct probe *p)
{
	long pid = syscall(SYS_clone, (unsigned long)p->a | SIGCHLD, NULL, NULL, NULL, NULL);
	if (!pid)
		_exit(0);
	refused(pid, p->name);
}

/* The leader of a process group can't have a session of its own: a child goes on. */
static void as_child(void)
{
	pid_t pid = fork();
	if (pid) {
		wait_for(pid);
		_exit(0);
	}
}

/* A terminal of its own, and it the controlling one: what TIOCSTI puts there comes out of read. */
static int terminal_open(void)
{
	int master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC), unlock = 0;
	if (master < 0 || ioctl(master, TIOCSPTLCK, &unlock))
		absent("no terminal: %s", error_name(errno));
	int slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY);
	if (slave < 0)
		absent("no terminal: %s", error_name(errno));
	as_child();
	setsid();
	if (ioctl(slave, TIOCSCTTY, 0))
		absent("no controlling terminal: %s", error_name(errno));
	return slave;
}

static void flag_ioctl(const struct probe *p)
{
	int slave = terminal_open();
	char c = p->b ? (char)p->b : 'x';
	long rc = syscall(SYS_ioctl, slave, (unsigned long)p->a, &c);
	/* a pty is no console: TIOCLINUX reached the driver if it says so */
	if (rc == -1 && errno == EIO)
		contained("%s: EIO: off by dev.tty.legacy_tiocsti", p->name);
	refused(rc, p->name);
}

static void flag_tiocsti_inherited(const struct probe *p)
{
	int tty = open("/dev/tty", O_RDWR | O_CLOEXEC);
	(void)p;
	for (int fd = 0; tty < 0 && fd < 3; fd++)
		if (isatty(fd))
			tty = fd;
	if (tty < 0)
		contained("no terminal: %s", error_name(errno));
	open_to("the caller's terminal %s is reached", ttyname(tty) ? ttyname(tty) : "");
}

static void flag_personality(const struct probe *p)
{
	long old = syscall(SYS_personality, 0xffffffffl);
	if (p->b) /* both halves: the kernel takes an unsigned int */
		refused(syscall(SYS_personality, (unsigned long)p->a | 0xffffffff00000000ul),
			p->name);
	refused(syscall(SYS_personality, (unsigned long)(old | p->a)), p->name);
}

static void flag_socket(const struct probe *p)
{
	int fd = socket((int)p->a, (int)p->b, (int)p->c);
	if (fd >= 0)
		open_to("socket %ld %ld %ld: made", p->a, p->b, p->c);
	if (is_refusal(errno) || errno == EAFNOSUPPORT || errno == EPROTONOSUPPORT ||
	    errno == ESOCKTNOSUPPORT)
		contained("%s", error_name(errno));
	open_to("the kernel looked at it: %s", error_name(errno));
}

static void flag_socketpair(const struct probe *p)
{
	int fds[2];
	if (!socketpair((int)p->a, SOCK_STREAM, 0, fds))
		open_to("made");
	if (is_refusal(errno) || errno == EAFNOSUPPORT)
		contained("%s", error_name(errno));
	open_to("the kernel looked at it: %s", error_name(errno));
}

#define UNSHARE(name, flag)                                                                        \
	{                                                                                          \
		"unshare_" name, PROBE_ATTACK, "namespaces", flag_unshare, flag, 0, 0, NULL        \
	}
#define CLONE(name, flag)                                                                          \
	{                                                                                          \
		"clone_" name, PROBE_ATTACK, "namespaces", flag_clone, flag, 0, 0, NULL            \
	}
#define SOCKET(name, family, type, protocol)                                                       \
	{                                                                                          \
		"net_" name, PROBE_ATTACK, "sockets", flag_socket, family, type, protocol, NULL    \
	}
#define HIGH 0x7700000000l

/* clang-format off */
const struct probe attack_flags[] = {
	UNSHARE("user", CLONE_NEWUSER), UNSHARE("mnt", CLONE_NEWNS), UNSHARE("pid", CLONE_NEWPID), UNSHARE("net", CLONE_NEWNET),
	UNSHARE("ipc", CLONE_NEWIPC), UNSHARE("uts", CLONE_NEWUTS), UNSHARE("cgroup", CLONE_NEWCGROUP), UNSHARE("time", NEW_TIME),
	UNSHARE("user_and_fs", CLONE_NEWUSER | CLONE_FS),
	CLONE("user", CLONE_NEWUSER), CLONE("mnt", CLONE_NEWNS), CLONE("pid", CLONE_NEWPID), CLONE("net", CLONE_NEWNET),
	CLONE("ipc", CLONE_NEWIPC), CLONE("uts", CLONE_NEWUTS), CLONE("cgroup", CLONE_NEWCGROUP),
	CLONE("user_and_vm", CLONE_NEWUSER | CLONE_VFORK),
	{"tiocsti", PROBE_ATTACK, "ioctl; CVE-2017-5226", flag_ioctl, TIOCSTI, 0, 0, NULL},
	{"tiocsti_hi", PROBE_ATTACK, "ioctl; CVE-2019-10063", flag_ioctl, TIOCSTI | HIGH, 0, 0, NULL},
	{"tioclinux", PROBE_ATTACK, "ioctl; CVE-2023-28100", flag_ioctl, TIOCLINUX, 2, 0, NULL},
	{"tioclinux_hi", PROBE_ATTACK, "ioctl; CVE-2023-28100", flag_ioctl, TIOCLINUX | HIGH, 2, 0, NULL},
	{"tioccons", PROBE_ATTACK, "ioctl", flag_ioctl, TIOCCONS, 0, 0, NULL},
	{"tty_ctl", PROBE_ATTACK, "inherited; CVE-2017-5226", flag_tiocsti_inherited, 0, 0, 0, NULL},
	{"persona_exec_read", PROBE_ATTACK, "personality", flag_personality, READ_IMPLIES_EXEC, 0, 0, NULL},
	{"persona_page_zero", PROBE_ATTACK, "personality", flag_personality, MMAP_PAGE_ZERO, 0, 0, NULL},
	{"persona_compat_layout", PROBE_ATTACK, "personality", flag_personality, ADDR_COMPAT_LAYOUT, 0, 0, NULL},
	{"persona_svr4", PROBE_ATTACK, "personality", flag_personality, PER_SVR4, 0, 0, NULL},
	{"persona_hi", PROBE_ATTACK, "personality", flag_personality, READ_IMPLIES_EXEC, 1, 0, NULL},
	{NULL, 0, NULL, NULL, 0, 0, 0, NULL},
};

const struct probe attack_sockets[] = {
	SOCKET("packet", AF_PACKET, SOCK_DGRAM, 0x0300), SOCKET("packet_raw", AF_PACKET, SOCK_RAW, 0x0300),
	SOCKET("raw", AF_INET, SOCK_RAW, IPPROTO_ICMP), SOCKET("raw6", AF_INET6, SOCK_RAW, IPPROTO_ICMPV6),
	SOCKET("raw_any", AF_INET, SOCK_RAW, IPPROTO_RAW), SOCKET("inet_packet", AF_INET, SOCK_PACKET, 0x0300),
	SOCKET("seqpacket", AF_INET, SOCK_SEQPACKET, 0),
	SOCKET("sctp", AF_INET, SOCK_STREAM, 132), SOCKET("mptcp", AF_INET, SOCK_STREAM, 262), SOCKET("smc", AF_INET, SOCK_STREAM, 256),
	SOCKET("dccp", AF_INET, SOCK_DCCP, 33), SOCKET("udplite", AF_INET, SOCK_DGRAM, 136), SOCKET("l2tp", AF_INET, SOCK_DGRAM, 115),
	SOCKET("mptcp6", AF_INET6, SOCK_STREAM, 262), SOCKET("udplite6", AF_INET6, SOCK_DGRAM, 136),
	SOCKET("vsock", AF_VSOCK, SOCK_STREAM, 0), SOCKET("vsock_dgram", AF_VSOCK, SOCK_DGRAM, 0),
	SOCKET("alg", AF_ALG, SOCK_SEQPACKET, 0), SOCKET("key", AF_KEY, SOCK_RAW, 2), SOCKET("xdp", AF_XDP, SOCK_RAW, 0),
	SOCKET("bluetooth", AF_BLUETOOTH, SOCK_RAW, 1), SOCKET("can", AF_CAN, SOCK_RAW, 1), SOCKET("tipc", AF_TIPC, SOCK_RDM, 0),
	SOCKET("rds", AF_RDS, SOCK_SEQPACKET, 0), SOCKET("smc_family", AF_SMC, SOCK_STREAM, 0), SOCKET("qipcrtr", AF_QIPCRTR, SOCK_DGRAM, 0),
	SOCKET("kcm", AF_KCM, SOCK_DGRAM, 0), SOCKET("nfc", AF_NFC, SOCK_SEQPACKET, 1), SOCKET("ax25", AF_AX25, SOCK_DGRAM, 0),
	SOCKET("x25", AF_X25, SOCK_SEQPACKET, 0), SOCKET("appletalk", AF_APPLETALK, SOCK_DGRAM, 0), SOCKET("llc", AF_LLC, SOCK_DGRAM, 0),
	SOCKET("pppox", AF_PPPOX, SOCK_STREAM, 0), SOCKET("phonet", AF_PHONET, SOCK_DGRAM, 0), SOCKET("ieee802154", AF_IEEE802154, SOCK_DGRAM, 0),
	SOCKET("netlink_audit", AF_NETLINK, SOCK_RAW, NETLINK_AUDIT), SOCKET("netlink_uevent", AF_NETLINK, SOCK_RAW, NETLINK_KOBJECT_UEVENT),
	SOCKET("netlink_netfilter", AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER), SOCKET("netlink_generic", AF_NETLINK, SOCK_RAW, NETLINK_GENERIC),
	SOCKET("netlink_xfrm", AF_NETLINK, SOCK_RAW, NETLINK_XFRM), SOCKET("netlink_diag", AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG),
	SOCKET("netlink_connector", AF_NETLINK, SOCK_RAW, NETLINK_CONNECTOR), SOCKET("netlink_crypto", AF_NETLINK, SOCK_RAW, NETLINK_CRYPTO),
	{"net_pair_inet", PROBE_ATTACK, "sockets", flag_socketpair, AF_INET, 0, 0, NULL},
	{"net_pair_tipc", PROBE_ATTACK, "sockets", flag_socketpair, AF_TIPC, 0, 0, NULL},
	{NULL, 0, NULL, NULL, 0, 0, 0, NULL},
};
