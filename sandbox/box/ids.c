#include "sandbox/box/ids.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/sched.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* Does a user of this namespace map [first, first + IDS_RANGE) onto the host, and what is 0 there?
 */
static bool ids_covered(const char *map, uint32_t first, bool *zero_is_zero)
{
	auto_file FILE *f = fopen(map, "re");
	uint64_t inside, outside, n;
	bool covered = false;
	*zero_is_zero = false;
	while (f && fscanf(f, "%" SCNu64 " %" SCNu64 " %" SCNu64, &inside, &outside, &n) == 3) {
		if (!inside && !outside && n)
			*zero_is_zero = true;
		if (inside <= first && first + (uint64_t)IDS_RANGE <= inside + n)
			covered = true;
	}
	return covered;
}

/* The range of slot among those root has in file, else the high one. */
static uint32_t ids_base(const char *file, unsigned slot)
{
	auto_file FILE *f = fopen(file, "re");
	char line[256];
	uint64_t base, count;
	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "root:%" SCNu64 ":%" SCNu64, &base, &count) != 2 &&
		    sscanf(line, "0:%" SCNu64 ":%" SCNu64, &base, &count) != 2)
			continue;
		if (base && count >= IDS_RANGE && base + count <= UINT32_MAX)
			return (uint32_t)(base + slot % (count / IDS_RANGE) * IDS_RANGE);
	}
	return IDS_HIGH + slot * IDS_RANGE;
}

static int ids_write(pid_t pid, const char *name, const char *text, struct err *e)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	auto_fd int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		return err_sys(e, "write \"%s\" to the new user namespace's %s", text, name);
	return 0;
}

int ids_map(const struct ids *ids, pid_t pid, struct err *e)
{
	char uids[64], gids[64];
	unsigned n = ids->ranged ? IDS_RANGE : 1;
	snprintf(uids, sizeof(uids), "%" PRIu32 " %" PRIu32 " %u", ids->in_uid, ids->uid, n);
	snprintf(gids, sizeof(gids), "%" PRIu32 " %" PRIu32 " %u", ids->in_gid, ids->gid, n);
	/* Without a range nobody may drop groups that could be what denies something:
	 * user_namespaces(7). */
	if (!ids->ranged && ids_write(pid, "setgroups", "deny", e))
		return -1;
	return ids_write(pid, "uid_map", uids, e) || ids_write(pid, "gid_map", gids, e) ? -1 : 0;
}

void ids_wait(const int pipe[2])
{
	char nothing;
	close(pipe[1]);
	while (read(pipe[0], &nothing, 1) < 0 && errno == EINTR)
		;
	_exit(0);
}

/* A user namespace that nobody is in: its first process waits until it is mapped and opened, and
 * goes. */
static int ids_userns(const struct ids *ids, struct err *e)
{
	struct clone_args args = {.flags = CLONE_NEWUSER, .exit_signal = SIGCHLD};
	char path[64];
	int tie[2];
	if (pipe2(tie, O_CLOEXEC))
		return err_sys(e, "pipe");
	pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	if (!pid)
		ids_wait(tie);
	close(tie[0]);
	if (pid < 0) {
		close(tie[1]);
		return err_sys(e, "clone a user namespace");
	}
	snprintf(path, sizeof(path), "/proc/%d/ns/user", (int)pid);
	int fd = ids_map(ids, pid, e) ? -1 : open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && !e->kind)
		err_sys(e, "open %s", path);
	close(tie[1]); /* it goes */
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return fd;
}

int ids_open(struct ids *ids, unsigned slot, struct err *e)
{
	bool uid_zero, gid_zero;
	*ids = (struct ids){.uid = geteuid(), .gid = getegid(), .userns_fd = -1};
	if (ids->uid)
		return 0;
	if (slot >= IDS_SLOTS)
		return err_set(e, ERR_LIMIT, "slot %u: there are ranges of ids for %u", slot,
			       IDS_SLOTS);
	uint32_t uid = ids_base("/etc/subuid", slot), gid = ids_base("/etc/subgid", slot);
	ids->ranged = ids_covered("/proc/self/uid_map", uid, &uid_zero);
	ids->ranged &= ids_covered("/proc/self/gid_map", gid, &gid_zero);
	if (!ids->ranged && (uid_zero || gid_zero))
		return err_set(e, ERR_BOX,
			       "root of the host, but the ids from %" PRIu32
			       " on are not to be had here",
			       uid);
	if (!ids->ranged)
		return 0;
	ids->uid = uid;
	ids->gid = gid;
	ids->userns_fd = ids_userns(ids, e);
	return ids->userns_fd < 0 ? -1 : 0;
}
