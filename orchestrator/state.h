/* The state directory: one place for all that assay remembers, used by one writing process at a
 * time.
 *
 *   assay.db (-wal -shm)  the results database
 *   layers/ seg/ tmp/ trash/  the cache (cache/cache.h)
 *   jobs/<run>/<unit>/    uppers and work directories of running jobs; gone with them
 *   aside/                uppers of boxes that are no run's (aside.h); gone with them
 *   kept/<phase>/         frozen uppers that stay for later runs (kept.h)
 *   imports/<digest>/     suites and files that assay import made
 *   runs/<run>/           logs: PACKAGE[.VARIANT].PHASE[~offline].log.zst
 *   reports/              what `assay report` wrote
 *   socket                where a run that goes on is asked (control.h)
 *   lock                  flock(2)ed by the one writer, holds its pid
 */
#pragma once
#include "base/err.h"
#include "cache/cache.h"
#include "db/db.h"

/* state_path(opt, e): opt, else $ASSAY_STATE, else $XDG_STATE_HOME/assay, else
 * $HOME/.local/state/assay; absolute. The caller frees it. NULL with e where none of them is set.
 */
char *state_path(const char *opt, struct err *e) must_check;

/* An open state directory, for writing unless state_look() opened it. */
struct state {
	char *path;
	int fd;      /* the directory */
	int lock_fd; /* held until close or death; -1: for reading */
	struct db *db;
	struct cache *cache;
	size_t found; /* publishes that only the segments knew when it was opened */
};

/* state_open(opt, e): made where it is missing (mode 0700), locked, and everything that a killed
 * predecessor left is swept: cgroups, jobs/, temporary files, unfinished runs. What of jobs/ can't
 * be removed is told on stderr and stays: it is in nobody's way. Refused is a directory that others
 * may write, and one whose archives have no database any more: the sweep would take them. ERR_BUSY
 * names the pid of the process that holds it. NULL with e. */
struct state *state_open(const char *opt, struct err *e) must_check;
/* state_can_box(s, e): 0, or ERR_BOX where the kernel can make no box's upper there (on an overlay:
 * a container's own file system). */
int state_can_box(const struct state *s, struct err *e) must_check;
/* state_open_rebuild(opt, e): the same, but what the database says of stores is made anew from the
 * segments alone, whatever it was; it may be gone altogether. What else it holds stays. */
struct state *state_open_rebuild(const char *opt, struct err *e) must_check;
/* state_look(opt, e): one that is there, for reading: no lock, nothing is swept or repaired;
 * another process may write it meanwhile. */
struct state *state_look(const char *opt, struct err *e) must_check;
void state_close(struct state *s);

/* The name under which boxes of this state directory make their cgroups: "assay-" and 8 hex digits
 * of the path's digest. */
void state_box_name(const struct state *s, char name[24]);
