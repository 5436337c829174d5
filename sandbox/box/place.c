#include "sandbox/box/place.h"

#include "base/dir.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define PLACE_LINKS 16

static int place_open(int root, const char *path, int flags)
{
	struct open_how how = {
		.flags = (unsigned long long)(unsigned)(flags | O_CLOEXEC),
		.mode = flags & O_CREAT ? 0644 : 0,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};
	while (*path == '/')
		path++;
	/* EAGAIN: something somewhere was renamed or mounted while ".." was looked at; openat2(2)
	 * says try again. */
	int fd;
	while ((fd = (int)syscall(SYS_openat2, root, *path ? path : ".", &how, sizeof(how))) < 0 &&
	       errno == EAGAIN)
		;
	return fd;
}

bool place_is(int root, const char *path)
{
	auto_fd int fd = place_open(root, path, O_PATH);
	return fd >= 0;
}

bool place_is_named(int root, const char *path)
{
	auto_fd int fd = place_open(root, path, O_PATH | O_NOFOLLOW);
	return fd >= 0;
}

bool place_is_taken(const struct err *e)
{
	static const int ours[] = {ENOSPC, EDQUOT, EIO, ENOMEM, EMFILE, ENFILE, ESTALE};
	for (size_t i = 0; i < countof(ours); i++)
		if (e->sys == ours[i])
			return false;
	return e->sys;
}

/* What a link at path leads to, as a path of the root: malloc'ed, or NULL: there is no link. */
static char *place_link(int root, const char *path)
{
	char target[PATH_MAX];
	const char *slash = strrchr(path, '/');
	auto_free char *above = own_dup_n(path, (size_t)(slash - path));
	auto_fd int dir = place_open(root, above, O_PATH | O_DIRECTORY);
	ssize_t n = dir < 0 ? -1 : readlinkat(dir, slash + 1, target, sizeof(target) - 1);
	if (n <= 0)
		return NULL;
	target[n] = 0;
	return target[0] == '/' ? own_dup(target) : own_fmt("%s/%s", above, target);
}

/* Where a link that leads to nothing leads: path itself if it is none. */
static char *place_follow(int root, const char *path)
{
	char *to = own_dup(path);
	for (int i = 0; i < PLACE_LINKS; i++) {
		char *next = place_link(root, to);
		if (!next)
			break;
		free(to);
		to = next;
	}
	return to;
}

/* links: what may still be followed to nothing, in all: links that lead to links could be millions.
 */
static int place_make(int root, const char *path, mode_t mode, int *links, struct err *e)
{
	auto_free char *prefix = own_dup(path);
	auto_fd int at = place_open(root, "", O_PATH | O_DIRECTORY);
	for (char *name = prefix; at >= 0 && name;) {
		name += strspn(name, "/");
		char *slash = strchr(name, '/');
		if (slash)
			*slash = 0;
		int next = *name ? place_open(root, prefix, O_PATH | O_DIRECTORY) : dup(at);
		if (next < 0 && errno == ENOENT && mkdirat(at, name, mode)) {
			if (errno == EEXIST && !*links)
				errno = ELOOP;
			if (errno != EEXIST)
				return err_sys(e, "mkdir %s in the box", prefix);
			auto_free char *to = place_follow(root, prefix);
			--*links;
			next = place_make(root, to, mode, links, e);
			if (next < 0)
				return err_add(e, "link %s", prefix);
		} else if (next < 0 && errno == ENOENT)
			next = place_open(root, prefix, O_PATH | O_DIRECTORY);
		close(at);
		at = next;
		if (slash)
			*slash = '/';
		name = slash;
	}
	if (at < 0)
		return err_sys(e, "directory %s in the box", path);
	return give_fd(&at);
}

int place_dir(int root, const char *path, mode_t mode, struct err *e)
{
	int fd = place_open(root, path, O_PATH | O_DIRECTORY);
	int links = PLACE_LINKS;
	if (fd >= 0)
		return fd;
	return errno == ENOENT ? place_make(root, path, mode, &links, e)
			       : err_sys(e, "directory %s in the box", path);
}

int place_file(int root, const char *path, struct err *e)
{
	struct stat st;
	int fd = place_open(root, path, O_PATH);
	if (fd >= 0 && !fstat(fd, &st) && S_ISDIR(st.st_mode)) {
		close(fd);
		fd = -1;
		errno = EISDIR;
	}
	if (fd >= 0)
		return fd;
	if (errno != ENOENT)
		return err_sys(e, "file %s in the box", path);
	auto_free char *to = place_follow(root, path);
	char *slash = strrchr(to, '/');
	auto_free char *above = own_dup_n(to, (size_t)(slash - to));
	auto_fd int dir = place_dir(root, above, 0755, e);
	if (dir < 0)
		return err_add(e, "file %s", path);
	fd = openat(dir, slash + 1, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return err_sys(e, "make a file at %s in the box", to);
	close(fd);
	fd = openat(dir, slash + 1, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? err_sys(e, "file %s in the box", to) : fd;
}

int place_parents(int dirfd, const char *rel, mode_t mode, struct err *e)
{
	const char *slash = strrchr(rel, '/');
	if (!slash)
		return 0;
	auto_free char *above = own_dup_n(rel, (size_t)(slash - rel));
	auto_fd int dir = dir_make(dirfd, above, mode, e);
	return dir < 0 ? -1 : 0;
}

int place_write(int dirfd, const char *rel, const void *bytes, size_t n, mode_t mode, struct err *e)
{
	auto_fd int fd =
		openat(dirfd, rel, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0 || dir_write_all(fd, bytes, n) || fchmod(fd, mode))
		return err_sys(e, "write %s", rel);
	return 0;
}
