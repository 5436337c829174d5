/* Memory where no cgroup counts it. Pages of processes are theirs; files in memory belong to the
 * box's tmpfs mounts (statfs; one that is mounted outside as well is the host's, of which the box
 * was given a part), to memfds (counted by their descriptors) and to SysV segments
 * (sysvipc(5)); what is mapped by several processes and in none of these (MAP_SHARED |
 * MAP_ANONYMOUS) is known only by each one's share of it, which costs a walk over its page tables:
 * taken where it could matter. Not seen at all: what the kernel holds for pipes, sockets and page
 * tables, and a tmpfs that the job itself has mounted: sandbox_keeps refuses who could. */
#include "sandbox/box/look.h"

#include "base/mountinfo.h"
#include "base/own.h"
#include "base/text.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>

#define MEMORY_MOUNTS 256
#define MEMORY_INODE 1024 /* about what a file of a tmpfs takes, empty */

struct look_tmpfs {
	char seen[MEMORY_MOUNTS][16]; /* "major:minor" */
	size_t n;
	uint64_t bytes;
};

static bool tmpfs_is_new(struct look_tmpfs *t, const char *device)
{
	for (size_t i = 0; i < t->n; i++)
		if (!strcmp(t->seen[i], device))
			return false;
	if (t->n == MEMORY_MOUNTS || strlen(device) >= sizeof(t->seen[0]))
		return false;
	memcpy(t->seen[t->n++], device, strlen(device) + 1);
	return true;
}

static void tmpfs_each(const char *mountinfo,
		       void (*each)(struct look_tmpfs *, const struct mountinfo *),
		       struct look_tmpfs *t)
{
	auto_file FILE *f = fopen(mountinfo, "re");
	auto_free char *line = NULL;
	size_t room = 0;
	struct mountinfo m;
	while (f && getline(&line, &room, f) > 0)
		if (mountinfo_parse(line, &m) && !strcmp(m.type, "tmpfs"))
			each(t, &m);
}

static void tmpfs_pass_over(struct look_tmpfs *t, const struct mountinfo *m)
{
	tmpfs_is_new(t, m->device);
}

static void tmpfs_add(struct look_tmpfs *t, const struct mountinfo *m)
{
	struct statfs fs;
	if (!tmpfs_is_new(t, m->device) || statfs(m->point, &fs))
		return;
	t->bytes += (fs.f_blocks - fs.f_bfree) * (uint64_t)fs.f_bsize +
		    (fs.f_files - fs.f_ffree) * MEMORY_INODE;
}

struct look_tmpfs *look_tmpfs_outside(void)
{
	struct look_tmpfs *t = own_calloc(1, sizeof(*t));
	tmpfs_each("/proc/self/mountinfo", tmpfs_pass_over, t);
	return t;
}

/* Columns: key, id, perms, size, cpid, lpid, nattch, four ids, three times, rss, swap. */
static uint64_t sysv_bytes(void)
{
	auto_file FILE *f = fopen("/proc/sysvipc/shm", "re");
	char line[512];
	uint64_t sum = 0, bytes, swapped;
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line,
			   "%*d %*d %*o %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %" SCNu64
			   " %" SCNu64,
			   &bytes, &swapped) == 2)
			sum += bytes + swapped;
	return sum;
}

struct shares {
	bool exact;
	uint64_t bytes;
};

static bool add_share(void *arg, int dirfd, pid_t pid)
{
	struct shares *s = arg;
	char buf[4096];
	(void)pid;
	if (look_read(dirfd, s->exact ? "smaps_rollup" : "status", buf, sizeof(buf)) > 0)
		s->bytes += look_number(buf, s->exact ? "Pss_Shmem" : "RssShmem") * 1024;
	return true;
}

/* Each page once, also if many have it mapped: at most what each has, exactly the sum of the
 * shares. */
static uint64_t shared_bytes(uint64_t known, uint64_t enough)
{
	struct shares rough = {.exact = false}, exact = {.exact = true};
	look_each(add_share, &rough);
	if (rough.bytes <= known || rough.bytes < enough)
		return rough.bytes < known ? rough.bytes : known;
	look_each(add_share, &exact);
	return exact.bytes;
}

uint64_t look_memory(const struct look_processes *p, struct look_tmpfs *outside, uint64_t unnamed,
		     uint64_t bound)
{
	tmpfs_each("/proc/1/mountinfo", tmpfs_add, outside);
	uint64_t files = outside->bytes + sysv_bytes() + unnamed, shared = 0;
	/* Files that are mapped are in both: the larger counts. */
	if (p->shared > files && (!bound || p->anonymous + p->shared > bound))
		shared = shared_bytes(files, bound > p->anonymous ? bound - p->anonymous : 0);
	return p->anonymous + (files > shared ? files : shared);
}
