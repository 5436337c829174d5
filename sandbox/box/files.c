/* Files of a box that are not simply part of a directory: the plan's small ones and single files of
 * the host. Where an overlay owns the place, a layer of it holds them (wants.c); else they are
 * bound over what is there. */
#include "sandbox/box/stage.h"

#include "sandbox/box/mnt.h"
#include "sandbox/box/place.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

static int file_bind(struct stage *st, const struct spec_file *f, struct err *e)
{
	char name[32];
	snprintf(name, sizeof(name), "b%u", st->n_made++);
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
	for (size_t i = 0; i < st->n_wants; i++) {
		const struct spec_file *f = st->wants[i].file;
		if (!f || st->wants[i].done)
			continue;
		spec_say(st->spec, "file %s: bound over", f->path);
		if (file_bind(st, f, e))
			return err_add(e, "file %s", f->path);
	}
	return 0;
}

/* What the file is in: attached, and its name there. */
static char *file_layer(struct stage *st, const struct spec_mount *m, struct err *e)
{
	return mount_layer(st, m->first, e)
		       ? NULL
		       : own_fmt("l%u/%s", m->first, st->layers->all[m->first].name);
}

static int copy_bytes(int from, int to)
{
	uint64_t left = PLAN_COPY_MAX;
	for (;;) {
		ssize_t n = sendfile(to, from, NULL, left ? left : 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return (int)n;
		if ((uint64_t)n > left) {
			errno = EFBIG;
			return -1;
		}
		left -= (uint64_t)n;
	}
}

int files_copy(struct stage *st, const struct spec_mount *m, const char *to, struct err *e)
{
	struct stat s;
	auto_free char *from = file_layer(st, m, e);
	auto_fd int in = from ? open(from, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK) : -1;
	if (!from)
		return -1;
	if (in < 0 || fstat(in, &s))
		return err_sys(e, "read the file");
	auto_fd int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (out < 0 || copy_bytes(in, out))
		return err_sys(e, "copy %lld bytes", (long long)s.st_size);
	/* An owner the box doesn't know can't be given. */
	if (fchown(out, s.st_uid, s.st_gid) && errno != EINVAL && errno != EPERM)
		return err_sys(e, "chown the copy");
	struct timespec times[] = {s.st_atim, s.st_mtim};
	if (fchmod(out, s.st_mode & 0777) || futimens(out, times))
		return err_sys(e, "mode and times of the copy");
	return 0;
}

/* An overlay of the directory it is in hides where that is, and takes what is written; of that, the
 * one file. */
int files_mount(struct stage *st, const struct spec_mount *m, struct err *e)
{
	spec_say(st->spec, "mount %s: file %s, %s", m->path, st->layers->all[m->first].path,
		 m->mode == PLAN_MOUNT_RW   ? "live"
		 : m->mode == PLAN_MOUNT_RO ? "read-only"
					    : "a private copy");
	if (spec_mount_is_live(m))
		return layer_take(&st->layers->all[m->first], e);
	char at[16];
	snprintf(at, sizeof(at), "b%u", st->n_made++);
	if (mount_layer(st, m->first, e))
		return -1;
	if (mkdir(at, 0755))
		return err_sys(e, "mkdir %s", at);
	auto_free char *lower = own_fmt("l%u", m->first);
	auto_fd int over = mount_lone(st, m, lower, e);
	if (over < 0 || mnt_put(over, AT_FDCWD, at, e))
		return -1;
	auto_fd int dir = open(at, O_PATH | O_DIRECTORY | O_CLOEXEC);
	auto_fd int file = dir < 0 ? -1
				   : openat(dir, st->layers->all[m->first].name,
					    O_PATH | O_NOFOLLOW | O_CLOEXEC);
	return file < 0 ? err_sys(e, "open %s", st->layers->all[m->first].name)
			: mnt_clone(file, "", false, e);
}
