/* cgroup v2: one directory (cgroups(7), admin-guide/cgroup-v2.rst).
 *
 *   own group          the one this process is in, delegated to it
 *     NAME.<pid>       subtree_control: +memory +pids
 *       supervisor     this process, if it had to leave the group above it
 *       box-…          one per box
 *
 * A group other than the hierarchy's root either holds processes or gives controllers to its
 * children ("no internal processes"). So, where the own group does not give them yet, this process
 * steps down into the leaf `supervisor`. It does so only if it is alone in its group (somebody
 * else's processes are not ours to move) and the group is delegated: for an ordinary user by being
 * writable, which is what the kernel means by it; for root, who may write everything, by systemd's
 * mark (the attribute trusted.delegate, or user.delegate since systemd 251) wherever systemd runs.
 * `systemd-run --user --scope -p Delegate=yes assay …` gives just that. */
#include "sandbox/cgroup_inside.h"

#include <errno.h>
#include <string.h>
#include <sys/xattr.h>

static unsigned v2_controllers(int dirfd, const char *file)
{
	char buf[512], *rest = buf;
	unsigned mask = 0;
	if (cgroup_word(dirfd, file, buf, sizeof(buf)))
		return 0;
	for (char *word; (word = strsep(&rest, " "));) {
		mask |= strcmp(word, "memory") ? 0 : CGROUP_MEMORY;
		mask |= strcmp(word, "pids") ? 0 : CGROUP_PIDS;
	}
	return mask;
}

/* All in one write, which takes effect wholly or not at all. */
static int v2_give(const struct cgroup_world *w, int dirfd, bool on, unsigned mask)
{
	static const char *const texts[2][CGROUP_PIDS + CGROUP_MEMORY + 1] = {
		{[CGROUP_PIDS] = "-pids",
		 [CGROUP_MEMORY] = "-memory",
		 [CGROUP_PIDS | CGROUP_MEMORY] = "-memory -pids"},
		{[CGROUP_PIDS] = "+pids",
		 [CGROUP_MEMORY] = "+memory",
		 [CGROUP_PIDS | CGROUP_MEMORY] = "+memory +pids"},
	};
	return w->write(dirfd, "cgroup.subtree_control", texts[on][mask]);
}

static bool v2_marked(int dirfd, const char *attribute)
{
	char value[8];
	return fgetxattr(dirfd, attribute, value, sizeof(value)) == 1 && value[0] == '1';
}

/* For an ordinary user the kernel's permissions decide, at the first mkdir. */
static bool v2_delegated(const struct cgroup_world *w, int dirfd)
{
	return geteuid() || access(w->systemd, F_OK) || v2_marked(dirfd, "trusted.delegate") ||
	       v2_marked(dirfd, "user.delegate");
}

static bool v2_is_self(void *arg, pid_t pid)
{
	bool self = pid == getpid();
	*(int *)arg += self;
	return self;
}

static bool v2_alone(int dirfd)
{
	int mine = 0;
	return cgroup_each(dirfd, v2_is_self, &mine) == 1 && mine == 1;
}

static int v2_move(const struct cgroup_host *h, int dirfd, const char *file)
{
	char pid[16];
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	return h->world->write(dirfd, file, pid);
}

/* Undoes what v2_arrange did where this process had to move: then the own group is nobody else's.
 * If it can't be undone (another process makes groups beside ours by now), this process stays in
 * the leaf, which is no harm. */
static void v2_leave(struct cgroup_host *h)
{
	unsigned mask = h->base[0].controllers;
	if (!h->moved)
		return;
	v2_give(h->world, h->dir[0], false, mask);
	v2_give(h->world, h->base[0].fd, false, mask);
	h->moved = v2_move(h, h->base[0].fd, "cgroup.procs") != 0;
	h->world->remove(h->dir[0], "supervisor");
}

/* Gives the controllers to NAME.<pid>, then to the boxes in it. The root has no cgroup.type and may
 * hold processes. */
static bool v2_arrange(struct cgroup_host *h, unsigned mask)
{
	int base = h->base[0].fd;
	if ((v2_controllers(base, "cgroup.subtree_control") & mask) != mask) {
		if (!faccessat(base, "cgroup.type", F_OK, 0)) {
			if (!v2_alone(base) || h->world->make(h->dir[0], "supervisor"))
				return false;
			h->moved = true;
			if (v2_move(h, h->dir[0], "supervisor/cgroup.procs"))
				return false;
		}
		if (v2_give(h->world, base, true, mask))
			return false;
	}
	return !v2_give(h->world, h->dir[0], true, mask);
}

bool cgroup_v2_open(struct cgroup_host *h, const char *name, struct cgroup_places *p,
		    unsigned least)
{
	char type[32];
	if (p->v2.fd < 0 || !v2_delegated(h->world, p->v2.fd))
		return false;
	p->v2.controllers = v2_controllers(p->v2.fd, "cgroup.controllers");
	if (!p->v2.controllers || (p->v2.controllers & least) != least)
		return false;
	if (!cgroup_word(p->v2.fd, "cgroup.type", type, sizeof(type)) && strcmp(type, "domain"))
		return false; /* a threaded group has no memory controller */
	if (!cgroup_claim(h, name, &p->v2, 1))
		return false;
	h->kind = &cgroup_v2;
	if (v2_arrange(h, h->base[0].controllers))
		return true;
	v2_leave(h);
	cgroup_unclaim(h);
	h->kind = NULL;
	return false;
}

/* memory.swap.max is there when swap is counted. memory.oom.group (4.19): half a box is no use to
 * anybody, it ends as a whole. */
static int v2_limit(const struct cgroup *c, const struct cgroup_limits *l, struct err *e)
{
	const struct cgroup_world *w = c->host->world;
	int memory = cgroup_in(c, CGROUP_MEMORY), pids = cgroup_in(c, CGROUP_PIDS);
	if (l->memory && memory >= 0) {
		if (cgroup_limit_write(c, memory, "memory.max", l->memory, e))
			return -1;
		if (w->write(memory, "memory.swap.max", "0") && errno != ENOENT)
			return err_sys(e, "cgroup %s: memory.swap.max", c->name);
		if (w->write(memory, "memory.oom.group", "1") && errno != ENOENT)
			return err_sys(e, "cgroup %s: memory.oom.group", c->name);
	}
	if (l->processes && pids >= 0 && cgroup_limit_write(c, pids, "pids.max", l->processes, e))
		return -1;
	return 0;
}

/* memory.peak came with 5.19; before, the highest memory.current that was seen has to do. */
static bool v2_read_memory(const struct cgroup *c, int dirfd, struct cgroup_counts *out)
{
	uint64_t now;
	if (dirfd < 0 || cgroup_key(dirfd, "memory.events", "oom_kill", &out->oom_kills))
		return false;
	if (!cgroup_number(dirfd, "memory.peak", &out->peak_memory))
		return true;
	if (cgroup_number(dirfd, "memory.current", &now))
		return false;
	if (now > *c->highest)
		*c->highest = now;
	out->peak_memory = *c->highest;
	return true;
}

/* cpu.stat counts time in every group, with the cpu controller or without. */
static void v2_read(const struct cgroup *c, struct cgroup_counts *out)
{
	int pids = cgroup_in(c, CGROUP_PIDS);
	uint64_t user = 0, system = 0;
	out->has_memory = v2_read_memory(c, cgroup_in(c, CGROUP_MEMORY), out);
	out->has_processes =
		pids >= 0 && !cgroup_key(pids, "pids.events", "max", &out->processes_refused);
	out->has_cpu = !cgroup_key(c->dir[0], "cpu.stat", "user_usec", &user) &&
		       !cgroup_key(c->dir[0], "cpu.stat", "system_usec", &system);
	out->cpu_user_ns = user * 1000;
	out->cpu_system_ns = system * 1000;
}

static void v2_kill(const struct cgroup_world *w, int dirfd)
{
	if (!w->write(dirfd, "cgroup.kill", "1"))
		return;
	w->write(dirfd, "cgroup.freeze", "1");
	cgroup_signal_each(dirfd);
	w->write(dirfd, "cgroup.freeze", "0");
}

const struct cgroup_kind cgroup_v2 = {
	.name = "v2",
	.limit = v2_limit,
	.read = v2_read,
	.kill = v2_kill,
	.leave = v2_leave,
};
