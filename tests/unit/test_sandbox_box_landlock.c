/* sandbox/box/landlock.c: a child is the box: its root is a directory of its own, where it is root
 * of a user namespace with every capability and no filter, as if all else had broken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/own.h"
#include "sandbox/box/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

static long abi;
static char dir[] = "/var/tmp/assay-landlock.XXXXXX";

#define PASS 0
#define NO_NAMESPACES 77

/* Root of its own user namespace: a tmpfs wants an owner. */
static void become_root(uid_t uid)
{
	auto_free char *map = own_fmt("0 %u 1", (unsigned)uid);
	auto_fd int fd = open("/proc/self/uid_map", O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, map, strlen(map)) < 0)
		_exit(92);
}

/* Into the box: a mount namespace of one's own, "/" is dir. The descriptor of what was "/" before.
 */
static int enter(unsigned flags)
{
	struct spec spec = {.flags = flags};
	struct err e = ERR_INIT;
	int outside = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	uid_t uid = geteuid();
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS))
		_exit(NO_NAMESPACES);
	become_root(uid);
	if (outside < 0 || chroot(dir) || chdir("/") || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		_exit(90);
	if (landlock_enter(&spec, &e)) {
		fprintf(stderr, "%s\n", e.text);
		_exit(91);
	}
	return outside;
}

/* Each returns 0 or the line of what went wrong. */
#define WANT(condition)                                                                            \
	do {                                                                                       \
		if (!(condition))                                                                  \
			return __LINE__;                                                           \
	} while (0)

static int run(int (*fn)(unsigned flags), unsigned flags)
{
	int status;
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		int line = fn(flags);
		if (line)
			fprintf(stderr, "line %d: %s\n", line, strerror(errno));
		_exit(line ? 1 : PASS);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == NO_NAMESPACES)
		skip();
	return WEXITSTATUS(status);
}

static void needs(long least)
{
	if (abi < least) {
		print_message("this kernel's Landlock is version %ld\n", abi);
		skip();
	}
}

static int look_outside(unsigned flags)
{
	int outside = enter(flags);
	WANT(openat(outside, "etc/passwd", O_RDONLY | O_CLOEXEC) < 0 && errno == EACCES);
	WANT(openat(outside, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) < 0 && errno == EACCES);
	WANT(openat(outside, "var/tmp/x", O_CREAT | O_WRONLY | O_CLOEXEC, 0600) < 0 &&
	     errno == EACCES);
	char *argv[] = {(char[]){"true"}, NULL}, *env[] = {NULL};
	WANT(syscall(SYS_execveat, outside, "usr/bin/true", argv, env, 0) < 0 && errno == EACCES);
	WANT(!mkdir("/in", 0700) && !rmdir("/in"));
	return 0;
}

static int mount_something(unsigned flags)
{
	enter(flags);
	WANT(mount("none", "/a", "tmpfs", 0, NULL) < 0 && errno == EPERM);
	WANT(mount("/a", "/b", NULL, MS_BIND, NULL) < 0 && errno == EPERM);
	return 0;
}

static int mount_where_that_is_allowed(unsigned flags)
{
	enter(flags);
	WANT(!mount("none", "/a", "tmpfs", 0, NULL));
	WANT(!umount2("/a", 0));
	return 0;
}

static int send_and_trace(unsigned flags)
{
	enter(flags);
	WANT(kill(getppid(), 0) < 0 && errno == EPERM);
	WANT(ptrace(PTRACE_ATTACH, getppid(), 0, 0) < 0 && errno == EPERM);
	pid_t own = fork();
	if (!own)
		for (;;)
			pause();
	int status;
	WANT(!kill(own, SIGSTOP) && waitpid(own, &status, WUNTRACED) == own);
	WANT(!ptrace(PTRACE_ATTACH, own, 0, 0));
	WANT(!kill(own, SIGKILL) && waitpid(own, &status, 0) == own);
	return 0;
}

static int abstract_socket(bool listen_there)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int n = snprintf(a.sun_path + 1, sizeof(a.sun_path) - 1, "assay-landlock-%d",
			 listen_there ? (int)getpid() : (int)getppid());
	socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || (listen_there ? bind(fd, (struct sockaddr *)&a, size) || listen(fd, 1)
				    : connect(fd, (struct sockaddr *)&a, size)))
		return -1;
	return fd;
}

static int connect_outside(unsigned flags)
{
	enter(flags);
	WANT(abstract_socket(false) < 0 && errno == EPERM);
	return 0;
}

/* What programs do with files, all of it below "/". */
static int use_files(unsigned flags)
{
	struct stat st;
	enter(flags);
	int fd = open("/a/f", O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	WANT(fd >= 0 && write(fd, "12345", 5) == 5 && !ftruncate(fd, 3) && !truncate("/a/f", 2));
	WANT(!rename("/a/f", "/b/f") && !link("/b/f", "/a/g") && !stat("/a/g", &st));
	WANT(st.st_size == 2 && st.st_nlink == 2);
	WANT(!syscall(SYS_renameat2, AT_FDCWD, "/a/g", AT_FDCWD, "/b/f", 2 /* exchange */));
	WANT(!mkdir("/a/d", 0700) && !rename("/a/d", "/b/d"));
	WANT(!symlink("f", "/b/l") && !unlink("/b/l") && !rmdir("/b/d"));
	WANT(!mknod("/b/p", S_IFIFO | 0600, 0) && !unlink("/b/p"));
	int tmp = open("/a", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	WANT(tmp >= 0 ? write(tmp, "x", 1) == 1 : errno == EOPNOTSUPP);
	WANT(tmp < 0 || !linkat(tmp, "", AT_FDCWD, "/b/t", AT_EMPTY_PATH) || errno == ENOENT);
	struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = "/a/s"};
	int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	WANT(s >= 0 && !bind(s, (struct sockaddr *)&a, sizeof(a)) && !listen(s, 1));
	int c = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	WANT(c >= 0 && !connect(c, (struct sockaddr *)&a, sizeof(a)));
	WANT(abstract_socket(true) >= 0);
	int m = memfd_create("m", MFD_CLOEXEC);
	WANT(m >= 0 && write(m, "y", 1) == 1 && !ftruncate(m, 0));
	return 0;
}

static int open_stdout_anew(unsigned flags)
{
	int file = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
	int proc = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	WANT(file >= 0 && dup2(file, STDOUT_FILENO) == STDOUT_FILENO);
	WANT(dup2(open("/etc/group", O_RDONLY | O_CLOEXEC), 8) == 8);
	enter(flags);
	int again = openat(proc, "1", O_RDONLY | O_CLOEXEC);
	WANT(again >= 0 && openat(proc, "8", O_RDONLY | O_CLOEXEC) < 0 && errno == EACCES);
	return 0;
}

static void a_directory_s_descriptor_leads_nowhere(void **state)
{
	(void)state;
	needs(2);
	assert_int_equal(run(look_outside, 0), 0);
	/* the loosenings that need mounts do without */
	assert_int_not_equal(run(look_outside, PLAN_LOOSEN_USERNS), 0);
}

static void nothing_is_mounted_whatever_the_capabilities(void **state)
{
	(void)state;
	needs(2);
	assert_int_equal(run(mount_something, 0), 0);
	assert_int_equal(run(mount_where_that_is_allowed, PLAN_LOOSEN_USERNS), 0);
	assert_int_equal(run(mount_where_that_is_allowed, PLAN_LOOSEN_FUSE), 0);
}

static void who_is_not_of_the_box_gets_no_signal_and_is_not_traced(void **state)
{
	(void)state;
	needs(6);
	assert_int_equal(run(send_and_trace, 0), 0);
	assert_int_equal(run(send_and_trace, PLAN_LOOSEN_USERNS), 0);
}

static void abstract_sockets_of_others_are_not_there(void **state)
{
	(void)state;
	needs(6);
	auto_fd int fd = abstract_socket(true);
	assert_true(fd >= 0);
	assert_int_equal(run(connect_outside, 0), 0);
	assert_int_equal(run(connect_outside, PLAN_LOOSEN_FUSE), 0);
}

static void files_below_the_root_are_used_as_ever(void **state)
{
	(void)state;
	assert_int_equal(run(use_files, 0), 0);
}

static void what_stdio_is_can_be_opened_by_name(void **state)
{
	(void)state;
	needs(2);
	assert_int_equal(run(open_stdout_anew, 0), 0);
}

static int set_up(void **state)
{
	(void)state;
	abi = syscall(SYS_landlock_create_ruleset, NULL, 0, 1);
	if (!mkdtemp(dir) || chmod(dir, 0755))
		return -1;
	auto_free char *a = own_fmt("%s/a", dir), *b = own_fmt("%s/b", dir);
	return mkdir(a, 0777) || mkdir(b, 0777) || chmod(a, 0777) || chmod(b, 0777);
}

static int tear_down(void **state)
{
	static const char *const left[] = {"a/f", "a/g", "a/s", "b/f", "b/l", "b/p", "b/t"};
	static const char *const dirs[] = {"a/d", "b/d", "a", "b"};
	(void)state;
	for (size_t i = 0; i < countof(left); i++) {
		auto_free char *path = own_fmt("%s/%s", dir, left[i]);
		unlink(path);
	}
	for (size_t i = 0; i < countof(dirs); i++) {
		auto_free char *path = own_fmt("%s/%s", dir, dirs[i]);
		rmdir(path);
	}
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_directory_s_descriptor_leads_nowhere),
		cmocka_unit_test(nothing_is_mounted_whatever_the_capabilities),
		cmocka_unit_test(who_is_not_of_the_box_gets_no_signal_and_is_not_traced),
		cmocka_unit_test(abstract_sockets_of_others_are_not_there),
		cmocka_unit_test(files_below_the_root_are_used_as_ever),
		cmocka_unit_test(what_stdio_is_can_be_opened_by_name),
	};
	return cmocka_run_group_tests_name("sandbox/box/landlock", tests, set_up, tear_down);
}
