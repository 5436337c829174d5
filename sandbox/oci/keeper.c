#include "sandbox/oci/keeper.h"

#include "base/clock.h"
#include "sandbox/box/mnt.h"
#include "sandbox/box/share.h"
#include "sandbox/box/stage.h"
#include "sandbox/oci/entry.h"

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

/* For the engine to make a container, and for pid 1 to be heard once it has. */
#define KEEPER_START_NS INT64_C(60000000000)
#define KEEPER_RING_NS INT64_C(20000000000)

static const struct engine *keeper_engine;

void keeper_use(const struct engine *engine)
{
	keeper_engine = engine;
}

const struct engine *keeper_uses(void)
{
	return keeper_engine;
}

/* Who is killed leaves what it had in /tmp: crun gives its own program another name there for a
 * moment each time it runs (libcrun/cloned_binary.c). So that is memory, which goes with this
 * process; unless the engine itself lies there. */
static int keeper_tmp(struct err *e)
{
	static const char tmp[] = "/tmp";
	for (size_t i = 0; keeper_engine->programs[i]; i++) {
		auto_free char *path = engine_program(keeper_engine->programs[i]);
		if (path && !strncmp(path, tmp, strlen(tmp)))
			return 0;
	}
	return access(tmp, F_OK)
		       ? 0
		       : mnt_new("tmpfs", tmp, MS_NOSUID | MS_NODEV, "size=1m,mode=1777", e);
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
	if (keeper_tmp(e))
		return err_add(e, "/tmp of the engine");
	if (!stat(unified, &st) && mnt_new("tmpfs", unified, 0, "size=4k", e))
		return -1;
	auto_fd int cgroups = open("/sys/fs/cgroup", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return cgroups >= 0 && mnt_set(cgroups, MOUNT_ATTR_RDONLY, true, e)
		       ? err_add(e, "cgroups of the engine")
		       : 0;
}

int keeper_stage(struct init *in, struct stage *st, struct err *e)
{
	*st = (struct stage){
		.spec = in->spec,
		.layers = in->layers,
		.way = in->way,
		.only_way = in->only_way,
		.uppers = in->uppers,
		.helper = in->socket,
		.root = -1,
		.null = -1,
		.devices = in->devices_fd,
		.terminal = -1,
	};
	int rc = stage_raise(st, KEEPER_AT, e);
	in->way = st->way;
	in->by = st->by;
	in->null_fd = st->null;
	own_close(&st->terminal); /* another is opened inside */
	return rc;
}

static int keeper_raise(struct init *in, struct err *e)
{
	struct stage st;
	/* Who enters the container has not the capability for it. */
	share_take(in->spec->flags & PLAN_LOOSEN_USERNS);
	if (keeper_stage(in, &st, e))
		return -1;
	if (mkdir("o", 0755))
		return err_sys(e, "mkdir o in the stage");
	if (mnt_new("tmpfs", "o", MS_NOSUID, "mode=755", e) ||
	    entry_make(KEEPER_ROOT, PLAN_PROGRAM, e) ||
	    mnt_put(st.root, AT_FDCWD, "o/root" INSIDE_ROOT, e))
		return -1;
	return keeper_world(e);
}

void keeper_init(struct keeper *k, struct init *in)
{
	const struct spec *spec = in->spec;
	*k = (struct keeper){.in = in,
			     .hello = {.ranged = in->ranged},
			     .order = {.output = -1},
			     .bell = -1,
			     .box = -1,
			     .box_pid = -1};
	/* The one id is root here, and the command's in a namespace more. */
	if (!in->ranged && (spec->uid || spec->gid)) {
		k->hello.nested = 1;
		k->hello.ids.in_uid = spec->uid;
		k->hello.ids.in_gid = spec->gid;
	}
}

/* The helper's words until it has read that pid 1 is to be spoken to. Before there is one, a box
 * that is to end just ends. */
static void keeper_pass(struct keeper *k)
{
	struct init_message m;
	ssize_t n = recv(k->in->socket, &m, sizeof(m), MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n != (ssize_t)sizeof(m)) {
		k->asked |= k->box < 0; /* else it has heard of the box and hung up */
		own_close(&k->in->socket);
		own_close(&k->box);
	} else if (k->box >= 0) {
		send(k->box, &m, sizeof(m), MSG_NOSIGNAL | MSG_DONTWAIT);
	} else if (m.kind == INIT_SIGNAL && (m.status == SIGTERM || m.status == SIGKILL)) {
		k->asked = true;
	}
}

static int keeper_answer(struct keeper *k, struct err *e)
{
	struct init_message moved = {.kind = INIT_MOVED,
				     .status = (int32_t)k->in->by,
				     .way = k->in->way};
	pid_t pid;
	k->box = entry_hear(k->bell, &pid, e);
	if (k->box < 0)
		return -1;
	/* It waits to be told, so the number is still its own. */
	k->box_pid = (int)syscall(SYS_pidfd_open, pid, 0);
	if (k->box_pid < 0)
		return err_sys(e, "the container's pid 1");
	if (entry_tell(k->box, k->in, &k->hello, e))
		return -1;
	init_say(k->in->socket, &moved, k->box);
	own_close(&k->bell);
	for (size_t i = 0; i < k->in->n_fds; i++)
		close(k->in->fds[i]);
	layers_close(k->in->layers);
	own_close(&k->in->null_fd);
	if (k->on_box)
		k->on_box(k);
	return 0;
}

/* Reap; is anybody left? What an engine leaves behind becomes this process's child. */
static bool keeper_reap(struct keeper *k)
{
	int status;
	pid_t pid;
	while ((pid = waitpid(-1, &status, WNOHANG | __WALL)) > 0 || (pid < 0 && errno == EINTR))
		if (pid > 0 && pid == k->order.pid) {
			order_ended(&k->order, status);
			k->ring_by_ns = clock_mono_ns() + KEEPER_RING_NS;
		}
	return !pid;
}

volatile sig_atomic_t keeper_told;

static void on_signal(int signal)
{
	if (signal == SIGTERM)
		keeper_told = 1;
}

void keeper_signals(void)
{
	struct sigaction heard = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
	sigset_t both;
	sigemptyset(&both);
	sigaddset(&both, SIGCHLD);
	sigaddset(&both, SIGTERM);
	sigprocmask(SIG_SETMASK, &both, NULL);
	sigaction(SIGCHLD, &heard, NULL);
	sigaction(SIGTERM, &heard, NULL);
}

/* An engine without a daemon has left somebody who is the container's. A daemon's container is
 * nobody's child, and may take a moment. */
static bool keeper_hopeless(const struct keeper *k, bool anybody)
{
	if (k->box_pid >= 0)
		return false;
	return order_failed(&k->order) || (!keeper_engine->daemon && !anybody) ||
	       clock_mono_ns() > k->ring_by_ns;
}

static int keeper_wait(struct keeper *k, struct pollfd *p, nfds_t n, struct err *e)
{
	struct timespec soon = {.tv_sec = 1};
	sigset_t none;
	sigemptyset(&none);
	for (nfds_t i = 0; i < n; i++)
		p[i].events = POLLIN;
	if (ppoll(p, n, k->box_pid < 0 ? &soon : NULL, &none) >= 0)
		return 0;
	for (nfds_t i = 0; i < n; i++)
		p[i].revents = 0;
	return errno == EINTR ? 0 : err_sys(e, "poll");
}

int keeper_watch(struct keeper *k, struct err *e)
{
	for (;;) {
		if (keeper_hopeless(k, keeper_reap(k)))
			return order_complain(&k->order, e);
		struct pollfd p[] = {
			{.fd = k->in->socket},
			{.fd = k->bell},
			{.fd = k->box_pid},
			{.fd = k->order.output},
		};
		if (keeper_wait(k, p, countof(p), e))
			return -1;
		if (p[3].revents)
			order_hear(&k->order);
		if (p[1].revents && keeper_answer(k, e))
			return -1;
		if (p[0].revents)
			keeper_pass(k);
		k->asked |= keeper_told;
		if (p[2].revents || k->asked)
			return 0;
	}
}

int keeper_start(struct keeper *k, const struct engine_job *job, struct err *e)
{
	struct words w = {.n = 0};
	if (keeper_engine->prepare && keeper_engine->prepare(job, e))
		return -1;
	keeper_engine->start(job, &w);
	spec_say(k->in->spec, "container of %s", keeper_engine->name);
	int rc = order_start(&k->order, &w, e);
	words_fini(&w);
	k->ring_by_ns = clock_mono_ns() + KEEPER_START_NS;
	return rc;
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
		.told = &keeper_told,
	};
	k->bell = entry_bell(KEEPER_ROOT, e);
	return k->bell < 0 ? -1 : keeper_start(k, &job, e);
}

static void keeper_run(struct init *in)
{
	struct keeper k;
	struct err e = ERR_INIT;
	keeper_init(&k, in);
	init_await(in, INIT_MAPPED);
	keeper_signals();
	if (init_become(in, &e) || keeper_raise(in, &e) || keeper_begin(&k, &e) ||
	    keeper_watch(&k, &e))
		init_give_up(in, &e);
	/* The box has ended: so has whatever an engine left to look after it, whose times count
	 * then. */
	kill(-1, SIGKILL);
	while (waitpid(-1, NULL, __WALL) > 0 || errno == EINTR)
		;
	_exit(k.asked);
}

const struct birth_kind birth_kept = {
	.namespaces = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID,
	.first = keeper_run,
	.outside = true,
};
