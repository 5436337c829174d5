/* The host's side. `host DIR` makes what a job must not reach, tells it as facts (NAME=VALUE, a
 * line each, then an empty one) and keeps it until its standard input ends. `dirty COMMAND...` is a
 * careless caller: it leaves all that can be inherited, and executes the engine. */
#include "tests/probes/probe.h"

#include <arpa/inet.h>
#include <grp.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/ioprio.h>
#include <linux/keyctl.h>
#include <mqueue.h>
#include <sched.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/msg.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <sys/xattr.h>
#include <termios.h>
#include <time.h>

static char token[17];
static char shm_path[64], mq_name[64];
static int shm_id = -1, sem_id = -1, msg_id = -1;

static void tell(const char *name, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void tell(const char *name, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	printf("%s=", name);
	vprintf(fmt, args);
	putchar('\n');
	va_end(args);
}

static void tell_number(const char *name, long n)
{
	if (n < 0)
		tell(name, "-");
	else
		tell(name, "%ld", n);
}

static void host_namespaces(void)
{
	static const char *const names[] = {"user", "mnt", "pid",    "ipc",
					    "uts",  "net", "cgroup", "time"};
	char path[64], name[64];
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		struct stat st;
		snprintf(path, sizeof(path), "/proc/self/ns/%s", names[i]);
		snprintf(name, sizeof(name), "ns_%s", names[i]);
		tell_number(name, stat(path, &st) ? -1 : (long)st.st_ino);
	}
}

/* The port of a listener on the loopback interface, or -1. */
static long host_listens(int family)
{
	union {
		struct sockaddr any;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} a = {.any.sa_family = (sa_family_t)family};
	socklen_t n = family == AF_INET ? sizeof(a.in) : sizeof(a.in6);
	if (family == AF_INET)
		a.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	else
		a.in6.sin6_addr = (struct in6_addr)IN6ADDR_LOOPBACK_INIT;
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, &a.any, n) || listen(fd, 64) || getsockname(fd, &a.any, &n))
		return -1;
	return ntohs(family == AF_INET ? a.in.sin_port : a.in6.sin6_port);
}

static bool host_listens_unix(const char *path, bool abstract)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int n = snprintf(a.sun_path + abstract, sizeof(a.sun_path) - abstract, "%s", path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 ||
	    bind(fd, (struct sockaddr *)&a,
		 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + abstract + (size_t)n)) ||
	    listen(fd, 64))
		return false;
	return abstract || !chmod(path, 0777);
}

static void host_ipc(void)
{
	uint32_t key;
	snprintf(shm_path, sizeof(shm_path), "/dev/shm/probe-%s", token);
	int fd = file_make(shm_path, token, 0666);
	tell("shm", "%s", fd < 0 || fchmod(fd, 0666) ? "-" : shm_path);
	if (getrandom(&key, sizeof(key), 0) != sizeof(key))
		exit(3);
	key = (key & 0x3fffffff) | 1;
	shm_id = shmget((key_t)key, 4096, IPC_CREAT | IPC_EXCL | 0666);
	sem_id = semget((key_t)key, 1, IPC_CREAT | IPC_EXCL | 0666);
	msg_id = msgget((key_t)key, IPC_CREAT | IPC_EXCL | 0666);
	tell_number("ipc_key", shm_id < 0 || sem_id < 0 || msg_id < 0 ? -1 : (long)key);
	tell_number("shm_id", shm_id);
	snprintf(mq_name, sizeof(mq_name), "/probe-%s", token);
	mqd_t mq = mq_open(mq_name, O_CREAT | O_EXCL | O_RDWR, 0666, NULL);
	tell("mq", "%s", mq == (mqd_t)-1 || fchmod(mq, 0666) ? "-" : mq_name);
}

static void host_keys(void)
{
	long key = -1;
	if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) >= 0)
		key = syscall(SYS_add_key, "user", token, token, strlen(token),
			      KEY_SPEC_SESSION_KEYRING);
	if (key >= 0)
		syscall(SYS_keyctl, KEYCTL_SETPERM, key, 0x3f3f3f3f);
	tell_number("key", key);
	syscall(SYS_add_key, "user", "assay-probe-user", token, strlen(token),
		KEY_SPEC_USER_KEYRING);
}

static void host_handle(const char *path)
{
	struct {
		struct file_handle head;
		unsigned char room[MAX_HANDLE_SZ];
	} h = {.head.handle_bytes = MAX_HANDLE_SZ};
	int mount;
	if (name_to_handle_at(AT_FDCWD, path, &h.head, &mount, 0)) {
		tell("handle", "-");
		return;
	}
	printf("handle=%u:", (unsigned)h.head.handle_type);
	for (unsigned i = 0; i < h.head.handle_bytes; i++)
		printf("%02x", h.room[i]);
	putchar('\n');
}

/* DIR/shared, which the engines show read-only as /probe: this program, a copy with set-user-id,
 * one with capabilities, a file that is locked. */
static int host_shared(const char *dir)
{
	char path[PATH_MAX];
	struct vfs_cap_data caps = {.magic_etc = VFS_CAP_REVISION_2 | VFS_CAP_FLAGS_EFFECTIVE,
				    .data = {{~0u, 0}, {0x1ff, 0}}};
	snprintf(path, sizeof(path), "%s/shared/suid", dir);
	if (chmod(path, 04755))
		return -1;
	snprintf(path, sizeof(path), "%s/shared/filecap", dir);
	tell("filecap", "%s",
	     setxattr(path, "security.capability", &caps, sizeof(caps), 0) ? "-" : "all");
	snprintf(path, sizeof(path), "%s/shared/lock", dir);
	int fd = file_make(path, "lock\n", 0644);
	snprintf(path, sizeof(path), "%s/lower/lock", dir);
	int other = file_make(path, "lock\n", 0644);
	return fd < 0 || other < 0 || flock(fd, LOCK_EX | LOCK_NB) ||
			       flock(other, LOCK_EX | LOCK_NB)
		       ? -1
		       : 0;
}

static void tell_most(const char *name, __rlimit_resource_t which)
{
	struct rlimit r;
	if (getrlimit(which, &r) || r.rlim_max > LONG_MAX)
		tell(name, "-");
	else
		tell_number(name, (long)r.rlim_max);
}

int host_main(int argc, char **argv)
{
	static const char hex[] = "0123456789abcdef";
	unsigned char random[8];
	char path[PATH_MAX], name[16];
	struct stat st;
	struct utsname u;
	struct timespec real, boot;
	if (argc != 3 || argv[2][0] != '/' ||
	    getrandom(random, sizeof(random), 0) != sizeof(random))
		return 2;
	const char *dir = argv[2];
	for (int i = 0; i < 16; i++)
		token[i] = hex[random[i / 2] >> (i & 1 ? 0 : 4) & 15];
	umask(022);
	signal(SIGPIPE, SIG_IGN);
	host_namespaces();
	tell("place", "%s", strrchr(dir, '/') + 1);
	snprintf(path, sizeof(path), "%s/secret", dir);
	if (file_make(path, token, 0644) < 0 || stat("/", &st))
		return 3;
	tell("file", "%s", path);
	host_handle(path);
	tell_number("root_dev", (long)st.st_dev);
	tell_number("tcp4", host_listens(AF_INET));
	tell_number("tcp6", host_listens(AF_INET6));
	snprintf(path, sizeof(path), "%s/socket", dir);
	tell("socket", "%s", host_listens_unix(path, false) ? path : "-");
	snprintf(path, sizeof(path), "probe-%s", token);
	tell("abstract", "%s", host_listens_unix(path, true) ? path : "-");
	host_ipc();
	host_keys();
	if (host_shared(dir))
		return 3;
	int pty = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC), unlock = 0;
	if (pty >= 0 && !ioctl(pty, TIOCSPTLCK, &unlock) && ptsname(pty)) {
		tell("pty", "%s", ptsname(pty));
		chmod(ptsname(pty), 0666);
	} else {
		tell("pty", "-");
	}
	tell_most("signals", RLIMIT_SIGPENDING);
	tell_most("files", RLIMIT_NOFILE);
	snprintf(name, sizeof(name), "pr-%.12s", token);
	prctl(PR_SET_NAME, name);
	tell("comm", "%s", name);
	tell_number("pid", getpid());
	uname(&u);
	tell("hostname", "%s", u.nodename);
	clock_gettime(CLOCK_REALTIME, &real);
	clock_gettime(CLOCK_BOOTTIME, &boot);
	tell_number("booted", real.tv_sec - boot.tv_sec);
	putchar('\n');
	fflush(stdout);
	while (read(0, path, sizeof(path)) > 0 || errno == EINTR)
		;
	unlink(shm_path);
	mq_unlink(mq_name);
	shmctl(shm_id, IPC_RMID, NULL);
	semctl(sem_id, 0, IPC_RMID);
	msgctl(msg_id, IPC_RMID, NULL);
	long key = syscall(SYS_keyctl, KEYCTL_SEARCH, KEY_SPEC_USER_KEYRING, "user",
			   "assay-probe-user", 0);
	if (key >= 0)
		syscall(SYS_keyctl, KEYCTL_UNLINK, key, KEY_SPEC_USER_KEYRING);
	return 0;
}

static void dirty_limits(void)
{
	static const struct {
		__rlimit_resource_t which;
		rlim_t soft;
	} limits_[] = {
		{RLIMIT_STACK, 3 << 20},  {RLIMIT_DATA, 1ul << 50}, {RLIMIT_CPU, 77777},
		{RLIMIT_SIGPENDING, 777}, {RLIMIT_NOFILE, 777},
	};
	for (size_t i = 0; i < sizeof(limits_) / sizeof(*limits_); i++) {
		struct rlimit l;
		if (!getrlimit(limits_[i].which, &l) && l.rlim_max >= limits_[i].soft) {
			l.rlim_cur = limits_[i].soft;
			setrlimit(limits_[i].which, &l);
		}
	}
}

/* Inheritable and ambient, as far as the caller has any. */
static void dirty_capabilities(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];
	if (syscall(SYS_capget, &header, data))
		return;
	data[0].inheritable = data[0].permitted;
	data[1].inheritable = data[1].permitted;
	if (!syscall(SYS_capset, &header, data))
		for (unsigned long c = 0; c < 41; c++)
			prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, c, 0, 0);
}

/* A terminal that controls the session, and descriptors without O_CLOEXEC: a directory of the host,
 * a file, both ends of the terminal. */
static void dirty_descriptors(void)
{
	int master = open("/dev/ptmx", O_RDWR | O_NOCTTY), unlock = 0;
	setsid();
	if (master >= 0 && !ioctl(master, TIOCSPTLCK, &unlock)) {
		int slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY);
		if (slave >= 0) {
			ioctl(slave, TIOCSCTTY, 0);
			dup2(slave, 53);
			close(slave);
		}
		dup2(master, 52);
		close(master);
	}
	int dir = open("/", O_RDONLY | O_DIRECTORY), file = open("/proc/self/status", O_RDONLY);
	dup2(dir, 50);
	dup2(file, 51);
	close(dir);
	close(file);
}

int dirty_main(int argc, char **argv)
{
	static const int ignored[] = {SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGPIPE, SIGTSTP, SIGTTOU};
	sigset_t blocked;
	if (argc < 3)
		return 2;
	dirty_descriptors();
	dirty_limits();
	if (!geteuid())
		setgroups(1, (const gid_t[]){4242});
	if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) >= 0)
		syscall(SYS_add_key, "user", "assay-probe-session", "x", 1,
			KEY_SPEC_SESSION_KEYRING);
	setenv("PROBE_SECRET", "a secret of the caller", 1);
	umask(0);
	setpriority(PRIO_PROCESS, 0, 5);
	sched_setscheduler(0, SCHED_BATCH, &(struct sched_param){0});
	syscall(SYS_ioprio_set, 1 /* IOPRIO_WHO_PROCESS */, 0,
		IOPRIO_PRIO_VALUE(IOPRIO_CLASS_BE, 7));
	prctl(PR_SET_TIMERSLACK, 777777, 0, 0, 0);
	prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	dirty_capabilities();
	for (size_t i = 0; i < sizeof(ignored) / sizeof(*ignored); i++)
		signal(ignored[i], SIG_IGN);
	if (getenv("PROBE_NO_SIGCHLD"))
		signal(SIGCHLD, SIG_IGN);
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGUSR2);
	sigaddset(&blocked, SIGRTMIN + 3);
	sigprocmask(SIG_BLOCK, &blocked, NULL);
	personality(ADDR_NO_RANDOMIZE);
	execvp(argv[2], argv + 2);
	fprintf(stderr, "assay-probe: %s: %s\n", argv[2], strerror(errno));
	return 127;
}
