#include "sandbox/box/command.h"

#include "base/child.h"
#include "base/dir.h"
#include "sandbox/box/guard.h"
#include "sandbox/box/landlock.h"
#include "sandbox/box/nest.h"
#include "sandbox/box/privilege.h"
#include "sandbox/box/share.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

static int rlimit_set(__rlimit_resource_t which, const char *name, rlim_t soft, rlim_t hard,
		      struct err *e)
{
	struct rlimit old, new;
	if (getrlimit(which, &old))
		return err_sys(e, "getrlimit %s", name);
	/* Never raised: that would need CAP_SYS_RESOURCE. */
	new.rlim_max = hard < old.rlim_max ? hard : old.rlim_max;
	new.rlim_cur = soft < new.rlim_max ? soft : new.rlim_max;
	return setrlimit(which, &new) ? err_sys(e, "setrlimit %s", name) : 0;
}

/* 0 means none of ours: then files are a number that programs which close them all can bear. */
static int command_rlimits(const struct spec *spec, struct err *e)
{
	rlim_t files = share_files(spec->open_files), signals = share_signals();
	rlim_t size = spec->file_size ? spec->file_size : RLIM_INFINITY;
	/* A core limit of 1 stops dumps to a pipe, too (core(5): 0 does not): no handler of the
	 * host is fed by jobs. */
	rlim_t core = spec->flags & PLAN_LOOSEN_DUMPS ? RLIM_INFINITY : 1;
	if (rlimit_set(RLIMIT_CORE, "core", core, core, e) ||
	    rlimit_set(RLIMIT_NOFILE, "open files", spec->open_files ? files : 4096, files, e) ||
	    rlimit_set(RLIMIT_SIGPENDING, "queued signals", signals, signals, e) ||
	    rlimit_set(RLIMIT_FSIZE, "file size", size, size, e) ||
	    rlimit_set(RLIMIT_STACK, "stack", 8 << 20, RLIM_INFINITY, e) ||
	    rlimit_set(RLIMIT_RTPRIO, "real-time priority", 0, 0, e) ||
	    rlimit_set(RLIMIT_NICE, "nice", 0, 0, e) ||
	    rlimit_set(RLIMIT_MEMLOCK, "locked memory", 64 << 10, 64 << 10, e))
		return -1;
	rlim_t processes = plan_nproc(spec->processes);
	return spec->processes && rlimit_set(RLIMIT_NPROC, "processes", processes, processes, e);
}

/* Of the caller's there are none left (inherited.h). The helper's own two are undone here; what pid
 * 1 catches is undone by the execution. */
static void command_signals(void)
{
	sigset_t none;
	signal(SIGPIPE, SIG_DFL);
	signal(SIGINT, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static int command_led_astray(struct err *e, const char *cwd)
{
	err_sys(e, "working directory %s", cwd);
	e->kind = ERR_HOSTILE;
	return -1;
}

static int command_files(const struct spec *spec, const int stdio[3], int *report_fd, int *helper,
			 struct err *e)
{
	char cwd[PATH_MAX];
	int socket = *helper < 0 ? -1 : fcntl(*helper, F_DUPFD_CLOEXEC, 5);
	/* The report first goes where it can't be in the way, then to 3. */
	if (dup2(stdio[0], 0) < 0 || dup2(stdio[1], 1) < 0 || dup2(stdio[2], 2) < 0 ||
	    dup3(*report_fd, 3, O_CLOEXEC) < 0 ||
	    (*helper >= 0 && dup3(socket, 4, O_CLOEXEC) < 0) ||
	    close_range(*helper < 0 ? 4 : 5, ~0u, 0))
		return err_sys(e, "descriptors of the command");
	*report_fd = 3;
	*helper = *helper < 0 ? -1 : 4;
	if (spec->flags & PLAN_TERMINAL_WANTED && ioctl(0, TIOCSCTTY, 0))
		return err_sys(e, "the terminal of the command");
	/* It is there, pid 1 has seen to that; who can't go there was led to some other place by a
	 * link of the job's. A directory outside of the root would show as "(unreachable)". */
	if (chdir(spec->cwd))
		return command_led_astray(e, spec->cwd);
	if (!getcwd(cwd, sizeof(cwd)) || cwd[0] != '/')
		return err_set(e, ERR_HOSTILE, "working directory %s is not in the box", spec->cwd);
	return 0;
}

/* After the privileges, of which these are two, are dropped: another id than root's has none at all
 * (capabilities(7), effect of user ID changes). */
static int command_identity(const struct spec *spec, struct err *e)
{
	if ((!spec->uid && !spec->gid) || (getuid() == spec->uid && getgid() == spec->gid))
		return 0;
	if (setgroups(0, NULL) || setresgid(spec->gid, spec->gid, spec->gid) ||
	    setresuid(spec->uid, spec->uid, spec->uid))
		return err_sys(e, "become user %u, group %u of the box", spec->uid, spec->gid);
	return 0;
}

static const char *command_path(char *const *env)
{
	for (; *env; env++)
		if (!strncmp(*env, "PATH=", 5))
			return *env + 5;
	return "/usr/local/bin:/usr/bin:/bin";
}

/* Returns the errno that says most. */
static int command_exec(const struct spec *spec)
{
	const char *file = spec->argv[0], *path = command_path(spec->env);
	char full[PATH_MAX];
	int found = ENOENT;
	if (strchr(file, '/')) {
		execve(file, spec->argv, spec->env);
		return errno;
	}
	for (const char *end; *file; path = end + 1) {
		end = strchrnul(path, ':');
		if (snprintf(full, sizeof(full), "%.*s%s%s", (int)(end - path), path,
			     end > path ? "/" : "", file) < (int)sizeof(full)) {
			execve(full, spec->argv, spec->env);
			if (errno != ENOENT && errno != ENOTDIR)
				found = errno;
			if (errno != ENOENT && errno != ENOTDIR && errno != EACCES)
				break;
		}
		if (!*end)
			break;
	}
	return found;
}

/* With mounts of its own, which somebody watches before there are any. */
static int command_nest(int helper, struct err *e)
{
	const struct init in = {.socket = helper};
	if (nest_enter(e))
		return -1;
	guard_tell(helper, INIT_NESTED);
	init_await(&in, INIT_GO);
	close(helper);
	return 0;
}

static void command_run(const struct init *in, const int stdio[3], int report_fd)
	__attribute__((noreturn));
static void command_run(const struct init *in, const int stdio[3], int report_fd)
{
	struct err e = ERR_INIT;
	const struct spec *spec = in->spec;
	bool mounts = spec->flags & PLAN_LOOSEN_FUSE;
	int helper = mounts ? in->socket : -1;
	if (setsid() < 0)
		err_sys(&e, "setsid");
	else if (!command_files(spec, stdio, &report_fd, &helper, &e) &&
		 !command_rlimits(spec, &e) && (!mounts || !command_nest(helper, &e)) &&
		 !privilege_drop(mounts, &e) && !command_identity(spec, &e)) {
		command_signals();
		if (!landlock_enter(spec, &e) &&
		    !privilege_filter(spec->filter, spec->n_filter, &e)) {
			int why = command_exec(spec);
			dprintf(STDERR_FILENO, "assay: %s: %s\n", spec->argv[0], strerror(why));
			_exit(why == ENOENT || why == ENOTDIR ? COMMAND_ABSENT : COMMAND_REFUSED);
		}
	}
	if (e.kind == ERR_HOSTILE) {
		dprintf(STDERR_FILENO, "assay: %s\n", e.text);
		_exit(COMMAND_REFUSED);
	}
	if (dir_write_all(report_fd, e.text, strlen(e.text)))
		_exit(124);
	_exit(125);
}

pid_t command_start(const struct init *in, const int stdio[3], struct err *e)
{
	int report[2];
	if (pipe2(report, O_CLOEXEC))
		return err_sys(e, "pipe");
	/* The memory of pid 1 is shared until it is executed: nothing needs to be copied. In a new
	 * time namespace before Linux 6.0 that can't be (EINVAL); nor where it is to be dumpable
	 * before (nest.c). */
	bool shared = !(in->spec->flags & PLAN_LOOSEN_FUSE);
	pid_t pid = shared ? vfork() : fork();
	if (pid < 0 && errno == EINVAL && shared)
		pid = fork();
	if (!pid)
		command_run(in, stdio, report[1]);
	if (pid < 0)
		err_sys(e, "fork the command");
	close(report[1]);
	auto_fd int from = report[0];
	if (pid < 0)
		return -1;
	/* Ends without a word when the command is executed. */
	char text[PLAN_ERROR];
	return child_hear(from, text, sizeof(text)) ? err_set(e, ERR_BOX, "%s", text) : pid;
}
