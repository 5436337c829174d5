/* What is in the uppers: a walk without following links or leaving the device. What vanishes
 * meanwhile is passed over. Directories that lie too deep to be reached with an open descriptor for
 * each above wait until all that is nearer has been seen; how many may is bounded, and what is
 * beyond that no honest job makes (plan_seen.deep). */
#include "sandbox/box/look.h"

#include "base/own.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define DISK_DEPTH 128
#define DISK_WAITING 1024
#define DISK_LINKED (1u << 20) /* names of files with several names that are told apart */

struct walk {
	const struct look_disk_at *d;
	struct plan_seen *seen;
	dev_t dev;
	DIR *open[DISK_DEPTH];
	size_t depth;
	int waiting[DISK_WAITING];
	size_t n_waiting;
	ino_t *linked; /* a hash table, owned; 0: free */
	size_t n_linked, room_linked;
};

static bool linked_put(ino_t *table, size_t room, ino_t ino)
{
	size_t at = (size_t)(ino * UINT64_C(0x9e3779b97f4a7c15) >> 20) & (room - 1);
	for (; table[at]; at = (at + 1) & (room - 1))
		if (table[at] == ino)
			return false;
	table[at] = ino;
	return true;
}

/* Its bytes count once, whatever the number of its names. */
static bool walk_is_new(struct walk *w, const struct stat *st)
{
	if (st->st_nlink < 2 || S_ISDIR(st->st_mode) || w->n_linked == DISK_LINKED)
		return true;
	if (w->n_linked * 2 >= w->room_linked) {
		size_t room = w->room_linked ? w->room_linked * 2 : 1024;
		ino_t *table = own_calloc(room, sizeof(*table));
		for (size_t i = 0; i < w->room_linked; i++)
			if (w->linked[i])
				linked_put(table, room, w->linked[i]);
		free(w->linked);
		w->linked = table;
		w->room_linked = room;
	}
	bool is_new = linked_put(w->linked, w->room_linked, st->st_ino);
	w->n_linked += is_new;
	return is_new;
}

static void walk_push(struct walk *w, int fd)
{
	DIR *dir = fdopendir(fd);
	if (dir)
		w->open[w->depth++] = dir;
	else
		close(fd);
}

static void walk_wait(struct walk *w, int fd)
{
	if (w->n_waiting < DISK_WAITING) {
		w->waiting[w->n_waiting++] = fd;
		return;
	}
	close(fd);
	w->seen->deep = 1;
}

static void walk_entry(struct walk *w, int dirfd, const char *name)
{
	struct stat st;
	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) || st.st_dev != w->dev)
		return;
	w->seen->disk_inodes++;
	if (walk_is_new(w, &st))
		w->seen->disk_bytes += (uint64_t)st.st_blocks * 512;
	if (!S_ISDIR(st.st_mode))
		return;
	int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		w->seen->deep |= errno == EMFILE || errno == ENFILE;
	else if (w->depth < DISK_DEPTH)
		walk_push(w, fd);
	else
		walk_wait(w, fd);
}

static void walk_tree(struct walk *w)
{
	while (w->depth || w->n_waiting) {
		if (!w->depth) {
			walk_push(w, w->waiting[--w->n_waiting]);
			continue;
		}
		DIR *dir = w->open[w->depth - 1];
		struct dirent *it = readdir(dir);
		if (!it || (w->d->inodes && w->seen->disk_inodes > w->d->inodes)) {
			closedir(dir);
			w->depth--;
			continue;
		}
		if (strcmp(it->d_name, ".") && strcmp(it->d_name, ".."))
			walk_entry(w, dirfd(dir), it->d_name);
	}
}

void look_disk(const struct look_disk_at *d, struct plan_seen *s)
{
	auto_free struct walk *w = own_calloc(1, sizeof(*w));
	w->d = d;
	w->seen = s;
	for (size_t i = 0; i < d->n; i++) {
		struct stat st;
		int fd = openat(d->uppers[i], ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0 || fstat(fd, &st)) {
			own_close(&fd);
			continue;
		}
		if (st.st_dev != w->dev && w->linked)
			memset(w->linked, 0, w->room_linked * sizeof(*w->linked));
		w->dev = st.st_dev;
		walk_push(w, fd);
		walk_tree(w);
	}
	free(w->linked);
}
