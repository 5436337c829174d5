/* A unit of the plan, alive: the table of states it goes through (job_steps.c) and what each of
 * them needs. Loop thread; while a task is under way the loop leaves all of it alone but the box's
 * and the queue's fields. Private to the engine (engine.c, job*.c). */
#pragma once
#include "orchestrator/boxing.h"
#include "orchestrator/compare.h"
#include "orchestrator/capture.h"
#include "orchestrator/compact.h"
#include "orchestrator/control.h"
#include "orchestrator/engine.h"
#include "orchestrator/expect.h"
#include "orchestrator/kept.h"
#include "orchestrator/lane.h"
#include "orchestrator/retry.h"
#include "orchestrator/sched.h"

enum job_state {
	JOB_WAIT,    /* for its trunk, or until the scheduler begins it */
	JOB_BEGIN,   /* its input is there, its attempt is recorded */
	JOB_TAKE,    /* what earlier runs left of its phases is compared with its digest */
	JOB_OPEN,    /* the phase is recorded, its directories and descriptors are there */
	JOB_QUEUE,   /* for tokens, with a phase to run: opened ahead, or after that */
	JOB_BOX,     /* the phase runs */
	JOB_SHELVE,  /* its harvest waits for the store */
	JOB_PUBLISH, /* the cache makes layer and frame */
	JOB_RECORD,  /* the database makes them count */
	JOB_CLOSE,   /* facts judged and recorded */
	JOB_AGAIN,   /* the phase will be tried again, after a while */
	JOB_KEEP,    /* a trunk: its frozen uppers serve its branches */
	JOB_RESULT,  /* the job's result is recorded, or what a repeat of its last phase brought */
	JOB_HOLD,    /* for its other side, and to be repeated, or not to be run at all */
	JOB_FREEZE,  /* what its phases left is put by for later runs */
	JOB_ENTER,   /* and recorded; what must go for that is forgotten */
	JOB_CLEAN,   /* its directories are removed */
	JOB_DONE,
};
#define JOB_STATES (JOB_DONE + 1)

struct engine;

/* A phase's uppers that came from an earlier run, or are for later ones (job_keep.c). */
struct job_kept {
	enum {
		KEPT_NOT,
		KEPT_FOUND,  /* there are some; not looked at */
		KEPT_TAKEN,  /* they are this job's: the phase does not run */
		KEPT_FRESH,  /* it ran and passed: its own will stay */
		KEPT_SERVES, /* they do, and its branches use them */
		KEPT_OWN,    /* they moved like these, but others of the same key and in use stay */
	} is;
	char key[CACHE_ID];
	struct db_kept row;
};

#define ENGINE_RECENT 16 /* results that a snapshot tells of */
struct engine_recent {
	uint32_t package, variant;
	enum status status;
	enum reason reason;
	const char *phase; /* the suite's */
	uint64_t wall_ms;
};

struct job {
	struct engine *engine;
	const struct plan_unit *unit;
	struct job *trunk;    /* of a branch, or NULL */
	struct job *next;     /* in the one queue it waits in */
	size_t n_branches;    /* of a trunk: the units after it */
	size_t branches_left; /* of them: that still need its uppers */
	enum job_state state;
	size_t number;           /* of the unit: names its directories */
	char *input;             /* its package's files, below jobs/<run>; NULL: none, or its trunk
				    has them */
	int64_t id, attempt;     /* branch: the database's */
	size_t phase;            /* of the suite: the current one */
	struct sched_need taken; /* by the phase under way */
	bool coming;             /* the scheduler that began it waits for its first phase */
	bool ahead;              /* its phase is opened before it has tokens, or was (g->ahead) */
	unsigned tries;          /* phases opened so far: names the phase's directory */
	bool offline;            /* this try has no network although the phase may have one */
	bool offline_tried;      /* the current phase had such a try */
	unsigned again;          /* tries of the current phase that don't count (retry.h) */
	int64_t due_ns;          /* JOB_AGAIN: when */
	char **uppers;           /* by phase of the suite: directory of its frozen uppers */
	int64_t *phase_ids;      /* by phase of the suite: the try that counted, 0: did not run */
	uint64_t wall_ms;
	char *note;
	struct job_kept
		*kept;   /* by phase of the suite; NULL: nothing can be said of what they see */
	int64_t damaged; /* the phase whose kept uppers are not what they were; 0: none are so */
	int64_t *gone;   /* phases whose kept directories are nobody's any more */
	size_t n_gone;
	uint64_t room; /* that is free, as of JOB_ENTER's start */
	bool awake;    /* of a unit that rested: it is run after all */
	size_t until;  /* it has its result, and runs the phases before this one, which is to be
			  repeated; PLAN_NONE: it runs for its result */
	bool leaving;  /* it counts among the engine's */

	/* the current try */
	char *phase_dir, *log_rel, *label;
	int64_t phase_id;
	bool networked;
	uint64_t cpus;         /* that it has or, opened ahead, will have: for its row */
	struct shelf *shelves; /* copies: the generations it was given */
	struct plan_mounts mounts;
	struct boxing boxing;
	struct box *box; /* while it runs: it holds a slot */
	struct capture *capture;
	struct box_facts facts;
	char *profile, *processes; /* owned: what facts points to */
	struct capture_log log;
	int64_t began_ns;
	bool host_full;
	size_t harvest_at; /* index into the phase's harvest list */
	struct shelf_publish publish;
	uint64_t store_bytes, store_files;
	int64_t ended_ms;

	/* the answer */
	bool has_result;
	bool retry; /* no: another try, after retry_ms */
	uint64_t retry_ms;
	struct result result;
	struct evidence evidence;

	/* repeats of the phase in which the sides differ */
	unsigned repeat;   /* which one this is; 0: the job itself */
	bool alone;        /* it waits until nothing else runs, and nothing starts beside it */
	bool by_cpu;       /* its time limit counts processor time */
	struct result own; /* the job's, once it has one */

	/* lane */
	struct job_task {
		struct lane_task task; /* first */
		struct job *job;
		int (*work)(struct job *, struct err *);
		int rc;
		struct err err;
	} task;
};

struct job_queue {
	struct job *head, *tail;
	size_t n;
};

struct engine {
	const struct engine_conf *conf;
	const struct suite *suite;
	struct state *state;
	uv_loop_t loop;
	struct lane records, stores, keep, trash;
	struct compact compact;
	struct capture_disk logs;
	struct sandbox *sandbox;
	struct shelf *shelves;     /* by store of the suite */
	struct programs *programs; /* of their rules; NULL: none has one */
	struct db *words;    /* the lane `stores` looks them up there; NULL: no store demands any */
	struct job **jobs;   /* by unit of the plan; NULL: not yet begun, or done */
	struct sched *sched; /* tasks are units: JOB_WAIT without a trunk, JOB_QUEUE */
	struct expect *expect;
	uint64_t *after;     /* by unit: rank_units */
	struct graph *graph; /* of the suite's packages; NULL: none depends on another */
	bool *unmade;        /* by package and variant of the suite: it ended before its goal; NULL:
				none depends on another */
	uint32_t *first;     /* by package of the suite: its first unit in the plan */
	uint32_t *left;      /* by package of the suite: units that are not over */
	size_t units_left;
	size_t at_once;
	size_t boxes;       /* phases that have theirs, and the tokens for it */
	size_t ahead;       /* phases that are opened, or being so, and have no tokens yet */
	size_t descriptors; /* that may be open at once */
	struct control *control;
	bool *cancelled; /* by package of the suite; NULL: none */
	bool cancelled_all, paused;
	size_t fetches;
	int64_t began_ns;
	struct readings readings;                   /* the last */
	uint64_t left_ms;                           /* expected, of phases that are not over */
	uint64_t past_ms, past_expected_ms;         /* of those that are */
	struct engine_recent recent[ENGINE_RECENT]; /* n_recent - 1 is the newest */
	size_t n_recent, counts[STATUS_COUNT];
	enum admit admit;      /* as of the last tick */
	int64_t held_since_ns; /* 0: it is not held */
	uint64_t held_ms;
	struct job_queue branches;   /* JOB_WAIT: whose trunk is done */
	struct job_queue publishers; /* JOB_SHELVE */
	struct job_queue later;      /* JOB_AGAIN, in no order */
	struct job_queue holds;      /* JOB_HOLD: to be looked at */
	struct job_queue solo;       /* JOB_QUEUE: repeats that run alone */
	bool alone;                  /* one of them runs */
	bool unrepeated;             /* it was stopped, and there was more to repeat */
	struct repeat_pair **pairs;  /* by package of the suite; NULL: none yet */
	struct db_table *flakes;     /* named query, of the suite */
	bool publishing;
	size_t leaving; /* trees that wait to be removed: jobs in JOB_CLEAN, and what was discarded
			 */
	size_t moving;  /* jobs in a state that does not rest: something will call back */
	size_t done;
	size_t woken;        /* jobs that had been spared, and are run after all */
	size_t reused;       /* phases */
	uint64_t kept_bytes; /* of all that is kept; the lane `records` has it */
	struct breaker breaker;
	int64_t full_ns;           /* when the disk was last seen full; 0: never */
	int runs_fd;               /* runs/<run> below the state directory */
	int jobs_fd;               /* jobs/<run> */
	struct boxing_place place; /* of jobs_fd */
	bool stopping;             /* start nothing more */
	bool failed;               /* because of err */
	struct err err;
	unsigned signals;
	uv_signal_t sigint, sigterm; /* .data is set once they must be closed */
	uv_timer_t tick;
	bool closing;
};

/* job.c */
struct job *job_new(struct engine *g, size_t unit);
void job_free(struct job *j);
/* job_go(j, to): the only way a state changes; a move the table does not allow aborts. */
void job_go(struct job *j, enum job_state to);
/* job_begin(j): of JOB_WAIT: to JOB_BEGIN; one that rests, to where it waits for its other side. */
void job_begin(struct job *j);
/* job_lane(j, lane, work): the state's work on a lane; when it is done the state's `finish` names
 * the next. A job that is JOB_DONE then is freed. */
void job_lane(struct job *j, struct lane *lane, int (*work)(struct job *, struct err *));
static inline const struct suite_phase *job_phase(const struct job *j)
{
	return &j->engine->suite->phases[j->phase];
}
static inline bool job_is_trunk(const struct job *j)
{
	return j->unit->variant == PLAN_NONE;
}

/* job_steps.c: what starts a state, and what its end leads to. */
struct job_step {
	const char *name;
	void (*start)(struct job *j); /* sets one thing going; NULL: the engine moves it on */
	enum job_state (*finish)(struct job *j); /* after the lane's work, also where that or the
						    engine failed: gives back what the state held */
	bool rests; /* nothing is under way: only the engine, if it still starts things, moves it on
		     */
	unsigned may; /* bits of states it may go to */
};
extern const struct job_step job_steps[JOB_STATES];
/* Where a job goes that is to run its current phase: JOB_HOLD, or as engine_next says. */
enum job_state job_next(struct job *j);
/* Its phase could be tried without the network that it may have. */
bool job_may_try_offline(const struct job *j);

/* job_close.c: JOB_CLOSE and JOB_AGAIN. */
void job_close_start(struct job *j);
enum job_state job_close_finish(struct job *j);
void job_again_start(struct job *j);
/* job_cancel(j): of JOB_QUEUE: it ends as kill/cancelled, without a box. */
void job_cancel(struct job *j);
/* job_boxless(j): its phase was opened and will have no box: what JOB_CLOSE records of that. */
void job_boxless(struct job *j);
/* job_leaving(j): it is on its way out, and counts among what keeps new packages waiting. */
void job_leaving(struct job *j);
/* job_try_free(j): what one try of a phase held. */
void job_try_free(struct job *j);

/* job_box.c: the start of JOB_BOX; goes on to JOB_SHELVE or JOB_CLOSE. */
void job_box_start(struct job *j);
/* Exit status 0 and nothing killed for want of memory. */
bool job_box_passed(const struct job *j);

/* job_keep.c: JOB_TAKE, JOB_FREEZE, JOB_ENTER. */
/* keep_open(g, e): how much there is. */
int keep_open(struct engine *g, struct err *e) must_check;
/* job_keep_find(j, e): what its phases see, and what earlier runs left of them; on the lane
 * `records`. */
int job_keep_find(struct job *j, struct err *e) must_check;
/* job_has_found(j): there is something to take. job_fresh(j): of the current phase: it passed. */
bool job_has_found(const struct job *j);
void job_fresh(struct job *j);
/* job_leave(j): where a job goes that is over: JOB_FREEZE, JOB_ENTER or JOB_CLEAN. */
enum job_state job_leave(const struct job *j);
/* job_serve(j): where a trunk goes whose branches are to run: what its phases left is put by first,
 * so that it outlives us. */
enum job_state job_serve(const struct job *j);
void take_start(struct job *j);
enum job_state take_finish(struct job *j);
void freeze_start(struct job *j);
enum job_state freeze_finish(struct job *j);
void enter_start(struct job *j);
enum job_state enter_finish(struct job *j);

/* job_repeat.c: JOB_HOLD. */
/* repeat_open(g, e): what is known of flakes. repeat_forget(g): all of it. */
int repeat_open(struct engine *g, struct err *e) must_check;
void repeat_forget(struct engine *g);
/* Whether a job that has its result may be repeated, and so goes to JOB_HOLD. */
bool repeat_may(const struct job *j);
/* repeat_look(j): a job of g->holds goes on: to be repeated, or to its end. */
void repeat_look(struct job *j);
/* repeat_gone(j): a job leaves; its other side need not wait for it. */
void repeat_gone(struct job *j);

/* job_needs.c */
/* needs_open(g, e): nothing is known to have ended early, but what a run that is gone on with says.
 */
int needs_open(struct engine *g, struct err *e) must_check;
/* needs_note(j): a branch has its result. */
void needs_note(const struct job *j);
/* needs_block(j): of JOB_BEGIN: whether what it depends on leaves it no chance; then that is its
 * result. */
bool needs_block(struct job *j);

/* engine_sched.c: what the engine asks of the scheduler. */
/* engine_schedule(g, e): what is expected, what depends on what, the units that may begin. */
int engine_schedule(struct engine *g, struct err *e) must_check;
void engine_unschedule(struct engine *g);
/* engine_start_some(g): as much as there are tokens for. */
void engine_start_some(struct engine *g);
/* engine_again(g): those of JOB_AGAIN whose time has come. */
void engine_again(struct engine *g);
/* engine_look(g): at the machine, twice a second: may more be started? */
void engine_look(struct engine *g);
/* engine_cpus(j): so many processors its phase is to have, if there are as many. */
uint64_t engine_cpus(const struct job *j);
/* engine_wait(j): its phase waits for tokens. */
void engine_wait(struct job *j);
/* engine_next(j): where a job with a phase to run goes: to JOB_OPEN, if that may be done ahead of
 * its turn, so that its box starts as soon as another one's tokens are free; else to JOB_QUEUE.
 * engine_turn(j): it has come, or will not. engine_end_ahead(g): nothing is started any more: what
 * was opened ahead is closed. */
enum job_state engine_next(struct job *j);
void engine_turn(struct job *j);
void engine_end_ahead(struct engine *g);
/* engine_unit_over(j): of what waits for its package, some may begin. */
void engine_unit_over(struct job *j);

/* engine_control.c: what a run may be asked, and what it says of itself (control.h). */
bool engine_ask(void *engine, const json_t *request, char **says);
json_t *engine_snapshot(void *engine);
/* engine_eta(g, likely_ms, late_ms): how long it will still take: as what is over, compared with
 * what was expected of it, tells; and as nine of ten phases would have it. */
void engine_eta(const struct engine *g, uint64_t *likely_ms, uint64_t *late_ms);
/* engine_remember(j): its result is recorded. engine_past(j): one of its phases is over. */
void engine_remember(struct job *j);
void engine_past(struct job *j);
/* Somebody asked for its package to end. */
bool job_cancelled(const struct job *j);

/* engine.c */
void engine_cancel_boxes(struct engine *g, bool gently);
void engine_push(struct job_queue *q, struct job *j);
struct job *engine_pop(struct job_queue *q);
/* engine_give_back(j): its box is gone, or will not be: its tokens are free. */
void engine_give_back(struct job *j);
/* engine_note(j): a phase was judged, as j->result where it did not pass: enough of our own trouble
 * ends the run. */
void engine_note(struct job *j, bool passed);
/* engine_jobs(g): how many are to have a result. */
static inline size_t engine_jobs(const struct engine *g)
{
	return g->conf->plan->n_jobs + g->woken;
}
/* engine_job(g, unit): the unit's job, made where there is none yet. */
struct job *engine_job(struct engine *g, size_t unit);
/* engine_kick(g): start whatever may start now. Safe to call from anywhere on the loop. */
void engine_kick(struct engine *g);
/* engine_discard(g, dirfd, rel): remove the tree rel below dirfd (of the run or the state
 * directory) when the trash lane comes to it. */
void engine_discard(struct engine *g, int dirfd, const char *rel);
/* engine_fail(g, e): our own trouble: the first one is kept, nothing more is started, boxes are
 * ended. */
void engine_fail(struct engine *g, const struct err *e);
