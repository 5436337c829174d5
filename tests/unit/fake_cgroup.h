/* A tree of plain files that behaves like cgroupfs as far as sandbox/cgroup*.c and sweep.c can
 * tell, for the tests of them. */
#pragma once
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
	{"memory.failcnt", "7\n"},
	{"memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n"},
	{"memory.swappiness", "60\n"},
	{"pids.max", "max\n"},
	{"pids.events", "max 0\n"},
	{"cpuacct.usage", "0\n"},
	{"cpuacct.usage_user", "0\n"},
	{"cpu.cfs_period_us", "100000\n"},
	{"cpu.cfs_quota_us", "-1\n"},
	{"cpu.stat", "nr_periods 0\nnr_throttled 0\nthrottled_time 0\n"},
	{"pids.current", "0\n"},
	{"pids.peak", "0\n"},
	{"freezer.state", "THAWED\n"},
	{NULL, NULL},
};

static const struct file v2_files[] = {
	{"cgroup.max.depth", "max\n"},
	{"cgroup.max.descendants", "max\n"},
	{"cgroup.procs", ""},
	{"cgroup.type", "domain\n"},
	{"cgroup.controllers", "memory pids\n"},
	{"cgroup.subtree_control", ""},
	{"cgroup.kill", ""},
	{"memory.max", "max\n"},
	{"memory.swap.max", "max\n"},
	{"memory.oom.group", "0\n"},
	{"memory.peak", "0\n"},
	{"memory.events", "low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\n"},
	{"pids.max", "max\n"},
	{"pids.events", "max 0\n"},
	{"cpu.stat", "usage_usec 0\nuser_usec 0\nsystem_usec 0\n"},
	{"cpu.max", "max 100000\n"},
	{"io.stat", ""},
	{"memory.pressure", "some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"},
	{"cpu.pressure", "some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"},
	{"io.pressure", "some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"},
	{"pids.current", "0\n"},
	{"pids.peak", "0\n"},
	{NULL, NULL},
};

static struct {
	char top[64], self[80], systemd[80];
	int fd;
	const struct file *files; /* of directories made from now on */
	const char *refuse;       /* writes to this file fail with refuse_errno */
	const char *refuse_text;  /* only of this text; NULL: of any */
	int refuse_errno;
	struct text writes; /* "file=text " in order */
} fake;

static inline void put(const char *path, const char *content)
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

static inline void put_group(const char *path, const struct file *files)
{
	for (const struct file *f = files; f->name; f++) {
		auto_free char *name = own_fmt("%s/%s", path, f->name);
		put(name, f->content);
	}
}

static inline const char *get(const char *path)
{
	static char buf[512];
	auto_fd int fd = openat(fake.fd, path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, sizeof(buf) - 1);
	buf[n < 0 ? 0 : n] = 0;
	return n < 0 ? "(absent)" : buf;
}

static inline bool there(const char *path)
{
	return !faccessat(fake.fd, path, F_OK, 0);
}

static inline void drop(const char *path)
{
	assert_int_equal(unlinkat(fake.fd, path, 0), 0);
}

static inline bool fake_is_cgroupfs(int fd, int version)
{
	(void)fd, (void)version;
	return true;
}

static inline int fake_make(int dirfd, const char *name)
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
static inline int fake_remove(int dirfd, const char *name)
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

static inline int fake_write(int dirfd, const char *file, const char *text)
{
	text_addf(&fake.writes, "%s=%s ", file, text);
	if (fake.refuse && !strcmp(file, fake.refuse) &&
	    (!fake.refuse_text || !strcmp(text, fake.refuse_text))) {
		errno = fake.refuse_errno;
		return -1;
	}
	if (!strcmp(text, "THAWED")) { /* whoever was killed is gone */
		auto_fd int procs = openat(dirfd, "cgroup.procs", O_WRONLY | O_TRUNC | O_CLOEXEC);
		assert_true(procs >= 0);
	}
	auto_fd int fd = openat(dirfd, file, O_WRONLY | O_TRUNC | O_CLOEXEC);
	/* What is written is a line of what is read. */
	if (!strcmp(file, "memory.oom_control"))
		return fd < 0 ? -1
			      : dprintf(fd, "oom_kill_disable %s\nunder_oom 0\noom_kill 0\n",
					text) < 0;
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

static inline int set_up(void **state)
{
	(void)state;
	fake.refuse = fake.refuse_text = NULL;
	snprintf(fake.top, sizeof(fake.top), "/tmp/assay-cgroup-XXXXXX");
	if (!mkdtemp(fake.top))
		return -1;
	snprintf(fake.self, sizeof(fake.self), "%s/proc", fake.top);
	snprintf(fake.systemd, sizeof(fake.systemd), "%s/systemd", fake.top);
	fake.fd = open(fake.top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fake.fd < 0;
}

static inline int tear_down(void **state)
{
	(void)state;
	struct err e;
	auto_fd int root = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	text_fini(&fake.writes);
	close(fake.fd);
	return dir_remove(root, fake.top + 1, &e);
}

static inline char *own_name(const char *above, const char *below)
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

static inline void a_v1_host(void)
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
static inline void a_v2_host(void)
{
	auto_free char *pid = own_fmt("%d\n", (int)getpid());
	put("proc/cgroup", "0::/svc\n");
	put("proc/mountinfo", V2_MOUNT);
	put_group("cg2/svc", v2_files);
	put("cg2/svc/cgroup.procs", pid);
	fake.files = v2_files;
}

static inline struct cgroup_host *open_as(const char *kind)
{
	struct err e = ERR_INIT;
	struct cgroup_host *h = cgroup_host_open_in(&world, "n", &e);
	assert_string_equal(e.text, "");
	assert_non_null(h);
	assert_string_equal(cgroup_host_kind(h), kind);
	return h;
}

static inline struct cgroup *make(struct cgroup_host *h, uint64_t memory, uint64_t processes)
{
	struct err e = ERR_INIT;
	struct cgroup *c =
		cgroup_make(h, "job",
			    &(struct cgroup_limits){.memory = memory, .processes = processes}, &e);
	assert_string_equal(e.text, "");
	assert_non_null(c);
	return c;
}

static inline void end(struct cgroup_host *h, struct cgroup *c)
{
	struct err e;
	assert_int_equal(cgroup_remove(c, &e), 0);
	cgroup_host_close(h);
}

static inline void check(const char *above, const char *below, const char *content)
{
	auto_free char *path = own_name(above, below);
	assert_string_equal(get(path), content);
}

static inline void fill(const char *above, const char *below, const char *content)
{
	auto_free char *path = own_name(above, below);
	put(path, content);
}

static inline pid_t sleeper(void)
{
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		for (;;)
			pause();
	}
	return pid;
}

static inline void assert_killed(pid_t pid)
{
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGKILL);
}
