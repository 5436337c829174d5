#include "sandbox/oci/order.h"

#include "base/child.h"
#include "base/clock.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define MS_NS INT64_C(1000000)
#define ORDER_READS 64 /* in one go: a flood keeps nobody */

static void order_exec(const struct words *w, const char *path, int output)
	__attribute__((noreturn));
static void order_exec(const struct words *w, const char *path, int output)
{
	sigset_t none;
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	signal(SIGINT, SIG_DFL);
	umask(022);
	if (null >= 0 && dup2(null, 0) >= 0 && dup2(output, 1) >= 0 && dup2(output, 2) >= 0 &&
	    !close_range(3, ~0u, 0))
		execv(path, w->all);
	dprintf(2, "%s: %s\n", path, strerror(errno));
	_exit(127);
}

int order_start(struct order *o, const struct words *w, struct err *e)
{
	int fds[2];
	auto_free char *path = engine_program(w->all[0]);
	*o = (struct order){.output = -1};
	snprintf(o->program, sizeof(o->program), "%s", w->all[0]);
	if (!path)
		return err_set(e, ERR_ABSENT, "%s is not installed", w->all[0]);
	if (pipe2(fds, O_CLOEXEC))
		return err_sys(e, "pipe");
	o->output = fds[0];
	pid_t pid = fcntl(fds[0], F_SETFL, O_NONBLOCK) ? -1 : fork();
	if (!pid)
		order_exec(w, path, fds[1]);
	close(fds[1]);
	if (pid < 0)
		return err_sys(e, "fork %s", w->all[0]);
	o->pid = pid;
	return 0;
}

/* The last words are kept: an engine's reason comes after its warnings. */
static void order_keep(struct order *o, const char *bytes, size_t n)
{
	size_t room = sizeof(o->text) - 1;
	if (n > room) {
		bytes += n - room;
		n = room;
	}
	if (o->n + n > room) {
		size_t drop = o->n + n - room;
		memmove(o->text, o->text + drop, o->n - drop);
		o->n -= drop;
	}
	memcpy(o->text + o->n, bytes, n);
	o->n += n;
	o->text[o->n] = 0;
}

void order_hear(struct order *o)
{
	char buf[4096];
	ssize_t n;
	for (int i = 0; o->output >= 0 && i < ORDER_READS; i++) {
		n = read(o->output, buf, sizeof(buf));
		if (n > 0)
			order_keep(o, buf, (size_t)n);
		else if (!n || (errno != EAGAIN && errno != EINTR))
			own_close(&o->output);
		else
			break;
	}
}

void order_ended(struct order *o, int status)
{
	o->ended = true;
	o->status = status;
	order_hear(o);
}

bool order_failed(const struct order *o)
{
	return o->ended && o->status;
}

/* One line, without what isn't text. */
int order_complain(struct order *o, struct err *e)
{
	order_hear(o);
	while (o->n && isspace((unsigned char)o->text[o->n - 1]))
		o->text[--o->n] = 0;
	for (char *p = o->text; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = ' ';
	if (!o->ended)
		return err_set(e, ERR_BOX, "%s has made no container in time%s%s", o->program,
			       o->n ? ": " : "", o->text);
	if (WIFEXITED(o->status))
		return err_set(e, ERR_BOX, "%s made no container (exit status %d)%s%s", o->program,
			       WEXITSTATUS(o->status), o->n ? ": " : "", o->text);
	return err_set(e, ERR_BOX, "%s made no container (signal %d)%s%s", o->program,
		       WTERMSIG(o->status), o->n ? ": " : "", o->text);
}

/* false: it is still there. */
static bool order_wait(struct order *o, int64_t until, const volatile sig_atomic_t *told)
{
	auto_fd int pidfd = (int)syscall(SYS_pidfd_open, o->pid, 0);
	bool heard = false;
	sigset_t none;
	sigemptyset(&none);
	while (pidfd >= 0) {
		int64_t now = clock_mono_ns(), soon = now + ORDER_TOLD_MS * MS_NS;
		if (told && *told && !heard) {
			heard = true;
			until = soon < until ? soon : until;
		}
		if (now >= until)
			break;
		struct timespec left = {(until - now) / 1000000000, (until - now) % 1000000000};
		struct pollfd p[] = {{.fd = pidfd, .events = POLLIN},
				     {.fd = o->output, .events = POLLIN}};
		if (ppoll(p, countof(p), &left, &none) < 0 && errno != EINTR)
			break;
		if (p[1].revents)
			order_hear(o);
		if (p[0].revents)
			return true;
	}
	return false;
}

int order_run(struct order *o, const struct words *w, int64_t ms, const volatile sig_atomic_t *told,
	      struct err *e)
{
	int64_t began = clock_mono_ns();
	if (order_start(o, w, e))
		return -1;
	bool over = order_wait(o, began + ms * MS_NS, told);
	if (!over)
		kill(o->pid, SIGKILL);
	order_ended(o, child_end(o->pid));
	own_close(&o->output);
	if (!over)
		return err_set(e, ERR_LIMIT, "%s %s had not ended after %lld ms", w->all[0],
			       w->n > 1 ? w->all[1] : "",
			       (long long)((clock_mono_ns() - began) / MS_NS));
	return order_failed(o) ? order_complain(o, e) : 0;
}
