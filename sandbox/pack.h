/* Inside sandbox/ only: a box's description, checked and written as the text of a plan (format:
 * sandbox/box/plan.h). Pure but for the memfd. */
#pragma once
#include "sandbox/sandbox.h"

#include "sandbox/filter.h"

struct pack {
	int text_fd; /* a sealed memfd */
	uint64_t bytes;
	int *fds; /* layers, in the plan's order; borrowed descriptors */
	size_t n_fds;
	bool ahead; /* plan_start.ahead; false but for who sets it */
};

/* pack_check(spec, e): ERR_USAGE and which part of the description makes no sense. */
int pack_check(const struct box_spec *spec, struct err *e) must_check;

/* In mounts.c. mounts_check(spec, e): the same for its mounts and files alone. */
int mounts_check(const struct box_spec *spec, struct err *e) must_check;
/* mount_is_file(m): is what it shows one regular file? */
bool mount_is_file(const struct box_mount *m);
/* mount_file_bytes(m): how large that file is. */
uint64_t mount_file_bytes(const struct box_mount *m);
/* mounts_sorted(spec): by path, as they are made; the caller frees the list. */
const struct box_mount **mounts_sorted(const struct box_spec *spec) must_check;
/* mount_around(spec, path): the mount that path lies in, NULL: none of the list. */
const struct box_mount *mount_around(const struct box_spec *spec, const char *path);
/* path_is_plain(path): absolute and normalised. */
bool path_is_plain(const char *path);
/* path_of_fd(fd): where it is, or some word for it; the caller frees it. */
char *path_of_fd(int fd) must_check;

/* pack_make(p, spec, filter, processes, verbose, e): a checked description. processes: of
 * the plan, 0: none. The caller frees it with pack_fini. */
int pack_make(struct pack *p, const struct box_spec *spec, const struct filter *filter,
	      uint64_t processes, bool verbose, struct err *e) must_check;
void pack_fini(struct pack *p);
