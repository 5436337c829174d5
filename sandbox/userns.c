#include "sandbox/userns.h"

#include "base/message.h"
#include "base/own.h"
#include "sandbox/helper.h"
#include "sandbox/subids.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pwd.h>
#include <string.h>
#include <sys/socket.h>

#define PASSWD_BYTES 16384

/* NULL: the number has no name here. */
static char *user_name(uid_t uid)
{
	auto_free char *buf = own_alloc(PASSWD_BYTES);
	struct passwd pw, *found = NULL;
	return getpwuid_r(uid, &pw, buf, PASSWD_BYTES, &found) || !found ? NULL
									 : own_dup(pw.pw_name);
}

static int no_ids(const char *name, const char *file, struct err *e)
{
	uint32_t uid = subids_unused("/etc/subuid"), gid = subids_unused("/etc/subgid");
	uint32_t first = uid > gid ? uid : gid;
	return err_set(e, ERR_BOX,
		       "%s has no subordinate ids (no line in %s): as root, usermod "
		       "--add-subuids %" PRIu32 "-%" PRIu32 " --add-subgids %" PRIu32 "-%" PRIu32
		       " %s",
		       name, file, first, first + 65535, first, first + 65535, name);
}

static int maps_make(struct text *uids, struct text *gids, struct err *e)
{
	struct subids u = {NULL, 0}, g = {NULL, 0};
	uid_t uid = getuid();
	auto_free char *name = user_name(uid), *shown = name ? own_dup(name) : own_fmt("%u", uid);
	int rc = subids_read("/etc/subuid", name, uid, uid, &u, e);
	if (!rc)
		rc = subids_read("/etc/subgid", name, uid, getgid(), &g, e);
	if (!rc && !(u.n && g.n))
		rc = no_ids(shown, u.n ? "/etc/subgid" : "/etc/subuid", e);
	subids_map(&u, uid, uids);
	subids_map(&g, getgid(), gids);
	subids_fini(&u);
	subids_fini(&g);
	return rc;
}

/* The one descriptor that the helper sends. */
static int receive(int socket)
{
	char byte;
	int fd = -1;
	struct message m = {.part = {{&byte, 1}}, .fds = &fd, .n_fds = 1};
	return message_receive(socket, &m, MSG_DONTWAIT) == 1 ? fd : -1;
}

int userns_open(int box_fd, struct err *e)
{
	auto_text struct text uids = TEXT_INIT, gids = TEXT_INIT;
	int pair[2];
	if (maps_make(&uids, &gids, e))
		return -1;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return err_sys(e, "socketpair");
	char *words[] = {(char[]){"userns"}, uids.p, gids.p, NULL};
	int rc = helper_run(box_fd, words, pair[1], -1, e);
	close(pair[1]);
	auto_fd int fd = rc ? -1 : receive(pair[0]);
	close(pair[0]);
	if (rc)
		return err_add(e, "a range of ids");
	int high = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 10);
	return high < 0 ? err_set(e, ERR_BOX, "a range of ids: assay-box told none") : high;
}
