/* Inside sandbox/ only: what of a box is watched from outside, where no cgroup and no quota counts
 * for us, and when. The looking itself is the helper's (PLAN_LOOK): it costs a fraction of a
 * millisecond and waits for nobody here. The nearer a limit is, the sooner the next look. Loop
 * thread. */
#pragma once
#include "base/err.h"
#include "sandbox/box/plan.h"
#include "sandbox/quota.h"
#include "sandbox/sandbox.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct box;

/* A file system that uppers are on: what of it was free when its uppers were last looked at, so
 * that what was written since can be told from above, without a walk. */
struct watch_device {
	size_t upper; /* one of them: watch.uppers[upper] */
	uint64_t device, free_bytes, free_inodes;
};

/* A look that is on its way. */
struct watch_asked {
	unsigned what;    /* enum plan_look, of the last one */
	unsigned lost;    /* so many never came back */
	int64_t at_ns;    /* 0: none is */
	int64_t stuck_ns; /* since when the helper says that one hangs, 0: it does not */
};

struct watch {
	int *uppers;     /* owned descriptors of the upper directories, where disk is limited */
	size_t n_uppers; /* at most PLAN_UPPERS_MAX */
	struct watch_device *devices; /* owned */
	size_t n_devices;
	struct quota quota; /* counts instead of walks, where there is one */
	struct {
		int fd; /* -1: none. Owned, of a tmpfs that takes what is written: by far, or to all
			   of the uppers, whose memory goes with it */
		struct plan_seen own; /* what it took before the command */
		struct plan_seen seen;
	} room;

	int64_t processes_at_ns, disk_at_ns, idle_at_ns; /* when to look; INT64_MAX: never */
	int64_t walk_at_ns; /* DISK: not before, so that walks take a bounded part of the time */
	int64_t walk_took_ns;
	/* The walk over the uppers may take long; memory and processes are looked at meanwhile. */
	struct watch_asked walk, look;

	struct plan_seen seen; /* each part as last seen */
	uint64_t peak_memory, peak_processes;
	char *table; /* owned; of its processes when it was ended, NULL: none */

	struct {                         /* as of the last look for idleness */
		int64_t at_ns, since_ns; /* since: nothing to speak of happened */
		uint64_t cpu_ns, io, output;
		bool stirred; /* something else was seen that is no idleness of the box */
	} idle;
};

struct box_spec;
/* watch_open(w, spec, e): borrows nothing. watch_close in both cases. */
int watch_open(struct watch *w, const struct box_spec *spec, struct err *e) must_check;
void watch_close(struct watch *w);

/* watch_let_go(w): the uppers, and their quota. Who holds the last descriptor of what was removed
 * waits for its file system. */
void watch_let_go(struct watch *w);

/* watch_room(w, fd, own, all): a tmpfs that the box writes to, and what of it was taken before the
 * command ran; all: nothing is written to the uppers. fd is taken. */
void watch_room(struct watch *w, int fd, const struct plan_seen *own, bool all);
/* watch_used(w, bytes, inodes): of what limits.disk is about, as last seen. */
void watch_used(const struct watch *w, uint64_t *bytes, uint64_t *inodes);
/* watch_leave(w): the room's descriptor, now the caller's, or -1: to close the last one of a tmpfs
 * takes as long as there is something in it. */
int watch_leave(struct watch *w);

/* watch_begin(b, now): its command runs. */
void watch_begin(struct box *b, int64_t now);
/* watch_next(b): when there is something to do; watch_look(b, now): do it. */
int64_t watch_next(const struct box *b);
void watch_look(struct box *b, int64_t now);
/* watch_heard(b, r, fd): PLAN_LOOKED; fd stays the caller's. true: it is the answer to watch_table,
 * and not to a look before that. */
bool watch_heard(struct box *b, const struct plan_reply *r, int fd);
/* watch_table(b): ask for the table of its processes: false: nobody can. */
bool watch_table(struct box *b);
/* watch_last(b): what the quota and the room say at the end. watch_over(b, limit, bound, value): a
 * limit was passed there, or something refused: by how the command ended then nobody could tell. */
void watch_last(struct box *b);
bool watch_over(const struct box *b, enum box_limit *limit, uint64_t *bound, uint64_t *value);

/* In watch_disk.c, as the rest of disk above. watch_mark(w): what is free now of the uppers' file
 * systems. watch_gone(w, bytes, inodes): what is gone since then. Somebody else may have taken it,
 * or given back: so there are walks without a reason, and one every second at least. */
void watch_mark(struct watch *w);
void watch_gone(const struct watch *w, uint64_t *bytes, uint64_t *inodes);
/* watch_room_look(w): of watch_used, what is in the room. watch_room_blocks(w): plan_start.room. */
void watch_room_look(struct watch *w);
uint64_t watch_room_blocks(const struct watch *w);

/* In idle.c. idle_next(b, now): when to look. idle_sample(b, now, io): its processor time is in its
 * counts or seen; io: bytes it read and wrote so far, in whatever way they are counted. */
void idle_begin(struct box *b, int64_t now);
void idle_sample(struct box *b, int64_t now, uint64_t io);
