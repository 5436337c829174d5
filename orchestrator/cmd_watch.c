#include "orchestrator/commands.h"

#include "base/dir.h"
#include "base/text.h"
#include "orchestrator/control.h"
#include "orchestrator/options.h"
#include "orchestrator/state.h"
#include "orchestrator/table.h"
#include "orchestrator/watch.h"

#include <argp.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>

enum { WATCH_LINE = 4 << 20, WATCH_PLAIN = 10 /* of so many snapshots one is told */ };

struct watch {
	struct options_common common;
	int fd, signals;
	bool screen; /* a terminal at both ends */
	struct termios was;
	struct text in;
	json_t *last; /* the newest snapshot */
	size_t seen;  /* snapshots */
	char *end;    /* how the run ended */
	bool quit;
};

static const struct argp_child watch_children[] = {{&options_common_argp, 0, NULL, 0}, {0}};

static error_t watch_parse(int key, char *arg, struct argp_state *st)
{
	struct watch *w = st->input;
	(void)arg;
	if (key != ARGP_KEY_INIT)
		return ARGP_ERR_UNKNOWN;
	st->child_inputs[0] = &w->common;
	return 0;
}

static const struct argp watch_argp = {
	NULL,
	watch_parse,
	"",
	"Show the run that goes on, live: what runs and since when, how long it will take, what "
	"was "
	"found last. q leaves it. Where standard output is no terminal: a line every few seconds; "
	"with "
	"--json every snapshot as an object of its own.\v"
	"Example:\n  assay watch\n  assay watch --json | jq .done",
	watch_children,
	NULL,
	NULL,
};

/* ---- the terminal ---- */

static void put(const char *s, size_t n)
{
	if (dir_write_all(STDOUT_FILENO, s, n))
		return; /* nobody looks any more: the next read or signal ends it */
}

static void screen_enter(struct watch *w)
{
	static const char enter[] = "\033[?1049h\033[?25l\033[2J";
	if (tcgetattr(STDIN_FILENO, &w->was)) {
		w->screen = false;
		return;
	}
	struct termios raw = w->was;
	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	raw.c_cc[VMIN] = 1;
	raw.c_cc[VTIME] = 0;
	tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	put(enter, sizeof(enter) - 1);
}

static void screen_leave(const struct watch *w)
{
	static const char leave[] = "\033[?25h\033[?1049l";
	if (!w->screen)
		return;
	put(leave, sizeof(leave) - 1);
	tcsetattr(STDIN_FILENO, TCSADRAIN, &w->was);
}

static void screen_draw(const struct watch *w)
{
	auto_text struct text t = TEXT_INIT;
	struct winsize size = {.ws_col = 80, .ws_row = 24};
	ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
	text_add(&t, "\033[H");
	watch_screen(w->last, size.ws_col ? size.ws_col : 80, size.ws_row ? size.ws_row : 24,
		     table_colours(stdout), &t);
	text_add(&t, "\033[J");
	put(t.p, t.n);
}

/* ---- what comes ---- */

static void tell_plain(const struct watch *w)
{
	auto_text struct text t = TEXT_INIT;
	watch_line(w->last, &t);
	printf("%s\n", text_str(&t));
	fflush(stdout);
}

static void on_snapshot(struct watch *w, json_t *j)
{
	const char *end = json_string_value(json_object_get(j, "end"));
	if (w->common.json) {
		json_dumpf(j, stdout, JSON_COMPACT);
		putchar('\n');
		fflush(stdout);
	}
	if (end) {
		w->end = own_dup(end);
		json_decref(j);
		return;
	}
	json_decref(w->last);
	w->last = j;
	if (w->screen)
		screen_draw(w);
	else if (!w->common.json && w->seen % WATCH_PLAIN == 0)
		tell_plain(w);
	w->seen++;
}

static int on_lines(struct watch *w, struct err *e)
{
	char *nl;
	while (w->in.n && (nl = memchr(w->in.p, '\n', w->in.n))) {
		json_error_t je;
		size_t n = (size_t)(nl - w->in.p);
		json_t *j = json_loadb(w->in.p, n, 0, &je);
		if (!j)
			return err_set(e, ERR_CORRUPT, "the run's answer: %s", je.text);
		on_snapshot(w, j);
		memmove(w->in.p, nl + 1, w->in.n - n - 1);
		w->in.n -= n + 1;
	}
	return w->in.n > WATCH_LINE ? err_set(e, ERR_LIMIT, "the run's answer has no end") : 0;
}

static int on_socket(struct watch *w, struct err *e)
{
	char bytes[1 << 16];
	ssize_t n = read(w->fd, bytes, sizeof(bytes));
	if (n < 0)
		return errno == EINTR ? 0 : err_sys(e, "the run's answer");
	if (!n && !w->end)
		w->end = own_dup("gone");
	text_put(&w->in, bytes, (size_t)n);
	return on_lines(w, e);
}

static void on_key(struct watch *w)
{
	char key;
	ssize_t n = read(STDIN_FILENO, &key, 1);
	w->quit |= n <= 0 || key == 'q' || key == 3 || key == 4;
}

static void on_signal(struct watch *w)
{
	struct signalfd_siginfo s;
	if (read(w->signals, &s, sizeof(s)) != sizeof(s))
		return;
	if (s.ssi_signo != SIGWINCH)
		w->quit = true;
	else if (w->screen && w->last)
		screen_draw(w);
}

static int watch_loop(struct watch *w, struct err *e)
{
	struct pollfd fds[] = {{.fd = w->fd, .events = POLLIN},
			       {.fd = w->signals, .events = POLLIN},
			       {.fd = w->screen ? STDIN_FILENO : -1, .events = POLLIN}};
	while (!w->end && !w->quit) {
		if (poll(fds, countof(fds), -1) < 0 && errno != EINTR)
			return err_sys(e, "poll");
		if (fds[0].revents && on_socket(w, e))
			return -1;
		if (fds[1].revents)
			on_signal(w);
		if (fds[2].revents)
			on_key(w);
	}
	return 0;
}

static int watch_open(struct watch *w, struct err *e)
{
	sigset_t set;
	auto_free char *state = state_path(w->common.state, e);
	if (!state)
		return -1;
	json_t *request = json_pack("{s:s}", "do", "watch");
	w->fd = control_connect(state, e);
	int rc = w->fd < 0 ? -1 : control_send(w->fd, request, e);
	json_decref(request);
	sigemptyset(&set);
	for (size_t i = 0; i < 4; i++)
		sigaddset(&set, (int[]){SIGINT, SIGTERM, SIGHUP, SIGWINCH}[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	w->signals = signalfd(-1, &set, SFD_CLOEXEC);
	if (!rc && w->signals < 0)
		rc = err_sys(e, "signalfd");
	return rc;
}

int cmd_watch(int argc, char **argv)
{
	struct watch w = {.fd = -1, .signals = -1};
	struct err e = ERR_INIT;
	if (argp_parse(&watch_argp, argc, argv, 0, NULL, &w))
		return EXIT_USAGE;
	int rc = watch_open(&w, &e);
	if (!rc) {
		w.screen = !w.common.json && isatty(STDOUT_FILENO) && isatty(STDIN_FILENO);
		if (w.screen)
			screen_enter(&w);
		rc = watch_loop(&w, &e);
		screen_leave(&w);
	}
	if (!rc && w.last && !w.common.json)
		tell_plain(&w);
	if (!rc && w.end && !w.common.json)
		printf("the run is %s\n", w.end);
	json_decref(w.last);
	text_fini(&w.in);
	own_close(&w.fd);
	own_close(&w.signals);
	free(w.end);
	return rc ? command_fail(&e) : EXIT_OK;
}
