#include "sandbox/box/ids.h"

#include "base/child.h"
#include "sandbox/box/plan.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>

/* Every extent of this namespace's map once more, inside as they are here. 0: there are none. */
static uint32_t ids_copy(const char *map, char text[IDS_MAP])
{
	auto_file FILE *f = fopen(map, "re");
	uint64_t inside, outside, n;
	size_t at = 0;
	uint32_t all = 0;
	text[0] = 0;
	while (f && fscanf(f, "%" SCNu64 " %" SCNu64 " %" SCNu64, &inside, &outside, &n) == 3) {
		uint64_t room = inside < IDS_RANGE ? IDS_RANGE - inside : 0;
		n = n < room ? n : room;
		int k = n ? snprintf(text + at, IDS_MAP - at,
				     "%" PRIu64 " %" PRIu64 " %" PRIu64 "\n", inside, inside, n)
			  : 0;
		if (k < 0 || (size_t)k >= IDS_MAP - 1 - at) {
			text[at] = 0;
			break;
		}
		at += (size_t)k;
		all += (uint32_t)n;
	}
	return all;
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
	char uid[64], gid[64];
	if (ids->ranged)
		return ids_write(pid, "uid_map", ids->uid_map, e) ||
				       ids_write(pid, "gid_map", ids->gid_map, e)
			       ? -1
			       : 0;
	snprintf(uid, sizeof(uid), "%" PRIu32 " %" PRIu32 " 1", ids->in_uid, ids->uid);
	snprintf(gid, sizeof(gid), "%" PRIu32 " %" PRIu32 " 1", ids->in_gid, ids->gid);
	/* Without a range nobody may drop groups that could be what denies something:
	 * user_namespaces(7). */
	return ids_write(pid, "setgroups", "deny", e) || ids_write(pid, "uid_map", uid, e) ||
			       ids_write(pid, "gid_map", gid, e)
		       ? -1
		       : 0;
}

void ids_wait(const int pipe[2])
{
	char nothing;
	close(pipe[1]);
	while (read(pipe[0], &nothing, 1) < 0 && errno == EINTR)
		;
	_exit(0);
}

int ids_namespace(int (*map)(const void *arg, pid_t pid, struct err *e), const void *arg,
		  struct err *e)
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
	int fd = map(arg, pid, e) ? -1 : open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && !e->kind)
		err_sys(e, "open %s", path);
	close(tie[1]); /* it goes */
	child_end(pid);
	return fd;
}

static int ids_map_these(const void *ids, pid_t pid, struct err *e)
{
	return ids_map(ids, pid, e);
}

int ids_userns(const struct ids *ids, struct err *e)
{
	if (*ids->userns_fd < 0)
		*ids->userns_fd = ids_namespace(ids_map_these, ids, e);
	return *ids->userns_fd;
}

static int ids_open_all(struct ids *ids, struct err *e)
{
	ids->ranged = true;
	if (!ids_copy("/proc/self/uid_map", ids->uid_map) ||
	    !ids_copy("/proc/self/gid_map", ids->gid_map))
		return err_set(e, ERR_BOX, "this user namespace has no ids");
	return 0;
}

/* Its keeper is the caller, our parent in pid and, by its map, our user: no id changes, all
 * capabilities come in the new namespace (user_namespaces(7)). */
static int ids_enter(struct err *e)
{
	if (setns(PLAN_USERNS, CLONE_NEWUSER))
		return err_sys(e, "enter the user namespace with the range of ids");
	close(PLAN_USERNS);
	return 0;
}

bool ids_enters(const char *word)
{
	return !strcmp(word, "enter");
}

int ids_open(struct ids *ids, const char *word, struct err *e)
{
	char more[8] = "";
	*ids = (struct ids){.uid = geteuid(), .gid = getegid()};
	if (!strcmp(word, "one"))
		return 0;
	if (!strcmp(word, "all"))
		return ids_open_all(ids, e);
	if (ids_enters(word))
		return ids_enter(e) || ids_open_all(ids, e) ? -1 : 0;
	int n = sscanf(word, "%" SCNu32 ":%" SCNu32 "%7s", &ids->uid, &ids->gid, more);
	ids->alone = !strcmp(more, ":alone");
	if (n != 2 + ids->alone || !ids->uid || !ids->gid)
		return err_set(e, ERR_USAGE, "%s says nothing about ids", word);
	ids->ranged = ids->above = true;
	snprintf(ids->uid_map, IDS_MAP, "0 %" PRIu32 " %u", ids->uid, IDS_RANGE);
	snprintf(ids->gid_map, IDS_MAP, "0 %" PRIu32 " %u", ids->gid, IDS_RANGE);
	ids->userns_fd = own_alloc(sizeof(*ids->userns_fd));
	*ids->userns_fd = -1;
	return 0;
}
