/* Lists of packages from outside the suite: a file beside it, or what a command prints. The command
 * is the suite author's own and runs as the caller, not in a box; what it prints is only ever read.
 */
#include "orchestrator/suite_parts.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define LIST_BYTES ((size_t)64 << 20)

struct doc *packages_from_file(const struct doc_node *node, struct err *e)
{
	auto_free char *path = doc_beside(node);
	if (word_file(node, "package file", path, e))
		return NULL;
	return doc_read(path, LIST_BYTES, e);
}

/* Only what is safe between fork and exec. It leads a group, so that all of it can be ended, and
 * dies with us. */
static void __attribute__((noreturn))
command_child(const char *dir, const char *text, int out, pid_t parent)
{
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	int in = open("/dev/null", O_RDONLY);
	if (getppid() != parent || chdir(dir) || in < 0 || dup2(in, 0) < 0 || dup2(out, 1) < 0)
		_exit(126);
	execl("/bin/sh", "sh", "-c", text, (char *)NULL);
	_exit(127);
}

struct running {
	pid_t pid;
	int pidfd, out;
	int64_t end_ns;
	struct text text;
};

static int command_start(struct running *c, const struct doc_node *node, struct err *e)
{
	int pipe_fds[2];
	pid_t self = getpid();
	if (pipe2(pipe_fds, O_CLOEXEC))
		return err_sys(e, "pipe for a package command");
	c->out = pipe_fds[0];
	fflush(NULL);
	c->pid = fork();
	if (!c->pid)
		command_child(node->doc->dir, node->text, pipe_fds[1], self);
	close(pipe_fds[1]);
	if (c->pid < 0)
		return err_sys(e, "start a package command");
	setpgid(c->pid, c->pid); /* both do: whoever comes first */
	c->pidfd = pidfd_open(c->pid, 0);
	if (c->pidfd < 0 || fcntl(c->out, F_SETFL, O_NONBLOCK))
		return err_sys(e, "watch a package command");
	return 0;
}

/* Everything that can be had now. 1: there may be more later, 0: that was all, -1. */
static int command_drain(struct running *c, const struct doc_node *node, struct err *e)
{
	char buf[65536];
	while (true) {
		ssize_t n = read(c->out, buf, sizeof(buf));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return 1;
		if (n < 0)
			return err_sys(e, "read what a package command prints");
		if (!n)
			return 0;
		if (c->text.n + (size_t)n > LIST_BYTES)
			return doc_bad(e, node, "the command printed more than %zu MiB",
				       LIST_BYTES >> 20);
		text_put(&c->text, buf, (size_t)n);
	}
}

/* Until the shell is gone. What it started in the background may hold the pipe: nobody waits for
 * that. */
static int command_read(struct running *c, const struct doc_node *node, struct err *e)
{
	struct pollfd fds[2] = {{.fd = c->out, .events = POLLIN},
				{.fd = c->pidfd, .events = POLLIN}};
	while (true) {
		int64_t left = (c->end_ns - clock_mono_ns()) / 1000000;
		if (left <= 0)
			return doc_bad(e, node,
				       "the command took too long; give it more with 'time', or "
				       "make it faster");
		int n = poll(fds, 2, left > 1000000 ? 1000000 : (int)left + 1);
		if (n < 0 && errno != EINTR)
			return err_sys(e, "wait for a package command");
		if (n <= 0)
			continue;
		if (fds[0].revents || fds[1].revents) {
			int more = command_drain(c, node, e);
			if (more < 0)
				return -1;
			if (!more)
				fds[0].fd = -1;
		}
		if (fds[1].revents)
			return 0;
	}
}

/* The whole group goes, then the shell is waited for. */
static int command_end(struct running *c)
{
	int status = 0;
	kill(-c->pid, SIGKILL);
	while (waitpid(c->pid, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

struct doc *packages_from_command(const struct doc_node *node, uint64_t ms, struct err *e)
{
	struct running c = {.pid = -1,
			    .pidfd = -1,
			    .out = -1,
			    .end_ns = clock_mono_ns() + (int64_t)ms * 1000000};
	struct doc *d = NULL;
	int status = 0, rc = command_start(&c, node, e) || command_read(&c, node, e);
	if (c.pid > 0)
		status = command_end(&c);
	if (!rc && WIFSIGNALED(status))
		rc = doc_bad(e, node, "the command was ended by signal %d (%s)", WTERMSIG(status),
			     strsignal(WTERMSIG(status)));
	else if (!rc && WEXITSTATUS(status))
		rc = doc_bad(e, node, "the command exited with %d", WEXITSTATUS(status));
	if (!rc) {
		size_t n = c.text.n;
		d = doc_take(node->doc->name, node->doc->dir, text_take(&c.text), n);
		d->command = node;
		if (doc_check_text(d, e)) {
			doc_free(d);
			d = NULL;
		}
	}
	own_close(&c.pidfd);
	own_close(&c.out);
	text_fini(&c.text);
	return d;
}
