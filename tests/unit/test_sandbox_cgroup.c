/* sandbox/cgroup*.c: which groups are found and chosen, and how this process arranges itself in
 * them, without a kernel's groups. */
#include "tests/unit/fake_cgroup.h"

static void v1_makes_a_group_in_every_hierarchy(void **state)
{
	(void)state;
	a_v1_host();
	struct cgroup_host *h = open_as("v1");
	struct cgroup *c = make(h, 1 << 20, 7);
	check("cg/my memory", "/box-job/memory.limit_in_bytes", "1048576");
	check("cg/my memory", "/box-job/memory.memsw.limit_in_bytes", "1048576");
	check("cg/my memory", "/box-job/memory.swappiness", "60\n");
	check("cg/pids/user/a b:c", "/box-job/pids.max", "7");
	assert_int_equal(cgroup_clone_fd(c), -1);
	end(h, c);
	auto_free char *left = own_name("cg/freezer", "");
	assert_false(there(left));
}

static void a_hierarchy_that_cannot_be_written_is_left_out(void **state)
{
	(void)state;
	struct cgroup_counts n;
	a_v1_host();
	put("proc/cgroup", "4:memory:/gone (deleted)\n8:pids:/user/a b:c\n6:freezer:/../up\n");
	struct cgroup_host *h = open_as("v1");
	struct cgroup *c = make(h, 4096, 7);
	cgroup_read(c, &n);
	assert_false(n.has_memory);
	assert_false(n.has_cpu);
	assert_true(n.has_processes);
	end(h, c);
}

static void v2_with_both_controllers_is_preferred_to_v1(void **state)
{
	(void)state;
	a_v1_host();
	a_v2_host();
	put("proc/cgroup", V1_GROUPS "0::/svc\n");
	put("proc/mountinfo", V1_MOUNTS V2_MOUNT);
	cgroup_host_close(open_as("v2"));
	put("cg2/svc/cgroup.controllers", "cpu io pids\n");
	fake.files = v1_files;
	cgroup_host_close(open_as("v1"));
	put("proc/cgroup", "0::/svc\n");
	fake.files = v2_files;
	cgroup_host_close(open_as("v2"));
}

static void v2_steps_down_into_a_leaf_and_back(void **state)
{
	(void)state;
	auto_free char *pid = own_fmt("%d", (int)getpid());
	a_v2_host();
	struct cgroup_host *h = open_as("v2");
	check("cg2/svc", "/supervisor/cgroup.procs", pid);
	check("cg2/svc", "/cgroup.subtree_control", "+memory +pids");
	assert_string_equal(get("cg2/svc/cgroup.subtree_control"), "+memory +pids");
	struct cgroup *c = make(h, 1 << 20, 7);
	assert_true(cgroup_clone_fd(c) >= 0);
	check("cg2/svc", "/box-job/memory.max", "1048576");
	check("cg2/svc", "/box-job/memory.swap.max", "0");
	check("cg2/svc", "/box-job/memory.oom.group", "1");
	check("cg2/svc", "/box-job/pids.max", "7");
	end(h, c);
	assert_string_equal(get("cg2/svc/cgroup.subtree_control"), "-memory -pids");
	assert_string_equal(get("cg2/svc/cgroup.procs"), pid);
	auto_free char *left = own_name("cg2/svc", "");
	assert_false(there(left));
}

static void v2_moves_nobody_who_is_not_alone(void **state)
{
	(void)state;
	auto_free char *two = own_fmt("%d\n1\n", (int)getpid());
	a_v2_host();
	put("cg2/svc/cgroup.procs", two);
	cgroup_host_close(open_as("none"));
	put("cg2/svc/cgroup.procs", "0\n");
	cgroup_host_close(open_as("none"));
	assert_string_equal(text_str(&fake.writes), "");
	auto_free char *left = own_name("cg2/svc", "");
	assert_false(there(left));
}

static void v2_undoes_its_move_when_it_gets_no_controllers(void **state)
{
	(void)state;
	auto_free char *pid = own_fmt("%d", (int)getpid());
	a_v2_host();
	fake.refuse = "supervisor/cgroup.procs";
	fake.refuse_errno = EACCES;
	cgroup_host_close(open_as("none"));
	fake.refuse = "cgroup.subtree_control";
	fake.refuse_errno = EBUSY;
	cgroup_host_close(open_as("none"));
	auto_free char *left = own_name("cg2/svc", "");
	assert_false(there(left));
	assert_string_equal(get("cg2/svc/cgroup.procs"), pid);
}

static void v2_takes_cpu_and_io_where_they_are_to_be_had(void **state)
{
	(void)state;
	a_v2_host();
	put("cg2/svc/cgroup.controllers", "cpuset cpu io memory pids\n");
	struct cgroup_host *h = open_as("v2");
	check("cg2/svc", "/cgroup.subtree_control", "+memory +pids +cpu +io");
	assert_string_equal(get("cg2/svc/cgroup.subtree_control"), "+memory +pids +cpu +io");
	cgroup_host_close(h);
	/* others have switched on what is needed: what they have not is no reason to do without */
	put("cg2/svc/cgroup.subtree_control", "memory pids\n");
	put("cg2/svc/cgroup.procs", "1\n2\n");
	fake.refuse = "cgroup.subtree_control";
	fake.refuse_text = "+cpu +io";
	fake.refuse_errno = EBUSY;
	h = open_as("v2");
	check("cg2/svc", "/cgroup.subtree_control", "+memory +pids");
	cgroup_host_close(h);
}

static void v2_does_without_cpu_where_it_is_refused(void **state)
{
	(void)state;
	auto_free char *pid = own_fmt("%d\n", (int)getpid());
	a_v2_host();
	put("cg2/svc/cgroup.controllers", "cpu memory pids\n");
	put("cg2/svc/cgroup.procs", pid);
	fake.refuse = "cgroup.subtree_control";
	fake.refuse_text = "+memory +pids +cpu";
	fake.refuse_errno = EINVAL;
	struct cgroup_host *h = open_as("v2");
	check("cg2/svc", "/cgroup.subtree_control", "+memory +pids");
	struct cgroup *c = make(h, 0, 0);
	struct cgroup_counts n;
	cgroup_read(c, &n);
	assert_true(n.has_memory && n.has_processes);
	assert_false(n.has_quota);
	end(h, c);
}

static void v2_does_not_move_at_the_root_or_where_controllers_are_given(void **state)
{
	(void)state;
	a_v2_host();
	put("cg2/svc/cgroup.subtree_control", "cpu memory pids\n");
	put("cg2/svc/cgroup.procs", "1\n2\n");
	cgroup_host_close(open_as("v2"));
	put("cg2/svc/cgroup.subtree_control", "");
	drop("cg2/svc/cgroup.type");
	cgroup_host_close(open_as("v2"));
	assert_null(strstr(text_str(&fake.writes), "cgroup.procs"));
}

static void a_threaded_v2_group_is_not_used(void **state)
{
	(void)state;
	a_v2_host();
	put("cg2/svc/cgroup.type", "threaded\n");
	cgroup_host_close(open_as("none"));
}

static void root_uses_v2_under_systemd_only_where_it_is_marked(void **state)
{
	(void)state;
	a_v2_host();
	put("systemd/x", "");
	if (geteuid()) {
		cgroup_host_close(open_as("v2"));
		return;
	}
	cgroup_host_close(open_as("none"));
	auto_free char *path = own_fmt("%s/cg2/svc", fake.top);
	if (setxattr(path, "trusted.delegate", "1", 1, 0))
		skip();
	cgroup_host_close(open_as("v2"));
}

static void a_child_of_a_supervisor_makes_its_group_beside_it(void **state)
{
	(void)state;
	a_v2_host();
	put("proc/cgroup", "0::/svc/assay-0.12/supervisor\n");
	put_group("cg2/svc/assay-0.12/supervisor", v2_files);
	put("cg2/svc/cgroup.subtree_control", "memory pids\n");
	struct cgroup_host *h = open_as("v2");
	auto_free char *group = own_name("cg2/svc", "");
	assert_true(there(group));
	cgroup_host_close(h);
	put("proc/cgroup", "0::/svc/assay-0.x/supervisor\n");
	cgroup_host_close(open_as("none"));
}

static void a_mount_of_a_part_shows_what_is_below_it(void **state)
{
	(void)state;
	a_v1_host();
	put("proc/cgroup", "8:pids:/docker/abc/user/a b:c\n");
	put("proc/mountinfo", "39 31 0:36 /docker/abc /cg/pids ro - cgroup cgroup rw,pids\n");
	cgroup_host_close(open_as("v1"));
	put("proc/cgroup", "8:pids:/docker/abcd\n");
	cgroup_host_close(open_as("none"));
	put("proc/cgroup", "8:pids:/\n");
	cgroup_host_close(open_as("none"));
	put("proc/cgroup", "8:pids:/../../x\n");
	put("proc/mountinfo", "39 31 0:36 / /cg/pids ro - cgroup cgroup rw,pids\n");
	cgroup_host_close(open_as("none"));
}

static void the_later_of_two_mounts_is_used(void **state)
{
	(void)state;
	a_v1_host();
	put("proc/cgroup", "6:freezer:/\n");
	put("proc/mountinfo", "37 31 0:34 / /cg/freezer rw - cgroup cgroup rw,freezer\n"
			      "38 31 0:34 / /later rw - cgroup cgroup rw,freezer\n"
			      "38 31 0:34 / /absent rw - cgroup cgroup rw,freezer\n");
	put("later/x", "");
	struct cgroup_host *h = open_as("v1");
	auto_free char *later = own_name("later", ""), *earlier = own_name("cg/freezer", "");
	assert_true(there(later));
	assert_false(there(earlier));
	cgroup_host_close(h);
}

static void no_proc_means_no_groups(void **state)
{
	(void)state;
	struct err e = ERR_INIT;
	struct cgroup_counts n;
	struct cgroup_host *h = open_as("none");
	struct cgroup *c = make(h, 4096, 7);
	assert_int_equal(cgroup_clone_fd(c), -1);
	cgroup_kill(c);
	cgroup_read(c, &n);
	assert_false(n.has_memory || n.has_processes || n.has_cpu);
	end(h, c);
	assert_int_equal(cgroup_sweep_in(&world, "n", 0, &e), 0);
	cgroup_host_close(NULL);
	assert_int_equal(cgroup_remove(NULL, &e), 0);
}

/* Every beginning of both files, every byte of them replaced: something is found or not, nothing
 * breaks. */
static void odd_files_of_proc_do_no_harm(void **state)
{
	(void)state;
	a_v1_host();
	static const char *const texts[] = {V1_GROUPS "0::/svc/a.1/supervisor\n",
					    V1_MOUNTS V2_MOUNT};
	static const char *const files[] = {"proc/cgroup", "proc/mountinfo"};
	static const char odd[] = {' ', ':', '\n', '/', '\\', '-', '.', '\377', 0};
	for (size_t t = 0; t < countof(texts); t++) {
		put(files[0], texts[0]);
		put(files[1], texts[1]);
		for (size_t cut = 0; texts[t][cut]; cut++) {
			struct cgroup_places p;
			struct err e = ERR_INIT;
			auto_free char *text = own_dup(texts[t]);
			text[cut] = odd[cut % sizeof(odd)];
			put(files[t], text);
			assert_int_equal(cgroup_find(&world, &p, &e), 0);
			cgroup_places_close(&p);
		}
	}
	for (size_t i = 0; i < countof(files); i++)
		put(files[i], "\n::\n0::\n:::::\n/ \n1 2 3 4 5 6 -\n1 2 3 4 5 6 - cgroup\n1 2 3 / "
			      "/ - cgroup2 a b\n\\04");
	cgroup_host_close(open_as("none"));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(v1_makes_a_group_in_every_hierarchy),
		TEST(a_hierarchy_that_cannot_be_written_is_left_out),
		TEST(v2_with_both_controllers_is_preferred_to_v1),
		TEST(v2_steps_down_into_a_leaf_and_back),
		TEST(v2_moves_nobody_who_is_not_alone),
		TEST(v2_undoes_its_move_when_it_gets_no_controllers),
		TEST(v2_takes_cpu_and_io_where_they_are_to_be_had),
		TEST(v2_does_without_cpu_where_it_is_refused),
		TEST(v2_does_not_move_at_the_root_or_where_controllers_are_given),
		TEST(a_threaded_v2_group_is_not_used),
		TEST(root_uses_v2_under_systemd_only_where_it_is_marked),
		TEST(a_child_of_a_supervisor_makes_its_group_beside_it),
		TEST(a_mount_of_a_part_shows_what_is_below_it),
		TEST(the_later_of_two_mounts_is_used),
		TEST(no_proc_means_no_groups),
		TEST(odd_files_of_proc_do_no_harm),
	};
	return cmocka_run_group_tests_name("sandbox/cgroup", tests, NULL, NULL);
}
