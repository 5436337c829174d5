/* The processes of a box as its /proc shows them: proc(5). Their names are the job's and may hold
 * anything. */
#include "sandbox/box/look.h"

#include "base/own.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>

ssize_t look_read(int dirfd, const char *file, char *buf, size_t size)
{
	auto_fd int fd = openat(dirfd, file, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, size - 1);
	buf[n < 0 ? 0 : n] = 0;
	return n;
}

void look_each(bool (*fn)(void *arg, int dirfd, pid_t pid), void *arg)
{
	DIR *proc = opendir("/proc");
	struct statfs fs;
	bool more = proc && !fstatfs(dirfd(proc), &fs) && fs.f_type == PROC_SUPER_MAGIC;
	for (struct dirent *d; more && (d = readdir(proc));) {
		char *end;
		long pid = strtol(d->d_name, &end, 10);
		if (*end || pid < 2)
			continue;
		auto_fd int fd = openat(dirfd(proc), d->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		more = fd < 0 || fn(arg, fd, (pid_t)pid);
	}
	if (proc)
		closedir(proc);
}

uint64_t look_number(const char *text, const char *key)
{
	size_t n = strlen(key);
	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (!strncmp(line, key, n) && line[n] == ':')
			return strtoull(line + n + 1, NULL, 10);
	}
	return 0;
}

/* Of stat: fields 3 (state), 4 (parent), 14-17 (times, those of waited-for children too) and 20
 * (threads). */
static void add_times(struct look_processes *p, const char *stat, bool first)
{
	uint64_t user, system, child_user, child_system, threads;
	char state;
	int parent;
	const char *rest = strrchr(stat, ')');
	if (!rest ||
	    sscanf(rest + 1,
		   " %c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64 " %" SCNu64
		   " %" SCNu64 " %*d %*d %" SCNu64,
		   &state, &parent, &user, &system, &child_user, &child_system, &threads) != 7)
		return;
	bool orphan = state == 'Z' && parent == 1;
	p->cpu_ns += (user + system + child_user + child_system) *
		     (1000000000u / (uint64_t)sysconf(_SC_CLK_TCK));
	p->tasks += first ? 0 : orphan ? threads - 1 : threads;
	p->ready += !first && state == 'R';
	p->orphans += orphan;
}

static void add_memory(struct look_processes *p, const char *statm)
{
	uint64_t resident, shared, page = (uint64_t)sysconf(_SC_PAGESIZE);
	if (sscanf(statm, "%*u %" SCNu64 " %" SCNu64, &resident, &shared) != 2)
		return;
	p->shared += shared * page;
	p->anonymous += resident > shared ? (resident - shared) * page : 0;
}

static void add_io(struct look_processes *p, const char *io)
{
	p->io_chars += look_number(io, "rchar") + look_number(io, "wchar");
	p->io_read_bytes += look_number(io, "read_bytes");
	p->io_write_bytes += look_number(io, "write_bytes");
	p->io_seen = true;
}

struct adding {
	struct look_processes *p;
	bool io;
};

static bool add_process(void *arg, int dirfd, pid_t pid)
{
	struct adding *a = arg;
	char buf[1024];
	(void)pid;
	if (look_read(dirfd, "stat", buf, sizeof(buf)) > 0)
		add_times(a->p, buf, false);
	if (look_read(dirfd, "statm", buf, sizeof(buf)) > 0)
		add_memory(a->p, buf);
	if (a->io && look_read(dirfd, "io", buf, sizeof(buf)) > 0)
		add_io(a->p, buf);
	return true;
}

static bool add_task(void *arg, int dirfd, pid_t pid)
{
	char buf[1024];
	(void)pid;
	if (look_read(dirfd, "stat", buf, sizeof(buf)) > 0)
		add_times(arg, buf, false);
	return true;
}

void look_tasks(struct look_processes *p)
{
	look_each(add_task, p);
}

/* Whoever lost its parent in the box is pid 1's child, whose time is in pid 1's when it has ended.
 */
void look_processes(bool io, struct look_processes *p)
{
	struct adding a = {p, io};
	char buf[1024];
	if (look_read(AT_FDCWD, "/proc/1/stat", buf, sizeof(buf)) > 0)
		add_times(p, buf, true);
	look_each(add_process, &a);
	/* Nobody there to ask: that is an answer. */
	p->io_seen |= io && !p->tasks;
}
