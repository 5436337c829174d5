#include "disk.h"
#include "test_fuse.h"

#include "base/dir.h"

#include <fcntl.h>
#include <linux/loop.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/uio.h>
#include <unistd.h>

enum { DISK_WRITE = 128 << 10, DISK_PIECE = 4096 };

struct disk_event {
	uint64_t offset;
	uint32_t bytes; /* 0: a flush */
	char *data;
};

struct disk {
	int image_fd; /* as it was */
	size_t size;
	char *now; /* as it is */
	char dir[128], device[32];
	int fuse, loop;
	pthread_t thread;
	pthread_mutex_t lock; /* of the events */
	struct disk_event *v;
	size_t n;
};

/* ---- the file system ---- */

static void disk_event(struct disk *d, uint64_t offset, const void *data, uint32_t bytes)
{
	struct disk_event x = {.offset = offset, .bytes = bytes};
	if (bytes) {
		x.data = own_alloc(bytes);
		memcpy(x.data, data, bytes);
	}
	pthread_mutex_lock(&d->lock);
	if (!(d->n & (d->n - 1)))
		d->v = own_grow(d->v, d->n ? 2 * d->n : 1, sizeof(*d->v));
	d->v[d->n++] = x;
	pthread_mutex_unlock(&d->lock);
}

static void disk_reply(struct disk *d, const struct fuse_in_header *in, const void *bytes, size_t n,
		       int error)
{
	struct fuse_out_header head = {.unique = in->unique, .error = error};
	struct iovec v[2] = {{&head, sizeof(head)}, {(void *)(uintptr_t)bytes, n}};
	head.len = (uint32_t)(sizeof(head) + n);
	(void)!writev(d->fuse, v, n ? 2 : 1);
}

static void disk_on_write(struct disk *d, const struct fuse_in_header *in)
{
	const struct fuse_write_in *w = (const void *)(in + 1);
	struct fuse_write_out out = {.size = w->size};
	if (w->offset > d->size || w->size > d->size - w->offset) {
		disk_reply(d, in, NULL, 0, -ENOSPC);
		return;
	}
	memcpy(d->now + w->offset, w + 1, w->size);
	disk_event(d, w->offset, w + 1, w->size);
	disk_reply(d, in, &out, sizeof(out), 0);
}

static void disk_on_read(struct disk *d, const struct fuse_in_header *in)
{
	const struct fuse_read_in *r = (const void *)(in + 1);
	size_t left = r->offset < d->size ? d->size - r->offset : 0;
	disk_reply(d, in, d->now + r->offset, r->size < left ? r->size : left, 0);
}

static void disk_on_other(struct disk *d, const struct fuse_in_header *in)
{
	struct fuse_answer a;
	size_t n = fuse_answer(in, &a);
	if (in->opcode == FUSE_INIT)
		a.init.max_write = DISK_WRITE;
	if (in->opcode == FUSE_LOOKUP)
		a.entry.attr.size = d->size;
	if (in->opcode == FUSE_GETATTR && in->nodeid == 2)
		a.attr.attr.size = d->size;
	disk_reply(d, in, &a.init, n, a.head.error);
}

static void disk_on_request(struct disk *d, const struct fuse_in_header *in)
{
	switch (in->opcode) {
	case FUSE_WRITE:
		disk_on_write(d, in);
		break;
	case FUSE_READ:
		disk_on_read(d, in);
		break;
	case FUSE_FSYNC:
		disk_event(d, 0, NULL, 0);
		disk_reply(d, in, NULL, 0, 0);
		break;
	case FUSE_FLUSH:
	case FUSE_RELEASE:
	case FUSE_ACCESS:
		disk_reply(d, in, NULL, 0, 0);
		break;
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_INTERRUPT:
		break;
	default:
		disk_on_other(d, in);
	}
}

/* Until the file system is unmounted. */
static void *disk_serve(void *arg)
{
	struct disk *d = arg;
	char *buffer = own_alloc(DISK_WRITE + 4096);
	for (;;) {
		ssize_t n = read(d->fuse, buffer, DISK_WRITE + 4096);
		if (n < 0 && (errno == EINTR || errno == ENOENT))
			continue;
		if (n < (ssize_t)sizeof(struct fuse_in_header))
			break;
		disk_on_request(d, (const void *)buffer);
	}
	free(buffer);
	return NULL;
}

/* ---- the device ---- */

int disk_loop(int fd, char name[32])
{
	struct loop_config how = {.fd = (uint32_t)fd, .info.lo_flags = LO_FLAGS_AUTOCLEAR};
	auto_fd int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	/* Others look for a free one, too. */
	for (int tries = 0; control >= 0 && tries < 50; tries++) {
		int n = ioctl(control, LOOP_CTL_GET_FREE);
		if (n < 0)
			return -1;
		snprintf(name, 32, "/dev/loop%d", n);
		int loop = open(name, O_RDWR | O_CLOEXEC);
		if (loop < 0)
			return -1;
		if (!ioctl(loop, LOOP_CONFIGURE, &how))
			return loop;
		int why = errno;
		close(loop);
		errno = why;
		if (why != EBUSY)
			return -1;
	}
	return -1;
}

static int disk_mount(struct disk *d)
{
	auto_free char *how = NULL, *path = own_fmt("%s/image", d->dir);
	d->fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (d->fuse < 0)
		return -1;
	how = own_fmt("fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other", d->fuse);
	if (mount("assay-disk", d->dir, "fuse", MS_NOSUID | MS_NODEV, how))
		return -1;
	if (pthread_create(&d->thread, NULL, disk_serve, d))
		return -1;
	auto_fd int file = open(path, O_RDWR | O_CLOEXEC);
	d->loop = file < 0 ? -1 : disk_loop(file, d->device);
	return d->loop < 0 ? -1 : 0;
}

struct disk *disk_open(const char *dir, int image_fd)
{
	struct disk *d = own_calloc(1, sizeof(*d));
	d->fuse = d->loop = -1;
	d->image_fd = dup(image_fd);
	d->size = (size_t)lseek(image_fd, 0, SEEK_END);
	d->now = mmap(NULL, d->size, PROT_READ | PROT_WRITE, MAP_PRIVATE, image_fd, 0);
	snprintf(d->dir, sizeof(d->dir), "%s", dir);
	pthread_mutex_init(&d->lock, NULL);
	if (d->now != MAP_FAILED && !disk_mount(d))
		return d;
	int why = errno;
	disk_close(d);
	disk_free(d);
	errno = why;
	return NULL;
}

const char *disk_device(const struct disk *d)
{
	return d->device;
}

size_t disk_now(struct disk *d)
{
	pthread_mutex_lock(&d->lock);
	size_t n = d->n;
	pthread_mutex_unlock(&d->lock);
	return n;
}

void disk_close(struct disk *d)
{
	own_close(&d->loop);
	if (d->fuse < 0)
		return;
	/* The loop device lets go of its file a moment after its last use. */
	umount2(d->dir, MNT_DETACH);
	if (d->thread)
		pthread_join(d->thread, NULL);
	own_close(&d->fuse);
}

void disk_free(struct disk *d)
{
	for (size_t i = 0; i < d->n; i++)
		free(d->v[i].data);
	free(d->v);
	if (d->now != MAP_FAILED)
		munmap(d->now, d->size);
	pthread_mutex_destroy(&d->lock);
	own_close(&d->image_fd);
	free(d);
}

/* ---- the cut ---- */

static int cut_begin(const struct disk *d)
{
	int fd = memfd_create("cut", MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, (off_t)d->size))
		abort();
	off_t end = 0, at;
	while ((at = lseek(d->image_fd, end, SEEK_DATA)) >= 0) {
		end = lseek(d->image_fd, at, SEEK_HOLE);
		for (off_t from = at, to = at; from < end;) {
			ssize_t n = copy_file_range(d->image_fd, &from, fd, &to,
						    (size_t)(end - from), 0);
			if (n <= 0)
				abort();
		}
	}
	return fd;
}

static void cut_write(int fd, const struct disk_event *x, enum disk_cache cache, unsigned *seed)
{
	for (uint32_t at = 0; at < x->bytes; at += DISK_PIECE) {
		size_t n = x->bytes - at < DISK_PIECE ? x->bytes - at : DISK_PIECE;
		if (cache == DISK_SOME && rand_r(seed) & 64)
			continue;
		if (pwrite(fd, x->data + at, n, (off_t)(x->offset + at)) != (ssize_t)n)
			abort();
	}
}

int disk_cut(const struct disk *d, size_t at, enum disk_cache cache, unsigned seed)
{
	int fd = cut_begin(d);
	size_t flushed = at;
	while (flushed && d->v[flushed - 1].bytes)
		flushed--;
	for (size_t i = 0; i < (cache == DISK_NONE ? flushed : at); i++)
		cut_write(fd, &d->v[i], i < flushed ? DISK_ALL : cache, &seed);
	return fd;
}
