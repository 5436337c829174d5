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
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>

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

/* From a tmpfs of this process's own, where more fits than elsewhere. In a child. */
static int in_memory(const char *name)
{
	bool root = !geteuid();
	if (unshare(CLONE_NEWNS | (root ? 0 : CLONE_NEWUSER)))
		return -1;
	return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
			       mount("none", name, "tmpfs", 0, NULL)
		       ? -1
		       : open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int deep(int at, unsigned levels)
{
	int fd = fcntl(at, F_DUPFD_CLOEXEC, 0);
	for (unsigned i = 0; fd >= 0 && i < levels; i++) {
		int next = mkdirat(fd, "d", 0755)
				   ? -1
				   : openat(fd, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		close(fd);
		fd = next;
	}
	return fd;
}

/* All levels that are allowed, where a process may have little more descriptors than two for each:
 * that is what many systems give (1024). */
static void depth_takes_two_descriptors_a_level(void **state)
{
	struct err e = ERR_INIT;
	struct rlimit old, few;
	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	struct carry c = begin(false);
	int end_fd = deep(c.from, CARRY_DEPTH - 1);
	assert_true(end_fd >= 0);
	close(end_fd);
	few = old;
	few.rlim_cur = 2 * CARRY_DEPTH + (rlim_t)c.to + 8;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	int rc = carry_tree(&c, &e);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	if (rc)
		print_error("%s\n", e.text);
	assert_int_equal(rc, 0);
	end(&c);
}

/* A soft limit of this process is none for its child. */
static void a_child_may_have_as_many_descriptors_as_it_can(void **state)
{
	struct err e = ERR_INIT;
	struct rlimit old, few;
	(void)state;
	if (userns_fd < 0)
		skip();
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	struct carry c = begin(false);
	int end_fd = deep(c.from, 100);
	assert_true(end_fd >= 0);
	close(end_fd);
	few = old;
	few.rlim_cur = 60;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	int rc = carry_run(&c, userns_fd, false, &e);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	if (rc)
		print_error("%s\n", e.text);
	assert_int_equal(rc, 0);
	end(&c);
}

static void too_deep(int at)
{
	int fd = deep(at, CARRY_DEPTH + 1);
	assert_true(fd >= 0);
	close(fd);
}

static void too_long(int at)
{
	char name[NAME_MAX + 1];
	memset(name, 'n', NAME_MAX);
	name[NAME_MAX] = 0;
	int fd = fcntl(at, F_DUPFD_CLOEXEC, 0);
	for (int i = 0; i < PATH_MAX / NAME_MAX + 1; i++) {
		assert_int_equal(mkdirat(fd, name, 0755), 0);
		int next = openat(fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		close(fd);
		fd = next;
		assert_true(fd >= 0);
	}
	close(fd);
}

/* What a job left that is not to be kept, as it comes to who asked for it. */
static void what_the_job_chose_is_its_affair(void **state)
{
	static const struct {
		void (*make)(int at);
		const char *says;
	} ways[] = {{too_deep, "more than 512"}, {too_long, "a path of more than 4096 bytes"}};
	(void)state;
	if (userns_fd < 0)
		skip();
	for (size_t i = 0; i < countof(ways); i++) {
		struct err e = ERR_INIT;
		struct carry c = begin(false);
		ways[i].make(c.from);
		assert_int_equal(carry_run(&c, userns_fd, false, &e), -1);
		assert_int_equal(e.kind, ERR_HOSTILE);
		assert_non_null(strstr(e.text, "keep "));
		assert_non_null(strstr(e.text, ways[i].says));
		end(&c);
	}
}

/* And what it did not: a directory that is there already. */
static void what_it_did_not_choose_is_ours(void **state)
{
	struct err e = ERR_INIT;
	(void)state;
	if (userns_fd < 0)
		skip();
	struct carry c = begin(false);
	file(c.from, "file");
	file(c.to, "file");
	assert_int_equal(carry_run(&c, userns_fd, false, &e), -1);
	assert_int_equal(e.kind, ERR_BOX);
	end(&c);
}

/* Exit status of a child that is to carry what is in memory: 0 it is kept, 1 it is not, and the
 * job's affair, 2 ours, 77 there is no such memory. */
static int from_memory(int (*make)(int at))
{
	auto_free char *name = own_fmt("%s/memory%u", dir, made);
	struct carry c = begin(false);
	assert_int_equal(mkdir(name, 0755), 0);
	pid_t pid = fork();
	if (!pid) {
		struct err e = ERR_INIT;
		int from = in_memory(name);
		if (from < 0 || make(from))
			_exit(77);
		close(c.from);
		c.from = from;
		int rc = carry_tree(&c, &e);
		_exit(!rc ? 0 : e.kind == ERR_LIMIT ? 1 : 2);
	}
	int status = child_end(pid);
	end(&c);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void what_is_remembered_has_a_bound(void **state)
{
	struct err e = ERR_INIT;
	(void)state;
	struct carry c = begin(false);
	for (int i = 0; i < 100; i++) {
		char name[16], other[16];
		snprintf(name, sizeof(name), "a%d", i);
		snprintf(other, sizeof(other), "b%d", i);
		file(c.from, name);
		assert_int_equal(linkat(c.from, name, c.from, other, 0), 0);
	}
	c.linked = 99 * 24;
	assert_int_equal(carry_tree(&c, &e), -1);
	assert_int_equal(e.kind, ERR_LIMIT);
	end(&c);
}

static int huge(int at)
{
	auto_fd int fd = openat(at, "huge", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	return fd < 0 ? -1 : ftruncate(fd, INT64_MAX >> 2);
}

static int described(int at)
{
	static char value[32 << 10];
	memset(value, 'v', sizeof(value));
	auto_fd int fd = openat(at, "described", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	return fd < 0 ? -1 : fsetxattr(fd, "user.much", value, sizeof(value), 0);
}

/* More of something than the directory's file system takes: it is kept, or the job's affair. */
static void what_only_memory_can_hold_is_the_job_s_affair(void **state)
{
	static int (*const all[])(int) = {huge, described};
	(void)state;
	for (size_t i = 0; i < countof(all); i++) {
		int rc = from_memory(all[i]);
		assert_true(rc == 0 || rc == 1 || rc == 77);
	}
}

static void names_that_say_nothing_is_gone_are_passed_over(void **state)
{
	static const char *const names[] = {".wh.", ".wh..", ".wh...", ".wh..opq", ".wh..wh..opq"};
	struct err e = ERR_INIT;
	struct carry c = begin(true);
	(void)state;
	for (size_t i = 0; i < countof(names); i++)
		file(c.from, names[i]);
	file(c.from, "there");
	file(c.from, ".wh.there");
	if (carry_tree(&c, &e))
		fail_msg("%s", e.text);
	for (size_t i = 0; i < countof(names); i++)
		assert_false(there(c.to, names[i]));
	assert_true(there(c.to, "there"));
	assert_int_equal(fgetxattr(c.to, "user.overlay.opaque", NULL, 0), 1);
	end(&c);
}

static void what_is_gone_is_marked(void **state)
{
	struct err e = ERR_INIT;
	struct carry c = begin(true);
	struct stat st;
	(void)state;
	file(c.from, ".wh.gone");
	if (carry_tree(&c, &e))
		fail_msg("%s", e.text);
	assert_int_equal(fstatat(c.to, "gone", &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_true(S_ISREG(st.st_mode));
	auto_fd int fd = openat(c.to, "gone", O_RDONLY | O_CLOEXEC);
	assert_true(fgetxattr(fd, "user.overlay.whiteout", NULL, 0) >= 0);
	end(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_child_carries_what_is_there),
		cmocka_unit_test(an_orphan_carries_nothing),
		cmocka_unit_test(depth_takes_two_descriptors_a_level),
		cmocka_unit_test(a_child_may_have_as_many_descriptors_as_it_can),
		cmocka_unit_test(what_the_job_chose_is_its_affair),
		cmocka_unit_test(what_it_did_not_choose_is_ours),
		cmocka_unit_test(what_only_memory_can_hold_is_the_job_s_affair),
		cmocka_unit_test(what_is_remembered_has_a_bound),
		cmocka_unit_test(names_that_say_nothing_is_gone_are_passed_over),
		cmocka_unit_test(what_is_gone_is_marked),
	};
	return cmocka_run_group_tests_name("sandbox: box: carry", tests, setup, teardown);
}
