/* Inside sandbox/ only: a project quota for a box's uppers, where their file system has project
 * quotas switched on and we may set them (root; ext4 and XFS mounted with prjquota): the kernel
 * counts every block and inode, with a name or without, whoever can see it, and refuses what is
 * beyond. quotactl(2), ioctl_fs(FS_IOC_FSSETXATTR); Linux 5.14 for quotactl_fd. Loop thread: a few
 * system calls. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct quota {
	uint32_t project; /* 0: there is none */
	int fd;           /* one of the directories, owned */
	size_t dirs;
};

/* quota_set(q, dirs, n, bytes, inodes): the directories, all empty, are one project from now on,
 * and what will be in them, too: uppers and their work directories, because overlayfs makes a file
 * in one and moves it to the other. Bounds are a little above those given (0: none), so that what
 * passes these can be seen. false: there is no such quota here, nothing has changed. */
bool quota_set(struct quota *q, const int *dirs, size_t n, uint64_t bytes, uint64_t inodes);
/* quota_used(q, bytes, inodes): what the project has; the directories themselves, and one
 * that overlayfs makes for each pair of upper and work directory, are not counted as entries. */
bool quota_used(const struct quota *q, uint64_t *bytes, uint64_t *inodes);
/* quota_clear(q): no bounds any more. What the box left keeps its number. */
void quota_clear(struct quota *q);
