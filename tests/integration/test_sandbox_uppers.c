/* Where a file system carries no upper: a tmpfs does, and what is in it at the end becomes the
 * caller's directory. On an overlay, as a container's root is one; and forced on an ordinary
 * directory, whose marks are the usual ones. */
#include "test_sandbox.h"

#include "test_processes.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/xattr.h>

static const char *carrier; /* what facts must say */
static bool nested;         /* the tests' directory is on an overlay */

static void carried(const struct try *t)
{
	if (strcmp(t->facts.uppers, carrier))
		try_tell(t);
	assert_string_equal(t->facts.uppers, carrier);
}

static char *shell(const char *format, const char *rel)
{
	auto_free char *at = own_fmt("%s/%s", try_dir, rel);
	auto_free char *command = own_fmt(format, at);
	struct text t = TEXT_INIT;
	shell_says(command, &t);
	return text_take(&t);
}

static void is(const char *format, const char *rel, const char *expected)
{
	auto_free char *out = shell(format, rel);
	assert_string_equal(out, expected);
}

static void write_base(const char *rel)
{
	static const char *const files[] = {"keep", "gone", "dir/old", "dir2/old", "deep/a/b/c"};
	for (size_t i = 0; i < countof(files); i++) {
		auto_free char *path = own_fmt("%s/%s", rel, files[i]);
		try_write(path, "below\n");
	}
}

/* Everything an upper can hold, and a box above it that sees the same as the first. */
static void what_is_carried_is_the_caller_s_afterwards_and_the_next_box_sees_it(void **state)
{
	static const char look[] =
		"cd /data && find . -mindepth 1 | sort | while read f; do stat -c '%n %F %a %u' "
		"\"$f\"; done; stat -c '%s %h' file hole hard1; cat dir/new file link hard1; stat "
		"-c %Y file "
		"dir; stat -c %b hole";
	static const char write[] = "cd /data && rm gone && rm -r dir && mkdir -m 750 dir && echo "
				    "new >dir/new && rm -r "
				    "dir2 deep/a && echo content >file && chmod 4751 file && ln -s "
				    "file link && echo hard "
				    ">hard1 && ln hard1 dir/hard2 && mkfifo -m 640 fifo && "
				    "truncate -s 3G hole && echo end "
				    ">>hole && mkdir -m 000 closed && echo 'two words' >'odd name' "
				    "&& touch -d @1000 file && "
				    "touch -d @2000 dir && chmod 711 . && mv keep kept && ";
	struct try t;
	(void)state;
	write_base("all/base");
	auto_free char *script = own_fmt("%s%s", write, look);
	try_init(&t, script);
	try_upper(try_lower(&t, try_mount(&t, "/data", BOX_COW), "all/base"), "all/1");
	try_run(&t);
	try_expect(&t, 0, NULL);
	carried(&t);
	auto_free char *first = own_dup(text_str(&t.out));
	try_fini(&t);
	assert_non_null(strstr(first, "./dir/hard2 regular file 644 0\n"));
	assert_non_null(strstr(first, "./file regular file 4751 0\n"));
	assert_non_null(strstr(first, "\n8 1\n3221225476 1\n5 2\n"));
	assert_null(strstr(first, "old"));
	is("cd %s && stat -c '%%a %%n' . dir file closed && cat dir/hard2", "all/1/u",
	   "711 .\n750 dir\n4751 file\n0 closed\nhard\n");

	try_init(&t, look);
	struct box_mount *m = try_mount(&t, "/data", BOX_COW);
	try_upper(try_lower(&t, try_lower(&t, m, "all/1/u"), "all/base"), "all/2");
	try_run(&t);
	try_expect(&t, 0, NULL);
	assert_string_equal(text_str(&t.out), first);
	try_fini(&t);
	is("cd %s && ls -A", "all/2/u", "");
	is("cd %s && ls -A", "all/1/w", "");

	/* an overlay of the kernel's, for which it has to be as overlayfs would have left it */
	try_init(&t, look);
	m = try_mount(&t, "/data", BOX_RO);
	try_lower(&t, try_lower(&t, m, "all/1/u"), "all/base");
	try_run(&t);
	try_expect(&t, 0, NULL);
	assert_string_equal(text_str(&t.out), first);
	try_fini(&t);
}

static void marks_are_those_of_overlayfs(void **state)
{
	struct try t;
	struct stat st;
	char value[8];
	(void)state;
	write_base("marks/base");
	try_init(&t, "cd /data && rm gone && rm -r dir && mkdir dir && rm deep/a/b/c");
	try_upper(try_lower(&t, try_mount(&t, "/data", BOX_COW), "marks/base"), "marks/1");
	try_run(&t);
	try_expect(&t, 0, "");
	carried(&t);
	try_fini(&t);
	auto_free char *gone = own_fmt("%s/marks/1/u/gone", try_dir),
		       *c = own_fmt("%s/marks/1/u/deep/a/b/c", try_dir),
		       *b = own_fmt("%s/marks/1/u/deep/a/b", try_dir),
		       *dir = own_fmt("%s/marks/1/u/dir", try_dir);
	const char *const whiteouts[] = {gone, c};
	for (size_t i = 0; i < countof(whiteouts); i++) {
		assert_int_equal(lstat(whiteouts[i], &st), 0);
		if (nested) {
			assert_true(S_ISREG(st.st_mode) && !st.st_size);
			assert_true(lgetxattr(whiteouts[i], "user.overlay.whiteout", value,
					      sizeof(value)) >= 0);
		} else
			assert_true(S_ISCHR(st.st_mode) && !st.st_rdev);
	}
	assert_int_equal(getxattr(dir, "user.overlay.opaque", value, sizeof(value)), 1);
	assert_int_equal(value[0], 'y');
	if (nested) {
		assert_int_equal(getxattr(b, "user.overlay.opaque", value, sizeof(value)), 1);
		assert_int_equal(value[0], 'x');
	}
	is("cd %s && find . -mindepth 1 | sort", "marks/1/u",
	   "./deep\n./deep/a\n./deep/a/b\n./deep/a/b/c\n./dir\n./gone\n");
}

static void xattrs_of_the_job_are_kept(void **state)
{
	struct try t;
	char value[8];
	(void)state;
	try_init(&t, "python3 -c 'import os; open(\"/data/f\", \"w\"); os.setxattr(\"/data/f\", "
		     "\"user.mine\", b\"v\")' || exit 127");
	try_upper(try_mount(&t, "/data", BOX_COW), "xattr/1");
	try_run(&t);
	if (t.facts.exit_code == 127) {
		try_fini(&t);
		skip(); /* no python3, or overlays of this kernel have none of user.* */
	}
	try_expect(&t, 0, "");
	try_fini(&t);
	auto_free char *f = own_fmt("%s/xattr/1/u/f", try_dir);
	assert_int_equal(getxattr(f, "user.mine", value, sizeof(value)), 1);
	assert_int_equal(listxattr(f, value, 0), sizeof("user.mine"));
}

static void what_a_limit_ended_is_kept_as_far_as_it_came(void **state)
{
	struct try t;
	(void)state;
	try_init(&t, "echo half >/data/f; echo done; sleep 900");
	t.spec.limits.output_bytes = 1; /* passed when it is there */
	try_upper(try_mount(&t, "/data", BOX_COW), "ended");
	try_run(&t);
	assert_int_equal(t.facts.end, BOX_LIMITED);
	carried(&t);
	try_fini(&t);
	is("cat %s/f", "ended/u", "half\n");
}

static void limited(struct try *t, enum box_limit limit, uint64_t bound, uint64_t most)
{
	try_run(t);
	if (t->facts.end != BOX_LIMITED || t->facts.limit != limit)
		try_tell(t);
	assert_int_equal(t->facts.end, BOX_LIMITED);
	assert_int_equal(t->facts.limit, limit);
	assert_int_equal(t->facts.limit_bound, bound);
	assert_in_range(t->facts.limit_value, bound + 1, most);
	try_fini(t);
}

/* Two uppers; kept, or lost: then there is no place for them on disk. */
static void limited_uppers(struct try *t, const char *script, const char *kept)
{
	static unsigned n;
	try_init(t, script);
	struct box_mount *m[] = {try_mount(t, "/data", BOX_COW), try_mount(t, "/more", BOX_COW)};
	for (size_t i = 0; kept && i < countof(m); i++) {
		auto_free char *rel = own_fmt("%s/%u", kept, n++);
		try_upper(m[i], rel);
	}
}

/* The program is refused more, or it is ended before that; told is the limit. Both uppers count,
 * and how the program ended does not. */
static void what_fills_the_tmpfs_has_passed_the_limit(void **state)
{
	static const char *const kept[] = {"full", NULL};
	static const char *const ends[] = {"", "sleep 900", "exit 0"};
	struct try t;
	(void)state;
	for (size_t k = 0; k < countof(kept); k++)
		for (size_t i = 0; i < countof(ends); i++) {
			auto_free char *script =
				own_fmt("head -c 5M /dev/zero >/more/f; head -c 20M /dev/zero "
					">/data/big; %s",
					ends[i]);
			limited_uppers(&t, script, kept[k]);
			t.spec.limits.disk = 8 << 20;
			limited(&t, BOX_LIMIT_DISK, 8 << 20, (8 << 20) + (1 << 20));
			auto_free char *many = own_fmt("cd /data; for i in $(seq 300); do : >$i; "
						       "done; %s",
						       ends[i]);
			limited_uppers(&t, many, kept[k]);
			t.spec.limits.disk_inodes = 100;
			limited(&t, BOX_LIMIT_INODES, 100, 180);
		}
}

static void what_is_below_the_limit_is_no_matter(void **state)
{
	struct try t;
	(void)state;
	for (int kept = 0; kept < 2; kept++) {
		limited_uppers(&t,
			       "head -c 3M /dev/zero >/data/a && head -c 3M /dev/zero >/more/b && "
			       "cd /data && for i in $(seq 80); do : >$i || exit 9; done",
			       kept ? "below" : NULL);
		t.spec.limits.disk = 8 << 20;
		t.spec.limits.disk_inodes = 100;
		try_run(&t);
		try_expect(&t, 0, "");
		assert_int_equal(t.facts.disk_bytes, 6 << 20);
		assert_in_range(t.facts.disk_inodes, 82, 88);
		try_fini(&t);
	}
}

/* To the job, whose affair it is; how it ended itself stays, if that was not well. */
static void what_can_not_be_kept_is_told(void **state)
{
	static const struct {
		const char *end;
		int exit, signal;
	} ways[] = {{"exit 0", 126, 0}, {"exit 3", 3, 0}, {"kill -9 $$", -1, SIGKILL}};
	(void)state;
	for (size_t i = 0; i < countof(ways); i++) {
		struct try t;
		auto_free char *rel = own_fmt("deep/%zu", i);
		auto_free char *script =
			own_fmt("cd /data && mkdir -p $(printf 'd/%%.0s' $(seq 600)) && echo "
				"said; %s",
				ways[i].end);
		try_init(&t, script);
		try_upper(try_mount(&t, "/data", BOX_COW), rel);
		try_run(&t);
		if (strcmp(t.facts.error, "") || !strstr(text_str(&t.out), "more than 512"))
			try_tell(&t);
		assert_string_equal(t.facts.error, "");
		assert_int_equal(t.facts.end, ways[i].signal ? BOX_SIGNALLED : BOX_EXITED);
		assert_int_equal(t.facts.exit_code, ways[i].exit);
		assert_int_equal(t.facts.signal, ways[i].signal);
		assert_int_equal(strncmp(text_str(&t.out), "said\nassay: keep ", 17), 0);
		assert_non_null(strstr(text_str(&t.out), "more than 512\n"));
		assert_null(strstr(text_str(&t.out), try_dir));
		try_fini(&t);
	}
}

/* Nobody is told anything while he has asked for a pause, and the last word comes after it. */
static void what_can_not_be_kept_is_told_after_a_pause(void **state)
{
	struct try t;
	(void)state;
	try_init(&t, "cd /data && mkdir -p $(printf 'd/%.0s' $(seq 600))");
	try_upper(try_mount(&t, "/data", BOX_COW), "deep/paused");
	try_start(&t);
	box_pause_output(t.box, true);
	/* It is over when it is carried, and has been told a moment later. */
	int64_t carried_ns = 0, now = clock_mono_ns(), until = now + TRY_MINUTES_NS;
	while (now < until && (!carried_ns || now < carried_ns + INT64_C(200000000))) {
		uv_run(&try_loop, UV_RUN_NOWAIT);
		usleep(1000);
		now = clock_mono_ns();
		if (!carried_ns && !faccessat(try_dir_fd, "deep/paused/u/d", F_OK, 0))
			carried_ns = now;
	}
	assert_int_not_equal(carried_ns, 0);
	assert_int_equal(t.ends, 0);
	assert_int_equal(t.out.n, 0);
	box_pause_output(t.box, false);
	try_wait(&t);
	try_expect(&t, 126, NULL);
	assert_non_null(strstr(text_str(&t.out), "more than 512\n"));
	try_fini(&t);
}

/* What another box of the same slot found out must not be needed, and not be wrong, for this one.
 */
static void all_slots(const char *dir)
{
	struct try t[4];
	for (size_t i = 0; i < countof(t); i++) {
		auto_free char *rel = own_fmt("%s/%zu", dir, i);
		try_init(&t[i], "echo x >/data/f; sleep 0.2");
		try_upper(try_mount(&t[i], "/data", BOX_COW), rel);
		try_start(&t[i]);
	}
	for (size_t i = 0; i < countof(t); i++) {
		auto_free char *rel = own_fmt("%s/%zu/u", dir, i);
		try_wait(&t[i]);
		try_expect(&t[i], 0, "");
		carried(&t[i]);
		try_fini(&t[i]);
		is("ls %s", rel, "f\n");
	}
}

static void each_slot_finds_out_for_itself(void **state)
{
	(void)state;
	all_slots("slots/new");
	all_slots("slots/old");
	all_slots("slots/older");
}

static void what_is_lost_is_said_to_be_in_memory(void **state)
{
	struct try t;
	(void)state;
	write_base("lost/base");
	try_init(&t, "cd /data && rm -r dir && mkdir dir && ls dir");
	try_lower(&t, try_mount(&t, "/data", BOX_COW), "lost/base");
	try_run(&t);
	try_expect(&t, 0, "");
	carried(&t);
	try_fini(&t);
}

/* Children of a helper, or of who runs an engine for it. */
static size_t below(pid_t helper, const char *name, pid_t *out, size_t room)
{
	pid_t keepers[8];
	size_t n = process_children(helper, name, out, room);
	size_t n_keepers = process_children(helper, "assay-", keepers, countof(keepers));
	for (size_t i = 0; i < n_keepers; i++)
		n += process_children(keepers[i], name, out + n, room - n);
	return n;
}

static bool gone(pid_t pid)
{
	for (int i = 0; i < 12000; i++) {
		if (kill(pid, 0) && errno == ESRCH)
			return true;
		usleep(10000);
	}
	return false;
}

/* The program behind a file system of fuse-overlayfs. */
static void nobody_is_left_of_what_carried(void **state)
{
	struct try t;
	(void)state;
	for (int by_death = 0; by_death < 2; by_death++) {
		pid_t helpers[8], programs[8];
		size_t n = 0;
		auto_free char *rel = own_fmt("left/%d", by_death);
		try_init(&t, "echo ready >/data/f; cat /data/f; sleep 900");
		try_upper(try_mount(&t, "/data", BOX_COW), rel);
		try_start(&t);
		while (!t.ends && !t.out.n)
			uv_run(&try_loop, UV_RUN_ONCE);
		size_t n_helpers = process_children(getpid(), "assay-", helpers, countof(helpers));
		for (size_t i = 0; i < n_helpers; i++)
			n += below(helpers[i], "fuse-overlayfs", programs + n,
				   countof(programs) - n);
		assert_int_equal(n, strcmp(carrier, "tmpfs") ? 1 : 0);
		if (by_death)
			for (size_t i = 0; i < n_helpers; i++)
				kill(helpers[i], SIGKILL);
		else
			box_cancel(t.box, false);
		try_wait(&t);
		assert_int_equal(t.facts.end, by_death ? BOX_FAILED : BOX_CANCELLED);
		try_fini(&t);
		for (size_t i = 0; i < n; i++)
			assert_true(gone(programs[i]));
		auto_free char *upper = own_fmt("%s/u", rel);
		is("ls %s", upper, by_death ? "" : "f\n");
	}
}

/* The place for temporary directories becomes an overlay, in namespaces of this process's own. */
static int nest(void)
{
	bool root = !geteuid();
	if (try_own_mounts() || mount("none", "/mnt", "tmpfs", 0, NULL) || mkdir("/mnt/u", 0777) ||
	    mkdir("/mnt/w", 0755))
		return -1;
	nested = true;
	const char *tmp = getenv("TMPDIR") && *getenv("TMPDIR") ? getenv("TMPDIR") : "/var/tmp";
	auto_free char *options = own_fmt("%slowerdir=%s,upperdir=/mnt/u,workdir=/mnt/w",
					  root ? "" : "userxattr,", tmp);
	return mount("none", tmp, "overlay", 0, options);
}

/* A /dev/fuse that everybody may open, as distributions have it: only in a namespace of this
 * process's own where this machine has another. */
static int fuse_device(void)
{
	struct stat st;
	if (access("/usr/bin/fuse-overlayfs", X_OK) || stat("/dev/fuse", &st))
		return -1;
	if (!access("/dev/fuse", R_OK | W_OK) && (st.st_mode & 0666) == 0666)
		return 0;
	if (geteuid() || try_own_mounts() || mount("none", "/mnt", "tmpfs", 0, NULL) ||
	    mknod("/mnt/fuse", S_IFCHR | 0666, st.st_rdev) || chmod("/mnt/fuse", 0666))
		return -1;
	return mount("/mnt/fuse", "/dev/fuse", NULL, MS_BIND, NULL);
}

/* Each kind in a process of its own: one with threads may not enter a user namespace. */
static int group(const char *name, int (*prepare)(void), const char *force)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			what_is_carried_is_the_caller_s_afterwards_and_the_next_box_sees_it),
		cmocka_unit_test(marks_are_those_of_overlayfs),
		cmocka_unit_test(xattrs_of_the_job_are_kept),
		cmocka_unit_test(what_a_limit_ended_is_kept_as_far_as_it_came),
		cmocka_unit_test(what_fills_the_tmpfs_has_passed_the_limit),
		cmocka_unit_test(what_is_below_the_limit_is_no_matter),
		cmocka_unit_test(what_can_not_be_kept_is_told),
		cmocka_unit_test(what_can_not_be_kept_is_told_after_a_pause),
		cmocka_unit_test(each_slot_finds_out_for_itself),
		cmocka_unit_test(what_is_lost_is_said_to_be_in_memory),
		cmocka_unit_test(nobody_is_left_of_what_carried),
	};
	int status = 0;
	/* user xattrs of a tmpfs; whiteouts that are no devices */
	const char *why = strcmp(carrier, "tmpfs")                     ? NULL
			  : try_kernel_before(6, 6)                    ? "Linux 6.6"
			  : prepare == nest && try_kernel_before(6, 7) ? "Linux 6.7"
								       : NULL;
	if (why) {
		print_message("[  SKIPPED ] %s: needs %s\n", name, why);
		return 0;
	}
	pid_t pid = fork();
	if (!pid) {
		if (prepare && prepare()) {
			print_message("[  SKIPPED ] %s: %s\n", name, strerror(errno));
			exit(0);
		}
		if (force)
			setenv("ASSAY_BOX_OVERLAY", force, 1);
		exit(_cmocka_run_group_tests(name, tests, countof(tests), try_setup, try_teardown));
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) && WEXITSTATUS(status) == 77 ? 0 : status;
}

int main(void)
{
	carrier = "tmpfs";
	int rc = group("sandbox: uppers on an overlay", nest, NULL);
	rc |= group("sandbox: uppers in memory", NULL, "tmpfs");
	carrier = "fuse-overlayfs";
	rc |= group("sandbox: uppers of fuse-overlayfs", fuse_device, "fuse");
	return rc ? 1 : 0;
}
