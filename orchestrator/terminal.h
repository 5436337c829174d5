/* The caller's terminal, which no box ever gets. Two ways to let a command at it all the same. Loop
 * thread.
 *
 * terminal_*: `--tty`. The box has a terminal of its own; this one goes raw, and whatever is typed
 * goes there, control characters too. It is put back as it was on every way out that a process can
 * take part in.
 *
 * feed_*: standard input is a terminal (or a pipe that no box should open), the box has a pipe. A
 * line is read only when the one before was taken, so that hardly more than a command reads is
 * taken from whoever comes after it; and nothing is read while somebody else is in the foreground.
 */
#pragma once
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

struct terminal;

struct terminal_events {
	/* what the box said at its terminal; false: no more until terminal_pause(t, false) */
	bool (*on_output)(void *owner, const void *bytes, size_t n);
	/* ours is gone */
	void (*on_hangup)(void *owner);
};

/* terminal_new(loop, ev, owner, e): of standard input; it is left alone so far, but we are stopped
 * until we are in its foreground (SIGTTOU). ERR_USAGE where it is none. Close it with
 * terminal_close. */
struct terminal *terminal_new(uv_loop_t *loop, const struct terminal_events *ev, void *owner,
			      struct err *e) must_check;
/* terminal_attach(t, master_fd, e): master_fd, taken, gets the size and settings of ours; ours goes
 * raw, and both are copied to each other. */
int terminal_attach(struct terminal *t, int master_fd, struct err *e) must_check;
/* terminal_pause(t, paused): of what the box says. */
void terminal_pause(struct terminal *t, bool paused);
/* terminal_resize(t): ours has another size. */
void terminal_resize(struct terminal *t);
/* terminal_leave(t), terminal_enter(t): as it was before; raw again, and its size looked at. What
 * it is when it is entered is what it will be when it is left. */
void terminal_leave(struct terminal *t);
void terminal_enter(struct terminal *t);
/* terminal_drain(t): the box has ended: what it said last is told. Ours stays raw until that is
 * written: the box's terminal has put it into the shape it is to have. */
void terminal_drain(struct terminal *t);
/* terminal_close(t): freed when the loop has let go of it. NULL is fine. */
void terminal_close(struct terminal *t);

struct feed;

/* feed_new(loop, fd, e): from standard input, a terminal or a pipe, to the pipe whose other end,
 * the box's, becomes *fd: the caller's to close. */
struct feed *feed_new(uv_loop_t *loop, int *fd, struct err *e) must_check;
void feed_close(struct feed *f);
