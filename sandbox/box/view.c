#include "sandbox/box/view.h"

#include "base/own.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

/* The mark of a directory: 'y' hides what is below, 'x' says that it may hold whiteouts that are
 * files with a mark of their own (overlayfs.rst, "Nesting overlayfs mounts"). */
static char opaque_of(const char *path)
{
	char value[4];
	ssize_t n = lgetxattr(path, "user.overlay.opaque", value, sizeof(value));
	return n > 0 ? value[0] : 0;
}

static bool is_whiteout(const char *path, const struct stat *st)
{
	if (S_ISCHR(st->st_mode))
		return st->st_rdev == makedev(0, 0);
	return S_ISREG(st->st_mode) && !st->st_size &&
	       lgetxattr(path, "user.overlay.whiteout", NULL, 0) >= 0;
}

struct walk {
	bool *live; /* has every directory on the way so far, and nothing above hides it */
	bool cut;   /* something hides what is below */
};

/* One more name: rel's first n bytes. VIEW_SHOWN: a directory so far. */
static enum view_found walk_on(const struct view *v, struct walk *w, const char *rel, size_t n,
			       struct stat *st, size_t *layer)
{
	char path[PATH_MAX];
	bool dir = false;
	for (size_t i = 0; i < v->n; i++) {
		struct stat here;
		if (!w->live[i])
			continue;
		if (snprintf(path, sizeof(path), "%s/%.*s", v->lowers[i], (int)n, rel) >=
			    (int)sizeof(path) ||
		    lstat(path, &here)) {
			w->live[i] = false;
			continue;
		}
		bool white = is_whiteout(path, &here), is_dir = S_ISDIR(here.st_mode);
		if (!white && !is_dir && !dir) {
			*st = here;
			*layer = i;
			return S_ISLNK(here.st_mode) ? VIEW_LINK : VIEW_TAKEN;
		}
		if (is_dir && !dir) {
			*st = here;
			dir = true;
		}
		if (is_dir && opaque_of(path) != 'y')
			continue;
		for (size_t k = is_dir ? i + 1 : i; k < v->n; k++)
			w->live[k] = false;
		w->cut = true;
	}
	return dir ? VIEW_SHOWN : w->cut ? VIEW_HIDDEN : VIEW_ABSENT;
}

enum view_found view_find(const struct view *v, const char *rel, struct stat *st, size_t *seen,
			  size_t *layer)
{
	auto_free bool *live = own_alloc(v->n + 1);
	struct walk w = {.live = live};
	memset(live, true, v->n);
	for (const char *end = rel; *end;) {
		end = strchrnul(end + (*end == '/'), '/');
		*seen = (size_t)(end - rel);
		enum view_found found = walk_on(v, &w, rel, *seen, st, layer);
		if (found == VIEW_TAKEN)
			return *end ? VIEW_TAKEN : VIEW_SHOWN;
		if (found != VIEW_SHOWN)
			return found;
	}
	return VIEW_SHOWN;
}
