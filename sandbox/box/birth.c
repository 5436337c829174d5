#include "sandbox/box/birth.h"

#include "base/message.h"
#include "sandbox/box/device.h"
#include "sandbox/box/init.h"
#include "sandbox/box/stage.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>

const struct birth_kind birth_native = {
	.namespaces = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS,
	.first = init_run,
};

static pid_t birth_clone(uint64_t flags, int cgroup_fd, int *pidfd, struct err *e)
{
	struct clone_args args = {
		.flags = CLONE_PIDFD | flags | (cgroup_fd >= 0 ? CLONE_INTO_CGROUP : 0ull),
		.pidfd = (uint64_t)(uintptr_t)pidfd,
		.exit_signal = SIGCHLD,
		.cgroup = cgroup_fd >= 0 ? (unsigned)cgroup_fd : 0,
	};
	pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	if (pid < 0 && errno == ENOSPC)
		return err_sys(e, "clone with new namespaces (a sysctl user.max_*_namespaces)");
	return pid < 0 ? err_sys(e, "clone with new namespaces") : pid;
}

/* The host's need of memory is met by jobs first: the command inherits this. */
static void birth_oom(struct birth *b)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/oom_score_adj", (int)b->pid);
	b->oom_fd = open(path, O_RDWR | O_CLOEXEC);
	ssize_t n = b->oom_fd < 0 ? -1 : read(b->oom_fd, b->oom, sizeof(b->oom) - 1);
	b->oom[n > 0 ? n : 0] = 0;
	if (n > 0 && pwrite(b->oom_fd, "500", 3, 0) < 0)
		return; /* a wish, not a promise */
}

void birth_spare(const struct birth *b)
{
	if (b->oom[0] && pwrite(b->oom_fd, b->oom, strlen(b->oom), 0) < 0)
		return;
}

/* A pipe is its maker's, and opened by name (/dev/stdout) asks like a file. The box's group may
 * open it for what it was given, and no more: who could also write into standard input's would
 * write what somebody else reads there, a shell its script. An owner could give itself the rest. An
 * ordinary user's box has the pipe's maker. */
static int birth_open_pipe(int fd, gid_t group)
{
	struct statfs fs;
	struct stat st;
	int mode = fcntl(fd, F_GETFL) & O_ACCMODE;
	if (fstatfs(fd, &fs) || fs.f_type != PIPEFS_MAGIC || fstat(fd, &st))
		return 0;
	mode_t may = (mode == O_WRONLY ? 0 : 040) | (mode == O_RDONLY ? 0 : 020);
	return fchown(fd, (uid_t)-1, group) || fchmod(fd, (st.st_mode & 07777) | may) ? -1 : 0;
}

static int birth_open_pipes(const struct plan_start *start, const int *fds, const struct ids *ids,
			    const struct spec *spec, struct err *e)
{
	size_t n = plan_fds(start) - start->n_doors - (start->in_cgroup ? 1 : 0);
	for (size_t i = 1; ids->above && i < n; i++)
		if (birth_open_pipe(fds[i], ids->gid + spec->gid))
			return err_sys(e, "open a pipe to the box's group");
	return 0;
}

static int birth_tell_mapped(const struct birth *b, struct err *e)
{
	struct init_message m = {.kind = INIT_MAPPED};
	if (send(b->socket, &m, sizeof(m), MSG_NOSIGNAL) < 0)
		return err_sys(e, "speak to the box's pid 1");
	return 0;
}

/* What it is by itself, for who can't be told later (init.oom). */
static void birth_oom_now(char *text, size_t size)
{
	auto_fd int fd = open("/proc/self/oom_score_adj", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, size - 1);
	text[n > 0 ? n : 0] = 0;
}

/* A cgroup2 that the first process is not born in becomes a door for who enters it; opened here,
 * where that is allowed. */
static int birth_door(struct plan_start *start, int *cgroup, struct err *e)
{
	int door = openat(*cgroup, "cgroup.procs", O_WRONLY | O_CLOEXEC);
	if (door < 0)
		return err_sys(e, "open cgroup.procs");
	close(*cgroup);
	*cgroup = door;
	start->in_cgroup = 0;
	start->n_doors++;
	return 0;
}

/* Of what the helper has open for other boxes it keeps nothing. */
static void birth_alone(struct init *in)
{
	if (dup3(in->socket, PLAN_SOCKET, O_CLOEXEC) < 0 || close_range(PLAN_SOCKET + 1, ~0u, 0))
		_exit(1);
	in->socket = PLAN_SOCKET;
}

static int birth_first(struct birth *b, const struct birth_kind *kind, struct init *in,
		       const struct ids *ids, int cgroup_fd, struct err *e)
{
	int pair[2];
	bool net = !kind->outside && !(b->spec.flags & PLAN_NET_HOST);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return err_sys(e, "socketpair");
	b->socket = pair[0];
	b->socket_open = true;
	in->socket = pair[1];
	pid_t pid =
		birth_clone(kind->namespaces | (net ? CLONE_NEWNET : 0), cgroup_fd, &b->pidfd, e);
	if (!pid) {
		close(pair[0]);
		close(PLAN_SOCKET);
		if (!in->spec)
			birth_alone(in);
		kind->first(in);
		_exit(1);
	}
	close(pair[1]);
	if (pid < 0)
		return -1;
	b->pid = pid;
	birth_oom(b);
	/* Here, and not only when it is looked into: who holds them last takes the mounts down, and
	 * pid 1, at its end, would be slower at that than we. */
	look_ns_open(&b->ns, pid);
	return (!kind->unmapped && ids_map(ids, pid, e)) || birth_tell_mapped(b, e) ? -1 : 0;
}

int birth_ahead(struct birth *b, const struct ids *ids, struct err *e)
{
	struct init in = {
		.ranged = ids->ranged,
		.by_path = !ids->above,
		.lately = kernelfs_lately(ids),
		.output_fd = -1,
		.null_fd = -1,
		.devices_fd = -1,
		.terminal_fd = -1,
		.oom_fd = -1,
	};
	*b = (struct birth)BIRTH_INIT;
	return birth_first(b, &birth_native, &in, ids, -1, e);
}

static int birth_send(const struct birth *ahead, const struct init_plan *plan,
		      const struct text *layers, int *fds)
{
	struct message m = {.part = {{(void *)(uintptr_t)plan, sizeof(*plan)},
				     {layers->p, layers->n}},
			    .fds = fds,
			    .n_fds = plan->n_fds};
	return message_send(ahead->socket, &m, MSG_DONTWAIT);
}

static unsigned birth_devices(const struct spec *spec)
{
	return (spec->flags & PLAN_LOOSEN_FUSE ? DEVICE_FUSE : 0u) |
	       (spec->flags & PLAN_LOOSEN_KVM ? DEVICE_KVM : 0u);
}

/* Is ahead a pid 1 that this plan can do with? Its namespaces are the usual ones, of its ids one is
 * the root, and it is in no cgroup: who is not born in one of version 2 takes milliseconds to enter
 * it (cgroup.h). */
static bool birth_fits(const struct birth *b, const struct birth *ahead,
		       const struct plan_start *start, const struct ids *ids)
{
	return ahead->pid && !start->in_cgroup && !birth_devices(&b->spec) &&
	       !(b->spec.flags & PLAN_NET_HOST) &&
	       (ids->ranged || (!b->spec.uid && !b->spec.gid)) &&
	       plan_fds(start) + b->layers.n <= PLAN_FDS_MAX;
}

/* The plan goes to ahead, and ahead to b. false: it did not. */
static bool birth_hand_over(struct birth *b, struct birth *ahead, const struct plan_start *start,
			    const int *fds, enum overlay_way way, bool only,
			    const struct uppers *uppers)
{
	auto_text struct text layers = TEXT_INIT;
	struct pollfd p = {.fd = ahead->socket, .events = POLLIN};
	struct init_plan plan = {.kind = INIT_PLAN,
				 .way = way,
				 .only_way = only,
				 .start = *start,
				 .uppers = *uppers};
	int all[PLAN_FDS_MAX];
	size_t first = plan_fds(start);
	memcpy(all, fds, first * sizeof(*all));
	plan.n_fds = (uint32_t)(first + layers_put(&b->layers, &layers, all + first));
	if (layers.n > INIT_PLAN_TEXT)
		return false;
	/* What it has said already can only be that it failed. */
	if (poll(&p, 1, 0) || birth_send(ahead, &plan, &layers, all)) {
		birth_fini(ahead);
		return false;
	}
	ahead->spec = b->spec;
	ahead->layers = b->layers;
	*b = *ahead;
	*ahead = (struct birth)BIRTH_INIT;
	return true;
}

static void birth_say_ids(const struct spec *spec, const struct ids *ids)
{
	spec_say(spec, "namespaces: user, mount, pid, ipc, uts, cgroup, time where there is one%s",
		 spec->flags & PLAN_NET_HOST ? "; network: the host's" : ", network");
	if (ids->above)
		spec_say(spec, "ids: 0 to %u are users %u to %u of the host", IDS_RANGE - 1,
			 ids->uid, ids->uid + IDS_RANGE - 1);
	else if (ids->ranged)
		spec_say(spec, "ids: 0 is user %u of the host, and a range of others", ids->uid);
	else
		spec_say(spec, "ids: %u is user %u of the host, and no other", spec->uid, ids->uid);
}

int birth_make(struct birth *b, const struct birth_kind *kind, struct birth *ahead,
	       const struct plan_start *start, int *fds, size_t n, const struct ids *ids,
	       enum overlay_way way, bool only, const struct uppers *uppers, struct err *e)
{
	struct plan_start told = *start;
	size_t skip = plan_fds(start), cgroup = skip - start->n_doors - 1;
	struct ids mine;
	*b = (struct birth)BIRTH_INIT;
	if (spec_read(&b->spec, fds[0], start->bytes, start->n_fds, e) ||
	    layers_open(&b->layers, &b->spec, fds + skip, n - skip, ids, e))
		return -1;
	const struct ids *usual = ids;
	ids = b->layers.ids;
	birth_say_ids(&b->spec, ids);
	if (birth_open_pipes(start, fds, ids, &b->spec, e))
		return -1;
	if (ids == usual && birth_fits(b, ahead, start, ids) &&
	    birth_hand_over(b, ahead, start, fds, way, only, uppers))
		return 0;
	unsigned which = birth_devices(&b->spec);
	auto_fd int devices = which && ids->above ? devices_make(which, ids, e) : -1;
	if (which && ids->above && devices < 0)
		return -1;
	mine = *ids;
	/* Its one id may look as the command's is to; an engine wants to be root. */
	mine.in_uid = ids->ranged || kind->outside ? 0 : b->spec.uid;
	mine.in_gid = ids->ranged || kind->outside ? 0 : b->spec.gid;
	if (kind->outside && start->in_cgroup && birth_door(&told, &fds[cgroup], e))
		return -1;
	struct init in = {
		.spec = &b->spec,
		.layers = &b->layers,
		.way = way,
		.only_way = only,
		.uppers = *uppers,
		.ranged = ids->ranged,
		.by_path = !ids->above,
		.ids = ids,
		.lately = kernelfs_lately(ids),
		.output_fd = fds[1],
		.null_fd = -1,
		.devices_fd = devices,
		.terminal_fd = -1,
		.oom_fd = -1,
		.doors = fds + skip - told.n_doors,
		.n_doors = told.n_doors,
		.start = &told,
		.fds = fds,
		.n_fds = skip,
	};
	init_stdio_take(&in, start, fds);
	if (kind->outside)
		birth_oom_now(in.oom, sizeof(in.oom));
	return birth_first(b, kind, &in, &mine, told.in_cgroup ? fds[cgroup] : -1, e);
}

void birth_fini(struct birth *b)
{
	if (b->pid && b->pidfd >= 0 && !syscall(SYS_pidfd_send_signal, b->pidfd, SIGKILL, NULL, 0))
		while (waitpid(b->pid, NULL, __WALL) < 0 && errno == EINTR)
			;
	if (b->pidfd >= 0)
		close(b->pidfd);
	if (b->socket >= 0)
		close(b->socket);
	own_close(&b->oom_fd);
	look_ns_close(&b->ns);
	layers_settle(&b->layers);
	layers_close(&b->layers);
	spec_fini(&b->spec);
	*b = (struct birth)BIRTH_INIT;
}

int birth_try(const struct ids *ids, struct err *e)
{
	int pidfd = -1, tie[2];
	if (pipe2(tie, O_CLOEXEC))
		return err_sys(e, "pipe");
	pid_t pid = birth_clone(birth_native.namespaces | CLONE_NEWNET, -1, &pidfd, e);
	if (!pid)
		ids_wait(tie);
	close(tie[0]);
	int rc = pid < 0 ? -1 : ids_map(ids, pid, e);
	close(tie[1]); /* it goes */
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	own_close(&pidfd);
	return rc;
}
