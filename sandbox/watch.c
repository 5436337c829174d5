#include "sandbox/watch.h"

#include "base/clock.h"
#include "base/dir.h"
#include "base/text.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#define WATCH_PROCESSES 100000 /* more than any box gets */
#define WATCH_UNNAMED 1024
#define WATCH_DESCRIPTORS 65536 /* of all its processes: a look has an end */

static bool read_small(const char *path, char *buf, size_t size)
{
	auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, size - 1);
	if (n < 0)
		return false;
	buf[n] = 0;
	return true;
}

struct pids {
	pid_t *all; /* owned */
	size_t n, room;
};

static void pids_add(struct pids *p, pid_t pid)
{
	if (p->n == WATCH_PROCESSES)
		return;
	if (p->n == p->room)
		p->all = own_grow(p->all, p->room = p->room * 2 + 64, sizeof(*p->all));
	p->all[p->n++] = pid;
}

/* Each thread has children of its own: proc(5), /proc/PID/task/TID/children. */
static void add_children(struct pids *p, pid_t pid)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	DIR *tasks = opendir(path);
	for (struct dirent *d; tasks && (d = readdir(tasks));) {
		struct err ignored = ERR_INIT;
		auto_text struct text t = TEXT_INIT;
		if (d->d_name[0] == '.')
			continue;
		auto_free char *children = own_fmt("%s/%s/children", path, d->d_name);
		auto_fd int fd = open(children, O_RDONLY | O_CLOEXEC);
		if (fd < 0 || dir_read_fd(fd, (size_t)1 << 20, &t, &ignored))
			continue;
		char *next = NULL;
		for (char *at = t.p; at && *at; at = next) {
			long child = strtol(at, &next, 10);
			if (next == at)
				break;
			pids_add(p, (pid_t)child);
		}
	}
	if (tasks)
		closedir(tasks);
}

/* A file that is open has blocks also when no name leads to it any more. */
struct unnamed {
	struct {
		dev_t dev;
		ino_t ino;
	} * all; /* owned; seen already: descriptors are inherited */
	size_t n, room;
	size_t looked; /* descriptors */
	uint64_t bytes;
};

static void unnamed_add(struct unnamed *u, const struct stat *st)
{
	for (size_t i = 0; i < u->n; i++)
		if (u->all[i].ino == st->st_ino && u->all[i].dev == st->st_dev)
			return;
	if (u->n == WATCH_UNNAMED)
		return;
	if (u->n == u->room)
		u->all = own_grow(u->all, u->room = u->room * 2 + 16, sizeof(*u->all));
	u->all[u->n].dev = st->st_dev;
	u->all[u->n++].ino = st->st_ino;
	u->bytes += (uint64_t)st->st_blocks * 512;
}

/* Only what is on an overlay: the rest is memory, or not the box's to fill. */
static void unnamed_look(struct unnamed *u, pid_t pid)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	DIR *dir = opendir(path);
	for (struct dirent *d; dir && u->looked < WATCH_DESCRIPTORS && (d = readdir(dir));) {
		struct stat st;
		struct statfs fs;
		u->looked++;
		if (d->d_name[0] == '.' || fstatat(dirfd(dir), d->d_name, &st, 0) || st.st_nlink ||
		    !S_ISREG(st.st_mode))
			continue;
		auto_fd int fd = openat(dirfd(dir), d->d_name, O_PATH | O_CLOEXEC);
		if (fd >= 0 && !fstatfs(fd, &fs) && fs.f_type == OVERLAYFS_SUPER_MAGIC)
			unnamed_add(u, &st);
	}
	if (dir)
		closedir(dir);
}

static uint64_t unnamed_bytes(pid_t init)
{
	struct pids p = {.n = 0};
	struct unnamed u = {.n = 0};
	pids_add(&p, init);
	for (size_t i = 0; i < p.n; i++) {
		unnamed_look(&u, p.all[i]);
		add_children(&p, p.all[i]);
	}
	free(p.all);
	free(u.all);
	return u.bytes;
}

static void look_disk(const struct watch_target *t, struct watch_seen *s)
{
	int64_t began = clock_mono_ns();
	uint64_t bytes = 0, inodes = 0;
	for (size_t i = 0; i < t->n_uppers; i++) {
		struct dir_usage u = {.bytes = 0};
		struct err ignored = ERR_INIT;
		if (dir_usage(t->uppers[i], ".", t->disk_inodes ? t->disk_inodes + 1 : 0, &u,
			      &ignored))
			continue;
		bytes += u.bytes;
		inodes += u.inodes;
	}
	s->disk_bytes = bytes + unnamed_bytes(t->pid);
	s->disk_inodes = inodes;
	s->has_disk = true;
	s->disk_took_ns = clock_mono_ns() - began;
}

/* One process's share: proc(5), fields 14-17 (times) and 20 (threads) of stat; resident and shared
 * pages of statm. */
static bool add_process(pid_t pid, bool first, struct watch_seen *s)
{
	char path[64], buf[1024];
	uint64_t user, system, child_user, child_system, threads, resident = 0, shared = 0;
	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	if (!read_small(path, buf, sizeof(buf)))
		return false;
	const char *rest =
		strrchr(buf, ')'); /* the name before it is the job's and may hold anything */
	if (!rest || sscanf(rest + 1,
			    " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64
			    " %" SCNu64 " %" SCNu64 " %*d %*d %" SCNu64,
			    &user, &system, &child_user, &child_system, &threads) != 5)
		return false;
	s->cpu_ns += (user + system + child_user + child_system) *
		     (1000000000u / (uint64_t)sysconf(_SC_CLK_TCK));
	if (first)
		return true;
	s->processes += threads;
	snprintf(path, sizeof(path), "/proc/%d/statm", (int)pid);
	if (read_small(path, buf, sizeof(buf)) &&
	    sscanf(buf, "%*u %" SCNu64 " %" SCNu64, &resident, &shared) == 2 && resident > shared)
		s->memory += (resident - shared) * (uint64_t)sysconf(_SC_PAGESIZE);
	return true;
}

/* Whoever lost its parent in the box is pid 1's child: the tree below pid 1 is everybody. */
static void look_processes(const struct watch_target *t, struct watch_seen *s)
{
	struct watch_seen now = {.has_processes = true};
	struct pids p = {.n = 0};
	pids_add(&p, t->pid);
	for (size_t i = 0; i < p.n; i++)
		if (add_process(p.all[i], !i, &now))
			add_children(&p, p.all[i]);
	free(p.all);
	s->processes = now.processes;
	s->memory = now.memory;
	if (now.memory > s->peak_memory)
		s->peak_memory = now.memory;
	if (now.cpu_ns > s->cpu_ns)
		s->cpu_ns = now.cpu_ns;
	s->has_processes = true;
}

void watch_look(const struct watch_target *t, struct watch_seen *s)
{
	if (t->look_disk)
		look_disk(t, s);
	if (t->look_processes)
		look_processes(t, s);
}
