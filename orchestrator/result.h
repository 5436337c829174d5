/* What a job's facts say about its package: (status, phase, reason), and the pure function that
 * derives it. Both enums are closed and append-only: their texts are in databases. One question
 * decides the status: who ended it? */
#pragma once
#include "base/err.h"
#include "sandbox/sandbox.h"

#include <stdbool.h>
#include <stddef.h>

enum status {
	STATUS_PASS,  /* the goal phase is done */
	STATUS_FAIL,  /* the program said no */
	STATUS_CRASH, /* a signal we did not send */
	STATUS_KILL,  /* a limit of ours fired, or somebody cancelled it */
	STATUS_BLOCK, /* no chance because of another package or its own metadata */
	STATUS_SKIP,  /* policy */
	STATUS_INFRA, /* our own trouble */
};
#define STATUS_COUNT (STATUS_INFRA + 1)

enum reason {
	REASON_OK, /* of pass */
	/* fail */
	REASON_EXIT,
	REASON_TEST_FAILED,
	REASON_COMPILE_ERROR,
	REASON_MISSING_FILE,
	REASON_MISSING_DEP,
	REASON_NET_DENIED,
	REASON_FAIL_UNKNOWN,
	/* crash */
	REASON_SEGV,
	REASON_ABRT,
	REASON_BUS,
	REASON_ILL,
	REASON_FPE,
	REASON_SYS,
	REASON_OTHER_SIGNAL,
	/* kill */
	REASON_WALL_TIME,
	REASON_CPU_TIME,
	REASON_SILENCE,
	REASON_IDLE,
	REASON_MEMORY,
	REASON_PROCESSES,
	REASON_DISK,
	REASON_INODES,
	REASON_LOG_SIZE,
	REASON_FILE_SIZE,
	REASON_CANCELLED,
	/* block */
	REASON_DEP_FAILED,
	REASON_UNRESOLVABLE,
	REASON_BAD_MANIFEST,
	REASON_SOURCE_GONE,
	REASON_UNSUPPORTED,
	/* skip */
	REASON_LISTED,
	REASON_FILTERED,
	REASON_UNCHANGED,
	REASON_NOTHING_TO_DO,
	REASON_BUDGET,
	/* infra */
	REASON_ENOSPC,
	REASON_HOST_OOM,
	REASON_BOX_START,
	REASON_STORE,
	REASON_FETCH,
	REASON_HOST_LOST,
	REASON_HARNESS,
	REASON_NETWORK_LOST,
};
#define REASON_COUNT (REASON_NETWORK_LOST + 1)

const char *status_name(enum status s);
int status_parse(const char *name, enum status *s) must_check;
/* The word alone: "missing-dep". Words are unique over all statuses but "unknown", which is fail's.
 */
const char *reason_name(enum reason r);
int reason_parse(const char *name, enum reason *r) must_check;
/* The status a reason belongs to. */
enum status reason_status(enum reason r);

/* Where the deciding line of a log is, and what it says. */
struct evidence {
	int64_t offset, length; /* bytes in the uncompressed log as kept; -1, 0: there is none */
	char *text; /* that line and a few around it, malloc'ed, at most RESULT_EVIDENCE bytes;
		       NULL: none */
	char *line; /* the deciding line alone, plain, malloc'ed, at most RESULT_LINE characters;
		       NULL: none */
};
#define RESULT_EVIDENCE 4096
#define RESULT_LINE 500
/* evidence_copy(ev): one with texts of its own. evidence_fini frees them. */
struct evidence evidence_copy(const struct evidence *ev);
void evidence_fini(struct evidence *ev);

struct result {
	enum status status;
	enum reason reason;
	const char *phase; /* borrowed from the suite: the furthest phase entered */
	const char *rule;  /* borrowed from the suite: id of the log rule that refined the reason,
			      NULL */
};

struct suite;

/* What is known of a phase when the judgement is made. */
struct judged {
	const struct box_facts *facts;
	bool host_full;  /* the state directory's file system had no room left when the phase ended
			  */
	bool networked;  /* the phase had a network */
	size_t phase;    /* index into the suite's phases */
	const char *log; /* text of the log's end (and beginning), NUL-terminated; NULL: none */
	size_t log_n;
};

/* result_of(s, j, ev): the result of the phase that ended the job: the goal phase having exited
 * with 0, or the first phase that did not. Pure. Laws: an OOM kill the cgroup counted is
 * kill/memory whatever the exit; a kill because the machine was out of memory is
 * infra/host-oom whatever the exit; exit codes of 128 and above are plain exits; a full host is
 * infra whatever the log says, and so is a network that was lost where the phase failed, or waited
 * until a limit of ours fired; log rules only refine within fail and crash, first match wins, and
 * nothing a log says leads to infra; but a phase before the goal that has a network and failed may
 * be block by a rule of its own. ev gets the offset and length of the deciding line within j->log
 * (text is left NULL). */
struct result result_of(const struct suite *s, const struct judged *j, struct evidence *ev);
