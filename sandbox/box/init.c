#include "sandbox/box/init.h"

#include "base/clock.h"
#include "base/message.h"
#include "sandbox/box/command.h"
#include "sandbox/box/guard.h"
#include "sandbox/box/privilege.h"
#include "sandbox/box/share.h"
#include "sandbox/box/stage.h"
#include "sandbox/box/supervise.h"
#include "sandbox/box/timens.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

void init_say(int socket, const struct init_message *message, int fd)
{
	struct message m = {.part = {{(void *)(uintptr_t)message, sizeof(*message)}},
			    .fds = &fd,
			    .n_fds = fd >= 0};
	if (message_send(socket, &m, 0))
		return; /* the helper is gone, and with it pid 1 */
}

static void init_fail(const struct init *in, const struct err *e) __attribute__((noreturn));
static void init_fail(const struct init *in, const struct err *e)
{
	struct init_message m = {.kind = INIT_FAILED};
	snprintf(m.error, sizeof(m.error), "%.*s", (int)sizeof(m.error) - 1, e->text);
	init_say(in->socket, &m, -1);
	_exit(1);
}

/* What the job's earlier boxes left keeps this one from being built: that is the job's affair, and
 * told as a shell tells that it can't go somewhere. */
static void init_refuse(const struct init *in, const struct err *e) __attribute__((noreturn));
static void init_refuse(const struct init *in, const struct err *e)
{
	struct init_message m = {.kind = INIT_OVER, .status = COMMAND_REFUSED << 8};
	dprintf(in->output_fd, "assay: %s\n", e->text);
	init_say(in->socket, &m, -1);
	_exit(0);
}

void init_give_up(const struct init *in, const struct err *e)
{
	if (e->kind == ERR_HOSTILE)
		init_refuse(in, e);
	init_fail(in, e);
}

/* Until the helper says this, or the end: while there is no command, INIT_SIGNAL is that, too. */
void init_await(const struct init *in, enum init_kind kind)
{
	struct init_message m;
	ssize_t n;
	do
		n = recv(in->socket, &m, sizeof(m), 0);
	while (n < 0 && errno == EINTR);
	if (n != (ssize_t)sizeof(m) || m.kind != (uint32_t)kind)
		_exit(1);
}

/* The command's end of the box's terminal. It runs when whoever has the other end has set it up. */
static int init_terminal(const struct init *in, struct err *e)
{
	int unlocked = 0;
	struct init_message m = {.kind = INIT_TERMINAL};
	/* Without its name, which a mount of the plan's may cover: ioctl_tty(2), Linux 4.13. */
	if (ioctl(in->terminal_fd, TIOCSPTLCK, &unlocked))
		return err_sys(e, "unlock the terminal");
	auto_fd int slave = ioctl(in->terminal_fd, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0)
		return err_sys(e, "open the terminal");
	if (fchown(slave, in->spec->uid, in->spec->gid))
		return err_sys(e, "give the terminal to user %u", in->spec->uid);
	init_say(in->socket, &m, in->terminal_fd);
	init_await(in, INIT_GO);
	return give_fd(&slave);
}

void init_stdio_take(struct init *in, const struct plan_start *start, const int *fds)
{
	for (size_t i = 0, at = 2; i < 3; i++)
		in->stdio[i] = start->stdio >> i & 1 ? fds[at++] : -1;
}

/* What the command gets as stdin, stdout and stderr. */
static int init_stdio(const struct init *in, int stdio[3], struct err *e)
{
	const int usual[] = {in->null_fd, in->output_fd, in->output_fd};
	int terminal = in->terminal_fd < 0 ? -1 : init_terminal(in, e);
	if (in->terminal_fd >= 0 && terminal < 0)
		return -1;
	for (size_t i = 0; i < 3; i++)
		stdio[i] = terminal >= 0 ? terminal : in->stdio[i] >= 0 ? in->stdio[i] : usual[i];
	return 0;
}

/* Root of the box. Who was started by an ordinary user is it already, and may not change groups
 * without a range. */
static int init_root(const struct init *in, struct err *e)
{
	if (in->ranged && !in->by_path && setgroups(0, NULL))
		return err_sys(e, "leave all groups");
	if (in->ranged && (setresgid(0, 0, 0) || setresuid(0, 0, 0)))
		return err_sys(e, "become the box's root");
	/* Undone by a change of ids, hence after it: prctl(2). */
	if (prctl(PR_SET_DUMPABLE, 0))
		return err_sys(e, "close the box's pid 1 to others");
	prctl(PR_SET_NAME, "assay-init");
	umask(0); /* what is built has the modes it is to have */
	return 0;
}

int init_become(const struct init *in, struct err *e)
{
	/* The tie too is undone by a change of ids. */
	if (init_root(in, e))
		return -1;
	if (prctl(PR_SET_PDEATHSIG, SIGKILL))
		return err_sys(e, "tie the box to its helper");
	return setsid() < 0 ? err_sys(e, "setsid") : 0;
}

/* ping(8) has no raw socket in a box; ICMP's datagram sockets are for groups that a sysctl of the
 * network namespace names, at first none (icmp(7)). Not where another program made the namespace.
 */
static void init_ping(const struct init *in)
{
	char range[32];
	auto_fd int fd = open("/proc/sys/net/ipv4/ping_group_range", O_WRONLY | O_CLOEXEC);
	unsigned first = in->ranged ? 0 : getegid();
	int n = snprintf(range, sizeof(range), "%u %u", first, in->ranged ? 65535 : first);
	if (fd >= 0 && write(fd, range, (size_t)n) != n)
		return; /* without */
}

/* ::1 is there unless the host has IPv6 off and hands that on (net.core.devconf_inherit_init_net,
 * the module's parameter disable_ipv6). */
static void init_six(void)
{
	char off = '0';
	auto_fd int fd = open("/proc/sys/net/ipv6/conf/lo/disable_ipv6", O_RDWR | O_CLOEXEC);
	if (fd >= 0 && read(fd, &off, 1) == 1 && off == '1' && pwrite(fd, "0", 1, 0) != 1)
		return; /* without */
}

static int init_network(const struct init *in, struct err *e)
{
	struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
	auto_fd int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &lo))
		return err_sys(e, "bring up the loopback interface");
	init_ping(in);
	init_six();
	return 0;
}

/* While the box is built, the helper gives its network a way out. */
static int init_way_out(const struct init *in, struct err *e)
{
	struct init_message m = {.kind = INIT_NETWORK};
	if (!(in->spec->flags & PLAN_NET_NAT))
		return 0;
	/* without /proc, which may not be there: netdevice(7), Linux 4.10 */
	auto_fd int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	auto_fd int ns = fd < 0 ? -1 : ioctl(fd, SIOCGSKNS);
	if (ns < 0)
		return err_sys(e, "the box's network namespace");
	init_say(in->socket, &m, ns);
	return 0;
}

/* One message; its descriptors to fds. Bytes, or the end of pid 1. */
static size_t init_receive(const struct init *in, struct init_plan *plan, char *text, int *fds)
{
	struct message m = {.part = {{plan, sizeof(*plan)}, {text, INIT_PLAN_TEXT}},
			    .fds = fds,
			    .n_fds = PLAN_FDS_MAX};
	ssize_t n = message_receive(in->socket, &m, 0);
	if (n < (ssize_t)sizeof(*plan) || plan->kind != INIT_PLAN || m.n_fds != plan->n_fds)
		_exit(1);
	return (size_t)n - sizeof(*plan);
}

static int init_await_plan(struct init *in, struct err *e)
{
	static int fds[PLAN_FDS_MAX]; /* the doors stay there */
	struct init_plan plan;
	struct spec *spec = own_calloc(1, sizeof(*spec));
	struct layers *layers = own_calloc(1, sizeof(*layers));
	auto_free char *text = own_alloc(INIT_PLAN_TEXT);
	size_t n = init_receive(in, &plan, text, fds), first = plan_fds(&plan.start);
	if (plan.n_fds < first)
		return err_set(e, ERR_CORRUPT, "a plan without its descriptors");
	in->way = (enum overlay_way)plan.way;
	in->only_way = plan.only_way;
	in->uppers = plan.uppers;
	in->output_fd = fds[1];
	init_stdio_take(in, &plan.start, fds);
	in->n_doors = plan.start.n_doors;
	in->doors = fds + first - in->n_doors;
	in->spec = spec;
	in->layers = layers;
	return spec_read(spec, fds[0], plan.start.bytes, plan.start.n_fds, e) ||
			       layers_get(layers, text, n, fds + first, plan.n_fds - first, e)
		       ? -1
		       : 0;
}

static void init_stage(const struct init *in, struct stage *st)
{
	*st = (struct stage){
		.spec = in->spec,
		.layers = in->layers,
		.way = in->way,
		.only_way = in->only_way,
		.uppers = in->uppers,
		.lately = in->lately,
		.helper = in->socket,
		.root = -1,
		.null = in->null_fd,
		.devices = in->devices_fd,
		.terminal = -1,
	};
}

static int init_name(const struct spec *spec, struct err *e)
{
	return sethostname(spec->hostname, strlen(spec->hostname))
		       ? err_sys(e, "hostname %s", spec->hostname)
		       : 0;
}

/* The root is there. */
static int init_built(struct init *in, const struct stage *st, struct err *e)
{
	in->way = st->way;
	in->by = st->by;
	in->null_fd = st->null;
	in->terminal_fd = st->terminal;
	/* Not before: a group may be what lets us through to a layer. */
	if (in->ranged && in->by_path && setgroups(0, NULL))
		return err_sys(e, "leave all groups");
	return 0;
}

static int init_build(struct init *in, struct err *e)
{
	struct stage st;
	init_stage(in, &st);
	if ((!in->spec || !(in->spec->flags & PLAN_NET_HOST)) && init_network(in, e))
		return -1;
	if (stage_ahead(&st, e) || (!in->spec && init_await_plan(in, e)))
		return -1;
	share_take(in->spec->flags & PLAN_LOOSEN_USERNS);
	st.spec = in->spec;
	st.layers = in->layers;
	st.way = in->way;
	st.only_way = in->only_way;
	st.uppers = in->uppers;
	return init_way_out(in, e) || init_name(in->spec, e) || stage_build(&st, e) ||
			       init_built(in, &st, e)
		       ? -1
		       : 0;
}

/* raised: where the root is already. */
static int init_resume(struct init *in, const char *raised, struct err *e)
{
	struct stage st;
	init_stage(in, &st);
	share_take(in->spec->flags & PLAN_LOOSEN_USERNS);
	if (!(in->spec->flags & PLAN_NET_HOST) && init_network(in, e))
		return -1;
	return init_way_out(in, e) || init_name(in->spec, e) || stage_resume(&st, raised, e) ||
			       init_built(in, &st, e)
		       ? -1
		       : 0;
}

/* Into its control groups, which are from then on what it sees as the root of all. */
static int init_enter(const struct init *in, struct err *e)
{
	for (size_t i = 0; i < in->n_doors; i++)
		if (write(in->doors[i], "0", 1) != 1)
			return err_sys(e, "enter a cgroup");
	return unshare(CLONE_NEWCGROUP) ? err_sys(e, "new cgroup namespace") : 0;
}

/* The command inherited that jobs die first where the host wants memory; pid 1 is now the last of
 * the box's. Where the helper has a descriptor for it, it does it. */
static void init_spare(const struct init *in)
{
	if (in->oom_fd >= 0 && pwrite(in->oom_fd, in->oom, strlen(in->oom), 0) < 0)
		return; /* a wish, not a promise */
}

static void init_command(struct init *in) __attribute__((noreturn));
static void init_command(struct init *in)
{
	struct err e = ERR_INIT;
	if (init_enter(in, &e))
		init_fail(in, &e);
	supervise_ready();
	umask(022);
	spec_say(in->spec,
		 "limits of a process: %llu open files, %llu bytes of a file, %llu "
		 "processes of its user; 0: none",
		 (unsigned long long)in->spec->open_files, (unsigned long long)in->spec->file_size,
		 (unsigned long long)(in->spec->processes ? plan_nproc(in->spec->processes) : 0));
	spec_say(in->spec, "run %s", in->spec->argv[0]);
	if (in->spec->flags & PLAN_NET_NAT)
		init_await(in, INIT_ONLINE);
	if (in->spec->flags & PLAN_LOOSEN_FUSE)
		guard_tell(in->socket, INIT_BUILT);
	int stdio[3], no_stdio = init_stdio(in, stdio, &e);
	/* Before, not after: however late this process is given the processor again, what the
	 * command took is never told shorter than it was. */
	uint64_t exec_ns = (uint64_t)clock_mono_ns();
	pid_t command = no_stdio ? -1 : command_start(in, stdio, &e);
	if (command < 0)
		init_fail(in, &e);
	struct init_message runs = {.kind = INIT_RUNS,
				    .status = (int32_t)in->by,
				    .way = in->way,
				    .exec_ns = exec_ns};
	init_say(in->socket, &runs, -1);
	init_spare(in);
	if (privilege_keep_kill(&e))
		init_fail(in, &e);
	supervise_run(in->socket, command, in->spec->processes);
}

void init_run(struct init *in)
{
	struct err e = ERR_INIT;
	init_await(in, INIT_MAPPED);
	if (timens_begin(&e) || init_become(in, &e) || init_build(in, &e))
		init_give_up(in, &e);
	init_command(in);
}

void init_run_inside(struct init *in, const char *root)
{
	struct err e = ERR_INIT;
	if (timens_begin(&e) || init_root(in, &e) || init_resume(in, root, &e))
		init_give_up(in, &e);
	init_command(in);
}
