#include "sandbox/filter_table.h"

#include "base/own.h"
#include "sandbox/filter.h"
#include "sandbox/sandbox.h"

#include <errno.h>
#include <linux/ioprio.h>
#include <linux/net.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#if !defined(__x86_64__) && !defined(__aarch64__)
#error "the order of arguments and the numbers of calls were checked for x86-64 and aarch64 only"
#endif

/* clang-format off */
const char *const filter_allowed[] = {
	/* files by descriptor */
	"read", "readv", "pread64", "preadv", "preadv2", "write", "writev", "pwrite64", "pwritev", "pwritev2",
	"open", "openat", "openat2", "creat", "close", "close_range", "dup", "dup2", "dup3", "lseek", "fcntl",
	"flock", "fsync", "fdatasync", "syncfs", "sync_file_range", "ftruncate", "truncate", "fallocate",
	"fadvise64", "readahead", "copy_file_range", "sendfile", "splice", "tee", "getdents", "getdents64",
	"pipe", "pipe2", "cachestat",
	/* files by name */
	"stat", "lstat", "fstat", "newfstatat", "statx", "statfs", "fstatfs", "access", "faccessat", "faccessat2",
	"chdir", "fchdir", "getcwd", "chroot", "umask", "mkdir", "mkdirat", "rmdir", "link", "linkat", "unlink",
	"unlinkat", "symlink", "symlinkat", "readlink", "readlinkat", "rename", "renameat", "renameat2", "mknod",
	"mknodat", "chmod", "fchmod", "fchmodat", "fchmodat2", "chown", "fchown", "lchown", "fchownat", "utime",
	"utimes", "utimensat", "futimesat",
	"getxattr", "lgetxattr", "fgetxattr", "setxattr", "lsetxattr", "fsetxattr", "listxattr", "llistxattr",
	"flistxattr", "removexattr", "lremovexattr", "fremovexattr",
	"setxattrat", "getxattrat", "listxattrat", "removexattrat",
	"inotify_init", "inotify_init1", "inotify_add_watch", "inotify_rm_watch",
	/* waiting */
	"select", "pselect6", "poll", "ppoll", "epoll_create", "epoll_create1", "epoll_ctl", "epoll_wait",
	"epoll_pwait", "epoll_pwait2", "eventfd", "eventfd2", "signalfd", "signalfd4", "timerfd_create",
	"timerfd_settime", "timerfd_gettime",
	/* memory */
	"brk", "munmap", "mremap", "mprotect", "madvise", "msync", "mincore", "mlock", "mlock2", "munlock",
	"munlockall", "membarrier", "remap_file_pages", "pkey_alloc", "pkey_free", "pkey_mprotect",
	"mseal", "map_shadow_stack",
	/* processes, threads, signals */
	"fork", "vfork", "execve", "execveat", "exit", "exit_group", "wait4", "waitid", "kill", "tkill", "tgkill",
	"pidfd_open", "pidfd_send_signal", "ptrace", "process_vm_readv", "process_mrelease", "arch_prctl",
	"seccomp", "landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self", "set_tid_address", "rseq",
	"futex", "futex_waitv", "futex_wake", "futex_wait", "futex_requeue",
	"set_robust_list", "get_robust_list", "set_thread_area", "get_thread_area",
	"rt_sigaction", "rt_sigprocmask", "rt_sigpending", "rt_sigsuspend", "rt_sigtimedwait", "rt_sigqueueinfo",
	"rt_tgsigqueueinfo", "rt_sigreturn", "sigaltstack", "pause", "restart_syscall",
	"getpid", "getppid", "gettid", "getpgid", "getpgrp", "setpgid", "getsid", "setsid",
	"sched_yield", "sched_getaffinity", "sched_getattr", "sched_getparam",
	"sched_getscheduler", "sched_get_priority_max", "sched_get_priority_min",
	"sched_rr_get_interval", "getpriority", "ioprio_get", "getcpu", "getrlimit", "setrlimit",
	"getrusage", "times", "sysinfo", "uname", "getrandom",
#ifdef __x86_64__
	"uretprobe", "uprobe", /* who traces a program from the host puts these calls into it (Linux 6.11, 6.18) */
#endif
	/* identity */
	"getuid", "geteuid", "getgid", "getegid", "getresuid", "getresgid", "getgroups", "setuid", "setgid",
	"setreuid", "setregid", "setresuid", "setresgid", "setgroups", "setfsuid", "setfsgid", "capget", "capset",
	/* time */
	"time", "gettimeofday", "clock_gettime", "clock_getres", "clock_nanosleep", "nanosleep", "alarm", "getitimer",
	"setitimer", "timer_create", "timer_settime", "timer_gettime", "timer_getoverrun", "timer_delete",
	/* talking: socket and socketpair are looked at below */
	"bind", "listen", "accept", "accept4", "connect", "shutdown", "getsockname", "getpeername", "getsockopt",
	"setsockopt", "sendto", "sendmsg", "sendmmsg", "recvfrom", "recvmsg", "recvmmsg",
	"shmget", "shmat", "shmdt", "shmctl", "semget", "semop", "semtimedop", "semctl", "msgget", "msgsnd",
	"msgrcv", "msgctl", "mq_open", "mq_unlink", "mq_timedsend", "mq_timedreceive", "mq_notify", "mq_getsetattr",
};
const size_t filter_n_allowed = countof(filter_allowed);

const struct filter_young filter_young[] = {
	{"cachestat", 451}, {"fchmodat2", 452}, {"setxattrat", 463}, {"getxattrat", 464}, {"listxattrat", 465}, {"removexattrat", 466},
	{"mseal", 462}, {"map_shadow_stack", 453}, {"futex_wake", 454}, {"futex_wait", 455}, {"futex_requeue", 456},
	{"statmount", 457}, {"listmount", 458}, {"open_tree_attr", 467},
#ifdef __x86_64__
	{"uretprobe", 335}, {"uprobe", 336},
#endif
};
const size_t filter_n_young = countof(filter_young);

/* libseccomp answers these names with what multiplexes them (socketcall, ipc). */
const struct filter_young filter_i386[] = {
	{"mmap", -1}, /* its flags are behind a pointer, out of a filter's sight; since Linux 2.4 there is mmap2 */
	{"socket", 359}, {"socketpair", 360}, {"bind", 361}, {"connect", 362}, {"listen", 363}, {"accept4", 364}, {"getsockopt", 365},
	{"setsockopt", 366}, {"getsockname", 367}, {"getpeername", 368}, {"sendto", 369}, {"sendmsg", 370}, {"recvfrom", 371},
	{"recvmsg", 372}, {"shutdown", 373}, {"recvmmsg", 337}, {"sendmmsg", 345}, {"semget", 393}, {"semctl", 394}, {"shmget", 395},
	{"shmctl", 396}, {"shmat", 397}, {"shmdt", 398}, {"msgget", 399}, {"msgsnd", 400}, {"msgrcv", 401}, {"msgctl", 402},
};
const size_t filter_n_i386 = countof(filter_i386);

const struct filter_loosened filter_loosened[] = {
	/* What they do in namespaces that the box did not make is the kernel's to refuse: a job has CAP_SYS_ADMIN in its own ones only,
	 * and what it copies of the box's mounts is locked there (mount_namespaces(7)). */
	{BOX_LOOSEN_USERNS, "mount"}, {BOX_LOOSEN_USERNS, "umount2"}, {BOX_LOOSEN_USERNS, "umount"}, {BOX_LOOSEN_USERNS, "pivot_root"},
	{BOX_LOOSEN_USERNS, "fsopen"}, {BOX_LOOSEN_USERNS, "fsconfig"}, {BOX_LOOSEN_USERNS, "fsmount"}, {BOX_LOOSEN_USERNS, "fspick"},
	{BOX_LOOSEN_USERNS, "move_mount"}, {BOX_LOOSEN_USERNS, "open_tree"}, {BOX_LOOSEN_USERNS, "open_tree_attr"},
	{BOX_LOOSEN_USERNS, "mount_setattr"}, {BOX_LOOSEN_USERNS, "statmount"}, {BOX_LOOSEN_USERNS, "listmount"},
	{BOX_LOOSEN_USERNS, "setns"}, {BOX_LOOSEN_USERNS, "sethostname"}, {BOX_LOOSEN_USERNS, "setdomainname"},
	{BOX_LOOSEN_FUSE, "mount"}, {BOX_LOOSEN_FUSE, "umount2"}, {BOX_LOOSEN_FUSE, "umount"},
	{BOX_LOOSEN_IO_URING, "io_uring_setup"}, {BOX_LOOSEN_IO_URING, "io_uring_enter"}, {BOX_LOOSEN_IO_URING, "io_uring_register"},
	/* One count for the whole machine (fs.aio-max-nr, 65536): a single call may take all of it from everybody. Refused with the default,
	 * ENOSYS, on which databases read and write without. */
	{BOX_LOOSEN_AIO, "io_setup"}, {BOX_LOOSEN_AIO, "io_destroy"}, {BOX_LOOSEN_AIO, "io_submit"}, {BOX_LOOSEN_AIO, "io_cancel"},
	{BOX_LOOSEN_AIO, "io_getevents"}, {BOX_LOOSEN_AIO, "io_pgetevents"},
	/* i386: names that the 64-bit table does not have */
	{BOX_LOOSEN_I386, "_llseek"}, {BOX_LOOSEN_I386, "_newselect"}, {BOX_LOOSEN_I386, "chown32"}, {BOX_LOOSEN_I386, "fadvise64_64"},
	{BOX_LOOSEN_I386, "fchown32"}, {BOX_LOOSEN_I386, "fcntl64"}, {BOX_LOOSEN_I386, "fstat64"}, {BOX_LOOSEN_I386, "fstatat64"},
	{BOX_LOOSEN_I386, "fstatfs64"}, {BOX_LOOSEN_I386, "ftruncate64"}, {BOX_LOOSEN_I386, "lchown32"}, {BOX_LOOSEN_I386, "lstat64"},
	{BOX_LOOSEN_I386, "sendfile64"}, {BOX_LOOSEN_I386, "stat64"}, {BOX_LOOSEN_I386, "statfs64"},
	{BOX_LOOSEN_I386, "truncate64"}, {BOX_LOOSEN_I386, "ugetrlimit"}, {BOX_LOOSEN_I386, "waitpid"}, {BOX_LOOSEN_I386, "nice"},
	{BOX_LOOSEN_I386, "sigaction"}, {BOX_LOOSEN_I386, "sigpending"}, {BOX_LOOSEN_I386, "sigprocmask"},
	{BOX_LOOSEN_I386, "sigreturn"}, {BOX_LOOSEN_I386, "sigsuspend"}, {BOX_LOOSEN_I386, "signal"},
	{BOX_LOOSEN_I386, "getegid32"}, {BOX_LOOSEN_I386, "geteuid32"}, {BOX_LOOSEN_I386, "getgid32"}, {BOX_LOOSEN_I386, "getgroups32"},
	{BOX_LOOSEN_I386, "getresgid32"}, {BOX_LOOSEN_I386, "getresuid32"}, {BOX_LOOSEN_I386, "getuid32"},
	{BOX_LOOSEN_I386, "setfsgid32"}, {BOX_LOOSEN_I386, "setfsuid32"}, {BOX_LOOSEN_I386, "setgid32"}, {BOX_LOOSEN_I386, "setgroups32"},
	{BOX_LOOSEN_I386, "setregid32"}, {BOX_LOOSEN_I386, "setresgid32"}, {BOX_LOOSEN_I386, "setresuid32"},
	{BOX_LOOSEN_I386, "setreuid32"}, {BOX_LOOSEN_I386, "setuid32"},
	{BOX_LOOSEN_I386, "clock_getres_time64"}, {BOX_LOOSEN_I386, "clock_gettime64"}, {BOX_LOOSEN_I386, "clock_nanosleep_time64"},
	{BOX_LOOSEN_I386, "futex_time64"}, {BOX_LOOSEN_I386, "io_pgetevents_time64"}, {BOX_LOOSEN_I386, "mq_timedreceive_time64"},
	{BOX_LOOSEN_I386, "mq_timedsend_time64"}, {BOX_LOOSEN_I386, "ppoll_time64"}, {BOX_LOOSEN_I386, "pselect6_time64"},
	{BOX_LOOSEN_I386, "recvmmsg_time64"}, {BOX_LOOSEN_I386, "rt_sigtimedwait_time64"},
	{BOX_LOOSEN_I386, "sched_rr_get_interval_time64"}, {BOX_LOOSEN_I386, "semtimedop_time64"},
	{BOX_LOOSEN_I386, "timer_gettime64"}, {BOX_LOOSEN_I386, "timer_settime64"}, {BOX_LOOSEN_I386, "timerfd_gettime64"},
	{BOX_LOOSEN_I386, "timerfd_settime64"}, {BOX_LOOSEN_I386, "utimensat_time64"}, {BOX_LOOSEN_I386, "ipc"},
};
const size_t filter_n_loosened = countof(filter_loosened);

/* What a program may know about and be told a reason for. EPERM is what it would get as an ordinary user of a careful host. ENOSYS, where
 * that makes a program fall back better (no keys in the kernel, no NUMA, the older way to mount, process_madvise, file_getattr of 6.17:
 * an ioctl), needs no row: it is the default. */
const struct filter_refusal filter_refused[] = {
	/* Every file system of the machine, whoever wrote there: neighbours wait. POSIX lets it be told before it is done, and what a box
	 * writes is not there any more after a crash anyway (`volatile`). syncfs and fsync are about the box's own. */
	{"sync", 0},
	{"bpf", EPERM}, {"userfaultfd", EPERM}, {"fanotify_init", EPERM}, {"fanotify_mark", EPERM},
	{"io_uring_setup", EPERM}, {"io_uring_enter", EPERM}, {"io_uring_register", EPERM}, /* as kernel.io_uring_disabled=2 */
	{"open_by_handle_at", EPERM}, {"name_to_handle_at", EOPNOTSUPP}, /* "this file system has none" */
	{"process_vm_writev", EPERM}, {"pidfd_getfd", EPERM}, {"kcmp", EPERM}, {"mlockall", EPERM},
	{"mount", EPERM}, {"umount2", EPERM}, {"pivot_root", EPERM}, {"setns", EPERM}, {"swapon", EPERM}, {"swapoff", EPERM},
	{"sethostname", EPERM}, {"setdomainname", EPERM}, {"reboot", EPERM}, {"syslog", EPERM}, {"acct", EPERM}, {"quotactl", EPERM},
	{"quotactl_fd", EPERM}, {"vhangup", EPERM}, {"init_module", EPERM}, {"finit_module", EPERM}, {"delete_module", EPERM},
	{"kexec_load", EPERM}, {"kexec_file_load", EPERM}, {"iopl", EPERM}, {"ioperm", EPERM},
	{"settimeofday", EPERM}, {"clock_settime", EPERM}, {"adjtimex", EPERM}, {"clock_adjtime", EPERM},
};
const size_t filter_n_refused = countof(filter_refused);

#define ALLOW SECCOMP_RET_ALLOW
#define REFUSE(error) (SECCOMP_RET_ERRNO | (error))
#define WHOLE 0xffffffffu
#define TYPE 0xfu /* SOCK_TYPE_MASK of linux/net.h: without SOCK_CLOEXEC and SOCK_NONBLOCK */
#define NEW_NAMESPACES \
	((uint32_t)(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET))
#define NEW_TIME 0x80u /* CLONE_NEWTIME: for unshare only, in clone(2) it is part of the exit signal */

#define SOCKET(family, type, protocol) {"socket", {{0, WHOLE, family}, {1, TYPE, type}, {2, WHOLE, protocol}}, ALLOW, 0}

/* TCP and UDP are named, so that stream and datagram sockets of other protocols (SCTP, MPTCP, SMC, L2TP, UDP-Lite …) do not load modules. */
const struct filter_check filter_checks[] = {
	{"ioctl", {{1, WHOLE, TIOCSTI}}, REFUSE(EPERM), 0},
	{"ioctl", {{1, WHOLE, TIOCLINUX}}, REFUSE(EPERM), 0},
	{"ioctl", {{1, WHOLE, TIOCSETD}}, REFUSE(EPERM), 0}, /* line disciplines: modules that nobody looks after (n_gsm, n_hdlc …) */
	{"ioctl", {{0}}, ALLOW, 0},
	/* A cookie keeps strangers off the processor's other threads: neighbours pay. As a kernel without CONFIG_SCHED_CORE. */
	{"prctl", {{0, WHOLE, PR_SCHED_CORE}}, REFUSE(EINVAL), 0},
	{"prctl", {{0}}, ALLOW, 0},
	/* Huge pages that an administrator has set apart (vm.nr_hugepages): in no limit of memory, and somebody else's. As a machine without. */
	{"mmap", {{3, MAP_HUGETLB, MAP_HUGETLB}}, REFUSE(ENOMEM), 0},
	{"mmap", {{0}}, ALLOW, 0},
	{"mmap2", {{3, MAP_HUGETLB, MAP_HUGETLB}}, REFUSE(ENOMEM), BOX_LOOSEN_I386},
	{"mmap2", {{0}}, ALLOW, BOX_LOOSEN_I386},
	{"memfd_create", {{1, MFD_HUGETLB, MFD_HUGETLB}}, REFUSE(ENOSYS), 0},
	{"memfd_create", {{0}}, ALLOW, 0},
	/* Of its own processes, not of a processor: where kernel.perf_event_paranoid is below 1, that is everybody's. */
	{"perf_event_open", {{1, WHOLE, 0xffffffff}}, REFUSE(EACCES), BOX_LOOSEN_PERF},
	{"perf_event_open", {{0}}, ALLOW, BOX_LOOSEN_PERF},
	{"perf_event_open", {{0}}, REFUSE(EPERM), 0},
	{"clone", {{0, NEW_NAMESPACES, 0}}, ALLOW, 0},
	{"clone", {{0, CLONE_NEWCGROUP, CLONE_NEWCGROUP}}, REFUSE(EPERM), FILTER_NO_CGROUPS},
	{"clone", {{0}}, ALLOW, BOX_LOOSEN_USERNS},
	{"clone", {{0}}, REFUSE(EPERM), 0},
	{"unshare", {{0, NEW_NAMESPACES | NEW_TIME, 0}}, ALLOW, 0},
	{"unshare", {{0, CLONE_NEWCGROUP, CLONE_NEWCGROUP}}, REFUSE(EPERM), FILTER_NO_CGROUPS},
	{"unshare", {{0}}, ALLOW, BOX_LOOSEN_USERNS},
	{"unshare", {{0}}, REFUSE(EPERM), 0},
	{"socket", {{0, WHOLE, AF_UNIX}}, ALLOW, 0},
	SOCKET(AF_INET, SOCK_STREAM, 0), SOCKET(AF_INET, SOCK_STREAM, IPPROTO_TCP),
	SOCKET(AF_INET, SOCK_DGRAM, 0), SOCKET(AF_INET, SOCK_DGRAM, IPPROTO_UDP), SOCKET(AF_INET, SOCK_DGRAM, IPPROTO_ICMP),
	SOCKET(AF_INET6, SOCK_STREAM, 0), SOCKET(AF_INET6, SOCK_STREAM, IPPROTO_TCP),
	SOCKET(AF_INET6, SOCK_DGRAM, 0), SOCKET(AF_INET6, SOCK_DGRAM, IPPROTO_UDP), SOCKET(AF_INET6, SOCK_DGRAM, IPPROTO_ICMPV6),
	{"socket", {{0, WHOLE, AF_NETLINK}, {2, WHOLE, 0 /* NETLINK_ROUTE */}}, ALLOW, 0},
	{"socket", {{0, WHOLE, AF_INET}}, REFUSE(EPROTONOSUPPORT), 0},
	{"socket", {{0, WHOLE, AF_INET6}}, REFUSE(EPROTONOSUPPORT), 0},
	{"socket", {{0, WHOLE, AF_NETLINK}}, REFUSE(EPROTONOSUPPORT), 0},
	{"socket", {{0}}, REFUSE(EAFNOSUPPORT), 0},
	/* i386: family and type are behind a pointer, out of a filter's sight. */
	{"socketcall", {{0, WHOLE, SYS_SOCKET}}, REFUSE(EAFNOSUPPORT), BOX_LOOSEN_I386},
	{"socketcall", {{0, WHOLE, SYS_SOCKETPAIR}}, REFUSE(EAFNOSUPPORT), BOX_LOOSEN_I386},
	{"socketcall", {{0}}, ALLOW, BOX_LOOSEN_I386},
	{"socketpair", {{0, WHOLE, AF_UNIX}}, ALLOW, 0},
	{"socketpair", {{0}}, REFUSE(EAFNOSUPPORT), 0},
	{"personality", {{0, WHOLE, PER_LINUX}}, ALLOW, 0},
	{"personality", {{0, WHOLE, PER_LINUX32}}, ALLOW, 0},
	{"personality", {{0, WHOLE, UNAME26}}, ALLOW, 0},
	{"personality", {{0, WHOLE, UNAME26 | PER_LINUX32}}, ALLOW, 0},
	{"personality", {{0, WHOLE, ADDR_NO_RANDOMIZE}}, ALLOW, 0},
	{"personality", {{0, WHOLE, ADDR_NO_RANDOMIZE | PER_LINUX32}}, ALLOW, 0},
	{"personality", {{0, WHOLE, 0xffffffff /* the query */}}, ALLOW, 0},
	{"personality", {{0}}, REFUSE(EPERM), 0},
	/* Pid 1 is the box's own supervisor, and as the same user anybody may set its limits (a second of CPU time, then the kernel kills
	 * it) and put it last in every queue. PRIO_USER and IOPRIO_WHO_USER are all of the box, pid 1 too. */
	{"prlimit64", {{0, WHOLE, 1}}, REFUSE(EPERM), 0},
	{"prlimit64", {{0}}, ALLOW, 0},
	{"setpriority", {{0, WHOLE, PRIO_USER}}, REFUSE(EPERM), 0},
	{"setpriority", {{1, WHOLE, 1}}, REFUSE(EPERM), 0},
	{"setpriority", {{0}}, ALLOW, 0},
	{"sched_setscheduler", {{0, WHOLE, 1}}, REFUSE(EPERM), 0},
	{"sched_setscheduler", {{0}}, ALLOW, 0},
	{"sched_setparam", {{0, WHOLE, 1}}, REFUSE(EPERM), 0},
	{"sched_setparam", {{0}}, ALLOW, 0},
	{"sched_setattr", {{0, WHOLE, 1}}, REFUSE(EPERM), 0},
	{"sched_setattr", {{0}}, ALLOW, 0},
	{"sched_setaffinity", {{0, WHOLE, 1}}, REFUSE(EPERM), 0},
	{"sched_setaffinity", {{0}}, ALLOW, 0},
	{"ioprio_set", {{0, WHOLE, IOPRIO_WHO_USER}}, REFUSE(EPERM), 0},
	{"ioprio_set", {{1, WHOLE, 1}}, REFUSE(EPERM), 0},
	/* ioprio.h: the class is in bits 13-15 */
	{"ioprio_set", {{2, 7u << IOPRIO_CLASS_SHIFT, IOPRIO_CLASS_RT << IOPRIO_CLASS_SHIFT}}, REFUSE(EPERM), 0},
	{"ioprio_set", {{0}}, ALLOW, 0},
};
const size_t filter_n_checks = countof(filter_checks);
/* clang-format on */
