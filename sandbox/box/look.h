/* Looking at a box from the helper's side: what it has on disk, its processes, their memory, and a
 * table of them for the record. A look is a child of the helper, ended when it takes too long and
 * when its box is over, which enters the box's namespaces: there it sees what an ordinary user
 * outside does not (directories of mode 000, files of other ids), may read of every process what
 * ptrace(2) could, and has no more power than the box's root. Nobody in the box sees it. */
#pragma once
#include "sandbox/box/plan.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Of a box's pid 1: opened before only root of the host could (prctl(2), PR_SET_DUMPABLE). -1: not
 * yet. */
struct look_ns {
	int user, mnt, ipc;
};
#define LOOK_NS_INIT                                                                               \
	{                                                                                          \
		-1, -1, -1                                                                         \
	}
/* look_ns_open(ns, pid): as far as it goes, what is not open yet. */
void look_ns_open(struct look_ns *ns, pid_t pid);
void look_ns_close(struct look_ns *ns);

struct look {
	pid_t pid;              /* of the child, 0: none */
	int pidfd;              /* ready when it has ended */
	int table_fd;           /* PLAN_LOOK_TABLE, else -1 */
	unsigned wanted;        /* enum plan_look */
	bool stuck;             /* it was not begun, because one before it hangs */
	struct plan_seen *seen; /* shared with the child; mapped when first needed */
	/* Killed and not gone yet: a process that waits for a file system dies when that answers.
	 * The first n_left are of boxes that are over. */
	struct look_going {
		pid_t pid;
		int pidfd; /* owned */
	} * going;         /* owned */
	size_t n_going, n_left;
};
#define LOOK_INIT                                                                                  \
	{                                                                                          \
		.pidfd = -1, .table_fd = -1                                                        \
	}

/* The walk over the uppers, which may take long, and everything else. */
struct looks {
	struct look walk, rest;
};
#define LOOKS_INIT                                                                                 \
	{                                                                                          \
		LOOK_INIT, LOOK_INIT                                                               \
	}

struct look_at {
	pid_t pid; /* of the box's pid 1 */
	struct look_ns ns;
	const int *uppers;
	size_t n;
	bool own_mounts; /* the job may have mounts of its own */
};
/* look_begin(l, m, at): what the caller wants to know. One that runs is killed first, and nothing
 * waits for its end. -1: it could not be begun: also where one of this box that was killed is there
 * still, unless it is for a table, which is the last. */
int look_begin(struct look *l, const struct plan_start *m, const struct look_at *at);
/* look_end(l, seen, table_fd): it has ended, or is ended now, and waited for, but not for ever:
 * what was found until then; table_fd is the caller's, or -1. */
void look_end(struct look *l, struct plan_seen *seen, int *table_fd);
/* look_leave(l): the box is over, and with it what a look can have hung in; one that hangs yet is
 * left behind. After look_end. */
void look_leave(struct look *l);

/* What a child does. In look_disk.c, look_processes.c, look_unnamed.c, look_memory.c, look_table.c.
 * They read
 * "/proc", which is the box's. */
struct look_disk_at {
	const int *uppers;
	size_t n;
	uint64_t inodes; /* count no further than this; 0: to the end */
};
void look_disk(const struct look_disk_at *d, struct plan_seen *s);
/* What is open and has no name: in an upper bytes of its disk, in memory (memfd) bytes of that.
 * Asks no file system that the job itself may serve. room: of plan_start. */
struct look_unnamed {
	uint64_t disk, memory;
};
struct look_unnamed look_unnamed(bool own_mounts, uint64_t room);
/* LOOK_PROCESSES and LOOK_IO at once. */
struct look_processes {
	uint64_t tasks, cpu_ns; /* tasks: without those */
	uint64_t orphans; /* that have ended and that nobody but the box's pid 1 has to wait for */
	uint64_t anonymous, shared; /* resident bytes; what several share counts for each */
	uint64_t io_chars, io_read_bytes, io_write_bytes;
	uint32_t ready; /* that have a processor, or only wait for one */
	bool io_seen;
};
void look_processes(bool io, struct look_processes *p);
/* look_tasks(p): tasks and orphans only. */
void look_tasks(struct look_processes *p);
/* look_tmpfs_outside(): the tmpfs of the mount namespace one is in, before the box's is entered: a
 * box that was given a directory of one has not filled it. The caller's to free. */
struct look_tmpfs *look_tmpfs_outside(void);
/* What is in memory beside the processes' own pages. outside: taken up, to be freed only. */
uint64_t look_memory(const struct look_processes *p, struct look_tmpfs *outside, uint64_t unnamed,
		     uint64_t bound);
void look_table(int fd);

/* Small files of /proc. look_read(dirfd, file, buf, size): NUL-terminated, cut to size; bytes or
 * -1.
 */
ssize_t look_read(int dirfd, const char *file, char *buf, size_t size);
/* look_each(fn, arg): fn for every process of the box but its pid 1, with a descriptor of its
 * directory, until fn says false. */
void look_each(bool (*fn)(void *arg, int dirfd, pid_t pid), void *arg);
/* look_number(text, key): of a line "key: number …", 0 if there is none. */
uint64_t look_number(const char *text, const char *key);
