/* What the bare calls cost that tests/bench/store measures the store against; and how both are
 * measured. One thread. */
#pragma once
#include "base/clock.h"
#include "base/dir.h"
#include "base/own.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>

extern struct err e; /* what went wrong */

struct span {
	struct rusage cpu;
	int64_t ns;
};

static inline struct span begin(void)
{
	struct span s;
	getrusage(RUSAGE_SELF, &s.cpu);
	s.ns = clock_mono_ns();
	return s;
}

static inline double seconds(struct timeval t)
{
	return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static inline double spent(const struct span *s)
{
	struct rusage now;
	getrusage(RUSAGE_SELF, &now);
	return seconds(now.ru_utime) + seconds(now.ru_stime) - seconds(s->cpu.ru_utime) -
	       seconds(s->cpu.ru_stime);
}

static inline int end(struct span s)
{
	struct rusage now;
	int64_t ns = clock_mono_ns() - s.ns;
	double cpu = spent(&s);
	getrusage(RUSAGE_SELF, &now);
	printf("%.6f %.6f %ld\n", cpu, (double)ns / 1e9, now.ru_maxrss);
	return 0;
}

/* A directory, made where it is missing. */
static inline int directory(const char *path)
{
	if (mkdir(path, 0755) && errno != EEXIST)
		return err_sys(&e, "make %s", path);
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? err_sys(&e, "open %s", path) : fd;
}

/* floor_measure(what, dir, to): 0 and its line is printed, 1 it did not work, -1: no word of these.
 *
 *   hash DIR       read and SHA-256
 *   pack DIR       the same and zstd level 3, to nowhere
 *   guard DIR      pack, and of each file what keeps a hostile one out: openat2 beneath its
 *                  directory, flistxattr, and fstat before and after
 *   frame DIR TO   guard, of what a segment has to hold: for each file its line of the record, the
 *                  header of tar and padding; by segments' zstd, digested, into the new file TO
 *   layer DIR TO   hash, and the same directories below TO, the files linked */
int floor_measure(const char *what, const char *dir, const char *to);
/* copy_measure(what, dir, to): the same of what a restore can't do without.
 *
 *   tree DIR TO    what DIR has, made anew in TO: each directory and link, each file with its mode,
 *                  as many bytes and its time, by one call each, synced; the names and sizes are
 *                  known before
 *   copy DIR TO    the same with each file's own bytes, read beneath DIR, and SHA-256 */
int copy_measure(const char *what, const char *dir, const char *to);
