/* A block device that remembers each write and each flush, so that what a power cut would have left
 * can be made afterwards: a loop device (loop(4)) over the one file of a FUSE file system, which a
 * thread of ours answers. What dm-log-writes does, where there is none. Root only. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct disk;

/* disk_open(dir, image_fd, e): a device with the bytes of the file image_fd; the FUSE file system
 * is mounted at dir, an empty directory. NULL with errno: this machine has no such thing. */
struct disk *disk_open(const char *dir, int image_fd);
/* What to mount, "/dev/loop7"; borrowed. */
const char *disk_device(const struct disk *d);
/* How many writes and flushes there were. Any thread. */
size_t disk_now(struct disk *d);
/* disk_close(d): what was mounted from it no longer is. The record stays for disk_cut(). */
void disk_close(struct disk *d);
void disk_free(struct disk *d);

enum disk_cache {
	DISK_ALL,  /* all that was written before the cut is there */
	DISK_NONE, /* only what was flushed */
	DISK_SOME, /* what was flushed, and each 4 KiB of the rest by chance */
};
/* disk_cut(d, at, cache, seed): a memfd with what the device holds after a power cut behind event
 * `at`; the caller closes it. */
int disk_cut(const struct disk *d, size_t at, enum disk_cache cache, unsigned seed);

/* disk_loop(fd, name): a loop device over a file that goes with the last use of it: its descriptor,
 * and its path in name; -1 with errno. */
int disk_loop(int fd, char name[32]);
