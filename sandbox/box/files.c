/* The plan's small files: in a layer of an overlay where the place is in one (a job may replace
 * them there), else bound over. */
#include "sandbox/box/stage.h"

#include "base/dir.h"
#include "sandbox/box/mnt.h"
#include "sandbox/box/place.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static bool below(const char *path, const char *dir)
{
	size_t n = strlen(dir);
	return !strncmp(path, dir, n) && path[n] == '/';
}

const struct step *files_owner(const struct stage *st, const char *path)
{
	const struct step *owner = NULL;
	for (size_t i = 0; i < st->n_steps; i++)
		if (below(path, st->steps[i].path) &&
		    (!owner || strlen(st->steps[i].path) > strlen(owner->path)))
			owner = &st->steps[i];
	return owner;
}

static const char *relative(const struct step *owner, const char *path)
{
	return path + (owner ? strlen(owner->path) : 0) + 1;
}

/* What the overlay of these lowers shows at rel, but for whiteouts of whole parents: 1 with st
 * filled, 0: nothing, or a whiteout. A link in a lower would lead out of it: the root is still the
 * host's. */
static int merged_stat(const char *const *lowers, size_t n, const char *rel, struct stat *st)
{
	for (size_t i = 0; i < n; i++) {
		auto_fd int lower = open(lowers[i], O_PATH | O_DIRECTORY | O_CLOEXEC);
		auto_fd int fd =
			lower < 0 ? -1 : dir_open_beneath(lower, rel, O_PATH | O_NOFOLLOW, 0);
		if (fd >= 0 && !fstat(fd, st))
			return !S_ISCHR(st->st_mode);
		if (errno != ENOENT)
			return 0;
	}
	return 0;
}

/* Make dir/rel's parents as the lowers have them. 0: done, 1: one of them is a link or a file
 * there, -1. */
static int parents_like(const char *dir, const char *rel, const char *const *lowers, size_t n,
			struct err *e)
{
	auto_free char *at = own_dup(rel);
	for (char *slash = strchr(at, '/'); slash; slash = strchr(slash + 1, '/')) {
		struct stat st = {.st_mode = S_IFDIR | 0755};
		*slash = 0;
		int found = merged_stat(lowers, n, at, &st);
		if (found && !S_ISDIR(st.st_mode))
			return 1;
		auto_free char *path = own_fmt("%s/%s", dir, at);
		if (mkdir(path, 0755) && errno != EEXIST)
			return err_sys(e, "mkdir %s", path);
		/* An owner the box doesn't know can't be copied; the mode alone then. */
		if (found && chown(path, st.st_uid, st.st_gid) && errno != EINVAL && errno != EPERM)
			return err_sys(e, "chown %s", path);
		if (chmod(path, st.st_mode & 07777))
			return err_sys(e, "chmod %s", path);
		*slash = '/';
	}
	return 0;
}

int files_layer(struct stage *st, const struct step *owner, const char *const *lowers, size_t n,
		char name[16], struct err *e)
{
	name[0] = 0;
	for (size_t i = 0; i < st->spec->n_files; i++) {
		const struct spec_file *f = &st->spec->files[i];
		if (st->placed[i] || files_owner(st, f->path) != owner)
			continue;
		if (!name[0]) {
			snprintf(name, 16, "f/%u", st->n_made++);
			if (mkdir(name, 0755))
				return err_sys(e, "mkdir %s", name);
		}
		const char *rel = relative(owner, f->path);
		int links = parents_like(name, rel, lowers, n, e);
		if (links < 0)
			return -1;
		if (links)
			continue;
		auto_free char *path = own_fmt("%s/%s", name, rel);
		if (place_write(AT_FDCWD, path, f->bytes, f->n, f->mode, e))
			return err_add(e, "file %s", f->path);
		st->placed[i] = true;
		spec_say(st->spec, "file %s: in a layer", f->path);
	}
	return 0;
}

bool files_missing(const struct stage *st, const struct step *owner, int fd)
{
	for (size_t i = 0; i < st->spec->n_files; i++) {
		const char *path = st->spec->files[i].path;
		if (files_owner(st, path) == owner && !place_is_named(fd, relative(owner, path)))
			return true;
	}
	return false;
}

static int file_bind(struct stage *st, size_t i, struct err *e)
{
	const struct spec_file *f = &st->spec->files[i];
	char name[32];
	snprintf(name, sizeof(name), "b/%zu", i);
	if (place_write(AT_FDCWD, name, f->bytes, f->n, f->mode, e))
		return -1;
	auto_fd int fd = mnt_clone(AT_FDCWD, name, false, e);
	if (fd < 0 || mnt_set(fd, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV, false, e))
		return -1;
	auto_fd int place = stage_file(st, f->path, e);
	return place < 0 ? -1 : mnt_put(fd, place, "", e);
}

int files_bind(struct stage *st, struct err *e)
{
	for (size_t i = 0; i < st->spec->n_files; i++) {
		if (st->placed[i])
			continue;
		spec_say(st->spec, "file %s: bound over", st->spec->files[i].path);
		if (file_bind(st, i, e))
			return err_add(e, "file %s", st->spec->files[i].path);
	}
	return 0;
}
