/* Who makes a box puts nothing into the host's /tmp, not for a moment: when it is killed then, it
 * stays. This program's /tmp is its own. */
#include "test_sandbox.h"

#include <sys/inotify.h>

static int watch_fd = -1;

/* Where the helpers are, if that is below /tmp. */
static int keep_programs(int fd, const char *dir)
{
	struct err e = ERR_INIT;
	char from[32];
	snprintf(from, sizeof(from), "/proc/self/fd/%d", fd);
	auto_fd int root = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	auto_fd int at = root < 0 ? -1 : dir_make(root, dir + 1, 0755, &e);
	return at < 0 ? -1 : mount(from, dir, NULL, MS_BIND | MS_REC, NULL);
}

static int own_tmp(void)
{
	const char *box = getenv("ASSAY_BOX") ? getenv("ASSAY_BOX") : ASSAY_BOX;
	auto_free char *dir = own_dup_n(box, (size_t)(strrchr(box, '/') - box));
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return -1;
	auto_fd int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || mount("none", "/tmp", "tmpfs", 0, "mode=1777") ||
	    (!strncmp(dir, "/tmp/", 5) && keep_programs(fd, dir)))
		return -1;
	watch_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	return watch_fd < 0 ? -1 : inotify_add_watch(watch_fd, "/tmp", IN_CREATE | IN_MOVED_TO);
}

static int setup(void **state)
{
	const char *tmp = getenv("TMPDIR");
	if (geteuid() || (tmp && !strncmp(tmp, "/tmp", 4))) {
		print_message("[  SKIPPED ] needs root, and its own files elsewhere\n");
		exit(77);
	}
	if (own_tmp() < 0) {
		print_error("a /tmp of its own: %s\n", strerror(errno));
		return -1;
	}
	return try_setup(state);
}

static void nothing_came(void)
{
	_Alignas(struct inotify_event) char buf[4096];
	ssize_t n = read(watch_fd, buf, sizeof(buf));
	if (n > 0)
		print_error("%s\n", ((const struct inotify_event *)(const void *)buf)->name);
	assert_int_equal(n, -1);
	assert_int_equal(errno, EAGAIN);
}

static void boxes_put_nothing_into_the_host_s_tmp(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		try_script("echo mine >/tmp/file; cat /tmp/file", 0, "mine\n");
		nothing_came();
	}
}

/* The watch sees what it is for. */
static void what_is_put_there_is_seen(void **state)
{
	_Alignas(struct inotify_event) char buf[4096];
	char name[] = "/tmp/crun.XXXXXX";
	auto_fd int fd = mkostemp(name, O_CLOEXEC);
	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(unlink(name), 0);
	assert_true(read(watch_fd, buf, sizeof(buf)) > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(boxes_put_nothing_into_the_host_s_tmp),
		cmocka_unit_test(what_is_put_there_is_seen),
	};
	return cmocka_run_group_tests_name("sandbox: tmp", tests, setup, try_teardown);
}
