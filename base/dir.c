#include "base/dir.h"

#include <dirent.h>
#include <stdbool.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>

int dir_open_beneath(int dirfd, const char *rel, int flags, mode_t mode)
{
	struct open_how how = {
		.flags = (unsigned long long)(unsigned)(flags | O_CLOEXEC),
		.mode = flags & (O_CREAT | O_TMPFILE) & ~O_DIRECTORY ? mode : 0,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};
	return (int)syscall(SYS_openat2, dirfd, rel, &how, sizeof(how));
}

int dir_make(int dirfd, const char *rel, mode_t mode, struct err *e)
{
	auto_free char *path = own_dup(rel);
	auto_fd int at = dir_open_beneath(dirfd, ".", O_RDONLY | O_DIRECTORY, 0);
	if (at < 0)
		return err_sys(e, "directory above %s", rel);
	char *save = NULL;
	for (char *part = strtok_r(path, "/", &save); part; part = strtok_r(NULL, "/", &save)) {
		if (mkdirat(at, part, mode) && errno != EEXIST)
			return err_sys(e, "mkdir %s", rel);
		int next = dir_open_beneath(at, part, O_RDONLY | O_DIRECTORY, 0);
		if (next < 0)
			return err_sys(e, "open directory %s", rel);
		close(at);
		at = next;
	}
	return give_fd(&at);
}

int dir_write_all(int fd, const void *bytes, size_t n)
{
	const char *p = bytes;
	while (n) {
		ssize_t w = write(fd, p, n);
		if (w < 0 && errno == EINTR)
			continue;
		if (w < 0)
			return -1;
		p += w;
		n -= (size_t)w;
	}
	return 0;
}

int dir_write_whole(int dirfd, const char *rel, const void *bytes, size_t n, mode_t mode,
		    struct err *e)
{
	auto_free char *tmp = own_fmt("%s.tmp%d", rel, (int)getpid());
	auto_fd int fd =
		dir_open_beneath(dirfd, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, mode);
	if (fd < 0)
		return err_sys(e, "create %s", tmp);
	if (dir_write_all(fd, bytes, n) || fsync(fd)) {
		err_sys(e, "write %s", tmp);
		unlinkat(dirfd, tmp, 0);
		return -1;
	}
	if (renameat(dirfd, tmp, dirfd, rel)) {
		err_sys(e, "rename %s to %s", tmp, rel);
		unlinkat(dirfd, tmp, 0);
		return -1;
	}
	const char *slash = strrchr(rel, '/');
	auto_free char *parent = slash ? own_dup_n(rel, (size_t)(slash - rel)) : own_dup(".");
	auto_fd int up = dir_open_beneath(dirfd, parent, O_RDONLY | O_DIRECTORY, 0);
	if (up < 0 || fsync(up))
		return err_sys(e, "sync the directory of %s", rel);
	return 0;
}

int dir_read_fd(int fd, size_t max, struct text *t, struct err *e)
{
	char buf[65536];
	size_t total = 0;
	for (;;) {
		ssize_t r = read(fd, buf, sizeof(buf));
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return err_sys(e, "read");
		if (!r)
			return 0;
		total += (size_t)r;
		if (total > max)
			return err_set(e, ERR_LIMIT, "larger than %zu bytes", max);
		text_put(t, buf, (size_t)r);
	}
}

int dir_read_whole(int dirfd, const char *rel, size_t max, struct text *t, struct err *e)
{
	struct stat st;
	auto_fd int fd = dir_open_beneath(dirfd, rel, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
	if (fd < 0 && errno == ENOENT)
		return err_set(e, ERR_ABSENT, "%s does not exist", rel);
	if (fd < 0 || fstat(fd, &st))
		return err_sys(e, "open %s", rel);
	if (!S_ISREG(st.st_mode))
		return err_set(e, ERR_INPUT, "%s is not a regular file", rel);
	if (dir_read_fd(fd, max, t, e))
		return err_add(e, "%s", rel);
	return 0;
}

static bool dir_is_dot(const char *name)
{
	return name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2]));
}

/* One level at a time; deeper levels wait as open directories, at most DIR_USAGE_DEPTH of them. */
#define DIR_USAGE_DEPTH 256

int dir_usage(int base, const char *rel, uint64_t max_inodes, struct dir_usage *u, struct err *e)
{
	DIR *stack[DIR_USAGE_DEPTH];
	size_t depth = 0;
	struct stat root, st;
	*u = (struct dir_usage){0};
	int fd = dir_open_beneath(base, rel, O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0 || fstat(fd, &root) || !(stack[0] = fdopendir(fd))) {
		err_sys(e, "open %s", rel);
		own_close(&fd);
		return -1;
	}
	depth = 1;
	while (depth) {
		struct dirent *it = readdir(stack[depth - 1]);
		if (!it || (max_inodes && u->inodes >= max_inodes)) {
			closedir(stack[--depth]);
			continue;
		}
		if (dir_is_dot(it->d_name))
			continue;
		if (fstatat(dirfd(stack[depth - 1]), it->d_name, &st, AT_SYMLINK_NOFOLLOW) ||
		    st.st_dev != root.st_dev)
			continue;
		u->inodes++;
		u->bytes += (uint64_t)st.st_blocks * 512;
		if (!S_ISDIR(st.st_mode) || depth == DIR_USAGE_DEPTH)
			continue;
		int sub = openat(dirfd(stack[depth - 1]), it->d_name,
				 O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (sub < 0)
			continue;
		stack[depth] = fdopendir(sub);
		if (stack[depth])
			depth++;
		else
			close(sub);
	}
	return 0;
}
