/* sandbox/cgroup*.c and sweep.c on a tree of plain files: what is found, chosen, written and
 * undone, without a kernel's groups. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/dir.h"
#include "sandbox/cgroup_inside.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>

/* What a new directory has in it. */
struct file {
	const char *name, *content;
};

static const struct file v1_files[] = {
	{"cgroup.procs", ""},
	{"memory.limit_in_bytes", "9223372036854771712\n"},
	{"memory.memsw.limit_in_bytes", "9223372036854771712\n"},
	{"memory.max_usage_in_bytes", "0\n"},
	{"memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n"},
	{"memory.swappiness", "60\n"},
	{"pids.max", "max\n"},
	{"pids.events", "max 0\n"},
	{"cpuacct.usage", "0\n"},
	{"cpuacct.usage_user", "0\n"},
	{"freezer.state", "THAWED\n"},
	{NULL, NULL},
};

static const struct file v2_files[] = {
	{"cgroup.procs", ""},
	{"cgroup.type", "domain\n"},
	{"cgroup.controllers", "memory pids\n"},
	{"cgroup.subtree_control", ""},
	{"cgroup.events", "populated 0\nfrozen 0\n"},
	{"cgroup.kill", ""},
	{"memory.max", "max\n"},
	{"memory.swap.max", "max\n"},
	{"memory.oom.group", "0\n"},
	{"memory.peak", "0\n"},
	{"memory.events", "low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\n"},
	{"pids.max", "max\n"},
	{"pids.events", "max 0\n"},
	{"cpu.stat", "usage_usec 0\nuser_usec 0\nsystem_usec 0\n"},
	{NULL, NULL},
};

static struct {
	char top[64], self[80], systemd[80];
	int fd;
	const struct file *files; /* of directories made from now on */
	const char *refuse;       /* writes to this file fail with refuse_errno */
	int refuse_errno;
	struct text writes; /* "file=text " in order */
} fake;

static void put(const char *path, const char *content)
{
	struct err e;
	const char *slash = strrchr(path, '/');
	auto_free char *parent = own_dup_n(path, (size_t)(slash - path));
	auto_fd int dir = dir_make(fake.fd, parent, 0755, &e);
	assert_true(dir >= 0);
	auto_fd int fd = openat(dir, slash + 1, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(dir_write_all(fd, content, strlen(content)), 0);
}

static void put_group(const char *path, const struct file *files)
{
	for (const struct file *f = files; f->name; f++) {
		auto_free char *name = own_fmt("%s/%s", path, f->name);
		put(name, f->content);
	}
}

static const char *get(const char *path)
{
	static char buf[512];
	auto_fd int fd = openat(fake.fd, path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, sizeof(buf) - 1);
	buf[n < 0 ? 0 : n] = 0;
	return n < 0 ? "(absent)" : buf;
}

static bool there(const char *path)
{
	return !faccessat(fake.fd, path, F_OK, 0);
}

static void drop(const char *path)
{
	assert_int_equal(unlinkat(fake.fd, path, 0), 0);
}

static bool fake_is_cgroupfs(int fd, int version)
{
	(void)fd, (void)version;
	return true;
}

static int fake_make(int dirfd, const char *name)
{
	if (mkdirat(dirfd, name, 0755))
		return -1;
	auto_fd int dir = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (const struct file *f = fake.files; f->name; f++) {
		auto_fd int fd = openat(dir, f->name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
		assert_int_equal(dir_write_all(fd, f->content, strlen(f->content)), 0);
	}
	return 0;
}

/* As the kernel: files go by themselves, groups below do not. */
static int fake_remove(int dirfd, const char *name)
{
	auto_fd int dir = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return -1;
	for (const struct file *const *t = (const struct file *const[]){v1_files, v2_files, NULL};
	     *t; t++)
		for (const struct file *f = *t; f->name; f++)
			unlinkat(dir, f->name, 0);
	if (!unlinkat(dirfd, name, AT_REMOVEDIR))
		return 0;
	errno = errno == ENOTEMPTY ? EBUSY : errno;
	return -1;
}

static int fake_write(int dirfd, const char *file, const char *text)
{
	text_addf(&fake.writes, "%s=%s ", file, text);
	if (fake.refuse && !strcmp(file, fake.refuse)) {
		errno = fake.refuse_errno;
		return -1;
	}
	if (!strcmp(text, "THAWED")) { /* whoever was killed is gone */
		auto_fd int procs = openat(dirfd, "cgroup.procs", O_WRONLY | O_TRUNC | O_CLOEXEC);
		assert_true(procs >= 0);
	}
	auto_fd int fd = openat(dirfd, file, O_WRONLY | O_TRUNC | O_CLOEXEC);
	return fd < 0 ? -1 : dir_write_all(fd, text, strlen(text));
}

static struct cgroup_world world = {
	.self = fake.self,
	.prefix = fake.top,
	.systemd = fake.systemd,
	.is_cgroupfs = fake_is_cgroupfs,
	.make = fake_make,
	.remove = fake_remove,
	.write = fake_write,
};

static int set_up(void **state)
{
	(void)state;
	fake.refuse = NULL;
	snprintf(fake.top, sizeof(fake.top), "/tmp/assay-cgroup-XXXXXX");
	if (!mkdtemp(fake.top))
		return -1;
	snprintf(fake.self, sizeof(fake.self), "%s/proc", fake.top);
	snprintf(fake.systemd, sizeof(fake.systemd), "%s/systemd", fake.top);
	fake.fd = open(fake.top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fake.fd < 0;
}

static int tear_down(void **state)
{
	(void)state;
	struct err e;
	auto_fd int root = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	text_fini(&fake.writes);
	close(fake.fd);
	return dir_remove(root, fake.top + 1, &e);
}

static char *own_name(const char *above, const char *below)
{
	return own_fmt("%s/n.%d%s", above, (int)getpid(), below);
}

#define V1_GROUPS                                                                                  \
	"9:name=systemd:/\n8:pids:/user/a "                                                        \
	"b:c\n5:devices:/\n4:memory:/\n6:freezer:/\n1:cpu,cpuacct:/\n"
#define V1_MOUNTS                                                                                  \
	"27 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n"                                          \
	"35 31 0:32 / /cg/my\\040memory rw,relatime shared:9 master:1 - cgroup cgroup rw,memory\n" \
	"39 31 0:36 / /cg/pids rw,relatime - cgroup cgroup rw,pids\n"                              \
	"37 31 0:34 / /cg/freezer rw - cgroup cgroup rw,freezer\n"                                 \
	"33 31 0:30 / /cg/cpu rw,relatime - cgroup  rw,cpu,cpuacct\n"                              \
	"40 31 0:37 / /cg/systemd rw,relatime - cgroup cgroup rw,name=systemd\n"
#define V2_MOUNT "41 31 0:38 / /cg2 rw,relatime - cgroup2 cgroup2 rw,nsdelegate\n"

static void a_v1_host(void)
{
	put("proc/cgroup", V1_GROUPS "0::/\n");
	put("proc/mountinfo", V1_MOUNTS V2_MOUNT);
	put_group("cg/my memory", v1_files);
	put_group("cg/pids/user/a b:c", v1_files);
	put_group("cg/freezer", v1_files);
	put_group("cg/cpu", v1_files);
	put("cg2/cgroup.controllers", "hugetlb\n");
	put("cg2/cgroup.subtree_control", "");
	fake.files = v1_files;
}

/* This process is alone in /svc. */
static void a_v2_host(void)
{
	auto_free char *pid = own_fmt("%d\n", (int)getpid());
	put("proc/cgroup", "0::/svc\n");
	put("proc/mountinfo", V2_MOUNT);
	put_group("cg2/svc", v2_files);
	put("cg2/svc/cgroup.procs", pid);
	fake.files = v2_files;
}

static struct cgroup_host *open_as(const char *kind)
{
	struct err e = ERR_INIT;
	struct cgroup_host *h = cgroup_host_open_in(&world, "n", &e);
	assert_string_equal(e.text, "");
	assert_non_null(h);
	assert_string_equal(cgroup_host_kind(h), kind);
	return h;
}

static struct cgroup *make(struct cgroup_host *h, uint64_t memory, uint64_t processes)
{
	struct err e = ERR_INIT;
	struct cgroup *c = cgroup_make(h, "job", &(struct cgroup_limits){memory, processes}, &e);
	assert_string_equal(e.text, "");
	assert_non_null(c);
	return c;
}

static void end(struct cgroup_host *h, struct cgroup *c)
{
	struct err e;
	assert_int_equal(cgroup_remove(c, &e), 0);
	cgroup_host_close(h);
}

static void check(const char *above, const char *below, const char *content)
{
	auto_free char *path = own_name(above, below);
	assert_string_equal(get(path), content);
}

static void v1_makes_a_group_in_every_hierarchy(void **state)
{
	(void)state;
	struct err e;
	a_v1_host();
	struct cgroup_host *h = open_as("v1");
	struct cgroup *c = make(h, 1 << 20, 7);
	check("cg/my memory", "/box-job/memory.limit_in_bytes", "1048576");
	check("cg/my memory", "/box-job/memory.memsw.limit_in_bytes", "1048576");
	check("cg/my memory", "/box-job/memory.swappiness", "60\n");
	check("cg/pids/user/a b:c", "/box-job/pids.max", "7");
	assert_int_equal(cgroup_clone_fd(c), -1);
	assert_int_equal(cgroup_add(c, 4711, &e), 0);
	check("cg/my memory", "/box-job/cgroup.procs", "4711");
	check("cg/pids/user/a b:c", "/box-job/cgroup.procs", "4711");
	check("cg/freezer", "/box-job/cgroup.procs", "4711");
	check("cg/cpu", "/box-job/cgroup.procs", "4711");
	end(h, c);
	auto_free char *left = own_name("cg/freezer", "");
	assert_false(there(left));
}

static void no_limit_writes_no_limit(void **state)
{
	(void)state;
	a_v1_host();
	struct cgroup_host *h = open_as("v1");
	struct cgroup *c = make(h, 0, 0);
	assert_string_equal(text_str(&fake.writes), "");
	end(h, c);
}

static void v1_without_counted_swap_does_not_swap(void **state)
{
	(void)state;
	static struct file files[countof(v1_files)];
	size_t n = 0;
	a_v1_host();
	for (const struct file *f = v1_files; f->name; f++)
		if (strcmp(f->name, "memory.memsw.limit_in_bytes"))
			files[n++] = *f;
	fake.files = files;
	struct cgroup_host *h = open_as("v1");
	struct cgroup *c = make(h, 4096, 0);
	check("cg/my memory", "/box-job/memory.swappiness", "0");
	end(h, c);
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
	assert_int_equal(cgroup_add(c, 4711, &e), 0);
	assert_int_equal(cgroup_clone_fd(c), -1);
	assert_true(cgroup_empty(c));
	cgroup_kill(c);
	cgroup_read(c, &n);
	assert_false(n.has_memory || n.has_processes || n.has_cpu);
	end(h, c);
	assert_int_equal(cgroup_sweep_in(&world, "n", &e), 0);
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

static void names_that_are_no_names_are_refused(void **state)
{
	(void)state;
	static const char *const bad[] = {"", "a b", "../x", "a/b", "é"};
	a_v1_host();
	struct cgroup_host *h = open_as("v1");
	for (size_t i = 0; i < countof(bad); i++) {
		struct err e = ERR_INIT;
		assert_null(cgroup_make(h, bad[i], &(struct cgroup_limits){0}, &e));
		assert_int_equal(e.kind, ERR_USAGE);
		assert_null(cgroup_host_open_in(&world, bad[i], &e));
	}
	struct err e;
	struct cgroup *c = cgroup_make(h, "tasks", &(struct cgroup_limits){0}, &e);
	assert_non_null(c);
	assert_null(cgroup_make(h, "tasks", &(struct cgroup_limits){0}, &e));
	assert_int_equal(e.sys, EEXIST);
	assert_int_equal(cgroup_add(c, 0, &e), -1);
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
	assert_null(cgroup_make(h, "job", &(struct cgroup_limits){4096, 7}, &e));
	assert_int_equal(e.sys, EINVAL);
	assert_non_null(strstr(e.text, "pids.max"));
	auto_free char *left = own_name("cg/my memory", "/box-job");
	assert_false(there(left));
	cgroup_host_close(h);
}

static void fill(const char *above, const char *below, const char *content)
{
	auto_free char *path = own_name(above, below);
	put(path, content);
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
	fill("cg2/svc", "/box-job/cgroup.events", "populated 1\nfrozen 0\n");
	assert_false(cgroup_empty(c));
	end(h, c);
}

static pid_t sleeper(void)
{
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		for (;;)
			pause();
	}
	return pid;
}

static void assert_killed(pid_t pid)
{
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGKILL);
}

/* The list has outsiders (0), this process, and nonsense; only the box's own die. */
static void v1_kills_between_freezing_and_thawing(void **state)
{
	(void)state;
	pid_t one = sleeper(), two = sleeper();
	auto_free char *list = own_fmt("0\n%d\n%d\n99999999999999999999\nx\n%d\n", (int)one,
				       (int)getpid(), (int)two);
	a_v1_host();
	struct cgroup_host *h = open_as("v1");
	struct cgroup *c = make(h, 0, 0);
	assert_true(cgroup_empty(c));
	fill("cg/freezer", "/box-job/cgroup.procs", list);
	assert_false(cgroup_empty(c));
	cgroup_kill(c);
	assert_killed(one);
	assert_killed(two);
	assert_string_equal(text_str(&fake.writes), "freezer.state=FROZEN freezer.state=THAWED ");
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

/* A second sandbox of one process, and what an earlier owner of our pid left, do not meet. */
static void one_process_may_open_twice(void **state)
{
	(void)state;
	struct err e;
	a_v1_host();
	struct cgroup_host *one = open_as("v1"), *two = open_as("v1");
	auto_free char *second = own_name("cg/freezer", "-1");
	assert_true(there(second));
	assert_int_equal(cgroup_sweep_in(&world, "n", &e), 0);
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
	assert_int_equal(cgroup_sweep_in(&world, "n", &e), 0);
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
	assert_int_equal(cgroup_sweep_in(&world, "n", &e), 0);
	assert_killed(child);
	assert_false(there(box));
	assert_non_null(strstr(text_str(&fake.writes), "freezer.state=THAWED"));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(v1_makes_a_group_in_every_hierarchy),
		TEST(no_limit_writes_no_limit),
		TEST(v1_without_counted_swap_does_not_swap),
		TEST(a_hierarchy_that_cannot_be_written_is_left_out),
		TEST(v2_with_both_controllers_is_preferred_to_v1),
		TEST(v2_steps_down_into_a_leaf_and_back),
		TEST(v2_moves_nobody_who_is_not_alone),
		TEST(v2_undoes_its_move_when_it_gets_no_controllers),
		TEST(v2_does_not_move_at_the_root_or_where_controllers_are_given),
		TEST(a_threaded_v2_group_is_not_used),
		TEST(root_uses_v2_under_systemd_only_where_it_is_marked),
		TEST(a_child_of_a_supervisor_makes_its_group_beside_it),
		TEST(a_mount_of_a_part_shows_what_is_below_it),
		TEST(the_later_of_two_mounts_is_used),
		TEST(no_proc_means_no_groups),
		TEST(odd_files_of_proc_do_no_harm),
		TEST(names_that_are_no_names_are_refused),
		TEST(a_limit_that_is_refused_leaves_no_group),
		TEST(v1_counts_are_read),
		TEST(v2_counts_are_read),
		TEST(v1_kills_between_freezing_and_thawing),
		TEST(v2_without_cgroup_kill_signals_each),
		TEST(one_process_may_open_twice),
		TEST(the_sweep_takes_what_the_dead_left_and_nothing_else),
		TEST(the_sweep_kills_what_is_left_in_a_group),
	};
	return cmocka_run_group_tests_name("sandbox/cgroup", tests, NULL, NULL);
}
