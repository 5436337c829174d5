/* What a box's mounts promise: nothing of the box in a caller's upper, nothing of the host in
 * mountinfo, any order. */
#include "test_sandbox.h"

#include "test_processes.h"

#include <sys/utsname.h>

/* What is below rel, as find(1) tells it, one path a line. */
static void tree_is(const char *rel, const char *expected)
{
	auto_free char *command = own_fmt("cd %s/%s && find . -mindepth 1 | sort", try_dir, rel);
	auto_text struct text t = TEXT_INIT;
	assert_int_equal(shell_says(command, &t), 0);
	assert_string_equal(text_str(&t), expected);
}

static void what_the_box_puts_into_a_mount_is_not_in_its_upper(void **state)
{
	struct try t;
	(void)state;
	try_write("none/c/f", "c\n");
	try_init(&t, "pwd; ls -a /x /x/y /opt; cat /x/y/z/f /x/a/file; cd; pwd");
	t.spec.cwd = "/build/deep";
	try_lower(&t, try_mount(&t, "/x/y/z", BOX_RO), "none/c");
	try_mount(&t, "/opt/t/u", BOX_TMPFS);
	try_upper(try_lower(&t, try_mount(&t, "/x", BOX_COW), "none/l"), "none/x");
	try_upper(try_mount(&t, "/", BOX_COW), "none/r");
	try_file(&t, "/x/a/file", "file\n");
	try_run(&t);
	try_expect(&t, 0,
		   "/build/deep\n/opt:\n.\n..\nt\n\n/x:\n.\n..\na\ny\n\n/x/y:\n.\n..\nz\nc\nfile\n"
		   "/root\n");
	try_fini(&t);
	tree_is("none/x/u", "");
	tree_is("none/r/u", "");
}

/* An earlier box removed the places that a later one needs: they are there again, and its upper
 * does not say so. */
static void a_place_that_a_whiteout_hides_is_made_above_it(void **state)
{
	struct try t;
	struct stat st;
	(void)state;
	try_write("white/base/a/b/f", "f\n");
	try_write("white/base/d/e", "e\n");
	assert_int_equal(fchmodat(try_dir_fd, "white/base/a", 0711, 0), 0);
	try_write("white/in/g", "g\n");
	try_init(&t, "rm -r /root /data/a/b /data/d && mkdir /data/d /root && rmdir /root");
	try_upper(try_lower(&t, try_mount(&t, "/data", BOX_COW), "white/base"), "white/1d");
	try_upper(try_mount(&t, "/", BOX_COW), "white/1r");
	try_run(&t);
	try_expect(&t, 0, "");
	try_fini(&t);
	for (int with_files = 0; with_files < 2; with_files++) {
		auto_free char *upper = own_fmt("white/2d%d", with_files),
			       *root = own_fmt("white/2r%d", with_files);
		try_init(&t, "ls -d /root; cat /data/a/b/g /data/d/e/g; stat -c %a /data/a; ls "
			     "/data/d /data/a; cd && pwd");
		struct box_mount *m = try_mount(&t, "/data", BOX_COW);
		try_lower(&t, try_lower(&t, m, "white/1d/u"), "white/base");
		try_upper(m, upper);
		try_lower(&t, try_mount(&t, "/data/a/b", BOX_RO), "white/in");
		try_lower(&t, try_mount(&t, "/data/d/e", BOX_RO), "white/in");
		try_upper(try_lower(&t, try_mount(&t, "/", BOX_COW), "white/1r/u"), root);
		if (with_files)
			try_file(&t, "/data/a/x", "x");
		try_run(&t);
		try_expect(&t, 0,
			   with_files ? "/root\ng\ng\n711\n/data/a:\nb\nx\n\n/data/d:\ne\n/root\n"
				      : "/root\ng\ng\n711\n/data/a:\nb\n\n/data/d:\ne\n/root\n");
		try_fini(&t);
		auto_free char *upper_u = own_fmt("%s/u", upper), *root_u = own_fmt("%s/u", root);
		tree_is(upper_u, "");
		tree_is(root_u, "");
	}
	assert_int_equal(fstatat(try_dir_fd, "white/base/a", &st, 0), 0);
}

static void a_link_on_the_way_is_followed_before_the_overlay_is_made(void **state)
{
	struct try t;
	(void)state;
	try_write("linked/in/g", "g\n");
	try_write("linked/root/real/deep/f", "f\n");
	assert_int_equal(symlinkat("../real/./deep", try_dir_fd, "linked/root/real/to"), 0);
	assert_int_equal(symlinkat("/real/to", try_dir_fd, "linked/root/way"), 0);
	try_init(&t, "cat /real/deep/made/g /way/made/g /real/deep/conf; readlink /way");
	try_upper(try_lower(&t, try_mount(&t, "/", BOX_COW), "linked/root"), "linked/1");
	try_lower(&t, try_mount(&t, "/way/made", BOX_RO), "linked/in");
	try_file(&t, "/way/conf", "conf\n");
	try_run(&t);
	try_expect(&t, 0, "g\ng\nconf\n/real/to\n");
	try_fini(&t);
	tree_is("linked/1/u", "");
}

/* The directory of these tests has a name that nothing else has. */
static void mountinfo_shows_no_path_of_the_host(void **state)
{
	struct try t;
	(void)state;
	try_write("info/l/f", "f\n");
	try_write("info/m/g", "g\n");
	try_init(&t, "cat /proc/self/mountinfo /proc/self/mounts /proc/self/mountstats; cat "
		     "/ro/f /many/g /cow/f /file /ro/file >&2 && grep -c ' / .*overlay' "
		     "/proc/self/mountinfo");
	try_lower(&t, try_mount(&t, "/ro", BOX_RO), "info/l");
	try_lower(&t, try_lower(&t, try_mount(&t, "/many", BOX_RO), "info/l"), "info/m");
	try_upper(try_lower(&t, try_mount(&t, "/cow", BOX_COW), "info/l"), "info/secret:,\\name");
	try_upper(try_lower(&t, try_mount(&t, "/", BOX_COW), "info/m"), "info/r");
	try_lower(&t, try_mount(&t, "/lost", BOX_COW), "info/l");
	try_file(&t, "/file", "file\n");
	try_file(&t, "/ro/file", "file\n");
	try_run(&t);
	try_expect(&t, 0, NULL);
	const char *name = strrchr(try_dir, '/') + 1, *out = text_str(&t.out);
	if (strstr(out, name) || strstr(out, "secret") || strstr(out, "/info"))
		try_tell(&t);
	assert_non_null(strstr(out, " /cow "));
	assert_null(strstr(out, name));
	assert_null(strstr(out, "secret"));
	assert_null(strstr(out, "/info"));
	/* what the root of a host is must be shown as it is: /usr, /etc; nothing else of a disk */
	try_fini(&t);
}

static void an_upper_says_which_options_its_overlay_has(void **state)
{
	static const char *const options[] = {"userxattr", "volatile", "upperdir=/proc/self/fd/",
					      "workdir=/proc/self/fd/"};
	/* told only where they differ from what the kernel was built with */
	static const char *const never[] = {"metacopy=on",     "index=on",
					    "xino=on",         "xino=auto",
					    "redirect_dir=on", "redirect_dir=follow"};
	struct try t;
	(void)state;
	try_write("options/l/f", "f\n");
	try_init(&t, "grep ' /data ' /proc/self/mountinfo");
	try_upper(try_lower(&t, try_mount(&t, "/data", BOX_COW), "options/l"), "options/1");
	try_run(&t);
	try_expect(&t, 0, NULL);
	for (size_t i = 0; i < countof(options); i++)
		assert_non_null(strstr(text_str(&t.out), options[i]));
	for (size_t i = 0; i < countof(never); i++)
		assert_null(strstr(text_str(&t.out), never[i]));
	try_fini(&t);
}

static void file_is(const char *rel, const char *content)
{
	auto_text struct text t = TEXT_INIT;
	struct err e = ERR_INIT;
	assert_int_equal(dir_read_whole(try_dir_fd, rel, 65536, &t, &e), 0);
	assert_string_equal(text_str(&t), content);
}

/* The name of this program's directory, and of a file of the host, are nowhere to be read. */
static void hides(const struct try *t, const char *name)
{
	if (strstr(text_str(&t->out), strrchr(try_dir, '/') + 1) || strstr(text_str(&t->out), name))
		try_tell(t);
	assert_null(strstr(text_str(&t->out), strrchr(try_dir, '/') + 1));
	assert_null(strstr(text_str(&t->out), name));
}

static void a_single_file_is_read_only_or_live(void **state)
{
	struct try t;
	(void)state;
	try_write("one/ro", "ro\n");
	try_write("one/ours", "ours\n");
	try_write("one/rw", "rw\n");
	assert_int_equal(fchmodat(try_dir_fd, "one/rw", 0666, 0), 0);
	try_init(&t, "cat /a/b/ro /etc/ours /rw; for f in /a/b/ro /etc/ours; do (echo x >>$f) "
		     "2>/dev/null && echo wrote; rm -f $f 2>/dev/null && echo removed; done; echo "
		     "more >>/rw; ls /a /a/b; grep ours /proc/self/mountinfo | grep -c assay-test");
	try_lower_file(&t, try_mount(&t, "/a/b/ro", BOX_RO), "one/ro")->ours = false;
	try_lower_file(&t, try_mount(&t, "/etc/ours", BOX_RO), "one/ours");
	try_lower_file(&t, try_mount(&t, "/rw", BOX_RW), "one/rw")->ours = false;
	try_upper(try_mount(&t, "/", BOX_COW), "one/r");
	try_run(&t);
	try_expect(&t, 1, "ro\nours\nrw\n/a:\nb\n\n/a/b:\nro\n0\n");
	try_fini(&t);
	file_is("one/rw", "rw\nmore\n");
	file_is("one/ro", "ro\n");
	file_is("one/ours", "ours\n");
	tree_is("one/r/u", "");
}

/* In an overlay it is a file as any other: changed, replaced, removed; and the mount's upper says
 * what came of it, to the next box too. */
static void a_copy_on_write_file_is_part_of_the_overlay_it_lies_in(void **state)
{
	struct try t;
	(void)state;
	static const char *const names[] = {"changed", "replaced", "removed", "left"};
	for (size_t i = 0; i < countof(names); i++) {
		auto_free char *rel = own_fmt("part/src/%s", names[i]);
		try_write(rel, "old\n");
	}
	assert_int_equal(fchmodat(try_dir_fd, "part/src/left", 0751, 0), 0);
	try_write("part/base/d/below", "below\n");
	try_write("part/base/d/changed", "of the layer\n");
	assert_int_equal(fchmodat(try_dir_fd, "part/base/d", 0711, 0), 0);
	for (int box = 0; box < 2; box++) {
		auto_free char *upper = own_fmt("part/%d", box);
		try_init(&t, !box ? "cd /data/d; cat changed replaced removed left below; echo new "
				    ">>changed; echo new >n; mv n replaced; rm removed; stat -c "
				    "%a.%u . left; cat /proc/self/mountinfo"
				  : "cd /data/d; cat changed replaced removed left below 2>&1; ls; "
				    "cat /proc/self/mountinfo");
		struct box_mount *m = try_mount(&t, "/data", BOX_COW);
		if (box) {
			try_lower(&t, m, "part/0/u");
			m->n_past = 1;
		}
		try_upper(try_lower(&t, m, "part/base"), upper);
		for (size_t i = 0; i < countof(names); i++) {
			static const char *const paths[] = {"/data/d/changed", "/data/d/replaced",
							    "/data/d/removed", "/data/d/left"};
			auto_free char *rel = own_fmt("part/src/%s", names[i]);
			try_lower_file(&t, try_mount(&t, paths[i], BOX_COW), rel);
		}
		try_run(&t);
		try_expect(&t, 0, NULL);
		hides(&t, "part");
		static const char first[] = "old\nold\nold\nold\nbelow\n711.0\n751.0\n",
				  second[] = "old\nnew\nnew\ncat: removed: No such file or "
					     "directory\nold\nbelow\nbelow\nchanged\nleft\n"
					     "replaced\n";
		const char *expected = box ? second : first;
		if (strncmp(text_str(&t.out), expected, strlen(expected)))
			try_tell(&t);
		assert_int_equal(strncmp(text_str(&t.out), expected, strlen(expected)), 0);
		try_fini(&t);
	}
	tree_is("part/0/u", "./d\n./d/changed\n./d/removed\n./d/replaced\n");
	tree_is("part/1/u", "");
	for (size_t i = 0; i < countof(names); i++) {
		auto_free char *rel = own_fmt("part/src/%s", names[i]);
		file_is(rel, "old\n");
	}
}

/* In the host's read-only /etc, in a read-only layer, in memory: bound to its place. */
static void a_copy_on_write_file_elsewhere_is_a_private_copy(void **state)
{
	struct try t;
	(void)state;
	try_write("private/unmistakable", "old\n");
	try_write("private/other", "not to be seen\n");
	try_write("private/l/x", "x\n");
	try_init(&t,
		 "cat /proc/self/mountinfo; for f in /etc/f /top /run/a/f /ro/f; do echo new "
		 ">>$f; cat "
		 "$f; rm -f $f 2>/dev/null && echo gone; done; ls -d /etc/other /ro/* 2>/dev/null");
	static const char *const paths[] = {"/etc/f", "/top", "/run/a/f", "/ro/f"};
	for (size_t i = 0; i < countof(paths); i++)
		try_lower_file(&t, try_mount(&t, paths[i], BOX_COW), "private/unmistakable");
	try_lower(&t, try_mount(&t, "/ro", BOX_RO), "private/l");
	try_run(&t);
	try_expect(&t, 2, NULL);
	static const char expected[] = "old\nnew\nold\nnew\nold\nnew\nold\nnew\n/ro/f\n/ro/x\n";
	size_t n = t.out.n, k = strlen(expected);
	if (n < k || strcmp(text_str(&t.out) + n - k, expected))
		try_tell(&t);
	assert_true(n > k);
	assert_string_equal(text_str(&t.out) + n - k, expected);
	hides(&t, "private/");
	try_fini(&t);
	file_is("private/unmistakable", "old\n");
}

static void a_single_file_is_told_when_there_is_no_place_for_it(void **state)
{
	struct try t;
	(void)state;
	try_write("noplace/f", "f\n");
	try_write("noplace/l/d/g", "g\n");
	for (enum box_mode mode = BOX_RO; mode <= BOX_COW; mode++) {
		try_init(&t, "true");
		try_lower(&t, try_mount(&t, "/data", BOX_COW), "noplace/l");
		try_lower_file(&t, try_mount(&t, "/data/d", mode), "noplace/f");
		try_run(&t);
		if (!strstr(t.facts.error, "Is a directory") &&
		    !strstr(text_str(&t.out), "Is a directory"))
			try_tell(&t);
		assert_true(strstr(t.facts.error, "mount /data/d: ") ||
			    strstr(text_str(&t.out), "mount /data/d: "));
		try_fini(&t);
	}
}

/* The same mounts in many orders: the same box. */
static void order_does_not_matter(void **state)
{
	static const char *const paths[] = {"/", "/x", "/x/y", "/x/y/z/file", "/x/y/cow"};
	static const size_t n = countof(paths);
	(void)state;
	try_write("order/file", "file\n");
	try_write("order/x/y/f", "hidden\n");
	try_write("order/y/f", "shown\n");
	for (unsigned k = 0; k < 120; k += 7) {
		struct try t;
		size_t left[] = {0, 1, 2, 3, 4};
		auto_free char *upper = own_fmt("order/%u", k);
		try_init(&t, "cat /x/y/f /x/y/z/file /x/y/cow; echo new >/x/y/cow; cat /x/y/cow");
		for (unsigned i = 0, rest = k; i < n; i++) {
			unsigned pick = rest % (unsigned)(n - i);
			rest /= (unsigned)(n - i);
			size_t which = left[pick];
			memmove(left + pick, left + pick + 1, (n - i - 1 - pick) * sizeof(*left));
			struct box_mount *m =
				try_mount(&t, paths[which], which == 3 ? BOX_RO : BOX_COW);
			if (which == 0)
				try_upper(m, upper);
			else if (which < 3)
				try_lower(&t, m, which == 1 ? "order/x" : "order/y");
			else
				try_lower_file(&t, m, "order/file");
		}
		try_run(&t);
		try_expect(&t, 0, "shown\nfile\nfile\nnew\n");
		try_fini(&t);
		auto_free char *u = own_fmt("%s/u", upper);
		tree_is(u, "");
	}
}

/* What the host has mounted below a live directory comes along, and no box can mount or write it.
 */
static void read_only_and_live_reach_what_is_mounted_below(void **state)
{
	struct try t;
	(void)state;
	try_write("below/l/sub/hidden", "");
	auto_free char *at = own_fmt("%s/below/l/sub", try_dir);
	assert_int_equal(mount("none", at, "tmpfs", 0, "mode=777"), 0);
	try_write("below/l/sub/f", "mounted\n");
	try_init(&t, "cat /ro/sub/f /rw/sub/f; ls /ro/sub; (echo w >/ro/sub/g) 2>/dev/null && echo "
		     "wrote; echo w >/rw/sub/h; cat /ro/sub/h");
	try_lower(&t, try_mount(&t, "/ro", BOX_RO), "below/l")->ours = false;
	try_lower(&t, try_mount(&t, "/rw", BOX_RW), "below/l")->ours = false;
	try_run(&t);
	int rc = umount2(at, MNT_DETACH);
	try_expect(&t, 0, "mounted\nmounted\nf\nw\n");
	try_fini(&t);
	assert_int_equal(rc, 0);
}

/* In a process of its own, which may mount. */
static int with_mounts(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(read_only_and_live_reach_what_is_mounted_below),
	};
	int status = 0;
	pid_t pid = fork();
	if (!pid) {
		if (try_own_mounts()) {
			print_message("[  SKIPPED ] mounts below: %s\n", strerror(errno));
			exit(0);
		}
		exit(cmocka_run_group_tests_name("sandbox: mounts below", tests, try_setup,
						 try_teardown));
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) && WEXITSTATUS(status) == 77 ? 0 : status;
}

/* In each way of mounting: which mount, in which way, and why. */
static void a_mount_that_fails_is_named_with_the_way_and_the_reason(void **state)
{
	struct try t;
	(void)state;
	try_write("fails/l/f", "");
	try_init(&t, "true");
	struct box_mount *m = try_mount(&t, "/a/b", BOX_COW);
	try_upper(try_lower(&t, try_lower(&t, m, "fails/l"), "fails/l"), "fails/x");
	try_run(&t);
	assert_int_equal(t.facts.end, BOX_FAILED);
	auto_free char *expected =
		own_fmt("mount /a/b: overlay at /a/b (%s): ", getenv("ASSAY_BOX_OVERLAY"));
	if (!strstr(t.facts.error, expected))
		try_tell(&t);
	assert_non_null(strstr(t.facts.error, expected));
	assert_non_null(strstr(t.facts.error, strerror(ELOOP)));
	try_fini(&t);
}

/* Which kernels take overlays in which way; each is forced where it is one of them. */
static const struct {
	const char *way;
	int major, minor;
} ways[] = {{"fd", 6, 13}, {"names", 6, 7}, {"classic", 5, 11}};

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_the_box_puts_into_a_mount_is_not_in_its_upper),
		cmocka_unit_test(a_place_that_a_whiteout_hides_is_made_above_it),
		cmocka_unit_test(a_link_on_the_way_is_followed_before_the_overlay_is_made),
		cmocka_unit_test(mountinfo_shows_no_path_of_the_host),
		cmocka_unit_test(an_upper_says_which_options_its_overlay_has),
		cmocka_unit_test(a_single_file_is_read_only_or_live),
		cmocka_unit_test(a_copy_on_write_file_is_part_of_the_overlay_it_lies_in),
		cmocka_unit_test(a_copy_on_write_file_elsewhere_is_a_private_copy),
		cmocka_unit_test(a_single_file_is_told_when_there_is_no_place_for_it),
		cmocka_unit_test(order_does_not_matter),
		cmocka_unit_test(a_mount_that_fails_is_named_with_the_way_and_the_reason),
	};
	struct utsname kernel;
	int major = 0, minor = 0, rc = with_mounts() ? 1 : 0;
	uname(&kernel);
	sscanf(kernel.release, "%d.%d", &major, &minor);
	for (size_t i = 0; i < countof(ways); i++) {
		if (major < ways[i].major || (major == ways[i].major && minor < ways[i].minor))
			continue;
		auto_free char *name = own_fmt("sandbox: mounts, the way called %s", ways[i].way);
		setenv("ASSAY_BOX_OVERLAY", ways[i].way, 1);
		rc += _cmocka_run_group_tests(name, tests, countof(tests), try_setup, try_teardown);
	}
	return rc;
}
