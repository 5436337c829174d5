/* Each limit fires, alone, with its reason and its value. Where no cgroup counts (an ordinary
 * user), the watch does. */
#include "test_sandbox.h"

#include "test_processes.h"

#include <linux/magic.h>
#include <sys/vfs.h>

static void limited_start(struct try *t, const char *script, struct box_limits limits,
			  enum box_limit which)
{
	try_init(t, script);
	if (!limits.wall_ms)
		limits.wall_ms = 600000;
	t->spec.limits = limits;
	t->keep_output = which != BOX_LIMIT_OUTPUT;
	if (which == BOX_LIMIT_DISK || which == BOX_LIMIT_INODES) {
		static unsigned number;
		auto_free char *rel = own_fmt("limits/%u", number++);
		try_upper(try_mount(t, "/data", BOX_COW), rel);
	}
	try_start(t);
}

static void limited_wait(struct try *t, enum box_limit which)
{
	try_wait(t);
	if (t->facts.end != BOX_LIMITED || t->facts.limit != which)
		try_tell(t);
	assert_int_equal(t->facts.end, BOX_LIMITED);
	assert_string_equal(box_limit_name(t->facts.limit), box_limit_name(which));
	assert_true(t->facts.limit_value >= t->facts.limit_bound);
	try_fini(t);
}

static void limited(const char *script, struct box_limits limits, enum box_limit which,
		    struct try *t)
{
	limited_start(t, script, limits, which);
	limited_wait(t, which);
}

static void wall_time(void **state)
{
	struct try t;
	(void)state;
	limited("sleep 600", (struct box_limits){.wall_ms = 300}, BOX_LIMIT_WALL, &t);
	assert_true(t.facts.wall_ns >= 300000000);
	assert_int_equal(t.facts.limit_bound, 300);
	assert_int_equal(t.facts.signal, SIGKILL);
}

static void a_command_may_end_itself_in_its_grace(void **state)
{
	struct try ends, stays;
	(void)state;
	/* what is one word too much is said once the signal is seen to */
	limited_start(&ends, "trap 'exit 9' TERM; echo ready; while :; do :; done",
		      (struct box_limits){.output_bytes = 1, .grace_ms = 200000}, BOX_LIMIT_OUTPUT);
	limited_start(&stays, "trap '' TERM; echo ready; while :; do sleep 1; done",
		      (struct box_limits){.output_bytes = 1, .grace_ms = 300}, BOX_LIMIT_OUTPUT);
	limited_wait(&ends, BOX_LIMIT_OUTPUT);
	assert_int_equal(ends.facts.exit_code, 9);
	limited_wait(&stays, BOX_LIMIT_OUTPUT);
	assert_int_equal(stays.facts.signal, SIGKILL);
	assert_true(stays.facts.wall_ns >= 300000000);
}

static void cpu_time(void **state)
{
	struct try t;
	(void)state;
	limited("(while :; do :; done) & while :; do :; done", (struct box_limits){.cpu_ms = 600},
		BOX_LIMIT_CPU, &t);
	assert_true(t.facts.cpu_user_ns + t.facts.cpu_system_ns >= 500000000);
}

static void silence(void **state)
{
	struct try t;
	(void)state;
	limited("for i in 1 2 3; do sleep 0.2; echo $i; done; sleep 600",
		(struct box_limits){.silence_ms = 6000}, BOX_LIMIT_SILENCE, &t);
	assert_int_equal(t.bytes, 6);
	/* since the last word, and not since it began */
	assert_true(t.facts.wall_ns >= t.facts.limit_value * 1000000 + 500000000);
}

/* Who is to read it is away for longer than the limit. */
static void what_nobody_has_read_yet_is_no_silence(void **state)
{
	struct try t;
	(void)state;
	try_init(&t, "until [ -e /go/now ]; do echo word; sleep 0.1; done");
	try_lower(&t, try_mount(&t, "/go", BOX_RW), "go");
	t.spec.limits.silence_ms = 4000;
	try_start(&t);
	try_until(&t, "word");
	usleep(5000000);
	try_write("go/now", "");
	try_wait(&t);
	try_expect(&t, 0, NULL);
	try_fini(&t);
}

static void memory(void **state)
{
	struct try t;
	(void)state;
	/* who has it keeps it: nobody takes the other end of the pipe */
	limited("head -c 300000000 /dev/zero | tail -c 200000000 | sleep 600",
		(struct box_limits){.memory = 64 << 20}, BOX_LIMIT_MEMORY, &t);
	assert_true(t.facts.peak_memory >= 32 << 20);
	/* and if the one that was killed for it is somebody's child, and the command says all is
	 * well: counted, it was, or it waits until it is seen */
	limited("head -c 300000000 /dev/zero | (tail -c 200000000; echo gone) | (read gone); exit "
		"0",
		(struct box_limits){.memory = 64 << 20}, BOX_LIMIT_MEMORY, &t);
}

/* Of a tmpfs that is the host's, and of which a box is shown a directory, the box has filled
 * nothing. */
static void memory_of_the_host_s_is_not_the_box_s(void **state)
{
	char dir[] = "/dev/shm/assay-test.XXXXXX";
	struct statfs fs;
	struct try t;
	(void)state;
	if (!mkdtemp(dir))
		skip();
	auto_fd int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	auto_fd int fd = openat(dir_fd, "f", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	bool memory = !fstatfs(fd, &fs) && fs.f_type == TMPFS_MAGIC && !fchmod(dir_fd, 0755) &&
		      !posix_fallocate(fd, 0, 96 << 20);
	if (memory) {
		try_init(&t, "cat /shm/f | wc -c; sleep 1");
		struct box_mount *m = try_mount(&t, "/shm", BOX_RW);
		t.lowers[m - t.mounts][m->n_lowers++] = fcntl(dir_fd, F_DUPFD_CLOEXEC, 0);
		t.spec.limits.memory = 64 << 20;
		try_run(&t);
	}
	unlinkat(dir_fd, "f", 0);
	rmdir(dir);
	if (!memory)
		skip();
	try_expect(&t, 0, "100663296\n");
	try_fini(&t);
}

static void memory_is_no_address_space(void **state)
{
	struct try t;
	(void)state;
	/* reserved, not used */
	try_init(&t, "python3 -c 'import mmap; m = mmap.mmap(-1, 4 << 30, flags=mmap.MAP_PRIVATE | "
		     "mmap.MAP_ANONYMOUS | 0x4000); m[0] = 1; print(len(m))'");
	t.spec.limits.memory = 256 << 20;
	try_run(&t);
	if (t.facts.exit_code != 127)
		try_expect(&t, 0, "4294967296\n");
	try_fini(&t);
}

static void processes(void **state)
{
	struct try t;
	(void)state;
	limited("i=0; while [ $i -lt 60 ]; do sleep 600 & i=$((i+1)); done; wait",
		(struct box_limits){.processes = 20}, BOX_LIMIT_PROCESSES, &t);
	limited("f() { f | f & }; f; sleep 600", (struct box_limits){.processes = 50},
		BOX_LIMIT_PROCESSES, &t);
}

static void disk(void **state)
{
	struct try t;
	(void)state;
	limited("head -c 20000000 /dev/zero >/data/f; sleep 600",
		(struct box_limits){.disk = 4 << 20}, BOX_LIMIT_DISK, &t);
	/* nor is a file that has no name any more for nothing */
	limited("exec 5>/data/f; rm /data/f; head -c 20000000 /dev/zero >&5; sleep 600",
		(struct box_limits){.disk = 4 << 20}, BOX_LIMIT_DISK, &t);
	/* or lies where only its owner may look, and that with a trick */
	limited("mkdir /data/d; head -c 20000000 /dev/zero >/data/d/f; chmod 0 /data/d /data; "
		"sleep 600",
		(struct box_limits){.disk = 4 << 20}, BOX_LIMIT_DISK, &t);
	/* or deeper than a path is long */
	limited("cd /data; p=d; i=0; while [ $i -lt 99 ]; do p=$p/d; i=$((i+1)); done; i=0; while "
		"[ "
		"$i -lt 8 ]; do mkdir -p $p && cd -P ./$p; i=$((i+1)); done; head -c 20000000 "
		"/dev/zero >f; sleep 600",
		(struct box_limits){.disk = 6 << 20}, BOX_LIMIT_DISK, &t);
	limited("i=0; while :; do i=$((i+1)); : >/data/$i; [ $i = 2000 ] && sleep 600; done",
		(struct box_limits){.disk_inodes = 500}, BOX_LIMIT_INODES, &t);
}

/* Some uppers are on disk and walked, others in memory and not: what is open there and has no name
 * counts once. */
static void disk_and_memory_count_together(void **state)
{
	static const char unnamed[] = "exec 5>/lost/f; rm /lost/f; head -c 5M /dev/zero >&5; ";
	struct try t;
	(void)state;
	for (int more = 0; more < 2; more++) {
		auto_free char *script = own_fmt("%shead -c %dM /dev/zero >/data/f; sleep %s",
						 unnamed, more ? 5 : 1, more ? "200" : "2.5");
		auto_free char *rel = own_fmt("together/%d", more);
		try_init(&t, script);
		try_upper(try_mount(&t, "/data", BOX_COW), rel);
		try_mount(&t, "/lost", BOX_COW);
		t.spec.limits.disk = 8 << 20;
		try_start(&t);
		if (more) {
			limited_wait(&t, BOX_LIMIT_DISK);
			continue;
		}
		try_wait(&t);
		try_expect(&t, 0, "");
		assert_in_range(t.facts.disk_bytes, 1 << 20, 7 << 20);
		try_fini(&t);
	}
}

static void output(void **state)
{
	struct try t;
	(void)state;
	limited("cat /dev/zero", (struct box_limits){.output_bytes = 1000000}, BOX_LIMIT_OUTPUT,
		&t);
	assert_int_equal(t.bytes, 1000000);
	assert_true(t.facts.output_bytes > 1000000);
}

static void open_files_and_file_size_are_refused(void **state)
{
	struct try t;
	(void)state;
	try_init(&t, "ulimit -n; ulimit -Hn; trap '' XFSZ; head -c 100000 /dev/zero >/tmp/f; stat "
		     "-c %s /tmp/f");
	t.spec.limits.open_files = 99;
	t.spec.limits.file_size = 4096;
	try_run(&t);
	try_expect(&t, 0, "99\n99\nhead: error writing 'standard output': File too large\n4096\n");
	try_fini(&t);
}

static void a_command_that_ends_of_its_file_s_size_is_told_so(void **state)
{
	struct try t;
	(void)state;
	limited("exec head -c 100000 /dev/zero >/tmp/f", (struct box_limits){.file_size = 4096},
		BOX_LIMIT_FILE_SIZE, &t);
	assert_int_equal(t.facts.signal, SIGXFSZ);
	assert_int_equal(t.facts.limit_bound, 4096);
	/* a child's end is the shell's affair; and without such a limit the signal is just a signal
	 */
	try_init(&t, "head -c 100000 /dev/zero >/tmp/f; echo $?");
	t.spec.limits.file_size = 4096;
	try_run(&t);
	try_expect(&t, 0, NULL);
	assert_non_null(strstr(text_str(&t.out), "153\n"));
	try_fini(&t);
	try_init(&t, "kill -XFSZ $$");
	try_run(&t);
	assert_int_equal(t.facts.end, BOX_SIGNALLED);
	assert_int_equal(t.facts.signal, SIGXFSZ);
	try_fini(&t);
}

static void idleness(void **state)
{
	struct try waits, looks, deaf;
	(void)state;
	limited_start(&waits, "echo begun; sleep 1000", (struct box_limits){.idle_ms = 300},
		      BOX_LIMIT_IDLE);
	/* looking now and then for what never comes is idleness, too */
	if (!try_slow_kernel())
		limited_start(&looks, "while sleep 1; do test -e /no/such/file && exit 1; done",
			      (struct box_limits){.idle_ms = 1500}, BOX_LIMIT_IDLE);
	/* who is deaf to SIGTERM has its grace, and no more */
	limited_start(&deaf, "trap '' TERM; sleep 1000 & wait; sleep 1000",
		      (struct box_limits){.idle_ms = 3000, .grace_ms = 200}, BOX_LIMIT_IDLE);
	limited_wait(&waits, BOX_LIMIT_IDLE);
	assert_int_equal(waits.facts.limit_bound, 300);
	assert_true(waits.facts.limit_value >= 600); /* two windows */
	if (!try_slow_kernel())
		limited_wait(&looks, BOX_LIMIT_IDLE);
	limited_wait(&deaf, BOX_LIMIT_IDLE);
	assert_int_equal(deaf.facts.signal, SIGKILL);
}

static void who_works_reads_writes_or_speaks_is_not_idle(void **state)
{
	static const char *const busy[] = {
		"end=$(($(date +%s) + 3)); while [ $(date +%s) -le $end ]; do :; done",
		"i=0; while [ $i -lt 20 ]; do echo $i; sleep 0.15; i=$((i+1)); done",
		/* 200 KB a second, at no cost to speak of */
		"i=0; while [ $i -lt 20 ]; do head -c 30000 /dev/zero >/tmp/f; sleep 0.15; "
		"i=$((i+1)); "
		"done",
	};
	struct try t[countof(busy)];
	(void)state;
	for (size_t i = 0; i < countof(busy); i++) {
		try_init(&t[i], busy[i]);
		t[i].spec.limits.idle_ms = 1000;
		try_start(&t[i]);
	}
	for (size_t i = 0; i < countof(busy); i++) {
		try_wait(&t[i]);
		try_expect(&t[i], 0, NULL);
		try_fini(&t[i]);
	}
}

static bool ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);
	return n >= m && !strcmp(s + n - m, end);
}

/* The host's view: a shell that waits for its last child, and beside that one with a name, one
 * stopped and one that runs; and nobody else: whoever ends wakes the shell. Who is not executed yet
 * has the shell's own line, with all their arguments in it. */
static bool crew_is_there(const char *last)
{
	enum { WAITS = 1, NAMED = 2, STOPPED = 4, RUNS = 8, ALL = 15 };
	struct process p;
	pid_t shell = 0;
	unsigned has = 0, children = 0;
	DIR *proc = opendir("/proc");
	while (process_next(proc, &p))
		if (!strcmp(p.name, "sleep") && strstr(p.line, last))
			shell = p.parent;
	rewinddir(proc);
	while (shell && process_next(proc, &p)) {
		has |= p.pid == shell && p.state == 'S' ? WAITS : 0;
		if (p.parent != shell)
			continue;
		children++;
		has |= ends_with(p.line, " 4321 ") ? NAMED : 0;
		has |= p.state == 'T' ? STOPPED : p.state == 'R' ? RUNS : 0;
	}
	closedir(proc);
	return has == ALL && children == 4;
}

static void start_crew(struct try *t)
{
	auto_free char *last = own_fmt("4322.%07d", (int)getpid());
	auto_free char *script =
		own_fmt("cp /bin/sleep '/tmp/a b\\\nc\x1b[2J'; '/tmp/a b\\\nc\x1b[2J' 4321 & "
			"sh -c 'kill -STOP $$' & (while :; do :; done) & true & sleep %s",
			last);
	try_init(t, script);
	t->spec.limits.grace_ms = 200000;
	try_start(t);
	for (int64_t until = clock_mono_ns() + TRY_MINUTES_NS;
	     !t->ends && !crew_is_there(last) && clock_mono_ns() < until;) {
		uv_run(&try_loop, UV_RUN_NOWAIT);
		usleep(5000);
	}
	assert_int_equal(t->ends, 0);
}

/* What ran when it was ended, as it was: a line each, and no line that a name made. */
static void who_was_there_is_told_when_we_end_it(void **state)
{
	struct try t;
	(void)state;
	if (try_slow_kernel())
		skip(); /* the time there is for it may not be enough for all */
	auto_free char *last = own_fmt(" sleep 4322.%07d\n", (int)getpid());
	/* The table is not waited for longer than a second, which may pass before anybody looks. */
	for (int i = 0; i < 50; i++) {
		start_crew(&t);
		box_cancel(t.box, true);
		try_wait(&t);
		assert_int_equal(t.facts.end, BOX_CANCELLED);
		if (strstr(t.processes, last) || i == 49)
			break;
		try_fini(&t);
	}
	if (!strstr(t.processes, last))
		print_message("%s", t.processes);
	assert_non_null(strstr(t.processes, last));
	assert_non_null(strstr(t.processes, "/tmp/a b\\\\\\x0ac\\x1b[2J 4321\n"));
	assert_non_null(strstr(t.processes, " T "));
	assert_non_null(strstr(t.processes, " R "));
	assert_non_null(strstr(t.processes, " 1 S "));
	unsigned lines = 0;
	for (const char *p = t.processes; (p = strchr(p, '\n')); p++)
		lines++;
	assert_in_range(lines, 5, 7);
	try_fini(&t);
	try_script("true", 0, "");
	try_init(&t, "sleep 0.1");
	try_run(&t);
	assert_string_equal(t.processes, "");
	try_fini(&t);
}

/* Four that want all they can get have a fiftieth of a processor, which this machine gives them
 * however much else it does, where there is a cgroup for it; else no box, unless the caller is
 * content with less. */
static void processors_are_rationed_or_that_is_refused(void **state)
{
	struct err e = ERR_INIT;
	struct try t;
	(void)state;
	for (unsigned tenths = 8;; tenths *= 3) {
		auto_free char *script = own_fmt("for i in 1 2 3 4; do while :; do :; done & done; "
						 "sleep %u.%u; exit 0",
						 tenths / 10, tenths % 10);
		try_init(&t, script);
		t.spec.limits.cpu_milli = 20;
		try_begin(&t, &e);
		if (!t.box) {
			assert_non_null(strstr(e.text, "quota"));
			assert_int_equal(e.kind, ERR_LIMIT);
			try_fini(&t);
			return;
		}
		try_wait(&t);
		try_expect(&t, 0, "");
		assert_string_not_equal(t.facts.cgroup, "none");
		assert_true(t.facts.cpu_user_ns + t.facts.cpu_system_ns < t.facts.wall_ns / 2);
		try_fini(&t);
		/* it takes longer where others are in the way of what is to be kept back */
		if ((t.facts.throttled >= 3 && t.facts.throttled_ns > 100000000) || tenths > 500)
			break;
	}
	assert_true(t.facts.throttled >= 3);
	assert_true(t.facts.throttled_ns > 100000000);
}

static void the_kernel_s_counts_are_told(void **state)
{
	struct try t;
	(void)state;
	try_init(&t, "for i in 1 2 3 4 5 6 7; do sleep 600 & done; "
		     "dd if=/dev/zero of=/data/f bs=1M count=8 conv=fsync 2>/dev/null; exit 0");
	t.spec.limits.processes = 100;
	try_upper(try_mount(&t, "/data", BOX_COW), "counts");
	try_run(&t);
	try_expect(&t, 0, "");
	assert_true(t.facts.io_write_bytes >= 8 << 20);
	if (strcmp(t.facts.cgroup, "none"))
		assert_in_range(t.facts.processes_peak, 8, 20);
	try_fini(&t);
}

static void what_stays_below_its_limits_ends_by_itself(void **state)
{
	struct try t;
	(void)state;
	try_init(&t, "for i in 1 2 3 4 5; do sleep 0.2 & done; wait; head -c 1000000 /dev/zero "
		     ">/data/f; echo done");
	t.spec.limits = (struct box_limits){
		.wall_ms = TRY_WALL_MS,
		.cpu_ms = 60000,
		.silence_ms = 120000,
		.memory = 256 << 20,
		.processes = 32,
		.disk = 32 << 20,
		.disk_inodes = 100,
		.output_bytes = 100,
		.open_files = 64,
		.file_size = 2 << 20,
		.grace_ms = 1000,
	};
	try_upper(try_mount(&t, "/data", BOX_COW), "below");
	try_run(&t);
	try_expect(&t, 0, "done\n");
	assert_int_equal(t.facts.limit, BOX_LIMIT_NONE);
	assert_true(t.facts.wall_ns > 200000000);
	assert_true(t.facts.setup_ns > 0);
	try_fini(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wall_time),
		cmocka_unit_test(a_command_may_end_itself_in_its_grace),
		cmocka_unit_test(cpu_time),
		cmocka_unit_test(silence),
		cmocka_unit_test(what_nobody_has_read_yet_is_no_silence),
		cmocka_unit_test(memory),
		cmocka_unit_test(memory_of_the_host_s_is_not_the_box_s),
		cmocka_unit_test(memory_is_no_address_space),
		cmocka_unit_test(processes),
		cmocka_unit_test(disk),
		cmocka_unit_test(disk_and_memory_count_together),
		cmocka_unit_test(output),
		cmocka_unit_test(open_files_and_file_size_are_refused),
		cmocka_unit_test(a_command_that_ends_of_its_file_s_size_is_told_so),
		cmocka_unit_test(idleness),
		cmocka_unit_test(who_works_reads_writes_or_speaks_is_not_idle),
		cmocka_unit_test(who_was_there_is_told_when_we_end_it),
		cmocka_unit_test(processors_are_rationed_or_that_is_refused),
		cmocka_unit_test(the_kernel_s_counts_are_told),
		cmocka_unit_test(what_stays_below_its_limits_ends_by_itself),
	};
	return cmocka_run_group_tests_name("sandbox: limits", tests, try_setup, try_teardown);
}
