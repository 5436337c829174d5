/* What a box would be made of, told without making it. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include "base/text.h"
#include "sandbox/sandbox.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static char dir[64];

static int made(const char *rel, int flags)
{
	auto_free char *path = own_fmt("%s/%s", dir, rel);
	if (!(flags & O_CREAT))
		assert_int_equal(mkdir(path, 0755), 0);
	int fd = open(path, flags | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	return fd;
}

static int setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/assay-describe.XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	auto_free char *command = own_fmt("rm -r %s", dir);
	FILE *f = popen(command, "re");
	return f && !pclose(f) ? 0 : -1;
}

static char *env[] = {(char[]){"PATH=/bin"}, (char[]){"WORDS=it's \x1b[31m"}, NULL};
static char *argv[] = {(char[]){"sh"}, (char[]){"-c"}, (char[]){"echo it's"}, (char[]){""}, NULL};

static void has(const struct text *t, const char *what)
{
	if (!strstr(text_str(t), what))
		print_error("no %s in\n%s\n", what, text_str(t));
	assert_non_null(strstr(text_str(t), what));
}

/* The lines come in this order. */
static void in_order(const struct text *t, const char *const *lines, size_t n)
{
	const char *at = text_str(t);
	for (size_t i = 0; i < n; i++) {
		const char *found = strstr(at, lines[i]);
		if (!found)
			print_error("no %s after that in\n%s\n", lines[i], at);
		assert_non_null(found);
		at = found;
	}
}

static void everything_is_told_in_the_order_it_is_made(void **state)
{
	int lower[] = {made("lower", O_PATH), made("base", O_PATH)};
	int upper = made("u", O_PATH), work = made("w", O_PATH), ro[] = {made("r o", O_PATH)};
	int file[] = {made("file", O_CREAT | O_WRONLY)};
	struct box_mount mounts[] = {
		{.path = "/z",
		 .mode = BOX_RO,
		 .lowers = ro,
		 .n_lowers = 1,
		 .upper_fd = -1,
		 .work_fd = -1},
		{.path = "/build",
		 .mode = BOX_TMPFS,
		 .size = 8 << 20,
		 .upper_fd = -1,
		 .work_fd = -1},
		{.path = "/f",
		 .mode = BOX_COW,
		 .lowers = file,
		 .n_lowers = 1,
		 .upper_fd = -1,
		 .work_fd = -1},
		{.path = "/",
		 .mode = BOX_COW,
		 .lowers = lower,
		 .n_lowers = 2,
		 .n_past = 1,
		 .upper_fd = upper,
		 .work_fd = work},
	};
	struct box_file files[] = {{"/etc/hosts", "x", 1, 0644}};
	struct box_spec spec = {
		.name = "name",
		.root_host = true,
		.mounts = mounts,
		.n_mounts = countof(mounts),
		.files = files,
		.n_files = 1,
		.argv = argv,
		.env = env,
		.cwd = "/build",
		.hostname = "host",
		.uid = 7,
		.gid = 8,
		.loosen = BOX_LOOSEN_FUSE,
		.limits = {.wall_ms = 90000,
			   .memory = 512 << 20,
			   .processes = 64,
			   .cpu_milli = 1500},
	};
	auto_text struct text t = TEXT_INIT;
	struct err e = ERR_INIT;
	(void)state;
	assert_int_equal(write(file[0], "12345", 5), 5);
	assert_int_equal(box_describe(&spec, &t, &e), 0);
	auto_free char *u = own_fmt("upper %s/u, work %s/w\n", dir, dir);
	auto_free char *past = own_fmt(" %s/lower (of an earlier box)\n", dir);
	auto_free char *base = own_fmt(" %s/base\n", dir);
	auto_free char *copied =
		own_fmt("  cow   /f: file %s/file, 5 B, copied into a layer of /\n", dir);
	auto_free char *quoted = own_fmt(" '%s/r o'\n", dir);
	const char *const lines[] = {
		"box name, host name host\n",
		"mounts, in the order they are made:\n",
		"  cow   /\n",
		u,
		past,
		base,
		" a skeleton of the host's root\n",
		"  own   /dev: ",
		"  own   /tmp: ",
		"  own   /run: ",
		"  ro    /usr: the host's\n",
		"  tmpfs /build: in memory, at most 8.0 MiB\n",
		copied,
		"  ro    /z\n",
		quoted,
		"  own   /sys: ",
		"  own   /proc: ",
		"files:\n  /etc/hosts: 1 B, mode 0644\n",
		"ids: uid 7, gid 8, as the box sees them\n",
		"network: none: ",
		"limits: wall time 1 m 30 s, memory 512.0 MiB, processes 64, processors 1.500\n",
		"profile: default+fuse\n",
		"stdio: stdin is empty",
		"environment:\n  PATH=/bin\n  $'WORDS=it\\'s \\x1b[31m'\n",
		"working directory: /build\n",
		"command: sh -c 'echo it'\\''s' ''\n",
	};
	in_order(&t, lines, countof(lines));
	int all[] = {lower[0], lower[1], upper, work, ro[0], file[0]};
	for (size_t i = 0; i < countof(all); i++)
		close(all[i]);
}

static void what_is_lost_and_where_it_is_kept_meanwhile_is_said(void **state)
{
	struct box_mount mounts[] = {
		{.path = "/w", .mode = BOX_COW, .upper_fd = -1, .work_fd = -1}};
	int stdio[] = {-1, open("/dev/null", O_WRONLY | O_CLOEXEC), -1};
	struct box_spec spec = {.name = "n",
				.root_host = true,
				.mounts = mounts,
				.n_mounts = 1,
				.argv = argv,
				.env = env,
				.cwd = "/",
				.hostname = "h",
				.net = BOX_NET_HOST,
				.stdio = stdio};
	auto_text struct text t = TEXT_INIT;
	struct err e = ERR_INIT;
	(void)state;
	assert_int_equal(box_describe(&spec, &t, &e), 0);
	has(&t, "  own   /: a skeleton of the host's root; changes are lost: in memory, at most "
		"2.0 GiB\n");
	has(&t, "  cow   /w: changes are lost: in memory, at most 2.0 GiB\n");
	has(&t, "network: host: ");
	has(&t, "limits: none\n");
	has(&t, "profile: default\n");
	has(&t, "stdio: stdin (empty), stdout /dev/null, stderr (read along)\n");
	close(stdio[1]);
}

static void what_is_not_there_yet_is_told_as_such(void **state)
{
	int upper = made("kept", O_PATH | O_DIRECTORY);
	auto_free char *path = own_fmt("%s/kept", dir);
	struct box_mount mounts[] = {
		{.path = "/", .mode = BOX_COW, .upper_fd = -1, .work_fd = -1, .to_be = "/a b"},
		{.path = "/w", .mode = BOX_COW, .upper_fd = upper, .work_fd = -1, .to_be = path}};
	struct box_file files[] = {{"/job", NULL, 0, 0644}};
	struct box_spec spec = {.name = "n",
				.root_host = true,
				.mounts = mounts,
				.n_mounts = 2,
				.files = files,
				.n_files = 1,
				.argv = argv,
				.env = env,
				.cwd = "/",
				.hostname = "h"};
	auto_text struct text t = TEXT_INIT;
	struct err e = ERR_INIT;
	(void)state;
	assert_int_equal(box_describe(&spec, &t, &e), 0);
	auto_free char *kept = own_fmt("  cow   /w\n          upper %s\n", path);
	has(&t, "  cow   /\n          upper '/a b', to be made\n");
	has(&t, kept);
	has(&t, "/job: what will be read, mode 0644\n");
	mounts[1].to_be = NULL;
	assert_int_equal(box_describe(&spec, &t, &e), -1);
	close(upper);
}

static void nonsense_is_told_as_box_start_would(void **state)
{
	struct box_spec spec = {.name = "n", .argv = argv, .env = env, .cwd = "/", .hostname = "h"};
	auto_text struct text t = TEXT_INIT;
	struct err e = ERR_INIT;
	(void)state;
	assert_int_equal(box_describe(&spec, &t, &e), -1);
	assert_int_equal(e.kind, ERR_USAGE);
	assert_string_equal(e.text, "nothing is mounted at /");
	assert_string_equal(text_str(&t), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everything_is_told_in_the_order_it_is_made),
		cmocka_unit_test(what_is_lost_and_where_it_is_kept_meanwhile_is_said),
		cmocka_unit_test(what_is_not_there_yet_is_told_as_such),
		cmocka_unit_test(nonsense_is_told_as_box_start_would),
	};
	return cmocka_run_group_tests_name("sandbox: describe", tests, setup, teardown);
}
