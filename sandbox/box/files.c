/* The plan's small files that are in no overlay's layer (wants.c), bound over what is at their
 * place. */
#include "sandbox/box/stage.h"

#include "sandbox/box/mnt.h"
#include "sandbox/box/place.h"

#include <fcntl.h>

static int file_bind(struct stage *st, const struct spec_file *f, struct err *e)
{
	char name[32];
	snprintf(name, sizeof(name), "b/%u", st->n_made++);
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
