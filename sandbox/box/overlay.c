#include "sandbox/box/overlay.h"

#include "base/text.h"
#include "sandbox/box/mnt.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static const char *const way_names[] = {"fd", "names", "classic"};

int overlay_way_of(const char *name, enum overlay_way *way)
{
	for (size_t i = 0; i < countof(way_names); i++)
		if (!strcmp(name, way_names[i])) {
			*way = (enum overlay_way)i;
			return 1;
		}
	return 0;
}

const char *overlay_way_name(enum overlay_way way)
{
	return way_names[way];
}

static const char *const common[][2] = {
	{"redirect_dir", "nofollow"},
	{"metacopy", "off"},
	{"index", "off"},
	{"xino", "off"},
};

static int overlay_dir(int fs, enum overlay_way way, const char *key, const char *name,
		       struct err *e)
{
	if (way == OVERLAY_NAMES)
		return fsconfig(fs, FSCONFIG_SET_STRING, key, name, 0) ? mnt_say(fs, e, key) : 0;
	auto_fd int fd = open(name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, "open %s", name);
	return fsconfig(fs, FSCONFIG_SET_FD, key, NULL, fd) ? mnt_say(fs, e, key) : 0;
}

/* Upper and work directory by their descriptors, whatever their names hold; and so that mountinfo
 * shows these names and not those of the caller's directories. */
static int overlay_link(const char *name, char link[32], struct err *e)
{
	int fd = open(name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	snprintf(link, 32, "/proc/self/fd/%d", fd);
	return fd < 0 ? err_sys(e, "open %s", name) : fd;
}

static int overlay_uppers(int fs, const char *upper, const char *work, struct err *e)
{
	if (fsconfig(fs, FSCONFIG_SET_STRING, "upperdir", upper, 0))
		return mnt_say(fs, e, "upperdir");
	if (fsconfig(fs, FSCONFIG_SET_STRING, "workdir", work, 0))
		return mnt_say(fs, e, "workdir");
	return fsconfig(fs, FSCONFIG_SET_FLAG, "volatile", NULL, 0) ? mnt_say(fs, e, "volatile")
								    : 0;
}

static int overlay_configure(int fs, const struct overlay *o, enum overlay_way way, struct err *e)
{
	if (fsconfig(fs, FSCONFIG_SET_STRING, "source", "overlay", 0) ||
	    fsconfig(fs, FSCONFIG_SET_FLAG, "userxattr", NULL, 0))
		return mnt_say(fs, e, "userxattr");
	for (size_t i = 0; i < countof(common); i++)
		if (fsconfig(fs, FSCONFIG_SET_STRING, common[i][0], common[i][1], 0))
			return mnt_say(fs, e, common[i][0]);
	for (size_t i = 0; i < o->n; i++)
		if (overlay_dir(fs, way, "lowerdir+", o->lowers[i], e))
			return -1;
	return o->upper ? overlay_uppers(fs, o->upper, o->work, e) : 0;
}

static int overlay_new(const struct overlay *o, enum overlay_way way, struct err *e)
{
	auto_fd int fs = fsopen("overlay", FSOPEN_CLOEXEC);
	if (fs < 0)
		return err_sys(e, "fsopen");
	if (overlay_configure(fs, o, way, e))
		return -1;
	if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		return mnt_say(fs, e, "create");
	int fd =
		fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NODEV | (o->upper ? 0 : MOUNT_ATTR_RDONLY));
	return fd < 0 ? err_sys(e, "fsmount") : fd;
}

static int overlay_classic(const struct overlay *o, struct err *e)
{
	auto_text struct text t = TEXT_INIT;
	text_add(&t, "userxattr,");
	for (size_t i = 0; i < countof(common); i++)
		text_addf(&t, "%s=%s,", common[i][0], common[i][1]);
	text_add(&t, "lowerdir=");
	for (size_t i = 0; i < o->n; i++)
		text_addf(&t, "%s%s", i ? ":" : "", o->lowers[i]);
	if (o->upper)
		text_addf(&t, ",upperdir=%s,workdir=%s,volatile", o->upper, o->work);
	if (t.n >= (size_t)sysconf(_SC_PAGESIZE))
		return err_set(e, ERR_LIMIT, "%zu lower directories are more than mount(2) takes",
			       o->n);
	if (mkdir("m", 0755) && errno != EEXIST)
		return err_sys(e, "mkdir");
	if (mount("overlay", "m", "overlay", MS_NODEV | (o->upper ? 0 : MS_RDONLY), text_str(&t)))
		return err_sys(e, "mount(2)");
	/* It is on the place already; the descriptor moves it on from there. */
	int fd = open_tree(AT_FDCWD, "m", OPEN_TREE_CLOEXEC);
	return fd < 0 ? err_sys(e, "open_tree") : fd;
}

/* Is that the reason, and not that an old kernel doesn't know what it is asked for? To that it says
 * EINVAL or EOPNOTSUPP, without a word of its own but about "lowerdir+". */
static bool overlay_is_told(const struct err *e)
{
	if (e->sys != EINVAL && e->sys != EOPNOTSUPP)
		return true;
	return strstr(e->text, " (") && !strstr(e->text, "lowerdir+");
}

static int overlay_try(const struct overlay *o, enum overlay_way *way, bool only, struct err *e)
{
	struct err best = ERR_INIT;
	bool best_told = false;
	for (enum overlay_way try = *way; try <= OVERLAY_CLASSIC; try++) {
		struct err why = ERR_INIT;
		int fd = try == OVERLAY_CLASSIC ? overlay_classic(o, &why)
						: overlay_new(o, try, &why);
		if (fd >= 0) {
			*way = try;
			return fd;
		}
		bool told = overlay_is_told(&why);
		err_add(&why, "overlay at %s (%s)", o->what, way_names[try]);
		if (!best.kind || !best_told) {
			best = why;
			best_told = told;
		}
		if (only)
			break;
	}
	*e = best;
	return -1;
}

void overlay_drop(enum overlay_way way)
{
	if (way == OVERLAY_CLASSIC)
		umount2("m", MNT_DETACH | UMOUNT_NOFOLLOW);
}

int overlay_mount(const struct overlay *o, enum overlay_way *way, bool only, struct err *e)
{
	char upper[32], work[32];
	struct overlay by_fd = *o;
	if (!o->upper)
		return overlay_try(o, way, only, e);
	auto_fd int upper_fd = overlay_link(o->upper, upper, e);
	auto_fd int work_fd = upper_fd < 0 ? -1 : overlay_link(o->work, work, e);
	if (work_fd < 0)
		return err_add(e, "overlay at %s", o->what);
	by_fd.upper = upper;
	by_fd.work = work;
	return overlay_try(&by_fd, way, only, e);
}
