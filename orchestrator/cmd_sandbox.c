/* assay sandbox: one command in one box, by hand. What of standard input, output and error is no
 * terminal the command gets as it is; of one that is a terminal it gets a copy (terminal.h). */
#include "orchestrator/commands.h"

#include "base/clock.h"
#include "base/dir.h"
#include "orchestrator/outlet.h"
#include "orchestrator/sandbox_end.h"
#include "orchestrator/sandbox_spec.h"
#include "orchestrator/sandbox_stdio.h"
#include "orchestrator/state.h"
#include "orchestrator/terminal.h"

#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>

#define BOX_NAME "assay-sandbox"           /* of its cgroups */
#define AGAIN_NS (2 * INT64_C(1000000000)) /* a second Ctrl-C within this time ends the box */

static const int handled[] = {SIGHUP,  SIGINT,  SIGQUIT, SIGTERM, SIGUSR1,
			      SIGUSR2, SIGTSTP, SIGCONT, SIGWINCH};

struct life {
	const struct sandbox_options *o;
	struct sandbox_spec spec;
	uv_loop_t loop;
	struct sandbox *sandbox;
	struct box *box; /* NULL: not yet, or over */
	struct terminal *terminal;
	struct feed *feed;
	struct outlet *outlet; /* for what the command says where it has not our own descriptors */
	uv_signal_t signals[countof(handled)];
	size_t n_signals;
	int64_t interrupted_ns; /* the last Ctrl-C */
	int cause;              /* the signal for which the box was ended by us */
	int json_fd;
	bool over, closing;
	struct sandbox_end end;
	struct text line; /* that a person is told at the end */
	json_t *facts;
};

static void life_ends(struct life *l, const struct box_facts *f)
{
	l->over = true;
	l->end = sandbox_end_of(f, l->cause);
	sandbox_end_line(f, &l->line);
	l->facts = sandbox_end_json(f, l->o->net);
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

static int life_tell(struct life *l);

/* The box is over, and its last words can't be written: nobody waits for that who asks twice. */
static void life_leave(struct life *l, int signal)
{
	terminal_close(l->terminal);
	sandbox_spec_close(&l->spec);
	if (l->o->json && strcmp(l->o->json, "-"))
		life_tell(l);
	sandbox_end_die(signal);
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
	for (size_t i = 0; i < l->n_signals; i++)
		uv_close((uv_handle_t *)&l->signals[i], NULL);
	uv_run(&l->loop, UV_RUN_DEFAULT);
}

/* ---- the way in ---- */

static int life_json(struct life *l, struct err *e)
{
	l->json_fd = -1;
	if (!l->o->json)
		return 0;
	l->json_fd = !strcmp(l->o->json, "-")
			     ? fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3)
			     : open(l->o->json, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	return l->json_fd < 0 ? err_sys(e, "--json %s", l->o->json) : 0;
}

static int life_open(struct life *l, struct err *e)
{
	struct err none = ERR_INIT;
	auto_free char *state = state_path(l->o->state, &none);
	struct sandbox_conf conf = {
		.executor = l->o->executor,
		.ids = l->o->ids,
		.best_effort = l->o->best_effort,
		.helper = getenv("ASSAY_BOX"),
		.slots = 1,
		.name = BOX_NAME,
		.verbose = l->o->verbose,
		.no_probe = true,
		.first = &l->spec.box,
	};
	static const struct terminal_events terminal = {on_terminal_output, on_hangup};
	if (state && !access(state, X_OK))
		conf.given = state; /* its layers are ours */
	if (l->o->tty && !(l->terminal = terminal_new(&l->loop, &terminal, l, e)))
		return -1;
	l->sandbox = sandbox_open(&l->loop, &conf, e);
	return l->sandbox ? 0 : -1;
}

static int life_start(struct life *l, struct err *e)
{
	static const struct box_events events = {on_output, on_end, on_terminal};
	static const struct outlet_events outlet = {on_idle, on_broken};
	struct sandbox_spec *s = &l->spec;
	int stdio[3] = {-1, -1, -1};
	if (!l->o->tty) {
		sandbox_stdio_of(l->o, s, stdio);
		s->box.stdio = stdio;
		if (sandbox_stdio_fed(s) && !(l->feed = feed_new(&l->loop, &stdio[0], e)))
			return -1;
	}
	/* where one stream alone is copied, it is that one's */
	l->outlet = outlet_new(&l->loop, stdio[1] >= 0 && stdio[2] < 0 ? 2 : 1, &outlet, l);
	l->box = box_start(l->sandbox, &s->box, &events, l, e);
	if (l->feed)
		own_close(&stdio[0]);
	return l->box ? 0 : -1;
}

static int life_begin(struct life *l, struct err *e)
{
	if (life_json(l, e) || sandbox_spec_read(&l->spec, l->o, true, e))
		return -1;
	life_signals(l);
	return sandbox_spec_open(&l->spec, l->o, true, e) || life_open(l, e) || life_start(l, e)
		       ? -1
		       : 0;
}

static void life_run(struct life *l)
{
	struct err e = ERR_INIT;
	if (life_begin(l, &e))
		life_fails(l, &e);
	if (!l->outlet)
		l->outlet = outlet_new(&l->loop, 1, NULL, NULL);
	if (l->box)
		sandbox_sweep_now(BOX_NAME); /* while it is being made */
	life_settle(l);
	uv_run(&l->loop, UV_RUN_DEFAULT);
	sandbox_spec_close(&l->spec);
	life_signals_close(l);
	outlet_free(l->outlet);
}

static int life_tell(struct life *l)
{
	int status = l->end.status;
	if (l->line.n)
		fprintf(stderr, "assay: %s\n", text_str(&l->line));
	if (l->json_fd >= 0) {
		auto_free char *j = json_dumps(l->facts, JSON_INDENT(2));
		if (dir_write_all(l->json_fd, j, strlen(j)) || dir_write_all(l->json_fd, "\n", 1)) {
			fprintf(stderr, "assay: --json %s: %s\n", l->o->json, strerror(errno));
			status = SANDBOX_OURS;
			l->end.signal = 0;
		}
		close(l->json_fd);
	}
	return status;
}

static int sandbox_plan(const struct sandbox_options *o, struct err *e)
{
	struct sandbox_spec s;
	auto_text struct text t = TEXT_INIT;
	int stdio[3];
	int rc = sandbox_spec_read(&s, o, false, e) || sandbox_spec_open(&s, o, false, e) ? -1 : 0;
	sandbox_stdio_of(o, &s, stdio);
	if (!o->tty)
		s.box.stdio = stdio;
	if (!rc)
		rc = box_describe(&s.box, &t, e);
	if (!rc)
		fwrite(text_str(&t), 1, t.n, stdout);
	sandbox_spec_close(&s);
	return rc;
}

int cmd_sandbox(int argc, char **argv)
{
	struct sandbox_options o;
	struct err e = ERR_INIT;
	struct life l = {.o = &o, .json_fd = -1};
	argp_err_exit_status = SANDBOX_OURS;
	int rc = sandbox_stdio_standard(&e) || sandbox_options_read(&o, argc, argv, &e) ||
		 (o.plan && sandbox_plan(&o, &e));
	if (rc)
		fprintf(stderr, "assay: sandbox: %s\n", e.text);
	if (rc || o.plan) {
		sandbox_options_fini(&o);
		return rc ? SANDBOX_OURS : EXIT_OK;
	}
	uv_loop_init(&l.loop);
	life_run(&l);
	uv_loop_close(&l.loop);
	int status = life_tell(&l);
	text_fini(&l.line);
	json_decref(l.facts);
	sandbox_options_fini(&o);
	if (l.end.signal)
		sandbox_end_die(l.end.signal);
	return status;
}
