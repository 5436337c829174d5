/* The door of sandbox/: one command in isolation, started, watched, limited and ended.
 * The orchestrator calls it, from the loop's thread only; every callback comes from that thread,
 * never from inside the call that caused it. A box is described by one value (struct box_spec),
 * built by `assay-box` (sandbox/box/), a small static helper that stays for as long as the sandbox
 * is open, keeps nothing of a job and clones each box afresh. What the harness observed comes back
 * as one value (struct box_facts).
 *
 * Life: the helper dies with the thread that opened the sandbox (PR_SET_PDEATHSIG, and the end of
 * its socket), every box dies with its helper, and with a box's pid 1 dies its pid namespace: `kill
 * -9` of the caller leaves no process.
 *
 * Who may what: started by root, a box is somebody else on the host (sandbox/box/ids.h) and in no
 * group. Started by an ordinary user it is that user, who can't give up supplementary groups
 * (user_namespaces(7)) but with a range of ids (newgidmap(1) grants it): what it reads of the
 * host's /usr and /etc, it reads as a member of them. It sees nothing else of the host that a group
 * could open: no /home, no /run (docker.sock), no devices. */
#pragma once
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

enum box_mode {
	BOX_RO,    /* read-only, recursively; several lowers make a read-only overlay */
	BOX_RW,    /* a live directory of the host, written through */
	BOX_COW,   /* lowers read-only, writes go to the upper */
	BOX_TMPFS, /* empty, in memory, charged to the box's memory, `size` bytes */
};

#define BOX_FILE_COW ((uint64_t)64 << 20)

/* box_mode_name(m): "ro", "rw", "cow", "tmpfs": a static string. */
const char *box_mode_name(enum box_mode m);

/* One mount. Order in the list does not matter: each lies in the one whose path is the longest
 * around its own. Refused, with both names: two mounts of one path, a mount or file inside a single
 * file or at its place, one directory as the upper of two mounts or as upper of one and lower of
 * another. */
struct box_mount {
	const char *path; /* absolute, normalised ("/", "/build"); where its mount point is missing
			     it is made: in a BOX_RW directory for good, else for the box only */
	enum box_mode mode;
	const int
		*lowers; /* directory descriptors, uppermost first; BOX_RO takes at least one,
			    BOX_RW just one, BOX_COW any number. Or, for each of these three, one
			    descriptor of a regular file: then path is a file in the box. A BOX_COW
			    file is a file of the mount it lies in where that is BOX_COW (of at
			    most BOX_FILE_COW bytes: it is copied into memory): the command may
			    change, replace or remove it, and that mount's upper says so. Elsewhere
			    it is bound to its place: it may be changed, and the changes are lost */
	size_t n_lowers;
	size_t n_past; /* that many of the lowers, from the uppermost on, earlier boxes of the same
			  job wrote: a BOX_COW file that lies in this mount is below them */
	/* BOX_COW of directories, at most 64 of a box: an empty directory that will *be* the upper:
	 * what the command wrote will be in it, as overlayfs keeps it, and nothing else (no mount
	 * point of the box). And an empty work directory in the same directory as it. Where their
	 * file system carries no upper (an overlay, some network file systems: found by trying, in
	 * the work directory) a tmpfs does, a little larger than limits.disk and disk_inodes, or of
	 * limits.memory, or of 2 GiB; what is in it when the box is over, however it ended, is
	 * moved to the upper then (facts.uppers tells). Where the directory can't even keep that
	 * something is gone, or what is moved is more than it takes, the box ends as BOX_FAILED. An
	 * upper may have what an earlier box wrote, which is there again; not where a tmpfs carries
	 * it: BOX_FAILED. Both -1: the changes go to such a tmpfs and are lost. */
	int upper_fd, work_fd;
	const char *to_be; /* for box_describe, else NULL: the path of the upper, whose work
			      directory, or which itself, is not there yet (-1) */
	uint64_t size; /* BOX_TMPFS bytes, 0: limits.memory, or without one 2 GiB; so has the box's
			  own /tmp */
	/* What lies in lowers and upper has owners as the box sees them (0 = the box's root): our
	 * layers and uppers. Where the box's ids are a range of others (started as root) they are
	 * shown through an idmapped mount, or else see conf.given. false: a directory of the host,
	 * shown as it is. */
	bool ours;
};

/* A small file put at path, read-only, below any overlay's upper (so a job may replace it in its
 * own view where the mount at that place is BOX_COW). */
struct box_file {
	const char *path;
	const void *bytes; /* for box_describe NULL: not known yet */
	size_t n;
	unsigned mode; /* permission bits */
};

/* BOX_NET_HOST: what listens on the host's 127.0.0.1 is reached, as anything else its network has.
 * Abstract UNIX sockets of the host are not, where there is Landlock's scope for them (Linux 6.12).
 */
enum box_net {
	BOX_NET_NONE, /* own namespace, loopback up */
	BOX_NET_HOST,
	BOX_NET_NAT, /* own namespace, and out of it through pasta(1) (package passt): nothing of
			the host's own sockets, not even what listens on its 127.0.0.1 */
};

/* box_net_name(net): "none", "host", "nat". box_net_of(name): which that is, or -1.
 * box_net_check(net, e): can boxes of this machine have it? 0, or -1 with why not, and what would
 * help. */
const char *box_net_name(enum box_net net);
int box_net_of(const char *name);
int box_net_check(enum box_net net, struct err *e) must_check;
/* box_resolv_conf(net, out): append what resolv.conf(5) of a box with this network says: this
 * machine's, and with BOX_NET_NAT a nameserver that leads to whom this machine asks, be that one on
 * its own loopback. false: nothing. */
struct text;
bool box_resolv_conf(enum box_net net, struct text *out);

/* Each takes one thing of the profile `default` back. What a box was given is in its facts. */
enum box_loosen {
	BOX_LOOSEN_USERNS = 1,   /* "userns": namespaces of its own, and mounts in them */
	BOX_LOOSEN_I386 = 2,     /* "i386": 32-bit programs (x86-64 only) */
	BOX_LOOSEN_IO_URING = 4, /* "io-uring" */
	BOX_LOOSEN_FUSE = 8,     /* "fuse": /dev/fuse */
	BOX_LOOSEN_KVM = 16,     /* "kvm": /dev/kvm */
	BOX_LOOSEN_PERF = 32,    /* "perf": perf_event_open */
	BOX_LOOSEN_DUMPS = 64,   /* "dumps": core dumps in files */
	BOX_LOOSEN_AIO = 128,    /* "aio": io_setup(2) and what it takes to use it */
	BOX_LOOSEN_ALL = 255,
};

/* box_loosen_of(name): the bit of a name above, 0 if it is none. */
unsigned box_loosen_of(const char *name);
/* box_loosen_check(loosen, e): can boxes of this machine be given these? 0, or -1 with which can't,
 * why, and what would help. */
int box_loosen_check(unsigned loosen, struct err *e) must_check;
/* box_profile_name(loosen): "default", "default+userns+kvm" …; the caller frees it. */
char *box_profile_name(unsigned loosen);

/* 0 means no limit, for each. */
struct box_limits {
	uint64_t wall_ms, cpu_ms;
	uint64_t silence_ms; /* neither stdout nor stderr said anything for so long */
	uint64_t idle_ms;    /* no processor time and no input or output to speak of in two windows
				of so long each, and nobody in it waits for a processor */
	uint64_t memory;     /* bytes, tmpfs included where a cgroup does the counting */
	uint64_t processes;  /* tasks, threads included */
	uint64_t disk; /* bytes in all uppers together, of files that are open and have no name any
			  more too */
	uint64_t disk_inodes;  /* entries in all uppers together */
	uint64_t output_bytes; /* stdout + stderr; the box is ended above it */
	uint64_t open_files;
	uint64_t file_size; /* bytes of one file; who passes it gets SIGXFSZ */
	uint64_t cpu_milli; /* thousandths of a processor, as a quota */
	uint64_t grace_ms;  /* between SIGTERM and the end of everything; 0: at once */
};

struct box_spec {
	const char *name; /* for messages and the cgroup's name: letters, digits, '-', '_', '.', at
			     most 64 */
	/* The root: either BOX_COW or BOX_RO mount "/" among mounts, or none, and root_host: then
	 * "/" is a skeleton and the host's /usr, /etc, /bin, /sbin, /lib* appear read-only in it,
	 * as the box's ids may read them. With root_host a mount "/" may still bring lowers and an
	 * upper: the skeleton is its lowest layer. */
	bool root_host;
	const struct box_mount *mounts;
	size_t n_mounts;
	const struct box_file *files;
	size_t n_files;
	char *const *argv; /* NULL-terminated; argv[0] is looked up in PATH of env inside the box */
	char *const *env;  /* NULL-terminated, complete: nothing is inherited */
	const char *cwd;   /* absolute, inside */
	const char *hostname;
	uint32_t uid, gid; /* of the command, as the box sees them; 0: its root */
	enum box_net net;
	unsigned loosen; /* enum box_loosen */
	/* NULL: stdin is empty, stdout and stderr are one pipe that on_output gets. Else three
	 * descriptors that the command gets as they are, -1: as without. Nobody reads along, so
	 * that silence and output_bytes can be limited only where neither stdout nor stderr is
	 * given. No directory (a way out of the box) and no terminal (a job that reads the
	 * caller's keys, and writes them: TIOCSTI) is taken. What is given is as open to the box
	 * as its ids' rights to it, whichever way it was opened (/proc/self/fd). */
	const int *stdio;
	bool terminal; /* the command gets a terminal of the box's own (pty(7)), for all three and
			  as its controlling one; on_terminal gets the other end. Neither with stdio
			  nor with limits of silence and output_bytes */
	struct box_limits limits;
};

enum box_end {
	BOX_EXITED, /* by itself, exit_code says how; 127 and 126 also where argv[0] is not there or
		     * can't be executed, and 126 where what a layer of ours holds (an earlier box
		     * of the job may have written it) is in the way of a mount, a file or cwd, or
		     * what it left itself can't be kept (it was in memory, and the upper's file
		     * system has bounds): that is the package's affair, told by a line of its
		     * output */
	BOX_SIGNALLED, /* by a signal that was not ours */
	BOX_LIMITED,   /* by us: `limit` fired (an OOM kill in the box's cgroup is BOX_LIMIT_MEMORY
			  whatever the exit; or, where it was refused processes, too,
			  BOX_LIMIT_PROCESSES: refused forks fill memory) */
	BOX_CANCELLED, /* by us: box_cancel() */
	BOX_FAILED,    /* it never ran the command, or its supervisor was lost: our own trouble, see
			  error */
};

enum box_limit {
	BOX_LIMIT_NONE,
	BOX_LIMIT_WALL,
	BOX_LIMIT_CPU,
	BOX_LIMIT_SILENCE,
	BOX_LIMIT_MEMORY,
	BOX_LIMIT_PROCESSES,
	BOX_LIMIT_DISK,
	BOX_LIMIT_INODES,
	BOX_LIMIT_OUTPUT,
	BOX_LIMIT_IDLE,
	BOX_LIMIT_FILE_SIZE, /* the command ended by SIGXFSZ */
};

/* box_limit_name(l): "wall-time", "cpu-time", "silence", "memory", "processes", "disk", "inodes",
 * "log-size", "idle", "file-size", "none". */
const char *box_limit_name(enum box_limit l);

struct box_facts {
	enum box_end end;
	int exit_code; /* BOX_EXITED, and what the command did in the end in the other cases, else
			  -1 */
	int signal;    /* that killed the command, 0 if none; ours (9, 15) too */
	bool core;
	enum box_limit limit;
	uint64_t limit_bound, limit_value; /* in the limit's unit, at the moment it fired */
	int64_t started_ms;                /* real time */
	uint64_t setup_ns; /* from box_start to the command's exec, as far as known */
	uint64_t wall_ns;
	uint64_t cpu_user_ns, cpu_system_ns; /* of everything in the box */
	uint64_t peak_memory; /* bytes, of the cgroup; without one: of the largest process */
	uint64_t output_bytes;
	uint64_t oom_kills;      /* of its processes, because of its own limit */
	uint64_t host_oom_kills; /* … because the machine, or a group around the box, was out of
				    memory. Where no cgroup counts: kills of the whole machine
				    while it ran, of a box whose command SIGKILL ended that was not
				    ours */
	uint64_t processes_refused; /* forks the limit refused (cgroup pids.events), 0 where unknown
				     */
	uint64_t processes_peak;    /* tasks at once, 0 where unknown */
	uint64_t io_read_bytes, io_write_bytes; /* of block devices, 0 where unknown */
	uint64_t disk_bytes, disk_inodes;       /* in all uppers, as last seen */
	uint64_t throttled, throttled_ns;       /* periods cut by cpu_milli, and for how long */
	uint64_t stalled_memory_ns, stalled_cpu_ns, stalled_io_ns; /* PSI "some", 0 where unknown */
	const char *cgroup;   /* "v1", "v2" or "none": who counted */
	const char *ids;      /* "one" or "range": which the box had */
	const char *executor; /* "native", "crun" … */
	const char *profile;  /* box_profile_name; for the call of on_end only */
	bool network_lost;    /* BOX_NET_NAT: pasta ended before the box did */
	const char *uppers;   /* what carries the writes: "as given", "tmpfs", "fuse-overlayfs" */
	/* The box's processes when we ended it: a line each, "PID PPID STATE CPU-MS RSS-KIB
	 * COMMAND", pids as the box sees them; at most 64 KiB; "" where it ended by itself. For the
	 * call of on_end only; the names are the job's. */
	const char *processes;
	char error[512]; /* BOX_FAILED: what could not be done and the kernel's own text */
};

struct box_events {
	/* bytes of stdout and stderr as they came, in one stream; the bytes are the callee's only
	 * during the call */
	void (*on_output)(void *owner, const void *bytes, size_t n);
	/* Exactly once for a box that box_start returned; every process of it is gone, its mounts
	 * too. The box is freed after it. */
	void (*on_end)(void *owner, const struct box_facts *facts);
	/* spec.terminal: the master's end, the callee's now. The command runs once it has returned:
	 * size and settings are then what it made them. */
	void (*on_terminal)(void *owner, int fd);
};

struct sandbox;
struct box;

/* The names of the executors, "native" first, NULL last. executor_of(name): the one that is the
 * same, or NULL. executor_list(): "native, crun … or docker", the caller's. */
extern const char *const executor_names[];
const char *executor_of(const char *name);
char *executor_list(void) must_check;

/* Which ids a box has. */
enum box_ids {
	BOX_IDS_AUTO,  /* as root a range, else one */
	BOX_IDS_ONE,   /* an ordinary user's: 0 inside is the user */
	BOX_IDS_RANGE, /* 0..65535; an ordinary user's through newuidmap(1) and newgidmap(1) and
			  /etc/subuid: 0 inside is the user, the others are the range's */
};

/* box_ids_name(ids): "auto", "one", "range". box_ids_of(name): which that is, or -1. */
const char *box_ids_name(enum box_ids ids);
int box_ids_of(const char *name);

struct sandbox_conf {
	const char *executor; /* NULL or "native", "crun", "runc", "podman", "docker" */
	enum box_ids ids;
	bool best_effort;   /* a limit that can't be enforced here is no error */
	const char *helper; /* path of assay-box; NULL: beside the running program, else
			       ASSAY_LIBEXECDIR-like places */
	size_t slots; /* boxes at once at the most; a helper process each, started when first needed
		       */
	const char *name;   /* for cgroup names: [a-z0-9-]; cgroups are made below the caller's own
			       group as NAME.<pid> */
	bool verbose;       /* every step of a box is told on stderr */
	const char *uppers; /* a directory on the file system that uppers and layers will be on;
			       NULL: none will be */
	/* A directory of the caller's own for layers and uppers, nobody else's. As root, where a
	 * file system can't show owners by idmapped mounts (before Linux 5.19, NFS, FUSE …), what
	 * lies below it is given (chown) to ids that all boxes have then. So are uppers elsewhere,
	 * and they get back what the box saw when it has ended. Other layers elsewhere are nobody's
	 * in the box: read if everybody may read them, and not changed. NULL: none. */
	const char *given;
	bool no_probe; /* no box is tried: for who needs but one, which says itself what lacks; only
			  that another executor is there at all */
	/* A box like this one will be started at once: some of it is made while the caller gets the
	 * rest ready. Not needed after the call. NULL: none. */
	const struct box_spec *first;
};

/* sandbox_open(loop, conf, e): NULL with e where no box could ever be made: one is tried, over the
 * host's root and with an upper in conf->uppers (a few milliseconds; what it puts there is gone
 * afterwards). The caller closes it. */
struct sandbox *sandbox_open(uv_loop_t *loop, const struct sandbox_conf *conf, struct err *e)
	must_check;

/* sandbox_close(sb, on_closed, owner): boxes still running are ended; on_closed comes when nothing
 * of it is left on the loop. */
void sandbox_close(struct sandbox *sb, void (*on_closed)(void *owner), void *owner);

/* box_start(sb, spec, ev, owner, e): start a box. Everything spec points to is borrowed for the
 * call only (descriptors are duplicated). NULL with e when there is no free slot (ERR_BUSY), the
 * spec makes no sense (ERR_USAGE), or a system call failed; in these cases no callback will come. A
 * box that could not be built later ends as BOX_FAILED. */
struct box *box_start(struct sandbox *sb, const struct box_spec *spec, const struct box_events *ev,
		      void *owner, struct err *e) must_check;

/* sandbox_keeps(sb, limits, loosen, e): can boxes with these limits be had here? box_start asks the
 * same. Where no cgroup counts, watching is good enough for memory, processes and cpu time, as it
 * is for disk, inodes and idle; a quota of the processors takes a cgroup, and so does memory with
 * BOX_LOOSEN_USERNS or BOX_LOOSEN_FUSE, because what is in a tmpfs of the job's own is seen by
 * nobody: ERR_LIMIT, unless conf.best_effort. */
int sandbox_keeps(const struct sandbox *sb, const struct box_limits *limits, unsigned loosen,
		  struct err *e) must_check;

/* box_signal(b, signal): to the command's process group; if it does not run yet, once it does. */
void box_signal(struct box *b, int signal);

/* box_describe(spec, out, e): what a box of this description would be made of, in order, as text
 * for people: root, mounts, files, ids, network, limits, profile, command. Nothing is started. -1
 * where box_start would say ERR_USAGE. */
struct text;
int box_describe(const struct box_spec *spec, struct text *out, struct err *e) must_check;

/* box_cancel(b): end it as BOX_CANCELLED, with grace if `gently`. on_end still comes. */
void box_cancel(struct box *b, bool gently);

/* box_pause_output(b, paused): stop or go on reading its output (back-pressure); silence is not
 * counted while paused. */
void box_pause_output(struct box *b, bool paused);

/* sandbox_sweep(name, e): remove the cgroups that dead callers of sandbox_open with this name left
 * (kill what is in them first). Call it when no other living process uses the name... those of
 * living pids are left alone. 0 or -1. */
int sandbox_sweep(const char *name, struct err *e) must_check;
/* sandbox_sweep_now(name): the same for who has a loop to get back to: nobody is waited for, and
 * what does not go at once is left to the next sweep. */
void sandbox_sweep_now(const char *name);

/* sandbox_remove(sb, dirfd, name, e): dir_remove for what boxes of this sandbox wrote: with
 * BOX_IDS_RANGE an ordinary user's files may belong to ids that only a box's root may remove. What
 * dir_remove can't remove is removed by assay-box then, in a user namespace with those ids. sb
 * NULL: boxes of a sandbox that is gone, perhaps of another process; assay-box is looked for as
 * with conf.helper NULL. Blocking; any thread, as long as sb is open. No such name is fine. */
int sandbox_remove(struct sandbox *sb, int dirfd, const char *name, struct err *e) must_check;

/* sandbox_work_check(dirfd, name, e): may it be removed for a work directory of that name? 0 where
 * nothing has the name, or a directory in which is nothing but what a box that was killed leaves in
 * its work directory. -1: ERR_USAGE, with what else is there, or it can't be looked into. */
int sandbox_work_check(int dirfd, const char *name, struct err *e) must_check;

/* One thing this machine can do or not, for `assay doctor`. */
struct box_ability {
	const char *name; /* "user namespaces", "overlay on tmpfs" … */
	enum { ABILITY_YES, ABILITY_PARTLY, ABILITY_NO } has;
	char found[256];   /* what was tried and seen, with the kernel's own text */
	char follows[256]; /* what that means for boxes */
	char get[256];     /* how to get it, or "" */
};

/* sandbox_doctor(conf, tell, owner): tries each, by doing it, and tells it. Blocking, some hundred
 * ms; what it makes is gone afterwards. 0, or the number of abilities without which no box can be
 * made here. */
int sandbox_doctor(const struct sandbox_conf *conf,
		   void (*tell)(void *owner, const struct box_ability *a), void *owner);
