/* A box whose own FUSE file systems keep it from ending all the same: by whoever it is ended,
 * nothing of it is left, and nobody else's file system notices. What runs in the box is this
 * program. */
#include "test_fuse.h"
#include "test_sandbox.h"

#include <spawn.h>
#include <sys/prctl.h>
#include <sys/vfs.h>

#define LONGEST_MS 120000 /* for what takes one or two seconds where there is time */
#define LOUD 1000         /* bytes: fewer than who is loud says */

extern char **environ;

static struct text self = TEXT_INIT;

/* --- the file system -------------------------------------------------------------------------- */

/* One directory with one empty file, until nobody mounts it any more. */
static void serve(int fd)
{
	static _Alignas(8) char bytes[FUSE_MIN_READ_BUFFER];
	const struct fuse_in_header *in = (const void *)bytes;
	struct fuse_answer a;
	while (read(fd, bytes, sizeof(bytes)) > 0) {
		if (in->opcode == FUSE_FORGET || in->opcode == FUSE_BATCH_FORGET)
			continue;
		a.head.len = 0;
		size_t n = sizeof(a.head) + fuse_answer(in, &a);
		a.head.len = (uint32_t)n;
		if (write(fd, &a, n) < 0)
			break;
	}
	_exit(0);
}

/* Mounted and opened; who serves it. 0: not possible here. */
static pid_t begin(const char *at, int *device, int *file)
{
	char options[96];
	auto_free char *path = own_fmt("%s/f", at);
	*device = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other",
		 *device);
	if (*device < 0 || mount("test", at, "fuse", 0, options))
		return 0;
	pid_t server = fork();
	if (!server)
		serve(*device);
	*file = open(path, O_RDONLY | O_CLOEXEC);
	return *file < 0 ? 0 : server;
}

/* --- in the box ------------------------------------------------------------------------------- */

/* Holds its own device behind its own file: the file is closed first, and closing asks. */
static int hold(const char *how)
{
	int device, file;
	struct statx x;
	if (mkdir("/tmp/m", 0755))
		return 1;
	pid_t server = begin("/tmp/m", &device, &file);
	if (!server) {
		printf("%s\n", strerror(errno));
		return 1;
	}
	if (statx(file, "", AT_EMPTY_PATH, STATX_TYPE, &x))
		return 1;
	unsigned minor = x.stx_dev_minor;
	if (dup2(device, 100) < 0 || close(device) || kill(server, SIGKILL) ||
	    waitpid(server, NULL, 0) < 0)
		return 1;
	if (!strcmp(how, "hidden") && umount2("/tmp/m", MNT_DETACH))
		return 1;
	printf("holds %u\n%*s", minor, strcmp(how, "loud") ? 0 : 2 * LOUD, "");
	fflush(stdout);
	if (!strcmp(how, "left"))
		kill(getppid(), SIGUSR1);
	for (;;)
		pause();
}

/* left: by a child that outlives the command */
static int in_the_box(const char *how)
{
	sigset_t over;
	int signal;
	sigemptyset(&over);
	sigaddset(&over, SIGUSR1);
	sigprocmask(SIG_BLOCK, &over, NULL);
	if (strcmp(how, "left") || !fork())
		return hold(how);
	return sigwait(&over, &signal);
}

/* --- tests ------------------------------------------------------------------------------------ */

static bool holds, late;
static int rescue_fd = -1; /* what would end it if nobody else does */

static void on_word(const void *bytes, size_t n)
{
	(void)bytes;
	(void)n;
	holds = true;
}

static int connections(void)
{
	int fs = fsopen("fusectl", FSOPEN_CLOEXEC);
	if (fs < 0 || fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0)) {
		own_close(&fs);
		return open("/sys/fs/fuse/connections", O_PATH | O_DIRECTORY | O_CLOEXEC);
	}
	int fd = fsmount(fs, FSMOUNT_CLOEXEC, 0);
	close(fs);
	return fd;
}

static void rescue_open(unsigned minor)
{
	auto_free char *name = own_fmt("%u/abort", minor);
	auto_fd int fd = connections();
	own_close(&rescue_fd);
	rescue_fd = fd < 0 ? -1 : openat(fd, name, O_WRONLY | O_CLOEXEC);
}

static void rescue(uv_timer_t *timer)
{
	(void)timer;
	late = write(rescue_fd, "1", 1) == 1;
}

static void end_in_time(struct try *t)
{
	uv_timer_t timer;
	late = false;
	uv_timer_init(&try_loop, &timer);
	uv_timer_start(&timer, rescue, LONGEST_MS, 0);
	try_wait(t);
	uv_close((uv_handle_t *)&timer, NULL);
	uv_run(&try_loop, UV_RUN_NOWAIT);
	own_close(&rescue_fd);
	assert_false(late);
}

static void init_with(const char *how, struct try *t)
{
	bool nested = !strcmp(how, "nested");
	auto_free char *script =
		own_fmt("exec %s/box/program %s", nested ? "unshare -rm " : "", how);
	try_init(t, script);
	t->spec.loosen = BOX_LOOSEN_FUSE | (nested ? BOX_LOOSEN_USERNS : 0);
	t->on_output = on_word;
	t->files[t->spec.n_files++] =
		(struct box_file){"/box/program", text_str(&self), self.n, 0755};
	holds = false;
}

static void start_and_hold(struct try *t)
{
	unsigned minor = 0;
	try_start(t);
	while (!holds && !t->ends)
		uv_run(&try_loop, UV_RUN_ONCE);
	if (sscanf(text_str(&t->out), "holds %u\n", &minor) != 1)
		try_tell(t);
	assert_int_not_equal(minor, 0);
	rescue_open(minor);
}

static void start_holding(const char *how, struct try *t)
{
	init_with(how, t);
	start_and_hold(t);
	assert_true(rescue_fd >= 0);
}

static void hold_and_cancel(const char *how)
{
	struct try t;
	start_holding(how, &t);
	box_cancel(t.box, false);
	end_in_time(&t);
	assert_int_equal(t.facts.end, BOX_CANCELLED);
	try_fini(&t);
}

static void a_box_that_waits_for_itself_ends_when_it_is_cancelled(void **state)
{
	(void)state;
	hold_and_cancel("shown");
}

static void a_box_that_waits_for_itself_ends_by_its_limit(void **state)
{
	struct try t;
	(void)state;
	/* which it passes when it holds; nobody has to be rescued where it is over by now */
	init_with("loud", &t);
	t.spec.limits.output_bytes = LOUD;
	start_and_hold(&t);
	end_in_time(&t);
	assert_int_equal(t.facts.end, BOX_LIMITED);
	assert_int_equal(t.facts.limit, BOX_LIMIT_OUTPUT);
	try_fini(&t);
}

static void a_box_whose_command_left_who_waits_for_itself_is_over_with_the_command(void **state)
{
	struct try t;
	(void)state;
	start_holding("left", &t);
	end_in_time(&t);
	try_expect(&t, 0, NULL);
	try_fini(&t);
}

static void a_box_whose_processes_have_mounts_of_their_own_ends_too(void **state)
{
	(void)state;
	hold_and_cancel("nested");
}

struct said {
	char dir[sizeof(try_dir)];
	unsigned minor;
};

/* The caller of boxes, which is killed. */
static void *call(void *how)
{
	struct said said = {.minor = 0};
	void *state = NULL;
	struct try t;
	try_no_sweep = true;
	if (try_setup(&state))
		_exit(1);
	start_holding(how, &t);
	memcpy(said.dir, try_dir, sizeof(said.dir));
	sscanf(text_str(&t.out), "holds %u", &said.minor);
	if (write(STDOUT_FILENO, &said, sizeof(said)) < 0)
		_exit(1);
	uv_run(&try_loop, UV_RUN_DEFAULT);
	return state;
}

/* The caller of a box that is shown a file system of the caller's. Its exit status: 0, it is well.
 */
static int show(void)
{
	void *state = NULL;
	struct try t;
	int device, opened;
	if (try_own_mounts())
		return 77;
	try_no_sweep = true;
	if (try_setup(&state))
		return 1;
	auto_free char *at = own_fmt("%s/host", try_dir), *file = own_fmt("%s/f", at);
	if (mkdir(at, 0755) || !begin(at, &device, &opened) || close(device))
		return 2;
	init_with("shown", &t);
	struct box_mount *m = try_lower(&t, try_mount(&t, "/host", BOX_RW), "host");
	m->ours = false;
	auto_free char *script = own_fmt("test -e /host/f && %s", t.argv[2]);
	free(t.argv[2]);
	t.argv[2] = give(script);
	start_and_hold(&t);
	assert_true(rescue_fd >= 0);
	box_cancel(t.box, false);
	end_in_time(&t);
	try_fini(&t);
	int again = open(file, O_RDONLY | O_CLOEXEC);
	close(again);
	close(opened);
	return umount2(at, MNT_DETACH) || try_teardown(&state) ? 3 : again < 0 ? 4 : 0;
}

static void what_the_box_is_shown_is_not_ended(void **state)
{
	char own[] = "/proc/self/exe", verb[] = "caller", how[] = "show";
	char *argv[] = {own, verb, how, NULL};
	int status = -1;
	pid_t pid;
	(void)state;
	assert_int_equal(posix_spawn(&pid, own, NULL, NULL, argv, environ), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* false: it took too long, and an end was put to it. */
static bool none_left(int64_t began)
{
	bool in_time = true;
	for (;;) {
		pid_t pid = waitpid(-1, NULL, WNOHANG | __WALL);
		if (pid < 0 && errno == ECHILD)
			return in_time;
		if (in_time && clock_mono_ns() - began > LONGEST_MS * INT64_C(1000000)) {
			in_time = false;
			rescue(NULL);
		}
		if (!pid)
			usleep(2000);
	}
}

/* Whatever outlives the caller becomes this program's child (prctl(2)). */
static void a_box_that_waits_for_itself_goes_with_a_killed_caller(void **state)
{
	char own[] = "/proc/self/exe", how[] = "shown", verb[] = "caller";
	char *argv[] = {own, verb, how, NULL};
	posix_spawn_file_actions_t files;
	struct err e = ERR_INIT;
	struct said said;
	int out[2];
	pid_t pid;
	(void)state;
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_adddup2(&files, out[1], STDOUT_FILENO);
	assert_int_equal(posix_spawn(&pid, own, &files, NULL, argv, environ), 0);
	posix_spawn_file_actions_destroy(&files);
	close(out[1]);
	assert_int_equal(read(out[0], &said, sizeof(said)), sizeof(said));
	rescue_open(said.minor);
	assert_true(rescue_fd >= 0);
	int64_t began = clock_mono_ns();
	kill(pid, SIGKILL);
	bool in_time = none_left(began);
	print_message("gone after %.1f ms\n", (double)(clock_mono_ns() - began) / 1e6);
	own_close(&rescue_fd);
	close(out[0]);
	assert_int_equal(try_remove(said.dir, &e), 0);
	assert_true(in_time);
	assert_int_equal(try_swept(TRY_NAME), 0);
}

/* A file system of this user's own, elsewhere on this machine. */
struct neighbour {
	pid_t pid;
	int ask, told; /* "?" and "y" */
};

static void neighbour_live(int ask, int tell, const char *at)
{
	auto_free char *file = own_fmt("%s/f", at);
	int device, opened;
	char word = 'n';
	if (try_own_mounts() || !begin(at, &device, &opened) || close(device) ||
	    write(tell, "y", 1) != 1)
		_exit(write(tell, &word, 1) != 1);
	while (read(ask, &word, 1) == 1) {
		auto_fd int again = open(file, O_RDONLY | O_CLOEXEC);
		word = again < 0 ? 'n' : 'y';
		if (write(tell, &word, 1) != 1)
			break;
	}
	_exit(umount2(at, MNT_DETACH) != 0);
}

static bool neighbour_is_well(const struct neighbour *n)
{
	char word = '?';
	return write(n->ask, &word, 1) == 1 && read(n->told, &word, 1) == 1 && word == 'y';
}

static bool neighbour_begin(struct neighbour *n)
{
	int ask[2], told[2];
	char word;
	auto_free char *at = own_fmt("%s/neighbour", try_dir);
	assert_int_equal(mkdir(at, 0755), 0);
	assert_int_equal(pipe2(ask, O_CLOEXEC), 0);
	assert_int_equal(pipe2(told, O_CLOEXEC), 0);
	n->pid = fork();
	if (!n->pid) {
		close(ask[1]);
		neighbour_live(ask[0], told[1], at);
	}
	close(ask[0]);
	close(told[1]);
	n->ask = ask[1];
	n->told = told[0];
	return read(n->told, &word, 1) == 1 && word == 'y';
}

static void neighbour_end(struct neighbour *n)
{
	close(n->ask);
	close(n->told);
	waitpid(n->pid, NULL, 0);
}

static void nobody_else_s_file_system_is_ended(void **state)
{
	struct neighbour n;
	struct try t;
	(void)state;
	bool there = neighbour_begin(&n);
	start_holding("shown", &t);
	box_cancel(t.box, false);
	end_in_time(&t);
	bool well = there && neighbour_is_well(&n);
	neighbour_end(&n);
	try_fini(&t);
	assert_true(there);
	assert_true(well);
}

/* On the host, and where /etc/subuid has none for root, which others of root's may use, too. */
static bool ids_are_alone(void)
{
	struct stat st;
	char line[256];
	bool roots = false;
	auto_file FILE *f = fopen("/etc/subuid", "re");
	while (f && fgets(line, sizeof(line), f))
		roots |= !strncmp(line, "root:", 5) || !strncmp(line, "0:", 2);
	return !roots && !stat("/proc/self/ns/pid", &st) && st.st_ino == 0xeffffffcu;
}

/* Root's boxes have ids of their own: it need not be seen in time. */
static void root_s_ends_though_its_file_system_is_mounted_nowhere_any_more(void **state)
{
	(void)state;
	if (geteuid() || !ids_are_alone())
		skip();
	hold_and_cancel("hidden");
}

/* --- where that can be tried ------------------------------------------------------------------ */

static bool connections_can_be_aborted(void)
{
	struct statfs fs;
	return !geteuid() || (!statfs("/sys/fs/fuse/connections", &fs) && fs.f_type == 0x65735543);
}

static int set_up(void **state)
{
	struct err e = ERR_INIT;
	auto_fd int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	if (fd < 0 || dir_read_fd(fd, 64 << 20, &self, &e))
		return -1;
	return state ? try_setup(state) : 0;
}

static int tear_down(void **state)
{
	text_fini(&self);
	return try_teardown(state);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest killed[] = {
		cmocka_unit_test(a_box_that_waits_for_itself_goes_with_a_killed_caller),
		cmocka_unit_test(what_the_box_is_shown_is_not_ended),
	};
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_box_that_waits_for_itself_ends_when_it_is_cancelled),
		cmocka_unit_test(a_box_that_waits_for_itself_ends_by_its_limit),
		cmocka_unit_test(
			a_box_whose_command_left_who_waits_for_itself_is_over_with_the_command),
		cmocka_unit_test(a_box_whose_processes_have_mounts_of_their_own_ends_too),
		cmocka_unit_test(nobody_else_s_file_system_is_ended),
		cmocka_unit_test(root_s_ends_though_its_file_system_is_mounted_nowhere_any_more),
	};
	struct err e = ERR_INIT;
	if (argc == 3)
		return set_up(NULL) ? 1 : !strcmp(argv[2], "show") ? show() : !call(argv[2]);
	if (argc == 2)
		return in_the_box(argv[1]);
	if (box_loosen_check(BOX_LOOSEN_FUSE, &e) || !connections_can_be_aborted()) {
		print_message("[  SKIPPED ] %s\n",
			      e.kind ? e.text : "/sys/fs/fuse/connections is not mounted");
		return 77;
	}
	int failed = cmocka_run_group_tests_name("sandbox: fuse, killed", killed, NULL, NULL);
	return failed + cmocka_run_group_tests_name("sandbox: fuse", tests, set_up, tear_down);
}
