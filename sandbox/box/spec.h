/* A plan as the helper reads it (format: plan.h): pointers into one block of memory, checked for
 * bounds while reading. */
#pragma once
#include "base/err.h"
#include "sandbox/box/plan.h"

#include <stdbool.h>
#include <stddef.h>
#include <linux/filter.h>

struct spec_mount {
	const char *path;
	enum plan_mount_mode mode;
	bool ours, file;
	uint64_t size;
	uint32_t first, n;    /* layers */
	uint32_t upper, work; /* or PLAN_NO_FD */
	uint32_t past;        /* of its layers, earlier boxes of the job wrote */
};

struct spec_file {
	const char *path;
	uint32_t mode;
	const char *bytes;
	size_t n;
};

struct spec {
	char *text; /* owned: everything below points into it */
	uint32_t flags, uid, gid;
	const char *name, *hostname, *cwd, *home;
	uint64_t open_files, file_size, processes, tmpfs, disk, disk_inodes;
	struct spec_mount *mounts; /* owned */
	size_t n_mounts;
	struct spec_file *files; /* owned */
	size_t n_files;
	char **argv, **env; /* owned, NULL-terminated */
	const struct sock_filter *filter;
	unsigned short n_filter;
};

/* spec_read(s, fd, bytes, n_fds, e): 0, or -1 where the text breaks the format or names a
 * descriptor that did not come. The caller frees it with spec_fini, in both cases. */
int spec_read(struct spec *s, int fd, uint64_t bytes, uint32_t n_fds, struct err *e) must_check;
void spec_fini(struct spec *s);

/* spec_mount_is_live(m): is it the host's directory or file itself, with what is mounted below it,
 * and not an overlay of layers? */
bool spec_mount_is_live(const struct spec_mount *m);

/* spec_say(s, fmt, ...): one line on stderr, if the plan is to be told. */
void spec_say(const struct spec *s, const char *fmt, ...) printf_like(2, 3);
