#include "sandbox/box/birth.h"

#include "sandbox/box/init.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define BIRTH_NAMESPACES (CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS)

static pid_t birth_clone(uint64_t flags, int cgroup_fd, int *pidfd, struct err *e)
{
	struct clone_args args = {
		.flags = BIRTH_NAMESPACES | CLONE_PIDFD | flags |
			 (cgroup_fd >= 0 ? CLONE_INTO_CGROUP : 0ull),
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

size_t birth_fds(const struct plan_start *start)
{
	return 2 + (size_t)__builtin_popcount(start->stdio & 7) + (start->in_cgroup ? 1 : 0) +
	       start->n_doors;
}

static int birth_tell_mapped(const struct birth *b, struct err *e)
{
	struct init_message m = {.kind = INIT_MAPPED};
	if (send(b->socket, &m, sizeof(m), MSG_NOSIGNAL) < 0)
		return err_sys(e, "speak to the box's pid 1");
	return 0;
}

int birth_make(struct birth *b, const struct plan_start *start, const int *fds, size_t n,
	       const struct ids *ids, enum overlay_way way, bool only, struct err *e)
{
	size_t skip = birth_fds(start), doors = skip - start->n_doors;
	int pair[2];
	struct ids mine = *ids;
	*b = (struct birth){.pidfd = -1, .socket = -1, .oom_fd = -1};
	if (spec_read(&b->spec, fds[0], start->bytes, start->n_fds, e) ||
	    layers_open(&b->layers, &b->spec, fds + skip, n - skip, ids, e))
		return -1;
	/* Its one id may look as the command's is to. */
	mine.in_uid = ids->ranged ? 0 : b->spec.uid;
	mine.in_gid = ids->ranged ? 0 : b->spec.gid;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return err_sys(e, "socketpair");
	b->socket = pair[0];
	b->socket_open = true;
	pid_t pid = birth_clone(b->spec.flags & PLAN_NET_HOST ? 0 : CLONE_NEWNET,
				start->in_cgroup ? fds[doors - 1] : -1, &b->pidfd, e);
	if (!pid) {
		struct init in = {
			.spec = &b->spec,
			.layers = &b->layers,
			.way = way,
			.only_way = only,
			.ranged = ids->ranged,
			.socket = pair[1],
			.output_fd = fds[1],
			.null_fd = -1,
			.terminal_fd = -1,
			.doors = fds + doors,
			.n_doors = start->n_doors,
		};
		for (size_t i = 0, at = 2; i < 3; i++)
			in.stdio[i] = start->stdio >> i & 1 ? fds[at++] : -1;
		close(pair[0]);
		close(PLAN_SOCKET);
		init_run(&in);
	}
	close(pair[1]);
	if (pid < 0)
		return -1;
	b->pid = pid;
	birth_oom(b);
	return ids_map(&mine, pid, e) || birth_tell_mapped(b, e) ? -1 : 0;
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
	layers_close(&b->layers);
	spec_fini(&b->spec);
	*b = (struct birth){.pidfd = -1, .socket = -1, .oom_fd = -1};
}

int birth_try(const struct ids *ids, struct err *e)
{
	int pidfd = -1, tie[2];
	if (pipe2(tie, O_CLOEXEC))
		return err_sys(e, "pipe");
	pid_t pid = birth_clone(CLONE_NEWNET, -1, &pidfd, e);
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
