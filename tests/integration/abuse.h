/* What abuses a box, from within: tests/integration/test_sandbox_abuse.c, seen there as /abuse,
 * calls one of these by its name. None returns. */
#pragma once
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB (1u << 20)
#define ENOUGH_MIB 1024 /* of whatever is taken: who is to notice is late then */

static void wait_for_ever(void)
{
	for (;;)
		pause();
}

static void in_forks(void)
{
	for (;;)
		if (fork() < 0)
			usleep(100);
}

/* Each ends of a refused fork, and so do all. */
static void in_dying_forks(void)
{
	for (;;)
		if (fork() < 0)
			_exit(1);
}

/* Many, and hardly two at once; the last are pid 1's to reap, and fewer than the limit even if it
 * comes to that only afterwards. */
static void in_short_forks(void)
{
	for (int i = 0; i < 5000; i++) {
		pid_t pid = fork();
		if (!pid && i >= 4850)
			_exit(fork() < 0);
		if (!pid)
			_exit(0);
		int status = 1;
		if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
			_exit(2);
	}
	_exit(0);
}

/* What a refused fork has copied first: the page tables of 128 pages that lie far apart. */
static void in_big_forks(void)
{
	char *p = mmap(NULL, 256 * MIB, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		_exit(1);
	madvise(p, 256 * MIB, MADV_NOHUGEPAGE);
	for (size_t i = 0; i < 256 * MIB; i += 2 * MIB)
		p[i] = 1;
	for (bool said = false;;)
		if (fork() < 0 && !said)
			said = write(1, ".", 1) == 1;
}

/* Each child lives for a moment, and is nobody's but pid 1's, which may get round to them late. */
static void in_orphans(void)
{
	signal(SIGCHLD, SIG_IGN);
	for (;; usleep(1000))
		if (!fork()) {
			if (!fork())
				usleep(100);
			_exit(0);
		}
}

static void *thread_main(void *unused)
{
	(void)unused;
	wait_for_ever();
	return NULL;
}

static void in_threads(void)
{
	pthread_attr_t small;
	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, 64 << 10);
	for (;;) {
		pthread_t thread;
		if (pthread_create(&thread, &small, thread_main, NULL))
			usleep(1000);
	}
}

static void in_memory(void)
{
	for (int i = 0; i < ENOUGH_MIB / 4; i++) {
		char *p = mmap(NULL, 4 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			       -1, 0);
		if (p == MAP_FAILED)
			break;
		memset(p, 1, 4 * MIB);
	}
	wait_for_ever();
}

/* Children have it, too: it is there once. */
static void in_shared(void)
{
	for (int i = 0; i < 3; i++)
		fork();
	for (int i = 0; i < ENOUGH_MIB / 8; i++) {
		char *p =
			mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		if (p == MAP_FAILED)
			break;
		memset(p, 1, MIB);
	}
	wait_for_ever();
}

static void fill(int fd)
{
	static char block[MIB];
	memset(block, 1, sizeof(block));
	while (write(fd, block, sizeof(block)) > 0)
		;
}

static void in_tmpfs(void)
{
	fill(open("/tmp/f", O_WRONLY | O_CREAT, 0600));
	int fd = open("/dev/shm/f", O_WRONLY | O_CREAT, 0600);
	fill(fd);
	unlink("/dev/shm/f");
	in_memory(); /* full is not over: a little more, and it is */
}

static void in_memfd(void)
{
	for (int k = 0; k < ENOUGH_MIB / 16; k++) {
		int fd = memfd_create("x", 0);
		static char block[MIB];
		memset(block, 1, sizeof(block));
		for (int i = 0; i < 16; i++)
			if (write(fd, block, sizeof(block)) <= 0)
				wait_for_ever();
	}
	wait_for_ever();
}

static void in_sysv(void)
{
	for (int i = 0; i < ENOUGH_MIB / 4; i++) {
		int id = shmget(IPC_PRIVATE, 4 * MIB, IPC_CREAT | 0600);
		char *p = id < 0 ? (void *)-1 : shmat(id, NULL, 0);
		if (p == (void *)-1)
			break;
		memset(p, 1, 4 * MIB);
		shmdt(p);
	}
	wait_for_ever();
}

static void in_pipes(void)
{
	static char block[64 << 10];
	for (;;) {
		int ends[2];
		if (pipe2(ends, O_NONBLOCK)) {
			if (!fork())
				for (int fd = 3; fd < 4096; fd++)
					close(fd); /* the parent has the full ones */
			else
				wait_for_ever();
			continue;
		}
		fcntl(ends[1], F_SETPIPE_SZ, 1 << 20);
		while (write(ends[1], block, sizeof(block)) > 0)
			;
	}
}

static void in_page_cache(void)
{
	int fd = open("/data/f", O_RDWR | O_CREAT, 0600);
	static char block[MIB];
	for (int i = 0; i < 160; i++)
		if (write(fd, block, sizeof(block)) != sizeof(block))
			_exit(1);
	for (off_t i = 0; i < 160; i++)
		if (pread(fd, block, sizeof(block), i * MIB) != sizeof(block))
			_exit(2);
	_exit(0);
}

static void in_disk(void)
{
	for (int i = 0;; i++) {
		char name[32];
		snprintf(name, sizeof(name), "/data/%d", i);
		int fd = open(name, O_WRONLY | O_CREAT, 0600);
		fill(fd);
		close(fd);
	}
}

/* Where nobody may look, deeper than a path is long, without a name. */
static void in_disk_hidden(void)
{
	char block[4096];
	memset(block, 1, sizeof(block));
	if (chdir("/data"))
		_exit(1);
	for (int i = 0; i < 2000; i++)
		if (mkdir("d", 0700) || chdir("d"))
			_exit(2);
	int fd = open(".", O_TMPFILE | O_WRONLY, 0600);
	if (fd < 0)
		fd = open("f", O_WRONLY | O_CREAT, 0600);
	if (chmod(".", 0) || chmod("/data", 0))
		_exit(3);
	for (;;)
		if (write(fd, block, sizeof(block)) < 0)
			wait_for_ever();
}

static void in_inodes(void)
{
	for (int i = 0;; i++) {
		char name[32];
		snprintf(name, sizeof(name), "/data/%d", i);
		int fd = open(name, O_WRONLY | O_CREAT, 0600);
		if (fd < 0)
			wait_for_ever();
		close(fd);
	}
}

static void flood(char last)
{
	static char block[64 << 10];
	memset(block, 'x', sizeof(block));
	for (size_t i = 63; i < sizeof(block); i += 64)
		block[i] = last;
	for (;;)
		if (write(1, block, sizeof(block)) < 0)
			_exit(4);
}

static void in_lines(void)
{
	flood('\n');
}

static void in_one_line(void)
{
	flood('x');
}

static void in_closed(void)
{
	close(0);
	close(1);
	close(2);
	_exit(7);
}

static void in_daemons(void)
{
	for (int i = 0; i < 20; i++) {
		if (fork())
			continue;
		setsid();
		signal(SIGTERM, SIG_IGN);
		signal(SIGHUP, SIG_IGN);
		if (fork())
			_exit(0);
		if (i % 2) {
			close(0);
			close(1);
			close(2);
		}
		wait_for_ever();
	}
	usleep(20000);
	_exit(3);
}

/* The output's other end goes through a socket to somebody outside, who keeps it. */
static void in_giver(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = "/host/s"};
	char byte = 'x';
	struct iovec v = {&byte, 1};
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {.bytes = {0}};
	struct msghdr m = {.msg_iov = &v,
			   .msg_iovlen = 1,
			   .msg_control = control.bytes,
			   .msg_controllen = sizeof(control.bytes)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0), out = 1;
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &out, sizeof(int));
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)))
		_exit(errno == EACCES || errno == EPERM ? 77 : 1);
	/* who got it says when it is used */
	_exit(sendmsg(fd, &m, 0) == 1 && read(fd, &byte, 1) == 1 ? 5 : 2);
}

static void in_killer(void)
{
	if (!fork()) {
		kill(-1, SIGKILL);
		wait_for_ever();
	}
	wait_for_ever();
}

/* Children stopped, and children traced by children, in groups and sessions of their own. */
static void in_stopped(void)
{
	for (int i = 0; i < 8; i++)
		if (!fork()) {
			setsid();
			pid_t tracee = fork();
			if (!tracee) {
				raise(SIGSTOP);
				wait_for_ever();
			}
			if (i % 2)
				syscall(SYS_ptrace, 16 /* PTRACE_ATTACH */, tracee, 0, 0);
			signal(SIGTERM, SIG_IGN);
			raise(i % 4 == 2 ? SIGSTOP : SIGCONT);
			wait_for_ever();
		}
	usleep(50000);
	_exit(6);
}

/* Trees that are hard to remove. */
static void in_trees(void)
{
	char name[201];
	memset(name, 'n', 200);
	name[200] = 0;
	if (chdir("/data"))
		_exit(1);
	for (int i = 0; i < 1200; i++)
		if (mkdir(name, 0700) || chdir(name))
			_exit(2);
	for (int i = 0; i < 50; i++) {
		snprintf(name, sizeof(name), "%d", i);
		if (mkdir(name, 0700))
			_exit(3);
		int fd = openat(AT_FDCWD, name, O_PATH);
		int file = openat(fd, "f", O_WRONLY | O_CREAT, 0);
		if (file < 0 || chmod(name, 0))
			_exit(4);
		close(file);
		close(fd);
	}
	if (chmod(".", 0) || chmod("/data", 0))
		_exit(5);
	_exit(0);
}

static long files; /* how many */

static void in_files(void)
{
	for (int i = 0; i < files; i++) {
		char name[48];
		if (i % 1000 == 0) {
			snprintf(name, sizeof(name), "/data/%d", i / 1000);
			if (mkdir(name, 0700))
				_exit(1);
		}
		snprintf(name, sizeof(name), "/data/%d/%d", i / 1000, i);
		int fd = open(name, O_WRONLY | O_CREAT, 0600);
		if (fd < 0)
			_exit(2);
		close(fd);
	}
	_exit(0);
}

/* Five hundred and fifty of all kinds. */
static void in_crowd(void)
{
	signal(SIGTERM, SIG_IGN);
	for (int i = 0; i < 500; i++) {
		if (write(1, ".", 1) < 0)
			_exit(1);
		if (fork())
			continue;
		if (i % 10 == 1)
			raise(SIGSTOP);
		if (i % 10 == 2) {
			pid_t tracee = fork();
			if (!tracee)
				wait_for_ever();
			syscall(SYS_ptrace, 16 /* PTRACE_ATTACH */, tracee, 0, 0);
		}
		if (i % 100 == 3)
			for (;;)
				;
		wait_for_ever();
	}
	wait_for_ever();
}

static const struct {
	const char *name;
	void (*run)(void);
} insides[] = {
	{"forks", in_forks},
	{"big-forks", in_big_forks},
	{"orphans", in_orphans},
	{"dying-forks", in_dying_forks},
	{"short-forks", in_short_forks},
	{"threads", in_threads},
	{"memory", in_memory},
	{"shared", in_shared},
	{"tmpfs", in_tmpfs},
	{"memfd", in_memfd},
	{"sysv", in_sysv},
	{"pipes", in_pipes},
	{"page-cache", in_page_cache},
	{"disk", in_disk},
	{"inodes", in_inodes},
	{"lines", in_lines},
	{"one-line", in_one_line},
	{"closed", in_closed},
	{"daemons", in_daemons},
	{"giver", in_giver},
	{"killer", in_killer},
	{"stopped", in_stopped},
	{"trees", in_trees},
	{"files", in_files},
	{"crowd", in_crowd},
	{"disk-hidden", in_disk_hidden},
};

static int inside(const char *name, const char *number)
{
	files = number ? strtol(number, NULL, 10) : 0;
	for (size_t i = 0; i < sizeof(insides) / sizeof(*insides); i++)
		if (!strcmp(insides[i].name, name))
			insides[i].run();
	return 99;
}
