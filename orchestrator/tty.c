#include "orchestrator/tty.h"

#include "base/own.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

/* For the signals that end a process at once, too. */
static struct termios saved;
static volatile sig_atomic_t is_raw;
static struct termios raw; /* what we made of it, as the terminal took it */

bool tty_background(void)
{
	pid_t front = tcgetpgrp(STDIN_FILENO);
	return front > 0 && front != getpgrp();
}

void tty_wait(void)
{
	/* It starts output again that tcflow(3) has stopped: nothing, but asks as tcsetattr does.
	 */
	while (tcflow(STDIN_FILENO, TCOON) && errno == EINTR)
		;
}

int tty_settings(struct termios *t)
{
	if (is_raw)
		*t = saved;
	return is_raw ? 0 : tcgetattr(STDIN_FILENO, t);
}

static bool is_ours(const struct termios *t)
{
	return t->c_iflag == raw.c_iflag && t->c_oflag == raw.c_oflag &&
	       t->c_cflag == raw.c_cflag && t->c_lflag == raw.c_lflag &&
	       !memcmp(t->c_cc, raw.c_cc, sizeof(raw.c_cc));
}

static void on_fatal(int signal)
{
	if (is_raw)
		tcsetattr(STDIN_FILENO, TCSANOW, &saved);
	raise(signal); /* SA_RESETHAND: it ends us */
}

static void guard_one(int signal)
{
	struct sigaction was,
		act = {.sa_handler = on_fatal, .sa_flags = (int)(SA_RESETHAND | SA_NODEFER)};
	sigemptyset(&act.sa_mask);
	sigaddset(&act.sa_mask, SIGTTOU); /* it would stop who is about to end */
	if (!sigaction(signal, NULL, &was) && was.sa_handler == SIG_DFL)
		sigaction(signal, &act, NULL);
}

/* All that ends a process (signal(7)) and that nobody handles. */
static void guard(void)
{
	static const int fatal[] = {SIGHUP,  SIGINT,  SIGQUIT,   SIGILL,  SIGTRAP, SIGABRT,
				    SIGBUS,  SIGFPE,  SIGUSR1,   SIGSEGV, SIGUSR2, SIGPIPE,
				    SIGALRM, SIGTERM, SIGSTKFLT, SIGXCPU, SIGXFSZ, SIGVTALRM,
				    SIGPROF, SIGIO,   SIGPWR,    SIGSYS};
	for (size_t i = 0; i < countof(fatal); i++)
		guard_one(fatal[i]);
	for (int signal = SIGRTMIN; signal <= SIGRTMAX; signal++)
		guard_one(signal);
}

void tty_raw(void)
{
	struct termios now;
	if (tcgetattr(STDIN_FILENO, &now))
		return;
	guard();
	/* Stopped by SIGSTOP we could not put it back; whoever went on with it may have. */
	if (!is_raw || !is_ours(&now)) {
		is_raw = 0;
		saved = now;
	}
	raw = saved;
	cfmakeraw(&raw);
	is_raw = 1;
	tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	tcgetattr(STDIN_FILENO, &raw);
}

void tty_restore(void)
{
	struct termios now;
	sigset_t stop, before;
	if (!is_raw)
		return;
	/* In the background it would stop us: tcsetattr(3). */
	sigemptyset(&stop);
	sigaddset(&stop, SIGTTOU);
	sigprocmask(SIG_BLOCK, &stop, &before);
	if (!tty_background() || (!tcgetattr(STDIN_FILENO, &now) && is_ours(&now)))
		tcsetattr(STDIN_FILENO, TCSANOW, &saved);
	is_raw = 0;
	sigprocmask(SIG_SETMASK, &before, NULL);
}
