#include "sandbox/helper.h"

#include "base/child.h"
#include "base/message.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

struct helper {
	const struct helper_events *ev;
	void *owner;
	pid_t pid;
	int socket, pidfd;
	bool dead;
	unsigned handles; /* open on the loop */
	uv_poll_t on_socket, on_pid;
};

/* Its own session: no terminal, and a Ctrl-C meant for us is not its affair. Everything else of
 * ours it closes itself. assay-box needs no environment; engines have much of their set-up there.
 */
static int helper_spawn(const struct helper_program *p, int socket, int userns_fd, int error_fd,
			char *const *argv, pid_t *pid, struct err *e)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t all, none;
	char path[32];
	char *nothing[] = {NULL};
	snprintf(path, sizeof(path), "/proc/self/fd/%d", p->oci_fd < 0 ? p->box_fd : p->oci_fd);
	sigfillset(&all);
	sigemptyset(&none);
	posix_spawn_file_actions_init(&files);
	posix_spawnattr_init(&attr);
	posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
	if (error_fd >= 0)
		posix_spawn_file_actions_adddup2(&files, error_fd, STDERR_FILENO);
	if (socket >= 0)
		posix_spawn_file_actions_adddup2(&files, socket, PLAN_SOCKET);
	if (p->oci_fd >= 0)
		posix_spawn_file_actions_adddup2(&files, p->box_fd, PLAN_PROGRAM);
	if (userns_fd >= 0)
		posix_spawn_file_actions_adddup2(&files, userns_fd, PLAN_USERNS);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &all);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK |
						POSIX_SPAWN_SETSIGDEF);
	int rc = posix_spawn(pid, path, &files, &attr, argv, p->oci_fd < 0 ? nothing : environ);
	posix_spawn_file_actions_destroy(&files);
	posix_spawnattr_destroy(&attr);
	errno = rc;
	return rc ? err_sys(e, "start %s", argv[0]) : 0;
}

static void helper_free(uv_handle_t *handle)
{
	struct helper *h = handle->data;
	if (--h->handles)
		return;
	close(h->socket);
	close(h->pidfd);
	if (h->dead)
		h->ev->on_freed(h->owner);
	free(h);
}

static void helper_died(struct helper *h, const char *how)
{
	if (h->dead)
		return;
	h->dead = true;
	uv_close((uv_handle_t *)&h->on_socket, helper_free);
	uv_close((uv_handle_t *)&h->on_pid, helper_free);
	h->ev->on_death(h->owner, how);
}

static void on_pid(uv_poll_t *poll, int status, int events)
{
	struct helper *h = poll->data;
	int st = 0;
	char how[80];
	(void)status;
	(void)events;
	pid_t got = waitpid(h->pid, &st, WNOHANG);
	if (!got)
		return;
	if (got > 0 && WIFSIGNALED(st))
		snprintf(how, sizeof(how), "assay-box was killed by signal %d", WTERMSIG(st));
	else
		snprintf(how, sizeof(how), "assay-box ended with status %d",
			 got > 0 ? WEXITSTATUS(st) : -1);
	helper_died(h, how);
}

static ssize_t helper_receive(int socket, struct plan_reply *r, int *fd)
{
	struct message m = {.part = {{r, sizeof(*r)}}, .fds = fd, .n_fds = 1};
	*fd = -1;
	return message_receive(socket, &m, MSG_DONTWAIT);
}

static void on_socket(uv_poll_t *poll, int status, int events)
{
	struct helper *h = poll->data;
	struct plan_reply r;
	int fd;
	(void)events;
	ssize_t n = status ? 0 : helper_receive(h->socket, &r, &fd);
	/* A reset is told once if the helper went without having read our last word. */
	if (n < 0 && (errno == EAGAIN || errno == ECONNRESET))
		return;
	if (n != (ssize_t)sizeof(r) || r.version != PLAN_VERSION) {
		uv_poll_stop(
			&h->on_socket); /* it is ending: the pidfd says when; a stranger is ended */
		if (n > 0)
			helper_stop(h);
		return;
	}
	r.error[sizeof(r.error) - 1] = 0;
	h->ev->on_reply(h->owner, &r, fd);
}

static int helper_watch(struct helper *h, uv_loop_t *loop, struct err *e)
{
	h->on_socket.data = h->on_pid.data = h;
	int rc = uv_poll_init(loop, &h->on_socket, h->socket);
	if (rc)
		return err_set(e, ERR_SYS, "watch assay-box: %s", uv_strerror(rc));
	h->handles = 1;
	rc = uv_poll_init(loop, &h->on_pid, h->pidfd);
	if (rc)
		return err_set(e, ERR_SYS, "watch assay-box: %s", uv_strerror(rc));
	h->handles = 2;
	uv_poll_start(&h->on_socket, UV_READABLE, on_socket);
	uv_poll_start(&h->on_pid, UV_READABLE, on_pid);
	return 0;
}

struct helper *helper_start(uv_loop_t *loop, const struct helper_program *p,
			    const struct helper_ids *ids, const struct helper_events *ev,
			    void *owner, struct err *e)
{
	int pair[2];
	char parent[24], *argv[9] = {(char[]){"assay-box"}, (char[]){"serve"}, parent};
	static char no_idmap[] = "no-idmap";
	size_t n = 3;
	/* For tests of the ways older kernels take: fd, names, classic; of what carries uppers:
	 * tmpfs, fuse; and of no way to show owners. */
	char *way = getenv("ASSAY_BOX_OVERLAY"), *idmap = getenv("ASSAY_BOX_IDMAP");
	snprintf(parent, sizeof(parent), "%d", (int)getpid());
	argv[n++] = (char *)(uintptr_t)ids->word; /* argv lacks the const */
	if (p->oci_fd >= 0)
		argv[n++] = (char *)(uintptr_t)p->executor;
	if (way && *way)
		argv[n++] = way;
	if (idmap && !strcmp(idmap, "off"))
		argv[n++] = no_idmap;
	if (*ids->given)
		argv[n++] = (char *)(uintptr_t)ids->given;
	argv[n] = NULL;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) {
		err_sys(e, "socketpair");
		return NULL;
	}
	struct helper *h = own_calloc(1, sizeof(*h));
	*h = (struct helper){.ev = ev, .owner = owner, .socket = pair[0], .pidfd = -1};
	int rc = helper_spawn(p, pair[1], ids->userns_fd, -1, argv, &h->pid, e);
	close(pair[1]);
	/* Not reaped yet, so the number is still its own. */
	if (!rc && (h->pidfd = (int)syscall(SYS_pidfd_open, h->pid, 0)) < 0)
		rc = err_sys(e, "pidfd_open");
	if (!rc && !helper_watch(h, loop, e))
		return h;
	if (h->pid > 0) {
		kill(h->pid, SIGKILL);
		waitpid(h->pid, NULL, 0);
	}
	if (h->handles) {
		uv_close((uv_handle_t *)&h->on_socket, helper_free);
		return NULL;
	}
	close(h->socket);
	if (h->pidfd >= 0)
		close(h->pidfd);
	free(h);
	return NULL;
}

/* An ordinary user's boxes may have as many descriptors on their way as our soft limit allows; it
 * is our hard one that they don't come up to (share.h). */
static int helper_send_more(struct helper *h, const struct message *m)
{
	struct rlimit had;
	if (getrlimit(RLIMIT_NOFILE, &had))
		return -1;
	setrlimit(RLIMIT_NOFILE, &(struct rlimit){had.rlim_max, had.rlim_max});
	int rc = message_send(h->socket, m, MSG_DONTWAIT), sys = errno;
	setrlimit(RLIMIT_NOFILE, &had);
	errno = sys;
	return rc;
}

static int helper_send(struct helper *h, const struct plan_start *start, int *fds, size_t n)
{
	struct message m = {.part = {{(void *)(uintptr_t)start, sizeof(*start)}},
			    .fds = fds,
			    .n_fds = n};
	int rc = message_send(h->socket, &m, MSG_DONTWAIT);
	return rc && errno == ETOOMANYREFS ? helper_send_more(h, &m) : rc;
}

int helper_groups(struct helper *h, const struct cgroup_host *groups, struct err *e)
{
	struct plan_start m = {.kind = PLAN_GROUPS, .version = PLAN_VERSION};
	int fds[CGROUP_HIERARCHIES];
	if (cgroup_host_tell(groups, &m.groups, fds, e))
		return -1;
	int rc = m.groups.n ? helper_send(h, &m, fds, m.groups.n) : 0;
	if (rc)
		err_sys(e, "tell assay-box of the control groups");
	while (m.groups.n)
		close(fds[--m.groups.n]);
	return rc;
}

static int helper_begin(struct helper *h, const struct pack *p, int output_fd, const int *stdio,
			const struct cgroup *c, struct err *e)
{
	int fds[5] = {p->text_fd, output_fd};
	size_t n = 2;
	uint32_t mask = 0;
	for (unsigned i = 0; stdio && i < 3; i++)
		if (stdio[i] >= 0) {
			fds[n++] = stdio[i];
			mask |= 1u << i;
		}
	struct plan_start m = {
		.kind = PLAN_START,
		.version = PLAN_VERSION,
		.n_fds = (uint32_t)p->n_fds,
		.stdio = mask,
		.ahead = p->ahead,
		.bytes = p->bytes,
		.group = *cgroup_wanted(c),
	};
	return helper_send(h, &m, fds, n) ? err_sys(e, "send a plan to assay-box") : 0;
}

int helper_plan(struct helper *h, const struct pack *p, int output_fd, const int *stdio,
		const struct cgroup *c, struct err *e)
{
	if (helper_begin(h, p, output_fd, stdio, c, e))
		return -1;
	for (size_t at = 0; at < p->n_fds; at += PLAN_FDS_MAX) {
		size_t n = p->n_fds - at < PLAN_FDS_MAX ? p->n_fds - at : PLAN_FDS_MAX;
		struct plan_start more = {.kind = PLAN_FDS, .version = PLAN_VERSION};
		if (!helper_send(h, &more, p->fds + at, n))
			continue;
		err_sys(e, "send layers to assay-box");
		helper_stop(h); /* it waits for the rest in vain */
		return -1;
	}
	return 0;
}

void helper_say(struct helper *h, enum plan_kind kind, int signal)
{
	struct plan_start m = {.kind = (uint32_t)kind,
			       .version = PLAN_VERSION,
			       .signal = (uint32_t)signal};
	if (!h->dead && helper_send(h, &m, NULL, 0))
		helper_stop(h);
}

void helper_look(struct helper *h, const struct plan_start *m, int *fds, size_t n)
{
	if (!h->dead && helper_send(h, m, fds, n))
		helper_stop(h);
}

void helper_stop(struct helper *h)
{
	if (!h->dead)
		shutdown(h->socket, SHUT_RDWR);
}

static void leave_reply(void *owner, const struct plan_reply *r, int fd)
{
	(void)owner;
	(void)r;
	own_close(&fd);
}

static void leave_death(void *owner, const char *how)
{
	(void)owner;
	(void)how;
}

static void leave_freed(void *owner)
{
	(void)owner;
}

void helper_leave(struct helper *h)
{
	static const struct helper_events nobody = {leave_reply, leave_death, leave_freed};
	if (!h)
		return;
	h->ev = &nobody;
	helper_stop(h);
}

void helper_kill(struct helper *h)
{
	if (!h->dead)
		syscall(SYS_pidfd_send_signal, h->pidfd, SIGKILL, NULL, 0);
}

static int run(const struct helper_program *p, char *const *words, int fd, int userns_fd,
	       struct err *e)
{
	int report[2];
	char text[400], parent[24], *argv[HELPER_WORDS + 3];
	pid_t pid;
	size_t n_argv = 3;
	snprintf(parent, sizeof(parent), "%d", (int)getpid());
	argv[0] = (char[]){"assay-box"};
	argv[1] = words[0];
	argv[2] = parent;
	for (size_t i = 1; words[i] && i < HELPER_WORDS; i++)
		argv[n_argv++] = words[i];
	argv[n_argv] = NULL;
	if (pipe2(report, O_CLOEXEC))
		return err_sys(e, "pipe");
	int rc = helper_spawn(p, fd, userns_fd, report[1], argv, &pid, e);
	close(report[1]);
	auto_fd int from = report[0];
	if (rc)
		return -1;
	size_t n = child_hear(from, text, sizeof(text));
	int end = child_end(pid);
	/* a caller that ignores SIGCHLD has no ends: what was said is all there is to know */
	if (!end || (end < 0 && !n))
		return 0;
	return err_set(e, ERR_BOX, "%s", n ? text : "assay-box does not run");
}

int helper_run(int box_fd, char *const *words, int fd, int userns_fd, struct err *e)
{
	const struct helper_program p = {.box_fd = box_fd, .oci_fd = -1};
	return run(&p, words, fd, userns_fd, e);
}

int helper_try(const struct helper_program *p, const struct helper_ids *ids, struct err *e)
{
	char *words[] = {(char[]){"try"}, (char *)(uintptr_t)ids->word,
			 p->oci_fd < 0 ? NULL : (char *)(uintptr_t)p->executor, NULL};
	return run(p, words, -1, ids->userns_fd, e) ? err_add(e, "no box can be made here") : 0;
}
