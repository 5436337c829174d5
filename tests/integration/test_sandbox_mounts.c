/* What a box's mounts promise: nothing of the box in a caller's upper, nothing of the host in
 * mountinfo, any order. */
#include "test_sandbox.h"

#include <sys/utsname.h>

/* What is below rel, as find(1) tells it, one path a line. */
static void tree_is(const char *rel, const char *expected)
{
	auto_free char *command = own_fmt("cd %s/%s && find . -mindepth 1 | sort", try_dir, rel);
	auto_text struct text t = TEXT_INIT;
	char buf[4096];
	FILE *f = popen(command, "re");
	assert_non_null(f);
	for (size_t n; (n = fread(buf, 1, sizeof(buf), f)) > 0;)
		text_put(&t, buf, n);
	assert_int_equal(pclose(f), 0);
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
	};
	struct utsname kernel;
	int major = 0, minor = 0, rc = 0;
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
