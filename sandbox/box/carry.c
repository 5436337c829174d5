#include "sandbox/box/carry.h"

#include "base/child.h"
#include "base/dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#define FUSE_WHITEOUT ".wh." /* fuse-overlayfs, where it may make no device */

#define CARRY_BUCKETS 4096
#define CARRY_REFUSED 2 /* exit status of the child: what it met is the job's affair */
#define CARRY_TOLD 160  /* bytes of a path in a message: its end */

struct link {
	ino_t ino;
	char *path;  /* owned; below to */
	size_t next; /* in its bucket, +1; 0: the last */
};

struct walk {
	const struct carry *c;
	struct link *links;            /* owned; files that have more names than were met */
	size_t n_links, linked;        /* linked: bytes of them */
	size_t buckets[CARRY_BUCKETS]; /* index of a link, +1 */
	char path[PATH_MAX];           /* of what is being moved, for links and messages */
	size_t depth;
};

/* One directory. */
struct place {
	int from, to;
	bool opaque; /* nothing below shows, so that nothing needs to be marked as gone */
	bool marked; /* it has whiteouts that are no devices */
};

/* ---- attributes ---- */

/* What overlays write for themselves, but for what is asked for: whose copy something is, and the
 * like, of layers that are not below it here. */
static bool is_own_mark(const char *name)
{
	static const char overlay[] = "user.overlay.", escaped[] = "user.overlay.overlay.",
			  fuse[] = "user.fuseoverlayfs.";
	return (!strncmp(name, overlay, strlen(overlay)) &&
		strncmp(name, escaped, strlen(escaped))) ||
	       !strncmp(name, fuse, strlen(fuse));
}

static int carry_xattr(int from, int to, const char *name, struct err *e)
{
	char value[XATTR_SIZE_MAX];
	struct statvfs fs;
	ssize_t n = fgetxattr(from, name, value, sizeof(value));
	if (n < 0)
		return errno == ENODATA ? 0 : err_sys(e, "read xattr %s", name);
	if (!fsetxattr(to, name, value, (size_t)n, 0) || strncmp(name, "user.", 5))
		return 0; /* capabilities and the like give a later box nothing */
	/* Where there is room for other things, it is one file's attributes that have a bound: on
	 * ext4 a block, of which a tmpfs takes many. */
	bool bound = errno == ENOSPC && !fstatvfs(to, &fs) && fs.f_bavail;
	err_sys(e, "keep xattr %s", name);
	e->kind = bound ? ERR_LIMIT : e->kind;
	return -1;
}

static int carry_xattrs(int from, int to, struct err *e)
{
	char names[XATTR_LIST_MAX];
	ssize_t n = flistxattr(from, names, sizeof(names));
	if (n < 0)
		return errno == ENOTSUP ? 0 : err_sys(e, "list xattrs");
	for (const char *name = names; name < names + n; name += strlen(name) + 1)
		if (!is_own_mark(name) && carry_xattr(from, to, name, e))
			return -1;
	return 0;
}

static int carry_attributes(int from, int to, const struct stat *st, struct err *e)
{
	struct timespec times[] = {st->st_atim, st->st_mtim};
	if (fchown(to, st->st_uid, st->st_gid) || fchmod(to, st->st_mode & 07777))
		return err_sys(e, "owner and mode");
	if (carry_xattrs(from, to, e))
		return -1;
	return futimens(to, times) ? err_sys(e, "times") : 0;
}

static bool has_mark(int fd, const char *name)
{
	char value[4];
	return fgetxattr(fd, name, value, sizeof(value)) == 1 && value[0] == 'y';
}

/* ---- files ---- */

static int copy_run(int from, int to, off_t at, off_t end)
{
	if (lseek(to, at, SEEK_SET) < 0)
		return -1;
	while (at < end) {
		ssize_t n = sendfile(to, from, &at, (size_t)(end - at));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -1 : 0;
	}
	return 0;
}

/* Holes stay holes: a file of the job may say that it has a terabyte. */
static int copy_data(int from, int to, off_t size, struct err *e)
{
	for (off_t at = 0; at < size;) {
		off_t data = lseek(from, at, SEEK_DATA), hole;
		if (data < 0 && errno == ENXIO)
			break;
		hole = data < 0 ? -1 : lseek(from, data, SEEK_HOLE);
		if (hole < 0 || copy_run(from, to, data, hole))
			return err_sys(e, "copy its bytes");
		at = hole;
	}
	return ftruncate(to, size) ? err_sys(e, "set its size") : 0;
}

/* Where it is already; NULL: nowhere, or (e) nobody remembers so much, which is no control group's
 * memory. */
static const char *link_of(struct walk *w, const struct stat *st, struct err *e)
{
	size_t most = w->c->linked ? w->c->linked : CARRY_LINKED;
	size_t *bucket = &w->buckets[st->st_ino % CARRY_BUCKETS];
	for (size_t i = *bucket; i; i = w->links[i - 1].next)
		if (w->links[i - 1].ino == st->st_ino)
			return w->links[i - 1].path;
	w->linked += sizeof(*w->links) + strlen(w->path) + 1;
	if (w->linked > most) {
		err_set(e, ERR_LIMIT, "more files with several names than are remembered");
		return NULL;
	}
	if (!(w->n_links & (w->n_links - 1)))
		w->links = own_grow(w->links, w->n_links ? w->n_links * 2 : 1, sizeof(*w->links));
	w->links[w->n_links++] = (struct link){st->st_ino, own_dup(w->path), *bucket};
	*bucket = w->n_links;
	return NULL;
}

static int carry_file(struct walk *w, const struct place *p, const char *name,
		      const struct stat *st, struct err *e)
{
	const char *other = st->st_nlink > 1 ? link_of(w, st, e) : NULL;
	if (e->kind)
		return -1;
	if (other)
		return linkat(w->c->to, other, p->to, name, 0) ? err_sys(e, "link to %s", other)
							       : 0;
	auto_fd int from =
		openat(p->from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOATIME | O_CLOEXEC);
	auto_fd int to =
		from < 0 ? -1
			 : openat(p->to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
				  0600);
	if (to < 0)
		return err_sys(e, "open");
	return copy_data(from, to, st->st_size, e) || carry_attributes(from, to, st, e) ? -1 : 0;
}

static int carry_other(const struct place *p, const char *name, const struct stat *st,
		       struct err *e)
{
	struct timespec times[] = {st->st_atim, st->st_mtim};
	char target[PATH_MAX];
	if (S_ISLNK(st->st_mode)) {
		ssize_t n = readlinkat(p->from, name, target, sizeof(target) - 1);
		if (n < 0)
			return err_sys(e, "read the link");
		target[n] = 0;
		if (symlinkat(target, p->to, name))
			return err_sys(e, "make the link");
	} else if (mknodat(p->to, name, st->st_mode & (S_IFMT | 07777), 0)) {
		return err_sys(e, "make it"); /* a fifo or a socket */
	}
	if (fchownat(p->to, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW))
		return err_sys(e, "owner");
	if (!S_ISLNK(st->st_mode) && fchmodat(p->to, name, st->st_mode & 07777, 0))
		return err_sys(e, "mode");
	return utimensat(p->to, name, times, AT_SYMLINK_NOFOLLOW) ? err_sys(e, "times") : 0;
}

/* ---- what is gone ---- */

static int carry_whiteout(struct walk *w, struct place *p, const char *name, struct err *e)
{
	if (p->opaque)
		return 0;
	if (w->c->marks == UPPER_MARKS_DEVICES)
		return mknodat(p->to, name, S_IFCHR, 0) ? err_sys(e, "make a whiteout") : 0;
	auto_fd int fd =
		openat(p->to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	p->marked = true;
	return fd < 0 || fsetxattr(fd, "user.overlay.whiteout", "y", 1, 0)
		       ? err_sys(e, "make a whiteout")
		       : 0;
}

/* ---- directories ---- */

static int carry_dir(struct walk *w, int *from, int to, const struct stat *st, struct err *e);

static int carry_below(struct walk *w, const struct place *p, const char *name,
		       const struct stat *st, struct err *e)
{
	if (w->depth >= CARRY_DEPTH)
		return err_set(e, ERR_LIMIT, "directories in one another, more than %d",
			       CARRY_DEPTH);
	if (mkdirat(p->to, name, 0700))
		return err_sys(e, "mkdir");
	int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	auto_fd int from = openat(p->from, name, flags);
	auto_fd int to = from < 0 ? -1 : openat(p->to, name, flags);
	return to < 0 ? err_sys(e, "open") : carry_dir(w, &from, to, st, e);
}

/* fuse-overlayfs's. ".wh..wh..opq" and ".wh..opq" are the directory's mark. Such a name may be the
 * job's own as well, and say that something is gone that can't be, or is there. */
static int carry_fuse_whiteout(struct walk *w, struct place *p, const char *gone, struct err *e)
{
	static const char *const none[] = {"", ".", "..", ".opq", ".wh..opq"};
	for (size_t i = 0; i < countof(none); i++)
		if (!strcmp(gone, none[i]))
			return 0;
	return faccessat(p->from, gone, F_OK, AT_SYMLINK_NOFOLLOW) ? carry_whiteout(w, p, gone, e)
								   : 0;
}

static int carry_entry(struct walk *w, struct place *p, const char *name, struct err *e)
{
	struct stat st;
	if (w->c->fuse && !strncmp(name, FUSE_WHITEOUT, strlen(FUSE_WHITEOUT)))
		return carry_fuse_whiteout(w, p, name + strlen(FUSE_WHITEOUT), e);
	if (fstatat(p->from, name, &st, AT_SYMLINK_NOFOLLOW))
		return err_sys(e, "stat");
	switch (st.st_mode & S_IFMT) {
	case S_IFDIR:
		return carry_below(w, p, name, &st, e);
	case S_IFREG:
		return carry_file(w, p, name, &st, e);
	case S_IFCHR:
		return st.st_rdev == makedev(0, 0) ? carry_whiteout(w, p, name, e)
						   : err_set(e, ERR_HOSTILE, "it is a device");
	default:
		return carry_other(p, name, &st, e);
	}
}

static int carry_entries(struct walk *w, struct place *p, DIR *dir, struct err *e)
{
	size_t n = strlen(w->path);
	for (struct dirent *d; (errno = 0, d = readdir(dir));) {
		if (!strcmp(d->d_name, ".") || !strcmp(d->d_name, ".."))
			continue;
		if (snprintf(w->path + n, sizeof(w->path) - n, "%s%s", n ? "/" : "", d->d_name) >=
		    (int)(sizeof(w->path) - n)) {
			w->path[n] = 0;
			return err_set(e, ERR_LIMIT, "a path of more than %d bytes", PATH_MAX);
		}
		if (carry_entry(w, p, d->d_name, e))
			return -1; /* the path tells where */
		w->path[n] = 0;
	}
	return errno ? err_sys(e, "read the directory") : 0;
}

static int carry_opened(struct walk *w, struct place *p, DIR *dir, const struct stat *st,
			struct err *e)
{
	p->opaque =
		has_mark(p->from, w->c->fuse ? "user.fuseoverlayfs.opaque" : "user.overlay.opaque");
	if (w->c->fuse && !faccessat(p->from, ".wh..wh..opq", F_OK, AT_SYMLINK_NOFOLLOW))
		p->opaque = true;
	w->depth++;
	int rc = carry_entries(w, p, dir, e);
	w->depth--;
	if (rc)
		return -1;
	if ((p->opaque || p->marked) &&
	    fsetxattr(p->to, "user.overlay.opaque", p->opaque ? "y" : "x", 1, 0))
		return err_sys(e, "mark the directory");
	return carry_attributes(p->from, p->to, st, e);
}

/* *from is closed with the directory that is read from it. */
static int carry_dir(struct walk *w, int *from, int to, const struct stat *st, struct err *e)
{
	DIR *dir = fdopendir(*from);
	if (!dir)
		return err_sys(e, "read the directory");
	struct place p = {.from = give_fd(from), .to = to};
	int rc = carry_opened(w, &p, dir, st, e);
	closedir(dir);
	return rc;
}

/* What the job's choice was and the file system of `to`, or the number of descriptors that this
 * process may have, has no place for, where a tmpfs has. */
static bool carry_is_bound(int sys)
{
	static const int bounds[] = {EMLINK, EFBIG, E2BIG, ERANGE, ENAMETOOLONG, EMFILE};
	for (size_t i = 0; i < countof(bounds); i++)
		if (sys == bounds[i])
			return true;
	return false;
}

int carry_tree(const struct carry *c, struct err *e)
{
	struct walk w = {.c = c};
	struct stat st;
	auto_fd int from = fcntl(c->from, F_DUPFD_CLOEXEC, 0);
	int rc = from < 0 || fstat(from, &st) ? err_sys(e, "stat")
					      : carry_dir(&w, &from, c->to, &st, e);
	size_t n = strlen(w.path), skip = n > CARRY_TOLD ? n - CARRY_TOLD : 0;
	if (rc && e->kind == ERR_SYS && carry_is_bound(e->sys))
		e->kind = ERR_LIMIT;
	if (rc)
		err_add(e, "keep %s%s", skip ? "…" : "", n ? w.path + skip : "the upper");
	for (size_t i = 0; i < w.n_links; i++)
		free(w.links[i].path);
	free(w.links);
	return rc;
}

/* ---- the child ---- */

int carry_become(int userns_fd, bool ranged, pid_t parent, struct err *e)
{
	if (setns(userns_fd, CLONE_NEWUSER))
		return err_sys(e, "enter the box's user namespace");
	if (ranged && (setgroups(0, NULL) || setresgid(0, 0, 0) || setresuid(0, 0, 0)))
		return err_sys(e, "become the box's root");
	if (prctl(PR_SET_DUMPABLE, 0) || prctl(PR_SET_PDEATHSIG, SIGKILL))
		return err_sys(e, "tie to the helper");
	/* It may have died before there was a tie: what an orphan did, nobody would know. */
	if (getppid() != parent)
		return err_set(e, ERR_BOX, "the helper is gone");
	umask(0);
	return 0;
}

/* As many descriptors as this process may have. */
static void carry_files(void)
{
	struct rlimit r;
	if (getrlimit(RLIMIT_NOFILE, &r))
		return;
	r.rlim_cur = r.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &r))
		return; /* then as many as it has */
}

static void carry_child(const struct carry *c, int userns_fd, bool ranged, pid_t parent, int report)
	__attribute__((noreturn));
static void carry_child(const struct carry *c, int userns_fd, bool ranged, pid_t parent, int report)
{
	struct err e = ERR_INIT;
	carry_files();
	if (!carry_become(userns_fd, ranged, parent, &e) && !carry_tree(c, &e))
		_exit(0);
	if (dir_write_all(report, e.text, strlen(e.text)))
		_exit(1);
	_exit(e.kind == ERR_LIMIT || e.kind == ERR_HOSTILE ? CARRY_REFUSED : 1);
}

int carry_run(const struct carry *c, int userns_fd, bool ranged, struct err *e)
{
	int report[2];
	char text[PLAN_ERROR];
	if (pipe2(report, O_CLOEXEC))
		return err_sys(e, "pipe");
	pid_t parent = getpid(), pid = fork();
	if (!pid)
		carry_child(c, userns_fd, ranged, parent, report[1]);
	close(report[1]);
	auto_fd int from = report[0];
	if (pid < 0)
		return err_sys(e, "fork");
	size_t n = child_hear(from, text, sizeof(text));
	int status = child_end(pid);
	if (!status)
		return 0;
	bool refused = WIFEXITED(status) && WEXITSTATUS(status) == CARRY_REFUSED;
	return err_set(e, refused ? ERR_HOSTILE : ERR_BOX, "%s",
		       n ? text : "keep the upper: it was killed");
}
