/* The mounts of a plan, one by one. */
#include "sandbox/box/stage.h"

#include "sandbox/box/mnt.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

/* Attach a layer at l/INDEX. */
static int layer_attach(struct stage *st, uint32_t index, struct err *e)
{
	char name[16];
	snprintf(name, sizeof(name), "l/%u", index);
	if (mkdir(name, 0755))
		return err_sys(e, "mkdir %s", name);
	auto_fd int fd = layer_take(&st->layers->all[index], e);
	if (fd < 0 || mnt_put(fd, AT_FDCWD, name, e))
		return err_add(e, "layer %s", st->layers->all[index].path);
	spec_say(st->spec, "layer %s: %s", name, st->layers->all[index].path);
	return 0;
}

struct names {
	char (*all)[16];   /* owned */
	const char **list; /* owned */
	size_t n;
};

static void names_add(struct names *names, const char *name)
{
	snprintf(names->all[names->n], sizeof(names->all[0]), "%s", name);
	names->list[names->n] = names->all[names->n];
	names->n++;
}

static int overlay_lowers(struct stage *st, const struct step *owner, const struct spec_mount *m,
			  struct names *names, struct err *e)
{
	char files[16], name[16];
	names_add(names, ""); /* for the files, if there are any */
	for (uint32_t i = m->first; i < m->first + m->n; i++) {
		if (layer_attach(st, i, e))
			return -1;
		snprintf(name, sizeof(name), "l/%u", i);
		names_add(names, name);
	}
	if (files_layer(st, owner, names->list + 1, names->n - 1, files, e))
		return -1;
	snprintf(names->all[0], sizeof(names->all[0]), "%s", files);
	if (!owner)
		names_add(names, "k");
	size_t n = names->n - !files[0];
	if (n < (m->mode == PLAN_MOUNT_RO ? 2 : 1))
		names_add(names, "n");
	return 0;
}

/* The names of upper and work directory; without one of the caller's, a tmpfs: what is written is
 * lost. */
static int overlay_upper(struct stage *st, const struct spec_mount *m, char **upper, char **work,
			 struct err *e)
{
	if (m->upper != PLAN_NO_FD) {
		if (layer_attach(st, m->upper, e))
			return -1;
		*upper = own_fmt("l/%u/%s", m->upper, st->layers->all[m->upper].name);
		*work = own_fmt("l/%u/%s", m->upper, st->layers->all[m->work].name);
		return 0;
	}
	auto_free char *at = own_fmt("t/%u", st->n_made++);
	*upper = own_fmt("%s/u", at);
	*work = own_fmt("%s/w", at);
	if (mkdir(at, 0755))
		return err_sys(e, "mkdir %s", at);
	auto_fd int fd = mnt_tmpfs(m->size ? m->size : st->tmpfs, 0755, MOUNT_ATTR_NODEV, e);
	if (fd < 0 || mnt_put(fd, AT_FDCWD, at, e))
		return -1;
	return mkdir(*upper, 0755) || mkdir(*work, 0755) ? err_sys(e, "mkdir %s", *upper) : 0;
}

int mount_overlay(struct stage *st, const struct step *owner, const struct spec_mount *m,
		  struct err *e)
{
	auto_free char *upper = NULL, *work = NULL;
	struct names names = {own_calloc(m->n + 3, sizeof(names.all[0])),
			      own_calloc(m->n + 3, sizeof(char *)), 0};
	int fd = -1;
	if (!overlay_lowers(st, owner, m, &names, e) &&
	    (m->mode != PLAN_MOUNT_COW || !overlay_upper(st, m, &upper, &work, e))) {
		size_t skip = !names.all[0][0];
		struct overlay o = {m->path, names.list + skip, names.n - skip, upper, work};
		fd = overlay_mount(&o, &st->way, st->only_way, e);
	}
	free(names.all);
	free(names.list);
	return fd;
}

/* One directory as it is; where files are to be in it that it has no place for, an overlay. */
static int mount_bind(struct stage *st, const struct step *s, struct err *e)
{
	struct layer *l = &st->layers->all[s->mount->first];
	auto_fd int fd = layer_take(l, e);
	if (fd < 0)
		return -1;
	if (s->mount->mode == PLAN_MOUNT_RW || !files_missing(st, s, fd))
		return give_fd(&fd);
	l->fd = give_fd(&fd);
	return mount_overlay(st, s, s->mount, e);
}

static int mount_plan(struct stage *st, const struct step *s, struct err *e)
{
	switch (s->mount->mode) {
	case PLAN_MOUNT_RO:
		return s->mount->n == 1 ? mount_bind(st, s, e) : mount_overlay(st, s, s->mount, e);
	case PLAN_MOUNT_RW:
		return mount_bind(st, s, e);
	case PLAN_MOUNT_COW:
		return mount_overlay(st, s, s->mount, e);
	case PLAN_MOUNT_TMPFS:
		return mnt_tmpfs(s->mount->size ? s->mount->size : st->tmpfs, 0755,
				 MOUNT_ATTR_NODEV, e);
	}
	return err_set(e, ERR_CORRUPT, "unknown mode");
}

/* The host's directory; an overlay over it where files are to be in it that the host has no entry
 * for. */
static int mount_host(struct stage *st, const struct step *s, struct err *e)
{
	auto_fd int fd = mnt_clone(AT_FDCWD, s->path, true, e);
	if (fd < 0 || mnt_set(fd, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV, true, e))
		return -1;
	if (!files_missing(st, s, fd))
		return give_fd(&fd);
	char files[16], host[16];
	snprintf(host, sizeof(host), "f/%u", st->n_made++);
	if (mkdir(host, 0755) || mnt_put(fd, AT_FDCWD, host, e))
		return e->kind ? -1 : err_sys(e, "mkdir %s", host);
	const char *lowers[] = {files, host};
	if (files_layer(st, s, lowers + 1, 1, files, e))
		return -1;
	if (!files[0])
		return give_fd(&fd);
	struct overlay o = {s->path, lowers, 2, NULL, NULL};
	return overlay_mount(&o, &st->way, st->only_way, e);
}

int mount_step(struct stage *st, const struct step *s, struct err *e)
{
	auto_fd int fd = -1;
	spec_say(st->spec, "mount %s", s->path);
	switch (s->kind) {
	case STEP_DEV:
		return kernelfs_dev(st, e);
	case STEP_HOST:
		fd = mount_host(st, s, e);
		break;
	case STEP_TMPFS:
		fd = mnt_tmpfs(st->tmpfs, s->mode, MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID, e);
		break;
	case STEP_MOUNT:
		fd = mount_plan(st, s, e);
		break;
	}
	auto_fd int place = fd < 0 ? -1 : stage_dir(st, s->path, e);
	return place < 0 ? -1 : mnt_put(fd, place, "", e);
}
