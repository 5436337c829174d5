/* sandbox/box/carry.c: an upper that was in memory becomes a directory. As this process, and as
 * root of a user namespace that has its one id. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/child.h"
#include "base/dir.h"
#include "sandbox/box/carry.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static char dir[256];
static int dir_fd, userns_fd = -1;
static unsigned made;

static int write_text(const char *path, const char *text)
{
	auto_fd int fd = open(path, O_WRONLY | O_CLOEXEC);
	return fd < 0 ? -1 : dir_write_all(fd, text, strlen(text));
}

static int map_ids(pid_t pid)
{
	static const char *const files[] = {"setgroups", "uid_map", "gid_map"};
	char path[64], text[3][32] = {"deny"};
	snprintf(text[1], sizeof(text[1]), "0 %u 1", geteuid());
	snprintf(text[2], sizeof(text[2]), "0 %u 1", getegid());
	for (size_t i = 0; i < countof(files); i++) {
		snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, files[i]);
		if (write_text(path, text[i]))
			return -1;
	}
	return 0;
}

/* -1: this kernel or its administrator gives none. */
static int userns_new(void)
{
	int ready[2], fd = -1;
	char path[64], byte;
	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	pid_t pid = fork();
	if (!pid) {
		if (unshare(CLONE_NEWUSER) || write(ready[1], "", 1) != 1)
			_exit(1);
		close(ready[1]);
		pause();
	}
	close(ready[1]);
	if (read(ready[0], &byte, 1) == 1 && !map_ids(pid)) {
		snprintf(path, sizeof(path), "/proc/%d/ns/user", (int)pid);
		fd = open(path, O_RDONLY | O_CLOEXEC);
	}
	close(ready[0]);
	kill(pid, SIGKILL);
	child_end(pid);
	return fd;
}

static int setup(void **state)
{
	const char *tmp = getenv("TMPDIR");
	(void)state;
	snprintf(dir, sizeof(dir), "%s/assay-carry.XXXXXX", tmp && *tmp ? tmp : "/var/tmp");
	if (!mkdtemp(dir))
		return -1;
	dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	userns_fd = userns_new();
	return dir_fd < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	struct err e = ERR_INIT;
	auto_fd int above = openat(dir_fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	(void)state;
	own_close(&userns_fd);
	close(dir_fd);
	if (!dir_remove(above, strrchr(dir, '/') + 1, &e))
		return 0;
	print_error("%s\n", e.text);
	return -1;
}

static int directory(const char *name, unsigned number)
{
	char path[32];
	snprintf(path, sizeof(path), "%s%u", name, number);
	assert_int_equal(mkdirat(dir_fd, path, 0755), 0);
	int fd = openat(dir_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static struct carry begin(bool fuse)
{
	unsigned number = made++;
	return (struct carry){.from = directory("from", number),
			      .to = directory("to", number),
			      .marks = UPPER_MARKS_XATTRS,
			      .fuse = fuse};
}

static void end(struct carry *c)
{
	close(c->from);
	close(c->to);
}

static void file(int at, const char *name)
{
	auto_fd int fd = openat(at, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
}

static bool there(int at, const char *name)
{
	return !faccessat(at, name, F_OK, AT_SYMLINK_NOFOLLOW);
}

static void a_child_carries_what_is_there(void **state)
{
	struct err e = ERR_INIT;
	(void)state;
	if (userns_fd < 0)
		skip();
	struct carry c = begin(false);
	file(c.from, "file");
	if (carry_run(&c, userns_fd, false, &e))
		fail_msg("%s", e.text);
	assert_true(there(c.to, "file"));
	end(&c);
}

/* Whose parent died before it was tied to that: it does not go on by itself. */
static void an_orphan_carries_nothing(void **state)
{
	(void)state;
	if (userns_fd < 0)
		skip();
	for (int orphan = 0; orphan < 2; orphan++) {
		pid_t parent = getpid(), pid = fork();
		if (!pid) {
			struct err e = ERR_INIT;
			_exit(carry_become(userns_fd, false, orphan ? 1 : parent, &e) ? 3 : 0);
		}
		int status = child_end(pid);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), orphan ? 3 : 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_child_carries_what_is_there),
		cmocka_unit_test(an_orphan_carries_nothing),
	};
	return cmocka_run_group_tests_name("sandbox: box: carry", tests, setup, teardown);
}
