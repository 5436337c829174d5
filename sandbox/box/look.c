#include "sandbox/box/look.h"

#include "base/clock.h"
#include "base/own.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

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
		u = look_unnamed();
	w->seen->disk_bytes += look & PLAN_LOOK_DISK ? u.disk : 0;
	if (!(look & (PLAN_LOOK_PROCESSES | PLAN_LOOK_MEMORY | PLAN_LOOK_IO)))
		return;
	look_processes(look & PLAN_LOOK_IO, &p);
	w->seen->processes = p.tasks;
	w->seen->cpu_ns = p.cpu_ns;
	w->seen->io_chars = p.io_chars;
	w->seen->io_read_bytes = p.io_read_bytes;
	w->seen->io_write_bytes = p.io_write_bytes;
	if (look & PLAN_LOOK_MEMORY)
		w->seen->memory = look_memory(&p, u.memory, w->m->memory);
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
	struct looking w = {m, *at, {at->uppers, at->n, m->inodes}, l->seen, l->table_fd};
	int64_t began = clock_mono_ns();
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != parent)
		_exit(1);
	look_around(&w);
	l->seen->took_ns = (uint64_t)(clock_mono_ns() - began);
	_exit(0);
}

int look_begin(struct look *l, const struct plan_start *m, const struct look_at *at)
{
	struct plan_seen nothing;
	int table_fd;
	look_end(l, &nothing, &table_fd);
	own_close(&table_fd);
	l->wanted = m->look;
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
	look_end(l, &nothing, &table_fd);
	own_close(&table_fd);
	return -1;
}

void look_end(struct look *l, struct plan_seen *seen, int *table_fd)
{
	*seen = (struct plan_seen){.has = 0};
	*table_fd = l->table_fd;
	if (l->pid > 0) {
		kill(l->pid, SIGKILL);
		while (waitpid(l->pid, NULL, 0) < 0 && errno == EINTR)
			;
		*seen = *l->seen;
	}
	own_close(&l->pidfd);
	l->pid = 0;
	l->table_fd = -1;
}
