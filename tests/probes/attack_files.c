/* Ways out of the root, into what is below it, and to what its owner keeps closed. */
#include "tests/probes/probe.h"

#include <dirent.h>
#include <limits.h>
#include <linux/openat2.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/xattr.h>

/* Is the host's root (that with the file only the host has) to be seen from dir? */
static bool host_is_at(int dir)
{
	const char *file = fact("file");
	return !faccessat(dir, file + 1, F_OK, AT_SYMLINK_NOFOLLOW);
}

static void token_read(const struct probe *p)
{
	char text[128];
	(void)p;
	if (file_get(fact("file"), text, sizeof(text)) > 0)
		open_to("%s of the host: %.40s", fact("file"), text);
	contained("%s: %s", fact("file"), error_name(errno));
}

static void fd_leak(const struct probe *p)
{
	char link[PATH_MAX], path[64];
	(void)p;
	DIR *d = opendir("/proc/self/fd");
	if (!d)
		contained("no /proc/self/fd: %s", error_name(errno));
	for (struct dirent *e; (e = readdir(d));) {
		int fd = (int)strtol(e->d_name, NULL, 10);
		if (e->d_name[0] == '.' || fd < 3 || fd == dirfd(d))
			continue;
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		ssize_t n = readlink(path, link, sizeof(link) - 1);
		open_to("%d is %.*s", fd, (int)(n > 0 ? n : 0), link);
	}
	contained("0, 1, 2");
}

static void fd_dir_escape(const struct probe *p)
{
	struct stat st;
	(void)p;
	for (int fd = 0; fd < 1024; fd++)
		if (!fstat(fd, &st) && S_ISDIR(st.st_mode)) {
			int up = openat(fd, "../../../../../../../..",
					O_PATH | O_DIRECTORY | O_CLOEXEC);
			open_to("%d is a directory%s", fd,
				up >= 0 && host_is_at(up) ? ", and leads to the host's root" : "");
		}
	contained("no directory is open");
}

static void fd_file(const struct probe *p)
{
	struct stat st;
	(void)p;
	for (int fd = 0; fd < 3; fd++) {
		char path[64], link[PATH_MAX];
		if (fstat(fd, &st) || S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode))
			continue;
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		ssize_t n = readlink(path, link, sizeof(link) - 1);
		open_to("%d is %.*s", fd, (int)(n > 0 ? n : 0), link);
	}
	contained("pipes and devices");
}

static void cwd_escape(const struct probe *p)
{
	char cwd[PATH_MAX];
	(void)p;
	if (syscall(SYS_getcwd, cwd, sizeof(cwd)) < 0)
		open_to("getcwd: %s", error_name(errno));
	if (cwd[0] != '/')
		open_to("it is out of the root: %s", cwd);
	int up = open("../../../../../../../../..", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (up >= 0 && host_is_at(up))
		open_to("%s: above it is the host", cwd);
	contained("%s", cwd);
}

static void dotdot(const struct probe *p)
{
	struct stat root, up;
	(void)p;
	if (stat("/", &root) || stat("/..", &up))
		open_to("stat: %s", error_name(errno));
	if (root.st_ino != up.st_ino || root.st_dev != up.st_dev)
		open_to("/.. is another directory");
	if (host_is_at(AT_FDCWD))
		open_to("the host's root");
	contained("/.. is /");
}

/* chroot(2) does not change the working directory: from outside the new root, ".." has no end but
 * the mount's own root. */
static void chroot_escape(const struct probe *p)
{
	int saved = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (long i = 0; i <= p->a; i++) {
		char dir[32];
		snprintf(dir, sizeof(dir), "c%ld", i);
		if (chdir(probe_work) || (mkdir(dir, 0755) && errno != EEXIST) || chroot(dir))
			contained("chroot: %s", error_name(errno));
		probe_work = ".";
	}
	if (p->b && (saved < 0 || fchdir(saved)))
		contained("fchdir: %s", error_name(errno));
	for (int i = 0; i < 256; i++)
		if (chdir(".."))
			contained("chdir: %s", error_name(errno));
	if (chroot("."))
		contained("chroot: %s", error_name(errno));
	if (host_is_at(AT_FDCWD))
		open_to("the host's root is reached");
	contained("it ends at the box's root");
}

static void magic_link(const struct probe *p)
{
	char path[PATH_MAX];
	DIR *d = opendir("/proc");
	if (!d)
		contained("no /proc: %s", error_name(errno));
	for (struct dirent *e; (e = readdir(d));) {
		if (e->d_name[0] < '0' || e->d_name[0] > '9')
			continue;
		snprintf(path, sizeof(path), "/proc/%s/%s", e->d_name, p->what);
		int dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (dir < 0)
			continue;
		int up = openat(dir, "../../../../../../../..", O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (host_is_at(dir) || (up >= 0 && host_is_at(up)))
			open_to("%s leads to the host", path);
		close(up);
		close(dir);
	}
	contained("none leads to the host");
}

/* By handle, on every file system that has a directory here. */
static void by_handle(const struct probe *p)
{
	struct {
		struct file_handle head;
		unsigned char room[MAX_HANDLE_SZ];
	} h = {0};
	const char *const places[] = {"/", probe_top, probe_share, "/usr", "/etc", "/tmp"};
	unsigned type;
	int at;
	(void)p;
	const char *hex = fact("handle");
	if (sscanf(hex, "%u:%n", &type, &at) != 1)
		open_to("fact handle: %s", hex);
	h.head.handle_type = (int)type;
	for (hex += at; hex[0] && hex[1] && h.head.handle_bytes < MAX_HANDLE_SZ; hex += 2) {
		unsigned byte;
		sscanf(hex, "%2x", &byte);
		h.room[h.head.handle_bytes++] = (unsigned char)byte;
	}
	int error = 0;
	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
		int mount = open(places[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		int fd = mount < 0 ? -1
				   : (int)syscall(SYS_open_by_handle_at, mount, &h,
						  O_RDONLY | O_CLOEXEC);
		if (fd >= 0)
			open_to("a file of the host opens from %s", places[i]);
		error = errno;
		if (mount >= 0 && !is_refusal(error))
			open_to("the kernel looked for it from %s: %s", places[i],
				error_name(error));
	}
	contained("%s", error_name(error));
}

static const char *share_path(const char *name)
{
	static char path[PATH_MAX];
	snprintf(path, sizeof(path), "%s/%s", probe_share, name);
	return path;
}

static void lower_write(const struct probe *p)
{
	char path[PATH_MAX];
	(void)p;
	static const char *const ways[] = {"", "/proc/self/root", "/proc/1/root",
					   "/proc/self/cwd/../../../.."};
	for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
		snprintf(path, sizeof(path), "%s%s/lock", ways[i], probe_share);
		if (open(path, O_WRONLY | O_CLOEXEC) >= 0)
			open_to("%s opens for writing", path);
		if (!truncate(path, 1) || !chmod(path, 0600) ||
		    !utimensat(AT_FDCWD, path, NULL, 0) || !unlink(path) ||
		    !setxattr(path, "user.probe", "x", 1, 0) || !chown(path, 0, 0))
			open_to("%s changes", path);
		snprintf(path, sizeof(path), "%s%s/new", ways[i], probe_share);
		if (open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600) >= 0)
			open_to("%s is made", path);
	}
	contained("%s", error_name(errno));
}

/* By what opened it read-only: a link of /proc asks anew, by the mount. */
static void lower_reopen(const struct probe *p)
{
	char path[64];
	int fd = open(share_path("lock"), p->a ? O_PATH | O_CLOEXEC : O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		verdict(VERDICT_BAD, "what is shared: %s", error_name(errno));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (open(path, O_RDWR | O_CLOEXEC) >= 0)
		open_to("%s opens for writing", path);
	int error = errno;
	if (!fchmodat(AT_FDCWD, path, 0600, 0))
		open_to("its mode changes");
	if (!linkat(AT_FDCWD, path, AT_FDCWD, "/tmp/probe-link", AT_SYMLINK_FOLLOW)) {
		unlink("/tmp/probe-link");
		open_to("it gets another name");
	}
	contained("%s", error_name(error));
}

static void lower_map(const struct probe *p)
{
	int fd = open(share_path("lock"), O_RDONLY | O_CLOEXEC);
	(void)p;
	/* an executable that runs can't be written, a file that is read can: by its page cache */
	if (fd < 0)
		verdict(VERDICT_BAD, "what is shared: %s", error_name(errno));
	int pipes[2];
	loff_t at = 0;
	/* CVE-2022-0847 needed a page of the file in a pipe that then is written to */
	if (pipe(pipes) || splice(fd, &at, pipes[1], NULL, 1, 0) < 0)
		contained("splice: %s", error_name(errno));
	if (write(pipes[1], "PROBE", 5) < 0)
		contained("write: %s", error_name(errno));
	char text[128];
	if (file_get(share_path("lock"), text, sizeof(text)) > 0 && strstr(text, "PROBE"))
		open_to("the file's page has what was written to the pipe");
	contained("the file is as it was");
}

static void host_written(const struct probe *p)
{
	static const char *const places[] = {"/usr/bin",    "/usr/lib", "/etc",
					     "/etc/cron.d", "/lib",     "/sbin"};
	char path[PATH_MAX];
	struct stat st;
	(void)p;
	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
		/* Through a descriptor of the lower itself a copy-up would not help: where the root
		 * is a layer of the job's own, what is written is its own. */
		snprintf(path, sizeof(path), "%s/assay-probe-written", places[i]);
		int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (fd < 0)
			continue;
		bool host = !fstat(fd, &st) && st.st_dev == (dev_t)fact_number("root_dev");
		unlink(path);
		if (host)
			open_to("%s is the host's", path);
	}
	contained("nothing of the host's is written");
}

static void remount_rw(const struct probe *p)
{
	const char *const places[] = {probe_share, "/usr", "/etc"};
	(void)p;
	if (is_bare())
		open_to("the host's own mounts: not tried");
	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
		if (!mount(NULL, places[i], NULL, MS_REMOUNT | MS_BIND, NULL))
			open_to("%s is writable", places[i]);
		if (!is_refusal(errno) && errno != EINVAL)
			open_to("%s: %s", places[i], error_name(errno));
	}
	contained("%s", error_name(errno));
}

static void mountinfo(const struct probe *p)
{
	static char text[1 << 18];
	const char *token = fact("place");
	(void)p;
	if (file_get("/proc/self/mountinfo", text, sizeof(text)) < 0)
		contained("%s", error_name(errno));
	char *at = strstr(text, token);
	if (!at)
		contained("no path of the host");
	char *line = at, *end = strchrnul(at, '\n');
	while (line > text && line[-1] != '\n')
		line--;
	open_to("%.*s", (int)(end - line), line);
}

/* Also below what is mounted over: lazily unmounted, or the old root. */
static void mount_root(const struct probe *p)
{
	static char text[1 << 18];
	(void)p;
	if (file_get("/proc/self/mountinfo", text, sizeof(text)) < 0)
		contained("%s", error_name(errno));
	char *rest = text;
	for (char *line; (line = strsep(&rest, "\n"));) {
		char root[4096], at[4096], type[64];
		char *dash = strstr(line, " - ");
		if (!dash || sscanf(dash, " - %63s", type) != 1 ||
		    sscanf(line, "%*s %*s %*s %4095s %4095s", root, at) != 2)
			continue;
		/* single devices are needed, where nobody may make some */
		if (!strncmp(type, "cgroup", 6) || strstr(at, "old") ||
		    (!strcmp(root, "/") && (!strcmp(type, "devtmpfs") || !strcmp(type, "ext4"))))
			open_to("%s", line);
	}
	contained("no cgroupfs, no devtmpfs, no old root");
}

static void shadow(const struct probe *p)
{
	char text[64];
	if (file_get(p->what, text, sizeof(text)) > 0)
		open_to("%s: can be read", p->what);
	contained("%s: %s", p->what, error_name(errno));
}

static void places_seen(const struct probe *p)
{
	struct stat st;
	DIR *d = opendir(p->what);
	if (!d)
		contained("%s", error_name(errno));
	for (struct dirent *e; (e = readdir(d));)
		if (e->d_name[0] != '.' &&
		    !fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) &&
		    st.st_dev == (dev_t)fact_number("root_dev"))
			open_to("%s/%s", p->what, e->d_name);
	contained("nothing of the host's");
}

/* A lock on a shared inode is a channel, and holds up the host's own programs. */
static void lock_shared(const struct probe *p)
{
	char path[PATH_MAX];
	snprintf(path, sizeof(path), "%s/lock", p->a ? probe_top : probe_share);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		verdict(VERDICT_BAD, "%s: %s", path, error_name(errno));
	if (!flock(fd, LOCK_SH | LOCK_NB))
		contained("the host's lock is not felt");
	if (errno == EWOULDBLOCK)
		open_to("the host's lock on %s is felt", path);
	contained("%s", error_name(errno));
}

/* openat2 can be told to ignore nothing: the way runtimes are led astray. */
static void link_followed(const struct probe *p)
{
	char path[PATH_MAX];
	static const char *const targets[] = {"/proc/1/root", "/proc/self/exe/../../..",
					      "/../../..", "/proc/1/cwd"};
	(void)p;
	for (size_t i = 0; i < sizeof(targets) / sizeof(*targets); i++) {
		snprintf(path, sizeof(path), "%s/l%zu", probe_work, i);
		if (symlink(targets[i], path))
			continue;
		int dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (dir >= 0 && host_is_at(dir))
			open_to("%s leads to the host", targets[i]);
		close(dir);
	}
	contained("all end in the box");
}

/* clang-format off */
const struct probe attack_files[] = {
	{"token_read", PROBE_ATTACK, "mounts", token_read, 0, 0, 0, NULL},
	{"fd_leak", PROBE_ATTACK, "inherited; CVE-2024-21626", fd_leak, 0, 0, 0, NULL},
	{"fd_dir_escape", PROBE_ATTACK, "inherited; CVE-2024-21626", fd_dir_escape, 0, 0, 0, NULL},
	{"fd_file", PROBE_ATTACK, "inherited", fd_file, 0, 0, 0, NULL},
	{"cwd_escape", PROBE_ATTACK, "inherited; CVE-2024-21626", cwd_escape, 0, 0, 0, NULL},
	{"dotdot_escape", PROBE_ATTACK, "mounts", dotdot, 0, 0, 0, NULL},
	{"chroot_escape", PROBE_ATTACK, "mounts", chroot_escape, 0, 0, 0, NULL},
	{"chroot_escape_fd", PROBE_ATTACK, "mounts", chroot_escape, 0, 1, 0, NULL},
	{"chroot_escape_double", PROBE_ATTACK, "mounts", chroot_escape, 1, 0, 0, NULL},
	{"proc_root_escape", PROBE_ATTACK, "mounts", magic_link, 0, 0, 0, "root"},
	{"proc_cwd_escape", PROBE_ATTACK, "mounts; CVE-2024-21626", magic_link, 0, 0, 0, "cwd"},
	{"proc_task_escape", PROBE_ATTACK, "mounts", magic_link, 0, 0, 0, "task/1/root"},
	{"link_escape", PROBE_ATTACK, "mounts; CVE-2025-31133", link_followed, 0, 0, 0, NULL},
	{"by_handle", PROBE_ATTACK, "seccomp", by_handle, 0, 0, 0, NULL},
	{"lower_write", PROBE_ATTACK, "mounts, read-only", lower_write, 0, 0, 0, NULL},
	{"lower_reopen", PROBE_ATTACK, "mounts, read-only", lower_reopen, 0, 0, 0, NULL},
	{"lower_reopen_path", PROBE_ATTACK, "mounts, read-only", lower_reopen, 1, 0, 0, NULL},
	{"lower_pipe", PROBE_ATTACK, "mounts, read-only", lower_map, 0, 0, 0, NULL},
	{"host_written", PROBE_ATTACK, "mounts, read-only", host_written, 0, 0, 0, NULL},
	{"remount_rw", PROBE_ATTACK, "mounts, read-only; CVE-2019-19921", remount_rw, 0, 0, 0, NULL},
	{"mountinfo_paths", PROBE_ATTACK, "mounts, staged", mountinfo, 0, 0, 0, NULL},
	{"mountinfo_rest", PROBE_ATTACK, "mounts, staged", mount_root, 0, 0, 0, NULL},
	{"shadow_read", PROBE_ATTACK, "ids", shadow, 0, 0, 0, "/etc/shadow"},
	{"gshadow_read", PROBE_ATTACK, "ids", shadow, 0, 0, 0, "/etc/gshadow"},
	{"home_seen", PROBE_ATTACK, "mounts", places_seen, 0, 0, 0, "/home"},
	{"root_home_seen", PROBE_ATTACK, "mounts", places_seen, 0, 0, 0, "/root"},
	{"var_tmp_seen", PROBE_ATTACK, "mounts", places_seen, 0, 0, 0, "/var/tmp"},
	{"boot_seen", PROBE_ATTACK, "mounts", places_seen, 0, 0, 0, "/boot"},
	{"run_seen", PROBE_ATTACK, "mounts", places_seen, 0, 0, 0, "/run"},
	{"tmp_seen", PROBE_ATTACK, "mounts", places_seen, 0, 0, 0, "/tmp"},
	{"lock_shared", PROBE_ATTACK, "channels", lock_shared, 0, 0, 0, NULL},
	{"lock_cow", PROBE_ATTACK, "channels", lock_shared, 1, 0, 0, NULL},
	{NULL, 0, NULL, NULL, 0, 0, 0, NULL},
};
