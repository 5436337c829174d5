/* Limits: each tries to take more than the runner gave the box (its facts say how much), a little
 * more and not the machine. A box that is ended at it says so itself: then there is no row, and the
 * runner reads the engine's own word. */
#include "tests/probes/probe.h"

#include <limits.h>
#include <linux/magic.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/vfs.h>
#include <time.h>

/* Who watches and does not count looks twice a second or so: time for it to see, also on a machine
 * that has too much to do. Whoever is seen is ended. */
#define SEEN_SECONDS 20

static void be_seen(void)
{
	nanosleep(&(struct timespec){.tv_sec = SEEN_SECONDS}, NULL);
}

static void limit_forks(const struct probe *p)
{
	unsigned long most = fact_number("processes") + 50, n = 0;
	(void)p;
	for (; n < most; n++) {
		pid_t pid = fork();
		if (pid < 0)
			held("%lu processes, then %s", n, error_name(errno));
		if (!pid)
			for (;;)
				pause();
	}
	be_seen();
	passed("%lu processes", n);
}

static void *thread_sleeps(void *arg)
{
	for (;;)
		pause();
	return arg;
}

static void limit_threads(const struct probe *p)
{
	unsigned long most = fact_number("processes") + 50, n = 0;
	pthread_attr_t attr;
	(void)p;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 65536);
	for (; n < most; n++) {
		pthread_t t;
		int rc = pthread_create(&t, &attr, thread_sleeps, NULL);
		if (rc)
			held("%lu threads, then %s", n, error_name(rc));
	}
	be_seen();
	passed("%lu threads", n);
}

/* In a child: the kernel may end it, and not the probe. */
static void eat(void *arg)
{
	const struct probe *p = arg;
	size_t most = fact_number("memory") + (64ul << 20), step = 1 << 20;
	int fd = -1;
	if (p->a == 1)
		fd = (int)memfd_create("probe", 0);
	if (p->a == 2)
		fd = open("/dev/shm/probe", O_RDWR | O_CREAT | O_EXCL, 0600);
	if (p->a == 3)
		fd = open("/tmp/probe", O_RDWR | O_CREAT | O_EXCL, 0600);
	struct statfs fs;
	if (p->a && (fd < 0 || fstatfs(fd, &fs) || fs.f_type != TMPFS_MAGIC))
		_exit(2);
	for (size_t n = 0; n < most; n += step) {
		static char page[1 << 20];
		memset(page, (int)(n >> 20 | 1), sizeof(page));
		if (fd >= 0 && write(fd, page, step) != (ssize_t)step)
			_exit(3);
		char *at = fd >= 0 ? page
				   : mmap(NULL, step, PROT_READ | PROT_WRITE,
					  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (at == MAP_FAILED)
			_exit(3);
		memset(at, 1, step);
	}
	be_seen();
}

static void limit_memory(const struct probe *p)
{
	struct probe copy = *p;
	fact_number("memory");
	int status = in_child(eat, &copy);
	unlink("/dev/shm/probe");
	unlink("/tmp/probe");
	if (WIFSIGNALED(status))
		held("killed by SIG%s", sigabbrev_np(WTERMSIG(status)));
	if (WEXITSTATUS(status) == 3)
		held("no more is given");
	if (WEXITSTATUS(status) == 2)
		absent("it is not in memory");
	passed("64 MiB more than the limit");
}

static void limit_files(const struct probe *p)
{
	unsigned long most = fact_number("open_files") + 10, n = 0;
	(void)p;
	for (; n < most; n++)
		if (open("/dev/null", O_RDONLY) < 0)
			held("%lu files, then %s", n, error_name(errno));
	passed("%lu files", n);
}

static void grow(void *arg)
{
	static char piece[1 << 20];
	const struct probe *p = arg;
	unsigned long most = fact_number(p->what) + (16ul << 20);
	char path[PATH_MAX];
	for (unsigned long n = 0, i = 0; n < most; n += sizeof(piece), i++) {
		snprintf(path, sizeof(path), "%s/big%lu",
			 p->a ? p->a == 2 ? "" : probe_top : probe_work, p->a ? i / 8 : 0);
		int fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
		memset(piece, (int)i, sizeof(piece));
		if (fd < 0 || write(fd, piece, sizeof(piece)) != (ssize_t)sizeof(piece))
			_exit(3);
		close(fd);
	}
	if (p->a)
		be_seen();
}

static void limit_bytes(const struct probe *p)
{
	struct probe copy = *p;
	fact_number(p->what);
	if (p->a == 2 && is_bare())
		passed("the host's own root: not tried");
	int status = in_child(grow, &copy);
	if (WIFSIGNALED(status))
		held("killed by SIG%s", sigabbrev_np(WTERMSIG(status)));
	if (WEXITSTATUS(status))
		held("no more is taken");
	passed("16 MiB more than the limit");
}

static void limit_inodes(const struct probe *p)
{
	unsigned long most = fact_number("inodes") + 500;
	char path[PATH_MAX];
	(void)p;
	for (unsigned long n = 0; n < most; n++) {
		snprintf(path, sizeof(path), "%s/i%lu", probe_top, n);
		if (mkdir(path, 0700))
			held("%lu entries, then %s", n, error_name(errno));
	}
	be_seen();
	passed("500 entries more than the limit");
}

static void limit_core(const struct probe *p)
{
	char dir[PATH_MAX];
	(void)p;
	if (chdir(probe_work))
		verdict(VERDICT_BAD, "chdir: %s", error_name(errno));
	pid_t pid = fork();
	if (!pid) {
		abort();
	}
	int status = wait_for(pid);
	if (WCOREDUMP(status))
		passed("a dump in %s", getcwd(dir, sizeof(dir)));
	held("no dump");
}

static void limit_output(const struct probe *p)
{
	static char piece[1 << 16];
	unsigned long most = fact_number("output") + (8ul << 20);
	(void)p;
	memset(piece, 'x', sizeof(piece));
	for (unsigned long n = 0; n < most; n += sizeof(piece))
		if (write(2, piece, sizeof(piece)) < 0)
			held("%s", error_name(errno));
	be_seen();
	passed("8 MiB more than the limit");
}

static void limit_cpu(const struct probe *p)
{
	struct timespec now;
	unsigned long seconds = fact_number("cpu") + SEEN_SECONDS;
	(void)p;
	do
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	while (now.tv_sec < (time_t)seconds);
	passed("%ld s", (long)now.tv_sec);
}

static void limit_wall(const struct probe *p)
{
	unsigned long seconds = fact_number("wall") + SEEN_SECONDS;
	(void)p;
	nanosleep(&(struct timespec){.tv_sec = (time_t)seconds}, NULL);
	passed("%lu s", seconds);
}

/* clang-format off */
const struct probe limits[] = {
	{"fork_bomb", PROBE_LIMIT, "processes", limit_forks, 0, 0, 0, NULL},
	{"thread_bomb", PROBE_LIMIT, "processes", limit_threads, 0, 0, 0, NULL},
	{"memory", PROBE_LIMIT, "memory", limit_memory, 0, 0, 0, NULL},
	{"memory_memfd", PROBE_LIMIT, "memory", limit_memory, 1, 0, 0, NULL},
	{"memory_shm", PROBE_LIMIT, "memory", limit_memory, 2, 0, 0, NULL},
	{"memory_tmp", PROBE_LIMIT, "memory", limit_memory, 3, 0, 0, NULL},
	{"open_files", PROBE_LIMIT, "open files", limit_files, 0, 0, 0, NULL},
	{"file_size", PROBE_LIMIT, "file size", limit_bytes, 0, 0, 0, "file_size"},
	{"disk", PROBE_LIMIT, "disk", limit_bytes, 1, 0, 0, "disk"},
	{"disk_root", PROBE_LIMIT, "disk", limit_bytes, 2, 0, 0, "disk"},
	{"inodes", PROBE_LIMIT, "inodes", limit_inodes, 0, 0, 0, NULL},
	{"core", PROBE_LIMIT, "core", limit_core, 0, 0, 0, NULL},
	{"output", PROBE_LIMIT, "log bytes", limit_output, 0, 0, 0, NULL},
	{"cpu", PROBE_LIMIT, "cpu", limit_cpu, 0, 0, 0, NULL},
	{"wall", PROBE_LIMIT, "wall", limit_wall, 0, 0, 0, NULL},
	{NULL, 0, NULL, NULL, 0, 0, 0, NULL},
};
