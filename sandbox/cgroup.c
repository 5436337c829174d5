/* The door: what this process may use, and a box's groups in it. A box's directory is called
 * box-<name>, so that no name of a package meets a file of cgroupfs ("tasks") or the leaf
 * `supervisor`. */
#include "sandbox/cgroup_inside.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/file.h>

#define CLAIM_TRIES 64 /* sandboxes of one process, and what dead owners of its pid left */

enum claim { CLAIM_GOT, CLAIM_TAKEN, CLAIM_REFUSED };

/* The lock tells sandbox_sweep the groups of the living, whatever pid they have where it runs. */
static enum claim claim_one(const struct cgroup_world *w, int base, const char *name, int *fd)
{
	if (w->make(base, name))
		return errno == EEXIST ? CLAIM_TAKEN : CLAIM_REFUSED;
	*fd = openat(base, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (*fd >= 0 && !flock(*fd, LOCK_EX | LOCK_NB))
		return CLAIM_GOT;
	own_close(fd);
	w->remove(base, name);
	return CLAIM_REFUSED;
}

/* All places under one name: false when one of them has it already. */
static bool claim_round(struct cgroup_host *h, struct cgroup_place *places, int *got, size_t n)
{
	enum claim c = CLAIM_GOT;
	for (size_t i = 0; i < n; i++)
		got[i] = -1;
	for (size_t i = 0; i < n && c != CLAIM_TAKEN; i++)
		if (places[i].fd >= 0)
			c = claim_one(h->world, places[i].fd, h->name, &got[i]);
	for (size_t i = 0; i < n && c == CLAIM_TAKEN; i++) {
		if (got[i] >= 0)
			h->world->remove(places[i].fd, h->name);
		own_close(&got[i]);
	}
	return c != CLAIM_TAKEN;
}

size_t cgroup_claim(struct cgroup_host *h, const char *name, struct cgroup_place *places, size_t n)
{
	int got[CGROUP_HIERARCHIES];
	unsigned try = 0;
	do {
		if (!try)
			snprintf(h->name, sizeof(h->name), "%s.%d", name, (int)getpid());
		else
			snprintf(h->name, sizeof(h->name), "%s.%d-%u", name, (int)getpid(), try);
	} while (!claim_round(h, places, got, n) && ++try < CLAIM_TRIES);
	h->n = 0;
	for (size_t i = 0; i < n; i++) {
		if (got[i] < 0)
			continue;
		h->base[h->n] = places[i];
		places[i].fd = -1;
		h->dir[h->n++] = got[i];
	}
	return h->n;
}

void cgroup_unclaim(struct cgroup_host *h)
{
	while (h->n) {
		h->n--;
		h->world->remove(h->base[h->n].fd, h->name);
		own_close(&h->dir[h->n]);
		own_close(&h->base[h->n].fd);
	}
}

static bool name_ok(const char *name, const char *chars, size_t max)
{
	size_t n = strlen(name);
	return n && n <= max && strspn(name, chars) == n;
}

static bool places_writable(const struct cgroup_places *p)
{
	bool writable = p->v2.fd >= 0 && !faccessat(p->v2.fd, "cgroup.procs", W_OK, AT_EACCESS);
	for (size_t i = 0; i < CGROUP_HIERARCHIES; i++)
		writable |= p->v1[i].fd >= 0 &&
			    !faccessat(p->v1[i].fd, "cgroup.procs", W_OK, AT_EACCESS);
	return writable;
}

bool cgroup_host_owned(const struct cgroup_host *h)
{
	return h->kind != &cgroup_v2 && h->writable;
}

/* v2 first where it gives both controllers, else what v1 there is, else what v2 there is: on a
 * hybrid host v2 may be mounted and have neither. */
struct cgroup_host *cgroup_host_open_in(const struct cgroup_world *w, const char *name,
					struct err *e)
{
	struct cgroup_places p;
	if (!name_ok(name, "abcdefghijklmnopqrstuvwxyz0123456789-", 64)) {
		err_set(e, ERR_USAGE, "\"%s\" is no name for control groups", name);
		return NULL;
	}
	if (cgroup_find(w, &p, e)) {
		cgroup_places_close(&p);
		return NULL;
	}
	struct cgroup_host *h = own_calloc(1, sizeof(*h));
	h->world = w;
	h->writable = places_writable(&p);
	if (!cgroup_v2_open(h, name, &p, CGROUP_MEMORY | CGROUP_PIDS) &&
	    !cgroup_v1_open(h, name, &p))
		cgroup_v2_open(h, name, &p, 0);
	cgroup_places_close(&p);
	for (size_t i = 0; h->kind && i < h->n; i++)
		h->keeps_peak |= !faccessat(h->dir[i], "pids.peak", F_OK, 0);
	return h;
}

struct cgroup_host *cgroup_host_open(const char *name, struct err *e)
{
	return cgroup_host_open_in(&cgroup_world_real, name, e);
}

void cgroup_host_close(struct cgroup_host *h)
{
	if (!h)
		return;
	if (h->kind && h->kind->leave)
		h->kind->leave(h);
	cgroup_unclaim(h);
	free(h);
}

const char *cgroup_host_kind(const struct cgroup_host *h)
{
	return h->kind ? h->kind->name : "none";
}

static bool host_has(const struct cgroup_host *h, enum cgroup_controller controller)
{
	for (size_t i = 0; i < h->n; i++)
		if (h->base[i].controllers & controller)
			return true;
	return false;
}

bool cgroup_host_has_quota(const struct cgroup_host *h)
{
	return host_has(h, CGROUP_CPU);
}

bool cgroup_host_has_memory(const struct cgroup_host *h)
{
	return host_has(h, CGROUP_MEMORY);
}

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

/* A hierarchy that only keeps quotas costs a box without one time for nothing; the freezer has a
 * list of the box's processes, as the others do, and no box is frozen. */
static bool is_needed(const struct cgroup_host *h, size_t i, bool quota)
{
	unsigned controllers = h->base[i].controllers;
	return controllers == CGROUP_CPU ? quota : controllers != CGROUP_FREEZER || h->n == 1;
}

static int make_dirs(struct cgroup *c, bool quota, struct err *e)
{
	struct cgroup_host *h = c->host;
	for (size_t i = 0; i < h->n; i++) {
		if (!is_needed(h, i, quota))
			continue;
		if (h->world->make(h->dir[i], c->name))
			return err_sys(e, "cgroup %s/%s", h->name, c->name);
		c->dir[i] =
			openat(h->dir[i], c->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (c->dir[i] < 0) {
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

static void cgroup_free(struct cgroup *c)
{
	own_close(&c->below);
	for (size_t i = 0; i < CGROUP_HIERARCHIES; i++)
		own_close(&c->dir[i]);
	free(c->highest);
	free(c->name);
	free(c);
}

struct cgroup *cgroup_make(struct cgroup_host *h, const char *name,
			   const struct cgroup_limits *limits, struct err *e)
{
	if (!name_ok(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-",
		     200)) {
		err_set(e, ERR_USAGE, "\"%s\" is no name for a control group", name);
		return NULL;
	}
	struct cgroup *c = own_calloc(1, sizeof(*c));
	c->host = h;
	c->name = own_fmt("box-%s", name);
	c->highest = own_calloc(1, sizeof(*c->highest));
	for (size_t i = 0; i < CGROUP_HIERARCHIES; i++)
		c->dir[i] = -1;
	c->below = -1;
	if (!make_dirs(c, limits->cpu_milli, e) && (!h->kind || !h->kind->limit(c, limits, e)) &&
	    (!limits->below || !h->kind || !h->kind->make_below || !h->kind->make_below(c, e)))
		return c;
	if (c->below >= 0)
		remove_below(c, c->dir[0], CGROUP_BELOW, 0);
	for (size_t i = 0; i < h->n; i++)
		if (c->dir[i] >= 0)
			h->world->remove(h->dir[i], c->name);
	cgroup_free(c);
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

void cgroup_read(const struct cgroup *c, struct cgroup_counts *out)
{
	*out = (struct cgroup_counts){.has_memory = false};
	if (!c->host->kind)
		return;
	c->host->kind->read(c, out);
	if (!out->has_memory)
		out->peak_memory = out->oom_kills = 0;
	if (!out->has_processes)
		out->processes_refused = 0;
	if (!out->has_cpu)
		out->cpu_user_ns = out->cpu_system_ns = 0;
}

void cgroup_can(const struct cgroup *c, struct cgroup_counts *out)
{
	bool quota = cgroup_in(c, CGROUP_CPU) >= 0;
	typeof(c->host->can[0]) *can = &c->host->can[quota];
	if (!can->known) {
		cgroup_read(c, out);
		*can = (typeof(*can)){true, out->has_memory, out->has_processes, out->has_cpu,
				      out->has_quota};
	}
	*out = (struct cgroup_counts){.has_memory = can->has_memory,
				      .has_processes = can->has_processes,
				      .has_cpu = can->has_cpu,
				      .has_quota = can->has_quota};
}

void cgroup_read_all(const struct cgroup *c, struct cgroup_counts *out)
{
	cgroup_read(c, out);
	if (c->host->kind)
		c->host->kind->read_more(c, out);
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
	int dir = cgroup_list(c);
	if (dir >= 0)
		c->host->kind->kill(c->host->world, dir);
}

/* The first directory last: while something is left, cgroup_kill still finds it there. */
int cgroup_remove(struct cgroup *c, struct err *e)
{
	if (!c)
		return 0;
	if (c->below >= 0 && remove_below(c, c->dir[0], CGROUP_BELOW, CGROUP_BELOW_DEPTH))
		return err_sys(e, "remove cgroup %s/" CGROUP_BELOW, c->name);
	for (size_t i = c->host->n; i-- > 0;)
		if (c->dir[i] >= 0 && c->host->world->remove(c->host->dir[i], c->name) &&
		    errno != ENOENT)
			return err_sys(e, "remove cgroup %s/%s", c->host->name, c->name);
	cgroup_free(c);
	return 0;
}
