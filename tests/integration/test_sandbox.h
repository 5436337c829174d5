/* What the integration tests of the sandbox share: a loop, a sandbox, boxes described in a line or
 * two, and what came of them. */
#pragma once
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include "try_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>

#define TRY_MOUNTS 16
#define TRY_FILES 8
#define TRY_WALL_MS 250000                   /* of a box that is to end by itself */
#define TRY_MINUTES_NS INT64_C(240000000000) /* for what is over at once where there is time */

/* One box, as a test says it and as it went. */
struct
try {
	struct box_spec spec;
	struct box_mount mounts[TRY_MOUNTS];
	struct box_file files[TRY_FILES];
	int lowers[TRY_MOUNTS][64];
	char *argv[8];

	struct box *box;
	struct text out; /* all of its output */
	struct box_facts facts;
	char *processes;  /* facts.processes, owned */
	char profile[64]; /* facts.profile */
	int64_t ended_ns;
	unsigned ends;
	bool keep_output; /* false: count only */
	uint64_t bytes;
	void (*on_terminal)(void *owner, int fd);       /* NULL: as without */
	void (*on_output)(const void *bytes, size_t n); /* besides, or NULL */
};

/* Who a box's callbacks come to: what is left of a test that has ended before its box did. */
struct try_owner {
	struct try *t; /* NULL then */
	struct box *box;
	struct try_owner *next;
};
static struct try_owner *try_owners;

static uv_loop_t try_loop;
static struct sandbox *try_sandbox;
static enum box_ids try_ids; /* of the sandbox */

static char *try_env[] = {(char[]){"PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"},
			  (char[]){"HOME=/root"}, NULL};

/* What can't hold for a box that an engine made, by test, and why. */
static const struct {
	const char *test, *executors, *why;
} try_exceptions[] = {
	{"pid_1_s_descriptors_are_not_even_listed", "crun runc podman",
	 "pid 1 was executed in the box's user namespace, whose root owns its /proc files "
	 "(proc(5)); their contents stay closed"},
	{"pid_1_s_descriptors_are_no_working_directory", "crun runc podman",
	 "the same: /proc/1/fd can be entered"},
};

/* At the beginning of a test with an exception: skipped where it is one. */
#define try_excepted() try_excepted_of(__func__)
static inline void try_excepted_of(const char *test)
{
	const char *executor = getenv("ASSAY_EXECUTOR");
	for (size_t i = 0; executor && i < countof(try_exceptions); i++)
		if (!strcmp(try_exceptions[i].test, test) &&
		    strstr(try_exceptions[i].executors, executor)) {
			print_message("%s: %s\n", executor, try_exceptions[i].why);
			skip();
		}
}

/* How many times as long as alone whoever works takes here just now, 1 at the least: by what a
 * little work takes, relative to the quickest that any took, which nothing was in the way of. A
 * bound on a time is multiplied by it: where nobody else works it is what it says. */
static inline double try_crowding(void)
{
	enum { PIECES = 1000, WORK = 50000 }; /* each less than a turn, all of them many */
	static int64_t best = INT64_MAX;
	int64_t all = 0;
	for (int i = 0; i < PIECES; i++) {
		int64_t began = clock_mono_ns();
		for (volatile int k = 0; k < WORK; k++)
			;
		int64_t took = clock_mono_ns() - began;
		best = took < best ? took : best;
		all += took;
	}
	double times = (double)all / (double)best / PIECES;
	return times < 1 ? 1 : times;
}

/* User Mode Linux: to start a program takes a hundredth of a processor, and time is counted in
 * ticks.
 */
static inline bool try_slow_kernel(void)
{
	struct err ignored = ERR_INIT;
	auto_text struct text t = TEXT_INIT;
	auto_fd int fd = open("/proc/cpuinfo", O_RDONLY | O_CLOEXEC);
	return fd >= 0 && !dir_read_fd(fd, 1 << 20, &t, &ignored) &&
	       strstr(text_str(&t), "User Mode Linux");
}

/* As where systemd runs: every mount of the host is shared with its copies (mount_namespaces(7)).
 * Root only; in a namespace of this program's. */
static inline void try_share_mounts(void)
{
	static bool done;
	if (!done && !unshare(CLONE_NEWNS) && !mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		mount(NULL, "/", NULL, MS_REC | MS_SHARED, NULL);
	done = true;
}

static inline int try_write_proc(const char *path, const char *text)
{
	auto_fd int fd = open(path, O_WRONLY | O_CLOEXEC);
	return fd < 0 ? -1 : dir_write_all(fd, text, strlen(text));
}

/* Into a mount namespace of this process's own, as an ordinary user in a user namespace too; before
 * there is a thread. What is mounted then nobody else sees. */
static inline int try_own_mounts(void)
{
	char uid[32], gid[32];
	bool root = !geteuid();
	const char *executor = getenv("ASSAY_EXECUTOR");
	if (executor && !strcmp(executor, "docker")) { /* its daemon stays where it is */
		errno = ENOTSUP;
		return -1;
	}
	snprintf(uid, sizeof(uid), "0 %u 1", geteuid());
	snprintf(gid, sizeof(gid), "0 %u 1", getegid());
	if (unshare((root ? 0 : CLONE_NEWUSER) | CLONE_NEWNS))
		return -1;
	if (!root && (try_write_proc("/proc/self/setgroups", "deny") ||
		      try_write_proc("/proc/self/uid_map", uid) ||
		      try_write_proc("/proc/self/gid_map", gid)))
		return -1;
	return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
}

static inline int try_setup(void **state)
{
	try_share_mounts();
	struct err e = ERR_INIT;
	struct sandbox_conf conf = {.helper = getenv("ASSAY_BOX") ? getenv("ASSAY_BOX") : ASSAY_BOX,
				    .executor = getenv("ASSAY_EXECUTOR"),
				    .ids = try_ids,
				    .slots = 4,
				    .name = TRY_NAME,
				    .verbose = getenv("VERBOSE") && *getenv("VERBOSE"),
				    .uppers = try_dir,
				    .given = try_dir};
	(void)state;
	/* Every test as an ordinary user's with a range of ids, and as root's without idmapped
	 * mounts. */
	bool range = getenv("ASSAY_TEST_IDS") && !strcmp(getenv("ASSAY_TEST_IDS"), "range");
	if (range)
		conf.ids = BOX_IDS_RANGE;
	if (geteuid() ? !!getenv("ASSAY_BOX_IDMAP") : range) {
		print_message("[  SKIPPED ] %s\n", range ? "root's boxes have a range anyway"
							 : "only root's have idmapped mounts");
		exit(77);
	}
	if (try_dir_make())
		return -1;
	uv_loop_init(&try_loop);
	try_sandbox = sandbox_open(&try_loop, &conf, &e);
	if (!try_sandbox) {
		rmdir(try_dir);
		/* No range for this user: its tests say so. */
		if (strstr(e.text, "namespace") || strstr(e.text, "is not installed") ||
		    strstr(e.text, "subordinate ids")) {
			print_message("[  SKIPPED ] %s\n", e.text);
			exit(77);
		}
		print_error("%s\n", e.text);
		return -1;
	}
	return 0;
}

static inline void try_closed(void *owner)
{
	*(bool *)owner = true;
}

static inline bool try_kernel_before(int major, int minor)
{
	struct utsname kernel;
	int a = 0, b = 0;
	uname(&kernel);
	sscanf(kernel.release, "%d.%d", &a, &b);
	return a < major || (a == major && b < minor);
}

static inline int try_teardown(void **state)
{
	struct err e = ERR_INIT;
	bool closed = false;
	(void)state;
	if (!try_sandbox)
		return -1;
	sandbox_close(try_sandbox, try_closed, &closed);
	assert_false(closed);
	uv_run(&try_loop, UV_RUN_DEFAULT);
	assert_true(closed);
	assert_int_equal(uv_loop_close(&try_loop), 0);
	close(try_dir_fd);
	return try_remove(try_dir, &e);
}

static inline void try_on_output(void *owner, const void *bytes, size_t n)
{
	struct try *t = ((struct try_owner *)owner)->t;
	if (!t)
		return;
	assert_int_equal(t->ends, 0);
	t->bytes += n;
	if (t->keep_output)
		text_put(&t->out, bytes, n);
	if (t->on_output)
		t->on_output(bytes, n);
}

static inline void try_on_end(void *owner, const struct box_facts *facts)
{
	struct try_owner **at = &try_owners;
	while (*at != owner)
		at = &(*at)->next;
	*at = (*at)->next;
	struct try *t = ((struct try_owner *)owner)->t;
	free(owner);
	uv_stop(&try_loop); /* a timer's callback may have said it: the loop would go on to wait */
	if (!t)
		return;
	t->ends++;
	t->facts = *facts;
	t->processes = own_dup(facts->processes ? facts->processes : "");
	t->facts.processes = t->processes;
	snprintf(t->profile, sizeof(t->profile), "%s", facts->profile ? facts->profile : "");
	t->facts.profile = t->profile;
	t->ended_ns = clock_mono_ns();
	t->box = NULL;
}

static inline void try_on_terminal(void *owner, int fd)
{
	struct try *t = ((struct try_owner *)owner)->t;
	if (t)
		t->on_terminal(t, fd);
	else
		close(fd);
}

/* box_start, with t as what comes of it; t->box */
static inline struct box *try_begin(struct try *t, struct err *e)
{
	struct box_events events = {.on_output = try_on_output,
				    .on_end = try_on_end,
				    .on_terminal = t->on_terminal ? try_on_terminal : NULL};
	struct try_owner *owner = own_alloc(sizeof(*owner));
	*owner = (struct try_owner){t, NULL, try_owners};
	t->box = owner->box = box_start(try_sandbox, &t->spec, &events, owner, e);
	if (t->box)
		try_owners = owner;
	else
		free(owner);
	return t->box;
}

/* After each test: one that failed has left its boxes, and what they would tell of is gone. */
static inline int try_after(void **state)
{
	(void)state;
	for (struct try_owner *o = try_owners; o; o = o->next) {
		print_message("a box is left running: it is ended\n");
		o->t = NULL;
		box_cancel(o->box, false);
	}
	while (try_owners)
		uv_run(&try_loop, UV_RUN_ONCE);
	return 0;
}
#undef cmocka_unit_test
#define cmocka_unit_test(f) cmocka_unit_test_teardown(f, try_after)

/* A box with the host's programs, no network, running `sh -c script`. */
static inline void try_init(struct try *t, const char *script)
{
	*t = (struct try){.keep_output = true};
	static char sh[] = "/bin/sh", c[] = "-c";
	t->argv[0] = sh;
	t->argv[1] = c;
	t->argv[2] = own_dup(script);
	t->spec = (struct box_spec){
		.name = "test",
		.root_host = true,
		.mounts = t->mounts,
		.files = t->files,
		.argv = t->argv,
		.env = try_env,
		.cwd = "/",
		.hostname = "box",
		.limits = {.wall_ms = TRY_WALL_MS},
	};
}

static inline struct box_mount *try_mount(struct try *t, const char *path, enum box_mode mode)
{
	struct box_mount *m = &t->mounts[t->spec.n_mounts];
	*m = (struct box_mount){
		.path = path, .mode = mode, .upper_fd = -1, .work_fd = -1, .ours = true};
	m->lowers = t->lowers[t->spec.n_mounts++];
	return m;
}

static inline struct box_mount *try_lower(struct try *t, struct box_mount *m, const char *rel)
{
	t->lowers[m - t->mounts][m->n_lowers++] = try_open(rel);
	return m;
}

/* The file itself, as it is on the host. */
static inline struct box_mount *try_lower_file(struct try *t, struct box_mount *m, const char *rel)
{
	int fd = openat(try_dir_fd, rel, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	assert_true(fd >= 0);
	t->lowers[m - t->mounts][m->n_lowers++] = fd;
	return m;
}

/* rel/u and rel/w */
static inline struct box_mount *try_upper(struct box_mount *m, const char *rel)
{
	auto_free char *u = own_fmt("%s/u", rel), *w = own_fmt("%s/w", rel);
	m->upper_fd = try_open(u);
	m->work_fd = try_open(w);
	return m;
}

static inline void try_file(struct try *t, const char *path, const char *content)
{
	t->files[t->spec.n_files++] = (struct box_file){path, content, strlen(content), 0644};
}

static inline void try_start(struct try *t)
{
	struct err e = ERR_INIT;
	if (!try_begin(t, &e))
		print_error("%s\n", e.text);
	assert_non_null(t->box);
	for (size_t i = 0; i < t->spec.n_mounts; i++) {
		for (size_t k = 0; k < t->mounts[i].n_lowers; k++)
			close(t->lowers[i][k]);
		if (t->mounts[i].upper_fd >= 0) {
			close(t->mounts[i].upper_fd);
			close(t->mounts[i].work_fd);
		}
	}
}

static inline void try_wait(struct try *t)
{
	while (!t->ends && uv_run(&try_loop, UV_RUN_ONCE))
		;
	assert_int_equal(t->ends, 1);
}

/* Until its output has these words, or it has ended. */
static inline void try_until(struct try *t, const char *words)
{
	while (!t->ends && !strstr(text_str(&t->out), words))
		uv_run(&try_loop, UV_RUN_ONCE);
}

static inline void try_run(struct try *t)
{
	try_start(t);
	try_wait(t);
}

static inline void try_fini(struct try *t)
{
	text_fini(&t->out);
	free(t->processes);
	free(t->argv[2]);
}

static inline void try_tell(const struct try *t)
{
	print_message("end %d exit %d signal %d limit %s (%llu/%llu) error %s\noutput: %s\n",
		      t->facts.end, t->facts.exit_code, t->facts.signal,
		      box_limit_name(t->facts.limit), (unsigned long long)t->facts.limit_value,
		      (unsigned long long)t->facts.limit_bound, t->facts.error, text_str(&t->out));
}

/* It ended by itself with this status and output. */
static inline void try_expect(struct try *t, int code, const char *output)
{
	if (t->facts.end != BOX_EXITED || t->facts.exit_code != code ||
	    (output && strcmp(text_str(&t->out), output)))
		try_tell(t);
	assert_int_equal(t->facts.end, BOX_EXITED);
	assert_int_equal(t->facts.exit_code, code);
	if (output)
		assert_string_equal(text_str(&t->out), output);
}

/* Run a script over the host's root; it must exit with this status and output. */
static inline void try_script(const char *script, int code, const char *output)
{
	struct try t;
	try_init(&t, script);
	try_run(&t);
	try_expect(&t, code, output);
	try_fini(&t);
}
