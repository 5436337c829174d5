#include "sandbox/box/look.h"

#include "base/clock.h"
#include "base/own.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define LOOK_END_MS 5000

static void ns_open(int *fd, pid_t pid, const char *name)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/ns/%s", (int)pid, name);
	if (*fd < 0)
		*fd = open(path, O_RDONLY | O_CLOEXEC);
}

void look_ns_open(struct look_ns *ns, pid_t pid)
{
	ns_open(&ns->user, pid, "user");
	ns_open(&ns->mnt, pid, "mnt");
	ns_open(&ns->ipc, pid, "ipc");
}

void look_ns_close(struct look_ns *ns)
{
	own_close(&ns->user);
	own_close(&ns->mnt);
	own_close(&ns->ipc);
}

struct looking {
	const struct plan_start *m;
	struct look_at at;
	struct look_disk_at disk;
	struct plan_seen *seen;
	int table_fd;
	struct look_tmpfs *outside;
};

/* An ordinary user's power over what the box owns is in its user namespace; root's is not, there
 * the box's files are root's own (ids.h). EINVAL: the box has no such namespace of its own. */
static bool look_enter(struct looking *w)
{
	ns_open(&w->at.ns.user, w->at.pid, "user");
	return (!setns(w->at.ns.user, CLONE_NEWUSER) || errno == EINVAL) &&
	       !prctl(PR_SET_PDEATHSIG, SIGKILL); /* undone by a change of ids: prctl(2) */
}

static bool look_enter_all(struct looking *w, bool entered)
{
	look_ns_open(&w->at.ns, w->at.pid);
	return (entered || look_enter(w)) && !setns(w->at.ns.ipc, CLONE_NEWIPC) &&
	       !setns(w->at.ns.mnt, CLONE_NEWNS) && !chdir("/");
}

static void look_at_processes(const struct looking *w)
{
	struct look_processes p = {.tasks = 0};
	struct look_unnamed u = {.disk = 0};
	unsigned look = w->m->look;
	if (look & (PLAN_LOOK_DISK | PLAN_LOOK_MEMORY))
		u = look_unnamed(w->at.own_mounts, w->m->room);
	w->seen->disk_bytes += look & PLAN_LOOK_DISK ? u.disk : 0;
	if (!(look & (PLAN_LOOK_PROCESSES | PLAN_LOOK_MEMORY | PLAN_LOOK_IO)))
		return;
	look_processes(look & PLAN_LOOK_IO, &p);
	w->seen->processes = p.tasks;
	w->seen->cpu_ns = p.cpu_ns;
	w->seen->ready = p.ready;
	w->seen->io_chars = p.io_chars;
	w->seen->io_read_bytes = p.io_read_bytes;
	w->seen->io_write_bytes = p.io_write_bytes;
	if (look & PLAN_LOOK_MEMORY)
		w->seen->memory = look_memory(&p, w->outside, u.memory, w->m->memory);
	w->seen->has |= look & (PLAN_LOOK_PROCESSES | PLAN_LOOK_MEMORY);
	w->seen->has |= look & PLAN_LOOK_IO && p.io_seen ? PLAN_LOOK_IO : 0;
}

static void look_around(struct looking *w)
{
	bool entered = geteuid() && look_enter(w);
	if (w->m->look & PLAN_LOOK_DISK) {
		look_disk(&w->disk, w->seen);
		w->seen->has |= PLAN_LOOK_DISK;
	}
	if (w->m->look & PLAN_LOOK_MEMORY)
		w->outside = look_tmpfs_outside();
	if (!look_enter_all(w, entered))
		return;
	if (w->table_fd >= 0) {
		look_table(w->table_fd);
		w->seen->has |= PLAN_LOOK_TABLE;
	}
	look_at_processes(w);
}

static void look_child(struct look *l, const struct plan_start *m, const struct look_at *at,
		       pid_t parent) __attribute__((noreturn));
static void look_child(struct look *l, const struct plan_start *m, const struct look_at *at,
		       pid_t parent)
{
	struct looking w = {m, *at, {at->uppers, at->n, m->inodes}, l->seen, l->table_fd, NULL};
	int64_t began = clock_mono_ns();
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != parent)
		_exit(1);
	look_around(&w);
	free(w.outside);
	l->seen->took_ns = (uint64_t)(clock_mono_ns() - began);
	_exit(0);
}

/* Killed; when it will have gone is not known. It may write to what it shares until then. */
static void look_drop(struct look *l)
{
	if (l->pid > 0) {
		kill(l->pid, SIGKILL);
		l->going = own_grow(l->going, l->n_going + 1, sizeof(*l->going));
		l->going[l->n_going++] = (struct look_going){l->pid, give_fd(&l->pidfd)};
		munmap(l->seen, sizeof(*l->seen));
		l->seen = NULL;
	}
	l->pid = 0;
	own_close(&l->table_fd);
}

static void look_reap(struct look *l)
{
	size_t n = 0, n_left = 0;
	for (size_t i = 0; i < l->n_going; i++) {
		struct look_going *g = &l->going[i];
		if (waitpid(g->pid, NULL, WNOHANG)) {
			own_close(&g->pidfd);
			continue;
		}
		n_left += i < l->n_left;
		l->going[n++] = *g;
	}
	l->n_going = n;
	l->n_left = n_left;
}

/* What a killed child can hang in is gone with the box, unless somebody outside keeps it. */
static bool look_gone(int pidfd)
{
	struct pollfd p = {.fd = pidfd, .events = POLLIN};
	int n;
	while ((n = poll(&p, 1, LOOK_END_MS)) < 0 && errno == EINTR)
		;
	return n > 0;
}

int look_begin(struct look *l, const struct plan_start *m, const struct look_at *at)
{
	look_drop(l);
	look_reap(l);
	l->wanted = m->look;
	l->stuck = l->n_going > l->n_left && !(m->look & PLAN_LOOK_TABLE);
	if (l->stuck)
		return -1;
	if (!l->seen) {
		void *p = mmap(NULL, sizeof(*l->seen), PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		if (p == MAP_FAILED)
			return -1;
		l->seen = p;
	}
	*l->seen = (struct plan_seen){.has = 0};
	if (m->look & PLAN_LOOK_TABLE &&
	    (l->table_fd = memfd_create("assay-table", MFD_CLOEXEC)) < 0)
		return -1;
	pid_t parent = getpid();
	l->pid = fork();
	if (!l->pid)
		look_child(l, m, at, parent);
	/* Not waited for yet, so the number is still its own. */
	if (l->pid > 0 && (l->pidfd = (int)syscall(SYS_pidfd_open, l->pid, 0)) >= 0)
		return 0;
	look_drop(l);
	return -1;
}

void look_end(struct look *l, struct plan_seen *seen, int *table_fd)
{
	*seen = (struct plan_seen){.stuck = l->stuck};
	*table_fd = give_fd(&l->table_fd);
	if (l->pid <= 0)
		return;
	kill(l->pid, SIGKILL);
	if (!look_gone(l->pidfd)) {
		look_drop(l);
		return;
	}
	waitpid(l->pid, NULL, 0);
	*seen = *l->seen;
	own_close(&l->pidfd);
	l->pid = 0;
}

void look_leave(struct look *l)
{
	look_reap(l);
	for (size_t i = l->n_left; i < l->n_going; i++)
		look_gone(l->going[i].pidfd);
	look_reap(l);
	l->n_left = l->n_going;
	l->stuck = false;
}
