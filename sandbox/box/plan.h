/* What the caller (sandbox/) and the helper `assay-box` (sandbox/box/) say to each other: format
 * version 11. Both come from one build and run on one machine, so numbers are native; a helper of
 * another version is refused at its first message.
 *
 * The helper is started as `assay-box serve PARENT-PID IDS [WORD…]` (serve.h) with a
 * SOCK_SEQPACKET socket as descriptor PLAN_SOCKET, and with the ids `enter` (sandbox/box/ids.h) a
 * user namespace as PLAN_USERNS. What else it does, once and waited for, is told in main.c. One
 * message is one struct; descriptors travel beside it (SCM_RIGHTS). A box, from the caller's side:
 *
 *     -> PLAN_GROUPS once, before the first box, where boxes have control groups: groups, and a
 * directory for each of its hierarchies
 *     -> PLAN_AHEAD  if it likes: the next plan comes soon and is like most, its namespaces its own
 *     -> PLAN_START  struct plan_start; the text of the plan (a memfd), the output pipe, for each
 * bit of stdio a descriptor. With a name in group that group is made for it
 *     -> PLAN_FDS    as often as it takes: the next layers' descriptors, at most PLAN_FDS_MAX each,
 * n_fds in all
 *     <- PLAN_BORN   pid, and a pidfd: the box's pid 1 is there
 *     <- PLAN_ROOM   where disk is limited and what a box writes over is a tmpfs of the helper's: a
 * directory of that, and in seen what it took before the command. uppers is not PLAN_UPPERS_GIVEN:
 * nothing is in the caller's uppers before PLAN_ENDED
 *     <- PLAN_TERMINAL  with PLAN_TERMINAL_WANTED: the master's end of the box's terminal
 *     -> PLAN_GO     in answer to it: it is set up, the command may run
 *     <- PLAN_RUNS   exec_ns: the command was executed
 *     -> PLAN_LOOK   look, memory, inodes, room; with PLAN_LOOK_DISK, which is asked for alone,
 * descriptors: the box's uppers, at most PLAN_UPPERS_MAX. One with it and one without may go on at
 * a time: a later one ends an earlier
 *     <- PLAN_LOOKED look, seen; with PLAN_LOOK_TABLE a memfd with the table of processes. Once for
 * each PLAN_LOOK, unless PLAN_ENDED came first or it was ended by a later one
 *     <- PLAN_CROWD  once at the most: where its processes are to be looked at (the plan's text),
 * its pid 1 has seen more of them at once than the limit
 *     -> PLAN_SIGNAL signal to the command's process group; PLAN_KILL ends everything. Both at any
 * time, any number of times
 *     <- PLAN_ENDED  all its processes and mounts are gone, and its group, unless group_left;
 * before that it was read into counts. Exactly once for each PLAN_START; the helper is free again
 *
 * The text of a plan. u32 and u64 as they are; a string is u32 n, n bytes, NUL; a list is u32 n and
 * its elements. In this order:
 *
 * u32 flags (PLAN_*), u32 uid, gid, string name, hostname, cwd, home ("" for none)
 *
 * u64 open files, file size, processes (where no group counts them: plan_nproc), tmpfs bytes, disk
 * bytes, disk inodes; 0 = none, for tmpfs a default
 *
 * list of mounts, sorted by path: string path, u32 mode (PLAN_MOUNT_*), u32 what it is
 * (PLAN_MOUNT_OURS, PLAN_MOUNT_FILE), u64 size (of a single file: its own), u32 first layer, u32
 * number of layers (indexes into the descriptors, uppermost first), u32 upper, u32 work (such
 * indexes too, or PLAN_NO_FD), u32 how many of its layers, from the uppermost on, earlier boxes of
 * the job wrote
 *
 * list of files: string path, u32 mode, string bytes
 *
 * list of arguments: string; list of environment: string
 *
 * string: the seccomp filter's struct sock_filter array */
#pragma once
#include "sandbox/cgroup.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/vfs.h>

#define PLAN_VERSION 11u
#define PLAN_SOCKET 3
#define PLAN_PROGRAM 4 /* of a helper that is another program (sandbox/oci/): assay-box */
#define PLAN_USERNS 5
#define PLAN_DOORS_MAX 8
#define PLAN_UPPERS_MAX 64
#define PLAN_TABLE_MAX (64u << 10) /* bytes of a table of processes */
#define PLAN_FDS_MAX 250           /* SCM_RIGHTS takes 253 (SCM_MAX_FD) */
#define PLAN_LAYERS_MAX 4096       /* descriptors of one plan */
#define PLAN_TEXT_MAX (64ul << 20) /* bytes of one plan */
#define PLAN_NO_FD 0xffffffffu
/* Bytes of a tmpfs where nothing is said. A build in /tmp works; what is not used costs nothing. */
#define PLAN_TMPFS (2ul << 30)
#define PLAN_COPY_MAX (64ul << 20) /* bytes of a single file that is copied */
/* In a work directory, while it is tried what carries uppers there. */
#define PLAN_TRIAL_UPPER "assay-upper"
#define PLAN_TRIAL_WORK "assay-work"
#define PLAN_ERROR 512

/* What gives a box with PLAN_NET_NAT its network, where it is looked for, and where names are asked
 * for in the box. */
#define PLAN_PASTA                                                                                 \
	{                                                                                          \
		"/usr/bin/pasta", "/usr/local/bin/pasta"                                           \
	}
#define PLAN_NAMESERVER "169.254.1.1"

/* Of a root_host, where they are directories there; links (usrmerge) are part of the skeleton. */
#define PLAN_HOST_DIRS                                                                             \
	{                                                                                          \
		"/usr", "/etc", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"             \
	}

enum plan_flag {
	PLAN_ROOT_HOST = 1,
	PLAN_NET_HOST = 2,
	PLAN_VERBOSE = 4,
	PLAN_NET_NAT = 8,
	PLAN_TERMINAL_WANTED = 16,
	PLAN_LOOSEN_SHIFT = 16, /* enum box_loosen, from here on */
	PLAN_LOOSEN_USERNS = 1 << 16,
	PLAN_LOOSEN_FUSE = 8 << 16,
	PLAN_LOOSEN_KVM = 16 << 16,
	PLAN_LOOSEN_DUMPS = 64 << 16,
};

enum plan_mount_mode { PLAN_MOUNT_RO, PLAN_MOUNT_RW, PLAN_MOUNT_COW, PLAN_MOUNT_TMPFS };

/* What carries the writes of overlays: a caller's upper directory itself, or in its place a tmpfs,
 * or a tmpfs under fuse-overlayfs(1). */
enum plan_uppers { PLAN_UPPERS_GIVEN, PLAN_UPPERS_TMPFS, PLAN_UPPERS_FUSE };

enum plan_mount_flag {
	PLAN_MOUNT_OURS = 1, /* owners as the box sees them */
	PLAN_MOUNT_FILE = 2, /* its one layer is a regular file */
};

enum plan_kind {
	PLAN_START = 1,
	PLAN_FDS,
	PLAN_SIGNAL,
	PLAN_KILL,
	PLAN_GO,
	PLAN_LOOK,
	PLAN_AHEAD,
	PLAN_GROUPS,
	PLAN_BORN = 16,
	PLAN_RUNS,
	PLAN_ENDED,
	PLAN_TERMINAL,
	PLAN_ROOM,
	PLAN_LOOKED,
	PLAN_CROWD,
};

/* What to look at. */
enum plan_look {
	PLAN_LOOK_DISK = 1,      /* what is in its uppers */
	PLAN_LOOK_PROCESSES = 2, /* how many they are, and their time */
	PLAN_LOOK_MEMORY = 4,    /* what they have in memory */
	PLAN_LOOK_IO = 8,        /* what they read and wrote */
	PLAN_LOOK_TABLE = 16,    /* a line for each: sandbox.h, box_facts.processes */
};

struct plan_seen {
	uint32_t has;   /* enum plan_look: these could be seen */
	uint32_t deep;  /* of DISK: there is more, deeper than anybody looks */
	uint32_t stuck; /* nothing could be: a look before this one hangs in what it looks at */
	uint32_t ready; /* of IO: so many have a processor, or only wait for one */
	uint64_t disk_bytes, disk_inodes;
	uint64_t processes; /* tasks; the box's pid 1 is not counted */
	uint64_t cpu_ns;    /* of all that lived and live */
	uint64_t memory;    /* bytes */
	uint64_t io_chars;  /* of those that live and what they waited for: read(2), write(2) */
	uint64_t io_read_bytes, io_write_bytes; /* likewise; of block devices, pages made dirty */
	uint64_t took_ns;
};

/* Every message of the caller; what is only PLAN_START's is 0 in others. */
struct plan_start {
	uint32_t kind, version;
	uint32_t n_fds;     /* layers */
	uint32_t stdio;     /* bit 0, 1, 2: the command's stdin, stdout, stderr is a descriptor that
			       came; else it is /dev/null or the output pipe */
	uint32_t in_cgroup; /* the helper's, 0 from the caller: a descriptor is a cgroup2 directory
			       to be born in */
	uint32_t n_doors;   /* likewise: that many descriptors of cgroup v1 `tasks` files: pid 1
			       writes "0" to each */
	uint32_t signal;    /* PLAN_SIGNAL */
	uint32_t look;      /* PLAN_LOOK: enum plan_look */
	uint64_t memory;    /* PLAN_LOOK_MEMORY: more than this is more than this; 0: how much? */
	uint64_t inodes;    /* PLAN_LOOK_DISK: likewise */
	uint64_t room;      /* PLAN_LOOK_DISK: of the box's PLAN_ROOM statfs(2)'s f_blocks: what is
			       there needs no looking for; 0: there is none */
	uint32_t ahead;     /* a processor is free: another such box may be made ready meanwhile */
	uint64_t bytes;     /* of the plan's text */
	struct cgroup_wanted group; /* PLAN_START: its name is "" where there is none */
	struct cgroup_told groups;  /* PLAN_GROUPS */
};

/* Every message of the helper. */
struct plan_reply {
	uint32_t kind, version;
	int32_t pid;            /* PLAN_BORN: as the caller sees it; PLAN_RUNS: the box's pid 1 */
	int32_t command_status; /* PLAN_ENDED: as of wait(2), of the command; -1: not known */
	int32_t init_status;    /* PLAN_ENDED: as of wait(2), of the box's pid 1 */
	uint32_t uppers;        /* PLAN_RUNS, PLAN_ROOM: enum plan_uppers, of the box's */
	uint32_t network_lost;  /* PLAN_ENDED: PLAN_NET_NAT, and the network ended before the box */
	uint32_t refused;       /* PLAN_ENDED: error is not our trouble but the job's: what it left
				   can't be kept whole */
	uint32_t look;          /* PLAN_LOOKED: which look it was, enum plan_look */
	uint32_t counted;       /* PLAN_ENDED: counts are what its group has counted */
	uint32_t group_left;    /* PLAN_ENDED: it could not be removed: the caller is to */
	uint32_t reserved;
	uint64_t exec_ns;            /* PLAN_RUNS: CLOCK_MONOTONIC, just before the fork */
	uint64_t user_ns, system_ns; /* PLAN_ENDED: rusage of everything that was waited for */
	uint64_t peak_bytes;         /* PLAN_ENDED: the largest process */
	uint64_t io_read_bytes, io_write_bytes; /* PLAN_ENDED: likewise; of block devices, pages
						   made dirty */
	struct plan_seen seen;                  /* PLAN_LOOKED, PLAN_ROOM; PLAN_CROWD: processes */
	struct cgroup_counts counts;            /* PLAN_ENDED */
	char error[PLAN_ERROR]; /* PLAN_ENDED: "" or why the command could not be run, or what it
				   left not be kept: our own trouble, but for `refused` */
};

/* plan_nproc(processes): the RLIMIT_NPROC of a box whose processes are counted by looking: it holds
 * one that is quicker, and leaves room, so that it is a look that sees it. */
static inline uint64_t plan_nproc(uint64_t processes)
{
	return processes > UINT64_MAX / 8 ? UINT64_MAX : 4 * processes + 256;
}

/* plan_room_used(fd, s): of the file system it is on: what is taken. */
static inline void plan_room_used(int fd, struct plan_seen *s)
{
	struct statfs fs;
	if (fstatfs(fd, &fs))
		return;
	s->disk_bytes = (fs.f_blocks - fs.f_bfree) * (uint64_t)fs.f_bsize;
	s->disk_inodes = fs.f_files - fs.f_ffree;
}

/* How many descriptors come with it, before those of the layers. */
static inline size_t plan_fds(const struct plan_start *start)
{
	return 2 + (size_t)__builtin_popcount(start->stdio & 7) + (start->in_cgroup ? 1 : 0) +
	       start->n_doors;
}
