/* Where no box can be made, one sentence says so before any job is started; where one can, the
 * first leaves nothing. */
#include "test_sandbox.h"

#include <sched.h>
#include <sys/mount.h>

/* In a child, because what it does to itself can't be undone. The error's text, "" for none. */
static void open_in(int (*spoil)(void), const char *uppers, struct text *said)
{
	int fds[2], status;
	char buf[1024];
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	pid_t pid = fork();
	if (!pid) {
		struct err e = ERR_INIT;
		struct sandbox_conf conf = {.helper = getenv("ASSAY_BOX") ? getenv("ASSAY_BOX")
									  : ASSAY_BOX,
					    .slots = 1,
					    .name = "assay-open",
					    .uppers = uppers};
		uv_loop_t loop;
		uv_loop_init(&loop);
		int rc = spoil ? spoil() : 0;
		struct sandbox *sb = rc ? NULL : sandbox_open(&loop, &conf, &e);
		if (sb) {
			bool closed = false;
			sandbox_close(sb, try_closed, &closed);
			uv_run(&loop, UV_RUN_DEFAULT);
		}
		if (!rc && dir_write_all(fds[1], e.text, strlen(e.text)))
			rc = 2;
		_exit(rc ? 77 : uv_loop_close(&loop) ? 1 : 0);
	}
	close(fds[1]);
	for (ssize_t n; (n = read(fds[0], buf, sizeof(buf))) > 0;)
		text_put(said, buf, (size_t)n);
	close(fds[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		skip(); /* it can't be spoiled here */
	assert_int_equal(status, 0);
}

static void says(int (*spoil)(void), const char *uppers, const char *what)
{
	auto_text struct text said = TEXT_INIT;
	open_in(spoil, uppers, &said);
	if (!strstr(text_str(&said), what))
		print_error("%s\n", text_str(&said));
	assert_non_null(strstr(text_str(&said), what));
}

static int write_file(const char *path, const char *text)
{
	auto_fd int fd = open(path, O_WRONLY | O_CLOEXEC);
	return fd < 0 ? -1 : dir_write_all(fd, text, strlen(text));
}

/* A user namespace of our own, where we may forbid more of them. */
static int spoil_user(void)
{
	char uid[32], gid[32];
	snprintf(uid, sizeof(uid), "0 %u 1", geteuid());
	snprintf(gid, sizeof(gid), "0 %u 1", getegid());
	return unshare(CLONE_NEWUSER | CLONE_NEWNS) || write_file("/proc/self/setgroups", "deny") ||
	       write_file("/proc/self/uid_map", uid) || write_file("/proc/self/gid_map", gid);
}

static int spoil_namespaces(void)
{
	return spoil_user() || write_file("/proc/sys/user/max_user_namespaces", "0");
}

static int spoil_network(void)
{
	return spoil_user() || write_file("/proc/sys/user/max_net_namespaces", "0");
}

/* The temporary directory becomes an overlay, whose own upper is in memory. */
static int spoil_uppers(void)
{
	char options[256];
	if (geteuid() ? spoil_user()
		      : unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return -1;
	if (mount("none", "/mnt", "tmpfs", 0, NULL) || mkdir("/mnt/l", 0755) ||
	    mkdir("/mnt/u", 0755) || mkdir("/mnt/w", 0755))
		return -1;
	snprintf(options, sizeof(options),
		 "userxattr,lowerdir=/mnt/l,upperdir=/mnt/u,workdir=/mnt/w");
	return mount("none", try_dir, "overlay", 0, options);
}

static void namespaces_that_are_switched_off_are_named(void **state)
{
	(void)state;
	if (!geteuid())
		skip(); /* a root with but one id says that it lacks the others */
	says(spoil_namespaces, try_dir, "user.max_user_namespaces=");
	says(spoil_network, try_dir, "user.max_*_namespaces");
}

static void a_place_for_uppers_that_can_not_be_one_is_named(void **state)
{
	(void)state;
	auto_free char *absent = own_fmt("%s/absent", try_dir);
	says(NULL, absent, absent);
}

/* test_sandbox_uppers.c has what comes of it. */
static void where_an_overlay_carries_no_upper_boxes_are_made_all_the_same(void **state)
{
	auto_text struct text said = TEXT_INIT;
	(void)state;
	open_in(spoil_uppers, try_dir, &said);
	if (!try_kernel_before(6, 7)) {
		assert_string_equal(text_str(&said), "");
		return;
	}
	assert_non_null(strstr(text_str(&said), "can neither carry an upper ("));
	assert_non_null(strstr(text_str(&said), ") nor keep one ("));
}

/* What conf.verbose brings on stderr, of the first box. */
static void every_step_is_told(void **state)
{
	static const char *const steps[] = {
		"cgroup ",
		"namespaces: user, mount, pid",
		"ids: ",
		"root: an overlay",
		"layer l",
		"overlay at / (",
		"mount /dev: ",
		"mount /tmp: ",
		"mount /run: ",
		"mount /usr: the host's",
		"mount /etc: the host's",
		"mount /sys: ",
		"mount /proc: ",
		"pivot",
		"limits of a process",
		"run true",
	};
	auto_text struct text said = TEXT_INIT;
	int fds[2], status;
	char buf[4096];
	(void)state;
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	pid_t pid = fork();
	if (!pid) {
		struct err e = ERR_INIT;
		struct sandbox_conf conf = {.helper = getenv("ASSAY_BOX") ? getenv("ASSAY_BOX")
									  : ASSAY_BOX,
					    .slots = 1,
					    .name = "assay-open",
					    .verbose = true,
					    .uppers = try_dir};
		uv_loop_t loop;
		bool closed = false;
		uv_loop_init(&loop);
		dup2(fds[1], STDERR_FILENO);
		struct sandbox *sb = sandbox_open(&loop, &conf, &e);
		if (!sb)
			_exit(1);
		sandbox_close(sb, try_closed, &closed);
		uv_run(&loop, UV_RUN_DEFAULT);
		_exit(!closed);
	}
	close(fds[1]);
	for (ssize_t n; (n = read(fds[0], buf, sizeof(buf))) > 0;)
		text_put(&said, buf, (size_t)n);
	close(fds[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	for (size_t i = 0; i < countof(steps); i++) {
		if (!strstr(text_str(&said), steps[i]))
			print_error("no %s in\n%s", steps[i], text_str(&said));
		assert_non_null(strstr(text_str(&said), steps[i]));
	}
}

static void a_first_box_leaves_nothing(void **state)
{
	auto_text struct text said = TEXT_INIT;
	struct dir_usage u = {.inodes = 0};
	struct err e = ERR_INIT;
	(void)state;
	open_in(NULL, try_dir, &said);
	assert_string_equal(text_str(&said), "");
	open_in(NULL, NULL, &said);
	assert_string_equal(text_str(&said), "");
	assert_int_equal(dir_usage(try_dir_fd, ".", 0, &u, &e), 0);
	assert_int_equal(u.inodes, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(namespaces_that_are_switched_off_are_named),
		cmocka_unit_test(a_place_for_uppers_that_can_not_be_one_is_named),
		cmocka_unit_test(where_an_overlay_carries_no_upper_boxes_are_made_all_the_same),
		cmocka_unit_test(every_step_is_told),
		cmocka_unit_test(a_first_box_leaves_nothing),
	};
	return cmocka_run_group_tests_name("sandbox: open", tests, try_setup, try_teardown);
}
