#include "sandbox/oci/keeper.h"

#include "sandbox/box/mnt.h"
#include "sandbox/box/stage.h"
#include "sandbox/oci/engine.h"
#include "sandbox/oci/entry.h"
#include "sandbox/oci/order.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* A directory that every Linux has, that no layer is in and no engine looks into. */
#define KEEPER_AT "/sys/kernel"
#define KEEPER_DIR KEEPER_AT "/o"
#define KEEPER_ROOT KEEPER_AT "/o/root"

static const struct engine *keeper_engine;

void keeper_use(const struct engine *engine)
{
	keeper_engine = engine;
}

/* What the engine sees of the host: its own processes, and no cgroups that it could write, lest it
 * leave some: crun 1.8 refuses a host that has both versions altogether, even where it is told to
 * leave cgroups alone. */
static int keeper_world(struct err *e)
{
	static const char unified[] = "/sys/fs/cgroup/unified";
	struct stat st;
	if (mnt_new("proc", "/proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL, e))
		return err_add(e, "/proc of the engine");
	if (!stat(unified, &st) && mnt_new("tmpfs", unified, 0, "size=4k", e))
		return -1;
	auto_fd int cgroups = open("/sys/fs/cgroup", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return cgroups >= 0 && mnt_set(cgroups, MOUNT_ATTR_RDONLY, true, e)
		       ? err_add(e, "cgroups of the engine")
		       : 0;
}

static int keeper_raise(struct init *in, struct err *e)
{
	struct stage st = {
		.spec = in->spec,
		.layers = in->layers,
		.way = in->way,
		.only_way = in->only_way,
		.uppers = in->uppers,
		.helper = in->socket,
		.root = -1,
		.null = -1,
		.terminal = -1,
	};
	if (stage_raise(&st, KEEPER_AT, e) || mnt_new("tmpfs", "o", MS_NOSUID, "mode=755", e))
		return -1;
	in->way = st.way;
	in->by = st.by;
	in->null_fd = st.null;
	own_close(&st.terminal); /* another is opened inside */
	if (entry_make(KEEPER_ROOT, PLAN_PROGRAM, e) ||
	    mnt_put(st.root, AT_FDCWD, "o/root" INSIDE_ROOT, e))
		return -1;
	return keeper_world(e);
}

struct keeper {
	struct init *in;
	struct order order; /* the engine's process */
	int bell;
	int box;     /* the connection to the box's pid 1, once it is there */
	int box_pid; /* its pidfd */
};

/* The helper's words until it has read that pid 1 is to be spoken to. Before there is one, a box
 * that is to end just ends. */
static void keeper_pass(struct keeper *k)
{
	struct init_message m;
	ssize_t n = recv(k->in->socket, &m, sizeof(m), MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n != (ssize_t)sizeof(m) && k->box < 0)
		_exit(1);
	if (n != (ssize_t)sizeof(m)) {
		own_close(&k->in->socket);
		own_close(&k->box);
		return;
	}
	if (k->box >= 0)
		send(k->box, &m, sizeof(m), MSG_NOSIGNAL | MSG_DONTWAIT);
	else if (m.kind == INIT_SIGNAL && (m.status == SIGTERM || m.status == SIGKILL))
		_exit(1);
}

static int keeper_answer(struct keeper *k, struct err *e)
{
	struct inside_hello hello = {.ranged = k->in->ranged};
	const struct spec *spec = k->in->spec;
	struct init_message moved = {.kind = INIT_MOVED,
				     .status = (int32_t)k->in->by,
				     .way = k->in->way};
	pid_t pid;
	/* The one id is root here, and the command's in a namespace more. */
	if (!hello.ranged && (spec->uid || spec->gid)) {
		hello.nested = 1;
		hello.in_uid = spec->uid;
		hello.in_gid = spec->gid;
	}
	k->box = entry_hear(k->bell, &pid, e);
	if (k->box < 0)
		return -1;
	/* It waits to be told, so the number is still its own. */
	k->box_pid = (int)syscall(SYS_pidfd_open, pid, 0);
	if (k->box_pid < 0)
		return err_sys(e, "the container's pid 1");
	if (entry_tell(k->box, k->in, &hello, e))
		return -1;
	init_say(k->in->socket, &moved, k->box);
	own_close(&k->bell);
	for (size_t i = 0; i < k->in->n_fds; i++)
		close(k->in->fds[i]);
	layers_close(k->in->layers);
	own_close(&k->in->null_fd);
	return 0;
}

/* Reap; is anybody left? What an engine leaves behind becomes this process's child. */
static bool keeper_reap(struct keeper *k)
{
	int status;
	pid_t pid;
	while ((pid = waitpid(-1, &status, WNOHANG | __WALL)) > 0 || (pid < 0 && errno == EINTR))
		if (pid > 0 && pid == k->order.pid)
			order_ended(&k->order, status);
	return !pid;
}

static void on_child(int signal)
{
	(void)signal; /* only there so that ppoll returns */
}

static int keeper_look(struct keeper *k, bool *over, struct err *e)
{
	bool anybody = keeper_reap(k);
	if (k->box_pid < 0 && (order_failed(&k->order) || !anybody))
		return order_complain(&k->order, e);
	struct pollfd p[] = {
		{.fd = k->in->socket, .events = POLLIN},
		{.fd = k->bell, .events = POLLIN},
		{.fd = k->box_pid, .events = POLLIN},
		{.fd = k->order.output, .events = POLLIN},
	};
	sigset_t none;
	sigemptyset(&none);
	if (ppoll(p, countof(p), NULL, &none) < 0)
		return errno == EINTR ? 0 : err_sys(e, "poll");
	if (p[3].revents)
		order_hear(&k->order);
	if (p[1].revents && keeper_answer(k, e))
		return -1;
	if (p[0].revents)
		keeper_pass(k);
	*over = p[2].revents;
	return 0;
}

/* The box has ended: so has whatever an engine left to look after it, whose times count then. */
static void keeper_end(void)
{
	kill(-1, SIGKILL);
	while (waitpid(-1, NULL, __WALL) > 0 || errno == EINTR)
		;
	_exit(0);
}

static int keeper_begin(struct keeper *k, struct err *e)
{
	auto_free char *name = own_fmt("box-%d", (int)getpid());
	struct engine_job job = {
		.name = name,
		.dir = KEEPER_DIR,
		.root = KEEPER_ROOT,
		.hostname = k->in->spec->hostname,
		.net_host = k->in->spec->flags & PLAN_NET_HOST,
	};
	struct sigaction child = {.sa_handler = on_child, .sa_flags = SA_RESTART};
	struct words w = {.n = 0};
	sigset_t chld;
	k->bell = entry_bell(KEEPER_ROOT, e);
	if (k->bell < 0 || (keeper_engine->prepare && keeper_engine->prepare(&job, e)))
		return -1;
	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	sigprocmask(SIG_SETMASK, &chld, NULL);
	sigaction(SIGCHLD, &child, NULL);
	keeper_engine->start(&job, &w);
	spec_say(k->in->spec, "container of %s", keeper_engine->name);
	return order_start(&k->order, &w, e);
}

static void keeper_run(struct init *in)
{
	struct keeper k = {.in = in, .order = {.output = -1}, .bell = -1, .box = -1, .box_pid = -1};
	struct err e = ERR_INIT;
	bool over = false;
	init_await(in, INIT_MAPPED);
	if (init_become(in, &e) || keeper_raise(in, &e) || keeper_begin(&k, &e))
		init_give_up(in, &e);
	while (!over)
		if (keeper_look(&k, &over, &e))
			init_give_up(in, &e);
	keeper_end();
}

const struct birth_kind birth_kept = {
	.namespaces = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID,
	.first = keeper_run,
	.outside = true,
};
