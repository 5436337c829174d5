/* Boxes of an engine whose daemon has stopped answering: they can be ended, and what is known of
 * the container stays known until somebody can take it away. The engine is a shell script in
 * docker's place. */
#include "test_sandbox.h"

#include <sys/socket.h>
#include <sys/un.h>

static int daemon_fd = -1;

/* Hangs in what the file `hang` names, and notes each call. */
static const char docker[] = "#!/bin/sh\n"
			     "dir=${0%/*}\n"
			     "echo $1 >>$dir/calls\n"
			     "echo $$ >$dir/$1.pid\n"
			     "[ \"$(cat $dir/hang 2>/dev/null)\" != $1 ] || exec sleep 9700\n"
			     "[ $1 != rm ]\n";

/* Somebody who takes connections, and no more, in this program's mount namespace. */
static int daemon_listen(void)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	auto_free char *path = own_fmt("%s/socket", try_dir), *host = own_fmt("unix://%s", path);
	if (strlen(path) >= sizeof(at.sun_path))
		return -1;
	memcpy(at.sun_path, path, strlen(path));
	daemon_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	return daemon_fd < 0 || bind(daemon_fd, (const struct sockaddr *)&at, sizeof(at)) ||
	       listen(daemon_fd, 16) || setenv("DOCKER_HOST", host, 1);
}

/* What keepers put where a daemon would see it is seen by this program alone; unless its own files
 * are there, too. */
static int own_run(void)
{
	const char *tmp = getenv("TMPDIR");
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return -1;
	return tmp && !strncmp(tmp, "/run", 4) ? 0 : mount("none", "/run", "tmpfs", 0, "mode=755");
}

static int setup(void **state)
{
	struct err e = ERR_INIT;
	(void)state;
	if (geteuid() || getenv("ASSAY_EXECUTOR") || own_run()) {
		print_message("[  SKIPPED ] root's docker alone has a daemon\n");
		exit(77);
	}
	if (try_dir_make())
		return -1;
	try_write("bin/docker", docker);
	auto_free char *path = own_fmt("%s/bin:%s", try_dir, getenv("PATH"));
	if (fchmodat(try_dir_fd, "bin/docker", 0755, 0) || daemon_listen() ||
	    setenv("PATH", path, 1))
		return -1;
	struct sandbox_conf conf = {.helper = getenv("ASSAY_BOX") ? getenv("ASSAY_BOX") : ASSAY_BOX,
				    .executor = "docker",
				    .slots = 1,
				    .name = TRY_NAME,
				    .no_probe = true};
	uv_loop_init(&try_loop);
	try_sandbox = sandbox_open(&try_loop, &conf, &e);
	if (try_sandbox)
		return 0;
	print_error("%s\n", e.text);
	return -1;
}

static int teardown(void **state)
{
	own_close(&daemon_fd);
	return try_teardown(state);
}

static char *content(const char *rel)
{
	struct text t = TEXT_INIT;
	struct err ignored = ERR_INIT;
	auto_fd int fd = openat(try_dir_fd, rel, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || dir_read_fd(fd, 4096, &t, &ignored))
		text_add(&t, "");
	return text_take(&t);
}

static pid_t called(const char *rel)
{
	auto_free char *number = content(rel);
	return number ? (pid_t)strtol(number, NULL, 10) : 0;
}

/* Started, and its engine hangs in `in`. */
static pid_t start_hanging(struct try *t, const char *in)
{
	auto_free char *file = own_fmt("bin/%s.pid", in);
	pid_t pid = 0;
	unlinkat(try_dir_fd, file, 0);
	unlinkat(try_dir_fd, "bin/calls", 0);
	unlinkat(try_dir_fd, "bin/hang", 0);
	try_write("bin/hang", in);
	try_init(t, "echo not reached");
	try_start(t);
	for (int64_t until = clock_mono_ns() + TRY_MINUTES_NS;
	     !pid && clock_mono_ns() < until && !t->ends;) {
		uv_run(&try_loop, UV_RUN_NOWAIT);
		usleep(1000);
		pid = called(file);
	}
	assert_int_equal(t->ends, 0);
	assert_true(pid > 0);
	return pid;
}

/* How many keepers' directories there are. */
static unsigned notes(void)
{
	struct dir_usage u = {.inodes = 0};
	struct err e = ERR_INIT;
	auto_fd int run = open("/run", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (faccessat(run, "assay", F_OK, 0))
		return 0;
	assert_int_equal(dir_usage(run, "assay", 0, &u, &e), 0);
	return (unsigned)u.inodes;
}

static void end(struct try *t, pid_t hanging)
{
	box_cancel(t->box, false);
	try_wait(t);
	assert_int_equal(t->facts.end, BOX_CANCELLED);
	assert_string_equal(text_str(&t->out), "");
	assert_true(kill(hanging, 0) && errno == ESRCH);
	try_fini(t);
}

static void a_box_whose_start_hangs_can_be_ended(void **state)
{
	struct try t;
	(void)state;
	end(&t, start_hanging(&t, "start"));
	auto_free char *calls = content("bin/calls");
	assert_string_equal(calls, "image\ncreate\nstart\nrm\n");
	assert_int_equal(notes(), 0);
}

/* The daemon may still come to it: a note of it stays for who starts next. */
static void a_box_whose_container_is_never_made_can_be_ended(void **state)
{
	struct try t;
	(void)state;
	end(&t, start_hanging(&t, "create"));
	auto_free char *calls = content("bin/calls");
	assert_string_equal(calls, "create\nrm\n");
	assert_int_equal(notes(), 1);
}

static void who_starts_next_takes_away_what_is_noted(void **state)
{
	struct err e = ERR_INIT;
	struct sandbox *before = try_sandbox;
	struct sandbox_conf conf = {.helper = getenv("ASSAY_BOX") ? getenv("ASSAY_BOX") : ASSAY_BOX,
				    .executor = "docker",
				    .slots = 1,
				    .name = TRY_NAME,
				    .no_probe = true};
	bool closed = false;
	struct try t;
	(void)state;
	assert_int_equal(notes(), 1);
	unlinkat(try_dir_fd, "bin/calls", 0);
	try_sandbox = sandbox_open(&try_loop, &conf, &e);
	assert_non_null(try_sandbox);
	auto_free char *first = content("bin/calls");
	assert_non_null(strstr(first, "rm\n"));
	assert_int_equal(notes(), 0);
	end(&t, start_hanging(&t, "start"));
	auto_free char *calls = content("bin/calls");
	assert_string_equal(calls, "image\ncreate\nstart\nrm\n");
	assert_int_equal(notes(), 0);
	sandbox_close(try_sandbox, try_closed, &closed);
	while (!closed)
		uv_run(&try_loop, UV_RUN_ONCE);
	try_sandbox = before;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_box_whose_start_hangs_can_be_ended),
		cmocka_unit_test(a_box_whose_container_is_never_made_can_be_ended),
		cmocka_unit_test(who_starts_next_takes_away_what_is_noted),
	};
	return cmocka_run_group_tests_name("sandbox: hung", tests, setup, teardown);
}
