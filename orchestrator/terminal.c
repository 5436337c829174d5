#include "orchestrator/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>

#define TERMINAL_READ 16384
#define TERMINAL_AGAIN_MS 100 /* nobody in the box has it open just now */
#define TERMINAL_LAST_MS 100
#define FEED_AGAIN_MS 300
#define FEED_LINE 4096 /* PIPE_BUF, and what a terminal gives of a line: termios(3) */

/* For the signals that end a process at once, too. */
static struct termios terminal_saved;
static volatile sig_atomic_t terminal_is_raw;

struct terminal {
	const struct terminal_events *ev;
	void *owner;
	int ours, master; /* ours: an open file of our own, so that O_NONBLOCK is nobody else's */
	bool paused, hung;
	char typed[TERMINAL_READ]; /* not written to the box's yet */
	size_t n_typed;
	uv_loop_t *loop;
	uv_poll_t on_ours, on_master;
	uv_timer_t again;
	unsigned handles;
};

/* As O_NONBLOCK belongs to the open file, which standard input shares with others. */
static int terminal_open(struct err *e)
{
	const int flags = O_RDONLY | O_NOCTTY | O_CLOEXEC | O_NONBLOCK;
	int fd = open("/proc/self/fd/0", flags);
	/* somebody else's device, as after su(1); /dev/tty is everybody's own */
	if (fd < 0 && tcgetpgrp(STDIN_FILENO) > 0)
		fd = open("/dev/tty", flags);
	return fd < 0 ? err_sys(e, "open the terminal of standard input") : fd;
}

struct terminal *terminal_new(uv_loop_t *loop, const struct terminal_events *ev, void *owner,
			      struct err *e)
{
	if (!isatty(STDIN_FILENO)) {
		err_set(e, ERR_USAGE, "--tty: standard input is no terminal");
		return NULL;
	}
	auto_fd int fd = terminal_open(e);
	if (fd < 0)
		return NULL;
	struct terminal *t = own_calloc(1, sizeof(*t));
	*t = (struct terminal){
		.ev = ev, .owner = owner, .ours = give_fd(&fd), .master = -1, .loop = loop};
	return t;
}

static void on_fatal(int signal)
{
	if (terminal_is_raw)
		tcsetattr(STDIN_FILENO, TCSANOW, &terminal_saved);
	raise(signal); /* SA_RESETHAND: it ends us */
}

static void terminal_guard(void)
{
	static const int fatal[] = {SIGABRT, SIGSEGV, SIGBUS, SIGILL, SIGFPE};
	struct sigaction act = {.sa_handler = on_fatal,
				.sa_flags = (int)(SA_RESETHAND | SA_NODEFER)};
	for (size_t i = 0; i < countof(fatal); i++)
		sigaction(fatal[i], &act, NULL);
}

void terminal_resize(struct terminal *t)
{
	struct winsize size;
	if (t->master >= 0 && !ioctl(STDIN_FILENO, TIOCGWINSZ, &size))
		ioctl(t->master, TIOCSWINSZ, &size);
}

void terminal_enter(struct terminal *t)
{
	struct termios raw = terminal_saved;
	if (t->master < 0 || t->hung)
		return;
	cfmakeraw(&raw);
	terminal_is_raw = 1;
	tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	terminal_resize(t);
}

void terminal_leave(struct terminal *t)
{
	sigset_t stop, before;
	(void)t;
	if (!terminal_is_raw)
		return;
	/* Where we are in the background it would stop us: tcsetattr(3). */
	sigemptyset(&stop);
	sigaddset(&stop, SIGTTOU);
	sigprocmask(SIG_BLOCK, &stop, &before);
	tcsetattr(STDIN_FILENO, TCSANOW, &terminal_saved);
	terminal_is_raw = 0;
	sigprocmask(SIG_SETMASK, &before, NULL);
}

static void terminal_watch(struct terminal *t);

static void on_again(uv_timer_t *timer)
{
	terminal_watch(timer->data);
}

/* false: it has no more for now. */
static bool terminal_say(struct terminal *t)
{
	char buf[TERMINAL_READ];
	ssize_t n = read(t->master, buf, sizeof(buf));
	if (n > 0) {
		t->paused |= !t->ev->on_output(t->owner, buf, (size_t)n);
		return true;
	}
	if (!n)
		errno = EIO;
	return n < 0 && errno == EINTR;
}

static void terminal_type(struct terminal *t)
{
	size_t at = 0;
	while (at < t->n_typed) {
		ssize_t n = write(t->master, t->typed + at, t->n_typed - at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN)
			at = t->n_typed; /* nobody is there to read it */
		if (n < 0)
			break;
		at += (size_t)n;
	}
	t->n_typed -= at;
	memmove(t->typed, t->typed + at, t->n_typed);
}

static void on_master(uv_poll_t *poll, int status, int events)
{
	struct terminal *t = poll->data;
	if (status || events & UV_WRITABLE)
		terminal_type(t);
	/* All ends of the box's side are closed, which may change as long as it runs: pty(7). */
	if ((status || events & UV_READABLE) && !terminal_say(t) && errno == EIO) {
		uv_poll_stop(poll);
		uv_timer_start(&t->again, on_again, TERMINAL_AGAIN_MS, 0);
		return;
	}
	terminal_watch(t);
}

static void on_ours(uv_poll_t *poll, int status, int events)
{
	struct terminal *t = poll->data;
	(void)events;
	ssize_t n = status ? 0 : read(t->ours, t->typed, sizeof(t->typed));
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n <= 0) {
		t->hung = true;
		uv_poll_stop(poll);
		t->ev->on_hangup(t->owner);
		return;
	}
	t->n_typed = (size_t)n;
	terminal_type(t);
	terminal_watch(t);
}

static void terminal_watch(struct terminal *t)
{
	int want = (t->paused ? 0 : UV_READABLE) | (t->n_typed ? UV_WRITABLE : 0);
	if (t->master < 0)
		return;
	if (want)
		uv_poll_start(&t->on_master, want, on_master);
	else
		uv_poll_stop(&t->on_master);
	if (t->n_typed || t->hung)
		uv_poll_stop(&t->on_ours);
	else
		uv_poll_start(&t->on_ours, UV_READABLE, on_ours);
}

int terminal_attach(struct terminal *t, int master_fd, struct err *e)
{
	auto_fd int master = master_fd;
	if (tcgetattr(STDIN_FILENO, &terminal_saved) || tcsetattr(master, TCSANOW, &terminal_saved))
		return err_sys(e, "settings of the terminal");
	int rc = uv_poll_init(t->loop, &t->on_ours, t->ours);
	t->handles += !rc;
	if (!rc)
		rc = uv_poll_init(t->loop, &t->on_master, master);
	t->handles += !rc;
	if (rc)
		return err_set(e, ERR_SYS, "watch a terminal: %s", uv_strerror(rc));
	uv_timer_init(t->loop, &t->again);
	t->handles++;
	t->on_ours.data = t->on_master.data = t->again.data = t;
	t->master = give_fd(&master);
	terminal_guard();
	terminal_enter(t);
	terminal_watch(t);
	return 0;
}

void terminal_pause(struct terminal *t, bool paused)
{
	t->paused = paused;
	terminal_watch(t);
}

void terminal_drain(struct terminal *t)
{
	struct pollfd p = {.fd = t->master, .events = POLLIN};
	if (t->master >= 0) {
		uv_poll_stop(&t->on_master);
		uv_poll_stop(&t->on_ours);
		uv_timer_stop(&t->again);
		/* up to its end, EIO; what it wrote is on the way in a kernel's thread */
		while (terminal_say(t) || (errno == EAGAIN && poll(&p, 1, TERMINAL_LAST_MS) > 0))
			;
	}
}

static void terminal_free(uv_handle_t *handle)
{
	struct terminal *t = handle->data;
	if (--t->handles)
		return;
	own_close(&t->ours);
	own_close(&t->master);
	free(t);
}

void terminal_close(struct terminal *t)
{
	if (!t)
		return;
	terminal_leave(t);
	uv_handle_t *all[] = {(uv_handle_t *)&t->on_ours, (uv_handle_t *)&t->on_master,
			      (uv_handle_t *)&t->again};
	if (!t->handles) {
		own_close(&t->ours);
		free(t);
		return;
	}
	for (size_t i = 0; i < countof(all); i++)
		if (all[i]->loop) {
			all[i]->data = t;
			uv_close(all[i], terminal_free);
		}
}

/* ---- a line at a time ---- */

struct feed {
	int ours, pipe;
	uv_poll_t on_ours, on_pipe;
	uv_timer_t again;
	unsigned handles;
};

static void feed_wait(struct feed *f);

static void on_feed_again(uv_timer_t *timer)
{
	struct feed *f = timer->data;
	feed_wait(f);
}

static void feed_end(struct feed *f)
{
	uv_poll_stop(&f->on_ours);
	uv_poll_stop(&f->on_pipe);
	uv_timer_stop(&f->again);
	own_close(&f->pipe);
}

static void on_feed_line(uv_poll_t *poll, int status, int events)
{
	struct feed *f = poll->data;
	char line[FEED_LINE];
	(void)events;
	uv_poll_stop(poll);
	/* In the background it would be EIO (SIGTTIN ignored), as it is of a terminal that is gone.
	 */
	if (!status && tcgetpgrp(STDIN_FILENO) != getpgrp() && tcgetpgrp(STDIN_FILENO) > 0) {
		uv_timer_start(&f->again, on_feed_again, FEED_AGAIN_MS, 0);
		return;
	}
	ssize_t n = status ? 0 : read(f->ours, line, sizeof(line));
	if (n < 0 && (errno == EINTR || errno == EAGAIN)) {
		feed_wait(f);
		return;
	}
	/* It fits, the pipe is empty. */
	if (n <= 0 || write(f->pipe, line, (size_t)n) < 0)
		feed_end(f);
	else
		feed_wait(f);
}

static void on_feed_empty(uv_poll_t *poll, int status, int events)
{
	struct feed *f = poll->data;
	(void)events;
	uv_poll_stop(poll);
	if (status)
		feed_end(f); /* nobody has the other end any more */
	else
		uv_poll_start(&f->on_ours, UV_READABLE, on_feed_line);
}

static void feed_wait(struct feed *f)
{
	uv_poll_start(&f->on_pipe, UV_WRITABLE, on_feed_empty);
}

static int feed_watch(struct feed *f, uv_loop_t *loop, struct err *e)
{
	int rc = uv_poll_init(loop, &f->on_ours, f->ours);
	f->handles += !rc;
	if (!rc)
		rc = uv_poll_init(loop, &f->on_pipe, f->pipe);
	f->handles += !rc;
	if (rc)
		return err_set(e, ERR_SYS, "watch standard input: %s", uv_strerror(rc));
	uv_timer_init(loop, &f->again);
	f->handles++;
	f->on_ours.data = f->on_pipe.data = f->again.data = f;
	feed_wait(f);
	return 0;
}

struct feed *feed_new(uv_loop_t *loop, int *fd, struct err *e)
{
	int ends[2];
	if (pipe2(ends, O_CLOEXEC)) {
		err_sys(e, "pipe");
		return NULL;
	}
	auto_fd int theirs = ends[0];
	struct feed *f = own_calloc(1, sizeof(*f));
	*f = (struct feed){.ours = terminal_open(e), .pipe = ends[1]};
	/* One page: it can be written when it is empty, and only then. */
	if (f->ours >= 0 && fcntl(f->pipe, F_SETPIPE_SZ, FEED_LINE) < 0)
		err_sys(e, "pipe of one page");
	if (e->kind || feed_watch(f, loop, e)) {
		feed_close(f);
		return NULL;
	}
	signal(SIGTTIN, SIG_IGN);
	*fd = give_fd(&theirs);
	return f;
}

static void feed_free(uv_handle_t *handle)
{
	struct feed *f = handle->data;
	if (--f->handles)
		return;
	own_close(&f->ours);
	own_close(&f->pipe);
	free(f);
}

void feed_close(struct feed *f)
{
	if (!f)
		return;
	uv_handle_t *all[] = {(uv_handle_t *)&f->on_ours, (uv_handle_t *)&f->on_pipe,
			      (uv_handle_t *)&f->again};
	if (!f->handles) {
		own_close(&f->ours);
		own_close(&f->pipe);
		free(f);
		return;
	}
	for (size_t i = 0; i < countof(all); i++)
		if (all[i]->loop) {
			all[i]->data = f;
			uv_close(all[i], feed_free);
		}
}
