#include "sandbox/box/life_inside.h"

#include "base/message.h"
#include "sandbox/box/carry.h"
#include "sandbox/box/command.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

int life_reply(const struct plan_reply *r, int fd)
{
	struct message m = {.part = {{(void *)(uintptr_t)r, sizeof(*r)}},
			    .fds = &fd,
			    .n_fds = fd >= 0};
	return message_send(PLAN_SOCKET, &m, 0);
}

#define LIFE_NOTHING                                                                               \
	.birth = BIRTH_INIT, .network = {.report_fd = -1}, .userns_fd = -1, .built_fd = -1,        \
	.guard = GUARD_INIT, .task = {.mounts_fd = -1},                                            \
	.end = {                                                                                   \
		.kind = PLAN_ENDED,                                                                \
		.version = PLAN_VERSION,                                                           \
		.command_status = -1,                                                              \
	}

void life_init(struct life *l, const struct serve *s, struct ahead *ahead)
{
	*l = (struct life){LIFE_NOTHING, .way = s->way, .uppers = {.least = s->uppers},
			   .ahead = ahead, .looks = LOOKS_INIT};
}

static void life_refuse(struct life *l, const struct err *e)
{
	snprintf(l->end.error, sizeof(l->end.error), "%.*s", (int)sizeof(l->end.error) - 1,
		 e->text);
	birth_fini(&l->birth);
	group_end(&l->group, &l->end);
	life_reply(&l->end, -1);
}

void life_begin(struct life *l, const struct serve *s, struct plan_start *start, int *fds,
		size_t *n)
{
	struct err e = ERR_INIT;
	*l = (struct life){LIFE_NOTHING,
			   .way = l->way,
			   .uppers = l->uppers,
			   .ahead = l->ahead,
			   .looks = l->looks,
			   .group = l->group,
			   .end_signal = s->kind->end ? s->kind->end : SIGKILL,
			   .ranged = s->ids.ranged};
	ahead_look(l->ahead);
	if (group_begin(&l->group, start, fds, n, &e) ||
	    birth_make(&l->birth, s->kind, &l->ahead->birth, start, fds, *n, &s->ids, l->way,
		       s->only_way, &l->uppers, &e)) {
		life_refuse(l, &e);
		return;
	}
	l->pid = l->birth.pid;
	struct plan_reply born = {.kind = PLAN_BORN, .version = PLAN_VERSION, .pid = l->birth.pid};
	life_reply(&born, l->birth.pidfd);
	ahead_began(l->ahead, s->kind, start, l->birth.spec.flags);
}

void life_say(struct life *l, enum init_kind kind, uint32_t signal)
{
	struct init_message m = {.kind = kind, .status = (int32_t)signal};
	if (l->birth.pid && send(l->birth.socket, &m, sizeof(m), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		return; /* it has ended: the pidfd says so */
}

/* Tells what the look has seen; it is over then. */
void life_looked(struct look *k)
{
	struct plan_reply r = {.kind = PLAN_LOOKED, .version = PLAN_VERSION, .look = k->wanted};
	auto_fd int table_fd = -1;
	look_end(k, &r.seen, &table_fd);
	life_reply(&r, table_fd);
}

/* It holds the box's mounts. */
static void life_looked_last(struct look *k)
{
	if (k->pid)
		life_looked(k);
	look_leave(k);
}

void life_look(struct life *l, const struct plan_start *m, const int *fds, size_t n)
{
	bool own_mounts = l->birth.spec.flags & (PLAN_LOOSEN_USERNS | PLAN_LOOSEN_FUSE);
	struct look_at at = {l->pid, l->birth.ns, fds, n, own_mounts};
	struct look *k = m->look & PLAN_LOOK_DISK ? &l->looks.walk : &l->looks.rest;
	if (l->birth.pid && look_begin(k, m, &at))
		life_looked(k);
	for (size_t i = 0; i < n; i++)
		close(fds[i]);
}

void life_kill(struct life *l)
{
	guard_warn(&l->guard);
	if (l->birth.pid)
		syscall(SYS_pidfd_send_signal, l->birth.pidfd, l->end_signal, NULL, 0);
}

static void life_fuse_end(struct life *l)
{
	for (size_t i = 0; i < l->n_fuse; i++) {
		char said[160], error[PLAN_ERROR];
		fuse_end(&l->fuse[i], said, sizeof(said));
		if (!l->end.error[0] || !said[0])
			continue;
		memcpy(error, l->end.error, sizeof(error));
		snprintf(l->end.error, sizeof(l->end.error), "%.300s (fuse-overlayfs: %s)", error,
			 said);
	}
	free(l->fuse);
	l->fuse = NULL;
	l->n_fuse = 0;
	fuse_task_fini(&l->task);
}

/* All of the box is gone: what it left becomes the caller's. What is not to be kept is told to the
 * job, and keeps it from having passed. */
static void life_carry(struct life *l)
{
	struct err e = ERR_INIT;
	bool refused = false;
	for (size_t i = 0; i < l->n_carry; i++) {
		struct carried *c = &l->carry[i];
		struct layer *upper = &l->birth.layers.all[c->layer];
		auto_fd int to = l->ran && !e.kind ? layer_inside(upper, &e) : -1;
		struct carry what = {.from = c->fd, .to = to, .marks = c->marks, .fuse = c->fuse};
		if (to >= 0 && carry_run(&what, l->userns_fd, l->ranged, &e)) {
			refused = e.kind == ERR_HOSTILE;
			if (!refused)
				err_add(&e, "%s/%s", upper->path, upper->name);
		}
		close(c->fd);
	}
	if (e.kind && !l->end.error[0]) {
		snprintf(l->end.error, sizeof(l->end.error), "%.*s", (int)sizeof(l->end.error) - 1,
			 e.text);
		l->end.refused = refused;
		if (refused && !l->end.command_status)
			l->end.command_status = COMMAND_REFUSED << 8;
	}
	free(l->carry);
	l->carry = NULL;
	l->n_carry = 0;
	own_close(&l->userns_fd);
}

void life_fail(struct life *l, const struct err *e)
{
	if (!l->end.error[0])
		snprintf(l->end.error, sizeof(l->end.error), "%.*s", (int)sizeof(l->end.error) - 1,
			 e->text);
	life_kill(l);
}

void life_network_heard(struct life *l)
{
	struct err e = ERR_INIT;
	int rc = network_hear(&l->network, &e);
	if (rc > 0)
		life_say(l, INIT_ONLINE, 0);
	else if (rc < 0)
		life_fail(l, &e);
	else
		l->end.network_lost = 1;
}

/* What came since the last poll, and while the box was ending. */
static void life_network_last(struct life *l)
{
	struct pollfd p = {.fd = l->network.report_fd, .events = POLLIN};
	if (l->network.up && p.fd >= 0 && poll(&p, 1, 0) > 0)
		life_network_heard(l);
}

static uint64_t life_ns(const struct timeval *t)
{
	return (uint64_t)t->tv_sec * 1000000000u + (uint64_t)t->tv_usec * 1000u;
}

/* Pid 1 can be waited for once all of its namespace has been: with it the last mount is gone. */
void life_end(struct life *l)
{
	struct rusage usage = {.ru_maxrss = 0};
	int status = 0;
	life_looked_last(&l->looks.walk);
	life_looked_last(&l->looks.rest);
	while (l->birth.socket_open && life_hear(l)) {
		struct pollfd p = {.fd = l->birth.socket, .events = POLLIN};
		if (poll(&p, 1, 0) <= 0)
			break;
	}
	life_network_last(l);
	while (wait4(l->birth.pid, &status, __WALL, &usage) < 0 && errno == EINTR)
		;
	group_end(&l->group, &l->end);
	if (l->used.kind)
		usage = l->used.used;
	l->end.pid = l->birth.pid;
	l->end.init_status = status;
	l->end.user_ns = life_ns(&usage.ru_utime);
	l->end.system_ns = life_ns(&usage.ru_stime);
	l->end.peak_bytes = (uint64_t)usage.ru_maxrss * 1024;
	l->end.io_read_bytes = (uint64_t)usage.ru_inblock * 512;
	l->end.io_write_bytes = (uint64_t)usage.ru_oublock * 512;
	/* They hold the box's mounts, and fuse-overlayfs with them. */
	guard_end(&l->guard);
	own_close(&l->built_fd);
	look_ns_close(&l->birth.ns);
	life_fuse_end(l);
	life_carry(l);
	l->end.network_lost |= network_end(&l->network);
	birth_fini(&l->birth);
	ahead_ended(l->ahead);
	life_reply(&l->end, -1);
}

void life_leave(struct life *l)
{
	if (!l->birth.pid)
		return;
	life_kill(l);
	while (waitpid(l->birth.pid, NULL, __WALL) < 0 && errno == EINTR)
		;
	guard_end(&l->guard);
	network_end(&l->network);
	group_end(&l->group, &l->end);
}
