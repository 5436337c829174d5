#include "sandbox/box/upper.h"

#include "base/dir.h"
#include "sandbox/box/fuse.h"
#include "sandbox/box/init.h"
#include "sandbox/box/place.h"
#include "sandbox/box/stage.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

const struct upper_known *uppers_know(const struct uppers *u, uint64_t dev)
{
	for (size_t i = 0; i < u->n_known; i++)
		if (u->known[i].dev == dev)
			return &u->known[i];
	return NULL;
}

void uppers_learn(struct uppers *u, const struct upper_known *k)
{
	if (uppers_know(u, k->dev))
		return;
	if (u->n_known == UPPER_KNOWN)
		memmove(u->known, u->known + 1, --u->n_known * sizeof(*u->known));
	u->known[u->n_known++] = *k;
}

/* The helper keeps it for its next boxes. */
static void learn(struct stage *st, uint64_t dev, enum plan_uppers by, enum upper_marks marks)
{
	struct upper_known k = {dev, by, marks};
	struct init_message m = {.kind = INIT_UPPER,
				 .status = (int32_t)by,
				 .way = marks,
				 .dev = dev};
	uppers_learn(&st->uppers, &k);
	if (st->helper >= 0)
		init_say(st->helper, &m, -1);
}

/* ---- does an overlay over this upper do what a job would do? ---- */

static int try_lower(const char *lower, struct err *e)
{
	static const char *const dirs[] = {"", "/d"}, *const files[] = {"/f", "/d/f"};
	for (size_t i = 0; i < countof(dirs); i++) {
		auto_free char *path = own_fmt("%s%s", lower, dirs[i]);
		if (mkdir(path, 0755) && errno != EEXIST)
			return err_sys(e, "mkdir %s", path);
	}
	for (size_t i = 0; i < countof(files); i++) {
		auto_free char *path = own_fmt("%s%s", lower, files[i]);
		if (access(path, F_OK) && place_write(AT_FDCWD, path, "f", 1, 0644, e))
			return -1;
	}
	return 0;
}

/* A whiteout, a directory in the place of another, a copy, a new file, renamed. */
static int try_changes(int top, struct err *e)
{
	struct stat s;
	if (unlinkat(top, "d/f", 0) || unlinkat(top, "d", AT_REMOVEDIR) || mkdirat(top, "d", 0755))
		return err_sys(e, "put a directory in the place of another");
	if (!fstatat(top, "d/f", &s, AT_SYMLINK_NOFOLLOW))
		return err_set(e, ERR_BOX, "what was in a directory that is gone is in a new one");
	if (fchmodat(top, "f", 0600, 0))
		return err_sys(e, "change a file's mode");
	if (place_write(top, "n", "n", 1, 0644, e))
		return -1;
	if (renameat(top, "n", top, "o") || unlinkat(top, "f", 0))
		return err_sys(e, "rename and remove a file");
	return fstatat(top, "f", &s, AT_SYMLINK_NOFOLLOW)
		       ? 0
		       : err_set(e, ERR_BOX, "a file that was removed is there");
}

static void try_clean(const char *upper, const char *work)
{
	static const char *const left[] = {"f", "d", "n", "o"};
	struct err ignored = ERR_INIT;
	auto_fd int u = open(upper, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	auto_fd int w = open(work, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (size_t i = 0; u >= 0 && i < countof(left); i++)
		if (dir_remove(u, left[i], &ignored))
			ignored.kind = ERR_NONE;
	if (w >= 0 && dir_remove(w, "work", &ignored))
		ignored.kind = ERR_NONE;
}

static int try_overlay(struct stage *st, const struct overlay *o, struct err *e)
{
	auto_fd int top = overlay_mount(o, &st->way, st->only_way, e);
	int rc = top < 0 ? -1 : o->upper ? try_changes(top, e) : 0;
	overlay_drop(st->way);
	return rc;
}

/* upper and work are empty, and will be again. */
static int try_upper(struct stage *st, const char *upper, const char *work, struct err *e)
{
	static const char *const lowers[] = {"y"};
	struct overlay o = {"a trial", lowers, 1, upper, work};
	int rc = try_lower("y", e) || try_overlay(st, &o, e) ? -1 : 0;
	try_clean(upper, work);
	return rc;
}

/* ---- can this directory keep an overlay's marks? ---- */

/* Names that are gone as files with an xattr, if this kernel's overlays know them. */
static int marks_xattrs(struct stage *st, int dir, const char *at, struct err *e)
{
	const char *lowers[] = {at, "y"};
	struct overlay o = {"a trial", lowers, 2, NULL, NULL};
	struct stat s;
	if (place_write(dir, "f", "", 0, 0600, e))
		return -1;
	auto_free char *file = own_fmt("%s/f", at);
	if (lsetxattr(file, "user.overlay.whiteout", "y", 1, 0) ||
	    lsetxattr(at, "user.overlay.opaque", "x", 1, 0))
		return err_sys(e, "xattr of a whiteout");
	auto_fd int top = overlay_mount(&o, &st->way, st->only_way, e);
	bool shown = top >= 0 && !fstatat(top, "f", &s, AT_SYMLINK_NOFOLLOW);
	overlay_drop(st->way);
	if (shown)
		return err_set(e, ERR_BOX,
			       "overlays of this kernel (Linux 6.7) don't read "
			       "whiteouts that are no devices");
	return top < 0 ? -1 : 0;
}

/* upper is empty, and will be again. */
static int marks_of(struct stage *st, const char *upper, enum upper_marks *marks, struct err *e)
{
	auto_fd int dir = open(upper, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	auto_free char *below = own_fmt("%s/d", upper);
	int rc = 0;
	if (dir < 0 || mkdirat(dir, "d", 0755))
		return err_sys(e, "make a directory");
	if (lsetxattr(below, "user.overlay.opaque", "y", 1, 0))
		rc = err_sys(e, "xattr of an opaque directory");
	else if (!mknodat(dir, "n", S_IFCHR, 0))
		*marks = UPPER_MARKS_DEVICES;
	else {
		auto_fd int in = open(below, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		*marks = UPPER_MARKS_XATTRS;
		rc = in < 0 ? err_sys(e, "open a directory")
		     : try_lower("y", e) || marks_xattrs(st, in, below, e) ? -1
									   : 0;
	}
	struct err ignored = ERR_INIT;
	static const char *const left[] = {"d", "n"};
	for (size_t i = 0; i < countof(left); i++)
		if (dir_remove(dir, left[i], &ignored))
			ignored.kind = ERR_NONE;
	return rc;
}

static int room_try(struct stage *st, struct err *e)
{
	auto_free char *upper = NULL, *work = NULL;
	return upper_room(st, &upper, &work, e) || try_upper(st, upper, work, e) || rmdir(upper) ||
			       rmdir(work)
		       ? -1
		       : 0;
}

/* ---- choosing ---- */

static char *given(const struct stage *st, const struct spec_mount *m, uint32_t which)
{
	return own_fmt("l%u/%s", m->upper, st->layers->all[which].name);
}

/* What carries uppers on m's file system: tried beside the upper, in its work directory, because in
 * the upper there may be what an earlier box wrote. */
static int choose_try(struct stage *st, const struct spec_mount *m, struct upper_known *k,
		      struct err *e)
{
	auto_free char *beside = given(st, m, m->work),
		       *upper = own_fmt("%s/" PLAN_TRIAL_UPPER, beside),
		       *work = own_fmt("%s/" PLAN_TRIAL_WORK, beside);
	const char *name = st->layers->all[m->upper].path;
	struct err first = ERR_INIT, second = ERR_INIT;
	if (mkdir(upper, 0755) || mkdir(work, 0755))
		return err_sys(e, "mkdir in the work directory of %s", name);
	if (k->by == PLAN_UPPERS_GIVEN && try_upper(st, upper, work, &first)) {
		k->by = PLAN_UPPERS_TMPFS;
		spec_say(st->spec, "%s carries no upper: %s", name, first.text);
	}
	int rc = k->by == PLAN_UPPERS_GIVEN ? 0 : marks_of(st, upper, &k->marks, &second);
	if (rmdir(upper) || rmdir(work))
		return err_sys(e, "remove a trial in the work directory of %s", name);
	return rc ? err_set(e, ERR_BOX,
			    "%s can neither carry an upper (%.400s) nor keep one (%.400s)", name,
			    first.kind ? first.text : "not tried", second.text)
		  : 0;
}

/* What is moved to an upper at the end comes to an empty one. */
static int choose_empty(struct stage *st, const struct spec_mount *m, struct err *e)
{
	auto_free char *upper = given(st, m, m->upper);
	DIR *dir = opendir(upper);
	const struct dirent *d;
	if (!dir)
		return err_sys(e, "open %s", upper);
	while ((d = readdir(dir)) && (!strcmp(d->d_name, ".") || !strcmp(d->d_name, "..")))
		;
	closedir(dir);
	return !d ? 0
		  : err_set(e, ERR_BOX,
			    "%s/%s has changes of an earlier box, and no more can be added where a "
			    "file system carries no upper of an overlay: give an empty directory, "
			    "or one on a file system that does (ext4, XFS, Btrfs)",
			    st->layers->all[m->upper].path, st->layers->all[m->upper].name);
}

/* One upper of the caller's. */
static int choose_for(struct stage *st, const struct spec_mount *m, struct err *e)
{
	struct upper_known k = {.dev = st->layers->all[m->upper].dev, .by = st->uppers.least};
	const struct upper_known *known = uppers_know(&st->uppers, k.dev);
	if (mount_layer(st, m->upper, e))
		return -1;
	if (known) {
		k = *known;
	} else {
		if (choose_try(st, m, &k, e))
			return -1;
		learn(st, k.dev, k.by, k.marks);
	}
	if (k.by > st->by)
		st->by = k.by;
	return 0;
}

/* A tmpfs before Linux 6.6 has no user xattrs: no directory can take the place of another. */
static enum plan_uppers choose_room(struct stage *st)
{
	const struct upper_known *known = uppers_know(&st->uppers, 0);
	struct err why = ERR_INIT;
	if (known)
		return known->by;
	enum plan_uppers by = room_try(st, &why) ? PLAN_UPPERS_FUSE : PLAN_UPPERS_TMPFS;
	if (by == PLAN_UPPERS_FUSE)
		spec_say(st->spec, "a tmpfs carries no upper: %s", why.text);
	learn(st, 0, by, UPPER_MARKS_DEVICES);
	return by;
}

/* What the box then lacks is told, where nothing is to be kept: most commands don't need it. */
static int choose_fuse(struct stage *st, bool given, struct err *e)
{
	struct err why = ERR_INIT;
	if (!fuse_is_there(&why)) {
		st->by = PLAN_UPPERS_FUSE;
		return 0;
	}
	if (given || st->uppers.least == PLAN_UPPERS_FUSE)
		return err_set(e, ERR_BOX,
			       "no overlay can be written here but by fuse-overlayfs: %s",
			       why.text);
	spec_say(st->spec, "no fuse-overlayfs either: %s", why.text);
	return 0;
}

int uppers_choose(struct stage *st, struct err *e)
{
	bool given = false, lost = false;
	st->by = st->uppers.least;
	for (size_t i = 0; i < st->spec->n_mounts; i++) {
		const struct spec_mount *m = &st->spec->mounts[i];
		if (m->mode != PLAN_MOUNT_COW)
			continue;
		given |= m->upper != PLAN_NO_FD;
		lost |= m->upper == PLAN_NO_FD;
		if (m->upper != PLAN_NO_FD && choose_for(st, m, e))
			return err_add(e, "mount %s", m->path);
	}
	if (!given && !lost)
		return 0;
	bool room = st->by != PLAN_UPPERS_GIVEN;
	for (size_t i = 0; room && i < st->spec->n_mounts; i++) {
		const struct spec_mount *m = &st->spec->mounts[i];
		if (m->mode == PLAN_MOUNT_COW && m->upper != PLAN_NO_FD && choose_empty(st, m, e))
			return err_add(e, "mount %s", m->path);
	}
	if (st->by == PLAN_UPPERS_FUSE || ((lost || room) && choose_room(st) == PLAN_UPPERS_FUSE))
		return choose_fuse(st, given && room, e);
	if (!given)
		st->by = PLAN_UPPERS_TMPFS;
	return 0;
}

enum plan_uppers upper_by(const struct stage *st, const struct spec_mount *m)
{
	return m->upper == PLAN_NO_FD && st->by == PLAN_UPPERS_GIVEN ? PLAN_UPPERS_TMPFS : st->by;
}

int upper_tell_userns(struct stage *st, struct err *e)
{
	struct init_message m = {.kind = INIT_USERNS};
	if (st->userns)
		return 0;
	auto_fd int ns = open("/proc/self/ns/user", O_RDONLY | O_CLOEXEC);
	if (ns < 0)
		return err_sys(e, "open the box's user namespace");
	init_say(st->helper, &m, ns);
	st->userns = true;
	return 0;
}

/* Kept by the helper until the box is over: then moved to the caller's directory. */
static int carry_later(struct stage *st, const struct spec_mount *m, const char *upper,
		       struct err *e)
{
	const struct upper_known *k = uppers_know(&st->uppers, st->layers->all[m->upper].dev);
	struct init_message say = {.kind = INIT_CARRIED,
				   .status = (int32_t)m->upper,
				   .way = k ? k->marks : 0,
				   .dev = st->by == PLAN_UPPERS_FUSE};
	auto_fd int fd = open(upper, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, "keep %s", upper);
	if (upper_tell_userns(st, e))
		return -1;
	init_say(st->helper, &say, fd);
	spec_say(st->spec, "upper of %s: on a tmpfs, to be moved to %s/%s", m->path,
		 st->layers->all[m->upper].path, st->layers->all[m->upper].name);
	return 0;
}

int upper_open(struct stage *st, const struct spec_mount *m, char **upper, char **work,
	       struct err *e)
{
	if (upper_by(st, m) == PLAN_UPPERS_GIVEN) {
		*upper = given(st, m, m->upper);
		*work = given(st, m, m->work);
		return 0;
	}
	if (upper_room(st, upper, work, e))
		return -1;
	return m->upper == PLAN_NO_FD ? 0 : carry_later(st, m, *upper, e);
}
