/* sandbox/filter.c: what its code says beside what the tables say, other architectures, and what
 * loosenings allow. */
#include "filter_child.h"

static void check_loosened(unsigned loosen, const struct call *calls, size_t n)
{
	struct filter f;
	struct err e;
	assert_int_equal(filter_make(&f, loosen, &e), 0);
	check_calls_with(&f, calls, n);
	filter_fini(&f);
}

/* What the filter says, as the kernel would run it (linux/filter.h: classic BPF). */
static uint32_t answer_of(const struct filter *f, uint32_t arch, uint32_t number, uint32_t arg0,
			  uint32_t arg1)
{
	const struct seccomp_data d = {.nr = (int)number,
				       .arch = arch,
				       .args = {arg0, arg1, 0, 0, 0, 0}};
	uint32_t a = 0;
	for (unsigned i = 0, steps = 0;; i++) {
		assert_true(i < f->n && ++steps < 200);
		const struct sock_filter *in = &f->code[i];
		switch (in->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			memcpy(&a, (const char *)&d + in->k, sizeof(a));
			break;
		case BPF_ALU | BPF_AND | BPF_K:
			a &= in->k;
			break;
		case BPF_JMP | BPF_JA:
			i += in->k;
			break;
		case BPF_JMP | BPF_JEQ | BPF_K:
			i += a == in->k ? in->jt : in->jf;
			break;
		case BPF_JMP | BPF_JGE | BPF_K:
			i += a >= in->k ? in->jt : in->jf;
			break;
		case BPF_RET | BPF_K:
			return in->k;
		default:
			fail_msg("instruction %u is none of ours", i);
		}
	}
}

#define ANSWERS 1024

static bool loosened_by(const char *name, unsigned loosen)
{
	for (size_t i = 0; i < filter_n_loosened; i++)
		if (!strcmp(filter_loosened[i].name, name) && filter_loosened[i].loosen & loosen)
			return true;
	return false;
}

/* Whatever the tables say is what the code says, number by number; a loosening changes the answers
 * of its own calls only. */
static void the_code_says_what_the_tables_say(void **state)
{
	(void)state;
	uint32_t arch = seccomp_arch_native();
	for (unsigned loosen = 0; loosen <= BOX_LOOSEN_ALL; loosen++) {
		struct filter f;
		struct err e;
		if (loosen & ~(unsigned)FILTER_LOOSEN ||
		    (loosen & BOX_LOOSEN_I386 && arch != SCMP_ARCH_X86_64))
			continue;
		assert_int_equal(filter_make(&f, loosen, &e), 0);
		uint32_t expected[ANSWERS];
		for (size_t i = 0; i < ANSWERS; i++)
			expected[i] = SECCOMP_RET_ERRNO | ENOSYS;
		for (size_t i = 0; i < ANSWERS; i++) {
			char *name = seccomp_syscall_resolve_num_arch(arch, (int)i);
			for (size_t j = 0; j < filter_n_young && !name; j++)
				if ((size_t)filter_young[j].number == i)
					name = strdup(filter_young[j].name);
			if (!name)
				continue;
			for (size_t j = 0; j < filter_n_refused; j++)
				if (!strcmp(filter_refused[j].name, name))
					expected[i] = SECCOMP_RET_ERRNO |
						      (unsigned)filter_refused[j].error;
			for (size_t j = 0; j < filter_n_allowed; j++)
				if (!strcmp(filter_allowed[j], name))
					expected[i] = SECCOMP_RET_ALLOW;
			if (loosened_by(name, loosen))
				expected[i] = SECCOMP_RET_ALLOW;
			for (size_t j = 0; j < filter_n_checks; j++)
				if (!strcmp(filter_checks[j].call, name))
					expected[i] = 1; /* of its arguments */
			free(name);
		}
		for (uint32_t i = 0; i < ANSWERS; i++)
			if (expected[i] != 1 && answer_of(&f, arch, i, 0, 0) != expected[i])
				fail_msg("loosened by %#x: call %u is answered %#x, not %#x",
					 loosen, i, answer_of(&f, arch, i, 0, 0), expected[i]);
		assert_int_equal(answer_of(&f, arch, 0x40000000, 0, 0), SECCOMP_RET_KILL_PROCESS);
		assert_int_equal(answer_of(&f, arch, 0xfffffffe, 0, 0), SECCOMP_RET_KILL_PROCESS);
		assert_int_equal(answer_of(&f, 0x80000008 /* MIPS */, 0, 0, 0),
				 SECCOMP_RET_KILL_PROCESS);
		filter_fini(&f);
	}
}

static void userns_allows_namespaces_and_mounts_in_them(void **state)
{
	(void)state;
	static const struct call calls[] = {
		CALL(0, unshare, CLONE_NEWUSER),
		CALL(0, unshare, CLONE_NEWNS),
		CALL(0, unshare, CLONE_NEWUSER | CLONE_NEWCGROUP),
		CALL(ENOSYS, clone3, 0, 0),
		CALL(0, mount, 0, 0, 0, 0, 0),
		CALL(0, umount2, 0, 0),
		CALL(0, pivot_root, 0, 0),
		CALL(0, fsopen, 0, 0),
		CALL(0, setns, -1, 0),
		CALL(EPERM, bpf, 0, 0, 0),
		CALL(ENOSYS, keyctl, 0, -3, 0),
		CALL(EPERM, io_uring_setup, 1, 0),
		CALL(EPERM, open_by_handle_at, AT_FDCWD, 0, 0),
	};
	check_loosened(BOX_LOOSEN_USERNS, calls, countof(calls));
	static const struct call without[] = {
		CALL(0, unshare, CLONE_NEWUSER),
		CALL(EPERM, unshare, CLONE_NEWCGROUP),
		CALL(EPERM, unshare, CLONE_NEWUSER | CLONE_NEWCGROUP),
		CALL(EPERM, unshare, HIGH | CLONE_NEWCGROUP),
		CALL(EPERM, clone, CLONE_NEWUSER | CLONE_NEWCGROUP | SIGCHLD),
	};
	check_loosened(BOX_LOOSEN_USERNS | FILTER_NO_CGROUPS, without, countof(without));
}

static void each_loosening_allows_its_calls_only(void **state)
{
	(void)state;
	static const struct call io_uring[] = {
		CALL(0, io_uring_setup, 1, 0),
		CALL(0, io_uring_enter, -1, 0, 0, 0, 0),
		CALL(0, io_uring_register, -1, 0, 0, 0),
		CALL(EPERM, perf_event_open, 0, 0, -1, -1, 0),
		CALL(EPERM, mount, 0, 0, 0, 0, 0),
	};
	static const struct call perf[] = {
		CALL(0, perf_event_open, 0, 0, -1, -1, 0),
		CALL(EACCES, perf_event_open, 0, -1, 0, -1, 0),
		CALL(EPERM, bpf, 0, 0, 0),
		CALL(EPERM, io_uring_setup, 1, 0),
	};
	static const struct call fuse[] = {
		CALL(0, mount, 0, 0, 0, 0, 0),       CALL(0, umount2, 0, 0),
		CALL(EPERM, unshare, CLONE_NEWUSER), CALL(EPERM, clone, CLONE_NEWNS | SIGCHLD),
		CALL(EPERM, pivot_root, 0, 0),       CALL(ENOSYS, open_tree, 0, 0, 0),
	};
	static const struct call aio[] = {
		CALL(0, io_setup, 1, 0),
		CALL(0, io_submit, 0, 0, 0),
		CALL(0, io_getevents, 0, 0, 0, 0, 0),
		CALL(0, io_pgetevents, 0, 0, 0, 0, 0, 0),
		CALL(0, io_cancel, 0, 0, 0),
		CALL(0, io_destroy, 0),
		CALL(EPERM, io_uring_setup, 1, 0),
	};
	check_loosened(BOX_LOOSEN_IO_URING, io_uring, countof(io_uring));
	check_loosened(BOX_LOOSEN_AIO, aio, countof(aio));
	check_loosened(BOX_LOOSEN_PERF, perf, countof(perf));
	check_loosened(BOX_LOOSEN_FUSE, fuse, countof(fuse));
}

#ifdef __x86_64__
/* getpid of the 32-bit table through its own gate: 1 if that is what it is here. Without
 * CONFIG_IA32_EMULATION the gate is a fault, and under User Mode Linux it is a 64-bit call like any
 * other. */
static int call_i386(void *arg)
{
	(void)arg;
	long r = 20;
	__asm__ volatile("int $0x80" : "+a"(r) : : "memory", "r8", "r9", "r10", "r11");
	return r == getpid() ? 1 : 2;
}

/* One call of the 32-bit table: its answer. */
static long gate(long number, long a, long b, long c)
{
	long r = number;
	__asm__ volatile("int $0x80"
			 : "+a"(r)
			 : "b"(a), "c"(b), "d"(c)
			 : "memory", "r8", "r9", "r10", "r11");
	return (int)r;
}

/* Which of these is wrong, from 1 on. */
static int call_i386_more(void *arg)
{
	(void)arg;
	static const struct {
		long number, a, b, c, expected;
	} calls[] = {
		{54, -1, TIOCSTI, 0, -EPERM},                  /* ioctl */
		{54, -1, TIOCGWINSZ, 0, -EBADF},               /* ioctl */
		{120, CLONE_NEWUSER, 0, 0, -EPERM},            /* clone */
		{310, CLONE_NEWUSER, 0, 0, -EPERM},            /* unshare */
		{90, 0, 0, 0, -ENOSYS},                        /* mmap by a pointer */
		{356, 0, MFD_HUGETLB, 0, -ENOSYS},             /* memfd_create */
		{356, 0, 0, 0, -EFAULT},                       /* memfd_create */
		{102, 1, 0, 0, -EAFNOSUPPORT},                 /* socketcall: socket */
		{102, 8, 0, 0, -EAFNOSUPPORT},                 /* socketcall: socketpair */
		{102, 2, 0, 0, -EFAULT},                       /* socketcall: bind */
		{359, 40 /* AF_VSOCK */, 1, 0, -EAFNOSUPPORT}, /* socket */
		{359, AF_INET, SOCK_RAW, 1, -EPROTONOSUPPORT}, /* socket */
		{361, -1, 0, 0, -EBADF},                       /* bind */
		{136, READ_IMPLIES_EXEC, 0, 0, -EPERM},        /* personality */
		{340, 1, 0, 0, -EPERM},                        /* prlimit64 */
		{21, 0, 0, 0, -EPERM},                         /* mount */
		{435, 0, 0, 0, -ENOSYS},                       /* clone3 */
		{357, 0, 0, 0, -EPERM},                        /* bpf */
		{336, 0, 0, 0, -EPERM},              /* perf_event_open; x86-64's uprobe */
		{288, 0, 0, 0, -ENOSYS},             /* keyctl */
		{123, 0, 0, 0, -ENOSYS},             /* modify_ldt */
		{166, 0, 0, 0, -ENOSYS},             /* vm86 */
		{172, PR_SCHED_CORE, 0, 0, -EINVAL}, /* prctl */
		{265, 9999, 0, 0, -EINVAL},          /* clock_gettime */
		{117, 99, 0, 0, -ENOSYS},            /* ipc, of the kernel's own */
	};
	for (size_t i = 0; i < countof(calls); i++) {
		long got = gate(calls[i].number, calls[i].a, calls[i].b, calls[i].c);
		if (got == calls[i].expected)
			continue;
		fprintf(stderr, "i386 call %ld: %ld, expected %ld\n", calls[i].number, got,
			calls[i].expected);
		return (int)i + 1;
	}
	return 0;
}

static int call_x32(void *arg)
{
	(void)arg;
	return syscall(0x40000000 | SYS_getpid) > 0 ? 1 : 2;
}

static void other_architectures_are_killed(void **state)
{
	(void)state;
	struct filter f;
	struct err e;
	assert_int_equal(filter_make(&f, 0, &e), 0);
	int x32 = run(&f, call_x32, NULL), plain = run(NULL, call_i386, NULL),
	    i386 = run(&f, call_i386, NULL);
	filter_fini(&f);
	assert_true(WIFSIGNALED(x32));
	assert_int_equal(WTERMSIG(x32), SIGSYS);
	if (!WIFEXITED(plain) || WEXITSTATUS(plain) != 1)
		return;
	assert_true(WIFSIGNALED(i386));
	assert_int_equal(WTERMSIG(i386), SIGSYS);
}

static void i386_opens_the_other_table_under_the_same_rules(void **state)
{
	(void)state;
	struct filter f;
	struct err e;
	int plain = run(NULL, call_i386, NULL);
	if (!WIFEXITED(plain) || WEXITSTATUS(plain) != 1)
		skip(); /* this kernel has no such table */
	assert_int_equal(filter_make(&f, BOX_LOOSEN_I386, &e), 0);
	int once = run(&f, call_i386, NULL), more = run(&f, call_i386_more, NULL),
	    x32 = run(&f, call_x32, NULL);
	filter_fini(&f);
	assert_int_equal(once, 1 << 8);
	assert_int_equal(more, 0);
	assert_true(WIFSIGNALED(x32));
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_code_says_what_the_tables_say),
		cmocka_unit_test(userns_allows_namespaces_and_mounts_in_them),
		cmocka_unit_test(each_loosening_allows_its_calls_only),
#ifdef __x86_64__
		cmocka_unit_test(other_architectures_are_killed),
		cmocka_unit_test(i386_opens_the_other_table_under_the_same_rules),
#endif
	};
	return cmocka_run_group_tests_name("sandbox/filter: code", tests, NULL, NULL);
}
