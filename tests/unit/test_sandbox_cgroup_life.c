/* sandbox/cgroup*.c and sweep.c: limits, counts and the ends of boxes' groups, without a kernel's
 * groups. */
#include "tests/unit/fake_cgroup.h"

#include <sys/file.h>

static void no_limit_writes_no_limit(void **state)
{
	(void)state;
	a_v1_host();
	struct cgroup_host *h = open_as("v1");
	text_fini(&fake.writes);
	struct cgroup *c = make(h, 0, 0);
	assert_string_equal(text_str(&fake.writes), "");
	end(h, c);
}

/* From now on the fake kernel's v1 groups lack this file. */
static void v1_without(const char *name)
{
	static struct file files[countof(v1_files)];
	size_t n = 0;
	for (const struct file *f = v1_files; f->name; f++)
		if (strcmp(f->name, name))
			files[n++] = *f;
	files[n].name = NULL;
	fake.files = files;
}

/* What boxes' groups inherit. */
static void v1_without_counted_swap_does_not_swap(void **state)
{
	(void)state;
	a_v1_host();
	v1_without("memory.memsw.limit_in_bytes");
	struct cgroup_host *h = open_as("v1");
	struct cgroup *c = make(h, 4096, 0);
	check("cg/my memory", "/memory.swappiness", "0");
	check("cg/my memory", "/memory.oom_control",
	      "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n");
	end(h, c);
}

static void v1_whose_oom_kills_cannot_be_switched_on_is_not_used(void **state)
{
	(void)state;
	a_v1_host();
	fake.refuse = "memory.oom_control";
	fake.refuse_errno = EACCES;
	cgroup_host_close(open_as("none"));
	auto_free char *left = own_name("cg/my memory", "");
	assert_false(there(left));
}

static void names_that_are_no_names_are_refused(void **state)
{
	(void)state;
	static const char *const bad[] = {"", "a b", "../x", "a/b", "é"};
	a_v1_host();
	struct cgroup_host *h = open_as("v1");
	for (size_t i = 0; i < countof(bad); i++) {
		struct err e = ERR_INIT;
		assert_null(cgroup_make(h, bad[i], &(struct cgroup_limits){.memory = 0}, &e));
		assert_int_equal(e.kind, ERR_USAGE);
		assert_null(cgroup_host_open_in(&world, bad[i], &e));
	}
	struct err e;
	struct cgroup *c = cgroup_make(h, "tasks", &(struct cgroup_limits){.memory = 0}, &e);
	assert_non_null(c);
	assert_null(cgroup_make(h, "tasks", &(struct cgroup_limits){.memory = 0}, &e));
	assert_int_equal(e.sys, EEXIST);
	end(h, c);
}

static void a_limit_that_is_refused_leaves_no_group(void **state)
{
	(void)state;
	struct err e = ERR_INIT;
	a_v1_host();
	struct cgroup_host *h = open_as("v1");
	fake.refuse = "pids.max";
	fake.refuse_errno = EINVAL;
	assert_null(
		cgroup_make(h, "job", &(struct cgroup_limits){.memory = 4096, .processes = 7}, &e));
	assert_int_equal(e.sys, EINVAL);
	assert_non_null(strstr(e.text, "pids.max"));
	auto_free char *left = own_name("cg/my memory", "/box-job");
	assert_false(there(left));
	cgroup_host_close(h);
}

/* Whoever owns the group in a namespace must not own what limits it. */
static void processes_may_be_below_what_limits_them(void **state)
{
	(void)state;
	struct err e = ERR_INIT;
	struct cgroup_limits limits = {.memory = 4096, .processes = 7, .below = true};
	a_v2_host();
	struct cgroup_host *h = open_as("v2");
	struct cgroup *c = cgroup_make(h, "job", &limits, &e);
	assert_non_null(c);
	check("cg2/svc", "/box-job/memory.max", "4096");
	check("cg2/svc", "/box-job/pids.max", "7");
	check("cg2/svc", "/box-job/cgroup.max.descendants", "64");
	auto_free char *at = own_fmt("/proc/self/fd/%d", cgroup_clone_fd(c));
	char where[4096] = "";
	assert_true(readlink(at, where, sizeof(where) - 1) > 0);
	assert_string_equal(strrchr(where, '/'), "/job");
	/* what its processes made there goes, too */
	assert_int_equal(mkdirat(cgroup_clone_fd(c), "own", 0700), 0);
	end(h, c);
}

static void who_owns_the_groups_of_boxes_is_known(void **state)
{
	(void)state;
	struct err e = ERR_INIT;
	a_v1_host();
	struct cgroup_host *h = open_as("v1");
	assert_true(cgroup_host_owned(h));
	/* in v1 nothing keeps them apart */
	struct cgroup *c = cgroup_make(h, "job", &(struct cgroup_limits){.below = true}, &e);
	assert_non_null(c);
	end(h, c);
	a_v2_host();
	h = open_as("v2");
	assert_false(cgroup_host_owned(h));
	cgroup_host_close(h);
}

static void v1_counts_are_read(void **state)
{
	(void)state;
	struct cgroup_counts n;
	a_v1_host();
	struct cgroup_host *h = open_as("v1");
	struct cgroup *c = make(h, 0, 0);
	fill("cg/my memory", "/box-job/memory.max_usage_in_bytes", "123456\n");
	fill("cg/my memory", "/box-job/memory.oom_control",
	     "oom_kill_disable 0\nunder_oom 1\noom_kill 3\n");
	fill("cg/pids/user/a b:c", "/box-job/pids.events", "max 9\n");
	fill("cg/cpu", "/box-job/cpuacct.usage", "5000000001\n");
	fill("cg/cpu", "/box-job/cpuacct.usage_user", "4000000000\n");
	cgroup_read(c, &n);
	assert_true(n.has_memory && n.has_processes && n.has_cpu);
	assert_int_equal(n.peak_memory, 123456);
	assert_int_equal(n.oom_kills, 3);
	assert_int_equal(n.host_oom_kills, 0);
	fill("cg/my memory", "/box-job/memory.failcnt", "0\n");
	fill("cg/my memory", "/box-job/memory.limit_in_bytes", "130000\n");
	cgroup_read(c, &n);
	assert_int_equal(n.oom_kills, 3); /* it came up to it */
	fill("cg/my memory", "/box-job/memory.limit_in_bytes", "1300000000\n");
	cgroup_read(c, &n);
	assert_int_equal(n.oom_kills, 0); /* its limit was never in the way */
	assert_int_equal(n.host_oom_kills, 3);
	auto_free char *failcnt = own_name("cg/my memory", "/box-job/memory.failcnt");
	drop(failcnt);
	cgroup_read(c, &n);
	assert_int_equal(n.oom_kills, 3); /* can't be read: its own */
	put(failcnt, "0\n");
	assert_int_equal(n.processes_refused, 9);
	assert_int_equal(n.cpu_user_ns, 4000000000);
	assert_int_equal(n.cpu_system_ns, 1000000001);
	fill("cg/my memory", "/box-job/memory.oom_control", "oom_kill_disable 0\n");
	fill("cg/cpu", "/box-job/cpuacct.usage", "x\n");
	cgroup_read(c, &n);
	assert_false(n.has_memory || n.has_cpu);
	assert_int_equal(n.peak_memory, 0);
	end(h, c);
}

static void v2_counts_are_read(void **state)
{
	(void)state;
	struct cgroup_counts n;
	a_v2_host();
	struct cgroup_host *h = open_as("v2");
	struct cgroup *c = make(h, 0, 0);
	fill("cg2/svc", "/box-job/memory.peak", "99\n");
	fill("cg2/svc", "/box-job/memory.events", "low 0\noom 8\noom_kill 2\noom_group_kill 1\n");
	fill("cg2/svc", "/box-job/pids.events", "max 5\n");
	fill("cg2/svc", "/box-job/cpu.stat",
	     "usage_usec 7\nuser_usec 4\nsystem_usec 3\nnr_periods 0\n");
	cgroup_read(c, &n);
	assert_true(n.has_memory && n.has_processes && n.has_cpu);
	assert_int_equal(n.peak_memory, 99);
	assert_int_equal(n.oom_kills, 2);
	assert_int_equal(n.host_oom_kills, 0);
	fill("cg2/svc", "/box-job/memory.events", "low 0\noom 0\noom_kill 2\n");
	cgroup_read(c, &n);
	assert_int_equal(n.oom_kills, 0);
	assert_int_equal(n.host_oom_kills, 2);
	assert_int_equal(n.processes_refused, 5);
	assert_int_equal(n.cpu_user_ns, 4000);
	assert_int_equal(n.cpu_system_ns, 3000);
	auto_free char *peak = own_name("cg2/svc", "/box-job/memory.peak");
	auto_free char *current = own_name("cg2/svc", "/box-job/memory.current");
	drop(peak);
	put(current, "70\n");
	cgroup_read(c, &n);
	put(current, "20\n");
	cgroup_read(c, &n);
	assert_int_equal(n.peak_memory, 70);
	drop(current);
	end(h, c);
}

static void limit_cpu(struct cgroup_host *h, uint64_t milli)
{
	struct err e = ERR_INIT;
	struct cgroup *c = cgroup_make(h, "quota", &(struct cgroup_limits){.cpu_milli = milli}, &e);
	assert_non_null(c);
	struct cgroup_counts n;
	cgroup_read(c, &n);
	assert_true(n.has_quota);
	assert_int_equal(cgroup_remove(c, &e), 0);
}

static void a_quota_is_a_part_of_a_period(void **state)
{
	(void)state;
	a_v1_host();
	struct cgroup_host *h = open_as("v1");
	text_fini(&fake.writes);
	limit_cpu(h, 1500);
	limit_cpu(h, 5);
	assert_string_equal(text_str(&fake.writes),
			    "cpu.cfs_period_us=100000 cpu.cfs_quota_us=150000 "
			    "cpu.cfs_period_us=1000000 cpu.cfs_quota_us=5000 ");
	cgroup_host_close(h);
	text_fini(&fake.writes);
	a_v2_host();
	put("cg2/svc/cgroup.controllers", "cpu memory pids\n");
	h = open_as("v2");
	limit_cpu(h, 1500);
	assert_non_null(strstr(text_str(&fake.writes), "cpu.max=150000 100000 "));
	cgroup_host_close(h);
}

/* A hierarchy of cpu alone is entered by who has a quota only. */
static void without_a_quota_nothing_is_made_for_one(void **state)
{
	(void)state;
	struct err e = ERR_INIT;
	struct cgroup_counts n;
	int doors[CGROUP_DOORS];
	a_v1_host();
	put("proc/cgroup", "1:cpu:/\n8:pids:/\n");
	put("proc/mountinfo", "33 31 0:30 / /cg/cpu rw,relatime - cgroup cgroup rw,cpu\n"
			      "39 31 0:36 / /cg/pids rw,relatime - cgroup cgroup rw,pids\n");
	put_group("cg/pids", v1_files);
	struct cgroup_host *h = open_as("v1");
	struct cgroup *c = make(h, 0, 0);
	auto_free char *box = own_name("cg/cpu", "/box-job");
	assert_false(there(box));
	fill("cg/pids", "/box-job/tasks", "");
	assert_int_equal(cgroup_doors(c, doors, &e), 1);
	close(doors[0]);
	cgroup_read(c, &n);
	assert_false(n.has_quota);
	auto_free char *tasks = own_name("cg/pids", "/box-job/tasks");
	drop(tasks);
	assert_int_equal(cgroup_remove(c, &e), 0);
	limit_cpu(h, 500);
	cgroup_host_close(h);
}

static void v1_tells_the_rest_at_the_end(void **state)
{
	(void)state;
	struct err e = ERR_INIT;
	struct cgroup_counts n;
	a_v1_host();
	struct cgroup_host *h = open_as("v1");
	struct cgroup *c = cgroup_make(h, "job", &(struct cgroup_limits){.cpu_milli = 500}, &e);
	fill("cg/cpu", "/box-job/cpu.stat", "nr_periods 9\nnr_throttled 4\nthrottled_time 77\n");
	fill("cg/pids/user/a b:c", "/box-job/pids.peak", "12\n");
	cgroup_read_all(c, &n);
	assert_int_equal(n.throttled, 4);
	assert_int_equal(n.throttled_ns, 77);
	assert_int_equal(n.processes_peak, 12);
	assert_false(n.has_io);
	end(h, c);
}

static void without_a_peak_of_processes_it_is_what_was_seen(void **state)
{
	(void)state;
	struct cgroup_counts n;
	a_v1_host();
	v1_without("pids.peak");
	struct cgroup_host *h = open_as("v1");
	struct cgroup *c = make(h, 0, 7);
	fill("cg/pids/user/a b:c", "/box-job/pids.current", "8\n");
	cgroup_read(c, &n);
	fill("cg/pids/user/a b:c", "/box-job/pids.current", "3\n");
	cgroup_read_all(c, &n);
	assert_int_equal(n.processes_peak, 8);
	end(h, c);
}

static void v2_tells_the_rest_at_the_end(void **state)
{
	(void)state;
	struct cgroup_counts n;
	a_v2_host();
	put("cg2/svc/cgroup.controllers", "cpu io memory pids\n");
	struct cgroup_host *h = open_as("v2");
	struct cgroup *c = make(h, 0, 0);
	fill("cg2/svc", "/box-job/cpu.stat",
	     "usage_usec 7\nuser_usec 4\nsystem_usec 3\nnr_periods 9\nnr_throttled 2\n"
	     "throttled_usec 5\n");
	fill("cg2/svc", "/box-job/pids.peak", "31\n");
	fill("cg2/svc", "/box-job/io.stat",
	     "8:0 rbytes=100 wbytes=20 rios=1 wios=1 dbytes=0 dios=0\n"
	     "8:16 rbytes=11 wbytes=2 rios=1 wios=1 dbytes=9 dios=1\n");
	fill("cg2/svc", "/box-job/memory.pressure",
	     "some avg10=0.00 avg60=0.00 avg300=0.00 total=1234\nfull avg10=0.00 total=99\n");
	fill("cg2/svc", "/box-job/io.pressure", "nonsense total=3\n");
	cgroup_read_all(c, &n);
	assert_int_equal(n.throttled, 2);
	assert_int_equal(n.throttled_ns, 5000);
	assert_int_equal(n.processes_peak, 31);
	assert_true(n.has_io);
	assert_int_equal(n.io_read_bytes, 111);
	assert_int_equal(n.io_write_bytes, 22);
	assert_int_equal(n.stalled_memory_ns, 1234000);
	assert_int_equal(n.stalled_cpu_ns, 0);
	assert_int_equal(n.stalled_io_ns, 0);
	end(h, c);
}

/* The list has outsiders (0), this process, and nonsense; only the box's own die. */
static void v1_thaws_what_it_has_killed(void **state)
{
	(void)state;
	pid_t one = sleeper(), two = sleeper();
	auto_free char *list = own_fmt("0\n%d\n%d\n99999999999999999999\nx\n%d\n", (int)one,
				       (int)getpid(), (int)two);
	a_v1_host();
	struct cgroup_host *h = open_as("v1");
	text_fini(&fake.writes);
	struct cgroup *c = make(h, 0, 0);
	fill("cg/pids/user/a b:c", "/box-job/cgroup.procs", list);
	cgroup_kill(c);
	assert_killed(one);
	assert_killed(two);
	assert_string_equal(text_str(&fake.writes), "freezer.state=THAWED ");
	end(h, c);
}

static void v2_without_cgroup_kill_signals_each(void **state)
{
	(void)state;
	pid_t one = sleeper();
	auto_free char *list = own_fmt("%d\n", (int)one);
	a_v2_host();
	struct cgroup_host *h = open_as("v2");
	struct cgroup *c = make(h, 0, 0);
	text_fini(&fake.writes);
	cgroup_kill(c);
	assert_string_equal(text_str(&fake.writes), "cgroup.kill=1 ");
	auto_free char *path = own_name("cg2/svc", "/box-job/cgroup.kill");
	drop(path);
	fill("cg2/svc", "/box-job/cgroup.procs", list);
	cgroup_kill(c);
	assert_killed(one);
	assert_non_null(strstr(text_str(&fake.writes), "cgroup.freeze=1 cgroup.freeze=0 "));
	end(h, c);
}

/* A job that may make namespaces is in a group below its box's, and may make more there. */
static void v2_without_cgroup_kill_signals_those_below_too(void **state)
{
	static const char *const groups[] = {"/box-job/job", "/box-job/job/a/b/c"};
	pid_t all[countof(groups)];
	struct err e = ERR_INIT;
	(void)state;
	a_v2_host();
	struct cgroup_host *h = open_as("v2");
	struct cgroup *c = cgroup_make(h, "job", &(struct cgroup_limits){.below = true}, &e);
	assert_non_null(c);
	auto_free char *kill_file = own_name("cg2/svc", "/box-job/cgroup.kill");
	drop(kill_file);
	for (size_t i = 0; i < countof(groups); i++) {
		all[i] = sleeper();
		auto_free char *list = own_fmt("%d\n", (int)all[i]);
		auto_free char *procs = own_fmt("%s/cgroup.procs", groups[i]);
		fill("cg2/svc", procs, list);
	}
	cgroup_kill(c);
	for (size_t i = 0; i < countof(groups); i++)
		assert_killed(all[i]);
	end(h, c);
}

/* A second sandbox of one process, and what an earlier owner of our pid left, do not meet. */
static void one_process_may_open_twice(void **state)
{
	(void)state;
	struct err e;
	a_v1_host();
	struct cgroup_host *one = open_as("v1"), *two = open_as("v1");
	auto_free char *second = own_name("cg/freezer", "-1");
	assert_true(there(second));
	assert_int_equal(cgroup_sweep_in(&world, "n", 0, &e), 0);
	assert_true(there(second));
	cgroup_host_close(one);
	cgroup_host_close(two);
	assert_false(there(second));
}

static pid_t a_dead_pid(void)
{
	pid_t pid = fork();
	if (!pid)
		_exit(0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	return pid;
}

static void the_sweep_takes_what_the_dead_left_and_nothing_else(void **state)
{
	(void)state;
	struct err e = ERR_INIT;
	int dead = (int)a_dead_pid();
	a_v1_host();
	static const char *const stay[] = {"n.1",   "n.x", "n.",    "other.%d",
					   "n.%dx", "n",   "n.%d-", "nn.%d"};
	static const char *const go[] = {"n.%d", "n.%d-3", "n.%d-4/box-a/deeper"};
	for (size_t i = 0; i < countof(stay) + countof(go); i++) {
		const char *pattern = i < countof(stay) ? stay[i] : go[i - countof(stay)];
		auto_text struct text path = TEXT_INIT;
		text_add(&path, "cg/my memory/");
		for (const char *p = pattern; *p; p++)
			if (*p == '%')
				text_addf(&path, "%d", dead), p++;
			else
				text_addc(&path, *p);
		put_group(text_str(&path), v1_files);
	}
	assert_int_equal(cgroup_sweep_in(&world, "n", 0, &e), 0);
	auto_free char *gone = own_fmt("cg/my memory/n.%d", dead),
		       *gone3 = own_fmt("cg/my memory/n.%d-3", dead),
		       *gone4 = own_fmt("cg/my memory/n.%d-4", dead),
		       *other = own_fmt("cg/my memory/other.%d", dead),
		       *odd = own_fmt("cg/my memory/n.%dx", dead),
		       *nn = own_fmt("cg/my memory/nn.%d", dead);
	assert_false(there(gone) || there(gone3) || there(gone4));
	assert_true(there(other) && there(odd) && there(nn) && there("cg/my memory/n.1") &&
		    there("cg/my memory/n.x"));
}

/* Its pid says nothing here, as that of one in another pid namespace does. */
static void the_sweep_leaves_what_somebody_holds(void **state)
{
	(void)state;
	struct err e = ERR_INIT;
	a_v1_host();
	auto_free char *path = own_fmt("cg/my memory/n.%d", (int)a_dead_pid());
	put_group(path, v1_files);
	int held = openat(fake.fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(held >= 0);
	assert_int_equal(flock(held, LOCK_EX | LOCK_NB), 0);
	assert_int_equal(cgroup_sweep_in(&world, "n", 0, &e), 0);
	assert_true(there(path));
	close(held);
	assert_int_equal(cgroup_sweep_in(&world, "n", 0, &e), 0);
	assert_false(there(path));
}

static void the_sweep_kills_what_is_left_in_a_group(void **state)
{
	(void)state;
	struct err e = ERR_INIT;
	int dead = (int)a_dead_pid();
	a_v1_host();
	pid_t child = sleeper();
	auto_free char *box = own_fmt("cg/freezer/n.%d/box-a", dead),
		       *procs = own_fmt("%s/cgroup.procs", box),
		       *list = own_fmt("%d\n", (int)child);
	put_group(box, v1_files);
	put(procs, list);
	assert_int_equal(cgroup_sweep_in(&world, "n", 0, &e), 0);
	assert_killed(child);
	assert_false(there(box));
	assert_non_null(strstr(text_str(&fake.writes), "freezer.state=THAWED"));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(no_limit_writes_no_limit),
		TEST(v1_without_counted_swap_does_not_swap),
		TEST(v1_whose_oom_kills_cannot_be_switched_on_is_not_used),
		TEST(names_that_are_no_names_are_refused),
		TEST(a_limit_that_is_refused_leaves_no_group),
		TEST(processes_may_be_below_what_limits_them),
		TEST(who_owns_the_groups_of_boxes_is_known),
		TEST(v1_counts_are_read),
		TEST(v2_counts_are_read),
		TEST(a_quota_is_a_part_of_a_period),
		TEST(without_a_quota_nothing_is_made_for_one),
		TEST(v1_tells_the_rest_at_the_end),
		TEST(without_a_peak_of_processes_it_is_what_was_seen),
		TEST(v2_tells_the_rest_at_the_end),
		TEST(v1_thaws_what_it_has_killed),
		TEST(v2_without_cgroup_kill_signals_each),
		TEST(v2_without_cgroup_kill_signals_those_below_too),
		TEST(one_process_may_open_twice),
		TEST(the_sweep_takes_what_the_dead_left_and_nothing_else),
		TEST(the_sweep_leaves_what_somebody_holds),
		TEST(the_sweep_kills_what_is_left_in_a_group),
	};
	return cmocka_run_group_tests_name("sandbox/cgroup_life", tests, NULL, NULL);
}
