#include "orchestrator/terminal.h"

#include "orchestrator/tty.h"

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
#define FRONT_AGAIN_MS 300 /* somebody else is in the foreground */
#define FEED_LINE 4096     /* PIPE_BUF, and what a terminal gives of a line: termios(3) */

/* What is copied between. */
struct ends {
	int ours, box; /* ours: an open file of our own, so that O_NONBLOCK is nobody else's */
	uv_poll_t on_ours, on_box;
	uv_timer_t again;
	unsigned handles;
	void *of; /* what it is part of, freed with it */
};

struct terminal {
	struct ends ends;
	const struct terminal_events *ev;
	void *owner;
	bool paused, hung;
	char typed[TERMINAL_READ]; /* not written to the box's yet */
	size_t n_typed;
	uv_loop_t *loop;
};

static int ends_watch(struct ends *x, uv_loop_t *loop, struct err *e)
{
	int rc = uv_poll_init(loop, &x->on_ours, x->ours);
	x->handles += !rc;
	if (!rc)
		rc = uv_poll_init(loop, &x->on_box, x->box);
	x->handles += !rc;
	if (rc)
		return err_set(e, ERR_SYS, "watch standard input: %s", uv_strerror(rc));
	uv_timer_init(loop, &x->again);
	x->handles++;
	x->on_ours.data = x->on_box.data = x->again.data = x->of;
	return 0;
}

static void ends_free(struct ends *x)
{
	own_close(&x->ours);
	own_close(&x->box);
	free(x->of);
}

static void on_ends_closed(uv_handle_t *handle)
{
	struct ends *x = handle->data;
	if (!--x->handles)
		ends_free(x);
}

static void ends_close(struct ends *x)
{
	uv_handle_t *all[] = {(uv_handle_t *)&x->on_ours, (uv_handle_t *)&x->on_box,
			      (uv_handle_t *)&x->again};
	if (!x->handles) {
		ends_free(x);
		return;
	}
	for (size_t i = 0; i < countof(all); i++)
		if (all[i]->loop) {
			all[i]->data = x;
			uv_close(all[i], on_ends_closed);
		}
}

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
	tty_wait();
	struct terminal *t = own_calloc(1, sizeof(*t));
	*t = (struct terminal){.ends = {.ours = give_fd(&fd), .box = -1, .of = t},
			       .ev = ev,
			       .owner = owner,
			       .loop = loop};
	return t;
}

void terminal_resize(struct terminal *t)
{
	struct winsize size;
	if (t->ends.box >= 0 && !ioctl(STDIN_FILENO, TIOCGWINSZ, &size))
		ioctl(t->ends.box, TIOCSWINSZ, &size);
}

void terminal_enter(struct terminal *t)
{
	if (t->ends.box < 0 || t->hung)
		return;
	tty_wait();
	tty_raw();
	terminal_resize(t);
}

void terminal_leave(struct terminal *t)
{
	(void)t;
	tty_restore();
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
	ssize_t n = read(t->ends.box, buf, sizeof(buf));
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
		ssize_t n = write(t->ends.box, t->typed + at, t->n_typed - at);
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
		uv_timer_start(&t->ends.again, on_again, TERMINAL_AGAIN_MS, 0);
		return;
	}
	terminal_watch(t);
}

static void on_ours(uv_poll_t *poll, int status, int events)
{
	struct terminal *t = poll->data;
	(void)events;
	/* where nobody stops us for it (SIGTTIN) it would look as if it were gone */
	if (!status && tty_background()) {
		uv_poll_stop(poll);
		uv_timer_start(&t->ends.again, on_again, FRONT_AGAIN_MS, 0);
		return;
	}
	ssize_t n = status ? 0 : read(t->ends.ours, t->typed, sizeof(t->typed));
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
	if (t->ends.box < 0)
		return;
	if (want)
		uv_poll_start(&t->ends.on_box, want, on_master);
	else
		uv_poll_stop(&t->ends.on_box);
	if (t->n_typed || t->hung)
		uv_poll_stop(&t->ends.on_ours);
	else
		uv_poll_start(&t->ends.on_ours, UV_READABLE, on_ours);
}

int terminal_attach(struct terminal *t, int master_fd, struct err *e)
{
	auto_fd int master = master_fd;
	struct termios settings;
	if (tty_settings(&settings) || tcsetattr(master, TCSANOW, &settings))
		return err_sys(e, "settings of the terminal");
	t->ends.box = give_fd(&master);
	if (ends_watch(&t->ends, t->loop, e)) {
		own_close(&t->ends.box);
		return -1;
	}
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
	struct pollfd p = {.fd = t->ends.box, .events = POLLIN};
	if (t->ends.box >= 0) {
		uv_poll_stop(&t->ends.on_box);
		uv_poll_stop(&t->ends.on_ours);
		uv_timer_stop(&t->ends.again);
		/* up to its end, EIO; what it wrote is on the way in a kernel's thread */
		while (terminal_say(t) || (errno == EAGAIN && poll(&p, 1, TERMINAL_LAST_MS) > 0))
			;
	}
}

void terminal_close(struct terminal *t)
{
	if (!t)
		return;
	terminal_leave(t);
	ends_close(&t->ends);
}

/* ---- a line at a time ---- */

struct feed {
	struct ends ends;
};

static void feed_wait(struct feed *f);

static void on_feed_again(uv_timer_t *timer)
{
	struct feed *f = timer->data;
	feed_wait(f);
}

static void feed_end(struct feed *f)
{
	uv_poll_stop(&f->ends.on_ours);
	uv_poll_stop(&f->ends.on_box);
	uv_timer_stop(&f->ends.again);
	own_close(&f->ends.box);
}

static void on_feed_line(uv_poll_t *poll, int status, int events)
{
	struct feed *f = poll->data;
	char line[FEED_LINE];
	(void)events;
	uv_poll_stop(poll);
	/* In the background it would be EIO (SIGTTIN ignored), as it is of a terminal that is gone.
	 */
	if (!status && tty_background()) {
		uv_timer_start(&f->ends.again, on_feed_again, FRONT_AGAIN_MS, 0);
		return;
	}
	ssize_t n = status ? 0 : read(f->ends.ours, line, sizeof(line));
	if (n < 0 && (errno == EINTR || errno == EAGAIN)) {
		feed_wait(f);
		return;
	}
	/* It fits, the pipe is empty. */
	if (n <= 0 || write(f->ends.box, line, (size_t)n) < 0)
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
		uv_poll_start(&f->ends.on_ours, UV_READABLE, on_feed_line);
}

static void feed_wait(struct feed *f)
{
	uv_poll_start(&f->ends.on_box, UV_WRITABLE, on_feed_empty);
}

struct feed *feed_new(uv_loop_t *loop, int *fd, struct err *e)
{
	int pipe_ends[2];
	if (pipe2(pipe_ends, O_CLOEXEC)) {
		err_sys(e, "pipe");
		return NULL;
	}
	auto_fd int theirs = pipe_ends[0];
	struct feed *f = own_calloc(1, sizeof(*f));
	*f = (struct feed){{.ours = terminal_open(e), .box = pipe_ends[1], .of = f}};
	/* One page: it can be written when it is empty, and only then. */
	if (f->ends.ours >= 0 && fcntl(f->ends.box, F_SETPIPE_SZ, FEED_LINE) < 0)
		err_sys(e, "pipe of one page");
	if (e->kind || ends_watch(&f->ends, loop, e)) {
		feed_close(f);
		return NULL;
	}
	feed_wait(f);
	signal(SIGTTIN, SIG_IGN);
	*fd = give_fd(&theirs);
	return f;
}

void feed_close(struct feed *f)
{
	if (f)
		ends_close(&f->ends);
}
