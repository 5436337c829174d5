/* What a box's pid 1 says, one message at a time (init.h). */
#include "sandbox/box/life_inside.h"

#include "base/message.h"
#include "sandbox/box/init.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

/* One message: fd came with it, or is -1, and is closed if it is not taken; pid: who said it, where
 * the socket is one that tells (SO_PASSCRED), else 0. */
struct heard {
	struct init_message m;
	int fd;
	pid_t pid;
};

static ssize_t heard_receive(struct heard *h, int socket)
{
	struct message m = {.part = {{&h->m, sizeof(h->m)}}, .fds = &h->fd, .n_fds = 1};
	ssize_t n = message_receive(socket, &m, MSG_DONTWAIT);
	h->pid = m.sender;
	return n;
}

/* The box's pid 1, if it is not who was cloned: it has other namespaces. */
static void life_found(struct life *l, pid_t pid)
{
	if (pid <= 0 || pid == l->pid)
		return;
	struct look_ns ns = LOOK_NS_INIT;
	l->pid = pid;
	look_ns_open(&ns, pid);
	/* The ids' may be the same; the others are opened when they are needed, from within it. */
	if (ns.user < 0) {
		ns.user = l->birth.ns.user;
		l->birth.ns.user = -1;
	}
	look_ns_close(&l->birth.ns);
	l->birth.ns = ns;
}

static void hear_runs(struct life *l, struct heard *h)
{
	uint32_t by = (uint32_t)h->m.status;
	if (!l->moved)
		l->way = (enum overlay_way)h->m.way;
	l->ran = true;
	life_found(l, h->pid);
	birth_spare(&l->birth);
	struct plan_reply r = {.kind = PLAN_RUNS,
			       .version = PLAN_VERSION,
			       .pid = l->pid,
			       .uppers = l->by > by ? l->by : by,
			       .exec_ns = h->m.exec_ns};
	life_reply(&r, -1);
}

static void hear_terminal(struct life *l, struct heard *h)
{
	struct plan_reply r = {.kind = PLAN_TERMINAL, .version = PLAN_VERSION};
	(void)l;
	life_reply(&r, h->fd);
}

/* The engine's container is there: from now on its pid 1 is spoken to. Who says this raised the
 * root; pid 1 knows nothing of that. */
static void hear_moved(struct life *l, struct heard *h)
{
	l->by = (uint32_t)h->m.status;
	l->way = (enum overlay_way)h->m.way;
	l->moved = true;
	if (h->fd < 0)
		return;
	close(l->birth.socket);
	l->birth.socket = give_fd(&h->fd);
}

static void hear_upper(struct life *l, struct heard *h)
{
	struct upper_known k = {h->m.dev, (enum plan_uppers)h->m.status,
				(enum upper_marks)h->m.way};
	uppers_learn(&l->uppers, &k);
}

static void hear_userns(struct life *l, struct heard *h)
{
	own_close(&l->userns_fd);
	l->userns_fd = give_fd(&h->fd);
}

static void hear_network(struct life *l, struct heard *h)
{
	struct err e = ERR_INIT;
	if (h->fd >= 0 && !l->network.pid &&
	    network_begin(&l->network, h->fd, l->birth.layers.ids, &e))
		life_fail(l, &e);
}

static void hear_carried(struct life *l, struct heard *h)
{
	if (h->fd < 0 || h->m.status < 0 || (size_t)h->m.status >= l->birth.layers.n)
		return;
	l->carry = own_grow(l->carry, l->n_carry + 1, sizeof(*l->carry));
	l->carry[l->n_carry++] = (struct carried){give_fd(&h->fd), (uint32_t)h->m.status,
						  (enum upper_marks)h->m.way, h->m.dev};
}

static void hear_room(struct life *l, struct heard *h)
{
	struct plan_reply r = {.kind = PLAN_ROOM,
			       .version = PLAN_VERSION,
			       .uppers = (uint32_t)h->m.status,
			       .seen = {.has = PLAN_LOOK_DISK,
					.disk_bytes = h->m.disk_bytes,
					.disk_inodes = h->m.disk_inodes}};
	(void)l;
	if (h->fd >= 0)
		life_reply(&r, h->fd);
}

static void hear_used(struct life *l, struct heard *h)
{
	l->used = h->m;
}

static void hear_mountns(struct life *l, struct heard *h)
{
	own_close(&l->task.mounts_fd);
	l->task.mounts_fd = give_fd(&h->fd);
}

static void hear_fuse_dir(struct life *l, struct heard *h)
{
	l->task.dirs = own_grow(l->task.dirs, l->task.n + 1, sizeof(*l->task.dirs));
	l->task.dirs[l->task.n++] = own_dup(h->m.error);
}

/* If it does not come to be, whoever looks into the mount is told that nobody is there. */
static void hear_fuse(struct life *l, struct heard *h)
{
	struct err e = ERR_INIT;
	if (h->fd < 0)
		return;
	l->task.ranged = l->ranged;
	l->fuse = own_grow(l->fuse, l->n_fuse + 1, sizeof(*l->fuse));
	if (l->task.n > 2 && l->userns_fd >= 0 && l->task.mounts_fd >= 0 &&
	    !fuse_serve(&l->fuse[l->n_fuse], &l->task, h->fd, l->userns_fd, &e))
		l->n_fuse++;
	fuse_task_fini(&l->task);
}

static void hear_built(struct life *l, struct heard *h)
{
	own_close(&l->built_fd);
	l->built_fd = give_fd(&h->fd);
	l->built_pid = h->pid > 0 ? h->pid : l->pid;
}

/* The command waits for it. Ids that others have too say nothing about whose a file system is. */
static void hear_nested(struct life *l, struct heard *h)
{
	const struct ids *ids = l->birth.layers.ids;
	const struct guard_box box = {.built = l->built_fd,
				      .nested = h->fd,
				      .pidfd = l->birth.pidfd,
				      .pid = l->built_pid,
				      .uid = ids->alone ? ids->uid : 0};
	if (!l->guard.pid)
		guard_begin(&l->guard, &box);
	own_close(&l->built_fd);
	life_say(l, INIT_GO, 0);
}

static void hear_over(struct life *l, struct heard *h)
{
	guard_warn(&l->guard);
	l->end.command_status = h->m.status;
	l->over = true;
}

static void hear_crowd(struct life *l, struct heard *h)
{
	struct plan_reply r = {.kind = PLAN_CROWD,
			       .version = PLAN_VERSION,
			       .seen = {.processes = h->m.processes}};
	(void)l;
	life_reply(&r, -1);
}

static void hear_failed(struct life *l, struct heard *h)
{
	memcpy(l->end.error, h->m.error, sizeof(h->m.error));
}

/* The rest is the helper's to say. */
static void (*const words[])(struct life *l, struct heard *h) = {
	[INIT_RUNS] = hear_runs,       [INIT_OVER] = hear_over,
	[INIT_FAILED] = hear_failed,   [INIT_TERMINAL] = hear_terminal,
	[INIT_MOVED] = hear_moved,     [INIT_UPPER] = hear_upper,
	[INIT_USERNS] = hear_userns,   [INIT_CARRIED] = hear_carried,
	[INIT_ROOM] = hear_room,       [INIT_USED] = hear_used,
	[INIT_MOUNTNS] = hear_mountns, [INIT_FUSE_DIR] = hear_fuse_dir,
	[INIT_FUSE] = hear_fuse,       [INIT_NETWORK] = hear_network,
	[INIT_BUILT] = hear_built,     [INIT_NESTED] = hear_nested,
	[INIT_CROWD] = hear_crowd,
};

bool life_hear(struct life *l)
{
	struct heard h = {.fd = -1};
	ssize_t n = heard_receive(&h, l->birth.socket);
	/* A reset is told once if pid 1 went without having read our last word; what it said itself
	 * still comes. */
	if (n < 0 && (errno == EAGAIN || errno == EINTR || errno == ECONNRESET))
		return true;
	bool whole = n == (ssize_t)sizeof(h.m);
	h.m.error[sizeof(h.m.error) - 1] = 0;
	if (whole && h.m.kind < countof(words) && words[h.m.kind])
		words[h.m.kind](l, &h);
	own_close(&h.fd);
	return whole;
}

/* That the command is over, its last word, is as good as the end itself, which comes at once: to
 * hear it by itself is a turn of the processor more. Not where somebody is to be warned of the end
 * (guard.h), where processes are counted (crowd.h), and where an engine has pid 1. */
bool life_speaks(const struct life *l)
{
	const struct spec *spec = &l->birth.spec;
	if (!l->birth.pid || !l->birth.socket_open || l->over)
		return false;
	return !l->ran || l->moved || l->guard.pid || spec->processes;
}

void life_listen(struct life *l)
{
	l->birth.socket_open = life_hear(l);
	if (!l->birth.socket_open)
		guard_warn(&l->guard); /* pid 1 has died, and its namespace dies */
}
