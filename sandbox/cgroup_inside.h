/* Inside sandbox/cgroup*.c, sweep.c and ooms.c only: where this process's groups are, and what v1
 * and v2 do differently. */
#pragma once
#include "sandbox/cgroup.h"

/* What we use, in the order in which a process is put there: killing by list begins with the
 * freezer. */
enum cgroup_controller {
	CGROUP_FREEZER = 1,
	CGROUP_PIDS = 2,
	CGROUP_MEMORY = 4,
	CGROUP_CPUACCT = 8,
	CGROUP_CPU = 16,
	CGROUP_IO = 32, /* v2 only */
};

/* The kernel, or a tree of files that a test made. */
struct cgroup_world {
	const char *self;    /* directory with the files cgroup and mountinfo: "/proc/self" */
	const char *prefix;  /* put before every mount point: "" */
	const char *systemd; /* exists where systemd runs the groups (sd_booted(3)) */
	bool (*is_cgroupfs)(int fd, int version);
	int (*make)(int dirfd, const char *name);
	int (*remove)(int dirfd, const char *name);
	int (*write)(int dirfd, const char *file, const char *text); /* one write(2): 0 or -1 */
};
extern const struct cgroup_world cgroup_world_real;

/* A directory: this process's own group in one hierarchy. */
struct cgroup_place {
	int fd;               /* -1: none */
	unsigned controllers; /* enum cgroup_controller; v1 may have several in one hierarchy */
};

struct cgroup_places {
	struct cgroup_place v1[CGROUP_HIERARCHIES];
	struct cgroup_place
		v2;   /* its parent's parent, if this process sits in a NAME.<pid>/supervisor */
	char *inside; /* that NAME.<pid>, else NULL */
};

/* cgroup_find(w, p, e): by /proc/self/cgroup and mountinfo (cgroups(7), proc(5)). What is not
 * mounted, not below the mount's root, or unreadable is left out. p is to be closed in any case. */
int cgroup_find(const struct cgroup_world *w, struct cgroup_places *p, struct err *e) must_check;
void cgroup_places_close(struct cgroup_places *p);

/* Small files of cgroupfs. 0 or -1 with errno. */
int cgroup_number(int dirfd, const char *file, uint64_t *n) must_check;
/* cgroup_key(dirfd, file, key, n): of a file of lines "key number". -1 if it is not there. */
int cgroup_key(int dirfd, const char *file, const char *key, uint64_t *n) must_check;
/* cgroup_stalled(dirfd, file): ns in which some task waited (PSI, accounting/psi.rst); 0: not
 * known.
 */
uint64_t cgroup_stalled(int dirfd, const char *file);
/* cgroup_content(dirfd, file, buf, size): all of it, cut to size. */
int cgroup_content(int dirfd, const char *file, char *buf, size_t size) must_check;
/* cgroup_word(dirfd, file, buf, size): the content without its newline, cut to size. */
int cgroup_word(int dirfd, const char *file, char *buf, size_t size) must_check;
/* cgroup_each(dirfd, fn, arg): fn for every process of the group that our pid namespace knows,
 * until it returns false. How many there were, those outside (shown as 0) too; -1 if it can't be
 * read. Allocates nothing. */
int cgroup_each(int dirfd, bool (*fn)(void *arg, pid_t pid), void *arg);
/* SIGKILL to each but this process. Nothing is waited for. */
void cgroup_signal_each(int dirfd);

struct cgroup_kind {
	const char *name;
	/* -1 with e if a limit was refused; no controller for it is no error */
	int (*limit)(const struct cgroup *c, const struct cgroup_limits *l, struct err *e);
	void (*read)(const struct cgroup *c, struct cgroup_counts *out);
	void (*read_more)(const struct cgroup *c, struct cgroup_counts *out);
	void (*kill)(const struct cgroup_world *w, int dirfd);
	/* limits.below; NULL: cgroup_host_owned */
	int (*make_below)(struct cgroup *c, struct err *e);
	/* before NAME.<pid> is removed; NULL: nothing to do */
	void (*leave)(struct cgroup_host *h);
};

struct cgroup_host {
	const struct cgroup_world *world;
	const struct cgroup_kind *kind; /* NULL: none */
	char name[CGROUP_HOST_NAME]; /* NAME.<pid>, or NAME.<pid>-<n> for a process's second sandbox
				      */
	size_t n;                    /* hierarchies in use; all below are parallel */
	struct cgroup_place base[CGROUP_HIERARCHIES]; /* NAME.<pid> is in it */
	int dir[CGROUP_HIERARCHIES];                  /* NAME.<pid> itself, locked (flock(2)) */
	bool moved;               /* v2: this process is in NAME.<pid>/supervisor */
	bool counts_swap;         /* v1: swap is limited, too */
	bool keeps_peak;          /* of processes at once */
	bool writable;            /* a group that this process began in */
	struct cgroup_counts can; /* has_*: what a group counts */
};

/* Seen by reading, for kernels without memory.peak, pids.peak. */
struct cgroup_highest {
	uint64_t memory, processes;
};

struct cgroup {
	struct cgroup_host *host;
	struct cgroup_wanted wanted;
	char name[CGROUP_NAME + 8];
	int dir[CGROUP_HIERARCHIES];    /* -1: not wanted there, or of another's making and not read
					   yet */
	int below;                      /* v2: where its processes are, if not there; else -1 */
	struct cgroup_highest *highest; /* owned */
};

#define CGROUP_BELOW "job"
#define CGROUP_BELOW_DEPTH 4
/* cgroup_needed(h, i, quota): has a box a group in this hierarchy? */
bool cgroup_needed(const struct cgroup_host *h, size_t i, bool quota);
/* cgroup_in(c, controller): the directory where it counts, or -1. */
int cgroup_in(const struct cgroup *c, enum cgroup_controller controller);
/* cgroup_list(c): the directory whose list of processes is its own to the end: what is left in it
 * is killed by that. -1: there is no group. */
int cgroup_list(const struct cgroup *c);
/* cgroup_limit_write(c, dirfd, file, value, e): says which limit of which group was refused. */
int cgroup_limit_write(const struct cgroup *c, int dirfd, const char *file, uint64_t value,
		       struct err *e) must_check;

/* cgroup_read_processes(c, dirfd, out): pids.events, and pids.current where nothing else keeps the
 * peak; cgroup_read_peak(c, dirfd, out): that peak (pids.peak, Linux 6.1). Alike in v1 and v2. */
void cgroup_read_processes(const struct cgroup *c, int dirfd, struct cgroup_counts *out);
void cgroup_read_peak(const struct cgroup *c, int dirfd, struct cgroup_counts *out);
/* cgroup_quota(milli, period_us): its quota per period, both in µs. */
uint64_t cgroup_quota(uint64_t milli, uint64_t *period_us);

/* cgroup_name_ok(name, chars, max): it is not empty, not longer, of these characters only. */
bool cgroup_name_ok(const char *name, const char *chars, size_t max);
/* cgroup_claim(h, places, n): makes and locks NAME.<pid> in each place that can be written and
 * moves these places to h->base; how many. */
size_t cgroup_claim(struct cgroup_host *h, const char *name, struct cgroup_place *places, size_t n);
/* cgroup_unclaim(h): the contrary, as far as it goes. */
void cgroup_unclaim(struct cgroup_host *h);

extern const struct cgroup_kind cgroup_v1, cgroup_v2;
/* cgroup_v1_open, cgroup_v2_open: true and h filled, or false and nothing changed. `least`:
 * controllers that are necessary. */
bool cgroup_v1_open(struct cgroup_host *h, const char *name, struct cgroup_places *p);
bool cgroup_v2_open(struct cgroup_host *h, const char *name, struct cgroup_places *p,
		    unsigned least);

/* The doors with a world to choose. */
struct cgroup_host *cgroup_host_open_in(const struct cgroup_world *w, const char *name,
					struct err *e) must_check;
/* As sandbox_sweep; what is killed has so long, in all, to be gone. */
int cgroup_sweep_in(const struct cgroup_world *w, const char *name, int64_t patience_ns,
		    struct err *e) must_check;
