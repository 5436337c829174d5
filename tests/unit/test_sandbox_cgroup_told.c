/* sandbox/cgroup*.c: a group that another process makes: described here, read while it is there,
 * removed where nobody else did. Without a kernel's groups. */
#include "tests/unit/fake_cgroup.h"

/* Who was told where the groups of h are. */
static struct cgroup_host *tell(const struct cgroup_host *h)
{
	struct err e = ERR_INIT;
	struct cgroup_told told;
	int fds[CGROUP_HIERARCHIES];
	assert_int_equal(cgroup_host_tell(h, &told, fds, &e), 0);
	struct cgroup_host *other = cgroup_host_told(&told, fds);
	assert_non_null(other);
	other->world = &world;
	return other;
}

static void untell(struct cgroup_host *other)
{
	for (size_t i = 0; i < other->n; i++)
		close(other->dir[i]);
	free(other);
}

static struct cgroup *want(struct cgroup_host *h, const struct cgroup_limits *limits)
{
	struct err e = ERR_INIT;
	struct cgroup *c = cgroup_want(h, "job", limits, &e);
	assert_string_equal(e.text, "");
	assert_non_null(c);
	return c;
}

static struct cgroup *make_wanted(struct cgroup_host *other, const struct cgroup *c)
{
	struct err e = ERR_INIT;
	const struct cgroup_wanted *w = cgroup_wanted(c);
	struct cgroup *made = cgroup_make(other, w->name, &w->limits, &e);
	assert_string_equal(e.text, "");
	assert_non_null(made);
	return made;
}

static void what_is_described_costs_nothing_and_another_makes_it(void **state)
{
	(void)state;
	struct err e;
	struct cgroup_counts n;
	a_v1_host();
	struct cgroup_host *h = open_as("v1"), *other = tell(h);
	struct cgroup *c = want(h, &(struct cgroup_limits){.memory = 4096, .processes = 7});
	auto_free char *box = own_name("cg/my memory", "/box-job");
	assert_false(there(box));
	cgroup_can(c, &n);
	assert_true(n.has_memory && n.has_processes && n.has_cpu);
	cgroup_read(c, &n);
	assert_false(n.has_memory || n.has_processes || n.has_cpu);
	struct cgroup *made = make_wanted(other, c);
	check("cg/my memory", "/box-job/memory.limit_in_bytes", "4096");
	check("cg/my memory", "/box-job/memory.memsw.limit_in_bytes", "4096");
	check("cg/pids/user/a b:c", "/box-job/pids.max", "7");
	fill("cg/pids/user/a b:c", "/box-job/pids.events", "max 9\n");
	cgroup_read(c, &n);
	assert_true(n.has_memory && n.has_processes && n.has_cpu);
	assert_int_equal(n.processes_refused, 9);
	assert_int_equal(cgroup_remove(made, &e), 0);
	cgroup_read(c, &n);
	assert_false(n.has_memory || n.has_processes || n.has_cpu);
	cgroup_forget(c);
	untell(other);
	cgroup_host_close(h);
}

static void what_another_left_is_killed_and_removed(void **state)
{
	(void)state;
	a_v1_host();
	struct cgroup_host *h = open_as("v1"), *other = tell(h);
	struct cgroup *c = want(h, &(struct cgroup_limits){.memory = 4096});
	pid_t child = sleeper();
	auto_free char *pid = own_fmt("%d\n", (int)child);
	cgroup_forget(make_wanted(other, c));
	for (size_t i = 0; i < h->n; i++) {
		auto_fd int box = openat(h->dir[i], "box-job", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		auto_fd int procs =
			box < 0 ? -1 : openat(box, "cgroup.procs", O_WRONLY | O_CLOEXEC);
		if (procs >= 0)
			assert_int_equal(dir_write_all(procs, pid, strlen(pid)), 0);
	}
	cgroup_kill(c);
	assert_killed(child);
	auto_free char *box = own_name("cg/my memory", "/box-job");
	assert_true(there(box));
	untell(other);
	end(h, c);
	assert_false(there(box));
}

static void what_was_never_made_is_removed_at_once(void **state)
{
	(void)state;
	a_v1_host();
	struct cgroup_host *h = open_as("v1");
	struct cgroup *c = want(h, &(struct cgroup_limits){.memory = 4096});
	cgroup_kill(c);
	end(h, c);
	cgroup_forget(NULL);
}

static void v2_with_processes_below_is_removed_with_them(void **state)
{
	(void)state;
	a_v2_host();
	struct cgroup_host *h = open_as("v2"), *other = tell(h);
	struct cgroup *c = want(h, &(struct cgroup_limits){.processes = 7, .below = true});
	assert_int_equal(cgroup_clone_fd(c), -1);
	struct cgroup *made = make_wanted(other, c);
	assert_true(cgroup_clone_fd(made) >= 0);
	check("cg2/svc", "/box-job/job/cgroup.type", "domain\n");
	cgroup_forget(made);
	untell(other);
	auto_free char *left = own_name("cg2/svc", "");
	end(h, c);
	assert_false(there(left));
}

static void a_quota_decides_on_both_sides_which_groups_there_are(void **state)
{
	(void)state;
	struct err e;
	struct cgroup_counts n;
	a_v1_host();
	put("proc/cgroup", "4:memory:/\n1:cpu:/\n");
	put("proc/mountinfo", "35 31 0:32 / /cg/my\\040memory rw - cgroup cgroup rw,memory\n"
			      "33 31 0:30 / /cg/cpu rw - cgroup cgroup rw,cpu\n");
	struct cgroup_host *h = open_as("v1"), *other = tell(h);
	for (uint64_t milli = 0; milli <= 500; milli += 500) {
		struct cgroup *c = want(h, &(struct cgroup_limits){.cpu_milli = milli});
		struct cgroup *made = make_wanted(other, c);
		auto_free char *box = own_name("cg/cpu", "/box-job");
		assert_int_equal(there(box), milli != 0);
		cgroup_can(c, &n);
		assert_int_equal(n.has_quota, milli != 0);
		cgroup_read(c, &n);
		assert_int_equal(n.has_quota, milli != 0);
		assert_int_equal(cgroup_remove(made, &e), 0);
		assert_int_equal(cgroup_remove(c, &e), 0);
	}
	untell(other);
	cgroup_host_close(h);
}

/* Linux before 5.19 and 6.1. */
static void what_only_reading_meanwhile_could_see_is_not_lost(void **state)
{
	(void)state;
	struct err e;
	struct cgroup_counts n;
	static const struct file old[] = {
		{"cgroup.procs", ""},
		{"cgroup.type", "domain\n"},
		{"cgroup.controllers", "memory pids\n"},
		{"cgroup.subtree_control", ""},
		{"memory.max", "max\n"},
		{"memory.events", "oom_kill 0\n"},
		{"memory.current", "0\n"},
		{"pids.max", "max\n"},
		{"pids.events", "max 0\n"},
		{"pids.current", "0\n"},
		{"cpu.stat", "user_usec 0\nsystem_usec 0\n"},
		{NULL, NULL},
	};
	a_v2_host();
	fake.files = old;
	struct cgroup_host *h = open_as("v2"), *other = tell(h);
	struct cgroup *c = want(h, &(struct cgroup_limits){.memory = 1 << 20});
	struct cgroup *made = make_wanted(other, c);
	fill("cg2/svc", "/box-job/memory.current", "8192\n");
	fill("cg2/svc", "/box-job/pids.current", "5\n");
	cgroup_read(c, &n);
	fill("cg2/svc", "/box-job/memory.current", "0\n");
	fill("cg2/svc", "/box-job/pids.current", "0\n");
	cgroup_read_all(made, &n);
	assert_int_equal(n.peak_memory, 0);
	cgroup_heard(c, &n);
	assert_int_equal(n.peak_memory, 8192);
	assert_int_equal(n.processes_peak, 5);
	drop("cg2/svc/memory.events"); /* not ours: the fake's removal knows no memory.current */
	auto_fd int box = openat(h->dir[0], "box-job", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	unlinkat(box, "memory.current", 0);
	assert_int_equal(cgroup_remove(made, &e), 0);
	cgroup_forget(c);
	unlinkat(h->dir[0], "memory.current", 0);
	untell(other);
	cgroup_host_close(h);
}

static void what_makes_no_sense_is_refused(void **state)
{
	(void)state;
	const int none[CGROUP_HIERARCHIES] = {-1, -1, -1, -1, -1};
	const struct cgroup_told bad[] = {
		{.version = 0, .n = 1},
		{.version = 3, .n = 1},
		{.version = 1, .n = 0},
		{.version = 1, .n = CGROUP_HIERARCHIES + 1},
	};
	for (size_t i = 0; i < countof(bad); i++)
		assert_null(cgroup_host_told(&bad[i], none));
}

static void without_groups_nothing_is_wanted(void **state)
{
	(void)state;
	struct err e = ERR_INIT;
	struct cgroup_told told;
	int fds[CGROUP_HIERARCHIES];
	put("proc/cgroup", "");
	put("proc/mountinfo", "27 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n");
	struct cgroup_host *h = open_as("none");
	struct cgroup *c = want(h, &(struct cgroup_limits){.memory = 4096});
	assert_string_equal(cgroup_wanted(c)->name, "");
	assert_int_equal(cgroup_host_tell(h, &told, fds, &e), 0);
	assert_int_equal(told.n, 0);
	end(h, c);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_described_costs_nothing_and_another_makes_it),
		TEST(what_another_left_is_killed_and_removed),
		TEST(what_was_never_made_is_removed_at_once),
		TEST(v2_with_processes_below_is_removed_with_them),
		TEST(a_quota_decides_on_both_sides_which_groups_there_are),
		TEST(what_only_reading_meanwhile_could_see_is_not_lost),
		TEST(what_makes_no_sense_is_refused),
		TEST(without_groups_nothing_is_wanted),
	};
	return cmocka_run_group_tests_name("sandbox/cgroup_told", tests, NULL, NULL);
}
