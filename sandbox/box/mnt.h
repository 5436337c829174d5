/* The kernel's mount calls (Linux 5.2; some 5.12), each with what it was doing to what. A mount is
 * a descriptor until it is put somewhere. */
#pragma once
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/mount.h>

/* mnt_make(type, options, attr, e): a new file system. options: "key=value" or "flag",
 * NULL-terminated; attr: MOUNT_ATTR_*. */
int mnt_make(const char *type, const char *const *options, uint64_t attr, struct err *e) must_check;
/* mnt_tmpfs(size, mode, attr, e): an empty tmpfs of size bytes. */
int mnt_tmpfs(uint64_t size, unsigned mode, uint64_t attr, struct err *e) must_check;
/* mnt_clone(dirfd, path, recursive, e): a private copy of the mount that path (or, with "", dirfd
 * itself) is on, from there down. */
int mnt_clone(int dirfd, const char *path, bool recursive, struct err *e) must_check;
/* mnt_set(fd, attr, recursive, e): and nothing mounted below it shows anywhere else: a copy of a
 * shared mount (every mount is, where systemd runs) is its peer until then (mount_namespaces(7)).
 * Before Linux 5.12 by mount(2), and only a mount that is nowhere yet: fd is another copy then. */
int mnt_set(int fd, uint64_t attr, bool recursive, struct err *e) must_check;
/* mnt_set_outside(fd, attr, recursive, e): the same, where the mount namespace may be others', too:
 * nothing is put anywhere in it. */
int mnt_set_outside(int fd, uint64_t attr, bool recursive, struct err *e) must_check;
/* mnt_idmap(fd, userns_fd, attr, recursive, e): the same, and owners as the user namespace maps
 * them (Linux 5.12). */
int mnt_idmap(int fd, int userns_fd, uint64_t attr, bool recursive, struct err *e) must_check;
/* mnt_put(fd, dirfd, path, e): attach it at path, or with "" on dirfd itself. The path is not
 * followed if it is a link. */
int mnt_put(int fd, int dirfd, const char *path, struct err *e) must_check;
/* The next four are mount(2), for places in the stage, where every name is ours: one call, where
 * the descriptors take three to five. flags: MS_*. */
/* mnt_new(type, at, flags, options, e): a new file system at a directory. */
int mnt_new(const char *type, const char *at, unsigned long flags, const char *options,
	    struct err *e) must_check;
/* mnt_bind(from, at, e): what is at from appears at `at` too, with the flags its mount has. */
int mnt_bind(const char *from, const char *at, struct err *e) must_check;
/* mnt_bind_as(from, at, flags, e): the same with these flags. */
int mnt_bind_as(const char *from, const char *at, unsigned long flags, struct err *e) must_check;
/* mnt_move(from, place_fd, e): the mount at from goes to the directory or file that place_fd is. */
int mnt_move(const char *from, int place_fd, struct err *e) must_check;
/* mnt_say(fs_fd, e, what): err_sys with what the file system itself has to say (fsopen(2): the log
 * of a context). */
int mnt_say(int fs_fd, struct err *e, const char *what);
