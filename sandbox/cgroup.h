/* Inside sandbox/ and sandbox/box/ only: a control group per box, in whichever hierarchy this
 * process may write: cgroup v2 where it is delegated, cgroup v1 where that is what the host has, or
 * none. Every call is a few small reads or writes of cgroupfs. To make or remove a group waits for
 * the kernel's one lock of all groups, a millisecond at times: a loop only describes the groups of
 * its boxes (cgroup_want), and their helpers, which are told where (cgroup_told), make and remove
 * them.
 *
 * Where groups are made: below the group(s) this process is in, as NAME.<pid>/box-<name>: v2 needs
 * the controllers in the parent's cgroup.subtree_control (cgroups(7)), for which this process, if
 * it is alone in a group that is delegated to it, steps down into NAME.<pid>/supervisor
 * (cgroup_v2.c); v1 uses memory, pids, cpuacct hierarchies, and cpu for a box with a quota,
 * each if it is mounted and writable; the freezer's, for its list, where there is no other. Its
 * blkio is left out: what is written through the page cache it counts for nobody
 * (admin-guide/cgroup-v1/blkio-controller.rst), and it costs a box 0.1 ms. In v2 an OOM kill ends a
 * whole box, its pid 1 too (memory.oom.group); in v1 it ends one process. */
#pragma once
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct cgroup_host; /* what this process may use */
struct cgroup;      /* one box's */

/* cgroup_host_open(name, e): find out by trying, and make NAME.<pid>. No usable hierarchy is no
 * error: kind "none", the calls below then do nothing and count nothing. name: [a-z0-9-]. NULL with
 * e only for out-of-the-ordinary system trouble. */
struct cgroup_host *cgroup_host_open(const char *name, struct err *e) must_check;
/* cgroup_host_close(h): removes NAME.<pid>; every box's group must be gone. */
void cgroup_host_close(struct cgroup_host *h);
/* "v2", "v1" or "none": a static string. */
const char *cgroup_host_kind(const struct cgroup_host *h);

/* cgroup_host_has_quota(h): groups with limits.cpu_milli keep it. */
bool cgroup_host_has_quota(const struct cgroup_host *h);
/* cgroup_host_has_memory(h): groups with limits.memory keep it. */
bool cgroup_host_has_memory(const struct cgroup_host *h);

/* cgroup_host_owned(h): may who has this process's ids write groups in which boxes are, and
 * limits.below doesn't keep them apart? */
bool cgroup_host_owned(const struct cgroup_host *h);

#define CGROUP_HIERARCHIES 5
#define CGROUP_HOST_NAME 128
#define CGROUP_NAME 208

/* What another process makes groups by in the same place, together with a directory for each of the
 * n. */
struct cgroup_told {
	uint32_t version; /* 1, 2; 0: none */
	uint32_t n;       /* hierarchies */
	uint32_t controllers[CGROUP_HIERARCHIES];
	uint32_t counts_swap, keeps_peak;
	char name[CGROUP_HOST_NAME];
};
/* cgroup_host_tell(h, told, fds, e): to be sent; told->n descriptors, the caller's, without the
 * lock that says that this process lives. */
int cgroup_host_tell(const struct cgroup_host *h, struct cgroup_told *told,
		     int fds[CGROUP_HIERARCHIES], struct err *e) must_check;
/* cgroup_host_told(told, fds): who was told; takes the descriptors. For cgroup_make, until this
 * process ends: NAME.<pid> is not its own. NULL: that makes no sense. */
struct cgroup_host *cgroup_host_told(const struct cgroup_told *told, const int *fds) must_check;

struct cgroup_limits {      /* 0: none */
	uint64_t memory;    /* bytes; swap is not a way out of it */
	uint64_t processes; /* tasks */
	uint64_t cpu_milli; /* thousandths of a processor, as a quota */
	/* Its processes may come to own cgroupfs in a namespace of theirs (v2): they are born in a
	 * group below the one that has the limits, and that they never see. They may make some
	 * more there. */
	bool below;
};

/* cgroup_make(h, name, limits, e): name: [A-Za-z0-9._-]. A limit that can't be set is an error,
 * unless the hierarchy lacks its controller (then cgroup_counts.has_* says so and the caller
 * watches by other means). NULL with e; with kind "none" a group that counts nothing. */
struct cgroup *cgroup_make(struct cgroup_host *h, const char *name,
			   const struct cgroup_limits *limits, struct err *e) must_check;

struct cgroup_wanted {
	struct cgroup_limits limits;
	char name[CGROUP_NAME]; /* "": none */
};
/* cgroup_want(h, name, limits, e): one that somebody else makes of cgroup_wanted; here it is read,
 * killed and, where that has to be, removed like any other, though there may be none yet, or any
 * more. Costs no system call. */
struct cgroup *cgroup_want(struct cgroup_host *h, const char *name,
			   const struct cgroup_limits *limits, struct err *e) must_check;
/* cgroup_wanted(c): how it was described; with kind "none" one without a name. */
const struct cgroup_wanted *cgroup_wanted(const struct cgroup *c);

/* cgroup_clone_fd(c): a directory descriptor for clone3's CLONE_INTO_CGROUP (v2), owned by c, or
 * -1. */
int cgroup_clone_fd(const struct cgroup *c);
#define CGROUP_DOORS 5
/* cgroup_doors(c, fds, e): v1: `tasks` of each hierarchy, open for writing, the caller's; a process
 * of one thread that writes "0" to all of them is in the group. How many, 0 where CLONE_INTO_CGROUP
 * does it or there is no group, -1. Who moves itself waits for nobody; moving another takes a grace
 * period of RCU, milliseconds (Linux 5.5, cgroup_procs_write_start). */
int cgroup_doors(const struct cgroup *c, int fds[CGROUP_DOORS], struct err *e) must_check;

struct cgroup_counts {
	bool has_memory, has_processes, has_cpu; /* the numbers below are real */
	uint64_t peak_memory;                    /* bytes */
	uint64_t oom_kills;      /* processes of the group killed because of its own limit */
	uint64_t host_oom_kills; /* … for the need of the machine or of a group around this one: its
				    own limit was never in the way */
	bool at_limit;           /* its own limit was (what the two above come from) */
	uint64_t processes_refused; /* forks refused */
	uint64_t cpu_user_ns, cpu_system_ns;

	bool has_quota;                   /* limits.cpu_milli is kept */
	uint64_t throttled, throttled_ns; /* periods in which it was used up, time waited for the
					     next */
	uint64_t processes_peak;          /* tasks at once, or as seen by reading; 0: not known */
	bool has_io;
	uint64_t io_read_bytes, io_write_bytes;                    /* of block devices */
	uint64_t stalled_memory_ns, stalled_cpu_ns, stalled_io_ns; /* PSI "some"; 0: not known */
};
/* cgroup_can(c, out): of a new one: what can be read of it, and zeros. What the kernel has to tell
 * of one group it has of all: it was asked when the host was opened. */
void cgroup_can(const struct cgroup *c, struct cgroup_counts *out);
/* cgroup_read(c, out): what it counted so far; what can't be read stays 0 with has_* false. The
 * second half of out only with cgroup_read_all. */
void cgroup_read(struct cgroup *c, struct cgroup_counts *out);
void cgroup_read_all(struct cgroup *c, struct cgroup_counts *out);
/* cgroup_heard(c, out): who made it has read all of this before it removed it; what only reading
 * meanwhile could see (kernels without memory.peak, pids.peak) was seen here. */
void cgroup_heard(const struct cgroup *c, struct cgroup_counts *out);

/* cgroup_kill(c): SIGKILL to everything in it, frozen or not (v2 cgroup.kill, Linux 5.14, else
 * signal each). May be called again until cgroup_remove finds it empty. */
void cgroup_kill(struct cgroup *c);
/* cgroup_remove(c): rmdir and free. 0, or -1 with EBUSY kept in e while something is in it (then c
 * stays valid). NULL is fine. */
int cgroup_remove(struct cgroup *c, struct err *e) must_check;
/* cgroup_forget(c): only free; it is there no more, or not ours to remove. NULL is fine. */
void cgroup_forget(struct cgroup *c);
