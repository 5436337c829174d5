/* The small files of cgroupfs: one open, one read or write, no allocation. */
#include "sandbox/cgroup_inside.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#define CGROUP_PAGE 4096 /* seq_file's first buffer: seq_read_iter(), fs/seq_file.c */

static bool real_is_cgroupfs(int fd, int version)
{
	struct statfs s;
	return !fstatfs(fd, &s) &&
	       (unsigned long)s.f_type == (version == 2 ? CGROUP2_SUPER_MAGIC : CGROUP_SUPER_MAGIC);
}

static int real_make(int dirfd, const char *name)
{
	return mkdirat(dirfd, name, 0755);
}

static int real_remove(int dirfd, const char *name)
{
	return unlinkat(dirfd, name, AT_REMOVEDIR);
}

static int real_write(int dirfd, const char *file, const char *text)
{
	auto_fd int fd = openat(dirfd, file, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -1;
	size_t n = strlen(text);
	ssize_t w = write(fd, text, n);
	if (w >= 0 && (size_t)w != n)
		errno = EIO;
	return w >= 0 && (size_t)w == n ? 0 : -1;
}

const struct cgroup_world cgroup_world_real = {
	.self = "/proc/self",
	.prefix = "",
	.systemd = "/run/systemd/system",
	.is_cgroupfs = real_is_cgroupfs,
	.make = real_make,
	.remove = real_remove,
	.write = real_write,
};

/* Up to size - 1 bytes of the file, NUL-terminated: the files here are far smaller. One that is
 * less than a page comes in one read(2), so that nobody need ask for its end. */
int cgroup_content(int dirfd, const char *file, char *buf, size_t size)
{
	auto_fd int fd = openat(dirfd, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	size_t n = 0, all = size - 1;
	while (fd >= 0 && n < all) {
		ssize_t r = read(fd, buf + n, all - n);
		if (r < 0)
			return -1;
		n += (size_t)r;
		if (!r || (n < CGROUP_PAGE && n < all && buf[n - 1] == '\n'))
			break;
	}
	buf[n] = 0;
	return fd < 0 ? -1 : 0;
}

static int digits(const char *s, uint64_t *n)
{
	char *end;
	if (*s < '0' || *s > '9') {
		errno = EINVAL;
		return -1;
	}
	errno = 0;
	*n = strtoull(s, &end, 10);
	if (!errno && *end && *end != '\n')
		errno = EINVAL;
	return errno ? -1 : 0;
}

int cgroup_word(int dirfd, const char *file, char *buf, size_t size)
{
	if (cgroup_content(dirfd, file, buf, size))
		return -1;
	buf[strcspn(buf, "\n")] = 0;
	return 0;
}

int cgroup_number(int dirfd, const char *file, uint64_t *n)
{
	char buf[64];
	return cgroup_content(dirfd, file, buf, sizeof(buf)) ? -1 : digits(buf, n);
}

int cgroup_key(int dirfd, const char *file, const char *key, uint64_t *n)
{
	char buf[4096];
	size_t len = strlen(key);
	if (cgroup_content(dirfd, file, buf, sizeof(buf)))
		return -1;
	for (const char *line = buf; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (!strncmp(line, key, len) && line[len] == ' ')
			return digits(line + len + 1, n);
	}
	errno = ENOENT;
	return -1;
}

uint64_t cgroup_stalled(int dirfd, const char *file)
{
	char buf[256];
	uint64_t us;
	const char *total = cgroup_word(dirfd, file, buf, sizeof(buf)) || strncmp(buf, "some ", 5)
				    ? NULL
				    : strstr(buf, " total=");
	return total && !digits(total + 7, &us) ? us * 1000 : 0;
}

struct each {
	bool (*fn)(void *arg, pid_t pid);
	void *arg;
	uint64_t pid;
	bool in_number;
	int seen;
};

/* false when fn has seen enough. */
static bool each_byte(struct each *e, char c)
{
	if (c >= '0' && c <= '9') {
		e->in_number = true;
		e->pid = e->pid > INT32_MAX ? e->pid : e->pid * 10 + (uint64_t)(c - '0');
		return true;
	}
	uint64_t pid = e->in_number ? e->pid : 0;
	e->seen += e->in_number;
	e->in_number = false;
	e->pid = 0;
	return !pid || pid > INT32_MAX || e->fn(e->arg, (pid_t)pid);
}

int cgroup_each(int dirfd, bool (*fn)(void *arg, pid_t pid), void *arg)
{
	char buf[4096];
	struct each e = {.fn = fn, .arg = arg};
	auto_fd int fd = openat(dirfd, "cgroup.procs", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -1;
	for (;;) {
		ssize_t n = read(fd, buf, sizeof(buf));
		if (n < 0)
			return -1;
		for (ssize_t i = 0; i < n; i++)
			if (!each_byte(&e, buf[i]))
				return e.seen;
		if (!n) {
			each_byte(&e, '\n');
			return e.seen;
		}
	}
}

static bool signal_one(void *arg, pid_t pid)
{
	if (pid != *(pid_t *)arg)
		kill(pid, SIGKILL);
	return true;
}

void cgroup_signal_each(int dirfd)
{
	pid_t self = getpid();
	cgroup_each(dirfd, signal_one, &self);
}
