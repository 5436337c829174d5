/* Files and trees named by a directory descriptor and a relative name, never by a path that
 * somebody else could bend. Any thread. No function here follows a symbolic link in what it is
 * given below dirfd. */
#pragma once
#include "base/err.h"
#include "base/text.h"

#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

/* dir_open_beneath(dirfd, rel, flags, mode): openat2(2) with RESOLVE_BENEATH | NO_SYMLINKS |
 * NO_MAGICLINKS (Linux 5.6). A descriptor (O_CLOEXEC) or -1 with errno. rel "." is the directory
 * itself. mode only with O_CREAT. */
int dir_open_beneath(int dirfd, const char *rel, int flags, mode_t mode) must_check;

/* dir_make(dirfd, rel, mode): mkdir of one component or more ("a/b/c"), existing directories are
 * fine. A descriptor (O_RDONLY|O_DIRECTORY) of the last one, or -1. */
int dir_make(int dirfd, const char *rel, mode_t mode, struct err *e) must_check;

/* dir_remove(dirfd, rel): the file or the whole tree below it, of any depth, also with directories
 * of mode 000 where the caller owns them; never crosses into another mount's device, never follows
 * links. Absent is fine. 0 or -1 with the first thing that stayed. Uses a bounded number of
 * descriptors whatever the depth. */
int dir_remove(int dirfd, const char *rel, struct err *e) must_check;

/* dir_write_whole(dirfd, rel, bytes, n, mode): the file appears whole or not at all (temporary
 * name, write, fsync, rename, fsync of the directory), replacing an older one. */
int dir_write_whole(int dirfd, const char *rel, const void *bytes, size_t n, mode_t mode,
		    struct err *e) must_check;

/* dir_read_whole(dirfd, rel, max, t): append at most max bytes of a regular file to t; a larger
 * file is ERR_LIMIT, an absent one ERR_ABSENT. */
int dir_read_whole(int dirfd, const char *rel, size_t max, struct text *t, struct err *e)
	must_check;

/* dir_read_fd(fd, max, t): the same for what fd still has to give, up to its end. */
int dir_read_fd(int fd, size_t max, struct text *t, struct err *e) must_check;

/* dir_write_all(fd, bytes, n): the whole of it, EINTR and short writes included. 0 or -1 with
 * errno. */
int dir_write_all(int fd, const void *bytes, size_t n) must_check;

/* What a tree holds, without following links or leaving its device. */
struct dir_usage {
	uint64_t bytes;  /* allocated, st_blocks * 512; hard links counted each time */
	uint64_t inodes; /* entries, the root not counted */
};
/* dir_usage(dirfd, rel, max_inodes, u): counts until the end or until max_inodes entries were seen
 * (0: no bound). What vanishes meanwhile or can't be read is passed over: this is a watch, not a
 * proof. 0, or -1 if rel can't be opened. */
int dir_usage(int dirfd, const char *rel, uint64_t max_inodes, struct dir_usage *u, struct err *e)
	must_check;
