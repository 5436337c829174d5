/* Places below the box's new root: found as the box will see them (links followed, but never out of
 * the root: RESOLVE_IN_ROOT, openat2(2), Linux 5.6), and made where they are missing. What lies
 * there may be hostile. */
#pragma once
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* place_dir(root, path, mode, e): the directory at path; it and those above it are made. An O_PATH
 * descriptor or -1. */
int place_dir(int root, const char *path, mode_t mode, struct err *e) must_check;
/* place_file(root, path, e): the same for a file, empty where it is missing. */
int place_file(int root, const char *path, struct err *e) must_check;
/* place_is(root, path): is something there? */
bool place_is(int root, const char *path);
/* place_is_named(root, path): the same, and a link that leads to nothing is something. */
bool place_is_named(int root, const char *path);
/* place_is_taken(e): is what place_dir or place_file said about what lies in the tree (a file or a
 * link in the way), and not about the machine? */
bool place_is_taken(const struct err *e);
/* place_write(dirfd, rel, bytes, n, mode, e): a new file with this content, its directories being
 * there. */
int place_write(int dirfd, const char *rel, const void *bytes, size_t n, mode_t mode, struct err *e)
	must_check;
/* place_parents(dirfd, rel, mode, e): the directories above the last name of rel, below a tree of
 * our own. */
int place_parents(int dirfd, const char *rel, mode_t mode, struct err *e) must_check;
