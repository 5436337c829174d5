/* What installers, compilers and tests do with files. */
#include "tests/probes/probe.h"

#include <dirent.h>
#include <limits.h>
#include <aio.h>
#include <linux/aio_abi.h>
#include <linux/fs.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>

static char path_a[PATH_MAX], path_b[PATH_MAX];

static void in_work(void)
{
	need(!chdir(probe_work));
	snprintf(path_a, sizeof(path_a), "%s/a", probe_work);
	snprintf(path_b, sizeof(path_b), "%s/b", probe_work);
}

static void file_chown(const struct probe *p)
{
	struct stat st;
	in_work();
	close(file_make(path_a, "x", 0644));
	need(!chown(path_a, (uid_t)p->a, (gid_t)p->a));
	need(!stat(path_a, &st) && st.st_uid == (uid_t)p->a && st.st_gid == (gid_t)p->a);
	works("owner %ld", p->a);
}

static void file_modes(const struct probe *p)
{
	struct stat st;
	(void)p;
	in_work();
	close(file_make(path_a, "x", 0644));
	for (mode_t mode = 0; mode <= 07777; mode += 0111)
		need(!chmod(path_a, mode) && !stat(path_a, &st) && (st.st_mode & 07777) == mode);
	need(!mkdir(path_b, 0755) && !chmod(path_b, 02755) && !stat(path_b, &st) &&
	     st.st_mode & S_ISGID);
	works("set-id and sticky too");
}

static void file_root_reads(const struct probe *p)
{
	char text[8];
	(void)p;
	in_work();
	close(file_make(path_a, "x", 0));
	need(!chmod(path_a, 0));
	need(file_get(path_a, text, sizeof(text)) == 1);
	works("root reads a file of mode 000");
}

static void file_locks(const struct probe *p)
{
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	(void)p;
	in_work();
	int a = file_make(path_a, "x", 0644), b = open(path_a, O_RDWR | O_CLOEXEC);
	need(a >= 0 && b >= 0);
	need(!flock(a, LOCK_EX | LOCK_NB));
	need(flock(b, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK);
	need(!flock(a, LOCK_UN));
	need(!fcntl(a, F_OFD_SETLK, &l));
	need(fcntl(b, F_OFD_SETLK, &l) && (errno == EAGAIN || errno == EACCES));
	l.l_type = F_UNLCK;
	need(!fcntl(a, F_OFD_SETLK, &l));
	l.l_type = F_WRLCK;
	l.l_pid = 0;
	need(!fcntl(a, F_SETLK, &l) && !lockf(a, F_TEST, 0));
	works("flock, POSIX, of open descriptions");
}

static void file_lease(const struct probe *p)
{
	(void)p;
	in_work();
	close(file_make(path_a, "x", 0644));
	int fd = open(path_a, O_RDONLY | O_CLOEXEC);
	need(fd >= 0 && !fcntl(fd, F_SETLEASE, F_RDLCK));
	need(fcntl(fd, F_GETLEASE) == F_RDLCK);
	works("a read lease");
}

static void file_tmpfile(const struct probe *p)
{
	char link[64], text[8];
	(void)p;
	in_work();
	int fd = open(".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	need(fd >= 0);
	need(write(fd, "tmp", 3) == 3);
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	need(!linkat(AT_FDCWD, link, AT_FDCWD, path_a, AT_SYMLINK_FOLLOW));
	need(file_get(path_a, text, sizeof(text)) == 3);
	works("made without a name, then named");
}

static void file_xattr(const struct probe *p)
{
	char text[8];
	(void)p;
	in_work();
	close(file_make(path_a, "x", 0644));
	need(!setxattr(path_a, "user.probe", "abc", 3, XATTR_CREATE));
	need(getxattr(path_a, "user.probe", text, sizeof(text)) == 3);
	need(listxattr(path_a, NULL, 0) >= 11);
	need(!removexattr(path_a, "user.probe"));
	works("user extended attributes");
}

static void file_inotify(const struct probe *p)
{
	char room[4096];
	(void)p;
	in_work();
	int fd = inotify_init1(IN_CLOEXEC);
	need(fd >= 0 && inotify_add_watch(fd, probe_work, IN_CREATE) >= 0);
	close(file_make(path_a, "x", 0644));
	struct pollfd wait = {.fd = fd, .events = POLLIN};
	need(poll(&wait, 1, 100000) == 1);
	need(read(fd, room, sizeof(room)) > 0);
	works("told of a new file");
}

static void file_links(const struct probe *p)
{
	struct stat st;
	(void)p;
	in_work();
	close(file_make(path_a, "x", 0644));
	need(!link(path_a, path_b) && !stat(path_b, &st) && st.st_nlink == 2);
	need(!symlink("a", "l") && !lstat("l", &st) && S_ISLNK(st.st_mode));
	need(!mkfifo("f", 0600));
	works("hard, symbolic, a pipe with a name");
}

static void file_rename(const struct probe *p)
{
	char text[8];
	(void)p;
	in_work();
	close(file_make(path_a, "a", 0644));
	close(file_make(path_b, "b", 0644));
	need(renameat2(AT_FDCWD, path_a, AT_FDCWD, path_b, RENAME_NOREPLACE) && errno == EEXIST);
	need(!renameat2(AT_FDCWD, path_a, AT_FDCWD, path_b, RENAME_EXCHANGE));
	need(file_get(path_a, text, sizeof(text)) == 1 && text[0] == 'b');
	need(!mkdir("d", 0755) && !mkdir("d/e", 0755) && !rename("d", "g") && !access("g/e", F_OK));
	works("exchanged, and not replaced");
}

/* A directory of the lower moved: EXDEV where an overlay may not redirect, and all that move
 * directories then copy (rename(2)); what is below must still be gone when it is removed. */
static void file_lower(const struct probe *p)
{
	char text[64];
	(void)p;
	need(!chdir(probe_top) && !access("lower", F_OK));
	need(file_get("lower/kept", text, sizeof(text)) > 0);
	need(!file_put("lower/kept", "changed"));
	need(file_get("lower/kept", text, sizeof(text)) > 0 && !strncmp(text, "changed", 7));
	need(!unlink("lower/gone") && access("lower/gone", F_OK) && errno == ENOENT);
	need(!rename("lower", "moved") || errno == EXDEV);
	works("changed, removed, moved or EXDEV");
}

static void file_space(const struct probe *p)
{
	char text[16];
	loff_t from = 0, to = 0;
	struct stat st;
	(void)p;
	in_work();
	int a = file_make(path_a, "", 0644), b = file_make(path_b, "", 0644);
	need(!posix_fallocate(a, 0, 65536));
	need(!ftruncate(b, 1l << 32) && !fstat(b, &st) && st.st_blocks < 100);
	need(pwrite(a, "copied", 6, 0) == 6);
	need(copy_file_range(a, &from, b, &to, 6, 0) == 6);
	need(pread(b, text, 6, 0) == 6 && !memcmp(text, "copied", 6));
	need(lseek(b, 0, SEEK_DATA) == 0 && lseek(b, 0, SEEK_HOLE) > 0);
	need(sendfile(b, a, NULL, 6) >= 0);
	works("reserved, sparse, copied in the kernel");
}

static void file_sync(const struct probe *p)
{
	(void)p;
	in_work();
	int fd = file_make(path_a, "x", 0644), dir = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	need(!fsync(fd) && !fdatasync(fd) && !fsync(dir) && !syncfs(fd));
	works("files and directories");
}

static void file_map(const struct probe *p)
{
	(void)p;
	in_work();
	int fd = file_make(path_a, "0123456789", 0644);
	need(!ftruncate(fd, 4096));
	char *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	need(at != MAP_FAILED);
	at[0] = 'x';
	need(!msync(at, 4096, MS_SYNC));
	char c;
	need(pread(fd, &c, 1, 0) == 1 && c == 'x');
	works("a shared writable mapping");
}

/* As who can do with either: the kernel's, or it says that it has none, and libc's. */
static void file_aio(const struct probe *p)
{
	aio_context_t context = 0;
	char text[16];
	(void)p;
	in_work();
	int fd = file_make(path_a, "0123456789", 0644);
	struct aiocb one = {.aio_fildes = fd, .aio_buf = text, .aio_nbytes = 10};
	const struct aiocb *all = &one;
	need(!syscall(SYS_io_setup, 4, &context) || errno == ENOSYS);
	need(!aio_read(&one) && !aio_suspend(&all, 1, NULL) && aio_return(&one) == 10);
	need(text[0] == '0' && text[9] == '9');
	works("aio_read");
}

static void file_deep(const struct probe *p)
{
	char name[201];
	(void)p;
	in_work();
	memset(name, 'd', 200);
	name[200] = 0;
	for (int i = 0; i < 30; i++)
		need(!mkdir(name, 0755) && !chdir(name));
	for (int i = 0; i < 30; i++)
		need(!chdir("..") && !rmdir(name));
	works("a path of 6,000 bytes");
}

static void file_readdir(const struct probe *p)
{
	unsigned n = 0;
	(void)p;
	in_work();
	for (int i = 0; i < 500; i++) {
		snprintf(path_a, sizeof(path_a), "%s/n%d", probe_work, i);
		close(file_make(path_a, "", 0644));
	}
	DIR *d = opendir(".");
	need(d);
	while (readdir(d))
		n++;
	need(n == 502);
	works("500 entries");
}

/* dpkg and apt read these before they begin. */
static void file_statfs(const struct probe *p)
{
	struct statvfs v;
	in_work();
	need(!statvfs(".", &v) && v.f_bavail > 0 && !(v.f_flag & ST_RDONLY));
	need(!(v.f_flag & ST_NOEXEC));
	(void)p;
	works("%llu MiB are left", (unsigned long long)v.f_bavail * v.f_frsize >> 20);
}

static void file_exec(const struct probe *p)
{
	char script[PATH_MAX];
	snprintf(script, sizeof(script), "%s/s", p->what ? p->what : probe_work);
	char text[PATH_MAX + 32];
	snprintf(text, sizeof(text), "#!%s list\n", probe_exe);
	int fd = open(script, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
	need(fd >= 0 && write(fd, text, strlen(text)) > 0 && !close(fd));
	pid_t pid = fork();
	if (!pid) {
		dup2(open("/dev/null", O_WRONLY), 1);
		execl(script, script, (char *)NULL);
		_exit(127);
	}
	int status = wait_for(pid);
	unlink(script);
	need(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	works("a script runs");
}

static void dev_files(const struct probe *p)
{
	char c[4];
	(void)p;
	int null = open("/dev/null", O_RDWR), zero = open("/dev/zero", O_RDONLY),
	    full = open("/dev/full", O_WRONLY), random = open("/dev/urandom", O_RDONLY);
	need(null >= 0 && zero >= 0 && full >= 0 && random >= 0);
	need(write(null, "x", 1) == 1 && read(null, c, 1) == 0);
	need(read(zero, c, 4) == 4 && !c[3] && read(random, c, 4) == 4);
	need(write(full, "x", 1) < 0 && errno == ENOSPC);
	need(open("/dev/random", O_RDONLY) >= 0);
	works("null zero full random urandom");
}

static void dev_fd(const struct probe *p)
{
	char text[16];
	(void)p;
	int pipes[2];
	need(!pipe(pipes) && write(pipes[1], "x", 1) == 1);
	snprintf(text, sizeof(text), "/dev/fd/%d", pipes[0]);
	int fd = open(text, O_RDONLY);
	need(fd >= 0 && read(fd, text, 1) == 1);
	need(!access("/dev/stdin", F_OK) && !access("/dev/stdout", F_OK) &&
	     !access("/dev/stderr", F_OK));
	fd = open("/dev/stdout", O_WRONLY);
	need(fd >= 0);
	works("/dev/fd, stdin, stdout, stderr");
}

static void proc_files(const struct probe *p)
{
	static const char *const files[] = {"cpuinfo",
					    "meminfo",
					    "stat",
					    "uptime",
					    "loadavg",
					    "version",
					    "filesystems",
					    "mounts",
					    "self/status",
					    "self/maps",
					    "self/cmdline",
					    "self/stat",
					    "self/mountinfo",
					    "self/limits",
					    "self/cgroup",
					    "self/oom_score_adj",
					    "self/fdinfo/0",
					    "sys/kernel/pid_max",
					    "sys/vm/overcommit_memory",
					    "sys/kernel/random/uuid",
					    "sys/kernel/osrelease",
					    "net/dev",
					    "net/route"};
	char path[64], text[1 << 16];
	(void)p;
	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
		snprintf(path, sizeof(path), "/proc/%s", files[i]);
		if (file_get(path, text, sizeof(text)) <= 0)
			broken("%s: %s", path, error_name(errno));
	}
	ssize_t n = readlink("/proc/self/exe", text, sizeof(text));
	need(n > 0);
	works("23 files");
}

static void oom_raise(const struct probe *p)
{
	(void)p;
	need(!file_put("/proc/self/oom_score_adj", "1000"));
	works("a process offers itself");
}

static void umask_now(const struct probe *p)
{
	struct stat st;
	(void)p;
	in_work();
	umask(027);
	int fd = open(path_a, O_RDWR | O_CREAT, 0666);
	need(fd >= 0 && !fstat(fd, &st) && (st.st_mode & 0777) == 0640);
	works("a process sets its own");
}

static void file_times(const struct probe *p)
{
	struct timespec t[2] = {{.tv_sec = 1000000000, .tv_nsec = 123456789},
				{.tv_sec = 1, .tv_nsec = 0}};
	struct stat st;
	(void)p;
	in_work();
	close(file_make(path_a, "x", 0644));
	need(!utimensat(AT_FDCWD, path_a, t, 0) && !stat(path_a, &st) && st.st_mtim.tv_sec == 1);
	need(!symlink("x", path_b) && !utimensat(AT_FDCWD, path_b, t, AT_SYMLINK_NOFOLLOW));
	works("of links, too");
}

static void file_statx(const struct probe *p)
{
	struct statx x;
	(void)p;
	in_work();
	close(file_make(path_a, "x", 0644));
	need(!statx(AT_FDCWD, path_a, 0, STATX_BASIC_STATS, &x) && x.stx_size == 1);
	need(!faccessat(AT_FDCWD, path_a, R_OK, AT_EACCESS));
	works("statx, faccessat");
}

#define USE(name, f, a, what)                                                                      \
	{                                                                                          \
		"use_" name, PROBE_USE, "files", f, a, 0, 0, what                                  \
	}

/* clang-format off */
const struct probe use_files[] = {
	USE("chown_self", file_chown, 0, NULL), USE("chown_apt", file_chown, 42, NULL), USE("chown_last", file_chown, 65534, NULL),
	USE("modes", file_modes, 0, NULL), USE("root_reads", file_root_reads, 0, NULL), USE("locks", file_locks, 0, NULL),
	USE("lease", file_lease, 0, NULL), USE("tmpfile", file_tmpfile, 0, NULL), USE("xattr", file_xattr, 0, NULL),
	USE("inotify", file_inotify, 0, NULL), USE("links", file_links, 0, NULL), USE("rename", file_rename, 0, NULL),
	USE("lower", file_lower, 0, NULL), USE("space", file_space, 0, NULL), USE("sync", file_sync, 0, NULL), USE("mmap", file_map, 0, NULL),
	USE("aio", file_aio, 0, NULL), USE("deep", file_deep, 0, NULL), USE("readdir", file_readdir, 0, NULL), USE("statfs", file_statfs, 0, NULL),
	USE("exec_work", file_exec, 0, NULL), USE("exec_tmp", file_exec, 0, "/tmp"), USE("exec_shm", file_exec, 0, "/dev/shm"),
	USE("dev", dev_files, 0, NULL), USE("dev_fd", dev_fd, 0, NULL), USE("proc", proc_files, 0, NULL), USE("oom_raise", oom_raise, 0, NULL),
	USE("umask", umask_now, 0, NULL), USE("times", file_times, 0, NULL), USE("statx", file_statx, 0, NULL),
	{NULL, 0, NULL, NULL, 0, 0, 0, NULL},
};
