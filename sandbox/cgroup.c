/* A box's group: made or only described, read, killed and removed. Its directory is called
 * box-<name>, so that no name of a package meets a file of cgroupfs ("tasks") or the leaf
 * `supervisor`. */
#include "sandbox/cgroup_inside.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

int cgroup_in(const struct cgroup *c, enum cgroup_controller controller)
{
	for (size_t i = 0; i < c->host->n; i++)
		if (c->host->base[i].controllers & controller)
			return c->dir[i];
	return -1;
}

int cgroup_limit_write(const struct cgroup *c, int dirfd, const char *file, uint64_t value,
		       struct err *e)
{
	char text[24];
	snprintf(text, sizeof(text), "%" PRIu64, value);
	if (c->host->world->write(dirfd, file, text))
		return err_sys(e, "cgroup %s: %s to %s", c->name, file, text);
	return 0;
}

static bool wants(const struct cgroup *c, size_t i)
{
	return cgroup_needed(c->host, i, c->wanted.limits.cpu_milli);
}

static int open_dir(struct cgroup *c, size_t i)
{
	c->dir[i] =
		openat(c->host->dir[i], c->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return c->dir[i] < 0 ? -1 : 0;
}

/* Somebody else makes it, and it may not be there. */
static void reach(struct cgroup *c)
{
	for (size_t i = 0; i < c->host->n; i++)
		if (c->dir[i] < 0 && wants(c, i) && open_dir(c, i))
			return;
}

static int make_dirs(struct cgroup *c, struct err *e)
{
	const struct cgroup_host *h = c->host;
	for (size_t i = 0; i < h->n; i++) {
		if (!wants(c, i))
			continue;
		if (h->world->make(h->dir[i], c->name))
			return err_sys(e, "cgroup %s/%s", h->name, c->name);
		if (open_dir(c, i)) {
			err_sys(e, "open cgroup %s/%s", h->name, c->name);
			h->world->remove(h->dir[i], c->name);
			return -1;
		}
	}
	return 0;
}

/* One that its processes could write, with what they made in it. */
static int remove_below(const struct cgroup *c, int parent, const char *name, int depth)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		own_close(&fd);
		return errno == ENOENT ? 0 : -1;
	}
	for (struct dirent *d; depth && (d = readdir(dir));)
		if (d->d_type == DT_DIR && strcmp(d->d_name, ".") && strcmp(d->d_name, ".."))
			remove_below(c, dirfd(dir), d->d_name, depth - 1);
	closedir(dir);
	return c->host->world->remove(parent, name) && errno != ENOENT ? -1 : 0;
}

void cgroup_forget(struct cgroup *c)
{
	if (!c)
		return;
	own_close(&c->below);
	for (size_t i = 0; i < CGROUP_HIERARCHIES; i++)
		own_close(&c->dir[i]);
	free(c->highest);
	free(c);
}

struct cgroup *cgroup_want(struct cgroup_host *h, const char *name,
			   const struct cgroup_limits *limits, struct err *e)
{
	if (!cgroup_name_ok(name,
			    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-",
			    CGROUP_NAME - 1)) {
		err_set(e, ERR_USAGE, "\"%s\" is no name for a control group", name);
		return NULL;
	}
	struct cgroup *c = own_calloc(1, sizeof(*c));
	c->host = h;
	c->wanted.limits = *limits;
	snprintf(c->wanted.name, sizeof(c->wanted.name), "%s", h->kind ? name : "");
	snprintf(c->name, sizeof(c->name), "box-%s", name);
	c->highest = own_calloc(1, sizeof(*c->highest));
	for (size_t i = 0; i < CGROUP_HIERARCHIES; i++)
		c->dir[i] = -1;
	c->below = -1;
	return c;
}

const struct cgroup_wanted *cgroup_wanted(const struct cgroup *c)
{
	return &c->wanted;
}

struct cgroup *cgroup_make(struct cgroup_host *h, const char *name,
			   const struct cgroup_limits *limits, struct err *e)
{
	struct cgroup *c = cgroup_want(h, name, limits, e);
	if (!c ||
	    (!make_dirs(c, e) && (!h->kind || !h->kind->limit(c, limits, e)) &&
	     (!limits->below || !h->kind || !h->kind->make_below || !h->kind->make_below(c, e))))
		return c;
	if (c->below >= 0)
		remove_below(c, c->dir[0], CGROUP_BELOW, 0);
	for (size_t i = 0; i < h->n; i++)
		if (c->dir[i] >= 0)
			h->world->remove(h->dir[i], c->name);
	cgroup_forget(c);
	return NULL;
}

int cgroup_clone_fd(const struct cgroup *c)
{
	if (c->below >= 0)
		return c->below;
	return c->host->kind == &cgroup_v2 ? c->dir[0] : -1;
}

int cgroup_doors(const struct cgroup *c, int fds[CGROUP_DOORS], struct err *e)
{
	int n = 0;
	if (c->host->kind != &cgroup_v1)
		return 0;
	for (size_t i = 0; i < c->host->n; i++) {
		if (c->dir[i] < 0)
			continue;
		fds[n] = openat(c->dir[i], "tasks", O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
		if (fds[n++] >= 0)
			continue;
		err_sys(e, "cgroup %s: open tasks", c->name);
		for (n--; n;)
			close(fds[--n]);
		return -1;
	}
	return n;
}

void cgroup_read(struct cgroup *c, struct cgroup_counts *out)
{
	*out = (struct cgroup_counts){.has_memory = false};
	if (!c->host->kind)
		return;
	reach(c);
	c->host->kind->read(c, out);
	if (!out->has_memory)
		out->peak_memory = out->oom_kills = 0;
	if (!out->at_limit) {
		out->host_oom_kills = out->oom_kills;
		out->oom_kills = 0;
	}
	if (!out->has_processes)
		out->processes_refused = 0;
	if (!out->has_cpu)
		out->cpu_user_ns = out->cpu_system_ns = 0;
}

void cgroup_can(const struct cgroup *c, struct cgroup_counts *out)
{
	const struct cgroup_host *h = c->host;
	bool quota = false;
	for (size_t i = 0; i < h->n; i++)
		quota |= h->base[i].controllers & CGROUP_CPU && wants(c, i);
	*out = (struct cgroup_counts){.has_memory = h->can.has_memory,
				      .has_processes = h->can.has_processes,
				      .has_cpu = h->can.has_cpu,
				      .has_quota = h->can.has_quota && quota};
}

void cgroup_read_all(struct cgroup *c, struct cgroup_counts *out)
{
	cgroup_read(c, out);
	if (c->host->kind)
		c->host->kind->read_more(c, out);
}

static uint64_t larger(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

void cgroup_heard(const struct cgroup *c, struct cgroup_counts *out)
{
	if (out->has_memory)
		out->peak_memory = larger(out->peak_memory, c->highest->memory);
	if (out->has_processes)
		out->processes_peak = larger(out->processes_peak, c->highest->processes);
}

void cgroup_read_processes(const struct cgroup *c, int dirfd, struct cgroup_counts *out)
{
	uint64_t now;
	out->has_processes =
		dirfd >= 0 && !cgroup_key(dirfd, "pids.events", "max", &out->processes_refused);
	if (out->has_processes && !c->host->keeps_peak &&
	    !cgroup_number(dirfd, "pids.current", &now) && now > c->highest->processes)
		c->highest->processes = now;
}

void cgroup_read_peak(const struct cgroup *c, int dirfd, struct cgroup_counts *out)
{
	if (dirfd < 0 || !c->host->keeps_peak ||
	    cgroup_number(dirfd, "pids.peak", &out->processes_peak))
		out->processes_peak = c->highest->processes;
}

/* The kernel takes periods of 1 ms to 1 s and no quota below 1 ms (sched-bwc.rst). */
uint64_t cgroup_quota(uint64_t milli, uint64_t *period_us)
{
	*period_us = milli < 10 ? 1000000 : 100000;
	return milli * (*period_us / 1000);
}

int cgroup_list(const struct cgroup *c)
{
	for (size_t i = 0; c->host->kind && i < c->host->n; i++)
		if (c->dir[i] >= 0)
			return c->dir[i];
	return -1;
}

void cgroup_kill(struct cgroup *c)
{
	reach(c);
	int dir = cgroup_list(c);
	if (dir >= 0)
		c->host->kind->kill(c->host->world, dir);
}

/* The first directory last: while something is left, cgroup_kill still finds it there. */
int cgroup_remove(struct cgroup *c, struct err *e)
{
	if (!c)
		return 0;
	if (c->wanted.limits.below)
		reach(c);
	if (c->wanted.limits.below && c->dir[0] >= 0 &&
	    remove_below(c, c->dir[0], CGROUP_BELOW, CGROUP_BELOW_DEPTH))
		return err_sys(e, "remove cgroup %s/" CGROUP_BELOW, c->name);
	for (size_t i = c->host->n; i-- > 0;)
		if (wants(c, i) && c->host->world->remove(c->host->dir[i], c->name) &&
		    errno != ENOENT)
			return err_sys(e, "remove cgroup %s/%s", c->host->name, c->name);
	cgroup_forget(c);
	return 0;
}
