/* What begins and what runs next: units that wait to be begun, tasks (phases of begun units) that
 * wait for tokens. A pure value: no clock, no database, no system call, so that the engine and
 * `assay simulate` decide with the same code. A pick costs O(log n + classes), where a class is the
 * tasks that need the same.
 *
 * Longest first (LPT; Graham 1969: the makespan is at most 4/3 of the best). New packages are begun
 * only as far as processors have nothing to do soon, so that few of them hold disk at a time and
 * the variants of one end close together. A task that does not fit lets some others pass; then
 * nothing starts that would keep it waiting, until it fits: wide ones don't starve. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum sched_policy {
	POLICY_LPT,    /* the most work left first */
	POLICY_FIFO,   /* as listed */
	POLICY_RANDOM, /* by chance, the same with the same seed */
	POLICY_SJF,    /* the least work left first */
};

/* sched_policy_name(p): "lpt" …, NULL behind the last. sched_policy_parse: 0 or -1. */
const char *sched_policy_name(enum sched_policy p);
int sched_policy_parse(const char *name, enum sched_policy *p);

enum sched_token {
	SCHED_CPU,    /* processors */
	SCHED_FETCH,  /* phases that wait for a network: they hold no processor */
	SCHED_MEMORY, /* bytes */
	SCHED_DISK,   /* bytes of the state directory's file system */
};
#define SCHED_TOKENS (SCHED_DISK + 1)

struct sched_need {
	uint64_t of[SCHED_TOKENS];
};

struct sched_conf {
	struct sched_need have; /* UINT64_MAX: any number */
	enum sched_policy policy;
	uint64_t seed;
	size_t ahead; /* units are begun while fewer tasks of begun ones wait than there are
			 processors and so many more; than four times the processors where those
			 that wait don't fit and some are free */
};
/* What the engine begins, and so what is simulated: while boxes run, rows and directories of the
 * next are made, which takes two commits. */
#define SCHED_AHEAD 4

struct sched;

struct sched *sched_new(const struct sched_conf *conf);
void sched_free(struct sched *s);

struct sched_task {
	uint32_t id;            /* the caller's */
	uint32_t package;       /* its place in the list: of equals the first comes first */
	uint64_t left_ms;       /* work from here to the end of what follows it */
	struct sched_need need; /* one that needs more than there is takes all there is. Memory and
				   disk are rounded up by sched_round */
};

/* sched_offer(s, t): a unit that may be begun; its need does not count. */
void sched_offer(struct sched *s, const struct sched_task *t);
/* sched_begin(s, id): the unit to begin now; sched_arrived once its first task was pushed, or never
 * will be. Ask when sched_pick has said no. */
bool sched_begin(struct sched *s, uint32_t *id);
void sched_arrived(struct sched *s);

/* sched_push(s, t): t waits. An id may wait once at a time. */
void sched_push(struct sched *s, const struct sched_task *t);
/* sched_pick(s, id, taken): the task to start now; its tokens are taken: give `taken` back with
 * sched_give. false: none may start. */
bool sched_pick(struct sched *s, uint32_t *id, struct sched_need *taken);
void sched_give(struct sched *s, const struct sched_need *taken);
/* sched_have(s, token, n): from now on there is so much of it; what is taken stays taken. */
void sched_have(struct sched *s, enum sched_token token, uint64_t n);

/* How many wait to be begun, and for tokens; what is taken and what there is. */
struct sched_state {
	size_t offered, waiting;
	struct sched_need used, have;
	bool held;              /* the first of the queue does not fit */
	enum sched_token lacks; /* where held: for want of this */
};
void sched_look(const struct sched *s, struct sched_state *out);

/* sched_round(bytes): the least of 0, 2^k and 3 * 2^(k-1) with k >= 24 that is not less. */
uint64_t sched_round(uint64_t bytes);
