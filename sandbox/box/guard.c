#include "sandbox/box/guard.h"

#include "base/child.h"
#include "base/clock.h"
#include "base/own.h"
#include "sandbox/box/claim.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MS INT64_C(1000000)
#define GUARD_AGAIN_MS 1000
#define GUARD_TIMES 60      /* whoever waits for something else by then is not helped by this */
#define GUARD_SHARE 10      /* of a processor's time a tenth, however fast the job mounts */
#define GUARD_REST (1 * MS) /* between two looks, at the least */

/* Where its descriptors are: it says nothing and asks nobody. */
enum { GUARD_TIE, GUARD_MOUNTS, GUARD_OVER, GUARD_BUILT, GUARD_HELPER, GUARD_FIRST_FREE };

void guard_tell(int socket, enum init_kind kind)
{
	struct init_message m = {.kind = (uint32_t)kind};
	auto_fd int fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
	init_say(socket, &m, fd);
}

static int patience(int64_t now, int64_t at)
{
	return at <= now ? 0 : (int)((at - now + MS - 1) / MS);
}

static void guard_watch(struct claim *c) __attribute__((noreturn));
static void guard_watch(struct claim *c)
{
	int64_t help_at = INT64_MAX, look_at = 0, now = clock_mono_ns();
	for (unsigned times = 0; times < GUARD_TIMES;) {
		bool warned = help_at != INT64_MAX, rests = now < look_at;
		struct pollfd p[] = {
			{.fd = GUARD_OVER, .events = POLLIN},
			{.fd = warned ? -1 : GUARD_TIE, .events = POLLIN},
			{.fd = warned ? -1 : GUARD_HELPER, .events = POLLIN},
			{.fd = c->nested >= 0 && !rests ? GUARD_MOUNTS : -1, .events = POLLPRI},
		};
		int64_t until = rests && look_at < help_at ? look_at : help_at;
		if (poll(p, countof(p), until == INT64_MAX ? -1 : patience(now, until)) < 0 &&
		    errno != EINTR)
			_exit(1);
		now = clock_mono_ns();
		if (p[0].revents)
			_exit(0);
		if (p[1].revents || p[2].revents)
			help_at = now + GUARD_MS * MS;
		if (p[3].revents) {
			claim_look(c);
			int64_t took = clock_mono_ns() - now;
			now += took;
			look_at = now + GUARD_REST + took * GUARD_SHARE;
		}
		if (now >= help_at) {
			claim_abort(c);
			help_at = now + GUARD_AGAIN_MS * MS;
			times++;
		}
	}
	_exit(1);
}

/* What it knows is in descriptors, of which a job may make it keep many. */
static void guard_take(const struct guard_box *box, int tie, int helper)
{
	const int from[] = {tie, box->nested, box->pidfd, box->built, helper};
	int high[countof(from)];
	struct rlimit files;
	for (size_t i = 0; i < countof(from); i++)
		high[i] = from[i] < 0 ? -1 : fcntl(from[i], F_DUPFD_CLOEXEC, GUARD_FIRST_FREE);
	for (int i = 0; i < (int)countof(from); i++)
		if (high[i] < 0 || dup3(high[i], i, O_CLOEXEC) < 0)
			close(i);
	close_range(GUARD_FIRST_FREE, ~0u, 0);
	if (getrlimit(RLIMIT_NOFILE, &files))
		return;
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
}

static void guard_run(const struct guard_box *box, int tie, int helper) __attribute__((noreturn));
static void guard_run(const struct guard_box *box, int tie, int helper)
{
	struct claim c;
	int nested = box->nested < 0 ? -1 : GUARD_MOUNTS;
	prctl(PR_SET_NAME, "assay-guard");
	guard_take(box, tie, helper);
	if (!claim_open(&c, box->built < 0 ? -1 : GUARD_BUILT, nested, box->pid, box->uid))
		_exit(1);
	guard_watch(&c);
}

/* That the helper is gone its pidfd tells: others may have copies of the pipe's end. */
void guard_begin(struct guard *g, const struct guard_box *box)
{
	int tie[2];
	auto_fd int helper = (int)syscall(SYS_pidfd_open, getpid(), 0);
	if (helper < 0 || pipe2(tie, O_CLOEXEC))
		return;
	g->pid = fork();
	if (!g->pid) {
		close(tie[1]);
		guard_run(box, tie[0], helper);
	}
	close(tie[0]);
	if (g->pid > 0) {
		g->tie = tie[1];
		return;
	}
	g->pid = 0;
	close(tie[1]);
}

void guard_warn(struct guard *g)
{
	if (g->tie >= 0)
		(void)!write(g->tie, "", 1); /* if it is gone, it could not help here */
	own_close(&g->tie);
}

void guard_end(struct guard *g)
{
	own_close(&g->tie);
	if (!g->pid)
		return;
	kill(g->pid, SIGKILL);
	child_end(g->pid);
	g->pid = 0;
}
