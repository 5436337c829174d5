/* Who gives a box behind NAT its network: as whom it runs, how long, and what is said where it is
 * lost or is not there. */
#include "test_nat.h"

/* A line of /proc/PID/status. */
static void status_line(pid_t pid, const char *name, char *line, size_t size)
{
	auto_free char *path = own_fmt("/proc/%d/status", (int)pid);
	auto_file FILE *f = fopen(path, "re");
	while (f && fgets(line, (int)size, f))
		if (!strncmp(line, name, strlen(name)))
			return;
	line[0] = 0;
}

static void link_of(pid_t pid, const char *name, char *to, size_t size)
{
	auto_free char *path =
		pid ? own_fmt("/proc/%d/%s", (int)pid, name) : own_fmt("/proc/self/%s", name);
	ssize_t n = readlink(path, to, size - 1);
	to[n > 0 ? n : 0] = 0;
}

static void pasta_is_nobody_and_in_no_group_of_the_box(void **state)
{
	struct try t;
	pid_t pasta = 0;
	unsigned uid = 0;
	char line[256], mine[64], its[64], group[2][4096];
	(void)state;
	needs_lab();
	try_nat(&t, "echo ready; sleep 900");
	t.spec.limits.memory = 64 << 20;
	t.spec.limits.grace_ms = 0;
	try_start(&t);
	try_until(&t, "ready");
	assert_int_equal(pastas(&pasta), 1);
	status_line(pasta, "Uid:", line, sizeof(line));
	assert_int_equal(sscanf(line, "Uid: %u", &uid), 1);
	assert_true(uid >= 65536);
	status_line(pasta, "Groups:", line, sizeof(line));
	assert_int_equal(strspn(line + 7, " \t\n"), strlen(line + 7));
	link_of(pasta, "ns/user", its, sizeof(its));
	link_of(0, "ns/user", mine, sizeof(mine));
	assert_string_not_equal(its, mine);
	link_of(pasta, "ns/pid", its, sizeof(its));
	link_of(0, "ns/pid", mine, sizeof(mine));
	assert_string_not_equal(its, mine);
	for (int i = 0; i < 2; i++) {
		auto_free char *path = own_fmt("/proc/%d/cgroup", i ? (int)pasta : (int)getpid());
		auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
		ssize_t n = fd < 0 ? -1 : read(fd, group[i], sizeof(group[i]) - 1);
		group[i][n > 0 ? n : 0] = 0;
	}
	assert_string_equal(group[0], group[1]);
	box_cancel(t.box, false);
	try_wait(&t);
	assert_int_equal(t.facts.end, BOX_CANCELLED);
	assert_int_equal(pastas(NULL), 0);
	try_fini(&t);
}

static void a_lost_network_is_told_and_the_box_goes_on(void **state)
{
	struct try t;
	pid_t pasta = 0;
	(void)state;
	needs_lab();
	try_nat(&t, "echo ready; until [ -e /go/lost ]; do sleep 0.01; done; echo done");
	try_lower(&t, try_mount(&t, "/go", BOX_RW), "go");
	try_start(&t);
	try_until(&t, "ready");
	assert_int_equal(pastas(&pasta), 1);
	assert_int_equal(kill(pasta, SIGKILL), 0);
	/* who keeps it tells the helper by its own end */
	for (int64_t until = clock_mono_ns() + TRY_MINUTES_NS;
	     in_this_network("assay-network", NULL) && clock_mono_ns() < until;)
		usleep(1000);
	try_write("go/lost", "");
	try_wait(&t);
	try_expect(&t, 0, "ready\ndone\n");
	assert_true(t.facts.network_lost);
	try_fini(&t);
	expect_nat("/box/program patiently tcp 10.9.0.1", "10.9.0.1 reached\n");
}

/* The helpers of this process: so many get it. */
static size_t signal_helpers(int signal, pid_t *helpers, size_t room)
{
	size_t n = process_children(getpid(), "assay-", helpers, room);
	for (size_t i = 0; i < n; i++)
		kill(helpers[i], signal);
	return n;
}

/* Both are over before the helper looks at either of them. */
static void a_network_that_is_lost_as_the_box_ends_is_told(void **state)
{
	struct try t;
	pid_t pasta = 0, helpers[16];
	size_t ended = 0;
	int64_t until = clock_mono_ns() + TRY_MINUTES_NS;
	(void)state;
	needs_lab();
	try_nat(&t, "echo ready; until [ -e /go/now ]; do sleep 0.01; done; exit 3");
	try_lower(&t, try_mount(&t, "/go", BOX_RW), "go");
	try_start(&t);
	try_until(&t, "ready");
	assert_int_equal(pastas(&pasta), 1);
	size_t n = signal_helpers(SIGSTOP, helpers, countof(helpers));
	assert_int_equal(kill(pasta, SIGKILL), 0);
	try_write("go/now", "");
	/* its pid 1, and who kept pasta */
	while (ended < 2 && clock_mono_ns() < until) {
		ended = 0;
		for (size_t i = 0; i < n; i++)
			ended += process_ended(helpers[i]);
		usleep(1000);
	}
	signal_helpers(SIGCONT, helpers, countof(helpers));
	try_wait(&t);
	assert_int_equal(ended, 2);
	try_expect(&t, 3, "ready\n");
	assert_true(t.facts.network_lost);
	try_fini(&t);
}

/* The first process of its pid namespace: its parent keeps it, and has the same name. */
static pid_t first_of_pasta(void)
{
	struct process all[64], p;
	size_t n = 0;
	pid_t first = 0;
	DIR *proc = opendir("/proc");
	while (n < countof(all) && process_next(proc, &p))
		if (!strcmp(p.name, "assay-network"))
			all[n++] = p;
	closedir(proc);
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < n; k++) {
			pid_t helper = all[k].parent, own[16];
			size_t n_own = process_children(getpid(), "assay-", own, countof(own));
			for (size_t h = 0; h < n_own; h++)
				if (all[i].parent == all[k].pid && helper == own[h])
					first = all[i].pid;
		}
	return first;
}

/* Who is to tell of it gets no processor. */
static void a_network_whose_loss_nobody_has_told_yet_is_lost(void **state)
{
	struct try t;
	pid_t pasta = 0;
	(void)state;
	needs_lab();
	try_nat(&t, "echo ready; until [ -e /go/untold ]; do sleep 0.01; done; exit 3");
	try_lower(&t, try_mount(&t, "/go", BOX_RW), "go");
	try_start(&t);
	try_until(&t, "ready");
	assert_int_equal(pastas(&pasta), 1);
	pid_t first = first_of_pasta();
	assert_true(first > 0);
	assert_int_equal(kill(first, SIGSTOP), 0);
	assert_int_equal(kill(pasta, SIGKILL), 0);
	for (int64_t until = clock_mono_ns() + TRY_MINUTES_NS;
	     pastas(NULL) && clock_mono_ns() < until;)
		usleep(1000);
	try_write("go/untold", "");
	try_wait(&t);
	try_expect(&t, 3, "ready\n");
	auto_free char *told = own_fmt("/proc/self/task/%d/children", (int)getpid());
	if (!access(told, F_OK))
		assert_true(t.facts.network_lost);
	try_fini(&t);
}

static void with_the_helper_killed_no_pasta_is_left(void **state)
{
	struct try t;
	pid_t helpers[16];
	(void)state;
	needs_lab();
	try_nat(&t, "echo ready; sleep 900");
	try_start(&t);
	try_until(&t, "ready");
	assert_int_equal(pastas(NULL), 1);
	assert_int_not_equal(signal_helpers(SIGKILL, helpers, countof(helpers)), 0);
	int64_t began = clock_mono_ns();
	while (pastas(NULL) && clock_mono_ns() - began < TRY_MINUTES_NS)
		usleep(1000);
	assert_int_equal(pastas(NULL), 0);
	try_wait(&t);
	assert_int_equal(t.facts.end, BOX_FAILED);
	try_fini(&t);
	expect_nat("echo again", "again\n");
}

static void without_pasta_or_a_way_out_it_is_said(void **state)
{
	struct try t;
	struct err e = ERR_INIT;
	(void)state;
	needs_lab();
	n_listeners = 0;
	assert_int_equal(sh("ip route del default via 10.9.0.1; ip -6 route del default"), 0);
	try_nat(&t, "true");
	try_run(&t);
	assert_int_equal(sh("ip route add default via 10.9.0.1; ip route add default via fd77::1"),
			 0);
	/* Younger versions do without. */
	if (t.facts.end == BOX_FAILED)
		assert_non_null(strstr(t.facts.error, "network nat: pasta: "));
	try_fini(&t);
	assert_int_equal(sh("mount --bind /dev/null /usr/bin/pasta"), 0);
	try_nat(&t, "true");
	try_begin(&t, &e);
	assert_int_equal(sh("umount /usr/bin/pasta"), 0);
	assert_null(t.box);
	assert_non_null(strstr(e.text, "package passt"));
	try_fini(&t);
}

static void what_it_costs_is_told(void **state)
{
	int64_t ms[2][21];
	(void)state;
	needs_lab();
	for (size_t i = 0; i < countof(ms[0]); i++)
		for (int nat = 0; nat < 2; nat++) {
			struct try t;
			int64_t began = clock_mono_ns();
			try_init(&t, "true");
			t.spec.net = nat ? BOX_NET_NAT : BOX_NET_NONE;
			try_run(&t);
			int64_t took = clock_mono_ns() - began;
			size_t k = i;
			for (; k && ms[nat][k - 1] > took; k--)
				ms[nat][k] = ms[nat][k - 1];
			ms[nat][k] = took;
			try_fini(&t);
		}
	print_message("a box: median %.2f ms, behind NAT %.2f ms\n", (double)ms[0][10] / 1e6,
		      (double)ms[1][10] / 1e6);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pasta_is_nobody_and_in_no_group_of_the_box),
		cmocka_unit_test(a_lost_network_is_told_and_the_box_goes_on),
		cmocka_unit_test(a_network_that_is_lost_as_the_box_ends_is_told),
		cmocka_unit_test(a_network_whose_loss_nobody_has_told_yet_is_lost),
		cmocka_unit_test(with_the_helper_killed_no_pasta_is_left),
		cmocka_unit_test(without_pasta_or_a_way_out_it_is_said),
		cmocka_unit_test(what_it_costs_is_told),
	};
	if (argc > 2)
		return in_the_box(argc, argv);
	return cmocka_run_group_tests_name("sandbox: nat, its life", tests, nat_set_up,
					   nat_tear_down);
}
