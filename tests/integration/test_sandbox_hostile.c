/* Jobs that mean harm to more than themselves: to what comes after them, to the layers they were
 * given, to the box's own pid 1. Whatever they do, it is their own affair: never BOX_FAILED. */
#include "test_sandbox.h"

#include "test_processes.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <sys/xattr.h>

static unsigned hostile_n;

/* One box, then another over what it left, with a mount, a file and a working directory. */
static void hostile_pair(const char *first, struct try *t, const char *second)
{
	auto_free char *one = own_fmt("pair/%u", hostile_n++),
		       *two = own_fmt("pair/%u", hostile_n++);
	auto_free char *upper = own_fmt("%s/u", one);
	try_write("pair/cache/f", "cached\n");
	try_init(t, first);
	try_upper(try_mount(t, "/", BOX_COW), one);
	try_run(t);
	try_expect(t, 0, NULL);
	try_fini(t);
	try_init(t, second);
	t->spec.cwd = "/build";
	struct box_mount *root = try_upper(try_mount(t, "/", BOX_COW), two);
	t->lowers[0][root->n_lowers++] = /* not to be read: it may be of mode 000 */
		openat(try_dir_fd, upper, O_PATH | O_DIRECTORY | O_CLOEXEC);
	root->n_past = root->n_lowers;
	try_lower(t, try_mount(t, "/root/cache", BOX_RO), "pair/cache");
	try_file(t, "/extra/file", "a file of the plan\n");
	try_file(t, "/other/file", "another one\n");
	try_run(t);
}

static void what_is_in_the_way_is_told_to_the_job_that_left_it(void **state)
{
	static const struct {
		const char *left, *said;
	} ways[] = {
		{"echo x >/build", "working directory /build: "},
		{"ln -s loop /build; ln -s build /loop", "working directory /build: "},
		{"ln -s /proc/1/root /build", "working directory /build: "},
		{"rm -rf /root; ln -s /usr /root", "mount /root/cache: "},
		{"rm -rf /root; mkfifo /root", "mount /root/cache: "},
		{"echo x >/root/cache", "mount /root/cache: "},
		{"ln -s /etc /extra", "file /extra/file: "},
		{"echo x >/extra", "file /extra/file: "},
		/* two files become one, one is to be below the other, one has no name that fits */
		{"mkdir -p /extra; ln -s extra /other", "file /other/file: "},
		{"mkdir -p /extra; ln -s extra/file /other", "file /other/file: "},
		{"ln -s $(printf '%0256d' 0) /other", "file /other/file: "},
		/* links to nothing that lead to links to nothing, as many as a path has room for */
		{"mkdir /L; i=0; p=; while [ $i -lt 40 ]; do ln -s /M/$i /L/$i; p=$p/L/$i/../..; "
		 "i=$((i+1)); done; ln -s $p/end /root/cache",
		 "mount /root/cache: "},
	};
	(void)state;
	for (size_t i = 0; i < countof(ways); i++) {
		struct try t;
		hostile_pair(ways[i].left, &t, "echo not reached");
		if (!strstr(text_str(&t.out), ways[i].said))
			print_message("%s: %s\n", ways[i].left, text_str(&t.out));
		try_expect(&t, 126, NULL);
		assert_int_equal(strncmp(text_str(&t.out), "assay: ", 7), 0);
		assert_non_null(strstr(text_str(&t.out), ways[i].said));
		assert_null(strstr(text_str(&t.out), "reached"));
		try_fini(&t);
	}
}

static void pid_1_s_descriptors_are_no_working_directory(void **state)
{
	struct try t;
	(void)state;
	try_excepted();
	hostile_pair("ln -s /proc/1/fd /build", &t, "echo not reached");
	try_expect(&t, 126, NULL);
	assert_non_null(strstr(text_str(&t.out), "working directory /build: "));
	try_fini(&t);
}

/* The link could be removed by the command, and what looks into the box be led to what it puts
 * there. */
static void a_root_whose_proc_is_a_link_is_refused(void **state)
{
	static const char *const ways[] = {"tmp/p", "/", "proc", "/sys"};
	(void)state;
	for (size_t i = 0; i < countof(ways); i++) {
		struct try t;
		auto_free char *rel = own_fmt("linked/%zu", i), *up = own_fmt("%s/up", rel);
		auto_free char *root = own_fmt("%s/root", rel);
		close(try_open(root));
		auto_free char *link = own_fmt("%s/proc", root);
		assert_int_equal(symlinkat(ways[i], try_dir_fd, link), 0);
		try_init(&t, "exit 0");
		t.spec.root_host = false;
		try_upper(try_lower(&t, try_mount(&t, "/", BOX_COW), root), up);
		try_run(&t);
		try_expect(&t, 126, NULL);
		assert_non_null(strstr(text_str(&t.out), "/proc"));
		try_fini(&t);
	}
}

static void what_is_led_elsewhere_stays_in_the_box(void **state)
{
	static const struct {
		const char *left;
		int exit;
	} ways[] = {
		{"ln -s /dev /root/cache", 0},
		{"ln -s /proc /root/cache", 0},
		{"ln -s / /root/cache", 0},
		{"ln -s /sys /root/cache", 0},
		{"ln -s /usr/bin /root/cache", 127},
		{"ln -s /tmp/x/y /root/cache", 0},
		{"ln -s ../../../../build2 /build", 0},
		{"mkdir -p /build; chmod 0 /build /root /", 0},
		{"rm -rf /root /var /srv /opt; chmod 7777 /", 0},
	};
	(void)state;
	for (size_t i = 0; i < countof(ways); i++) {
		struct try t;
		hostile_pair(ways[i].left, &t, "cat /extra/file; test ! -e /boot");
		if (t.facts.exit_code != ways[i].exit)
			print_message("%s: %s\n", ways[i].left, text_str(&t.out));
		try_expect(&t, ways[i].exit, ways[i].exit ? NULL : "a file of the plan\n");
		try_fini(&t);
	}
}

/* Everything that can be seen of a tree from outside, access times apart. */
static void tree_text(const char *rel, struct text *out)
{
	auto_free char *command = own_fmt("cd %s/%s && find . -print0 | sort -z | xargs -0 stat -c "
					  "'%%n %%F %%i %%h %%a %%u %%g %%s %%y %%z' && "
					  "find . -type f -print0 | sort -z | xargs -0 sha256sum",
					  try_dir, rel);
	assert_int_equal(shell_says(command, out), 0);
}

static void a_layer_is_never_written(void **state)
{
	struct try t;
	auto_text struct text before = TEXT_INIT, after = TEXT_INIT;
	(void)state;
	static const char *const names[] = {"f", "m", "ro", "d/g", "d/h"};
	for (size_t i = 0; i < countof(names); i++) {
		auto_free char *rel = own_fmt("layer/l/%s", names[i]);
		try_write(rel, "what was there\n");
	}
	tree_text("layer/l", &before);
	try_init(&t, "exec 2>/dev/null; for at in /cow /ro; do (cd $at; exec 8<ro; for f in f d/g; "
		     "do echo evil "
		     ">>$f; (: >$f); chmod 4777 $f; chown 1:1 $f; ln $f hard; touch -d @1 $f; "
		     "done; (echo evil "
		     ">/proc/self/fd/8); (exec 9<>m; echo evil >&9); truncate -s 1 m; flock m "
		     "true; mv d/h x; "
		     "rm -rf d; mkdir d; chmod 2777 .; chown 1:1 .; mv f d/f); done; test -s /ro/f "
		     "&& test -f "
		     "/cow/d/f");
	try_upper(try_lower(&t, try_mount(&t, "/cow", BOX_COW), "layer/l"), "layer/1");
	try_lower(&t, try_mount(&t, "/ro", BOX_RO), "layer/l");
	try_run(&t);
	try_expect(&t, 0, "");
	try_fini(&t);
	tree_text("layer/l", &after);
	assert_string_equal(text_str(&before), text_str(&after));
}

/* Marks that overlayfs reads in its layers: an earlier phase that could plant them would hide or
 * redirect what a later one sees. */
static void marks_of_overlayfs_can_not_be_planted(void **state)
{
	struct try t;
	char value[16];
	(void)state;
	try_init(&t, "mkdir /d; mknod /d/w c 0 0 2>/dev/null; mknod /tmp/w c 0 0 2>/dev/null; mv "
		     "/tmp/w /d/v "
		     "2>/dev/null; python3 -c 'import os\n"
		     "for k in (\"opaque\", \"redirect\", \"metacopy\", \"whiteout\"):\n"
		     "    for n in (\"user\", \"trusted\"):\n"
		     "        try: os.setxattr(\"/d\", n + \".overlay.\" + k, b\"y\")\n"
		     "        except OSError: pass'; ls /d");
	try_upper(try_mount(&t, "/", BOX_COW), "marks");
	try_run(&t);
	if (t.facts.exit_code == 127)
		skip();
	try_expect(&t, 0, "");
	try_fini(&t);
	auto_free char *path = own_fmt("%s/marks/u/d", try_dir);
	assert_int_equal(getxattr(path, "user.overlay.opaque", value, sizeof(value)), -1);
	assert_int_equal(getxattr(path, "user.overlay.redirect", value, sizeof(value)), -1);
	assert_int_equal(getxattr(path, "trusted.overlay.opaque", value, sizeof(value)), -1);
}

static void a_set_user_id_file_of_an_earlier_box_gives_nothing(void **state)
{
	struct try t;
	(void)state;
	try_init(&t, "cp /usr/bin/id /id && chmod 6755 /id");
	try_upper(try_mount(&t, "/", BOX_COW), "suid/1");
	try_run(&t);
	try_expect(&t, 0, "");
	try_fini(&t);
	/* where there are ids to be somebody else */
	try_init(&t, "setpriv --reuid 1 --regid 1 --clear-groups /id -u || /id -u");
	try_upper(try_lower(&t, try_mount(&t, "/", BOX_COW), "suid/1/u"), "suid/2");
	try_run(&t);
	assert_int_equal(t.facts.end, BOX_EXITED);
	if (!geteuid() && t.facts.exit_code != 127)
		assert_string_equal(text_str(&t.out), "1\n");
	try_fini(&t);
}

/* As the same user, anybody may set another process's limits: prlimit(2). The kernel would kill a
 * pid 1 that has no CPU time left, and the box would be lost without having an end. */
static void pid_1_keeps_its_limits(void **state)
{
	struct try t;
	(void)state;
	try_init(&t, "exec 2>/dev/null; for l in --cpu=1:1 --nofile=0:0 --stack=0:0 --as=0:0; do "
		     "prlimit --pid 1 $l "
		     "&& echo $l; done; prlimit --pid $$ --nofile=100:100 && ulimit -n");
	try_run(&t);
	if (t.facts.exit_code == 127)
		skip();
	try_expect(&t, 0, "100\n");
	try_fini(&t);
}

static void pid_1_is_the_last_to_go_for_memory(void **state)
{
	(void)state;
	try_script("cat /proc/self/oom_score_adj; cat /proc/1/oom_score_adj >/dev/null && while [ "
		   "$(cat "
		   "/proc/1/oom_score_adj) -ge 500 ]; do :; done",
		   0, "500\n");
}

/* Abstract UNIX sockets belong to the network: the host's come with it (Landlock keeps them away
 * from Linux 6.12 on). The box's own work. */
static void abstract_sockets_of_the_host_are_out_of_reach(void **state)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	struct try t;
	auto_fd int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	(void)state;
	int n = snprintf(a.sun_path + 1, sizeof(a.sun_path) - 1, "assay-test-%d", (int)getpid());
	assert_int_equal(bind(s, (struct sockaddr *)&a,
			      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n)),
			 0);
	assert_int_equal(listen(s, 1), 0);
	if (syscall(444 /* landlock_create_ruleset */, NULL, 0, 1) < 6)
		skip();
	auto_free char *script = own_fmt(
		"python3 -c 'import socket\n"
		"s = socket.socket(socket.AF_UNIX); s.bind(\"\\0own-%d\"); s.listen(1)\n"
		"for name in (\"own-%d\", \"%s\"):\n"
		"    try: socket.socket(socket.AF_UNIX).connect(\"\\0\" + name); print(\"yes\")\n"
		"    except OSError as e: print(e.strerror)'",
		(int)getpid(), (int)getpid(), a.sun_path + 1);
	try_init(&t, script);
	t.spec.net = BOX_NET_HOST;
	try_run(&t);
	if (t.facts.exit_code == 127)
		skip();
	try_expect(&t, 0, "yes\nOperation not permitted\n");
	try_fini(&t);
}

/* Below this program's directory: elsewhere others mount and unmount, too. */
static size_t mounts_of_the_host(void)
{
	size_t n = 0;
	char line[8192];
	auto_file FILE *f = fopen("/proc/self/mountinfo", "re");
	while (f && fgets(line, sizeof(line), f))
		n += strstr(line, strrchr(try_dir, '/')) != NULL;
	return n;
}

/* A live directory is the host's own; where mounts are shared, what is mounted on its copy is so on
 * both, if nobody sees to it. */
static void what_is_mounted_in_a_live_directory_is_not_so_on_the_host(void **state)
{
	struct try t;
	(void)state;
	size_t before = mounts_of_the_host();
	try_write("live/sub/f", "live\n");
	try_write("live2/f", "other\n");
	try_init(
		&t,
		"cat /rw/sub/f /rw/other/f; echo hidden >/rw/sub/g; echo shown >/rw/h; sleep 1000");
	try_lower(&t, try_mount(&t, "/rw", BOX_RW), "live");
	try_mount(&t, "/rw/sub", BOX_TMPFS);
	try_lower(&t, try_mount(&t, "/rw/other", BOX_RO), "live2");
	try_start(&t);
	while (!t.ends && !strstr(text_str(&t.out), "other"))
		uv_run(&try_loop, UV_RUN_ONCE);
	assert_int_equal(mounts_of_the_host(), before);
	box_cancel(t.box, false);
	try_wait(&t);
	assert_false(try_exists("live/sub/g"));
	assert_int_equal(mounts_of_the_host(), before);
	try_fini(&t);
}

/* Sessions of their own, stopped, traced, deaf to SIGTERM, orphaned. */
static void nobody_outlives_the_box(void **state)
{
	struct try t;
	(void)state;
	try_init(&t, "trap '' TERM HUP INT; (setsid sh -c 'trap \"\" TERM; sleep 1000' &); (sleep "
		     "1000 & kill -STOP $!);"
		     "python3 -c 'import ctypes,os,signal,time\n"
		     "if not os.fork():\n"
		     "    p = os.fork()\n"
		     "    if p: ctypes.CDLL(None).ptrace(16, p, 0, 0)\n"
		     "    os.setsid() if p else 0\n"
		     "    signal.signal(15, signal.SIG_IGN)\n"
		     "    time.sleep(1000)'; echo up; kill -STOP $$; sleep 1000");
	t.spec.limits.grace_ms = 50;
	try_start(&t);
	while (!t.ends && !t.out.n)
		uv_run(&try_loop, UV_RUN_ONCE);
	assert_string_equal(text_str(&t.out), "up\n");
	box_cancel(t.box, true);
	try_wait(&t);
	assert_int_equal(t.facts.end, BOX_CANCELLED);
	try_fini(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_in_the_way_is_told_to_the_job_that_left_it),
		cmocka_unit_test(pid_1_s_descriptors_are_no_working_directory),
		cmocka_unit_test(a_root_whose_proc_is_a_link_is_refused),
		cmocka_unit_test(what_is_led_elsewhere_stays_in_the_box),
		cmocka_unit_test(a_layer_is_never_written),
		cmocka_unit_test(marks_of_overlayfs_can_not_be_planted),
		cmocka_unit_test(a_set_user_id_file_of_an_earlier_box_gives_nothing),
		cmocka_unit_test(pid_1_keeps_its_limits),
		cmocka_unit_test(pid_1_is_the_last_to_go_for_memory),
		cmocka_unit_test(abstract_sockets_of_the_host_are_out_of_reach),
		cmocka_unit_test(what_is_mounted_in_a_live_directory_is_not_so_on_the_host),
		cmocka_unit_test(nobody_outlives_the_box),
	};
	return cmocka_run_group_tests_name("sandbox: hostile", tests, try_setup, try_teardown);
}
