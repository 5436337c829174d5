#include "orchestrator/hand.h"

#include "base/clock.h"
#include "orchestrator/outlet.h"
#include "orchestrator/sandbox_stdio.h"
#include "orchestrator/terminal.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#define AGAIN_NS (2 * INT64_C(1000000000)) /* a second Ctrl-C within this time ends the box */

static const int handled[] = {SIGHUP,  SIGINT,  SIGQUIT, SIGTERM, SIGUSR1,
			      SIGUSR2, SIGTSTP, SIGCONT, SIGWINCH};

struct life {
	struct hand *h;
	uv_loop_t loop;
	struct sandbox *sandbox;
	struct box *box; /* NULL: not yet, or over */
	struct terminal *terminal;
	struct feed *feed;
	struct outlet *outlet; /* for what the command says where it has not our own descriptors */
	uv_signal_t signals[countof(handled)];
	size_t n_signals;
	uv_timer_t grace;       /* runs when it was told to go */
	int64_t interrupted_ns; /* the last Ctrl-C */
	int cause;              /* the signal for which the box was ended by us */
	bool over, closing;
};

static void life_ends(struct life *l, const struct box_facts *f)
{
	l->over = true;
	l->h->passed = f->end == BOX_EXITED && !f->exit_code && !f->oom_kills;
	l->h->end = sandbox_end_of(f, l->cause);
	sandbox_end_line(f, &l->h->line);
	l->h->facts = sandbox_end_json(f, l->h->box->net);
}

/* Before there was a box, or in place of one. */
static int life_fails(struct life *l, const struct err *e)
{
	struct box_facts f = {.end = BOX_FAILED,
			      .exit_code = -1,
			      .started_ms = clock_real_ms(),
			      .cgroup = "none"};
	snprintf(f.error, sizeof(f.error), "%.*s", (int)sizeof(f.error) - 1, e->text);
	life_ends(l, &f);
	return -1;
}

static void on_closed(void *owner)
{
	(void)owner;
}

/* The box is over and all that it said is written. */
static void life_settle(struct life *l)
{
	if (!l->over || l->closing || !outlet_idle(l->outlet))
		return;
	l->closing = true;
	terminal_close(l->terminal);
	feed_close(l->feed);
	l->terminal = NULL;
	if (l->sandbox)
		sandbox_close(l->sandbox, on_closed, l);
}

static void life_end_box(struct life *l, int cause, bool gently)
{
	l->cause = l->cause ? l->cause : cause;
	if (l->box)
		box_cancel(l->box, gently);
}

/* ---- what it says ---- */

static void on_idle(void *owner)
{
	struct life *l = owner;
	if (l->box)
		box_pause_output(l->box, false);
	if (l->box && l->terminal)
		terminal_pause(l->terminal, false);
	life_settle(l);
}

static void on_broken(void *owner, int error)
{
	struct life *l = owner;
	if (error != EPIPE)
		fprintf(stderr, "assay: write the command's output: %s\n", strerror(error));
	life_end_box(l, error == EPIPE ? SIGPIPE : 0, false);
}

static void on_output(void *owner, const void *bytes, size_t n)
{
	struct life *l = owner;
	if (!outlet_put(l->outlet, bytes, n))
		box_pause_output(l->box, true);
}

static bool on_terminal_output(void *owner, const void *bytes, size_t n)
{
	struct life *l = owner;
	return outlet_put(l->outlet, bytes, n);
}

static void on_hangup(void *owner)
{
	struct life *l = owner;
	if (l->box)
		box_signal(l->box, SIGHUP);
	life_end_box(l, SIGHUP, true);
}

static void on_terminal(void *owner, int fd)
{
	struct life *l = owner;
	struct err e = ERR_INIT;
	if (!terminal_attach(l->terminal, fd, &e))
		return;
	fprintf(stderr, "assay: %s\n", e.text);
	life_end_box(l, 0, false);
}

static void on_end(void *owner, const struct box_facts *facts)
{
	struct life *l = owner;
	l->box = NULL;
	if (l->terminal)
		terminal_drain(l->terminal);
	life_ends(l, facts);
	life_settle(l);
}

/* ---- signals ---- */

/* Ctrl-Z of a command that has not a terminal of its own stops both; it is not in our session, so
 * nobody but us can do that. */
static void life_stop(struct life *l)
{
	bool both = l->box && !l->terminal;
	if (l->terminal)
		terminal_leave(l->terminal);
	if (both) {
		box_signal(l->box, SIGSTOP);
		box_pause_output(l->box, true); /* silence is not counted */
	}
	raise(SIGSTOP);
	if (both) {
		box_signal(l->box, SIGCONT);
		box_pause_output(l->box, !outlet_idle(l->outlet));
	}
}

/* The box is over, and its last words can't be written: nobody waits for that who asks twice. */
static void life_leave(struct life *l, int signal)
{
	terminal_close(l->terminal);
	l->h->leave(l->h->owner);
	sandbox_end_die(signal);
}

/* A shell at a terminal ignores SIGTERM, and any command may; who was told to go goes. */
static void on_grace(uv_timer_t *timer)
{
	life_end_box(timer->data, SIGTERM, false);
}

static void life_forward(struct life *l, int signal)
{
	int64_t now = clock_mono_ns();
	if (!l->box) {
		life_leave(l, signal);
		return;
	}
	if (signal == SIGINT && l->interrupted_ns && now - l->interrupted_ns < AGAIN_NS) {
		life_end_box(l, signal, false);
		return;
	}
	if (signal == SIGINT)
		l->interrupted_ns = now;
	box_signal(l->box, signal);
	if (signal == SIGTERM && !uv_is_active((uv_handle_t *)&l->grace))
		uv_timer_start(&l->grace, on_grace, l->h->box->limits.grace_ms, 0);
}

static void on_signal(uv_signal_t *handle, int signal)
{
	struct life *l = handle->data;
	if (signal == SIGTSTP)
		life_stop(l);
	else if (signal == SIGWINCH && l->terminal)
		terminal_resize(l->terminal);
	else if (signal == SIGCONT && l->terminal)
		terminal_enter(l->terminal);
	else if (signal != SIGWINCH && signal != SIGCONT)
		life_forward(l, signal);
}

/* What whoever started us has ignored (nohup, a shell's background) stays ignored. From when there
 * is something to be put away: what comes before the loop runs waits for it. */
static void life_signals(struct life *l)
{
	signal(SIGPIPE, SIG_IGN);
	uv_timer_init(&l->loop, &l->grace);
	uv_unref((uv_handle_t *)&l->grace);
	l->grace.data = l;
	for (size_t i = 0; i < countof(handled); i++) {
		struct sigaction was;
		if (sigaction(handled[i], NULL, &was) || was.sa_handler == SIG_IGN)
			continue;
		uv_signal_t *s = &l->signals[l->n_signals++];
		uv_signal_init(&l->loop, s);
		s->data = l;
		uv_signal_start(s, on_signal, handled[i]);
		uv_unref((uv_handle_t *)s);
	}
}

static void life_signals_close(struct life *l)
{
	uv_close((uv_handle_t *)&l->grace, NULL);
	for (size_t i = 0; i < l->n_signals; i++)
		uv_close((uv_handle_t *)&l->signals[i], NULL);
	uv_run(&l->loop, UV_RUN_DEFAULT);
}

/* ---- the way in ---- */

static int life_open(struct life *l, struct err *e)
{
	static const struct terminal_events terminal = {on_terminal_output, on_hangup};
	if (l->h->box->terminal && !(l->terminal = terminal_new(&l->loop, &terminal, l, e)))
		return -1;
	l->h->conf.first = l->h->box;
	l->sandbox = sandbox_open(&l->loop, &l->h->conf, e);
	return l->sandbox ? 0 : -1;
}

static int life_start(struct life *l, struct err *e)
{
	static const struct box_events events = {on_output, on_end, on_terminal};
	static const struct outlet_events outlet = {on_idle, on_broken};
	struct hand *h = l->h;
	int stdio[3] = {-1, -1, -1};
	if (!h->box->terminal && !h->apart) {
		sandbox_stdio_of(&h->box->limits, h->stdin_taken, stdio);
		h->box->stdio = stdio;
		if (sandbox_stdio_fed(h->stdin_taken) &&
		    !(l->feed = feed_new(&l->loop, &stdio[0], e)))
			return -1;
	}
	/* where one stream alone is copied, it is that one's */
	bool errors = h->apart || (stdio[1] >= 0 && stdio[2] < 0);
	l->outlet = outlet_new(&l->loop, errors ? 2 : 1, &outlet, l);
	l->box = box_start(l->sandbox, h->box, &events, l, e);
	h->box->stdio = NULL;
	if (l->feed)
		own_close(&stdio[0]);
	return l->box ? 0 : -1;
}

static int life_begin(struct life *l, struct err *e)
{
	life_signals(l);
	return l->h->open(l->h->owner, e) || life_open(l, e) || life_start(l, e) ? -1 : 0;
}

void hand_run(struct hand *h)
{
	struct life l = {.h = h};
	struct err e = ERR_INIT;
	uv_loop_init(&l.loop);
	if (life_begin(&l, &e))
		life_fails(&l, &e);
	if (!l.outlet)
		l.outlet = outlet_new(&l.loop, 1, NULL, NULL);
	if (l.box)
		sandbox_sweep_now(h->conf.name); /* while it is being made */
	life_settle(&l);
	uv_run(&l.loop, UV_RUN_DEFAULT);
	h->close(h->owner);
	life_signals_close(&l);
	outlet_free(l.outlet);
	uv_loop_close(&l.loop);
}

void hand_fini(struct hand *h)
{
	text_fini(&h->line);
	json_decref(h->facts);
	h->facts = NULL;
}
