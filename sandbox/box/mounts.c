/* The mounts of a plan, one by one. */
#include "sandbox/box/stage.h"

#include "base/text.h"
#include "sandbox/box/fuse.h"
#include "sandbox/box/mnt.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

int mount_layer(struct stage *st, uint32_t index, struct err *e)
{
	char name[16];
	snprintf(name, sizeof(name), "l%u", index);
	if (mkdir(name, 0755))
		return err_sys(e, "mkdir %s", name);
	auto_fd int fd = layer_take(&st->layers->all[index], e);
	if (fd < 0 || mnt_put(fd, AT_FDCWD, name, e))
		return err_add(e, "layer %s", st->layers->all[index].path);
	spec_say(st->spec, "layer %s: %s", name, st->layers->all[index].path);
	return 0;
}

/* The layers of one overlay, by their names. */
struct names {
	char (*all)[16];   /* owned; the lowers, uppermost first */
	const char **list; /* owned; of all, with room for what the box adds */
	size_t n;
	struct wants_layers ours;
};

static void names_add(struct names *names, const char *name)
{
	snprintf(names->all[names->n], sizeof(names->all[0]), "%s", name);
	names->list[names->n] = names->all[names->n];
	names->n++;
}

static void names_init(struct names *names, size_t n, size_t past)
{
	*names = (struct names){
		.all = own_calloc(n + 2, sizeof(names->all[0])),
		.list = own_calloc(n + 5, sizeof(char *)),
		.ours = {.past = past},
	};
}

static void names_fini(struct names *names)
{
	free(names->all);
	free(names->list);
}

static void names_insert(struct names *names, size_t at, const char *name)
{
	memmove(names->list + at + 1, names->list + at, (names->n - at) * sizeof(*names->list));
	names->list[at] = name;
	names->n++;
}

/* Add what the box needs in there: the skeleton of a root of the host's, and layers for what is
 * wanted. How many came. */
static int names_complete(struct stage *st, const struct step *owner, struct names *names,
			  struct err *e)
{
	struct wants_layers *ours = &names->ours;
	size_t before = names->n;
	bool host = !owner && st->spec->flags & PLAN_ROOT_HOST;
	if (host) {
		names_add(names, "k");
		snprintf(ours->bottom, sizeof(ours->bottom), "k");
	}
	if (wants_layers(st, owner, names->list, names->n, ours, e))
		return -1;
	if (!host && ours->bottom[0])
		names_insert(names, names->n, ours->bottom);
	if (ours->middle[0])
		names_insert(names, ours->past, ours->middle);
	if (ours->top[0])
		names_insert(names, 0, ours->top);
	return (int)(names->n - before);
}

static void overlay_say(const struct stage *st, const struct overlay *o)
{
	auto_text struct text t = TEXT_INIT;
	for (size_t i = 0; st->spec->flags & PLAN_VERBOSE && i < o->n; i++)
		text_addf(&t, " %s", o->lowers[i]);
	spec_say(st->spec, "overlay at %s (%s): %s%s, lowers%s", o->what, overlay_way_name(st->way),
		 o->upper ? "upper " : "read-only", o->upper ? o->upper : "", text_str(&t));
}

static int overlay_of(struct stage *st, const char *what, struct names *names, const char *upper,
		      const char *work, struct err *e)
{
	if (names->n < (upper ? 1 : 2))
		names_insert(names, names->n, "n");
	struct overlay o = {what, names->list, names->n, upper, work};
	int fd = overlay_mount(&o, &st->way, st->only_way, e);
	if (fd >= 0)
		overlay_say(st, &o);
	return fd;
}

static int overlay_for(struct stage *st, const struct spec_mount *m, struct names *names,
		       struct err *e)
{
	auto_free char *upper = NULL, *work = NULL;
	if (m->mode != PLAN_MOUNT_COW)
		return overlay_of(st, m->path, names, NULL, NULL, e);
	if (upper_open(st, m, &upper, &work, e))
		return -1;
	if (upper_by(st, m) != PLAN_UPPERS_FUSE)
		return overlay_of(st, m->path, names, upper, work, e);
	if (!names->n)
		names_insert(names, 0, "n");
	struct overlay o = {m->path, names->list, names->n, upper, work};
	return fuse_mount(st, &o, e);
}

int mount_overlay(struct stage *st, const struct step *owner, const struct spec_mount *m,
		  struct err *e)
{
	struct names names;
	char name[16];
	int rc = 0;
	names_init(&names, m->n, m->past);
	names.ours.writable = m->mode == PLAN_MOUNT_COW;
	for (uint32_t i = m->first; !rc && i < m->first + m->n; i++) {
		rc = mount_layer(st, i, e);
		snprintf(name, sizeof(name), "l%u", i);
		names_add(&names, name);
	}
	int fd =
		rc || names_complete(st, owner, &names, e) < 0 ? -1 : overlay_for(st, m, &names, e);
	names_fini(&names);
	return fd;
}

int mount_lone(struct stage *st, const struct spec_mount *m, const char *lower, struct err *e)
{
	struct names names;
	names_init(&names, 1, 0);
	names_add(&names, lower);
	int fd = overlay_for(st, m, &names, e);
	names_fini(&names);
	return fd;
}

/* A directory of the host as it is; where something is wanted in it that it has no place for, an
 * overlay. */
static int mount_bind(struct stage *st, const struct step *s, struct err *e)
{
	struct layer *l = &st->layers->all[s->mount->first];
	auto_fd int fd = layer_take(l, e);
	if (fd < 0)
		return -1;
	if (s->mount->mode == PLAN_MOUNT_RW || !wants_missing(st, s, fd)) {
		spec_say(st->spec, "mount %s: %s as it is, %s", s->path, l->path,
			 s->mount->mode == PLAN_MOUNT_RW ? "live" : "read-only");
		return give_fd(&fd);
	}
	l->fd = give_fd(&fd);
	return mount_overlay(st, s, s->mount, e);
}

static int mount_memory(struct stage *st, const struct step *s, struct err *e)
{
	uint64_t bytes = s->mount->size ? s->mount->size : st->tmpfs;
	spec_say(st->spec, "mount %s: a tmpfs of %llu bytes", s->path, (unsigned long long)bytes);
	return mnt_tmpfs(bytes, 0755, MOUNT_ATTR_NODEV, e);
}

static int mount_plan(struct stage *st, const struct step *s, struct err *e)
{
	switch (s->mount->mode) {
	case PLAN_MOUNT_RO:
	case PLAN_MOUNT_RW:
		return spec_mount_is_live(s->mount) ? mount_bind(st, s, e)
						    : mount_overlay(st, s, s->mount, e);
	case PLAN_MOUNT_COW:
		return mount_overlay(st, s, s->mount, e);
	case PLAN_MOUNT_TMPFS:
		return mount_memory(st, s, e);
	}
	return err_set(e, ERR_CORRUPT, "unknown mode");
}

/* The host's directory; an overlay over it where something is wanted in it that the host has no
 * entry for. */
static int mount_host(struct stage *st, const struct step *s, struct err *e)
{
	auto_fd int fd = mnt_clone(AT_FDCWD, s->path, true, e);
	if (fd < 0 || mnt_set(fd, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV, true, e))
		return -1;
	spec_say(st->spec, "mount %s: the host's, read-only", s->path);
	if (!wants_missing(st, s, fd))
		return give_fd(&fd);
	struct names names;
	char host[16];
	snprintf(host, sizeof(host), "f%u", st->n_made++);
	if (mkdir(host, 0755))
		return err_sys(e, "mkdir %s", host);
	if (mnt_put(fd, AT_FDCWD, host, e))
		return -1;
	names_init(&names, 1, 0);
	names_add(&names, host);
	int came = names_complete(st, s, &names, e);
	int over = came < 0 ? -1
		   : came   ? overlay_of(st, s->path, &names, NULL, NULL, e)
			    : give_fd(&fd);
	names_fini(&names);
	return over;
}

/* One file system holds them all, and all together its size. */
static int mount_tmpfs(struct stage *st, const struct step *s, struct err *e)
{
	char at[16];
	snprintf(at, sizeof(at), "w/%u", st->n_made++);
	if (mkdir(at, s->mode))
		return err_sys(e, "mkdir %s", at);
	if (mnt_bind(at, at, e))
		return -1;
	auto_fd int place = stage_dir(st, s->path, e);
	if (place >= 0 && stage_is_root(st, place))
		return 0;
	return place < 0 ? -1 : mnt_move(at, place, e);
}

/* Made, and at its place below the root. */
static int mount_put(struct stage *st, const struct step *s, int fd, struct err *e)
{
	bool file = s->kind == STEP_MOUNT && s->mount->file;
	auto_fd int place = file ? stage_file(st, s->path, e) : stage_dir(st, s->path, e);
	if (place >= 0 && stage_is_root(st, place))
		return 0;
	return place < 0 ? -1 : mnt_put(fd, place, "", e);
}

int mount_step(struct stage *st, const struct step *s, struct err *e)
{
	auto_fd int fd = -1;
	if (s->in_layer)
		return 0;
	switch (s->kind) {
	case STEP_DEV:
		spec_say(st->spec, "mount %s: the box's own", s->path);
		return kernelfs_dev(st, e);
	case STEP_HOST:
		fd = mount_host(st, s, e);
		break;
	case STEP_TMPFS:
		spec_say(st->spec, "mount %s: in a tmpfs of %llu bytes, with the others of the box",
			 s->path, (unsigned long long)st->tmpfs);
		return mount_tmpfs(st, s, e);
	case STEP_MOUNT:
		fd = s->mount->file ? files_mount(st, s->mount, e) : mount_plan(st, s, e);
		break;
	}
	return fd < 0 ? -1 : mount_put(st, s, fd, e);
}
