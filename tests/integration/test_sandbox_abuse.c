/* Jobs that take whatever they can get. Each ends in time, with the exact fact; a box beside it
 * does not notice, this process does not grow, and nothing is left: no process, mount, cgroup, SysV
 * segment, descriptor or file. What abuses is this program itself, seen in the box as /abuse. */
#include "test_sandbox.h"

#include "test_processes.h"
#include "abuse.h"

#include <dirent.h>
#include <sys/socket.h>
#include <sys/un.h>

/* A sanitizer's processes take their time to go, and User Mode Linux's. */
#ifdef __has_feature
#define SANITIZED (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif
#define CROWDED 1.5
#define CROWD_MS (SANITIZED || try_slow_kernel() ? 5000 : 100)
/* Three times the page tables of the fifty that may be there; what sanitizers have of their own is
 * more than that. */
#define BIG_FORKS ((SANITIZED ? 256 : 80) * MIB)
#define FILES "10000"         /* ASSAY_TEST_FILES: another number */
#define GROWN_KIB (24u << 10) /* more than this is growth: a sanitizer keeps what was freed */

/* Of this process and of the machine. */
struct before {
	long rss_kib;
	unsigned fds, mounts;
};

/* Of this program's directory: others mount and unmount here, too. */
static unsigned mounts_of_ours(void)
{
	char line[8192];
	unsigned n = 0;
	auto_file FILE *f = fopen("/proc/self/mountinfo", "re");
	while (f && fgets(line, sizeof(line), f))
		n += strstr(line, strrchr(try_dir, '/')) != NULL;
	return n;
}

static long rss_kib(void)
{
	auto_file FILE *f = fopen("/proc/self/statm", "re");
	long size = 0, resident = 0;
	assert_int_equal(fscanf(f, "%ld %ld", &size, &resident), 2);
	return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

static struct before now(void)
{
	struct before b = {.rss_kib = rss_kib(), .mounts = mounts_of_ours()};
	DIR *d = opendir("/proc/self/fd");
	while (readdir(d))
		b.fds++;
	closedir(d);
	return b;
}

static bool groups_count; /* memory and processes, and not looks */

static bool counted(const struct try *t)
{
	return strcmp(t->facts.cgroup, "none") != 0;
}

static void abuse_init(struct try *t, const char *name, struct box_limits limits)
{
	try_init(t, "");
	free(t->argv[2]);
	static char program[] = "/abuse", word[] = "inside";
	t->argv[0] = program;
	t->argv[1] = word;
	t->argv[2] = own_dup(name);
	if (!limits.wall_ms)
		limits.wall_ms = TRY_WALL_MS;
	t->spec.limits = limits;
	struct box_mount *m = try_mount(t, "/abuse", BOX_RO);
	m->ours = false;
	/* by its path: where it was executed from may be another mount namespace's */
	char path[4096] = "";
	assert_true(readlink("/proc/self/exe", path, sizeof(path) - 1) > 0);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	t->lowers[m - t->mounts][m->n_lowers++] = fd;
}

static void data(struct try *t)
{
	static unsigned number;
	auto_free char *rel = own_fmt("abuse/%u", number++);
	try_upper(try_mount(t, "/data", BOX_COW), rel);
}

/* With a box beside it that goes on from before it until after it: each of its lines is there. */
static void abuse_run(struct try *t)
{
	static unsigned number;
	auto_free char *dir = own_fmt("beside/%u", number++), *end = own_fmt("%s/end", dir);
	struct try beside;
	try_init(&beside, "i=0; while [ ! -e /beside/end ]; do echo $i; sleep 0.05; i=$((i+1)); "
			  "done; head -c 100000 /dev/zero >/data/f && echo well");
	beside.spec.name = "beside";
	beside.spec.limits = (struct box_limits){.wall_ms = 600000,
						 .memory = 256 * MIB,
						 .processes = 50,
						 .disk = 64 * MIB};
	data(&beside);
	try_lower(&beside, try_mount(&beside, "/beside", BOX_RW), dir);
	try_start(&beside);
	while (!beside.out.n && !beside.ends)
		uv_run(&try_loop, UV_RUN_ONCE);
	try_start(t);
	try_wait(t);
	try_write(end, "");
	try_wait(&beside);
	auto_text struct text expected = TEXT_INIT;
	for (unsigned i = 0; expected.n + 5 < beside.out.n; i++)
		text_addf(&expected, "%u\n", i);
	text_addf(&expected, "well\n");
	try_expect(&beside, 0, text_str(&expected));
	try_fini(&beside);
}

static void abuse(const char *name, struct box_limits limits, bool disk, struct try *t)
{
	abuse_init(t, name, limits);
	if (disk)
		data(t);
	t->keep_output = false;
	abuse_run(t);
}

static void expect_limit(struct try *t, enum box_limit which)
{
	if (t->facts.end != BOX_LIMITED || t->facts.limit != which)
		try_tell(t);
	assert_int_equal(t->facts.end, BOX_LIMITED);
	assert_string_equal(box_limit_name(t->facts.limit), box_limit_name(which));
	assert_true(t->facts.limit_value >= t->facts.limit_bound);
	try_fini(t);
}

static void expect_exit(struct try *t, int code)
{
	try_expect(t, code, NULL);
	try_fini(t);
}

static void processes_of_all_kinds(void **state)
{
	struct box_limits few = {.processes = 150, .memory = groups_count ? 512 * MIB : 0};
	struct try t;
	(void)state;
	abuse("forks", few, false, &t);
	expect_limit(&t, BOX_LIMIT_PROCESSES);
	abuse("threads", few, false, &t);
	expect_limit(&t, BOX_LIMIT_PROCESSES);
	abuse("orphans", (struct box_limits){.wall_ms = 700, .processes = 4000}, false, &t);
	expect_limit(&t, BOX_LIMIT_WALL);
}

/* Between two looks, where looks count them; and who had as many one after the other had not. */
static void a_fork_bomb_that_dies_out_is_named(void **state)
{
	static const struct box_limits few = {.processes = 300};
	struct try t;
	(void)state;
	/* Who counts needs the processor meanwhile: missed is only forgiven where others have it.
	 */
	for (int left = groups_count ? 0 : 4;; left--) {
		double before = try_crowding();
		abuse("dying-forks", few, false, &t);
		double after = try_crowding(), most = before > after ? before : after;
		print_message("%llu at once, each takes %.1f times as long here\n",
			      (unsigned long long)t.facts.limit_value, most);
		if (!left || t.facts.limit == BOX_LIMIT_PROCESSES || most < CROWDED)
			break;
		try_fini(&t);
	}
	expect_limit(&t, BOX_LIMIT_PROCESSES);
	abuse("short-forks", few, false, &t);
	expect_exit(&t, 0);
}

/* What refused forks had copied is memory of the group's until the kernel frees it: where nobody
 * has had time to look, forks were refused and memory ran out. Told is what was first. Where looks
 * count, each process's pages are its own, also those that it shares with who forked it: fewer of
 * them than the limit may have passed that on memory, so there is none. */
static void refused_forks_that_fill_memory_are_processes(void **state)
{
	struct try t;
	(void)state;
	abuse_init(&t, "big-forks",
		   (struct box_limits){.processes = 50, .memory = groups_count ? BIG_FORKS : 0});
	try_start(&t);
	while (!t.bytes && !t.ends)
		uv_run(&try_loop, UV_RUN_ONCE);
	usleep(500000); /* the loop has other things to do */
	try_wait(&t);
	print_message("%llu refused, %llu killed for memory, %llu of %llu KiB\n",
		      (unsigned long long)t.facts.processes_refused,
		      (unsigned long long)t.facts.oom_kills,
		      (unsigned long long)t.facts.peak_memory >> 10,
		      (unsigned long long)t.spec.limits.memory >> 10);
	expect_limit(&t, BOX_LIMIT_PROCESSES);
}

static void memory_of_all_kinds(void **state)
{
	static const char *const kinds[] = {"memory", "shared", "tmpfs", "memfd", "sysv"};
	struct try t;
	(void)state;
	for (size_t i = 0; i < countof(kinds); i++) {
		abuse(kinds[i], (struct box_limits){.memory = 96 * MIB, .open_files = 4096}, false,
		      &t);
		print_message("%s: %.0f of 96 MiB\n", kinds[i], (double)t.facts.limit_value / MIB);
		expect_limit(&t, BOX_LIMIT_MEMORY);
	}
	/* only a cgroup counts what is in pipes */
	abuse("pipes",
	      (struct box_limits){.memory = groups_count ? 96 * MIB : 0,
				  .open_files = 4096,
				  .wall_ms = groups_count ? TRY_WALL_MS : 1000,
				  .processes = groups_count ? 64 : 0},
	      false, &t);
	expect_limit(&t, groups_count ? BOX_LIMIT_MEMORY : BOX_LIMIT_WALL);
	/* what the kernel may take back any time is nobody's fault */
	abuse("page-cache", (struct box_limits){.memory = 64 * MIB}, true, &t);
	assert_int_equal(t.facts.oom_kills, 0);
	expect_exit(&t, 0);
}

static void disk_of_all_kinds(void **state)
{
	struct try t;
	(void)state;
	abuse("disk", (struct box_limits){.disk = 64 * MIB}, true, &t);
	print_message("disk: %.0f MiB passed the limit\n",
		      (double)(t.facts.disk_bytes - t.facts.limit_bound) / MIB);
	expect_limit(&t, BOX_LIMIT_DISK);
	abuse("disk-hidden", (struct box_limits){.disk = 24 * MIB}, true, &t);
	expect_limit(&t, BOX_LIMIT_DISK);
	abuse("inodes", (struct box_limits){.disk_inodes = 5000}, true, &t);
	print_message("inodes: %llu passed the limit\n",
		      (unsigned long long)(t.facts.limit_value - t.facts.limit_bound));
	expect_limit(&t, BOX_LIMIT_INODES);
}

static void floods(void **state)
{
	static const char *const kinds[] = {"lines", "one-line"};
	struct try t;
	(void)state;
	for (size_t i = 0; i < countof(kinds); i++) {
		long before = rss_kib();
		int64_t began = clock_mono_ns();
		abuse(kinds[i], (struct box_limits){.output_bytes = 512 * MIB}, false, &t);
		double seconds = (double)(t.ended_ns - began) / 1e9;
		print_message("%s: %.0f MiB/s\n", kinds[i], 512 / seconds);
		assert_int_equal(t.bytes, 512 * MIB);
		assert_true(rss_kib() - before < GROWN_KIB);
		expect_limit(&t, BOX_LIMIT_OUTPUT);
	}
}

static void whoever_stays_behind_is_gone(void **state)
{
	struct try t;
	(void)state;
	abuse("closed", (struct box_limits){0}, false, &t);
	expect_exit(&t, 7);
	abuse("daemons", (struct box_limits){0}, false, &t);
	expect_exit(&t, 3);
	abuse("stopped", (struct box_limits){0}, false, &t);
	expect_exit(&t, 6);
	abuse("killer", (struct box_limits){0}, false, &t);
	assert_int_equal(t.facts.end, BOX_SIGNALLED);
	assert_int_equal(t.facts.signal, SIGKILL);
	try_fini(&t);
}

/* One descriptor, or -1. */
static int take_fd(int peer)
{
	char byte;
	struct iovec v = {&byte, 1};
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	struct msghdr m = {.msg_iov = &v,
			   .msg_iovlen = 1,
			   .msg_control = control.bytes,
			   .msg_controllen = sizeof(control.bytes)};
	int fd = -1;
	if (recvmsg(peer, &m, MSG_CMSG_CLOEXEC) == 1 && CMSG_FIRSTHDR(&m))
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(int));
	return fd;
}

/* Somebody who is not in the box holds the other end of its output, and even writes to it: the end
 * comes all the same, and nothing of his is the box's. */
static void a_pipe_held_elsewhere_delays_nothing(void **state)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	struct try t;
	(void)state;
	auto_fd int host = try_open("giver/host"),
		    s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	snprintf(a.sun_path, sizeof(a.sun_path), "/proc/self/fd/%d/s", host);
	assert_int_equal(bind(s, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(fchmodat(host, "s", 0777, 0), 0);
	assert_int_equal(listen(s, 1), 0);
	abuse_init(&t, "giver", (struct box_limits){0});
	try_lower(&t, try_mount(&t, "/host", BOX_RW), "giver/host");
	try_start(&t);
	auto_fd int peer = -1;
	int held = -1;
	while (!t.ends) {
		uv_run(&try_loop, UV_RUN_NOWAIT);
		if (peer < 0)
			peer = accept4(s, NULL, NULL, SOCK_CLOEXEC);
		if (peer < 0 || held >= 0)
			continue;
		held = take_fd(peer);
		assert_true(held < 0 || write(peer, "x", 1) == 1);
	}
	if (t.facts.exit_code == 77)
		print_message("no socket of the host can be reached from a box here\n");
	else
		try_expect(&t, 5, "");
	signal(SIGPIPE, SIG_IGN);
	if (held >= 0) {
		assert_int_equal(write(held, "late", 4), -1); /* nobody reads it any more */
		close(held);
	}
	try_fini(&t);
}

/* Whatever was read is there again. */
static int flood_fd;
static unsigned flooded, flooded_most; /* how often, since the loop was here; at most */

static void on_flood(const void *bytes, size_t n)
{
	flooded_most = ++flooded > flooded_most ? flooded : flooded_most;
	if (flood_fd >= 0 && flooded < 10000 && write(flood_fd, bytes, n) < 0)
		assert_int_equal(errno, EAGAIN);
}

/* Neither the loop nor the end of the box waits for who writes on. */
static void a_flood_from_elsewhere_does_not_hold_the_loop(void **state)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	struct try t;
	(void)state;
	auto_fd int host = try_open("flood/host"),
		    s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	snprintf(a.sun_path, sizeof(a.sun_path), "/proc/self/fd/%d/s", host);
	assert_int_equal(bind(s, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(fchmodat(host, "s", 0777, 0), 0);
	assert_int_equal(listen(s, 1), 0);
	abuse_init(&t, "giver", (struct box_limits){0});
	try_lower(&t, try_mount(&t, "/host", BOX_RW), "flood/host");
	t.keep_output = false;
	flood_fd = -1;
	t.on_output = on_flood;
	try_start(&t);
	auto_fd int peer = -1;
	static char block[128 << 10];
	for (flooded_most = 0; !t.ends; flooded = 0) {
		uv_run(&try_loop, UV_RUN_NOWAIT);
		if (peer < 0)
			peer = accept4(s, NULL, NULL, SOCK_CLOEXEC);
		if (peer < 0 || flood_fd >= 0 || (flood_fd = take_fd(peer)) < 0)
			continue;
		assert_int_equal(fcntl(flood_fd, F_SETFL, O_NONBLOCK), 0);
		assert_true(write(flood_fd, block, sizeof(block)) > 0);
		assert_int_equal(write(peer, "x", 1), 1);
	}
	if (t.facts.exit_code == 77)
		print_message("no socket of the host can be reached from a box here\n");
	else
		try_expect(&t, 5, NULL);
	if (flooded_most >= 200)
		print_message("%u reads\n", flooded_most);
	assert_true(flooded_most < 200);
	own_close(&flood_fd);
	try_fini(&t);
}

static void what_is_hard_to_remove_is_removed(void **state)
{
	static const char *const kinds[] = {"trees", "files"};
	struct err e = ERR_INIT;
	struct try t;
	(void)state;
	for (size_t i = 0; i < countof(kinds); i++) {
		auto_free char *rel = own_fmt("remove/%s", kinds[i]);
		char number[] = "100000";
		const char *wish = getenv("ASSAY_TEST_FILES");
		snprintf(number, sizeof(number), "%.6s", wish ? wish : FILES);
		abuse_init(&t, kinds[i],
			   (struct box_limits){.disk = 1u << 30,
					       .disk_inodes = 200000,
					       .wall_ms = 600000});
		t.argv[3] = number;
		try_upper(try_mount(&t, "/data", BOX_COW), rel);
		abuse_run(&t);
		expect_exit(&t, 0);
		int64_t began = clock_mono_ns();
		if (sandbox_remove(try_sandbox, try_dir_fd, rel, &e))
			fail_msg("%s", e.text);
		assert_false(try_exists(rel));
		print_message("%s: removed in %.0f ms\n", kinds[i],
			      (double)(clock_mono_ns() - began) / 1e6);
	}
}

static void freeze(void)
{
	auto_free char *command = own_fmt(
		"for d in $(find /sys/fs/cgroup -type d -path '*assay-test.%d*/box-crowd*'); do "
		"if [ -e $d/cgroup.freeze ]; then echo 1 >$d/cgroup.freeze; elif [ -e "
		"$d/freezer.state ]; then echo FROZEN >$d/freezer.state; fi; done",
		(int)getpid());
	pid_t pid = fork();
	if (!pid) {
		execl("/bin/sh", "sh", "-c", command, NULL);
		_exit(1);
	}
	waitpid(pid, NULL, 0);
}

/* Of the time that is allowed, the part that went by from the moment a limit fired to on_end. The
 * best of some. */
static double crowd_ends(uint64_t grace_ms, bool frozen)
{
	double best = 1e9;
	for (int i = 0; i < 5 && best >= 1; i++) {
		struct try t;
		double before = try_crowding();
		abuse_init(&t, "crowd",
			   (struct box_limits){.silence_ms = 6000, .grace_ms = grace_ms});
		t.spec.name = "crowd";
		try_start(&t);
		while (t.bytes < 500 && !t.ends)
			uv_run(&try_loop, UV_RUN_ONCE);
		int64_t said = clock_mono_ns();
		if (frozen)
			freeze();
		try_wait(&t);
		double after = try_crowding(),
		       allowed = CROWD_MS * (before > after ? before : after);
		assert_int_equal(t.facts.limit, BOX_LIMIT_SILENCE);
		assert_int_equal(t.facts.signal, SIGKILL);
		double ms = (double)(t.ended_ns - said) / 1e6 - (double)t.facts.limit_value -
			    (double)grace_ms;
		best = ms / allowed < best ? ms / allowed : best;
		unsigned lines = 0;
		for (const char *p = t.processes; *p; p++)
			lines += *p == '\n';
		print_message("grace %llu%s: gone after %.1f ms of %.0f (%u listed)\n",
			      (unsigned long long)grace_ms, frozen ? ", frozen" : "", ms, allowed,
			      lines);
		assert_int_equal(t.bytes, 500);
		try_fini(&t);
	}
	return best;
}

static void five_hundred_are_gone_within_a_tenth_of_a_second(void **state)
{
	(void)state;
	assert_true(crowd_ends(0, false) < 1);
	assert_true(crowd_ends(200, false) < 1);
}

static void the_frozen_too(void **state)
{
	struct try t;
	(void)state;
	try_init(&t, "true");
	try_run(&t);
	bool none = !counted(&t);
	try_fini(&t);
	if (none)
		skip();
	assert_true(crowd_ends(0, true) < 1);
}

static struct before at_first;

/* What a command finds, now or in a while: an engine's keepers take their time. "" for nothing. */
static void nothing_in(const char *what, const char *command)
{
	for (int again = 0; again < 1200; again++) {
		auto_text struct text found = TEXT_INIT;
		shell_says(command, &found);
		if (!found.n)
			return;
		if (again == 1199)
			fail_msg("%s: %s", what, text_str(&found));
		usleep(50000);
	}
}

/* Below us, at any depth, are the helpers, what they have ready for the next box, and nobody whose
 * program is a box's. */
static void no_descendants(pid_t of)
{
	struct process p;
	DIR *proc = opendir("/proc");
	while (process_next(proc, &p))
		if (p.parent == of) {
			if (strncmp(p.name, "assay-", 6) != 0)
				fail_msg("left: %d %s: %s", p.pid, p.name, p.line);
			no_descendants(p.pid);
		}
	closedir(proc);
}

static void nothing_is_left(void **state)
{
	struct before b;
	(void)state;
	uv_run(&try_loop, UV_RUN_NOWAIT);
	b = now();
	assert_int_equal(b.fds, at_first.fds);
	assert_int_equal(b.mounts, at_first.mounts);
	print_message("grown by %ld KiB\n", b.rss_kib - at_first.rss_kib);
	assert_true(b.rss_kib - at_first.rss_kib < (long)GROWN_KIB);
	no_descendants(getpid());
	auto_free char *groups = own_fmt("find $(awk '$3 ~ /^cgroup/ { print $2 }' /proc/mounts) "
					 "-path '*/" TRY_NAME ".%d*/box-*' 2>/dev/null",
					 (int)getpid());
	nothing_in("control groups", groups);
	/* what sandboxes put beside uppers is named so (remove.c, probe.c), and tests name theirs
	 * otherwise */
	auto_free char *entries =
		own_fmt("cd %s && ls -A | grep -E '^[.]|^probe[.]|^assay'; ls -A remove", try_dir);
	nothing_in("files", entries);
	auto_free char *loops =
		own_fmt("cat /sys/block/loop*/loop/backing_file 2>/dev/null | grep -F %s",
			strrchr(try_dir, '/'));
	nothing_in("loop devices", loops);
	/* a segment of the host's that a dead process made and a box's ids own */
	nothing_in("SysV segments", "awk 'NR > 1 && $8 >= 65536 && $7 == 0' /proc/sysvipc/shm | "
				    "while read -r s; do set -- $s; [ -d /proc/$5 ] || "
				    "echo \"$s\"; done");
}

/* Every helper is there before anything is counted. */
static int abuse_setup(void **state)
{
	struct try t[4];
	int rc = try_setup(state);
	for (size_t i = 0; !rc && i < countof(t); i++) {
		try_init(&t[i], "true");
		try_start(&t[i]);
	}
	for (size_t i = 0; !rc && i < countof(t); i++) {
		try_wait(&t[i]);
		groups_count = counted(&t[i]);
		try_fini(&t[i]);
	}
	at_first = now();
	return rc;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(processes_of_all_kinds),
		cmocka_unit_test(a_fork_bomb_that_dies_out_is_named),
		cmocka_unit_test(refused_forks_that_fill_memory_are_processes),
		cmocka_unit_test(memory_of_all_kinds),
		cmocka_unit_test(disk_of_all_kinds),
		cmocka_unit_test(floods),
		cmocka_unit_test(whoever_stays_behind_is_gone),
		cmocka_unit_test(a_pipe_held_elsewhere_delays_nothing),
		cmocka_unit_test(a_flood_from_elsewhere_does_not_hold_the_loop),
		cmocka_unit_test(what_is_hard_to_remove_is_removed),
		cmocka_unit_test(five_hundred_are_gone_within_a_tenth_of_a_second),
		cmocka_unit_test(the_frozen_too),
		cmocka_unit_test(nothing_is_left),
	};
	if (argc >= 3 && !strcmp(argv[1], "inside"))
		return inside(argv[2], argv[3]);
	return cmocka_run_group_tests_name("sandbox: abuse", tests, abuse_setup, try_teardown);
}
