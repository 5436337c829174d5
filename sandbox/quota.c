#include "sandbox/quota.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/quota.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_quotactl_fd
#define SYS_quotactl_fd 443
#endif
#ifndef PRJQUOTA
#define PRJQUOTA 2
#endif

/* What numbers administrators give by hand (/etc/projects) is far below. */
#define QUOTA_FIRST 0x41000000u
#define QUOTA_MASK 0x00ffffffu
#define QUOTA_TRIES 64
#define QUOTA_ROOM (UINT64_C(1) << 20) /* above the limit: bytes, at least */
#define QUOTA_ROOM_INODES 64
#define QUOTA_BLOCK 1024 /* of dqb_bhardlimit: quotactl(2) */

static int quota_ctl(int fd, unsigned command, uint32_t project, struct dqblk *d)
{
	return (int)syscall(SYS_quotactl_fd, fd, QCMD(command, PRJQUOTA), project, d);
}

/* A number that nothing on this file system has, also of what earlier boxes left. Two callers of
 * ours that find the same at the same moment share it then: their time and pid make that unlikely.
 */
static uint32_t quota_find(int fd)
{
	static uint32_t next;
	if (!next)
		next = (uint32_t)((uint64_t)clock_mono_ns() >> 10) * 2654435761u ^
		       (uint32_t)getpid() << 8;
	for (int i = 0; i < QUOTA_TRIES; i++) {
		struct dqblk d = {.dqb_valid = 0};
		uint32_t project = QUOTA_FIRST | (next++ & QUOTA_MASK);
		if (quota_ctl(fd, Q_GETQUOTA, project, &d)) {
			if (errno == ENOENT) /* XFS: never heard of */
				return project;
			return 0;
		}
		if (!d.dqb_curspace && !d.dqb_curinodes && !d.dqb_bhardlimit && !d.dqb_ihardlimit)
			return project;
	}
	return 0;
}

/* What is made in it is of the project, and so on below. */
static bool quota_mark(int fd, uint32_t project)
{
	struct fsxattr x;
	int flags = FS_XFLAG_PROJINHERIT;
	if (ioctl(fd, FS_IOC_FSGETXATTR, &x))
		return false;
	x.fsx_projid = project;
	x.fsx_xflags = project ? x.fsx_xflags | (unsigned)flags : x.fsx_xflags & ~(unsigned)flags;
	return !ioctl(fd, FS_IOC_FSSETXATTR, &x);
}

static bool quota_bound(int fd, uint32_t project, uint64_t bytes, uint64_t inodes, size_t n)
{
	uint64_t room = bytes / 16 > QUOTA_ROOM ? bytes / 16 : QUOTA_ROOM;
	struct dqblk d = {
		.dqb_bhardlimit = bytes ? (bytes + room) / QUOTA_BLOCK + 1 : 0,
		.dqb_ihardlimit = inodes ? inodes + QUOTA_ROOM_INODES + n : 0,
		.dqb_valid = QIF_LIMITS,
	};
	return !quota_ctl(fd, Q_SETQUOTA, project, &d);
}

static bool quota_one_device(const int *dirs, size_t n)
{
	struct stat first, st;
	for (size_t i = 0; i < n; i++)
		if (fstat(dirs[i], i ? &st : &first) || (i && st.st_dev != first.st_dev))
			return false;
	return n;
}

bool quota_set(struct quota *q, const int *dirs, size_t n, uint64_t bytes, uint64_t inodes)
{
	*q = (struct quota){.fd = -1};
	uint32_t project = quota_one_device(dirs, n) ? quota_find(dirs[0]) : 0;
	if (!project || !quota_bound(dirs[0], project, bytes, inodes, n))
		return false;
	for (size_t i = 0; i < n; i++) {
		if (quota_mark(dirs[i], project))
			continue;
		while (i)
			if (!quota_mark(dirs[--i], 0))
				break;
		quota_bound(dirs[0], project, 0, 0, 0);
		return false;
	}
	*q = (struct quota){project, fcntl(dirs[0], F_DUPFD_CLOEXEC, 0), n};
	return true;
}

bool quota_used(const struct quota *q, uint64_t *bytes, uint64_t *inodes)
{
	struct dqblk d;
	if (!q->project || quota_ctl(q->fd, Q_GETQUOTA, q->project, &d))
		return false;
	*bytes = d.dqb_curspace;
	uint64_t ours = q->dirs + q->dirs / 2;
	*inodes = d.dqb_curinodes > ours ? d.dqb_curinodes - ours : 0;
	return true;
}

void quota_clear(struct quota *q)
{
	if (q->project)
		quota_bound(q->fd, q->project, 0, 0, 0);
	if (q->project)
		close(q->fd);
	q->project = 0;
}
