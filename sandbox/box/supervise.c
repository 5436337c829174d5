#include "sandbox/box/supervise.h"

#include "sandbox/box/crowd.h"
#include "sandbox/box/init.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static void on_child(int signal)
{
	(void)signal; /* only there so that ppoll returns */
}

void supervise_ready(void)
{
	struct sigaction child = {.sa_handler = on_child, .sa_flags = SA_RESTART};
	sigset_t all;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	sigaction(SIGCHLD, &child, NULL);
}

/* Moved to fd 3 and alone: everything else that is open goes. */
static int supervise_alone(int socket)
{
	if (socket != 3) {
		if (dup3(socket, 3, O_CLOEXEC) < 0)
			_exit(1);
		socket = 3;
	}
	for (int fd = 0; fd < 3; fd++)
		close(fd);
	if (close_range(4, ~0u, 0))
		_exit(1);
	return socket;
}

/* Reap what has ended, until there is none or the command was among them: true, with its status. An
 * endless row of orphans delays that for nobody. */
static bool supervise_reap(pid_t command, int *status)
{
	int st;
	for (pid_t pid; (pid = waitpid(-1, &st, WNOHANG | __WALL)) != 0;) {
		if (pid < 0 && errno == EINTR)
			continue;
		if (pid < 0)
			break;
		if (pid == command) {
			*status = st;
			return true;
		}
	}
	return false;
}

static void supervise_count(int socket, struct crowd *crowd, bool always)
{
	struct init_message m = {.kind = INIT_CROWD, .processes = crowd_count(crowd, always)};
	if (m.processes)
		init_say(socket, &m, -1);
}

void supervise_run(int helper, pid_t command, uint64_t processes)
{
	int socket = supervise_alone(helper);
	struct init_message m = {.kind = INIT_OVER};
	struct pollfd p = {.fd = socket, .events = POLLIN};
	struct crowd crowd;
	sigset_t none;
	crowd_init(&crowd, processes);
	sigemptyset(&none);
	/* Before what has ended is reaped: until then it counts. */
	while (supervise_count(socket, &crowd, false), !supervise_reap(command, &m.status)) {
		if (ppoll(&p, 1, crowd_pause(&crowd), &none) <= 0)
			continue;
		struct init_message in;
		if (recv(socket, &in, sizeof(in), MSG_DONTWAIT) <= 0)
			_exit(1); /* the helper is gone */
		if (in.kind == INIT_SIGNAL)
			kill(-command, in.status);
	}
	init_say(socket, &m, -1);
	/* The end of pid 1 is the end of all in its namespace (pid_namespaces(7)); waited for by
	 * hand, their times count in our rusage. kill(2) looks for them among all processes of the
	 * machine: not where there are none. */
	if (waitpid(-1, NULL, WNOHANG | __WALL) >= 0 || errno != ECHILD)
		kill(-1, SIGKILL);
	supervise_count(socket, &crowd, true);
	while (waitpid(-1, NULL, __WALL) > 0 || errno == EINTR)
		;
	_exit(0);
}
