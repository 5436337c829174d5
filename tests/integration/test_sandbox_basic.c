/* Boxes that do what they should: roots, layers, uppers, files, output, exit statuses. */
#include "test_sandbox.h"

#include <sys/utsname.h>

static void a_command_runs_and_its_output_comes(void **state)
{
	(void)state;
	try_script("echo out; echo err >&2; pwd; id -u", 0, "out\nerr\n/\n0\n");
}

static void what_a_box_writes_is_in_its_upper_and_the_next_sees_it_below(void **state)
{
	struct try t;
	(void)state;
	try_write("chain/tool/opt/tool/version", "1\n");
	try_init(&t, "cat /opt/tool/version; echo two >/opt/tool/version; mkdir -p /build/a;"
		     "echo deep >/build/a/b; rm -r /srv");
	try_upper(try_lower(&t, try_mount(&t, "/", BOX_COW), "chain/tool"), "chain/1");
	try_run(&t);
	try_expect(&t, 0, "1\n");
	try_fini(&t);
	assert_true(try_exists("chain/1/u/build/a/b"));
	try_init(&t, "cat /opt/tool/version /build/a/b; rm -r /build; ls /build /srv 2>/dev/null");
	struct box_mount *root = try_mount(&t, "/", BOX_COW);
	try_upper(try_lower(&t, try_lower(&t, root, "chain/1/u"), "chain/tool"), "chain/2");
	try_run(&t);
	try_expect(&t, 2, "two\ndeep\n");
	try_fini(&t);
	assert_true(try_exists("chain/1/u/build/a/b"));
	struct stat st;
	assert_int_equal(fstatat(try_dir_fd, "chain/2/u/build", &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_true(S_ISCHR(st.st_mode)); /* a whiteout */
	assert_int_equal(st.st_rdev, 0);
}

static void what_a_box_leaves_belongs_to_who_started_it(void **state)
{
	struct try t;
	struct stat st;
	(void)state;
	try_init(&t, "echo x >/file; stat -c %u:%g /file /");
	try_upper(try_mount(&t, "/", BOX_COW), "owner");
	try_run(&t);
	try_expect(&t, 0, "0:0\n0:0\n");
	try_fini(&t);
	assert_int_equal(fstatat(try_dir_fd, "owner/u/file", &st, 0), 0);
	assert_int_equal(st.st_uid, geteuid());
	assert_int_equal(st.st_gid, getegid());
}

static void without_an_upper_what_is_written_is_lost(void **state)
{
	struct try t;
	(void)state;
	try_write("lost/l/f", "old\n");
	try_init(&t, "cat /data/f; echo new >/data/f; cat /data/f; echo x >/top");
	try_lower(&t, try_mount(&t, "/data", BOX_COW), "lost/l");
	try_run(&t);
	try_expect(&t, 0, "old\nnew\n");
	try_fini(&t);
}

static void read_only_is_read_only_also_below(void **state)
{
	struct try t;
	(void)state;
	try_write("ro/l/sub/f", "x\n");
	try_write("ro/m/g", "y\n");
	try_init(&t, "cat /one/sub/f /two/g /two/sub/f;"
		     "for p in /one/n /one/sub/f /two/n /two/g /usr/n /etc/n /usr/bin/n /sys/n "
		     "/proc/sys/kernel/hostname; do"
		     "  (echo w >$p) 2>/dev/null && echo wrote $p; done; true");
	try_lower(&t, try_mount(&t, "/one", BOX_RO), "ro/l");
	struct box_mount *two = try_mount(&t, "/two", BOX_RO);
	try_lower(&t, try_lower(&t, two, "ro/m"), "ro/l");
	try_run(&t);
	try_expect(&t, 0, "x\ny\nx\n");
	try_fini(&t);
}

static void a_live_directory_is_written_through(void **state)
{
	struct try t;
	(void)state;
	try_init(&t, "echo x >/live/f");
	try_lower(&t, try_mount(&t, "/live", BOX_RW), "live");
	try_run(&t);
	try_expect(&t, 0, "");
	try_fini(&t);
	assert_true(try_exists("live/f"));
}

static void mounts_lie_in_one_another_in_any_order(void **state)
{
	struct try t;
	(void)state;
	try_write("nest/c/f", "c\n");
	try_write("nest/a/f", "a\n");
	try_init(&t, "cat /x/f /x/y/z/f; echo w >/x/y/w; (echo w >/x/y/z/w) 2>/dev/null || echo "
		     "ro; df -B1M --output=size /x/y | tail -n 1 | tr -d ' '");
	try_lower(&t, try_mount(&t, "/x/y/z", BOX_RO), "nest/c");
	try_mount(&t, "/x/y", BOX_TMPFS)->size = 8 << 20;
	try_upper(try_lower(&t, try_mount(&t, "/x", BOX_COW), "nest/a"), "nest/x");
	try_upper(try_mount(&t, "/", BOX_COW), "nest/r");
	try_run(&t);
	try_expect(&t, 0, "a\nc\nro\n8\n");
	try_fini(&t);
}

static void a_root_of_its_own_needs_nothing_of_the_host(void **state)
{
	struct try t;
	(void)state;
	/* busybox-like: the shell and its libraries come in by a bind of /usr, the root holds
	 * nothing. */
	try_write("own/root/marker", "mine\n");
	static const char *const links[] = {"bin", "lib", "lib64"};
	for (size_t i = 0; i < countof(links); i++) {
		char target[32];
		snprintf(target, sizeof(target), "usr/%s", links[i]);
		auto_free char *name = own_fmt("own/root/%s", links[i]);
		assert_int_equal(symlinkat(target, try_dir_fd, name), 0);
	}
	for (int ro = 0; ro < 2; ro++) {
		try_init(&t, "cat /marker; test -c /dev/null && test -d /proc/1 && test -d /tmp && "
			     "cat /etc/hosts");
		t.spec.root_host = false;
		struct box_mount *root =
			try_lower(&t, try_mount(&t, "/", ro ? BOX_RO : BOX_COW), "own/root");
		if (!ro)
			try_upper(root, "own/1");
		struct box_mount *usr = try_mount(&t, "/usr", BOX_RO);
		usr->ours = false;
		usr->lowers = t.lowers[1];
		t.lowers[1][usr->n_lowers++] = open("/usr", O_PATH | O_DIRECTORY | O_CLOEXEC);
		try_file(&t, "/etc/hosts", "127.0.0.1 localhost\n");
		try_run(&t);
		try_expect(&t, 0, "mine\n127.0.0.1 localhost\n");
		try_fini(&t);
	}
}

static void files_are_put_into_layers_and_over_what_is_read_only(void **state)
{
	struct try t;
	(void)state;
	try_write("files/l/d/a", "below\n");
	try_init(&t,
		 "cat /etc/hostname /etc/hosts /etc/none-of-the-host /data/d/a /data/d/e/n /ro/x/y;"
		 "(echo w >/etc/hosts) 2>/dev/null && echo wrote; rm /data/d/a && echo new "
		 ">/data/d/a && cat /data/d/a;"
		 "test -d /etc/ssl && test -r /etc/passwd");
	try_upper(try_lower(&t, try_mount(&t, "/data", BOX_COW), "files/l"), "files/1");
	try_lower(&t, try_mount(&t, "/ro", BOX_RO), "files/l");
	try_file(&t, "/etc/hostname", "h\n");
	try_file(&t, "/etc/hosts", "127.0.0.1 localhost\n");
	try_file(&t, "/etc/none-of-the-host", "n\n");
	try_file(&t, "/data/d/a", "above\n");
	try_file(&t, "/data/d/e/n", "made\n");
	try_file(&t, "/ro/x/y", "ro\n");
	try_run(&t);
	try_expect(&t, 0, "h\n127.0.0.1 localhost\nn\nabove\nmade\nro\nnew\n");
	try_fini(&t);
	assert_false(try_exists("files/1/u/d/e"));
}

static void a_file_goes_where_a_link_in_the_box_leads(void **state)
{
	struct try t;
	(void)state;
	try_write("link/l/keep", "");
	assert_int_equal(symlinkat("../../../../../../run/resolve/stub.conf", try_dir_fd,
				   "link/l/resolv.conf"),
			 0);
	try_init(&t, "cat /cfg/resolv.conf; readlink /cfg/resolv.conf; cat /run/resolve/stub.conf");
	try_lower(&t, try_mount(&t, "/cfg", BOX_RO), "link/l")->ours = false;
	try_file(&t, "/cfg/resolv.conf", "nameserver 127.0.0.53\n");
	try_run(&t);
	try_expect(&t, 0,
		   "nameserver 127.0.0.53\n../../../../../../run/resolve/stub.conf\nnameserver "
		   "127.0.0.53\n");
	try_fini(&t);
	assert_int_not_equal(access("/run/resolve", F_OK), 0);
}

static void home_and_working_directory_are_made(void **state)
{
	struct try t;
	static char home[] = "HOME=/home/somebody", path[] = "PATH=/usr/bin";
	static char *env[] = {home, path, NULL};
	(void)state;
	try_init(&t, "pwd; cd && pwd; echo x >f; cat /proc/self/environ | tr '\\0' '\\n' | sort | "
		     "grep -v PWD");
	t.spec.env = env;
	t.spec.cwd = "/build/deep";
	try_run(&t);
	try_expect(&t, 0, "/build/deep\n/home/somebody\nHOME=/home/somebody\nPATH=/usr/bin\n");
	try_fini(&t);
}

static void sixty_layers_are_one_directory(void **state)
{
	struct try t;
	(void)state;
	for (int i = 0; i < 60; i++) {
		auto_free char *mine = own_fmt("sixty/%d/f%d", i, i),
			       *all = own_fmt("sixty/%d/same", i);
		auto_free char *text = own_fmt("%d\n", i);
		try_write(mine, text);
		try_write(all, text);
	}
	try_init(&t, "ls /data | wc -l; cat /data/same /data/f59");
	struct box_mount *m = try_mount(&t, "/data", BOX_COW);
	for (int i = 0; i < 60; i++) {
		auto_free char *rel = own_fmt("sixty/%d", i);
		try_lower(&t, m, rel);
	}
	try_upper(m, "sixty/x");
	try_run(&t);
	try_expect(&t, 0, "61\n0\n59\n");
	try_fini(&t);
}

static void renames_and_removals_work_in_an_overlay(void **state)
{
	struct try t;
	(void)state;
	try_write("ops/l/d/f", "f\n");
	try_write("ops/l/e/g", "g\n");
	try_init(&t, "cd /data && mv d/f d/h && rm -r e && mkdir e && ls e && mv e e2 && mkdir -p "
		     "n/m && mv n o && "
		     "ln d/h d/i && chmod 600 d/i && stat -c %h:%a d/h && touch -d @1 d/h && stat "
		     "-c %Y d/i && ls");
	try_upper(try_lower(&t, try_mount(&t, "/data", BOX_COW), "ops/l"), "ops/1");
	try_run(&t);
	try_expect(&t, 0, "2:600\n1\nd\ne2\no\n");
	try_fini(&t);
}

static void what_can_not_be_mounted_is_named(void **state)
{
	struct try t;
	(void)state;
	try_write("bad/l/f", "a file");
	try_init(&t, "true");
	try_lower(&t, try_mount(&t, "/data", BOX_RO), "bad/l");
	try_lower(&t, try_mount(&t, "/data/f/below", BOX_RO), "bad/l");
	try_run(&t);
	assert_int_equal(t.facts.end, BOX_FAILED);
	if (!strstr(t.facts.error, "/data/f/below"))
		try_tell(&t);
	assert_non_null(strstr(t.facts.error, "/data/f/below"));
	assert_non_null(strstr(t.facts.error, "Not a directory"));
	try_fini(&t);

	/* the same directory twice: overlayfs refuses it in its own words */
	try_init(&t, "true");
	struct box_mount *twice = try_mount(&t, "/twice", BOX_COW);
	try_upper(try_lower(&t, try_lower(&t, twice, "bad/l"), "bad/l"), "bad/x");
	try_run(&t);
	assert_int_equal(t.facts.end, BOX_FAILED);
	if (!strstr(t.facts.error, "mount /twice: overlay at /twice"))
		try_tell(&t);
	assert_non_null(strstr(t.facts.error, "mount /twice: overlay at /twice"));
	assert_non_null(strstr(t.facts.error, strerror(ELOOP)));
	try_fini(&t);
	try_script("echo fine", 0, "fine\n"); /* and the slot is as good as before */
}

static void nonsense_is_refused_before_anything_runs(void **state)
{
	static const char *const paths[] = {"relative", "/a/../b", "/a//b",  "/a/",
					    "/proc",    "/dev/x",  "/sys/y", "/a/."};
	struct try t;
	(void)state;
	for (size_t i = 0; i < countof(paths); i++) {
		struct err e = ERR_INIT;
		try_init(&t, "true");
		try_mount(&t, paths[i], BOX_TMPFS);
		assert_null(try_begin(&t, &e));
		assert_int_equal(e.kind, ERR_USAGE);
		try_fini(&t);
	}
	struct err e = ERR_INIT;
	try_init(&t, "true");
	try_mount(&t, "/a", BOX_TMPFS);
	try_mount(&t, "/a", BOX_TMPFS);
	assert_null(try_begin(&t, &e));
	assert_non_null(strstr(e.text, "twice"));
	t.spec.n_mounts = 0;
	t.spec.root_host = false;
	assert_null(try_begin(&t, &e));
	assert_non_null(strstr(e.text, "nothing is mounted at /"));
	try_fini(&t);
}

static void there_are_as_many_boxes_as_slots(void **state)
{
	struct try t[5];
	struct err e = ERR_INIT;
	(void)state;
	for (size_t i = 0; i < 4; i++) {
		try_init(&t[i], "read x");
		t[i].argv[2][0] = 0;
		free(t[i].argv[2]);
		t[i].argv[2] = own_dup("sleep 900");
		try_start(&t[i]);
	}
	try_init(&t[4], "true");
	assert_null(try_begin(&t[4], &e));
	assert_int_equal(e.kind, ERR_BUSY);
	for (size_t i = 0; i < 4; i++)
		box_cancel(t[i].box, false);
	for (size_t i = 0; i < 4; i++) {
		try_wait(&t[i]);
		assert_int_equal(t[i].facts.end, BOX_CANCELLED);
		try_fini(&t[i]);
	}
	try_run(&t[4]);
	try_expect(&t[4], 0, "");
	try_fini(&t[4]);
}

/* Which kernels take overlays in which way; each is forced where it is one of them. */
static const struct {
	const char *way;
	int major, minor;
} ways[] = {{"fd", 6, 13}, {"names", 6, 7}, {"classic", 5, 11}};

static int overlays(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_box_writes_is_in_its_upper_and_the_next_sees_it_below),
		cmocka_unit_test(what_a_box_leaves_belongs_to_who_started_it),
		cmocka_unit_test(without_an_upper_what_is_written_is_lost),
		cmocka_unit_test(read_only_is_read_only_also_below),
		cmocka_unit_test(mounts_lie_in_one_another_in_any_order),
		cmocka_unit_test(files_are_put_into_layers_and_over_what_is_read_only),
		cmocka_unit_test(sixty_layers_are_one_directory),
		cmocka_unit_test(renames_and_removals_work_in_an_overlay),
	};
	struct utsname kernel;
	int major = 0, minor = 0, rc = 0;
	uname(&kernel);
	sscanf(kernel.release, "%d.%d", &major, &minor);
	for (size_t i = 0; i < countof(ways); i++) {
		if (major < ways[i].major || (major == ways[i].major && minor < ways[i].minor))
			continue;
		auto_free char *name = own_fmt("sandbox: overlays, the way called %s", ways[i].way);
		setenv("ASSAY_BOX_OVERLAY", ways[i].way, 1);
		rc += _cmocka_run_group_tests(name, tests, countof(tests), try_setup, try_teardown);
	}
	unsetenv("ASSAY_BOX_OVERLAY");
	return rc;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_command_runs_and_its_output_comes),
		cmocka_unit_test(what_a_box_writes_is_in_its_upper_and_the_next_sees_it_below),
		cmocka_unit_test(what_a_box_leaves_belongs_to_who_started_it),
		cmocka_unit_test(without_an_upper_what_is_written_is_lost),
		cmocka_unit_test(read_only_is_read_only_also_below),
		cmocka_unit_test(a_live_directory_is_written_through),
		cmocka_unit_test(mounts_lie_in_one_another_in_any_order),
		cmocka_unit_test(a_root_of_its_own_needs_nothing_of_the_host),
		cmocka_unit_test(files_are_put_into_layers_and_over_what_is_read_only),
		cmocka_unit_test(a_file_goes_where_a_link_in_the_box_leads),
		cmocka_unit_test(home_and_working_directory_are_made),
		cmocka_unit_test(sixty_layers_are_one_directory),
		cmocka_unit_test(renames_and_removals_work_in_an_overlay),
		cmocka_unit_test(what_can_not_be_mounted_is_named),
		cmocka_unit_test(nonsense_is_refused_before_anything_runs),
		cmocka_unit_test(there_are_as_many_boxes_as_slots),
	};
	int rc = cmocka_run_group_tests_name("sandbox: basic", tests, try_setup, try_teardown);
	return rc + overlays();
}
