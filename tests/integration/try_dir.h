/* The temporary directory of an integration program, and what is put there for its boxes. Its name
 * says whose it is, and its owner holds a lock on it (flock(2)) for as long as it lives: a program
 * that was killed leaves its directory and its control groups to the next one, which takes them
 * away. */
#pragma once
#include "base/clock.h"
#include "base/dir.h"
#include "base/text.h"
#include "sandbox/sandbox.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define TRY_NAME "assay-test" /* of control groups, too: NAME.PID */

static char try_dir[256]; /* TRY_NAME.PID.XXXXXX in $TMPDIR or /var/tmp */
static int try_dir_fd;
static bool try_no_sweep; /* a program that is killed on purpose leaves it to who kills it */

static inline const char *try_above(void)
{
	const char *tmp = getenv("TMPDIR");
	return tmp && *tmp ? tmp : "/var/tmp";
}

/* Somebody else may sweep at the same time, and what was killed may take its time to be gone: asked
 * again for so long. */
#define TRY_SWEEPS 3000
#define TRY_SWEEP_US 20000

/* dir: as try_dir was */
static inline int try_remove(const char *dir, struct err *e)
{
	const char *name = strrchr(dir, '/') + 1;
	auto_free char *parent = own_dup_n(dir, (size_t)(name - dir));
	auto_fd int above = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (int i = 0; i < TRY_SWEEPS; i++) {
		*e = (struct err)ERR_INIT;
		if (!sandbox_remove(NULL, above, name, e))
			return 0;
		usleep(TRY_SWEEP_US);
	}
	print_error("%s\n", e->text);
	return -1;
}

/* The groups that dead callers of this name left are gone. */
static inline int try_swept(const char *caller)
{
	struct err e = ERR_INIT;
	for (int i = 0; i < TRY_SWEEPS; i++) {
		e = (struct err)ERR_INIT;
		if (!sandbox_sweep(caller, &e))
			return 0;
		usleep(TRY_SWEEP_US);
	}
	print_error("%s\n", e.text);
	return -1;
}

/* Ours, and its owner is dead: nobody has that pid, and nobody holds its lock. */
static inline bool try_is_stale(int above, const char *name)
{
	struct stat st;
	int pid = 0, end = 0;
	if (sscanf(name, TRY_NAME ".%d.%n", &pid, &end) != 1 || !end || pid <= 0 || !kill(pid, 0) ||
	    errno != ESRCH)
		return false;
	auto_fd int fd = openat(above, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd >= 0 && !fstat(fd, &st) && st.st_uid == geteuid() &&
	       !flock(fd, LOCK_EX | LOCK_NB);
}

/* What killed programs of before left. What can't be taken away is no affair of this one's. */
static inline void try_sweep(void)
{
	struct err ignored = ERR_INIT, too = ERR_INIT;
	DIR *dir = opendir(try_above());
	for (struct dirent *d; dir && (d = readdir(dir));)
		if (try_is_stale(dirfd(dir), d->d_name))
			(void)!sandbox_remove(NULL, dirfd(dir), d->d_name, &ignored);
	if (dir)
		closedir(dir);
	(void)!sandbox_sweep(TRY_NAME, &too);
}

static inline int try_dir_make(void)
{
	if (!try_no_sweep)
		try_sweep();
	snprintf(try_dir, sizeof(try_dir), "%s/" TRY_NAME ".%d.XXXXXX", try_above(), (int)getpid());
	if (!mkdtemp(try_dir))
		return -1;
	try_dir_fd = open(try_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return try_dir_fd < 0 ? -1 : flock(try_dir_fd, LOCK_EX);
}

static inline int try_open(const char *rel)
{
	struct err e = ERR_INIT;
	int fd = dir_make(try_dir_fd, rel, 0755, &e);
	if (fd < 0)
		print_error("%s\n", e.text);
	assert_true(fd >= 0);
	return fd;
}

static inline void try_write(const char *rel, const char *content)
{
	struct err e = ERR_INIT;
	auto_free char *above = own_dup_n(rel, (size_t)(strrchr(rel, '/') - rel));
	close(try_open(above));
	assert_int_equal(dir_write_whole(try_dir_fd, rel, content, strlen(content), 0644, &e), 0);
}

static inline bool try_exists(const char *rel)
{
	struct stat st;
	return !fstatat(try_dir_fd, rel, &st, AT_SYMLINK_NOFOLLOW);
}
