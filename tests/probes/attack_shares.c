/* What the kernel counts for all boxes of a caller, or for the whole machine: how much of it one
 * box may have. Half of it is enough to be open; more is not taken, and all goes with the process.
 */
#include "tests/probes/probe.h"

#include <limits.h>
#include <signal.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>

#define DESCRIPTORS 250 /* in one message; SCM_MAX_FD is 253 */

static unsigned long number_in(const char *path)
{
	char text[32];
	if (file_get(path, text, sizeof(text)) < 0)
		absent("%s: %s", path, error_name(errno));
	return strtoul(text, NULL, 10);
}

/* Up to the hard ones: soft ones hold nobody. */
static void limits_raise(void)
{
	static const __rlimit_resource_t all[] = {RLIMIT_NOFILE, RLIMIT_SIGPENDING};
	struct rlimit r;
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		if (!getrlimit(all[i], &r)) {
			r.rlim_cur = r.rlim_max;
			setrlimit(all[i], &r);
		}
}

static void share_until(unsigned long all, int (*take)(void))
{
	limits_raise();
	for (unsigned long n = 0; n < all / 2; n++)
		if (take() < 0)
			contained("%lu of %lu, then %s", n, all, error_name(errno));
	open_to("half of %lu", all);
}

static int take_inotify(void)
{
	return inotify_init1(IN_CLOEXEC);
}

static void share_inotify(const struct probe *p)
{
	(void)p;
	share_until(number_in("/proc/sys/fs/inotify/max_user_instances"), take_inotify);
}

/* They are memory: the bound is read, not tried. */
static void share_watches(const struct probe *p)
{
	(void)p;
	unsigned long all = number_in("/proc/sys/fs/inotify/max_user_watches"),
		      own = number_in("/proc/sys/user/max_inotify_watches");
	if (own > all / 2)
		open_to("%lu of %lu", own < all ? own : all, all);
	contained("%lu of %lu", own, all);
}

static int take_terminal(void)
{
	return open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
}

static void share_terminals(const struct probe *p)
{
	(void)p;
	share_until(number_in("/proc/sys/kernel/pty/max"), take_terminal);
}

static int take_signal(void)
{
	return sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 0});
}

static void share_signals(const struct probe *p)
{
	sigset_t set;
	(void)p;
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	sigprocmask(SIG_BLOCK, &set, NULL);
	share_until(fact_number("signals"), take_signal);
}

/* Sent and not received: as many as the box may, and then the host can't send one any more. */
static void share_descriptors(const struct probe *p)
{
	unsigned long all = fact_number("files"), sent = 0;
	union {
		char bytes[CMSG_SPACE(sizeof(int) * DESCRIPTORS)];
		struct cmsghdr align;
	} control = {{0}};
	struct iovec byte = {"x", 1};
	struct msghdr m = {.msg_iov = &byte,
			   .msg_iovlen = 1,
			   .msg_control = &control,
			   .msg_controllen = sizeof(control)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	int pair[2], zeros[DESCRIPTORS] = {0};
	(void)p;
	*c = (struct cmsghdr){CMSG_LEN(sizeof(zeros)), SOL_SOCKET, SCM_RIGHTS};
	memcpy(CMSG_DATA(c), zeros, sizeof(zeros));
	limits_raise();
	while (sent < all) {
		if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
			contained("%lu, then %s", sent, error_name(errno));
		while (sendmsg(pair[0], &m, MSG_DONTWAIT) > 0)
			sent += DESCRIPTORS;
		if (errno != EAGAIN)
			contained("%lu of %lu, then %s", sent, all, error_name(errno));
	}
	open_to("as many as the host's %lu", all);
}

static void huge_mmap(const struct probe *p)
{
	(void)p;
	void *at = mmap(NULL, 2 << 20, PROT_NONE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_HUGETLB, -1, 0);
	if (at == MAP_FAILED)
		contained("%s", error_name(errno));
	open_to("they can be had");
}

static void huge_memfd(const struct probe *p)
{
	(void)p;
	if (memfd_create("probe", MFD_HUGETLB) < 0)
		contained("%s", error_name(errno));
	open_to("a file of them can be made");
}

/* clang-format off */
const struct probe attack_shares[] = {
	{"share_inotify", PROBE_ATTACK, "neighbours", share_inotify, 0, 0, 0, NULL},
	{"share_watches", PROBE_ATTACK, "neighbours", share_watches, 0, 0, 0, NULL},
	{"share_terminals", PROBE_ATTACK, "neighbours", share_terminals, 0, 0, 0, NULL},
	{"share_signals", PROBE_ATTACK, "neighbours", share_signals, 0, 0, 0, NULL},
	{"share_descriptors", PROBE_ATTACK, "neighbours", share_descriptors, 0, 0, 0, NULL},
	{"huge_mmap", PROBE_ATTACK, "memory", huge_mmap, 0, 0, 0, NULL},
	{"huge_memfd", PROBE_ATTACK, "memory", huge_memfd, 0, 0, 0, NULL},
	{NULL, 0, NULL, NULL, 0, 0, 0, NULL},
};
