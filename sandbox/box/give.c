#include "sandbox/box/give.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define GIVE_IDS 65536u
#define GIVE_DEPTH 1024

static uint32_t give_id(uint32_t id, bool away)
{
	if (away)
		return id < GIVE_IDS ? GIVE_BASE + id : id;
	return id >= GIVE_BASE && id - GIVE_BASE < GIVE_IDS ? id - GIVE_BASE : id;
}

bool give_is_away(const struct stat *st)
{
	return give_id(st->st_uid, false) != st->st_uid || give_id(st->st_gid, false) != st->st_gid;
}

/* A change of owner takes set-id bits away: chown(2). */
static int give_mode(int dirfd, const char *name, mode_t mode)
{
	char path[32];
	auto_fd int fd = openat(dirfd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) || !S_ISREG(st.st_mode))
		return -1;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return chmod(path, mode & 07777);
}

static int give_one(int dirfd, const char *name, const struct stat *st, bool away)
{
	uid_t uid = give_id(st->st_uid, away);
	gid_t gid = give_id(st->st_gid, away);
	if (uid == st->st_uid && gid == st->st_gid)
		return 0;
	if (fchownat(dirfd, name, uid, gid, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
		return -1;
	return S_ISREG(st->st_mode) && st->st_mode & 06000 ? give_mode(dirfd, name, st->st_mode)
							   : 0;
}

struct give {
	DIR *at[GIVE_DEPTH]; /* the way down */
	size_t depth;
	bool away;
};

/* Takes fd. */
static int give_enter(struct give *g, int fd, struct err *e)
{
	if (g->depth == GIVE_DEPTH) {
		close(fd);
		return err_set(e, ERR_LIMIT, "deeper than %d directories", GIVE_DEPTH);
	}
	g->at[g->depth] = fdopendir(fd);
	if (!g->at[g->depth]) {
		err_sys(e, "read a directory");
		close(fd);
		return -1;
	}
	g->depth++;
	return 0;
}

static int give_entry(struct give *g, int dirfd, const char *name, struct err *e)
{
	struct statx s;
	/* Not by device: files of one overlay have several. */
	if (statx(dirfd, name, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &s))
		return err_sys(e, "stat %s", name);
	if (s.stx_attributes & STATX_ATTR_MOUNT_ROOT)
		return 0;
	const struct stat st = {.st_mode = s.stx_mode, .st_uid = s.stx_uid, .st_gid = s.stx_gid};
	if (give_one(dirfd, name, &st, g->away))
		return err_sys(e, "give %s", name);
	if (!S_ISDIR(st.st_mode))
		return 0;
	int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? err_sys(e, "open directory %s", name) : give_enter(g, fd, e);
}

static int give_below(struct give *g, struct err *e)
{
	while (g->depth) {
		DIR *d = g->at[g->depth - 1];
		errno = 0;
		struct dirent *it = readdir(d);
		if (!it && errno)
			return err_sys(e, "read a directory");
		if (!it)
			closedir(g->at[--g->depth]);
		else if (strcmp(it->d_name, ".") && strcmp(it->d_name, "..") &&
			 give_entry(g, dirfd(d), it->d_name, e))
			return -1;
	}
	return 0;
}

int give_tree(int dir, bool away, struct err *e)
{
	struct give *g = own_calloc(1, sizeof(*g));
	struct stat st;
	*g = (struct give){.away = away};
	auto_fd int top = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int rc = top < 0 ? err_sys(e, "open a layer") : 0;
	if (!rc && fstat(top, &st))
		rc = err_sys(e, "stat a layer");
	if (!rc && give_is_away(&st) != away) {
		int copy = openat(top, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		rc = copy < 0 ? err_sys(e, "open a layer") : give_enter(g, copy, e);
		if (!rc)
			rc = give_below(g, e);
		if (!rc && give_one(top, "", &st, away))
			rc = err_sys(e, "give a layer");
	}
	while (g->depth)
		closedir(g->at[--g->depth]);
	free(g);
	return rc;
}
