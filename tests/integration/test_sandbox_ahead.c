/* Where box follows box, the next one's pid 1 is made before its plan is there. The box is as fresh
 * as any other, whatever its plan, and where none follows nothing stays. */
#include "test_sandbox.h"

#include <sched.h>

static void wait_ms(long ms)
{
	struct timespec t = {.tv_nsec = ms * 1000000};
	nanosleep(&t, NULL);
}

static size_t children(pid_t parent, pid_t *all, size_t room)
{
	size_t n = 0;
	auto_free char *path = own_fmt("/proc/%d/task/%d/children", (int)parent, (int)parent);
	auto_file FILE *f = fopen(path, "re");
	for (int pid; f && n < room && fscanf(f, "%d", &pid) == 1;)
		all[n++] = pid;
	return n;
}

/* The helpers' children: pid 1s. */
static size_t pid_1s(pid_t *all, size_t room)
{
	pid_t helpers[16];
	size_t n = 0, n_helpers = children(getpid(), helpers, countof(helpers));
	for (size_t i = 0; i < n_helpers; i++)
		n += children(helpers[i], all + n, room - n);
	return n;
}

/* Boxes until there is one ahead, or not: where this machine has one processor, or boxes are born
 * in a cgroup2. None is made where box did not follow box at once, and it goes when it is not
 * needed: then there is another try. */
static bool ahead(pid_t *pid)
{
	pid_t all[8];
	cpu_set_t set;
	struct try t;
	for (int again = 0; again < 100; again++) {
		for (int i = 0; i < 4; i++) {
			try_init(&t, "true");
			try_run(&t);
			try_expect(&t, 0, "");
			try_fini(&t);
		}
		if (sched_getaffinity(0, sizeof(set), &set) || CPU_COUNT(&set) < 2 ||
		    !strcmp(t.facts.cgroup, "v2") || strcmp(t.facts.executor, "native")) {
			print_message("nothing is made ahead here\n");
			return false;
		}
		for (int i = 0; i < 100; i++, wait_ms(5))
			if (pid_1s(all, countof(all)) == 1) {
				*pid = all[0];
				return true;
			}
	}
	fail_msg("none was made ahead");
	return false;
}

/* Not where somebody mounted something on the host meanwhile, or it had to wait too long: then
 * there is another try. */
static void the_one_made_ahead_is_the_next_one_s(void **state)
{
	pid_t before, during[8] = {0};
	(void)state;
	for (int i = 0; i < 50; i++) {
		struct try t;
		if (!ahead(&before))
			skip();
		try_init(&t, "echo here; exec sleep 1000");
		try_start(&t);
		try_until(&t, "here");
		size_t n = pid_1s(during, countof(during));
		box_cancel(t.box, false);
		try_wait(&t);
		assert_int_equal(t.facts.end, BOX_CANCELLED);
		try_fini(&t);
		assert_int_equal(n, 1);
		if (during[0] == before)
			return;
	}
	assert_int_equal(during[0], before);
}

static void one_that_nobody_needs_goes(void **state)
{
	pid_t all[8];
	(void)state;
	if (!ahead(&all[0]))
		skip();
	int64_t began = clock_mono_ns();
	while (pid_1s(all, countof(all)) && clock_mono_ns() - began < TRY_MINUTES_NS)
		wait_ms(20);
	assert_int_equal(pid_1s(all, countof(all)), 0);
}

static void one_that_was_killed_is_nobody_s_trouble(void **state)
{
	pid_t pid;
	(void)state;
	if (!ahead(&pid))
		skip();
	kill(pid, SIGKILL);
	auto_free char *path = own_fmt("/proc/%d/stat", (int)pid);
	/* dead, or gone: it would have gone soon anyway */
	for (char is = 0; is != 'Z';) {
		auto_file FILE *f = fopen(path, "re");
		if (!f || fscanf(f, "%*d (%*[^)]) %c", &is) != 1)
			break;
	}
	try_script("echo as ever", 0, "as ever\n");
}

static void nothing_of_a_box_is_in_the_next(void **state)
{
	(void)state;
	for (int i = 0; i < 6; i++)
		try_script("ls -A /tmp /run /dev/shm; ls /dev | grep -v mqueue | tr '\\n' ' '; ls "
			   "/sys; "
			   "ipcs -q 2>/dev/null | grep -c '^0x'; "
			   "cat /proc/sys/kernel/hostname; set -- /proc/[0-9]*; echo $#; "
			   "echo x >/tmp/x; echo x >/run/x; echo x >/dev/shm/x; echo x >/dev/x; "
			   "ipcmk -Q >/dev/null 2>&1; (setsid sleep 100 &) ; true",
			   0,
			   "/dev/shm:\n\n/run:\n\n/tmp:\n"
			   "fd full null ptmx pts random shm stderr stdin stdout tty urandom zero "
			   "devices\nfs\n0\nbox\n2\n");
}

/* What differs from plan to plan is the plan's, also where its pid 1 was there before. */
static void plans_of_every_kind_follow_each_other(void **state)
{
	struct try t;
	(void)state;
	for (int i = 0; i < 24; i++) {
		static char one[] = "/bin/sh";
		auto_free char *host = own_fmt("box-%d", i), *up = own_fmt("follow/%d", i);
		auto_free char *want = NULL;
		try_init(&t, "cat /proc/sys/kernel/hostname /made/f; "
			     "df -k /tmp | awk 'END {print $2}'; id -u; pwd; "
			     "grep -c . /proc/net/dev; echo w >>/made/f");
		t.argv[0] = one;
		t.spec.hostname = host;
		t.spec.limits.memory = i % 2 ? 64 << 20 : 0;
		t.spec.cwd = i % 3 ? "/made" : "/";
		t.spec.uid = t.spec.gid = i % 4 == 3 ? 7 : 0;
		t.spec.net = i % 6 == 5 ? BOX_NET_HOST : BOX_NET_NONE;
		try_write("follow/lower/f", "content\n");
		try_upper(try_lower(&t, try_mount(&t, "/made", BOX_COW), "follow/lower"), up);
		if (i % 5 == 4)
			try_file(&t, "/made/f", "mine\n");
		try_run(&t);
		want = own_fmt("box-%d\n%s\n%d\n%d\n%s\n", i, i % 5 == 4 ? "mine" : "content",
			       i % 2 ? 64 << 10 : 2 << 20, i % 4 == 3 ? 7 : 0,
			       i % 3 ? "/made" : "/");
		if (strncmp(text_str(&t.out), want, strlen(want)))
			try_tell(&t);
		assert_int_equal(strncmp(text_str(&t.out), want, strlen(want)), 0);
		/* two lines of heading, lo */
		if (t.spec.net == BOX_NET_NONE)
			assert_int_equal(strncmp(text_str(&t.out) + strlen(want), "3\n", 2), 0);
		assert_int_equal(t.facts.end, BOX_EXITED);
		try_fini(&t);
	}
}

/* Who says what comes first has it begun while the sandbox is opened; the box is the plan's. */
static void the_first_is_begun_before_it_is_ordered(void **state)
{
	struct err e = ERR_INIT;
	struct sandbox *mine = try_sandbox;
	struct box_spec most = {.net = BOX_NET_NONE};
	struct sandbox_conf conf = {.helper = getenv("ASSAY_BOX") ? getenv("ASSAY_BOX") : ASSAY_BOX,
				    .slots = 1,
				    .name = "assay-first",
				    .no_probe = true,
				    .first = &most};
	struct try t;
	pid_t all[8];
	cpu_set_t set;
	bool closed = false;
	(void)state;
	while (pid_1s(all, countof(all)))
		wait_ms(20);
	try_init(&t, "cat /proc/sys/kernel/hostname");
	try_sandbox = sandbox_open(&try_loop, &conf, &e);
	if (!try_sandbox)
		print_error("%s\n", e.text);
	assert_non_null(try_sandbox);
	try_start(&t);
	try_wait(&t);
	try_expect(&t, 0, "box\n");
	bool v2 = !strcmp(t.facts.cgroup, "v2");
	try_fini(&t);
	sandbox_close(try_sandbox, try_closed, &closed);
	while (!closed)
		uv_run(&try_loop, UV_RUN_ONCE);
	/* None that nobody orders is left over. It goes by itself, too, and may have gone unseen.
	 */
	bool made = !v2 && !sched_getaffinity(0, sizeof(set), &set) && CPU_COUNT(&set) > 1;
	size_t seen = 0;
	for (int again = 0; again < 50 && seen != made; again++) {
		try_sandbox = sandbox_open(&try_loop, &conf, &e);
		assert_non_null(try_sandbox);
		for (int i = 0; i < 400 && !(seen = pid_1s(all, countof(all))) && made; i++)
			wait_ms(5);
		closed = false;
		sandbox_close(try_sandbox, try_closed, &closed);
		while (!closed)
			uv_run(&try_loop, UV_RUN_ONCE);
		assert_int_equal(pid_1s(all, countof(all)), 0);
	}
	assert_int_equal(seen, made);
	try_sandbox = mine;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_one_made_ahead_is_the_next_one_s),
		cmocka_unit_test(one_that_nobody_needs_goes),
		cmocka_unit_test(one_that_was_killed_is_nobody_s_trouble),
		cmocka_unit_test(nothing_of_a_box_is_in_the_next),
		cmocka_unit_test(plans_of_every_kind_follow_each_other),
		cmocka_unit_test(the_first_is_begun_before_it_is_ordered),
	};
	return cmocka_run_group_tests(tests, try_setup, try_teardown);
}
