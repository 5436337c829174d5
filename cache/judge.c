/* Every entry of the upper gets one of the words of enum cache_change. The order of the questions:
 * is the name ours, does it only hide something, does a rule drop or reject it, is it of a kind
 * that may be shared, what does the store have there, what does the rule say about that. */
#include "cache/adopt.h"
#include "cache/judge_parts.h"
#include "cache/merge.h"
#include "cache/rules.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/xattr.h>

int judge_is(struct judge *c, enum cache_change change)
{
	c->x->x.change = change;
	c->x->wanted = change == CACHE_ADDED || change == CACHE_REPLACED || change == CACHE_MERGED;
	return 0;
}

int judge_refuse(struct judge *c, const char *why)
{
	c->x->x.type = '?';
	c->x->x.reason = own_dup(why);
	return judge_is(c, CACHE_REFUSED);
}

int judge_conflict(struct judge *c, const char *why)
{
	c->x->x.reason = own_dup(why);
	return judge_is(c, CACHE_CONFLICT);
}

int judge_hostile(struct judge *c, struct err *e, const char *why)
{
	return err_set(e, ERR_HOSTILE, "%.300s: %s", c->it->path, why);
}

/* ---- extended attributes: those of the mount's own namespace mean something; of the other one
 * they are bytes a job wrote ---- */

const char *judge_space(const struct judge *c)
{
	return c->h->how->userxattr ? "user.overlay." : "trusted.overlay.";
}

/* 1: the directory has overlay.<name>, of which value gets the first byte; 0: it has not; -1. */
static int judge_overlay_xattr(const struct judge *c, int fd, const char *name, char *value,
			       struct err *e)
{
	char full[64];
	snprintf(full, sizeof(full), "%s%s", judge_space(c), name);
	ssize_t n = fgetxattr(fd, full, value, 1);
	if (n < 0 && errno == ERANGE) /* longer */
		*value = '\0';
	else if (n < 0)
		return errno == ENODATA || errno == ENOTSUP
			       ? 0
			       : err_sys(e, "attributes of %s", c->it->path);
	return 1;
}

static struct lower_dir *judge_lowers(const struct judge *c, size_t *n)
{
	*n = c->above ? c->above->n_lowers : c->h->how->n_lowers;
	return c->above ? c->above->lowers : c->h->all;
}

/* ---- what is hidden ---- */

/* Is it the store's affair that the upper hides this? */
static bool judge_deletes(const struct judge *c)
{
	return c->h->how->deletions != CACHE_DELETIONS_IGNORE && c->rule != CACHE_DROP;
}

static int judge_deleted(struct judge *c, struct err *e)
{
	struct lower l;
	size_t n;
	struct lower_dir *lowers = judge_lowers(c, &n);
	if (!judge_deletes(c) || (c->above && c->above->hidden))
		return judge_is(c, CACHE_DELETED);
	if (lower_find(c->h, lowers, n, c->it->path, &l, e))
		return -1;
	if (!l.found)
		return judge_is(c, CACHE_DELETED);
	if (c->h->how->deletions == CACHE_DELETIONS_REJECT)
		return judge_hostile(c, e, "it was deleted, which this store does not allow");
	if (c->rule == CACHE_REJECT)
		return judge_hostile(c, e, "it was deleted, and a rule allows no change there");
	c->x->x.type = 'w';
	c->x->x.mode = 0;
	c->x->x.mtime_s = c->x->x.mtime_ns = 0;
	judge_is(c, CACHE_DELETED);
	c->x->wanted = true;
	return 0;
}

/* A directory in the place of one that the store has. */
static int judge_replaced(struct judge *c, struct err *e)
{
	if (judge_deletes(c) && c->h->how->deletions == CACHE_DELETIONS_REJECT)
		return judge_hostile(c, e, "it was replaced, and this store allows no deletion");
	if (judge_deletes(c))
		c->x->x.reason = own_dup("it was replaced: what the store has in it stays");
	return judge_is(c, CACHE_DELETED);
}

/* ---- directories ---- */

/* A directory where the store shows something else, or below such a place. */
static int judge_hidden_dir(struct judge *c, struct err *e)
{
	if (c->rule == CACHE_REJECT)
		return judge_hostile(c, e, "a rule allows no change there");
	if (c->rule == CACHE_DROP || c->rule == CACHE_KEEP)
		return judge_is(c, CACHE_DROPPED);
	return judge_conflict(c, "the store has no directory there");
}

static int judge_dir(struct judge *c, struct err *e)
{
	size_t n;
	char value = '\0';
	struct lower_dir *lowers = judge_lowers(c, &n);
	c->it->skip = true;
	if (c->it->elsewhere)
		return judge_refuse(c, "another file system is mounted there");
	if ((c->it->st.st_mode & 0500) != 0500)
		return judge_refuse(c, "a directory its owner may not read");
	auto_fd int fd = tree_open_unseen(c->it->dirfd, c->it->name, O_DIRECTORY);
	/* Somebody else's may be listed and not entered. */
	bool closed = fd >= 0 && c->it->st.st_uid != c->h->euid &&
		      faccessat(fd, ".", R_OK | X_OK, AT_EACCESS) && errno == EACCES;
	if (closed || (fd < 0 && (errno == EACCES || errno == EXDEV)))
		return judge_refuse(c, "a directory we may not read");
	if (fd < 0)
		return err_sys(e, "open directory %s", c->it->path);
	bool plain = !flistxattr(fd, NULL, 0); /* most have none at all */
	int redirect = plain ? 0 : judge_overlay_xattr(c, fd, "redirect", &value, e);
	if (redirect)
		return redirect < 0
			       ? -1
			       : judge_refuse(c, "a directory that shows another one's content");
	int opaque = plain ? 0 : judge_overlay_xattr(c, fd, "opaque", &value, e);
	if (opaque < 0)
		return -1;
	c->it->skip = false;
	c->h->mixed |= !adopt_directory(c->h, fd, &c->it->st, plain, &c->x->as_is);
	c->it->opened = give_fd(&fd);
	c->x->hidden = c->above && c->above->hidden;
	if (!c->x->hidden && lower_dirs(c->h, lowers, n, c->it->path, c->x, e))
		return -1;
	if (c->x->hidden)
		return judge_hidden_dir(c, e);
	/* One that a rule drops or rejects is made only for what is wanted in it:
	 * harvest_directories(). */
	if (!c->x->n_lowers)
		return judge_is(c, c->rule == CACHE_DROP || c->rule == CACHE_REJECT ? CACHE_DROPPED
										    : CACHE_ADDED);
	return opaque && value == 'y' ? judge_replaced(c, e) : judge_is(c, CACHE_IDENTICAL);
}

/* ---- what the rule says where the store has something ---- */

static bool judge_newer(const struct stat *mine, const struct stat *theirs)
{
	return mine->st_mtim.tv_sec != theirs->st_mtim.tv_sec
		       ? mine->st_mtim.tv_sec > theirs->st_mtim.tv_sec
		       : mine->st_mtim.tv_nsec > theirs->st_mtim.tv_nsec;
}

/* The store has other bytes, or another target, there. */
int judge_differs(struct judge *c, const struct lower *l, const char *why, struct err *e)
{
	switch (c->rule) {
	case CACHE_KEEP:
		return judge_is(c, CACHE_DROPPED);
	case CACHE_NEWEST:
		return judge_is(c,
				judge_newer(&c->it->st, &l->st) ? CACHE_REPLACED : CACHE_DROPPED);
	case CACHE_REJECT:
		return judge_hostile(c, e, "a rule allows no change there");
	case CACHE_SAME:
	case CACHE_CONTENT_HASH:
	case CACHE_UNION_LINES:
	case CACHE_SUM_COUNTERS:
	case CACHE_PROGRAM:
	case CACHE_DROP:
		break;
	}
	return judge_conflict(c, why);
}

int judge_is_new(struct judge *c, struct err *e)
{
	if (c->rule == CACHE_REJECT)
		return judge_hostile(c, e, "a rule allows nothing new there");
	return judge_is(c, CACHE_ADDED);
}

/* ---- links ---- */

/* A link stays in the store if it only goes up first, no higher than the root, and down after that:
 * what it passes on the way down can't lead higher either, for those links are checked too. */
static bool judge_link_stays(const char *target, unsigned depth)
{
	bool down = false;
	if (target[0] == '/')
		return false;
	for (const char *p = target; *p;) {
		size_t n = strcspn(p, "/");
		bool up = n == 2 && p[0] == '.' && p[1] == '.';
		if (up && (down || --depth < 1))
			return false;
		down |= !up && n && !(n == 1 && *p == '.');
		p += n + (p[n] == '/');
	}
	return true;
}

static int judge_link(struct judge *c, const struct lower *l, struct err *e)
{
	char mine[4096], theirs[4096];
	ssize_t n = readlinkat(c->it->dirfd, c->it->name, mine, sizeof(mine) - 1), m = -1;
	if (n < 0)
		return err_sys(e, "read link %s", c->it->path);
	mine[n] = '\0';
	if (harvest_hold(c->h, (uint64_t)n, e))
		return -1;
	c->x->x.target = own_dup(mine);
	c->x->as_is = adopt_link(c->h, c->it->dirfd, c->it->name, &c->it->st);
	c->x->x.size = (uint64_t)n;
	if (merge_max(c->rule) || c->rule == CACHE_CONTENT_HASH)
		return judge_refuse(c, "a link where a rule wants a file");
	if (!judge_link_stays(mine, c->it->depth))
		return judge_refuse(c, "a link that leads out of the store");
	if (!l->found)
		return judge_is_new(c, e);
	if (S_ISLNK(l->st.st_mode))
		m = readlinkat(l->dirfd, l->name, theirs, sizeof(theirs));
	if (m == n && !memcmp(mine, theirs, (size_t)n))
		return judge_is(c, CACHE_IDENTICAL);
	if (S_ISDIR(l->st.st_mode) && c->rule != CACHE_REJECT)
		return judge_conflict(c, "the store has a directory there");
	return judge_differs(c, l,
			     m < 0 ? "the store has no link there"
				   : "the store's link has another target",
			     e);
}

/* ---- one entry ---- */

static bool judge_is_ours(const char *path)
{
	size_t n = strlen(HARVEST_OURS);
	return !strncmp(path, HARVEST_OURS, n) && (!path[n] || path[n] == '/');
}

static const char *judge_kind_reason(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
	case S_IFLNK:
		return NULL;
	case S_IFIFO:
		return "a fifo";
	case S_IFSOCK:
		return "a socket";
	case S_IFCHR:
	case S_IFBLK:
		return "a device";
	default:
		return "of an unknown kind";
	}
}

static int judge_leaf(struct judge *c, struct err *e)
{
	struct lower l;
	size_t n;
	struct lower_dir *lowers = judge_lowers(c, &n);
	const char *reason = judge_kind_reason(c->it->st.st_mode);
	if (c->rule == CACHE_DROP)
		return judge_is(c, CACHE_DROPPED);
	if (reason && c->rule == CACHE_REJECT)
		return judge_hostile(c, e, reason);
	if (reason)
		return judge_refuse(c, reason);
	if (c->above && c->above->hidden)
		return judge_conflict(c, "the store has no directory above it");
	if (lower_find(c->h, lowers, n, c->it->path, &l, e))
		return -1;
	return S_ISLNK(c->it->st.st_mode) ? judge_link(c, &l, e) : judge_file(c, &l, e);
}

char judge_type(mode_t mode)
{
	return S_ISREG(mode) ? 'f' : S_ISDIR(mode) ? 'd' : S_ISLNK(mode) ? 'l' : '?';
}

/* A whiteout: a device 0:0, or an empty file with an attribute, where the upper's file system takes
 * no such device (overlayfs.rst, "Nesting overlayfs mounts"). 1, 0, -1. */
static int judge_whiteout(struct judge *c, struct err *e)
{
	const struct stat *st = &c->it->st;
	char value;
	if (S_ISCHR(st->st_mode))
		return st->st_rdev == 0;
	if (!S_ISREG(st->st_mode) || st->st_size)
		return 0;
	return c->it->fd < 0 ? 0 /* what can't be read is told of later */
			     : judge_overlay_xattr(c, c->it->fd, "whiteout", &value, e);
}

int judge_entry(struct harvest *h, struct tree_item *it, struct harvest_item *x,
		const struct harvest_item *above, struct err *e)
{
	const struct stat *st = &it->st;
	struct judge of = {.h = h, .it = it, .x = x, .above = above}, *c = &of;
	if (judge_is_ours(c->it->path)) {
		c->it->skip = true;
		c->h->mixed |= S_ISDIR(st->st_mode);
		return judge_refuse(c, "a name that is kept for assay itself");
	}
	int whiteout = judge_whiteout(c, e);
	c->rule = rules_find(c->h->how->rules, c->h->how->n_rules, c->it->path);
	if (whiteout)
		return whiteout < 0 ? -1 : judge_deleted(c, e);
	if (S_ISDIR(st->st_mode) && judge_dir(c, e))
		return -1;
	if (S_ISDIR(st->st_mode)) {
		c->h->mixed |= c->it->skip; /* who knows what it has */
		return 0;
	}
	return judge_leaf(c, e);
}
