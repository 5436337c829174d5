/* What the drivers of tests/bench/box-start share: a list of numbers per measure, printed as one
 * line of JSON; what everything that was waited for has cost; and the directories of a box's
 * uppers. One thread. */
#pragma once
#include "base/clock.h"
#include "base/dir.h"
#include "base/own.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

struct series {
	const char *name;
	int64_t *all; /* owned */
	size_t n, room;
};

static inline void series_add(struct series *s, int64_t value)
{
	if (s->n == s->room)
		s->all = own_grow(s->all, s->room = s->room * 2 + 64, sizeof(*s->all));
	s->all[s->n++] = value;
}

static inline void series_print(struct series *s)
{
	printf("\"%s\": [", s->name);
	for (size_t i = 0; i < s->n; i++)
		printf("%s%" PRId64, i ? ", " : "", s->all[i]);
	printf("], ");
	free(s->all);
}

static inline int64_t usage_ns(int who)
{
	struct rusage u;
	getrusage(who, &u);
	return (int64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000000 +
	       (int64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1000;
}

/* Of this process and of all that was waited for, by it or below. */
static inline int64_t usage_all_ns(void)
{
	return usage_ns(RUSAGE_SELF) + usage_ns(RUSAGE_CHILDREN);
}

/* proc_stat(5): of all processors, whoever used them, in ticks: the kernel's own threads are in no
 * process's usage. */
static inline int64_t machine_busy_ns(void)
{
	uint64_t user, nice, system, irq, softirq;
	auto_file FILE *f = fopen("/proc/stat", "re");
	if (!f || fscanf(f, "cpu %" SCNu64 " %" SCNu64 " %" SCNu64 " %*u %*u %" SCNu64 " %" SCNu64,
			 &user, &nice, &system, &irq, &softirq) != 5)
		return 0;
	return (int64_t)(user + nice + system + irq + softirq) *
	       (1000000000 / sysconf(_SC_CLK_TCK));
}

/* ns: any caller of any sandbox pays this, so it is told apart. */
struct dirs_cost {
	int64_t wall, cpu;
};

/* How often somebody else ran instead of this thread, which wanted to. */
static inline long preemptions(void)
{
	struct rusage u;
	return getrusage(RUSAGE_THREAD, &u) ? 0 : u.ru_nivcsw;
}

static inline int64_t own_cpu_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* The upper and work directories of / and of /store. */
struct uppers {
	int fd[4];
};

static inline void uppers_close(const struct uppers *u)
{
	for (size_t i = 0; i < countof(u->fd); i++)
		close(u->fd[i]);
}

static inline int uppers_make(struct uppers *u, int dirfd, const char *name, struct dirs_cost *c,
			      struct err *e)
{
	static const char *const names[] = {"r.u", "r.w", "s.u", "s.w"};
	int64_t wall = clock_mono_ns(), cpu = own_cpu_ns();
	auto_fd int dir = dir_make(dirfd, name, 0755, e);
	if (dir < 0)
		return -1;
	for (size_t i = 0; i < countof(names); i++)
		if ((u->fd[i] = dir_make(dir, names[i], 0755, e)) < 0)
			return -1;
	c->wall += clock_mono_ns() - wall;
	c->cpu += own_cpu_ns() - cpu;
	return 0;
}

static inline int uppers_remove(int dirfd, const char *name, struct dirs_cost *c, struct err *e)
{
	int64_t wall = clock_mono_ns(), cpu = own_cpu_ns();
	int rc = dir_remove(dirfd, name, e);
	c->wall += clock_mono_ns() - wall;
	c->cpu += own_cpu_ns() - cpu;
	return rc;
}
