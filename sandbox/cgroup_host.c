/* What this process may use: its own NAME.<pid> in each hierarchy, and what it tells of that to who
 * makes groups there. */
#include "sandbox/cgroup_inside.h"

#include <errno.h>
#include <fcntl.h>
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

bool cgroup_name_ok(const char *name, const char *chars, size_t max)
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

/* What NAME.<pid> itself has, a group in it has. */
static void host_can(struct cgroup_host *h)
{
	struct cgroup_highest highest = {0};
	struct cgroup all = {.host = h, .highest = &highest};
	memcpy(all.dir, h->dir, sizeof(all.dir));
	cgroup_read(&all, &h->can);
}

/* v2 first where it gives both controllers, else what v1 there is, else what v2 there is: on a
 * hybrid host v2 may be mounted and have neither. */
struct cgroup_host *cgroup_host_open_in(const struct cgroup_world *w, const char *name,
					struct err *e)
{
	struct cgroup_places p;
	if (!cgroup_name_ok(name, "abcdefghijklmnopqrstuvwxyz0123456789-", 64)) {
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
	host_can(h);
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

/* A hierarchy that only keeps quotas costs a box without one time for nothing; the freezer has a
 * list of the box's processes, as the others do, and no box is frozen. */
bool cgroup_needed(const struct cgroup_host *h, size_t i, bool quota)
{
	unsigned controllers = h->base[i].controllers;
	return controllers == CGROUP_CPU ? quota : controllers != CGROUP_FREEZER || h->n == 1;
}

int cgroup_host_tell(const struct cgroup_host *h, struct cgroup_told *told,
		     int fds[CGROUP_HIERARCHIES], struct err *e)
{
	*told = (struct cgroup_told){.version = h->kind == &cgroup_v2   ? 2
						: h->kind == &cgroup_v1 ? 1
									: 0,
				     .counts_swap = h->counts_swap,
				     .keeps_peak = h->keeps_peak};
	memcpy(told->name, h->name, sizeof(told->name));
	for (size_t i = 0; i < h->n; i++) {
		told->controllers[i] = h->base[i].controllers;
		fds[i] = openat(h->dir[i], ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fds[i] >= 0)
			continue;
		err_sys(e, "open cgroup %s", h->name);
		while (i)
			close(fds[--i]);
		return -1;
	}
	told->n = (uint32_t)h->n;
	return 0;
}

struct cgroup_host *cgroup_host_told(const struct cgroup_told *told, const int *fds)
{
	if (told->version < 1 || told->version > 2 || !told->n || told->n > CGROUP_HIERARCHIES)
		return NULL;
	struct cgroup_host *h = own_calloc(1, sizeof(*h));
	h->world = &cgroup_world_real;
	h->kind = told->version == 2 ? &cgroup_v2 : &cgroup_v1;
	h->counts_swap = told->counts_swap;
	h->keeps_peak = told->keeps_peak;
	h->n = told->n;
	snprintf(h->name, sizeof(h->name), "%.*s", CGROUP_HOST_NAME - 1, told->name);
	for (size_t i = 0; i < h->n; i++) {
		h->base[i] = (struct cgroup_place){-1, told->controllers[i]};
		h->dir[i] = fds[i];
	}
	return h;
}
