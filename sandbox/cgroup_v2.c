/* cgroup v2: one directory (cgroups(7), admin-guide/cgroup-v2.rst).
 *
 *   own group          the one this process is in, delegated to it
 *     NAME.<pid>       subtree_control: +memory +pids, and +cpu +io where they are to be had
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

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/xattr.h>

/* Without the first two there is little use in a group; the others are gladly taken. */
#define V2_LIMITS (CGROUP_MEMORY | CGROUP_PIDS)
static const struct {
	const char *name;
	enum cgroup_controller bit;
} controllers[] = {
	{"memory", CGROUP_MEMORY},
	{"pids", CGROUP_PIDS},
	{"cpu", CGROUP_CPU},
	{"io", CGROUP_IO},
};

static unsigned v2_controllers(int dirfd, const char *file)
{
	char buf[512], *rest = buf;
	unsigned mask = 0;
	if (cgroup_word(dirfd, file, buf, sizeof(buf)))
		return 0;
	for (char *word; (word = strsep(&rest, " "));)
		for (size_t i = 0; i < countof(controllers); i++)
			mask |= strcmp(word, controllers[i].name) ? 0 : controllers[i].bit;
	return mask;
}

/* All in one write, which takes effect wholly or not at all. */
static int v2_give(const struct cgroup_world *w, int dirfd, bool on, unsigned mask)
{
	char text[64] = "";
	size_t n = 0;
	for (size_t i = 0; i < countof(controllers); i++)
		if (mask & controllers[i].bit)
			n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%c%s", n ? " " : "",
					      on ? '+' : '-', controllers[i].name);
	return n ? w->write(dirfd, "cgroup.subtree_control", text) : 0;
}

/* As many of these as can be had, V2_LIMITS among them at least if they are among these: which, or
 * 0. cpu, for one, is refused where there are real-time processes (cgroup-v2.rst). */
static unsigned v2_give_most(const struct cgroup_world *w, int dirfd, unsigned mask)
{
	if (!v2_give(w, dirfd, true, mask))
		return mask;
	mask &= V2_LIMITS;
	return mask && !v2_give(w, dirfd, true, mask) ? mask : 0;
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

/* The own group gives these to its children: which, or 0. The root has no cgroup.type and may hold
 * processes. */
static unsigned v2_arrange_base(struct cgroup_host *h, unsigned mask)
{
	int base = h->base[0].fd;
	unsigned has = v2_controllers(base, "cgroup.subtree_control") & mask;
	if (has == mask)
		return has;
	if ((has & V2_LIMITS) ==
	    (mask & V2_LIMITS)) /* others have arranged it: what more there is */
		return v2_give(h->world, base, true, mask & ~has) ? has : mask;
	if (!faccessat(base, "cgroup.type", F_OK, 0)) {
		if (!v2_alone(base) || h->world->make(h->dir[0], "supervisor"))
			return 0;
		h->moved = true;
		if (v2_move(h, h->dir[0], "supervisor/cgroup.procs"))
			return 0;
	}
	return v2_give_most(h->world, base, mask);
}

/* Gives the controllers to NAME.<pid>, then to the boxes in it. */
static bool v2_arrange(struct cgroup_host *h)
{
	unsigned wanted = h->base[0].controllers, given = v2_arrange_base(h, wanted);
	if (given)
		h->base[0].controllers = given;
	given = given ? v2_give_most(h->world, h->dir[0], given) : 0;
	if (given)
		h->base[0].controllers = given;
	return given && (given & V2_LIMITS) == (wanted & V2_LIMITS);
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
	if (v2_arrange(h))
		return true;
	v2_leave(h);
	cgroup_unclaim(h);
	h->kind = NULL;
	return false;
}

static int v2_limit_cpu(const struct cgroup *c, int dirfd, uint64_t milli, struct err *e)
{
	char text[48];
	uint64_t period, quota = cgroup_quota(milli, &period);
	snprintf(text, sizeof(text), "%" PRIu64 " %" PRIu64, quota, period);
	return c->host->world->write(dirfd, "cpu.max", text)
		       ? err_sys(e, "cgroup %s: cpu.max to %s", c->name, text)
		       : 0;
}

/* memory.swap.max is there when swap is counted. memory.oom.group (4.19): half a box is no use to
 * anybody, it ends as a whole. */
static int v2_limit(const struct cgroup *c, const struct cgroup_limits *l, struct err *e)
{
	const struct cgroup_world *w = c->host->world;
	int memory = cgroup_in(c, CGROUP_MEMORY), pids = cgroup_in(c, CGROUP_PIDS);
	int cpu = cgroup_in(c, CGROUP_CPU);
	if (l->cpu_milli && cpu >= 0 && v2_limit_cpu(c, cpu, l->cpu_milli, e))
		return -1;
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

/* Its owner, and who is that in a user namespace, may write all of a group but what is above. Few
 * and flat, so that they can be removed. */
static int v2_make_below(struct cgroup *c, struct err *e)
{
	const struct cgroup_world *w = c->host->world;
	if (w->make(c->dir[0], CGROUP_BELOW))
		return err_sys(e, "cgroup %s/" CGROUP_BELOW, c->name);
	c->below = openat(c->dir[0], CGROUP_BELOW, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (c->below < 0)
		return err_sys(e, "open cgroup %s/" CGROUP_BELOW, c->name);
	return w->write(c->dir[0], "cgroup.max.depth", "4") ||
			       w->write(c->dir[0], "cgroup.max.descendants", "64")
		       ? err_sys(e, "cgroup %s: how many may be below", c->name)
		       : 0;
}

/* memory.peak came with 5.19; before, the highest memory.current that was seen has to do. */
static bool v2_read_memory(const struct cgroup *c, int dirfd, struct cgroup_counts *out)
{
	uint64_t now;
	if (dirfd < 0 || cgroup_key(dirfd, "memory.events", "oom_kill", &out->oom_kills))
		return false;
	/* "oom": its own limit was reached and nothing could be reclaimed; before a kill it is
	 * counted, so that it is read after it (admin-guide/cgroup-v2.rst) */
	uint64_t reached = 0;
	out->at_limit =
		out->oom_kills && (cgroup_key(dirfd, "memory.events", "oom", &reached) || reached);
	if (!cgroup_number(dirfd, "memory.peak", &out->peak_memory))
		return true;
	if (cgroup_number(dirfd, "memory.current", &now))
		return false;
	if (now > c->highest->memory)
		c->highest->memory = now;
	out->peak_memory = c->highest->memory;
	return true;
}

/* cpu.stat counts time in every group, with the cpu controller or without. */
static void v2_read(const struct cgroup *c, struct cgroup_counts *out)
{
	uint64_t user = 0, system = 0;
	out->has_memory = v2_read_memory(c, cgroup_in(c, CGROUP_MEMORY), out);
	cgroup_read_processes(c, cgroup_in(c, CGROUP_PIDS), out);
	out->has_quota = cgroup_in(c, CGROUP_CPU) >= 0;
	out->has_cpu = !cgroup_key(c->dir[0], "cpu.stat", "user_usec", &user) &&
		       !cgroup_key(c->dir[0], "cpu.stat", "system_usec", &system);
	out->cpu_user_ns = user * 1000;
	out->cpu_system_ns = system * 1000;
}

/* io.stat: "MAJOR:MINOR rbytes=N wbytes=N …", a line per device. */
static bool v2_read_io(int dirfd, struct cgroup_counts *out)
{
	char buf[4096];
	if (dirfd < 0 || cgroup_content(dirfd, "io.stat", buf, sizeof(buf)))
		return false;
	for (const char *at = buf; (at = strstr(at, " rbytes=")); at++)
		out->io_read_bytes += strtoull(at + 8, NULL, 10);
	for (const char *at = buf; (at = strstr(at, " wbytes=")); at++)
		out->io_write_bytes += strtoull(at + 8, NULL, 10);
	return true;
}

/* PSI, with 5.2, is there in every group that is not the root. */
static void v2_read_more(const struct cgroup *c, struct cgroup_counts *out)
{
	uint64_t us;
	cgroup_read_peak(c, cgroup_in(c, CGROUP_PIDS), out);
	if (out->has_quota && !cgroup_key(c->dir[0], "cpu.stat", "throttled_usec", &us) &&
	    !cgroup_key(c->dir[0], "cpu.stat", "nr_throttled", &out->throttled))
		out->throttled_ns = us * 1000;
	out->has_io = v2_read_io(cgroup_in(c, CGROUP_IO), out);
	out->stalled_memory_ns = cgroup_stalled(c->dir[0], "memory.pressure");
	out->stalled_cpu_ns = cgroup_stalled(c->dir[0], "cpu.pressure");
	out->stalled_io_ns = cgroup_stalled(c->dir[0], "io.pressure");
}

/* With those below, which a job may have made. */
static void v2_signal_all(int dirfd, int depth)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	cgroup_signal_each(dirfd);
	if (!dir)
		own_close(&fd);
	for (struct dirent *d; dir && depth && (d = readdir(dir));) {
		if (d->d_type != DT_DIR || !strcmp(d->d_name, ".") || !strcmp(d->d_name, ".."))
			continue;
		auto_fd int below =
			openat(fd, d->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (below >= 0)
			v2_signal_all(below, depth - 1);
	}
	if (dir)
		closedir(dir);
}

/* cgroup.kill came with 5.14. Freezing holds what is below, too, and a frozen process dies. */
static void v2_kill(const struct cgroup_world *w, int dirfd)
{
	if (!w->write(dirfd, "cgroup.kill", "1"))
		return;
	w->write(dirfd, "cgroup.freeze", "1");
	v2_signal_all(dirfd, CGROUP_BELOW_DEPTH + 1);
	w->write(dirfd, "cgroup.freeze", "0");
}

const struct cgroup_kind cgroup_v2 = {
	.name = "v2",
	.limit = v2_limit,
	.read = v2_read,
	.read_more = v2_read_more,
	.kill = v2_kill,
	.make_below = v2_make_below,
	.leave = v2_leave,
};
