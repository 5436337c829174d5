/* Each loosening gives what it says, and the profile without it does not. What runs in the box is
 * this program, or what this machine has. */
#include "test_fuse.h"
#include "test_sandbox.h"

#include <linux/aio_abi.h>
#include <linux/io_uring.h>
#include <linux/kvm.h>
#include <linux/perf_event.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

static struct text self = TEXT_INIT;

/* --- in the box ------------------------------------------------------------------------------- */

static const char *do_io_uring(void)
{
	struct io_uring_params p = {.flags = 0};
	return syscall(SYS_io_uring_setup, 4, &p) < 0 ? strerror(errno) : "works";
}

/* A read that is made and waited for, by who asks a second time if it has to. */
static const char *do_aio(void)
{
	aio_context_t context = 0;
	struct io_event event = {.res = 0};
	char byte;
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	struct iocb one = {.aio_lio_opcode = IOCB_CMD_PREAD,
			   .aio_fildes = (uint32_t)fd,
			   .aio_buf = (uintptr_t)&byte,
			   .aio_nbytes = 1},
		    *all = &one;
	if (syscall(SYS_io_setup, 1, &context) || syscall(SYS_io_submit, context, 1, &all) != 1 ||
	    syscall(SYS_io_getevents, context, 1, 1, &event, NULL) != 1 || event.res != 1 ||
	    syscall(SYS_io_destroy, context))
		return strerror(errno);
	return "works";
}

static const char *do_perf(void)
{
	struct perf_event_attr a = {.type = PERF_TYPE_SOFTWARE,
				    .size = sizeof(a),
				    .config = PERF_COUNT_SW_TASK_CLOCK,
				    .exclude_kernel = 1,
				    .exclude_hv = 1};
	uint64_t count = 0;
	int fd = (int)syscall(SYS_perf_event_open, &a, 0, -1, -1, 0);
	return fd < 0 || read(fd, &count, sizeof(count)) != sizeof(count) ? strerror(errno)
									  : "works";
}

static const char *do_kvm(void)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	return fd < 0 || ioctl(fd, KVM_GET_API_VERSION, 0) != 12 ? strerror(errno) : "works";
}

static const char *do_fuse(void)
{
	return open("/dev/fuse", O_RDWR | O_CLOEXEC) < 0 ? strerror(errno) : "works";
}

/* A file system that never says what its one file is like. */
static void fuse_deaf(int fd)
{
	static _Alignas(8) char bytes[FUSE_MIN_READ_BUFFER];
	const struct fuse_in_header *in = (const void *)bytes;
	struct fuse_answer a;
	while (read(fd, bytes, sizeof(bytes)) > 0) {
		if ((in->opcode == FUSE_GETATTR && in->nodeid == 2) || in->opcode == FUSE_FORGET)
			continue;
		a.head.len = 0;
		size_t n = sizeof(a.head) + fuse_answer(in, &a);
		a.head.len = (uint32_t)n;
		if (write(fd, &a, n) < 0)
			_exit(1);
	}
	_exit(0);
}

static const char *do_deaf(void)
{
	static char block[1 << 20];
	char options[96];
	int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0", fd);
	if (fd < 0 || mkdir("/tmp/m", 0755) || mount("deaf", "/tmp/m", "fuse", 0, options))
		return strerror(errno);
	if (!fork())
		fuse_deaf(fd);
	close(fd); /* who holds both ends waits for itself when it is killed */
	memset(block, 1, sizeof(block));
	int kept = open("/tmp/m/f", O_RDONLY | O_CLOEXEC),
	    file = open("/data/f", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	for (int i = 0; i < 20; i++)
		if (kept < 0 || write(file, block, sizeof(block)) != sizeof(block))
			return strerror(errno);
	for (;;)
		pause();
}

static const struct {
	const char *name;
	const char *(*run)(void);
} doings[] = {{"io-uring", do_io_uring}, {"perf", do_perf}, {"kvm", do_kvm},
	      {"fuse", do_fuse},         {"aio", do_aio},   {"deaf", do_deaf}};

static int in_the_box(const char *name)
{
	for (size_t i = 0; i < countof(doings); i++)
		if (!strcmp(doings[i].name, name))
			puts(doings[i].run());
	return 0;
}

/* --- tests ------------------------------------------------------------------------------------ */

/* "" where this machine can't. */
static bool can(unsigned loosen)
{
	struct err e = ERR_INIT;
	if (!box_loosen_check(loosen, &e))
		return true;
	print_message("%s\n", e.text);
	return false;
}

static void init_with(unsigned loosen, const char *script, struct try *t)
{
	try_init(t, script);
	t->spec.loosen = loosen;
	t->files[t->spec.n_files++] =
		(struct box_file){"/box/program", text_str(&self), self.n, 0755};
}

static void run_with(unsigned loosen, const char *script, struct try *t)
{
	init_with(loosen, script, t);
	try_run(t);
}

static void expect_with(unsigned loosen, const char *script, const char *output)
{
	struct try t;
	run_with(loosen, script, &t);
	try_expect(&t, 0, output);
	try_fini(&t);
}

static void what_a_box_was_given_is_in_its_facts(void **state)
{
	static const struct {
		unsigned loosen;
		const char *name;
	} all[] = {{0, "default"},
		   {BOX_LOOSEN_USERNS, "default+userns"},
		   {BOX_LOOSEN_I386 | BOX_LOOSEN_IO_URING, "default+i386+io-uring"}};
	struct err e = ERR_INIT;
	(void)state;
	for (size_t i = 0; i < countof(all); i++) {
		struct try t;
		if (!can(all[i].loosen))
			continue;
		try_init(&t, "true");
		t.spec.loosen = all[i].loosen;
		try_run(&t);
		try_expect(&t, 0, "");
		assert_string_equal(t.profile, all[i].name);
		try_fini(&t);
	}
	struct try t;
	try_init(&t, "true");
	t.spec.loosen = 1u << 12;
	assert_null(try_begin(&t, &e));
	assert_int_equal(e.kind, ERR_USAGE);
	try_fini(&t);
}

static void names_and_bits_are_each_other_s(void **state)
{
	unsigned all = 0;
	(void)state;
	static const char *const names[] = {"userns", "i386", "io-uring", "fuse",
					    "kvm",    "perf", "dumps",    "aio"};
	for (size_t i = 0; i < countof(names); i++) {
		assert_int_equal(all & box_loosen_of(names[i]), 0);
		all |= box_loosen_of(names[i]);
	}
	assert_int_equal(all, BOX_LOOSEN_ALL);
	assert_int_equal(box_loosen_of("network"), 0);
	auto_free char *name = box_profile_name(all);
	assert_string_equal(name, "default+userns+i386+io-uring+fuse+kvm+perf+dumps+aio");
}

static void userns_gives_namespaces_and_mounts_in_them(void **state)
{
	static const char script[] =
		"exec 2>/dev/null; unshare -Urmpinuf --mount-proc sh -c 'mount -t tmpfs t /mnt && "
		"touch /mnt/x && ls /mnt && hostname inner && echo $$ && mount --bind /mnt /srv && "
		"ls /srv && umount /srv && set -- /proc/[0-9]*; echo $#' || echo refused; hostname";
	(void)state;
	expect_with(0, script, "refused\nbox\n");
	expect_with(BOX_LOOSEN_USERNS, script, "x\n1\nx\n1\nbox\n");
}

/* What the box's own mounts hide or keep from being written stays so. */
static void userns_opens_nothing_of_the_box_s_own(void **state)
{
	(void)state;
	expect_with(
		BOX_LOOSEN_USERNS,
		"exec 2>/dev/null; for c in 'umount /proc/interrupts' 'umount -l /proc' 'umount "
		"/sys/fs' 'mount -o remount,bind,rw /proc/sys' 'mount -o remount,bind,rw /usr' "
		"'mount -o remount,rw /sys' 'mount -t cgroup2 c /mnt' 'mount -t sysfs s /mnt'; do "
		"unshare -rm $c && echo \"$c\"; done; ls /sys/fs /sys/fs/cgroup; umount /usr && "
		"echo umount; mount -t tmpfs t /mnt && echo mount; true",
		"/sys/fs:\ncgroup\n\n/sys/fs/cgroup:\n");
	/* Its control groups can be looked at; what limits it is not its own. */
	expect_with(
		BOX_LOOSEN_USERNS,
		"exec 2>/dev/null; unshare -rmC sh -c 'lift() { for f in pids.max memory.max "
		"memory.limit_in_bytes cpu.max cgroup.max.depth; do test -e /mnt/$f && (echo max "
		">/mnt/$f) && echo lifted $f; done; umount /mnt; }; mount -t cgroup2 c /mnt && "
		"lift; for k in pids memory; do mount -t cgroup -o $k c /mnt && lift; done; true'",
		"");
	expect_with(BOX_LOOSEN_USERNS,
		    "exec 2>/dev/null; unshare -rmpf --mount-proc sh -c '"
		    "for f in /proc/sys/kernel/core_pattern /proc/sysrq-trigger "
		    "/proc/sys/kernel/hostname; do (echo x >$f) && echo $f; done; cat /proc/kcore "
		    "/proc/kmsg | head -c 1; true'",
		    "");
}

static void bubblewrap_runs_in_a_box_with_userns(void **state)
{
	struct try t;
	(void)state;
	run_with(
		BOX_LOOSEN_USERNS,
		"exec bwrap --unshare-all --ro-bind / / --proc /proc --dev /dev --tmpfs /tmp sh -c "
		"'touch /tmp/x; ls /tmp; set -- /proc/[0-9]*; echo $#'",
		&t);
	if (t.facts.exit_code == 127)
		skip(); /* not installed */
	try_expect(&t, 0, "x\n2\n");
	try_fini(&t);
}

/* It may not be there, and a kernel may have no 32-bit calls. */
static bool runs_here(const char *program)
{
	int status = -1;
	pid_t pid = fork();
	if (!pid) {
		int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
		dup2(null, 1);
		dup2(null, 2);
		execl(program, program, "--version", NULL);
		_exit(127);
	}
	waitpid(pid, &status, 0);
	return !status;
}

static void i386_runs_programs_of_32_bits(void **state)
{
	struct try t;
	(void)state;
	if (!runs_here("/lib32/ld-linux.so.2") || !can(BOX_LOOSEN_I386))
		skip();
	run_with(0, "exec /lib32/ld-linux.so.2 --version", &t);
	assert_int_equal(t.facts.end, BOX_SIGNALLED);
	assert_int_equal(t.facts.signal, SIGSYS);
	try_fini(&t);
	run_with(BOX_LOOSEN_I386, "exec /lib32/ld-linux.so.2 --version", &t);
	try_expect(&t, 0, NULL);
	assert_non_null(strstr(text_str(&t.out), "ld.so"));
	try_fini(&t);
}

static void one_call_or_device_each(void **state)
{
	static const struct {
		unsigned loosen;
		const char *name, *refused;
	} all[] = {{BOX_LOOSEN_IO_URING, "io-uring", "Operation not permitted\n"},
		   {BOX_LOOSEN_PERF, "perf", "Operation not permitted\n"},
		   {BOX_LOOSEN_KVM, "kvm", "No such file or directory\n"},
		   {BOX_LOOSEN_FUSE, "fuse", "No such file or directory\n"},
		   {BOX_LOOSEN_AIO, "aio", "Function not implemented\n"}};
	(void)state;
	for (size_t i = 0; i < countof(all); i++) {
		auto_free char *script = own_fmt("exec /box/program %s", all[i].name);
		expect_with(BOX_LOOSEN_DUMPS & (can(BOX_LOOSEN_DUMPS) ? ~0u : 0u), script,
			    all[i].refused);
		if (can(all[i].loosen))
			expect_with(all[i].loosen, script, "works\n");
	}
}

static void fuse_file_systems_are_mounted_in_a_box_with_fuse(void **state)
{
	struct try t;
	(void)state;
	if (!can(BOX_LOOSEN_FUSE))
		skip();
	run_with(BOX_LOOSEN_FUSE,
		 "cd /tmp && mkdir l u w m && echo low >l/f && fuse-overlayfs -o "
		 "lowerdir=l,upperdir=u,workdir=w m 2>/dev/null && cat m/f && echo new >m/g && cat "
		 "u/g && "
		 "umount m && ls m && id -u && grep CapEff /proc/self/status",
		 &t);
	if (t.facts.exit_code == 127)
		skip(); /* not installed */
	try_expect(&t, 0, "low\nnew\n0\nCapEff:\t00000000802400fb\n");
	try_fini(&t);
	expect_with(BOX_LOOSEN_FUSE,
		    "exec 2>/dev/null; umount /proc/interrupts && echo umount; umount -l /usr && "
		    "echo usr; mount -o remount,bind,rw /proc/sys && echo remount; unshare -U true "
		    "&& echo user; true",
		    "");
}

/* Who looks at its files must not ask a file system of its own. */
static void a_file_system_that_never_answers_keeps_nobody_from_looking(void **state)
{
	struct try t;
	(void)state;
	if (!can(BOX_LOOSEN_FUSE))
		skip();
	init_with(BOX_LOOSEN_FUSE, "exec /box/program deaf", &t);
	t.spec.limits = (struct box_limits){.disk = 8 << 20, .wall_ms = TRY_WALL_MS};
	try_upper(try_mount(&t, "/data", BOX_COW), "deaf");
	try_run(&t);
	if (t.facts.limit != BOX_LIMIT_DISK)
		try_tell(&t);
	assert_int_equal(t.facts.end, BOX_LIMITED);
	assert_int_equal(t.facts.limit, BOX_LIMIT_DISK);
	try_fini(&t);
}

/* Without a name, and by a mount that the box's own list does not have; or none has any more. */
static void what_is_written_by_mounts_of_its_own_is_on_the_disk(void **state)
{
	static const char *const ways[] = {"true", "umount -l /tmp/b"};
	(void)state;
	for (size_t i = 0; i < countof(ways); i++) {
		struct try t;
		auto_free char *rel = own_fmt("own-mounts/%zu", i);
		auto_free char *script = own_fmt(
			"exec unshare -rm sh -c 'mkdir /tmp/b && mount --bind /data /tmp/b && exec "
			"5>/tmp/b/f && rm /tmp/b/f && %s && head -c 20000000 /dev/zero >&5; echo "
			"$?; sleep 900'",
			ways[i]);
		init_with(BOX_LOOSEN_USERNS, script, &t);
		t.spec.limits = (struct box_limits){.disk = 8 << 20, .wall_ms = TRY_WALL_MS};
		try_upper(try_mount(&t, "/data", BOX_COW), rel);
		try_run(&t);
		if (t.facts.limit != BOX_LIMIT_DISK)
			try_tell(&t);
		assert_int_equal(t.facts.limit, BOX_LIMIT_DISK);
		try_fini(&t);
	}
}

static void dumps_are_files_in_the_box(void **state)
{
	struct try t;
	(void)state;
	if (!can(BOX_LOOSEN_DUMPS))
		skip();
	for (int dumps = 0; dumps < 2; dumps++) {
		run_with(dumps ? BOX_LOOSEN_DUMPS : 0,
			 "cd /tmp; (sh -c 'kill -SEGV $$'; true) >/dev/null 2>&1; ls /tmp | grep "
			 "-c core; "
			 "ulimit -c",
			 &t);
		try_expect(&t, 0, dumps ? "1\nunlimited\n" : "0\n0\n");
		try_fini(&t);
	}
}

static void all_of_them_together(void **state)
{
	unsigned all = 0;
	(void)state;
	for (unsigned i = 1; i < BOX_LOOSEN_ALL; i *= 2)
		if (can(i))
			all |= i;
	expect_with(all, "exec 2>&1; unshare -rmpf --mount-proc true && echo nested", "nested\n");
}

static int set_up(void **state)
{
	struct err e = ERR_INIT;
	auto_fd int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	if (fd < 0 || dir_read_fd(fd, 64 << 20, &self, &e))
		return -1;
	return try_setup(state);
}

static int tear_down(void **state)
{
	text_fini(&self);
	return try_teardown(state);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_box_was_given_is_in_its_facts),
		cmocka_unit_test(names_and_bits_are_each_other_s),
		cmocka_unit_test(userns_gives_namespaces_and_mounts_in_them),
		cmocka_unit_test(userns_opens_nothing_of_the_box_s_own),
		cmocka_unit_test(bubblewrap_runs_in_a_box_with_userns),
		cmocka_unit_test(i386_runs_programs_of_32_bits),
		cmocka_unit_test(one_call_or_device_each),
		cmocka_unit_test(fuse_file_systems_are_mounted_in_a_box_with_fuse),
		cmocka_unit_test(a_file_system_that_never_answers_keeps_nobody_from_looking),
		cmocka_unit_test(what_is_written_by_mounts_of_its_own_is_on_the_disk),
		cmocka_unit_test(dumps_are_files_in_the_box),
		cmocka_unit_test(all_of_them_together),
	};
	if (argc == 2)
		return in_the_box(argv[1]);
	return cmocka_run_group_tests_name("sandbox: loosenings", tests, set_up, tear_down);
}
