#include "cache/lower.h"
#include "cache/lower_names.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define LOWER_SHORT 4000 /* less than PATH_MAX */

/* A character device 0:0 says that nothing below it is there (overlayfs(5), whiteouts). */
static bool lower_is_whiteout(const struct stat *st)
{
	return S_ISCHR(st->st_mode) && st->st_rdev == 0;
}

static bool lower_is_absence(int error)
{
	return error == ENOENT || error == ENOTDIR || error == ELOOP;
}

/* ---- a directory's names ---- */

/* So many look-ups cost as much as listing it: two to six microseconds each; opening, and a tenth
 * of one for each name of some forty bytes. A layer's directory of two hundred names is read after
 * eight, one of ten thousand after four hundred. */
static bool lower_pays(const struct lower_dir *d)
{
	return !d->many && d->asked >= 4 + d->size / 1024;
}

/* So much memory for the names of one directory, and of all. */
#define LOWER_NAMES ((size_t)8 << 20)
#define LOWER_ALL_NAMES ((size_t)32 << 20)

static void lower_unlist(struct harvest *h, struct lower_dir **place)
{
	struct lower_dir *d = *place;
	*place = NULL;
	if (!d)
		return;
	h->listed_bytes -= lower_names_bytes(d->names);
	lower_names_free(d->names);
	free(d->names);
	d->names = NULL;
	d->asked = 0;
}

void lower_forget(struct harvest *h)
{
	for (size_t i = 0; i < HARVEST_LISTED; i++)
		lower_unlist(h, &h->listed[i]);
}

/* d->names are kept, in the place of those that were read first. */
static void lower_keep(struct harvest *h, struct lower_dir *d)
{
	struct lower_dir **place = &h->listed[h->next_listed++ % HARVEST_LISTED];
	lower_unlist(h, place);
	h->listed_bytes += lower_names_bytes(d->names);
	for (size_t i = 0; i < HARVEST_LISTED && h->listed_bytes > LOWER_ALL_NAMES; i++)
		lower_unlist(h, &h->listed[(h->next_listed + i) % HARVEST_LISTED]);
	*place = d;
}

/* Those of the directory path lies in, if that pays. 0 or -1. */
static int lower_list(struct harvest *h, struct lower_dir *d, const char *path, const char *name,
		      struct err *e)
{
	struct stat st;
	auto_free char *dir =
		name == path ? own_dup(".") : own_dup_n(path, (size_t)(name - path - 1));
	auto_fd int fd = tree_open_unseen(h->how->lower_fds[d->layer], dir, O_DIRECTORY);
	if (fd < 0 || fstat(fd, &st))
		return err_sys(e, "look into %s in the store", dir);
	d->size = (uint64_t)st.st_size;
	if (!lower_pays(d))
		return 0;
	struct lower_names names;
	int rc = lower_names_read(&names, fd, LOWER_NAMES, e);
	if (rc < 0)
		return err_add(e, "%s", dir);
	d->many = !rc;
	if (!rc)
		return 0;
	d->names = own_alloc(sizeof(names));
	*d->names = names;
	lower_keep(h, d);
	return 0;
}

/* ---- an entry ---- */

/* 1: layer d->layer has something there. 0: nothing. -1. One call for one entry, or none: what
 * leads to it was seen to be directories of this very layer, and a layer does not change. */
static int lower_probe(struct harvest *h, struct lower_dir *d, const char *path, struct lower *l,
		       struct err *e)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	d->asked++;
	if (!d->names && lower_pays(d) && lower_list(h, d, path, name, e))
		return -1;
	char type = d->names ? lower_names_find(d->names, name) : '?';
	if (type != '?') {
		l->st = (struct stat){.st_mode = S_IFDIR};
		return type == 'd';
	}
	l->name = path;
	l->dirfd = strlen(path) < LOWER_SHORT ? h->how->lower_fds[d->layer]
					      : tree_at(&h->lower_at[d->layer], path, &l->name);
	if (l->dirfd >= 0 && !fstatat(l->dirfd, l->name, &l->st, AT_SYMLINK_NOFOLLOW))
		return 1;
	return lower_is_absence(errno) ? 0 : err_sys(e, "look up %s in the store", path);
}

int lower_find(struct harvest *h, struct lower_dir *lowers, size_t n, const char *path,
	       struct lower *l, struct err *e)
{
	*l = (struct lower){.dirfd = -1};
	for (size_t i = 0; i < n; i++) {
		int got = lower_probe(h, &lowers[i], path, l, e);
		if (got < 0)
			return -1;
		if (!got)
			continue;
		l->found = !lower_is_whiteout(&l->st);
		return 0;
	}
	return 0;
}

int lower_read(const struct lower *l, struct err *e)
{
	int fd = tree_open(l->dirfd, l->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
	return fd < 0 ? err_sys(e, "open the store's file") : fd;
}

int lower_dirs(struct harvest *h, struct lower_dir *lowers, size_t n, const char *path,
	       struct harvest_item *item, struct err *e)
{
	item->n_lowers = 0;
	item->lowers = n ? own_calloc(n, sizeof(*item->lowers)) : NULL;
	for (size_t i = 0; i < n; i++) {
		struct lower l;
		int got = lower_probe(h, &lowers[i], path, &l, e);
		if (got < 0)
			return -1;
		if (!got)
			continue;
		if (!S_ISDIR(l.st.st_mode)) {
			item->hidden = !item->n_lowers && !lower_is_whiteout(&l.st);
			break;
		}
		item->lowers[item->n_lowers++] = (struct lower_dir){
			.layer = lowers[i].layer,
			.size = (uint64_t)l.st.st_size,
		};
	}
	return 0;
}
