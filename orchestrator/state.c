#include "orchestrator/state.h"

#include "base/dir.h"
#include "orchestrator/aside.h"
#include "orchestrator/kept.h"
#include "orchestrator/state_cache.h"
#include "sandbox/sandbox.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/file.h>
#include <sys/vfs.h>

/* The lock file holds its holder's pid, for the message only: what counts is the flock, which a
 * death releases. */
static int state_lock(struct state *s, struct err *e)
{
	char pid[32] = "";
	s->lock_fd = dir_open_beneath(s->fd, "lock", O_RDWR | O_CREAT, 0600);
	if (s->lock_fd < 0)
		return err_sys(e, "open %s/lock", s->path);
	if (flock(s->lock_fd, LOCK_EX | LOCK_NB)) {
		if (errno != EWOULDBLOCK)
			return err_sys(e, "lock %s", s->path);
		ssize_t n = pread(s->lock_fd, pid, sizeof(pid) - 1, 0);
		pid[n > 0 ? strspn(pid, "0123456789") : 0] = '\0';
		return err_set(e, ERR_BUSY,
			       "state directory %s is in use by process %s; wait for it, or give "
			       "another with --state",
			       s->path, *pid ? pid : "(unknown)");
	}
	int n = snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
	if (ftruncate(s->lock_fd, 0) || pwrite(s->lock_fd, pid, (size_t)n, 0) != n)
		return err_sys(e, "write %s/lock", s->path);
	return 0;
}

void state_box_name(const struct state *s, char name[24])
{
	char id[CACHE_ID];
	cache_digest(s->path, strlen(s->path), id);
	id[8] = '\0';
	snprintf(name, 24, "assay-%.8s", id);
}

/* What a predecessor that was killed left behind. The lock is held, so nobody living owns any of
 * it. */
static int state_sweep(struct state *s, struct err *e)
{
	char name[24];
	struct err stays = ERR_INIT;
	state_box_name(s, name);
	if (sandbox_sweep(name, e))
		return err_add(e, "sweep %s", s->path);
	if (sandbox_remove(NULL, s->fd, "jobs", &stays))
		fprintf(stderr,
			"assay: sweep %s: %s\nassay: what a run that died left there only takes "
			"room; to have it back, remove "
			"%s/jobs by hand\n",
			s->path, stays.text, s->path);
	aside_sweep(s->fd);
	if (db_runs_abandon(s->db, e) < 0)
		return err_add(e, "sweep %s", s->path);
	if (kept_sweep(s, e))
		return -1;
	auto_fd int jobs = dir_make(s->fd, "jobs", 0700, e);
	auto_fd int runs = jobs < 0 ? -1 : dir_make(s->fd, "runs", 0700, e);
	return runs < 0 ? -1 : 0;
}

/* mkdir -p, the last component private to its owner. */
static int state_make(const char *path, struct err *e)
{
	auto_free char *p = own_dup(path);
	for (char *slash = strchr(p + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(p, 0755) && errno != EEXIST)
			return err_sys(e, "make directory %s", p);
		*slash = '/';
	}
	if (mkdir(path, 0700) && errno != EEXIST)
		return err_sys(e, "make state directory %s", path);
	return 0;
}

/* Any entry in a directory below the state directory; one that is not there has none. */
static bool state_holds(const struct state *s, const char *rel)
{
	bool any = false;
	int fd = dir_open_beneath(s->fd, rel, O_RDONLY | O_DIRECTORY, 0);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	if (!d)
		own_close(&fd);
	for (struct dirent *it; d && !any && (it = readdir(d));)
		any = strcmp(it->d_name, ".") && strcmp(it->d_name, "..");
	if (d)
		closedir(d);
	return any;
}

/* Before anything is written or removed. */
static int state_check(const struct state *s, bool rebuild, struct err *e)
{
	struct stat st;
	if (fstat(s->fd, &st))
		return err_sys(e, "state directory %s", s->path);
	if (st.st_mode & S_IWOTH)
		return err_set(e, ERR_USAGE,
			       "state directory %s may be written by everybody; close it with: "
			       "chmod o-w '%s'",
			       s->path, s->path);
	if (!fstatat(s->fd, "assay.db", &st, AT_SYMLINK_NOFOLLOW) && st.st_size > 0)
		return 0;
	if (!rebuild && (state_holds(s, "seg") || state_holds(s, "layers")))
		return err_set(e, ERR_CORRUPT,
			       "state directory %s holds archives and layers, and the database "
			       "that knows them is gone: put assay.db back, make what it said of "
			       "them anew with assay cache rebuild, or move seg and layers away "
			       "to begin anew",
			       s->path);
	return 0;
}

int state_can_box(const struct state *s, struct err *e)
{
	struct statfs fs;
	if (fstatfs(s->fd, &fs))
		return err_sys(e, "state directory %s", s->path);
	if (fs.f_type == OVERLAYFS_SUPER_MAGIC)
		return err_set(e, ERR_BOX,
			       "state directory %s lies on an overlay, as a container's own files "
			       "do, and the kernel makes none upon "
			       "it: give one on a volume or another file system with --state",
			       s->path);
	return 0;
}

/* One directory, one name: the cgroups of its boxes are found again however it was spelled. */
static int state_resolve(struct state *s, struct err *e)
{
	char *whole = realpath(s->path, NULL);
	if (!whole)
		return err_sys(e, "state directory %s", s->path);
	free(s->path);
	s->path = whole;
	return 0;
}

/* All but the cache. */
static struct state *state_open_db(const char *opt, bool rebuild, struct err *e)
{
	struct state *s = own_calloc(1, sizeof(*s));
	auto_free char *file = NULL;
	s->fd = s->lock_fd = -1;
	s->path = state_path(opt, e);
	if (!s->path || state_make(s->path, e) || state_resolve(s, e))
		goto failed;
	s->fd = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->fd < 0) {
		err_sys(e, "open state directory %s", s->path);
		goto failed;
	}
	if (state_lock(s, e) || state_check(s, rebuild, e))
		goto failed;
	file = own_fmt("%s/assay.db", s->path);
	s->db = db_open(file, DB_WRITE, e);
	if (s->db && !state_sweep(s, e))
		return s;
failed:
	state_close(s);
	return NULL;
}

struct state *state_open(const char *opt, struct err *e)
{
	struct state *s = state_open_db(opt, false, e);
	if (s && state_cache(s, false, e)) {
		state_close(s);
		return NULL;
	}
	return s;
}

struct state *state_open_rebuild(const char *opt, struct err *e)
{
	struct state *s = state_open_db(opt, true, e);
	if (s && (db_cache_forget(s->db, e) || state_cache(s, true, e))) {
		state_close(s);
		return NULL;
	}
	return s;
}

struct state *state_look(const char *opt, struct err *e)
{
	struct state *s = own_calloc(1, sizeof(*s));
	s->fd = s->lock_fd = -1;
	s->path = state_path(opt, e);
	auto_free char *file = s->path ? own_fmt("%s/assay.db", s->path) : NULL;
	s->db = file ? db_open(file, DB_READ, e) : NULL;
	if (!s->db || state_resolve(s, e)) {
		state_close(s);
		return NULL;
	}
	s->fd = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->fd < 0)
		err_sys(e, "open state directory %s", s->path);
	else
		s->cache = cache_open(s->fd, NULL, e);
	if (s->cache)
		return s;
	state_close(s);
	return NULL;
}

void state_close(struct state *s)
{
	if (!s)
		return;
	cache_close(s->cache);
	db_close(s->db);
	own_close(&s->lock_fd);
	own_close(&s->fd);
	free(s->path);
	free(s);
}
