#include "sandbox/box/inside.h"

#include "base/message.h"
#include "sandbox/box/birth.h"
#include "sandbox/box/inherited.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

struct inside {
	struct inside_hello hello;
	int socket;
	int fds[INSIDE_FDS];
	size_t n_fds;
};

/* Before the helper waits for it there is no socket, and after it is gone neither. */
static int inside_ring(void)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX, .sun_path = INSIDE_BELL};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&at, sizeof(at))) {
		close(fd);
		return -1;
	}
	return fd;
}

static bool inside_listen(struct inside *in)
{
	struct message m = {.part = {{&in->hello, sizeof(in->hello)}},
			    .fds = in->fds,
			    .n_fds = INSIDE_FDS};
	ssize_t n = message_receive(in->socket, &m, 0);
	in->n_fds = m.n_fds;
	return n == (ssize_t)sizeof(in->hello) && in->hello.version == PLAN_VERSION &&
	       in->n_fds == plan_fds(&in->hello.start) + 1 && !in->hello.start.in_cgroup;
}

/* As birth.c does it for a box that it makes itself: until the command runs, what is here is the
 * first that the host's want of memory ends. */
static void inside_oom(struct init *init, const struct inside_hello *hello)
{
	init->oom_fd = open("/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC);
	if (init->oom_fd >= 0 && pwrite(init->oom_fd, "500", 3, 0) < 0)
		own_close(&init->oom_fd);
	memcpy(init->oom, hello->oom, sizeof(init->oom));
	init->oom[sizeof(init->oom) - 1] = 0;
}

static void inside_init(struct inside *in, struct init *init) __attribute__((noreturn));
static void inside_init(struct inside *in, struct init *init)
{
	inside_oom(init, &in->hello);
	init_run_inside(init, INSIDE_ROOT);
}

/* Until the box has ended, or the helper has: what it says is not for this process to read. */
static void inside_watch(int socket, pid_t box, int boxfd)
{
	struct pollfd p[] = {{.fd = socket, .events = POLLRDHUP}, {.fd = boxfd, .events = POLLIN}};
	struct init_message m = {.kind = INIT_USED};
	int ready;
	do
		ready = poll(p, countof(p), -1);
	while (ready < 0 && errno == EINTR);
	kill(box, SIGKILL);
	while (wait4(box, NULL, __WALL, &m.used) < 0 && errno == EINTR)
		;
	init_say(socket, &m, -1);
}

/* A container in the host's user namespace: the box is made in it, in the namespaces of every box.
 */
static int inside_nest(struct inside *in, struct init *init, struct err *e)
{
	int boxfd = -1, go[2];
	bool net = !(init->spec->flags & PLAN_NET_HOST);
	struct clone_args args = {
		.flags = CLONE_PIDFD | birth_native.namespaces | (net ? CLONE_NEWNET : 0ull),
		.pidfd = (uint64_t)(uintptr_t)&boxfd,
		.exit_signal = SIGCHLD,
	};
	char c = 0;
	if (pipe2(go, O_CLOEXEC))
		return err_sys(e, "pipe");
	pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	if (!pid) {
		close(go[1]);
		if (read(go[0], &c, 1) != 1)
			_exit(1);
		inside_init(in, init);
	}
	close(go[0]);
	if (pid < 0)
		return err_sys(e, "clone the box in its container");
	if (ids_map(&in->hello.ids, pid, e))
		return -1;
	if (write(go[1], &c, 1) != 1)
		return err_sys(e, "begin the box in its container");
	close(go[1]);
	for (size_t i = 0; i < in->n_fds; i++)
		close(in->fds[i]);
	inside_watch(in->socket, pid, boxfd);
	return 0;
}

int inside_run(void)
{
	inherited_signals(); /* the engine's */
	struct inside in = {.socket = inside_ring()};
	struct err e = ERR_INIT;
	struct spec spec;
	/* Whoever could be told is gone, or speaks another version. */
	if (in.socket < 0 || !inside_listen(&in))
		return 1;
	const struct plan_start *start = &in.hello.start;
	struct init init = {
		.spec = &spec,
		.ranged = in.hello.ranged,
		.socket = in.socket,
		.output_fd = in.fds[1],
		.null_fd = in.fds[in.n_fds - 1],
		.doors = in.fds + in.n_fds - 1 - start->n_doors,
		.n_doors = start->n_doors,
		.terminal_fd = -1,
		.devices_fd = -1,
		.oom_fd = -1,
	};
	init_stdio_take(&init, start, in.fds);
	if (spec_read(&spec, in.fds[0], start->bytes, start->n_fds, &e))
		init_give_up(&init, &e);
	if (!in.hello.nested)
		inside_init(&in, &init);
	if (inside_nest(&in, &init, &e))
		init_give_up(&init, &e);
	return 0;
}
