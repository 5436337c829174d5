/* What the drivers of tests/bench/box-start share: a list of numbers per measure, printed as one
 * line of JSON; and what everything that was waited for has cost. One thread. */
#pragma once
#include "base/clock.h"
#include "base/dir.h"
#include "base/own.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

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
