#include "sandbox/box/fuse.h"

#include "base/child.h"
#include "base/text.h"
#include "sandbox/box/carry.h"
#include "sandbox/box/init.h"
#include "sandbox/box/mnt.h"
#include "sandbox/box/stage.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define FUSE_DEVICE "/dev/fuse"
#define FUSE_PROGRAM "fuse-overlayfs"
#define FUSE_END_MS 60000 /* to write back what the kernel still has */

static const char *const fuse_paths[] = {"/usr/local/bin/" FUSE_PROGRAM, "/usr/bin/" FUSE_PROGRAM,
					 "/bin/" FUSE_PROGRAM};

int fuse_is_there(struct err *e)
{
	auto_fd int fd = open(FUSE_DEVICE, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, "open %s", FUSE_DEVICE);
	for (size_t i = 0; i < countof(fuse_paths); i++)
		if (!access(fuse_paths[i], X_OK))
			return 0;
	return err_set(e, ERR_BOX, "%s is not installed", FUSE_PROGRAM);
}

static int fuse_tell(struct stage *st, const char *name, struct err *e)
{
	struct init_message m = {.kind = INIT_FUSE_DIR};
	int n = snprintf(m.error, sizeof(m.error), "%s/%s", st->at, name);
	if (n >= (int)sizeof(m.error) || strpbrk(m.error, ":,\\"))
		return err_set(e, ERR_USAGE, "%s takes no directory %s", FUSE_PROGRAM, m.error);
	init_say(st->helper, &m, -1);
	return 0;
}

static int fuse_tell_mounts(struct stage *st, struct err *e)
{
	struct init_message m = {.kind = INIT_MOUNTNS};
	auto_fd int ns = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	if (ns < 0)
		return err_sys(e, "open the box's mount namespace");
	init_say(st->helper, &m, ns);
	return 0;
}

static int fuse_new(int device, struct err *e)
{
	char fd_option[24];
	const char *options[] = {fd_option,    "rootmode=40000",      "user_id=0",
				 "group_id=0", "default_permissions", "allow_other",
				 NULL};
	snprintf(fd_option, sizeof(fd_option), "fd=%d", device);
	return mnt_make("fuse", options, MOUNT_ATTR_NODEV, e);
}

int fuse_mount(struct stage *st, const struct overlay *o, struct err *e)
{
	struct init_message m = {.kind = INIT_FUSE};
	struct stat s;
	auto_fd int device = open(FUSE_DEVICE, O_RDWR | O_CLOEXEC);
	if (device < 0)
		return err_sys(e, "open %s", FUSE_DEVICE);
	auto_fd int fd = fuse_new(device, e);
	if (fd < 0 || upper_tell_userns(st, e) || fuse_tell_mounts(st, e))
		return -1;
	for (size_t i = 0; i < o->n; i++)
		if (fuse_tell(st, o->lowers[i], e))
			return -1;
	if (fuse_tell(st, o->upper, e) || fuse_tell(st, o->work, e))
		return -1;
	init_say(st->helper, &m, device);
	own_close(&device); /* if the program's is closed too, nobody waits */
	if (fstatat(fd, "", &s, AT_EMPTY_PATH))
		return err_sys(e, "overlay at %s by %s", o->what, FUSE_PROGRAM);
	spec_say(st->spec, "overlay at %s: by %s", o->what, FUSE_PROGRAM);
	return give_fd(&fd);
}

static char *fuse_options(const struct fuse_task *task)
{
	struct text t = TEXT_INIT;
	for (size_t i = 0; i < task->n; i++)
		text_addf(&t, "%s%s",
			  !i                 ? "volatile,writeback=0,lowerdir="
			  : i == task->n - 2 ? ",upperdir="
			  : i == task->n - 1 ? ",workdir="
					     : ":",
			  task->dirs[i]);
	return text_take(&t);
}

static void fuse_child(const struct fuse_task *task, int fuse_fd, int userns_fd, pid_t parent,
		       int error_fd) __attribute__((noreturn));
static void fuse_child(const struct fuse_task *task, int fuse_fd, int userns_fd, pid_t parent,
		       int error_fd)
{
	struct err e = ERR_INIT;
	char at[32];
	char *options = fuse_options(task), *env[] = {NULL};
	char *argv[] = {(char[]){FUSE_PROGRAM}, (char[]){"-f"}, (char[]){"-o"}, options, at, NULL};
	snprintf(at, sizeof(at), "/dev/fd/%d", fuse_fd);
	setsid();
	dup2(error_fd, STDERR_FILENO);
	if (carry_become(userns_fd, task->ranged, parent, &e)) {
		dprintf(STDERR_FILENO, "%s", e.text);
		_exit(1);
	}
	/* A copy, because its mounts would not end while this is among them. */
	if (setns(task->mounts_fd, CLONE_NEWNS) || unshare(CLONE_NEWNS) || chdir("/") ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) {
		dprintf(STDERR_FILENO, "the box's mounts: %s", strerror(errno));
		_exit(1);
	}
	close_range(3, ~0u, CLOSE_RANGE_CLOEXEC);
	fcntl(fuse_fd, F_SETFD, 0);
	for (size_t i = 0; i < countof(fuse_paths); i++)
		execve(fuse_paths[i], argv, env);
	dprintf(STDERR_FILENO, "it is not installed (package fuse-overlayfs)");
	_exit(1);
}

int fuse_serve(struct fuse *f, const struct fuse_task *task, int fuse_fd, int userns_fd,
	       struct err *e)
{
	*f = (struct fuse){.said = memfd_create("fuse-overlayfs", MFD_CLOEXEC)};
	if (f->said < 0)
		return err_sys(e, "memfd");
	pid_t parent = getpid();
	f->pid = fork();
	if (!f->pid)
		fuse_child(task, fuse_fd, userns_fd, parent, f->said);
	if (f->pid < 0) {
		own_close(&f->said);
		return err_sys(e, "fork %s", FUSE_PROGRAM);
	}
	return 0;
}

void fuse_task_fini(struct fuse_task *task)
{
	for (size_t i = 0; i < task->n; i++)
		free(task->dirs[i]);
	free(task->dirs);
	own_close(&task->mounts_fd);
	*task = (struct fuse_task){.mounts_fd = -1};
}

/* Of what it said the last line that is more than a notice. */
static void fuse_said(int fd, char *text, size_t size)
{
	char said[4096];
	ssize_t n = pread(fd, said, sizeof(said) - 1, 0);
	said[n > 0 ? n : 0] = 0;
	text[0] = 0;
	for (char *line = said, *end; *line; line = end) {
		end = strchrnul(line, '\n');
		end += *end ? 1 : 0;
		if (strncmp(line, "unknown argument ignored", 24))
			snprintf(text, size, "%.*s", (int)strcspn(line, "\n"), line);
	}
}

void fuse_end(struct fuse *f, char *text, size_t size)
{
	auto_fd int pidfd = (int)syscall(SYS_pidfd_open, f->pid, 0);
	struct pollfd p = {.fd = pidfd, .events = POLLIN};
	while (pidfd >= 0 && poll(&p, 1, FUSE_END_MS) < 0 && errno == EINTR)
		;
	if (!p.revents)
		kill(f->pid, SIGKILL);
	child_end(f->pid);
	fuse_said(f->said, text, size);
	own_close(&f->said);
}
