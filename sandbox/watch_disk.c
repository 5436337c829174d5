/* What of a box is on disk, as far as that is known without a walk: its uppers, their file systems,
 * their quota, and the tmpfs that is in their place. */
#include "sandbox/inside.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/vfs.h>

static void watch_quota(struct watch *w, const struct box_spec *spec)
{
	int dirs[2 * PLAN_UPPERS_MAX];
	size_t n = 0;
	for (size_t i = 0; i < spec->n_mounts && n < countof(dirs); i++)
		if (spec->mounts[i].mode == BOX_COW && spec->mounts[i].upper_fd >= 0) {
			dirs[n++] = spec->mounts[i].upper_fd;
			dirs[n++] = spec->mounts[i].work_fd;
		}
	quota_set(&w->quota, dirs, n, spec->limits.disk, spec->limits.disk_inodes);
}

/* fd is taken, in both cases. */
static int watch_upper(struct watch *w, int fd)
{
	struct stat st;
	size_t k = 0;
	if (fstat(fd, &st)) {
		close(fd);
		return -1;
	}
	while (k < w->n_devices && w->devices[k].device != st.st_dev)
		k++;
	if (k == w->n_devices) {
		w->devices = own_grow(w->devices, k + 1, sizeof(*w->devices));
		w->devices[w->n_devices++] = (struct watch_device){w->n_uppers, st.st_dev, 0, 0};
	}
	w->uppers = own_grow(w->uppers, w->n_uppers + 1, sizeof(*w->uppers));
	w->uppers[w->n_uppers++] = fd;
	return 0;
}

int watch_open(struct watch *w, const struct box_spec *spec, struct err *e)
{
	w->processes_at_ns = w->disk_at_ns = w->idle_at_ns = INT64_MAX;
	w->room.fd = -1;
	if (!spec->limits.disk && !spec->limits.disk_inodes)
		return 0;
	for (size_t i = 0; i < spec->n_mounts; i++) {
		const struct box_mount *m = &spec->mounts[i];
		if (m->mode != BOX_COW || m->upper_fd < 0)
			continue;
		int fd = fcntl(m->upper_fd, F_DUPFD_CLOEXEC, 0);
		if (fd < 0 || watch_upper(w, fd))
			return err_sys(e, "mount %s: upper", m->path);
	}
	if (w->n_uppers)
		watch_quota(w, spec);
	return 0;
}

void watch_let_go(struct watch *w)
{
	quota_clear(&w->quota);
	while (w->n_uppers)
		close(w->uppers[--w->n_uppers]);
	w->n_devices = 0;
}

void watch_room(struct watch *w, int fd, const struct plan_seen *own, bool all)
{
	/* Nothing is in the caller's uppers until the box is over, in none of them: uppers_choose.
	 * The quota is for these, too. */
	if (all)
		watch_let_go(w);
	own_close(&w->room.fd);
	w->room.fd = fd;
	w->room.own = *own;
}

int watch_leave(struct watch *w)
{
	return give_fd(&w->room.fd);
}

static uint64_t more_than(uint64_t now, uint64_t before)
{
	return now > before ? now - before : 0;
}

void watch_room_look(struct watch *w)
{
	struct plan_seen now = {.has = 0};
	if (w->room.fd < 0)
		return;
	plan_room_used(w->room.fd, &now);
	w->room.seen.disk_bytes = more_than(now.disk_bytes, w->room.own.disk_bytes);
	w->room.seen.disk_inodes = more_than(now.disk_inodes, w->room.own.disk_inodes);
}

void watch_used(const struct watch *w, uint64_t *bytes, uint64_t *inodes)
{
	*bytes = w->seen.disk_bytes + w->room.seen.disk_bytes;
	*inodes = w->seen.disk_inodes + w->room.seen.disk_inodes;
}

void watch_mark(struct watch *w)
{
	struct statfs fs;
	for (size_t i = 0; i < w->n_devices; i++)
		if (!fstatfs(w->uppers[w->devices[i].upper], &fs)) {
			w->devices[i].free_bytes = fs.f_bfree * (uint64_t)fs.f_bsize;
			w->devices[i].free_inodes = fs.f_ffree;
		}
}

void watch_gone(const struct watch *w, uint64_t *bytes, uint64_t *inodes)
{
	struct statfs fs;
	*bytes = *inodes = 0;
	for (size_t i = 0; i < w->n_devices; i++) {
		const struct watch_device *d = &w->devices[i];
		if (fstatfs(w->uppers[d->upper], &fs))
			continue;
		uint64_t now = fs.f_bfree * (uint64_t)fs.f_bsize;
		*bytes += d->free_bytes > now ? d->free_bytes - now : 0;
		*inodes += d->free_inodes > fs.f_ffree ? d->free_inodes - fs.f_ffree : 0;
	}
}

uint64_t watch_room_blocks(const struct watch *w)
{
	struct statfs fs;
	return w->room.fd < 0 || fstatfs(w->room.fd, &fs) ? 0 : fs.f_blocks;
}

void watch_last(struct box *b)
{
	struct watch *w = &b->watch;
	quota_used(&w->quota, &w->seen.disk_bytes, &w->seen.disk_inodes);
	watch_room_look(w);
}

bool watch_over(const struct box *b, enum box_limit *limit, uint64_t *bound, uint64_t *value)
{
	const struct watch *w = &b->watch;
	uint64_t bytes, inodes;
	watch_used(w, &bytes, &inodes);
	bool disk = b->limits.disk && bytes > b->limits.disk;
	bool files = b->limits.disk_inodes && inodes > b->limits.disk_inodes;
	*limit = disk ? BOX_LIMIT_DISK : BOX_LIMIT_INODES;
	*bound = disk ? b->limits.disk : b->limits.disk_inodes;
	*value = disk ? bytes : inodes;
	return (w->quota.project || w->room.fd >= 0) && (disk || files);
}
