#include "sandbox/oci/daemon.h"

#include "base/child.h"
#include "base/dir.h"
#include "base/message.h"
#include "sandbox/box/mnt.h"
#include "sandbox/box/stage.h"
#include "sandbox/oci/entry.h"
#include "sandbox/oci/keeper.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define DAEMON_NAME "assay-" /* and the keeper's pid */
#define DAEMON_END_MS 10000

/* The process that raises the root; the mount of it is sent, and stays when it has gone. */
static void daemon_raise(struct init *in) __attribute__((noreturn));
static void daemon_raise(struct init *in)
{
	struct init_message m = {.kind = INIT_MOVED};
	struct err e = ERR_INIT;
	struct stage st;
	init_await(in, INIT_MAPPED);
	if (init_become(in, &e) || keeper_stage(in, &st, &e))
		init_give_up(in, &e);
	int tree = mnt_clone(st.root, "", true, &e);
	if (tree < 0)
		init_give_up(in, &e);
	m.way = in->way;
	m.status = (int32_t)in->by;
	init_say(in->socket, &m, tree);
	_exit(0);
}

static ssize_t daemon_receive(int socket, struct init_message *message, int *fd)
{
	struct message m = {.part = {{message, sizeof(*message)}}, .fds = fd, .n_fds = 1};
	return message_receive(socket, &m, 0);
}

/* What the process that raises says, until it sends the mount: passed on as this one's, and so is
 * its last word. */
static int daemon_tree(struct init *in, int socket, struct err *e)
{
	struct init_message m;
	for (;;) {
		auto_fd int fd = -1;
		ssize_t n = daemon_receive(socket, &m, &fd);
		if (n != (ssize_t)sizeof(m))
			return err_set(e, ERR_BOX, "the root was not raised");
		if (m.kind == INIT_MOVED && fd >= 0) {
			in->way = (enum overlay_way)m.way;
			in->by = (enum plan_uppers)m.status;
			return give_fd(&fd);
		}
		init_say(in->socket, &m, fd);
		if (m.kind == INIT_FAILED || m.kind == INIT_OVER)
			_exit(1);
	}
}

static int daemon_root(struct init *in, struct err *e)
{
	struct clone_args args = {.flags = CLONE_NEWUSER | CLONE_NEWNS, .exit_signal = SIGCHLD};
	struct init_message mapped = {.kind = INIT_MAPPED};
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return err_sys(e, "socketpair");
	pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	if (!pid) {
		close(pair[0]);
		in->socket = pair[1];
		daemon_raise(in);
	}
	close(pair[1]);
	auto_fd int socket = pair[0];
	if (pid < 0)
		return err_sys(e, "clone with new namespaces");
	int tree = -1;
	if (!ids_map(in->ids, pid, e)) {
		init_say(socket, &mapped, -1);
		tree = daemon_tree(in, socket, e);
	} else
		kill(pid, SIGKILL);
	child_end(pid);
	return tree;
}

/* A mount of its own, seen by nobody else's mount namespace that shares the host's. */
static int daemon_place(const char *dir, int tree, struct err *e)
{
	auto_free char *root = own_fmt("%s/root", dir), *box = own_fmt("%s/root" INSIDE_ROOT, dir);
	if ((mkdir(DAEMON_DIR, 0700) && errno != EEXIST) || mkdir(dir, 0700))
		return err_sys(e, "mkdir %s", dir);
	if (mnt_new("tmpfs", dir, MS_NOSUID, "mode=700", e))
		return -1;
	if (mount(NULL, dir, NULL, MS_PRIVATE, NULL))
		return err_sys(e, "make %s private", dir);
	return entry_make(root, PLAN_PROGRAM, e) || mnt_put(tree, AT_FDCWD, box, e) ? -1 : 0;
}

/* sure: nothing of the container is left, and nothing may come. Else the directory stays, for
 * daemon_sweep. */
static void daemon_unplace(const char *dir, bool sure)
{
	umount2(dir, MNT_DETACH | UMOUNT_NOFOLLOW);
	if (!sure)
		return;
	rmdir(dir);
	rmdir(DAEMON_DIR); /* the last one */
}

static char *daemon_name(pid_t keeper)
{
	return own_fmt(DAEMON_NAME "%d", (int)keeper);
}

static void daemon_on_box(struct keeper *k)
{
	auto_free char *name = daemon_name(getpid());
	auto_free char *dir = own_fmt(DAEMON_DIR "/%s", name);
	(void)k;
	daemon_unplace(dir, true);
}

/* Whatever it answers, there is none any more. false: it does not answer. */
static bool daemon_remove(const char *name)
{
	struct words w = {.n = 0};
	struct err e = ERR_INIT;
	struct order o;
	keeper_uses()->end(name, &w);
	int rc = order_run(&o, &w, DAEMON_END_MS, NULL, &e);
	words_fini(&w);
	return !rc || e.kind != ERR_LIMIT;
}

/* With pid 1 everything of the box goes, and its mounts; the daemon notices, and removes what is
 * its own. One that was never heard of is removed here. false: it may still be there. */
static bool daemon_end(struct keeper *k, const char *name)
{
	if (k->box_pid >= 0) {
		struct pollfd p = {.fd = k->box_pid, .events = POLLIN};
		syscall(SYS_pidfd_send_signal, k->box_pid, SIGKILL, NULL, 0);
		while (poll(&p, 1, -1) < 0 && errno == EINTR)
			;
		return true;
	}
	if (k->bell < 0)
		return true;
	own_close(&k->bell); /* who rings now is not heard */
	if (k->order.pid && !k->order.ended)
		kill(k->order.pid, SIGKILL);
	while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
		;
	return daemon_remove(name);
}

static int daemon_work(struct keeper *k, const char *name, const char *dir, struct err *e)
{
	struct init *in = k->in;
	auto_free char *root = own_fmt("%s/root", dir);
	struct engine_job job = {
		.name = name,
		.dir = dir,
		.root = root,
		.hostname = in->spec->hostname,
		.net_host = in->spec->flags & PLAN_NET_HOST,
		.fuse = in->spec->flags & PLAN_LOOSEN_FUSE,
		.kvm = in->spec->flags & PLAN_LOOSEN_KVM,
		.told = &keeper_told,
	};
	auto_fd int tree = daemon_root(in, e);
	if (tree < 0 || keeper_uses()->enter(e) || daemon_place(dir, tree, e))
		return -1;
	in->null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (in->null_fd < 0)
		return err_sys(e, "open /dev/null");
	k->bell = entry_bell(root, e);
	k->on_box = daemon_on_box;
	own_close(&tree);
	return k->bell < 0 || keeper_start(k, &job, e) ? -1 : keeper_watch(k, e);
}

static void daemon_run(struct init *in)
{
	struct keeper k;
	struct err e = ERR_INIT;
	auto_free char *name = daemon_name(getpid());
	auto_free char *dir = own_fmt(DAEMON_DIR "/%s", name);
	keeper_init(&k, in);
	k.hello.nested = 1;
	k.hello.ids = *in->ids;
	keeper_signals();
	if (prctl(PR_SET_PDEATHSIG, SIGTERM))
		_exit(1);
	init_await(in, INIT_MAPPED);
	prctl(PR_SET_NAME, "assay-keeper");
	int rc = daemon_work(&k, name, dir, &e);
	bool sure = daemon_end(&k, name) && (!rc || e.kind != ERR_LIMIT);
	daemon_unplace(dir, sure);
	if (rc)
		init_give_up(in, &e);
	_exit(k.asked);
}

const struct birth_kind birth_daemon = {
	.first = daemon_run,
	.outside = true,
	.unmapped = true,
	.end = SIGTERM,
};

/* Also one that nobody has waited for yet: where the helper died first, that is up to the machine's
 * first process. */
static bool daemon_is_dead(pid_t keeper)
{
	auto_fd int fd = (int)syscall(SYS_pidfd_open, keeper, 0);
	struct pollfd p = {.fd = fd, .events = POLLIN};
	return fd < 0 ? errno == ESRCH : poll(&p, 1, 0) == 1;
}

static void daemon_sweep_all(void)
{
	DIR *all = opendir(DAEMON_DIR);
	bool sure = true;
	for (struct dirent *d; all && sure && (d = readdir(all));) {
		char *end;
		size_t n = strlen(DAEMON_NAME);
		long pid = strncmp(d->d_name, DAEMON_NAME, n) ? 0 : strtol(d->d_name + n, &end, 10);
		if (pid <= 0 || *end || !daemon_is_dead((pid_t)pid))
			continue;
		auto_free char *dir = own_fmt(DAEMON_DIR "/%s", d->d_name);
		sure = daemon_remove(d->d_name);
		daemon_unplace(dir, sure);
	}
	if (all)
		closedir(all);
}

/* In a process of its own: this one's mounts are the caller's. */
void daemon_sweep(void)
{
	struct err ignored = ERR_INIT;
	pid_t pid = fork();
	if (!pid) {
		if (!keeper_uses()->enter(&ignored))
			daemon_sweep_all();
		_exit(0);
	}
	if (pid > 0)
		child_end(pid);
}
