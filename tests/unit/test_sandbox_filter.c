/* sandbox/filter.c: the filter of the profile `default`. */
#include "filter_child.h"

static struct filter filter;

static int set_up(void **state)
{
	(void)state;
	struct err e;
	if (!filter_make(&filter, 0, &e))
		return 0;
	print_error("%s\n", e.text);
	return -1;
}

static int tear_down(void **state)
{
	(void)state;
	filter_fini(&filter);
	return 0;
}

static int run_filtered(int (*fn)(void *arg), void *arg)
{
	return run(&filter, fn, arg);
}

static void check_calls(const struct call *calls, size_t n)
{
	check_calls_with(&filter, calls, n);
}

static void namespaces_are_refused(void **state)
{
	(void)state;
	static const struct call calls[] = {
		CALL(EPERM, clone, CLONE_NEWUSER | SIGCHLD),
		CALL(EPERM, clone, CLONE_NEWNS | SIGCHLD),
		CALL(EPERM, clone, CLONE_NEWPID | SIGCHLD),
		CALL(EPERM, clone, CLONE_NEWNET | SIGCHLD),
		CALL(EPERM, clone, CLONE_NEWIPC | SIGCHLD),
		CALL(EPERM, clone, CLONE_NEWUTS | SIGCHLD),
		CALL(EPERM, clone, CLONE_NEWCGROUP | SIGCHLD),
		CALL(EPERM, clone, HIGH | CLONE_NEWUSER | SIGCHLD),
		CALL(EPERM, unshare, CLONE_NEWUSER),
		CALL(EPERM, unshare, CLONE_NEWUSER | CLONE_FS),
		CALL(EPERM, unshare, CLONE_NEWNS),
		CALL(EPERM, unshare, 0x80 /* CLONE_NEWTIME */),
		CALL(0, unshare, CLONE_FS | CLONE_FILES),
		CALL(EPERM, setns, 0, 0),
		CALL(ENOSYS, clone3, 0, 0),
	};
	check_calls(calls, countof(calls));
}

static void calls_that_open_the_kernel_are_refused(void **state)
{
	(void)state;
	static const struct call calls[] = {
		CALL(EPERM, bpf, 0, 0, 0),
		CALL(EPERM, perf_event_open, 0, 0, -1, -1, 0),
		CALL(EPERM, userfaultfd, 0),
		CALL(EPERM, io_uring_setup, 1, 0),
		CALL(EPERM, io_uring_enter, 0, 0, 0, 0, 0),
		CALL(EPERM, io_uring_register, 0, 0, 0, 0),
		CALL(ENOSYS, io_setup, 1, 0),
		CALL(ENOSYS, io_submit, 0, 0, 0),
		CALL(ENOSYS, io_getevents, 0, 0, 0, 0, 0),
		CALL(ENOSYS, io_pgetevents, 0, 0, 0, 0, 0, 0),
		CALL(ENOSYS, keyctl, 0, -3, 0),
		CALL(ENOSYS, add_key, 0, 0, 0, 0, 0),
		CALL(ENOSYS, request_key, 0, 0, 0, 0),
		CALL(EPERM, open_by_handle_at, AT_FDCWD, 0, 0),
		CALL(EOPNOTSUPP, name_to_handle_at, AT_FDCWD, 0, 0, 0, 0),
		CALL(EPERM, fanotify_init, 0, 0),
		CALL(EPERM, fanotify_mark, 0, 0, 0, 0, 0),
		CALL(EPERM, process_vm_writev, 0, 0, 0, 0, 0, 0),
		CALL(EPERM, pidfd_getfd, 0, 0, 0),
		CALL(EPERM, kcmp, 0, 0, 0, 0, 0),
		CALL(EPERM, mlockall, MCL_CURRENT),
		CALL(ENOSYS, memfd_secret, 0),
		CALL(ENOSYS, memfd_create, (long)"m", MFD_HUGETLB),
		CALL(ENOMEM, mmap, 0, 2 << 20, PROT_NONE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_HUGETLB, -1, 0),
		CALL(ENOSYS, vmsplice, 0, 0, 0, 0),
		CALL(ENOSYS, move_pages, 0, 0, 0, 0, 0, 0),
		CALL(ENOSYS, migrate_pages, 0, 0, 0, 0),
		CALL(EPERM, adjtimex, 0),
		CALL(EPERM, clock_adjtime, 0, 0),
		CALL(EPERM, mount, 0, 0, 0, 0, 0),
		CALL(EPERM, umount2, 0, 0),
		CALL(EPERM, pivot_root, 0, 0),
		CALL(ENOSYS, fsopen, 0, 0),
		CALL(ENOSYS, fsconfig, 0, 0, 0, 0, 0),
		CALL(ENOSYS, fsmount, 0, 0, 0),
		CALL(ENOSYS, move_mount, 0, 0, 0, 0, 0),
		CALL(ENOSYS, open_tree, 0, 0, 0),
		CALL(ENOSYS, mount_setattr, 0, 0, 0, 0, 0),
		{"statmount", 457, {0}, ENOSYS},
		{"listmount", 458, {0}, ENOSYS},
		{"a call nobody has made yet", 2000, {0}, ENOSYS},
		{"the call -1", -1, {0}, ENOSYS},
		CALL(EPERM, reboot, 0, 0, 0, 0),
		CALL(EPERM, init_module, 0, 0, 0),
		CALL(EPERM, syslog, 10, 0, 0),
		CALL(EPERM, sethostname, 0, 0),
#ifdef SYS_modify_ldt
		CALL(ENOSYS, modify_ldt, 0, 0, 0),
		CALL(EPERM, iopl, 0),
#endif
	};
	check_calls(calls, countof(calls));
}

static void a_terminal_takes_no_input_from_a_job(void **state)
{
	(void)state;
	static const struct call calls[] = {
		CALL(EPERM, ioctl, -1, TIOCSTI, 0),
		CALL(EPERM, ioctl, -1, TIOCLINUX, 0),
		CALL(EPERM, ioctl, -1, HIGH | TIOCSTI, 0),
		CALL(EPERM, ioctl, -1, 7 * HIGH | TIOCLINUX, 0),
		CALL(EPERM, ioctl, -1, TIOCSETD, 0),
		CALL(EBADF, ioctl, -1, TIOCGWINSZ, 0),
		CALL(EBADF, ioctl, -1, TIOCSCTTY, 0),
	};
	check_calls(calls, countof(calls));
}

static void personalities_are_the_harmless_ones(void **state)
{
	(void)state;
	static const struct call calls[] = {
		CALL(0, personality, 0xffffffff),
		CALL(0, personality, -1),
		CALL(0, personality, 0x20000),
		CALL(0, personality, 0x20008),
		CALL(0, personality, 0x40000),
		CALL(0, personality, 0x40008),
		CALL(0, personality, 8),
		CALL(0, personality, HIGH | 0x40000),
		CALL(0, personality, 0),
		CALL(EPERM, personality, READ_IMPLIES_EXEC),
		CALL(EPERM, personality, MMAP_PAGE_ZERO),
		CALL(EPERM, personality, HIGH | ADDR_COMPAT_LAYOUT),
		CALL(EPERM, personality, 0x40000 | READ_IMPLIES_EXEC),
		CALL(EPERM, personality, 1),
	};
	check_calls(calls, countof(calls));
}

static void sockets_are_local_or_of_the_internet(void **state)
{
	(void)state;
	static const struct call calls[] = {
		CALL(0, socket, AF_UNIX, SOCK_STREAM, 0),
		CALL(0, socket, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0),
		CALL(0, socket, AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0),
		CALL(0, socket, AF_INET, SOCK_STREAM, IPPROTO_TCP),
		CALL(0, socket, AF_INET, SOCK_DGRAM, IPPROTO_UDP),
		CALL(0, socket, HIGH | AF_INET, HIGH | SOCK_DGRAM, HIGH),
		CALL(0, socket, AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0 /* NETLINK_ROUTE */),
		CALL(EPROTONOSUPPORT, socket, AF_INET, SOCK_RAW, IPPROTO_ICMP),
		CALL(EPROTONOSUPPORT, socket, AF_INET, SOCK_SEQPACKET, 0),
		CALL(EPROTONOSUPPORT, socket, AF_INET, SOCK_STREAM, 132 /* SCTP */),
		CALL(EPROTONOSUPPORT, socket, AF_INET6, SOCK_STREAM, 262 /* MPTCP */),
		CALL(EPROTONOSUPPORT, socket, AF_INET6, SOCK_RAW | SOCK_NONBLOCK, 58),
		CALL(EPROTONOSUPPORT, socket, AF_INET6, SOCK_DGRAM, 136 /* UDP-Lite */),
		CALL(EPROTONOSUPPORT, socket, AF_NETLINK, SOCK_RAW, 9 /* NETLINK_AUDIT */),
		CALL(EPROTONOSUPPORT, socket, AF_NETLINK, SOCK_RAW, 12 /* NETLINK_NETFILTER */),
		CALL(EAFNOSUPPORT, socket, 17 /* AF_PACKET */, SOCK_RAW, 0),
		CALL(EAFNOSUPPORT, socket, 40 /* AF_VSOCK */, SOCK_STREAM, 0),
		CALL(EAFNOSUPPORT, socket, 38 /* AF_ALG */, SOCK_SEQPACKET, 0),
		CALL(EAFNOSUPPORT, socket, 31 /* AF_BLUETOOTH */, SOCK_RAW, 0),
		CALL(EAFNOSUPPORT, socket, 44 /* AF_XDP */, SOCK_RAW, 0),
		CALL(EAFNOSUPPORT, socket, 15 /* AF_KEY */, SOCK_RAW, 2),
		CALL(EAFNOSUPPORT, socket, HIGH | 40, SOCK_STREAM, 0),
		CALL(EAFNOSUPPORT, socket, -1, SOCK_STREAM, 0),
		CALL(EAFNOSUPPORT, socketpair, 30 /* AF_TIPC */, SOCK_STREAM, 0, 0),
		CALL(EFAULT, socketpair, AF_UNIX, SOCK_STREAM, 0, 0),
	};
	check_calls(calls, countof(calls));
}

static void io_priority_is_never_real_time(void **state)
{
	(void)state;
	static const struct call calls[] = {
		CALL(EPERM, ioprio_set, 1, 0, 1 << 13),
		CALL(EPERM, ioprio_set, 1, 0, (1 << 13) | 4),
		CALL(EPERM, ioprio_set, 1, 0, HIGH | (1 << 13) | 7),
		CALL(EPERM, ioprio_set, 1, 0, (1 << 16) | (1 << 13)),
		CALL(0, ioprio_set, 1, 0, (2 << 13) | 7),
		CALL(0, ioprio_set, 1, 0, 3 << 13),
		CALL(0, ioprio_get, 1, 0),
		CALL(EINVAL, prctl, PR_SCHED_CORE, 1, 0, 0, 0),
		CALL(EINVAL, prctl, HIGH | PR_SCHED_CORE, 1, 0, 0, 0),
		CALL(0, prctl, PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0),
	};
	check_calls(calls, countof(calls));
}

static void nobody_schedules_pid_1(void **state)
{
	(void)state;
	static const struct call calls[] = {
		CALL(EPERM, prlimit64, 1, 0, 0, 0),
		CALL(EPERM, prlimit64, HIGH | 1, 0, 0, 0),
		CALL(ESRCH, prlimit64, 0x7fffffff, 0, 0, 0),
		CALL(EPERM, setpriority, PRIO_PROCESS, 1, 19),
		CALL(EPERM, setpriority, PRIO_PGRP, HIGH | 1, 19),
		CALL(EPERM, setpriority, HIGH | PRIO_USER, 0, 19),
		CALL(0, setpriority, PRIO_PROCESS, 0, 19),
		CALL(0, setpriority, PRIO_PGRP, 0, 19),
		CALL(EPERM, ioprio_set, 1, 1, 3 << 13),
		CALL(EPERM, ioprio_set, 2, HIGH | 1, 3 << 13),
		CALL(EPERM, ioprio_set, 3, 0, 3 << 13),
		CALL(EPERM, sched_setscheduler, 1, 5, 0),
		CALL(EPERM, sched_setparam, HIGH | 1, 0),
		CALL(EPERM, sched_setattr, 1, 0, 0),
		CALL(EPERM, sched_setaffinity, 1, 0, 0),
		CALL(EINVAL, sched_setscheduler, 0, 5, 0),
		CALL(EINVAL, sched_setparam, 0, 0),
		CALL(EINVAL, sched_setattr, 0, 0, 0),
		CALL(EINVAL, sched_setaffinity, 0, 0, 0),
	};
	check_calls(calls, countof(calls));
}

static void what_packages_need_is_answered_by_the_kernel(void **state)
{
	(void)state;
	static const struct call calls[] = {
		CALL(0, openat, AT_FDCWD, (long)"/", O_RDONLY | O_DIRECTORY),
		CALL(0, openat2, AT_FDCWD, 0, 0, 0),
		CALL(0, memfd_create, (long)"m", 0),
		CALL(0, statx, AT_FDCWD, (long)"/", 0, 0, 0),
		CALL(0, faccessat2, AT_FDCWD, (long)"/", 0, 0),
		CALL(0, copy_file_range, -1, 0, -1, 0, 1, 0),
		CALL(0, close_range, 900, 901, 0),
		CALL(0, pidfd_open, 1, 0),
		CALL(0, pidfd_send_signal, -1, 0, 0, 0),
		CALL(0, epoll_create1, 0),
		CALL(0, inotify_init1, 0),
		CALL(0, signalfd4, -1, 0, 8, 0),
		CALL(0, timerfd_create, CLOCK_MONOTONIC, 0),
		CALL(0, eventfd2, 0, 0),
		CALL(0, membarrier, 0, 0, 0),
		CALL(0, getrandom, 0, 0, 0),
		CALL(0, sched_getaffinity, 0, 0, 0),
		CALL(0, prlimit64, 0, 0, 0, 0),
		CALL(0, mlock, 0, 0),
		CALL(0, process_vm_readv, 0, 0, 0, 0, 0, 0),
		CALL(0, landlock_create_ruleset, 0, 0, 0),
		CALL(0, mq_open, 0, O_RDONLY, 0, 0),
		CALL(0, rseq, 0, 0, 0, 0),
		CALL(0, flock, -1, LOCK_EX),
		CALL(0, renameat2, -1, 0, -1, 0, 0),
		CALL(0, shmget, 0, 0, 0),
		CALL(0, kill, 0x7ffffff0, 0),
	};
	check_calls(calls, countof(calls));
}

/* A misspelt name would be passed over in silence and its call answered ENOSYS. */
static bool name_is_known(const char *name)
{
	bool known = seccomp_syscall_resolve_name(name) != __NR_SCMP_ERROR;
	for (size_t i = 0; !known && i < filter_n_young; i++)
		known = !strcmp(filter_young[i].name, name);
	if (!known)
		print_error("%s: no such call\n", name);
	return known;
}

static void every_name_of_the_lists_is_known_and_stands_once(void **state)
{
	(void)state;
	for (size_t i = 0; i < filter_n_allowed; i++) {
		assert_true(name_is_known(filter_allowed[i]));
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(filter_allowed[i], filter_allowed[j]);
		for (size_t j = 0; j < filter_n_refused; j++)
			assert_string_not_equal(filter_allowed[i], filter_refused[j].name);
	}
	for (size_t i = 0; i < filter_n_refused; i++)
		assert_true(name_is_known(filter_refused[i].name));
	for (size_t i = 0; i < filter_n_loosened; i++)
		assert_true(name_is_known(filter_loosened[i].name));
	for (size_t i = 0; i < filter_n_young; i++) {
		bool named = false;
		for (size_t j = 0; j < filter_n_allowed; j++)
			named |= !strcmp(filter_allowed[j], filter_young[i].name);
		for (size_t j = 0; j < filter_n_loosened; j++)
			named |= !strcmp(filter_loosened[j].name, filter_young[i].name);
		assert_true(named);
	}
}

static void a_call_whose_arguments_are_looked_at_always_has_an_answer(void **state)
{
	(void)state;
	for (size_t i = 0; i < filter_n_checks; i++) {
		const struct filter_check *c = &filter_checks[i];
		bool last = i + 1 == filter_n_checks || strcmp(c[1].call, c->call) != 0;
		assert_int_equal(c->when[0].mask == 0 && (last || !c->loosen), last);
		if (last && c->loosen) /* a call of that loosening alone */
			assert_int_equal(c->loosen, BOX_LOOSEN_I386);
		for (size_t j = i + 1; last && j < filter_n_checks; j++)
			assert_string_not_equal(filter_checks[j].call, c->call);
	}
}

static int trace_a_child(void *arg)
{
	(void)arg;
	int status;
	pid_t pid = fork();
	if (!pid) {
		if (ptrace(PTRACE_TRACEME, 0, 0, 0) || raise(SIGSTOP))
			_exit(1);
		_exit(7);
	}
	if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status))
		return 1;
	if (ptrace(PTRACE_CONT, pid, 0, 0) || waitpid(pid, &status, 0) != pid)
		return 2;
	return WIFEXITED(status) && WEXITSTATUS(status) == 7 ? 0 : 3;
}

static int run_from_memory(void *arg)
{
	(void)arg;
	char buf[65536];
	ssize_t n;
	int from = open("/bin/true", O_RDONLY | O_CLOEXEC), fd = memfd_create("true", MFD_CLOEXEC);
	while (from >= 0 && fd >= 0 && (n = read(from, buf, sizeof(buf))) > 0)
		if (write(fd, buf, (size_t)n) != n)
			return 1;
	char *argv[] = {"true", NULL}, *envp[] = {NULL};
	fexecve(fd, argv, envp);
	return errno == EACCES
		       ? 0
		       : 2; /* the host may forbid it (vm.memfd_noexec); the filter does not */
}

static int filter_more(void *arg)
{
	(void)arg;
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EXDEV),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = {countof(code), code};
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog))
		return 1;
	return syscall(SYS_getppid) == -1 && errno == EXDEV ? 0 : 2;
}

static int use_ipc(void *arg)
{
	(void)arg;
	long shm = syscall(SYS_shmget, 0, 4096, 0600), sem = syscall(SYS_semget, 0, 1, 0600),
	     msg = syscall(SYS_msgget, 0, 0600);
	int rc = shm < 0 || sem < 0 || msg < 0;
	rc |= syscall(SYS_shmctl, shm, 0, 0) || syscall(SYS_semctl, sem, 0, 0, 0) ||
	      syscall(SYS_msgctl, msg, 0, 0);
	return rc;
}

static int lock_and_mark_a_file(void *arg)
{
	int fd = *(int *)arg;
	if (flock(fd, LOCK_EX) || flock(fd, LOCK_UN))
		return 1;
	return fsetxattr(fd, "user.assay", "x", 1, 0) && errno != EOPNOTSUPP ? 2 : 0;
}

/* Ids of one's own are always allowed; changing them, and chroot, only where the kernel says so. */
static int change_identity(void *arg)
{
	(void)arg;
	bool root = !geteuid();
	if (setresgid(getgid(), getegid(), getgid()) || setresuid(getuid(), geteuid(), getuid()))
		return 1;
	if (chroot("/") && (root || errno != EPERM))
		return 2;
	if (!root)
		return 0;
	return setgroups(0, NULL) || setresgid(65534, 65534, 65534) ||
			       setresuid(65534, 65534, 65534)
		       ? 3
		       : 0;
}

static int write_and_run_memory(void *arg)
{
	(void)arg;
	return mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		    0) == MAP_FAILED;
}

static int clone_a_child(void *arg)
{
	(void)arg;
	int status;
	pid_t pid = (pid_t)syscall(SYS_clone, CLONE_CHILD_SETTID | SIGCHLD, 0, 0, 0, 0);
	if (!pid)
		syscall(SYS_exit_group, 5);
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 5 ? 0
												: 1;
}

static void children_can_be_traced(void **state)
{
	(void)state;
	assert_int_equal(run_filtered(trace_a_child, NULL), 0);
}

static void programs_in_memory_run(void **state)
{
	(void)state;
	assert_int_equal(run_filtered(run_from_memory, NULL), 0);
}

static void a_job_may_filter_itself_further(void **state)
{
	(void)state;
	assert_int_equal(run_filtered(filter_more, NULL), 0);
}

static void system_v_ipc_works(void **state)
{
	(void)state;
	assert_int_equal(run_filtered(use_ipc, NULL), 0);
}

static void files_can_be_locked_and_have_attributes(void **state)
{
	(void)state;
	char path[] = "/tmp/assay-filter-XXXXXX";
	auto_fd int fd = mkstemp(path);
	assert_true(fd >= 0);
	unlink(path);
	assert_int_equal(run_filtered(lock_and_mark_a_file, &fd), 0);
}

static void identity_and_root_directory_change_as_the_kernel_allows(void **state)
{
	(void)state;
	assert_int_equal(run_filtered(change_identity, NULL), 0);
}

static void memory_may_be_written_and_run(void **state)
{
	(void)state;
	assert_int_equal(run_filtered(write_and_run_memory, NULL), 0);
}

static void processes_can_be_cloned(void **state)
{
	(void)state;
	assert_int_equal(run_filtered(clone_a_child, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(namespaces_are_refused),
		cmocka_unit_test(calls_that_open_the_kernel_are_refused),
		cmocka_unit_test(a_terminal_takes_no_input_from_a_job),
		cmocka_unit_test(personalities_are_the_harmless_ones),
		cmocka_unit_test(sockets_are_local_or_of_the_internet),
		cmocka_unit_test(io_priority_is_never_real_time),
		cmocka_unit_test(nobody_schedules_pid_1),
		cmocka_unit_test(what_packages_need_is_answered_by_the_kernel),
		cmocka_unit_test(every_name_of_the_lists_is_known_and_stands_once),
		cmocka_unit_test(a_call_whose_arguments_are_looked_at_always_has_an_answer),
		cmocka_unit_test(children_can_be_traced),
		cmocka_unit_test(programs_in_memory_run),
		cmocka_unit_test(a_job_may_filter_itself_further),
		cmocka_unit_test(system_v_ipc_works),
		cmocka_unit_test(files_can_be_locked_and_have_attributes),
		cmocka_unit_test(identity_and_root_directory_change_as_the_kernel_allows),
		cmocka_unit_test(memory_may_be_written_and_run),
		cmocka_unit_test(processes_can_be_cloned),
	};
	return cmocka_run_group_tests_name("sandbox/filter", tests, set_up, tear_down);
}
