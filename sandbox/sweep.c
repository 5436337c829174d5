/* What dead callers left below this process's own groups: NAME.<pid> without a living owner, with
 * everything in it. Boxes die with their caller, so there is hardly ever more to end than a helper
 * on its last instruction; but nothing here relies on it. */
#include "sandbox/cgroup_inside.h"
#include "sandbox/sandbox.h"

#include "base/clock.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define SWEEP_DEPTH 8                 /* levels below NAME.<pid>: we make one */
#define SWEEP_NS INT64_C(30000000000) /* in all, for the dead to be gone: they need a processor */
#define SWEEP_AT_ONCE 64              /* processes waited for together */

struct sweep {
	const struct cgroup_world *world;
	const struct cgroup_kind *kind;
	int64_t deadline_ns;
};

struct dying {
	struct pollfd at[SWEEP_AT_ONCE];
	nfds_t n;
};

static bool dying_take(void *arg, pid_t pid)
{
	struct dying *d = arg;
	int fd = pid == getpid() ? -1 : (int)syscall(SYS_pidfd_open, pid, 0);
	if (fd >= 0)
		d->at[d->n++] = (struct pollfd){.fd = fd, .events = POLLIN};
	return d->n < SWEEP_AT_ONCE;
}

static int left_ms(const struct sweep *s)
{
	int64_t left = s->deadline_ns - clock_mono_ns();
	return left <= 0 ? 0 : (int)(left / 1000000 + 1);
}

/* A pidfd is ready when its process has left its group (do_exit leaves first and tells then). */
static void sweep_kill(const struct sweep *s, int dirfd)
{
	do {
		struct dying d = {.n = 0};
		int seen = cgroup_each(dirfd, dying_take, &d);
		if (seen > 0)
			s->kind->kill(s->world, dirfd);
		for (nfds_t i = 0; i < d.n; i++) {
			while (poll(&d.at[i], 1, left_ms(s)) < 0 && errno == EINTR)
				;
			close(d.at[i].fd);
		}
		if (seen <= 0 || !d.n)
			return;
	} while (left_ms(s));
}

static int sweep_tree(const struct sweep *s, int parent, const char *name, int depth,
		      struct err *e);

static int sweep_below(const struct sweep *s, int dirfd, int depth, struct err *e)
{
	int rc = 0, fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		if (errno == ENOENT) /* somebody else sweeps */
			return 0;
		own_close(&fd);
		return err_sys(e, "read a cgroup");
	}
	for (struct dirent *d; !rc && (d = readdir(dir));)
		if (d->d_type == DT_DIR && strcmp(d->d_name, ".") && strcmp(d->d_name, ".."))
			rc = sweep_tree(s, dirfd, d->d_name, depth - 1, e);
	closedir(dir);
	return rc;
}

static int sweep_tree(const struct sweep *s, int parent, const char *name, int depth, struct err *e)
{
	auto_fd int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : err_sys(e, "open cgroup %s", name);
	if (!depth)
		return err_set(e, ERR_LIMIT, "cgroup %s: deeper than expected", name);
	sweep_kill(s, fd);
	if (sweep_below(s, fd, depth, e))
		return err_add(e, "%s", name);
	if (s->world->remove(parent, name) && errno != ENOENT)
		return err_sys(e, "remove cgroup %s", name);
	return 0;
}

/* "NAME.<pid>" or "NAME.<pid>-<n>": the pid, else 0. */
static pid_t owner_of(const char *entry, const char *name)
{
	size_t n = strlen(name);
	if (strncmp(entry, name, n) || entry[n] != '.' || !isdigit((unsigned char)entry[n + 1]))
		return 0;
	char *end;
	errno = 0;
	long pid = strtol(entry + n + 1, &end, 10);
	if (*end == '-' && isdigit((unsigned char)end[1]))
		end += 1 + strspn(end + 1, "0123456789");
	return errno || *end || pid <= 0 || pid > INT32_MAX ? 0 : (pid_t)pid;
}

/* The lock of who made it (cgroup.c) tells: its pid may be another's by now, our own among them,
 * and is none here where it lives in another pid namespace. Between making and locking the pid
 * does. */
static bool owner_lives(int base, const char *entry, pid_t pid)
{
	if (pid != getpid() && (!kill(pid, 0) || errno != ESRCH))
		return true;
	auto_fd int fd = openat(base, entry, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK;
}

/* A group that somebody else made in a place of the same name is not ours: EACCES and the like are
 * no failure of the sweep. */
static int sweep_place(const struct sweep *s, int base, const char *name, const char *inside,
		       struct err *e)
{
	int rc = 0, fd = base < 0 ? -1 : openat(base, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		own_close(&fd);
		return 0;
	}
	for (struct dirent *d; (d = readdir(dir));) {
		pid_t pid = owner_of(d->d_name, name);
		struct err one = ERR_INIT;
		if (!pid || (inside && !strcmp(inside, d->d_name)) ||
		    owner_lives(base, d->d_name, pid))
			continue;
		if (sweep_tree(s, base, d->d_name, SWEEP_DEPTH, &one) && one.sys != EACCES &&
		    one.sys != EPERM && one.sys != EROFS) {
			*e = one;
			rc = -1;
		}
	}
	closedir(dir);
	return rc;
}

int cgroup_sweep_in(const struct cgroup_world *w, const char *name, int64_t patience_ns,
		    struct err *e)
{
	struct cgroup_places p;
	struct sweep s = {.world = w, .deadline_ns = clock_mono_ns() + patience_ns};
	int rc = cgroup_find(w, &p, e);
	s.kind = &cgroup_v1;
	for (size_t i = 0; !rc && i < CGROUP_HIERARCHIES; i++)
		rc |= sweep_place(&s, p.v1[i].fd, name, NULL, e);
	s.kind = &cgroup_v2;
	if (!rc)
		rc = sweep_place(&s, p.v2.fd, name, p.inside, e);
	cgroup_places_close(&p);
	return rc;
}

int sandbox_sweep(const char *name, struct err *e)
{
	return cgroup_sweep_in(&cgroup_world_real, name, SWEEP_NS, e);
}

void sandbox_sweep_now(const char *name)
{
	struct err later = ERR_INIT;
	if (cgroup_sweep_in(&cgroup_world_real, name, 0, &later))
		return;
}
